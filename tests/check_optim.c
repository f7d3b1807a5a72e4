/* Optimizer sweeps: one step of every rule against the equations as their sources print them, the
 * statistics of the sweep, and short trajectories against PyTorch's own numbers. */
#include <float.h>
#include <string.h>
#include "kernels/ref/ref_optim.h"
#include "runtime/optim.h"
#include "tests/support/check.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define STATS    (sizeof(struct weft_optim_stats) / sizeof(double))

struct setting {
    const struct weft_optim_kind *kind;
    struct weft_optim o;
    double lr, clip;
    size_t n;
    uint64_t step;
    bool decay, stats;
};

static double *val(const struct check *c, const char *name) { return check_arg(c, name)->val; }
static size_t states(const struct setting *s) { return weft_optim_states(s->kind->rule); }

/* ---- one step ---- */
static void draw_state(struct check *c, const struct setting *s) {
    if (states(s) > 0) check_inout(c, "m", 1, s->n, s->n, CHECK_FILL_NORMAL);
    if (states(s) < 2) return;
    struct check_arg *v = check_inout(c, "v", 1, s->n, s->n, CHECK_FILL_CASE);
    const double *m = val(c, "m");
    for (size_t i = 0; i < s->n; i++) /* never far below m^2, as in training; sometimes both tiny */
        v->val[i] = (double)(float)(m[i] * m[i] + fabs(v->val[i]));
    for (size_t i = 0; c->index % 7 == 6 && i < s->n; i++) {
        check_arg(c, "m")->val[i] = (double)(float)(m[i] * 0x1p-126);
        v->val[i] = (double)(float)(v->val[i] * 0x1p-126);
    }
}

static void draw_step(struct check *c) {
    static const uint64_t steps[] = {0, 1, 2, 9, 1000, 1000000};
    size_t kinds = 0;
    while (weft_optim_kind_at(kinds)) kinds++;
    struct setting *s = c->user;
    *s = (struct setting){
        .kind = weft_optim_kind_at(c->index % kinds),
        .o = {.beta1 = c->index % 4 ? 0.9 : 0, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1},
        .lr = check_range(c, 0, 1) ? 6e-4 : 0.05,
        .clip = check_range(c, 0, 1) ? 1 : 0.37,
        .n = check_size(c, 0) * (c->index % 23 == 22 ? 40 : 1),
        .step = steps[check_range(c, 0, COUNT(steps) - 1)],
        .decay = check_range(c, 0, 2) == 0,
        .stats = c->index % 3 != 0,
    };
    struct check_arg *w = check_inout(c, "w", 1, s->n, s->n, CHECK_FILL_NORMAL);
    struct check_arg *g = check_in(c, "g", 1, s->n, s->n, CHECK_FILL_CASE);
    draw_state(c, s);
    /* Decay in the gradient must not cancel it: no bound would be left. */
    for (size_t i = 0; s->decay && !s->kind->decoupled && i < s->n; i++) {
        w->val[i] = fabs(w->val[i]);
        g->val[i] = fabs(g->val[i]);
    }
    if (s->stats) check_typed(c, "stats", CHECK_OUT, CHECK_F64, 1, STATS, STATS);
}

static struct ref_optim_state start_of(const struct check *c, const struct setting *s, size_t i) {
    struct ref_optim_state st = {.w = val(c, "w")[i], .mu_product = 1, .t = (long)s->step};
    if (states(s) > 0) st.m = val(c, "m")[i];
    if (states(s) > 1) st.v = val(c, "v")[i];
    if (s->kind->rule == WEFT_OPTIM_RMSPROP_PLAYBOOK) st.v += pow(s->o.beta2, (double)s->step);
    for (uint64_t t = 1; strcmp(s->kind->name, "nadam") == 0 && t <= s->step && t < 5000; t++)
        st.mu_product *= s->o.beta1 * (1 - 0.5 * pow(0.96, 0.004 * (double)t));
    return st;
}

