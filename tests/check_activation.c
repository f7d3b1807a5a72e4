/* Activations, forward and backward, on every ISA; the bounds are ref_activation.h's. */
#include "kernels/ref/ref_activation.h"
#include "tests/support/check.h"

struct setting {
    enum weft_act act;
    float slope;
    bool accumulate, measure;
};

static struct setting *setting(struct check *c) {
    struct setting *s = c->user;
    s->act = (enum weft_act)(c->index % WEFT_ACTS);
    s->slope = c->index % 2 ? WEFT_LEAKY_SLOPE : 0.25f;
    s->measure = c->index % 5 == 1 && !c->bf16; /* the bound below is that of f32 */
    s->accumulate = c->index / WEFT_ACTS % 2;
    return s;
}

/* z over the whole curve: what the case draws, or -16..16, or special values */
static void draw_z(struct check *c, size_t n) {
    const size_t kind = c->index / WEFT_ACTS % 3;
    struct check_arg *z =
        check_in(c, "z", 1, n, n, kind == 2 ? CHECK_FILL_SPECIAL : CHECK_FILL_CASE);
    if (kind == 1)
        for (size_t i = 0; i < n; i++) z->val[i] = (float)(32 * check_uniform(c) - 16);
}

static void draw_fwd(struct check *c) {
    const size_t n = check_size(c, 0);
    setting(c);
    draw_z(c, n);
    check_out(c, "y", 1, n, n);
}
static void oracle_fwd(struct check *c) {
    const struct setting *s = c->user;
    const struct check_arg *z = check_arg(c, "z");
    struct check_arg *y = check_arg(c, "y");
    for (size_t i = 0; i < z->cols; i++) {
        y->want[i] = ref_act(s->act, (double)s->slope, z->val[i]);
        y->tol[i] = ref_act_bound(s->act, (double)s->slope, z->val[i]);
    }
}
static void call_fwd(struct check *c, const struct weft_kernels *k) {
    const struct setting *s = c->user;
    const struct weft_act_args a = {.act = s->act,
                                    .slope = s->slope,
                                    .z = check_ptr(c, "z"),
                                    .y = check_ptr(c, "y"),
                                    .n = check_arg(c, "z")->cols};
    CHECK_PICK(c, k, act_fwd)(&a);
}

static void draw_bwd(struct check *c) {
    const size_t n = check_size(c, 0);
    const struct setting *s = setting(c);
    draw_z(c, n);
    check_in(c, "dy", 1, n, n, CHECK_FILL_NORMAL);
    if (s->accumulate)
        check_inout(c, "dx", 1, n, n, CHECK_FILL_NORMAL);
    else
        check_out(c, "dx", 1, n, n);
    if (s->measure) check_typed(c, "sumsq", CHECK_OUT, CHECK_F64, 1, 1, 1);
}
static void oracle_bwd(struct check *c) {
    const struct setting *s = c->user;
    const double *z = check_arg(c, "z")->val;
    const double *dy = check_arg(c, "dy")->val;
    struct check_arg *dx = check_arg(c, "dx");
    if (s->measure) check_arg(c, "sumsq")->want[0] = 0;
    for (size_t i = 0; i < dx->cols; i++) {
        const double old = s->accumulate ? dx->val[i] : 0;
        const double dz = dy[i] * ref_dact(s->act, (double)s->slope, z[i]);
        dx->want[i] = dz + old;
        dx->tol[i] = ref_dact_bound(s->act, (double)s->slope, z[i], dy[i], old);
        if (!s->measure) continue;
        struct check_arg *sum = check_arg(c, "sumsq");
        sum->want[0] += dx->want[i] * dx->want[i];
        sum->tol[0] += 2 * fabs(dx->want[i]) * dx->tol[i] + dx->tol[i] * dx->tol[i] +
                       0x1p-50 * dx->want[i] * dx->want[i];
    }
}
static void call_bwd(struct check *c, const struct weft_kernels *k) {
    const struct setting *s = c->user;
    const struct weft_act_args a = {.act = s->act,
                                    .slope = s->slope,
                                    .accumulate = s->accumulate,
                                    .z = check_ptr(c, "z"),
                                    .dy = check_ptr(c, "dy"),
                                    .dx = check_ptr(c, "dx"),
                                    .sumsq = s->measure ? (double *)check_ptr(c, "sumsq") : NULL,
                                    .n = check_arg(c, "z")->cols};
    CHECK_PICK(c, k, act_bwd)(&a);
}

static const struct check_family act_fwd = {"act_fwd", draw_fwd, oracle_fwd, call_fwd,
                                            540,       0,        " z y "};
static const struct check_family act_bwd = {"act_bwd", draw_bwd, oracle_bwd, call_bwd,
                                            540,       0,        " z dy dx "};
CHECK_MAIN(&act_fwd, &act_bwd)
