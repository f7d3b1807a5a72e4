/* Optimizer sweep (optim.h has the recurrences) and gradient norm. Memory-bound: everything a step
 * wants to know about w, g and the update is summed while the data is in registers.
 *
 * Elementwise, so any cut gives the same bits; the statistics depend on the block grid only. */
#include "kernels/kernels.h"
#include "kernels/simd/vec_bf16.h"
#include "kernels/simd/vec_philox.h"
#include "kernels/simd/vec_reduce.h"

#define CHUNK   1024 /* elements summed in f32 before the fold in f64 */
#define STRETCH 256
#define AHEAD   256 /* elements between the one worked on and the one fetched */

struct step { /* the scalars, broadcast */
    vf lr, clip, l2, keep, beta1, beta1c, beta2, beta2c, eps, vadd, vmul, cm, cg, tiny, decay;
    uint32_t key[2]; /* of stochastic rounding */
};

static WEFT_INLINE struct step step_make(const struct weft_optim_args *a) {
    struct step s = {
        .lr = v_set1(a->lr),
        .clip = v_set1(a->clip),
        .l2 = v_set1(a->l2),
        .keep = v_set1(a->keep),
        .beta1 = v_set1(a->beta1),
        .beta1c = v_set1(a->beta1c),
        .beta2 = v_set1(a->beta2),
        .beta2c = v_set1(a->beta2c),
        .eps = v_set1(a->eps),
        .vadd = v_set1(a->vadd),
        .vmul = v_set1(a->vmul),
        .cm = v_set1(a->cm),
        .cg = v_set1(a->cg),
        .tiny = v_set1(0x1p-126f),
        .decay = v_set1(a->decay),
    };
    if (a->copy && a->weights == WEFT_STOCHASTIC)
        philox_key(a->seed, a->stream, PHILOX_ROUND, s.key);
    return s;
}

static WEFT_INLINE vf flush(vf x, vf tiny) { return v_sel(v_lt(v_abs(x), tiny), v_zero(), x); }

/* One vector: updates *m and *v, returns what is subtracted from keep*w; *rate is 1/denominator. */
static WEFT_INLINE vf update(const struct step *s, const enum weft_optim_rule rule,
                             const bool stats, vf g, vf *m, vf *v, vf *rate) {
    if (rule == WEFT_OPTIM_SGD) return v_mul(s->lr, g);
    if (rule == WEFT_OPTIM_SIGN) return v_sel(v_eq(g, v_zero()), v_zero(), v_copysign(s->lr, g));
    if (rule == WEFT_OPTIM_MOMENTUM || rule == WEFT_OPTIM_NESTEROV) {
        *m = flush(v_fma(s->beta1, *m, g), s->tiny);
        return v_mul(s->lr, rule == WEFT_OPTIM_MOMENTUM ? *m : v_fma(s->beta1, *m, g));
    }
    *v = flush(v_fma(s->beta2c, v_mul(g, g), v_mul(s->beta2, *v)), s->tiny);
    const vf den = rule == WEFT_OPTIM_RMSPROP_PLAYBOOK
                       ? v_sqrt(v_add(v_add(*v, s->vadd), s->eps))
                       : v_fma(s->vmul, v_sqrt(WEFT_BUG(6) ? v_add(*v, s->eps) : *v), s->eps);
    if (stats) *rate = v_div(v_set1(1.0f), den);
    if (rule == WEFT_OPTIM_RMSPROP) {
        *m = flush(v_fma(s->beta1, *m, v_div(g, den)), s->tiny);
        return v_mul(s->lr, *m);
    }
    if (rule == WEFT_OPTIM_RMSPROP_PLAYBOOK) {
        *m = flush(v_fma(s->beta1, *m, v_div(v_mul(s->lr, g), den)), s->tiny);
        return *m;
    }
    *m = flush(v_fma(s->beta1c, g, v_mul(s->beta1, *m)), s->tiny);
    const vf num = v_mul(s->cm, *m);
    return v_div(rule == WEFT_OPTIM_NADAM ? v_fma(s->cg, g, num) : num, den);
}

/* ---- weights in bf16 ---- */
struct narrow { /* a weight that bf16 holds, and Kahan's compensation */
    vf w, c;
};

/* The bf16 below or above x, by the lower halves of random; not finite or tiny: the nearest. */
static WEFT_INLINE vf stochastic(vf x, vi random) {
    const vi sum = i_add(v_bits(x), i_and(random, i_set1(0xffff)));
    const vf cut = i_bits(i_and(sum, i_set1((int32_t)0xffff0000u)));
    const vm usual = m_and(v_isfinite(x), v_ge(v_abs(x), v_set1(0x1p-126f)));
    return v_sel(usual, cut, v_bf16(x));
}

