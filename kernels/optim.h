/* Optimizers: one sweep over a block of a parameter reads w, g, m, v and writes w, m, v.
 *
 * With G = clip*g + l2*w, every rule is one of eight recurrences, the scalars choose between the
 * published variants (t = 1, 2, ... counts steps):
 *
 *   SGD                                                       w <- keep*w - lr*G
 *   MOMENTUM          m <- beta1*m + G                        w <- keep*w - lr*m
 *   NESTEROV          m <- beta1*m + G                        w <- keep*w - lr*(G + beta1*m)
 *   SIGN                                                      w <- keep*w - lr*sign(G)
 *   RMSPROP           v <- beta2*v + (1-beta2)*G^2
 *                     m <- beta1*m + G/(sqrt(v) + eps)        w <- keep*w - lr*m
 *   RMSPROP_PLAYBOOK  v <- beta2*v + (1-beta2)*G^2
 *                     m <- beta1*m + lr*G/sqrt(v + vadd + eps)   w <- keep*w - m
 *   ADAM              m <- beta1*m + (1-beta1)*G
 *                     v <- beta2*v + (1-beta2)*G^2
 *                     w <- keep*w - cm*m/(vmul*sqrt(v) + eps)
 *   NADAM             m and v as ADAM
 *                     w <- keep*w - (cm*m + cg*G)/(vmul*sqrt(v) + eps)
 *
 *   torch     Adam    vmul = 1/sqrt(1-beta2^t)  cm = lr/(1-beta1^t)    l2 = decay
 *             AdamW   the same with keep = 1 - lr*decay and l2 = 0
 *             NAdam   mu_t = beta1*(1 - 0.5*0.96^(0.004 t)), P_t = mu_1 ... mu_t, vmul as Adam,
 *                     cm = lr*mu_{t+1}/(1 - P_{t+1})  cg = lr*(1-mu_t)/(1-P_t)
 *   LARS      a MOMENTUM with lr = 1 and, for each parameter, clip = lr*q, l2 = clip*decay,
 *             q = trust*|w|/(|g| + decay*|w|)     (You, Gitman, Ginsburg 2017)
 *   playbook  b = sqrt(1-beta2^t)/(1-beta1^t), vmul = 1 (eps is not bias-corrected)
 *             Adam    cm = lr*b       NAdam  cm = lr*b*beta1, cg = lr*b*(1-beta1)
 *             RMSProp v starts at 1: with v stored from 0, vadd = beta2^t
 * torch: torch.optim of PyTorch 2. playbook: "Deep Learning Tuning Playbook", Godbole et al. 2023,
 * FAQ "What are the update rules for all the popular optimization algorithms?"; its SGD, momentum
 * and Nesterov are PyTorch's.
 *
 * In a training in bf16 the sweep also writes the bf16 copy of w. w itself is the f32 master, or,
 * to show what becomes of a training without one, only ever holds values that bf16 has. next is what
 * the rule makes of w, u the same as a change, -decay*w - step:
 *
 *   MASTER      w <- next
 *   NEAREST     w <- bf16(next)
 *   STOCHASTIC  w <- the bf16 below or above next, the nearer the likelier: 16 bits of Philox4x32-10
 *               of (seed, parameter; step, element) are added to the bits that are then cut off
 *   KAHAN       y = (next - w) + c,  w' = bf16(w + y),  c <- bf16(y - (w' - w)),  w <- w'
 *               (Kahan 1965; for weights in bf16 Zamirai et al. 2020)
 *
 * |m| or v below FLT_MIN is written as 0, so that no state creeps through denormals forever.
 * Parameters are cut in blocks of WEFT_OPTIM_BLOCK elements, counted from each segment's first
 * element; sums of blocks are folded in ascending order. */
#ifndef WEFT_KERNELS_OPTIM_H
#define WEFT_KERNELS_OPTIM_H
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#define WEFT_OPTIM_BLOCK 16384

enum weft_optim_rule {
    WEFT_OPTIM_SGD,
    WEFT_OPTIM_MOMENTUM,
    WEFT_OPTIM_NESTEROV,
    WEFT_OPTIM_RMSPROP,
    WEFT_OPTIM_RMSPROP_PLAYBOOK,
    WEFT_OPTIM_ADAM,
    WEFT_OPTIM_NADAM,
    WEFT_OPTIM_SIGN,
};

/* State arrays of a rule: 0, 1 (m) or 2 (m and v). */
static inline size_t weft_optim_states(enum weft_optim_rule rule) {
    if (rule == WEFT_OPTIM_SGD || rule == WEFT_OPTIM_SIGN) return 0;
    return rule <= WEFT_OPTIM_NESTEROV ? 1 : 2;
}

/* By-products of the sweep over one block. Each sum: f32 in 32 virtual lanes over 1024 elements,
 * these folded ascending in f64; w is the new weight, dw what was added to the old one (after
 * rounding). */
struct weft_optim_stats {
    double w, w2; /* sum w, sum w^2 */
    double dw2;   /* sum (new w - old w)^2 */
    double wg;    /* sum (old w)*g, g before clipping */
    double rate;  /* sum of the step per unit of m: 1/(sqrt v + eps) as the rule writes it (0 for
                   * rules without v) */
    double w_max; /* max |w|; a NaN wins */
    double g2, g_max; /* sum g^2, max |g|, g before clipping */
    /* With a bf16 copy: what weights in bf16 make of the updates; MASTER: what NEAREST would have
     * made of these, from the nearest bf16 of w. */
    double moves;      /* elements with u != 0 */
    double lost;       /* of them, those that stay what they were (KAHAN: c too) */
    double decay_want; /* sum |decay*w| */
    double decay_done; /* sum of what decay has changed of the new weight (and c), towards 0 */
};

enum weft_weights { WEFT_MASTER, WEFT_NEAREST, WEFT_STOCHASTIC, WEFT_KAHAN };

struct weft_optim_args {
    enum weft_optim_rule rule;
    size_t n;
    float *w;       /* (n), updated */
    const float *g; /* (n), read */
    float *m, *v;   /* (n), updated; NULL where the rule has none */
    float lr;
    float clip;                         /* factor of g, 1: not clipped */
    float l2, keep;                     /* decay in the gradient, decay of the weight (1: none) */
    float beta1, beta1c, beta2, beta2c; /* beta1c = 1 - beta1, rounded once */
    float eps, vadd, vmul, cm, cg;
    struct weft_optim_stats *stats; /* (1), =, or NULL */
    /* bf16 */
    uint16_t *copy; /* (n), = the nearest bf16 of the new w; NULL: f32, and the rest is not read */
    enum weft_weights weights;
    float decay;         /* of the weight: 1 - keep before it is rounded */
    float *c;            /* KAHAN: (n), updated: values that bf16 has */
    uint64_t seed, step; /* STOCHASTIC */
    uint32_t stream;     /* of the parameter */
    uint64_t first;      /* w[0] is this element of it */
};

/* By-products of reading a gradient block. */
struct weft_grad_stats {
    double sq;        /* sum g^2, 32 virtual lanes of f64 */
    double max;       /* max |g|; a NaN wins */
    double nonfinite; /* number of elements that are Inf or NaN */
};

#endif
