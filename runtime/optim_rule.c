/* Optimizers by name, and the scalars of a step (kernels/optim.h has the equations). */
#include <string.h>

#include "kernels/base/compiler.h"
#include "runtime/optim.h"
#include "weft/math.h"

static const struct weft_optim_kind kinds[] = {
    {.name = "sgd", .rule = WEFT_OPTIM_SGD},
    {.name = "momentum", .rule = WEFT_OPTIM_MOMENTUM},
    {.name = "nesterov", .rule = WEFT_OPTIM_NESTEROV},
    {.name = "rmsprop", .rule = WEFT_OPTIM_RMSPROP},
    {.name = "adam", .rule = WEFT_OPTIM_ADAM},
    {.name = "adamw", .rule = WEFT_OPTIM_ADAM, .decoupled = true},
    {.name = "nadam", .rule = WEFT_OPTIM_NADAM},
    {.name = "momentum_playbook", .rule = WEFT_OPTIM_MOMENTUM, .playbook = true},
    {.name = "nesterov_playbook", .rule = WEFT_OPTIM_NESTEROV, .playbook = true},
    {.name = "rmsprop_playbook", .rule = WEFT_OPTIM_RMSPROP_PLAYBOOK, .playbook = true},
    {.name = "adam_playbook", .rule = WEFT_OPTIM_ADAM, .playbook = true},
    {.name = "nadam_playbook", .rule = WEFT_OPTIM_NADAM, .playbook = true},
    {.name = "lars", .rule = WEFT_OPTIM_MOMENTUM, .lars = true},
    {.name = "signsgd", .rule = WEFT_OPTIM_SIGN, .decoupled = true},
};

const struct weft_optim_kind *weft_optim_kind_at(size_t i) {
    return i < sizeof kinds / sizeof *kinds ? &kinds[i] : NULL;
}

const struct weft_optim_kind *weft_optim_find(const char *name) {
    for (size_t i = 0; name != NULL && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0) return &kinds[i];
    return NULL;
}

/* PyTorch's NAdam: mu of step t, and the product of all of them up to t. */
static double nadam_mu(double beta1, double t) {
    return beta1 * (1 - 0.5 * weft_pow(0.96, 0.004 * t));
}
static double nadam_product(double beta1, uint64_t t) {
    double p = 1;
    for (uint64_t i = 1; i <= t && p > 0x1p-60; i++) p *= nadam_mu(beta1, (double)i);
    return p; /* below 2^-60, 1 - p is 1 */
}

/* Factors of m and g in the step, and of sqrt(v) in its denominator, for Adam and NAdam. */
static void adam_scalars(const struct weft_optim_kind *kind, const struct weft_optim *o, double lr,
                         uint64_t step, struct weft_optim_args *a) {
    const double t = (double)step + 1;
    const double c1 = 1 - weft_pow(o->beta1, t), c2 = 1 - weft_pow(o->beta2, t);
    const bool nesterov = kind->rule == WEFT_OPTIM_NADAM;
    if (kind->playbook) {
        const double rate = lr * (WEFT_BUG(24) ? c2 : weft_sqrt(c2)) / c1;
        a->cm = (float)(nesterov ? rate * o->beta1 : rate);
        a->cg = (float)(rate * (1 - o->beta1));
        return;
    }
    a->vmul = WEFT_BUG(20) ? 1 : (float)(1 / weft_sqrt(c2));
    a->cm = (float)(lr / c1);
    if (!nesterov) return;
    const double mu = nadam_mu(o->beta1, t), next = nadam_mu(o->beta1, t + 1);
    const double product = nadam_product(o->beta1, step + 1);
    a->cm = (float)(lr * next / (1 - product * next));
    a->cg = (float)(lr * (1 - mu) / (1 - product));
}

int weft_weights_find(const char *name) {
    static const char *const names[] = {[WEFT_MASTER] = "master",
                                        [WEFT_NEAREST] = "nearest",
                                        [WEFT_STOCHASTIC] = "stochastic",
                                        [WEFT_KAHAN] = "kahan"};
    for (size_t i = 0; name != NULL && i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0) return (int)i;
    return name == NULL ? WEFT_MASTER : -1;
}

#define TRUST 0.001 /* You et al.'s eta */

double weft_optim_trust(const struct weft_optim *o, double scale, double w_norm, double g_norm,
                        bool decay) {
    const double trust = o->trust > 0 ? o->trust : TRUST;
    const double below = scale * g_norm + (decay ? o->weight_decay : 0) * w_norm;
    if (WEFT_BUG(33)) return trust * w_norm / (below + 1);
    return w_norm > 0 && below > 0 ? trust * w_norm / below : 1;
}

struct weft_optim_args weft_optim_scalars(const struct weft_optim_kind *kind,
                                          const struct weft_optim *o, double lr, uint64_t step,
                                          double scale, bool decay) {
    const double shrink = decay ? o->weight_decay : 0;
    struct weft_optim_args a = {
        .rule = kind->rule,
        .lr = (float)lr,
        .clip = (float)scale,
        .l2 = (float)(kind->decoupled ? 0 : shrink),
        .keep = (float)(kind->decoupled ? 1 - (WEFT_BUG(35)   ? 2e-3
                                               : WEFT_BUG(87) ? lr / 2
                                                              : lr) *
                                                  shrink
                                        : 1),
        .beta1 = (float)o->beta1,
        .beta1c = (float)(1 - o->beta1),
        .beta2 = (float)o->beta2,
        .beta2c = (float)(1 - o->beta2),
        .eps = (float)o->eps,
        .vmul = 1,
        .decay = (float)(kind->decoupled ? lr * shrink : 0),
    };
    if (kind->lars) {
        a.lr = 1;
        a.clip = (float)(lr * scale);
        a.l2 = (float)(lr * shrink);
    }
    if (kind->rule == WEFT_OPTIM_RMSPROP_PLAYBOOK)
        a.vadd = (float)weft_pow(o->beta2, (double)step + 1);
    if (kind->rule == WEFT_OPTIM_ADAM || kind->rule == WEFT_OPTIM_NADAM)
        adam_scalars(kind, o, lr, step, &a);
    return a;
}