static WEFT_INLINE struct narrow narrow(enum weft_weights how, struct narrow old, vf next,
                                        vi random) {
    if (how == WEFT_STOCHASTIC) return (struct narrow){stochastic(next, random), old.c};
    if (how != WEFT_KAHAN) return (struct narrow){v_bf16(next), old.c};
    const vf y = v_add(v_sub(next, old.w), old.c);
    const vf w = v_bf16(v_add(old.w, y));
    return (struct narrow){w, v_bf16(v_sub(y, v_sub(w, old.w)))};
}

static WEFT_INLINE vi random_of(const struct weft_optim_args *a, const struct step *s, size_t i) {
    vi word[4];
    const uint64_t e = a->first + i;
    if (a->weights != WEFT_STOCHASTIC) return i_set1(0);
    v_philox_run((uint32_t)e, (uint32_t)(e >> 32), WEFT_BUG(63) ? 0 : (uint32_t)a->step, 0, s->key,
                 word);
    return word[0];
}

struct sums { /* of 32 virtual lanes */
    v32 w, w2, dw2, wg, rate, max, g2, g_max;
    v32 moves, lost, want, done; /* bf16 */
};
struct sum { /* of one vector of them */
    vf w, w2, dw2, wg, rate, max, g2, g_max;
    vf moves, lost, want, done;
};

static WEFT_INLINE struct sum sums_take(const struct sums *s, size_t j) {
    return (struct sum){s->w.v[j],    s->w2.v[j],    s->dw2.v[j],  s->wg.v[j],
                        s->rate.v[j], s->max.v[j],   s->g2.v[j],   s->g_max.v[j],
                        s->moves.v[j], s->lost.v[j], s->want.v[j], s->done.v[j]};
}
static WEFT_INLINE void sums_put(struct sums *s, size_t j, const struct sum *one) {
    s->w.v[j] = one->w;
    s->w2.v[j] = one->w2;
    s->dw2.v[j] = one->dw2;
    s->wg.v[j] = one->wg;
    s->rate.v[j] = one->rate;
    s->max.v[j] = one->max;
    s->g2.v[j] = one->g2;
    s->g_max.v[j] = one->g_max;
    s->moves.v[j] = one->moves;
    s->lost.v[j] = one->lost;
    s->want.v[j] = one->want;
    s->done.v[j] = one->done;
}

static WEFT_INLINE vf one_if(vm m) { return v_keep(m, v_set1(1.0f)); }

/* What a step of size `move` loses on its way into bf16, from old. A lane that is absent has
 * neither weight nor step. */
static WEFT_INLINE void meter(const struct step *s, struct sum *sum, enum weft_weights how,
                              struct narrow old, vf next, vf move, vi random) {
    const vf decay = v_mul(s->decay, old.w), u = v_add(decay, move);
    const struct narrow with = narrow(how, old, next, random);
    const struct narrow without = narrow(how, old, v_sub(old.w, move), random);
    const vm moves = m_not(v_eq(u, v_zero()));
    const vm stays = m_and(v_eq(with.w, old.w), v_eq(with.c, old.c));
    const vf change = v_add(v_sub(without.w, with.w), v_sub(without.c, with.c));
    const vf done =
        v_keep(m_not(v_eq(decay, v_zero())), v_mul(change, v_copysign(v_set1(1.0f), decay)));
    sum->moves = v_add(sum->moves, one_if(moves));
    sum->lost = v_add(sum->lost, one_if(m_and(moves, stays)));
    sum->want = v_add(sum->want, v_abs(decay));
    sum->done = v_add(sum->done, done);
}

/* The new weights: next, or what is left of it, and their copy. move is what the rule subtracts.
 * One function for all rules: it is far too large to stand in every loop. */
static WEFT_NOINLINE vf settle(const struct weft_optim_args *a, const struct step *s,
                               struct sum *sum, size_t i, size_t n, vf w, vf next, vf move) {
    struct narrow old = {w, a->weights == WEFT_KAHAN ? v_load_n(a->c + i, n) : v_zero()};
    const vi random = random_of(a, s, i);
    if (a->weights == WEFT_MASTER) {
        old.w = v_bf16(w);
        if (sum)
            meter(s, sum, WEFT_NEAREST, old, v_sub(old.w, v_add(v_mul(s->decay, old.w), move)),
                  move, random);
        if (!WEFT_BUG(62)) h_store_n(a->copy + i, next, n);
        return next;
    }
    if (sum) meter(s, sum, a->weights, old, next, move, random);
    const struct narrow now = narrow(a->weights, old, next, random);
    if (a->weights == WEFT_KAHAN) v_store_n(a->c + i, now.c, n);
    h_store_n(a->copy + i, now.w, n);
    return now.w;
}