/* 1 / denominator, as kernels/optim.h defines the statistic. */
static double rate_of(const struct setting *s, const struct ref_optim_state *st) {
    const bool adam = s->kind->rule == WEFT_OPTIM_ADAM || s->kind->rule == WEFT_OPTIM_NADAM;
    if (states(s) < 2) return 0;
    if (s->kind->rule == WEFT_OPTIM_RMSPROP_PLAYBOOK) return 1 / sqrt(st->v + s->o.eps);
    const double c2 = adam && !s->kind->playbook ? 1 - pow(s->o.beta2, (double)st->t) : 1;
    return 1 / (sqrt(st->v / c2) + s->o.eps);
}

static void oracle_step(struct check *c) {
    const struct setting *s = c->user;
    const struct ref_optim o = {s->lr, s->o.beta1, s->o.beta2, s->o.eps,
                                s->decay ? s->o.weight_decay : 0};
    struct check_arg *w = check_arg(c, "w");
    double sum[STATS] = {0}, tol[STATS] = {0}; /* those of bf16 stay 0 */
    for (size_t i = 0; i < s->n; i++) {
        struct ref_optim_state st = start_of(c, s, i);
        const struct ref_optim_state old = st;
        const double g = s->clip * val(c, "g")[i];
        ref_optim_step(s->kind->name, &o, &st, g);
        const struct ref_optim_bounds bound = ref_optim_bound(s->kind->name, &o, &old, &st, g);
        w->want[i] = st.w;
        w->tol[i] = bound.w;
        if (states(s) > 0) {
            check_arg(c, "m")->want[i] = st.m;
            check_arg(c, "m")->tol[i] = bound.m;
        }
        if (states(s) > 1) {
            const double start = s->kind->rule == WEFT_OPTIM_RMSPROP_PLAYBOOK ? 1 : 0;
            check_arg(c, "v")->want[i] = st.v - start * pow(o.beta2, (double)st.t);
            check_arg(c, "v")->tol[i] = bound.v;
        }
        const double dw = st.w - old.w, dw_tol = w->tol[i] + CHECK_U * fabs(st.w);
        const double wg = old.w * val(c, "g")[i], rate = rate_of(s, &st);
        const double terms[5] = {st.w, st.w * st.w, dw * dw, wg, rate};
        const double errors[5] = {w->tol[i], 2 * fabs(st.w) * w->tol[i],
                                  dw_tol * (2 * fabs(dw) + dw_tol), 0, 8 * CHECK_U * rate};
        for (size_t k = 0; k < 5; k++) {
            sum[k] += terms[k];
            tol[k] += 48 * CHECK_U * fabs(terms[k]) + errors[k];
        }
        const double raw = fabs(val(c, "g")[i]);
        if (fabs(st.w) > sum[5]) sum[5] = fabs(st.w);
        tol[5] = fmax(tol[5], w->tol[i]);
        sum[6] += raw * raw;
        tol[6] += 48 * CHECK_U * raw * raw;
        if (raw > sum[7]) sum[7] = raw;
    }
    for (size_t k = 0; s->stats && k < STATS; k++) {
        check_arg(c, "stats")->want[k] = sum[k];
        check_arg(c, "stats")->tol[k] = tol[k] + (double)FLT_MIN;
    }
}

static void call_step(struct check *c, const struct weft_kernels *k) {
    const struct setting *s = c->user;
    struct weft_optim_args a =
        weft_optim_scalars(s->kind, &s->o, s->lr, s->step, s->clip, s->decay);
    a.n = s->n;
    a.w = check_f32(c, "w");
    a.g = check_f32(c, "g");
    if (states(s) > 0) a.m = check_f32(c, "m");
    if (states(s) > 1) a.v = check_f32(c, "v");
    if (s->stats) a.stats = check_ptr(c, "stats");
    k->optim_f32(&a);
}
static const struct check_family optim = {"optim", draw_step, oracle_step, call_step, 400, 0};