/* Vector i.. of a block, n valid lanes (all when n == VL). */
static WEFT_INLINE void vector(const struct weft_optim_args *a, const struct step *s,
                               const enum weft_optim_rule rule, const bool half, struct sum *sum,
                               size_t i, size_t n, const bool tail) {
    const size_t states = weft_optim_states(rule);
    const vf w = tail ? v_load_n(a->w + i, n) : v_load(a->w + i);
    const vf g = tail ? v_load_n(a->g + i, n) : v_load(a->g + i);
    vf m = v_zero();
    vf v = v_zero();
    vf rate = v_zero();
    if (states > 0) m = tail ? v_load_n(a->m + i, n) : v_load(a->m + i);
    if (states > 1) v = tail ? v_load_n(a->v + i, n) : v_load(a->v + i);

    const vf grad = v_fma(s->l2, w, v_mul(s->clip, g));
    vf move = update(s, rule, sum != NULL, grad, &m, &v, &rate);
    if (half && tail) move = v_keep(m_first(n), move);
    vf next = v_sub(v_mul(s->keep, w), move);
    if (half) next = settle(a, s, sum, i, n, w, next, move);

    if (tail)
        v_store_n(a->w + i, next, n);
    else
        v_store(a->w + i, next);
    if (states > 0) {
        if (tail)
            v_store_n(a->m + i, m, n);
        else
            v_store(a->m + i, m);
    }
    if (states > 1) {
        if (tail)
            v_store_n(a->v + i, v, n);
        else
            v_store(a->v + i, v);
    }
    if (!sum) return;
    const vf dw = v_sub(next, w);
    if (tail) rate = v_sel(m_first(n), rate, v_zero());
    sum->w = v_add(sum->w, next);
    sum->w2 = v_fma(next, next, sum->w2);
    sum->dw2 = v_fma(dw, dw, sum->dw2);
    sum->wg = v_fma(WEFT_BUG(5) ? next : w, g, sum->wg);
    sum->rate = v_add(sum->rate, rate);
    sum->max = v_max_abs(sum->max, next);
    sum->g2 = v_fma(g, g, sum->g2);
    sum->g_max = v_max_abs(sum->g_max, g);
}

/* 32 elements of every stream. Where a sweep ends this asks for what is not its own: never a fault.
 */
static WEFT_INLINE void fetch_ahead(const struct weft_optim_args *a,
                                    const enum weft_optim_rule rule, size_t i) {
    for (size_t line = i; line < i + 32; line += 16) {
        WEFT_PREFETCH(a->w + line);
        WEFT_PREFETCH(a->g + line);
        if (weft_optim_states(rule) > 0) WEFT_PREFETCH(a->m + line);
        if (weft_optim_states(rule) > 1) WEFT_PREFETCH(a->v + line);
    }
}

static WEFT_INLINE void fold(const struct sums *s, const bool half, struct weft_optim_stats *out) {
    const double max = (double)v32_max(&s->max), g_max = (double)v32_max(&s->g_max);
    out->w += (double)v32_sum(&s->w);
    out->w2 += (double)v32_sum(&s->w2);
    out->dw2 += (double)v32_sum(&s->dw2);
    out->wg += (double)v32_sum(&s->wg);
    out->rate += (double)v32_sum(&s->rate);
    out->g2 += (double)v32_sum(&s->g2);
    if (half) {
        out->moves += (double)v32_sum(&s->moves);
        out->lost += (double)v32_sum(&s->lost);
        out->decay_want += (double)v32_sum(&s->want);
        out->decay_done += (double)v32_sum(&s->done);
    }
    if (!(max <= out->w_max)) out->w_max = out->w_max == out->w_max ? max : out->w_max;
    if (!(g_max <= out->g_max)) out->g_max = out->g_max == out->g_max ? g_max : out->g_max;
}

static WEFT_INLINE void sweep(const struct weft_optim_args *a, const enum weft_optim_rule rule,
                              const bool half) {
    const struct step s = step_make(a);
    size_t i = 0;
    for (; i + 32 <= a->n; i += 32) {
        fetch_ahead(a, rule, i + AHEAD);
        V32_EACH(j) vector(a, &s, rule, half, NULL, i + j * VL, VL, false);
    }
    V32_TAIL(i, j, m, a->n) vector(a, &s, rule, half, NULL, i, m, true);
}

/* With statistics: the sums of one vector of the 32 virtual lanes after the other over STRETCH
 * elements, which stay in the L1 cache as the sums do in registers. */
static WEFT_INLINE void sweep_stats(const struct weft_optim_args *a,
                                    const enum weft_optim_rule rule, const bool half) {
    const struct step s = step_make(a);
    struct weft_optim_stats total = {0};
    for (size_t lo = 0; lo < a->n; lo += CHUNK) {
        const size_t hi = a->n - lo < CHUNK ? a->n : lo + CHUNK;
        const v32 zero = v32_zero();
        struct sums sums = {zero, zero, zero, zero, zero, zero,
                            zero, zero, zero, zero, zero, zero};
        size_t i = lo;
        for (; i + 32 <= hi; i += STRETCH) {
            const size_t end = hi - i < STRETCH ? i + (hi - i) / 32 * 32 : i + STRETCH;
            V32_EACH(j) {
                struct sum one = sums_take(&sums, j);
                for (size_t k = i + j * VL; k < end; k += 32) {
                    if (j == 0) fetch_ahead(a, rule, k + AHEAD);
                    vector(a, &s, rule, half, &one, k, VL, false);
                }
                sums_put(&sums, j, &one);
            }
            if (end < i + STRETCH) {
                i = end;
                break;
            }
        }
        V32_TAIL(i, j, m, hi) {
            struct sum one = sums_take(&sums, j);
            vector(a, &s, rule, half, &one, i, m, true);
            sums_put(&sums, j, &one);
        }
        fold(&sums, half, &total);
    }
    *a->stats = total;
}

/* A function of its own for each: compilers take their time over one that holds them all. */
typedef void sweep_fn(const struct weft_optim_args *a);
#define SWEEP(name, rule)                                                                          \
    static WEFT_NOINLINE void name(const struct weft_optim_args *a) {                              \
        sweep(a, rule, false);                                                                     \
    }                                                                                              \
    static WEFT_NOINLINE void name##_stats(const struct weft_optim_args *a) {                      \
        sweep_stats(a, rule, false);                                                               \
    }                                                                                              \
    static WEFT_NOINLINE void name##_half(const struct weft_optim_args *a) {                       \
        sweep(a, rule, true);                                                                      \
    }                                                                                              \
    static WEFT_NOINLINE void name##_half_stats(const struct weft_optim_args *a) {                 \
        sweep_stats(a, rule, true);                                                                \
    }
SWEEP(sgd, WEFT_OPTIM_SGD)
SWEEP(momentum, WEFT_OPTIM_MOMENTUM)
SWEEP(nesterov, WEFT_OPTIM_NESTEROV)
SWEEP(rmsprop, WEFT_OPTIM_RMSPROP)
SWEEP(rmsprop_playbook, WEFT_OPTIM_RMSPROP_PLAYBOOK)
SWEEP(adam, WEFT_OPTIM_ADAM)
SWEEP(nadam, WEFT_OPTIM_NADAM)
SWEEP(sign, WEFT_OPTIM_SIGN)
#undef SWEEP

void WEFT_FN(optim_f32)(const struct weft_optim_args *a) {
#define ALL(name)                                                                                  \
    { name, name##_stats, name##_half, name##_half_stats }
    static sweep_fn *const sweeps[][4] = {
        [WEFT_OPTIM_SGD] = ALL(sgd),
        [WEFT_OPTIM_MOMENTUM] = ALL(momentum),
        [WEFT_OPTIM_NESTEROV] = ALL(nesterov),
        [WEFT_OPTIM_RMSPROP] = ALL(rmsprop),
        [WEFT_OPTIM_RMSPROP_PLAYBOOK] = ALL(rmsprop_playbook),
        [WEFT_OPTIM_ADAM] = ALL(adam),
        [WEFT_OPTIM_NADAM] = ALL(nadam),
        [WEFT_OPTIM_SIGN] = ALL(sign),
    };
#undef ALL
    sweeps[a->rule][(a->stats != NULL) + 2 * (a->copy != NULL)](a);
}

static size_t count_nonfinite(const float *g, size_t n) {
    size_t bad = 0;
    for (size_t i = 0; i < n; i += VL) {
        const size_t m = n - i < VL ? n - i : VL; /* absent lanes are 0 */
        bad += m_count(m_not(v_isfinite(v_load_n(g + i, m))));
    }
    return bad;
}

void WEFT_FN(grad_stats_f32)(const float *g, size_t n, struct weft_grad_stats *out) {
    d32 sq = d32_zero();
    v32 max = v32_zero();
    size_t i = 0;
    for (; i + 32 <= n; i += 32) V32_EACH(j) {
            const vf x = v_load(g + i + j * VL);
            const vd x64 = d_from_v(x);
            sq.v[j] = d_fma(x64, x64, sq.v[j]);
            max.v[j] = v_max_abs(max.v[j], x);
        }
    V32_TAIL(i, j, m, n) {
        const vf x = v_load_n(g + i, m);
        const vd x64 = d_from_v(x);
        sq.v[j] = d_fma(x64, x64, sq.v[j]);
        max.v[j] = v_max_abs(max.v[j], x);
    }
    out->sq = d32_sum(&sq);
    out->max = (double)v32_max(&max);
    out->nonfinite = out->max <= (double)0x1.fffffep127f ? 0 : (double)count_nonfinite(g, n);
}