/* ---- three steps on f = w^2/2 from 1, lr .1, beta .9 and .999 (rho .9), eps 1e-8 ---- */
static const struct trajectory {
    const char *name;
    double decay, w[3];
} golden[] = {
    /* torch.optim of PyTorch 2.13, f64 */
    {"sgd", 0.5, {0.85, 0.7225, 0.614125}},
    {"momentum", 0.5, {0.85, 0.5875, 0.263125}},
    {"nesterov", 0.5, {0.715, 0.389725, 0.082430875}},
    {"rmsprop", 0.5, {0.6837722406, 0.2142656323, -0.2682567342}},
    {"adam", 0.5, {0.9000000007, 0.8004122290, 0.7015862735}},
    {"adamw", 0.5, {0.8500000010, 0.7082484444, 0.5749739323}},
    {"nadam", 0.5, {0.8943548216, 0.8199730694, 0.7527292656}},
    {"nadam", 0, {0.8943548219, 0.8199730700, 0.7527292664}},
    /* the playbook's equations in double */
    {"nesterov", 0, {0.81, 0.5751, 0.327321}},
    {"rmsprop_playbook", 0, {0.9, 0.719132621, 0.481965746}},
    {"adam_playbook", 0, {0.900000032, 0.800412283, 0.701586346}},
    {"nadam_playbook", 0, {0.810000060, 0.674130054, 0.556829255}},
};

static void draw_run(struct check *c) { check_out(c, "w", 1, 3, 3); }

static void oracle_run(struct check *c) {
    const struct trajectory *t = &golden[c->index % COUNT(golden)];
    for (size_t i = 0; i < 3; i++) {
        check_arg(c, "w")->want[i] = t->w[i];
        check_arg(c, "w")->tol[i] = 2e-7 * fmax(fabs(t->w[i]), 0.5);
    }
}

static void call_run(struct check *c, const struct weft_kernels *k) {
    const struct trajectory *t = &golden[c->index % COUNT(golden)];
    const struct weft_optim_kind *kind = weft_optim_find(t->name);
    const bool rms = strncmp(t->name, "rmsprop", 7) == 0;
    const struct weft_optim o = {
        .beta1 = 0.9, .beta2 = rms ? 0.9 : 0.999, .eps = 1e-8, .weight_decay = t->decay};
    float w = 1, m = 0, v = 0;
    for (size_t i = 0; i < 3; i++) {
        const float g = w;
        struct weft_optim_args a = weft_optim_scalars(kind, &o, 0.1, i, 1, true);
        a.n = 1;
        a.w = &w;
        a.g = &g;
        a.m = &m;
        a.v = &v;
        k->optim_f32(&a);
        check_f32(c, "w")[i] = w;
    }
}
static const struct check_family optim_run = {"optim_run", draw_run,      oracle_run,
                                              call_run,    COUNT(golden), 0};

/* ---- gradient statistics ---- */
static void draw_grad(struct check *c) {
    const size_t n = check_size(c, 0);
    check_in(c, "g", 1, n, n, c->index % 5 == 4 ? CHECK_FILL_SPECIAL : CHECK_FILL_CASE);
    check_typed(c, "out", CHECK_OUT, CHECK_F64, 1, 3, 3);
}

static void oracle_grad(struct check *c) {
    const struct check_arg *g = check_arg(c, "g");
    struct check_arg *out = check_arg(c, "out");
    for (size_t i = 0; i < 3; i++) out->want[i] = out->tol[i] = 0;
    for (size_t i = 0; i < g->cols; i++) {
        const double x = fabs(g->val[i]);
        out->want[0] += x * x;
        if (isnan(x) || x > out->want[1]) out->want[1] = x;
        out->want[2] += !isfinite(x);
    }
    out->tol[0] = (double)g->cols * 0x1p-53 * out->want[0]; /* the oracle's own rounding */
    if (isinf(out->want[0])) out->tol[0] = 0;
}

static void call_grad(struct check *c, const struct weft_kernels *k) {
    k->grad_stats_f32(check_f32(c, "g"), check_arg(c, "g")->cols, check_ptr(c, "out"));
}
static const struct check_family grad_stats = {"grad_stats", draw_grad, oracle_grad,
                                               call_grad,    60,        0};

CHECK_MAIN(&optim, &optim_run, &grad_stats)
