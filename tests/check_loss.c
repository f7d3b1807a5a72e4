/* Losses; the bounds are ref_loss.h's. */
#include <float.h>
#include <stdlib.h>
#include "kernels/ref/ref_loss.h"
#include "tests/support/check.h"

static const double *val(const struct check *c, const char *name) {
    return check_arg(c, name)->val;
}
static size_t at_least_1(size_t n) { return n ? n : 1; }

struct shape {
    size_t rows, v, ld;
    float scale;
};

static double max_of(const double *x, size_t n) {
    double max = -INFINITY;
    for (size_t j = 0; j < n; j++) max = fmax(max, x[j]);
    return max;
}

/* Logits of moderate size, whatever the fill: exp needs no 2^20. */
static void tame(struct check_arg *x) {
    double top = 0;
    for (size_t i = 0; i < x->rows * x->cols; i++) top = fmax(top, fabs(x->val[i]));
    for (size_t i = 0; top > 200 && i < x->rows * x->cols; i++)
        x->val[i] = (double)(float)(x->val[i] * 200 / top);
}

static void plant_minus_inf(struct check *c, struct check_arg *x) {
    for (size_t i = 0; i < x->rows * x->cols; i++)
        if (check_range(c, 0, 3) == 0) x->val[i] = -INFINITY;
    for (size_t j = 0; x->rows > 1 && j < x->cols; j++) x->val[x->cols + j] = -INFINITY;
}

static struct shape *draw_logits(struct check *c, bool inout) {
    struct shape *s = c->user;
    size_t v = check_size(c, 0);
    if (c->index % 16 == 15) v += 5000;
    if (c->index % 4 == 1) v %= 34;
    s->v = at_least_1(v);
    s->rows = check_size(c, 1) % (s->v <= 33 ? 41 : 9); /* few classes: rows lie in lanes */
    s->ld = check_ld(c, s->v);
    s->scale = c->index % 3 ? 0.25f : 1.0f / 3;
    struct check_arg *x = inout ? check_inout(c, "x", s->rows, s->v, s->ld, CHECK_FILL_CASE)
                                : check_in(c, "x", s->rows, s->v, s->ld, CHECK_FILL_CASE);
    tame(x);
    if (c->index % 5 == 4) plant_minus_inf(c, x);
    return s;
}

/* ---- softmax ---- */
static void draw_softmax(struct check *c) {
    struct shape *s = draw_logits(c, true);
    s->scale = c->index % 2 ? 1.0f : 0.7f;
}

static void oracle_softmax(struct check *c) {
    const struct shape *s = c->user;
    struct check_arg *x = check_arg(c, "x");
    const double t = (double)s->scale;
    ref_softmax_fwd(s->rows, s->v, x->val, t, x->want);
    ref_softmax_bound(s->rows, s->v, x->val, t, x->want, x->tol);
}

static void call_softmax(struct check *c, const struct weft_kernels *k) {
    const struct shape *s = c->user;
    k->softmax_fwd_f32(check_f32(c, "x"), s->rows, s->v, s->ld, s->scale);
}
static const struct check_family softmax_fwd = {"softmax_fwd", draw_softmax, oracle_softmax,
                                                call_softmax,  80,           0};

/* ---- cross-entropy ---- */
static void draw_targets(struct check *c) {
    const struct shape *s = c->user;
    struct check_arg *x = check_arg(c, "x");
    struct check_arg *t = check_typed(c, "target", CHECK_IN, CHECK_I32, 1, s->rows, s->rows);
    for (size_t r = 0; r < s->rows; r++) {
        t->val[r] = (double)check_range(c, 0, s->v - 1);
        if (check_range(c, 0, 2) == 0) /* a hit, or a tie with an earlier one */
            x->val[r * s->v + (size_t)t->val[r]] = max_of(x->val + r * s->v, s->v);
        if (check_range(c, 0, 5) == 0) t->val[r] = -1;
    }
    check_out(c, "loss", 1, s->rows, s->rows);
    if (c->index % 4 == 3) return; /* the optional outputs absent */
    check_out(c, "lse", 1, s->rows, s->rows);
    check_out(c, "max", 1, s->rows, s->rows);
    check_typed(c, "correct", CHECK_OUT, CHECK_I32, 1, s->rows, s->rows);
}

static long *targets(const struct check *c) {
    const struct check_arg *t = check_arg(c, "target");
    long *out = malloc((t->cols + 1) * sizeof *out);
    if (!out) abort();
    for (size_t r = 0; r < t->cols; r++) out[r] = (long)t->val[r];
    return out;
}

static void expect_rows(struct check *c, const double *x, const long *target) {
    const struct shape *s = c->user;
    struct check_arg *loss = check_arg(c, "loss");
    double *lse = calloc(s->rows + 1, sizeof *lse);
    if (!lse) abort();
    ref_xent_fwd(s->rows, s->v, x, target, loss->want, lse);
    for (size_t r = 0; r < s->rows; r++)
        loss->tol[r] = target[r] < 0 ? 0 : ref_xent_bound(s->v, loss->want[r]);
    if (c->index % 4 != 3) {
        struct check_arg *out = check_arg(c, "lse");
        struct check_arg *correct = check_arg(c, "correct");
        for (size_t r = 0; r < s->rows; r++) {
            const double *row = x + r * s->v;
            size_t first = 0;
            for (size_t j = 1; j < s->v; j++) first = row[j] > row[first] ? j : first;
            correct->want[r] =
                target[r] >= 0 && row[first] > -INFINITY && first == (size_t)target[r];
            check_arg(c, "max")->want[r] = target[r] < 0 ? 0 : fmax(row[first], -(double)FLT_MAX);
            if (target[r] >= 0 && row[first] == -INFINITY) check_arg(c, "max")->want[r] = 0;
            out->want[r] = lse[r];
            out->tol[r] = target[r] < 0 ? 0 : ref_xent_bound(s->v, lse[r]);
        }
    }
    free(lse);
}

static struct weft_xent_args xent_args(struct check *c) {
    const struct shape *s = c->user;
    const bool all = c->index % 4 != 3;
    return (struct weft_xent_args){
        .rows = s->rows,
        .v = s->v,
        .ld = s->ld,
        .scale = s->scale,
        .x = check_f32(c, "x"),
        .target = check_i32(c, "target"),
        .loss = check_f32(c, "loss"),
        .lse = all ? check_f32(c, "lse") : NULL,
        .max = all ? check_f32(c, "max") : NULL,
        .correct = all ? check_i32(c, "correct") : NULL,
    };
}

static void draw_xent_fwd(struct check *c) {
    draw_logits(c, false);
    draw_targets(c);
}
static void oracle_xent_fwd(struct check *c) {
    long *target = targets(c);
    expect_rows(c, val(c, "x"), target);
    free(target);
}
static void call_xent_fwd(struct check *c, const struct weft_kernels *k) {
    const struct weft_xent_args a = xent_args(c);
    k->xent_fwd_f32(&a);
}
static const struct check_family xent_fwd = {
    "xent_fwd", draw_xent_fwd, oracle_xent_fwd, call_xent_fwd, 80, 0};

/* dx in the logits' place, or beside them */
static bool beside(const struct check *c) { return c->index % 2 || c->bf16; }

static void draw_xent(struct check *c) {
    const struct shape *s = draw_logits(c, !beside(c));
    if (beside(c)) check_out(c, "dx", s->rows, s->v, s->ld);
    draw_targets(c);
    check_out(c, "dsq", 1, s->rows, s->rows);
}
static void oracle_xent(struct check *c) {
    const struct shape *s = c->user;
    const struct check_arg *x = check_arg(c, "x");
    struct check_arg *dx = check_arg(c, beside(c) ? "dx" : "x");
    long *target = targets(c);
    const double scale = (double)s->scale;
    expect_rows(c, x->val, target);
    ref_xent_bwd(s->rows, s->v, x->val, target, scale, dx->want);
    ref_xent_bwd_bound(s->rows, s->v, x->val, target, scale, dx->want, dx->tol);
    struct check_arg *dsq = check_arg(c, "dsq");
    for (size_t r = 0; r < s->rows; r++) dsq->want[r] = 0;
    for (size_t i = 0; i < s->rows * s->v; i++) {
        const double square = dx->want[i] * dx->want[i];
        dsq->want[i / s->v] += square;
        if (c->bf16) dsq->tol[i / s->v] += 0x1p-7 * square; /* of what was rounded */
        dsq->tol[i / s->v] += 2 * fabs(dx->want[i]) * dx->tol[i] + dx->tol[i] * dx->tol[i] +
                              (double)(s->v / 32 + 8) * CHECK_U * square + (double)FLT_MIN;
    }
    free(target);
}
static void call_xent(struct check *c, const struct weft_kernels *k) {
    struct weft_xent_args a = xent_args(c);
    if (beside(c)) a.dx = check_ptr(c, "dx");
    a.dsq = check_f32(c, "dsq");
    CHECK_PICK(c, k, xent)(&a);
}
static const struct check_family xent = {"xent", draw_xent, oracle_xent, call_xent, 100, 0, " dx "};

/* ---- squared error: loss only, gradient only, both, in place ---- */
enum { LOSS_ONLY, GRAD_ONLY, BOTH, IN_PLACE };
static int mode(const struct check *c) { return (int)(c->index % (c->bf16 ? 3 : 4)); }

static void draw_mse(struct check *c) {
    struct shape *s = c->user;
    s->rows = check_size(c, 1) % 9;
    s->v = at_least_1(check_size(c, 0));
    s->ld = check_ld(c, s->v);
    s->scale = 0.3f;
    if (mode(c) == IN_PLACE)
        check_inout(c, "dx", s->rows, s->v, s->ld, CHECK_FILL_CASE);
    else
        check_in(c, "x", s->rows, s->v, s->ld, CHECK_FILL_CASE);
    check_in(c, "y", s->rows, s->v, s->ld, CHECK_FILL_NORMAL);
    if (mode(c) == GRAD_ONLY || mode(c) == BOTH) check_out(c, "dx", s->rows, s->v, s->ld);
    if (mode(c) != GRAD_ONLY) check_out(c, "loss", 1, s->rows, s->rows);
}

static void oracle_mse(struct check *c) {
    const struct shape *s = c->user;
    const double *x = val(c, mode(c) == IN_PLACE ? "dx" : "x");
    if (mode(c) != GRAD_ONLY) {
        struct check_arg *loss = check_arg(c, "loss");
        ref_mse_fwd(s->rows, s->v, x, val(c, "y"), loss->want);
        for (size_t r = 0; r < s->rows; r++) loss->tol[r] = ref_mse_bound(loss->want[r]);
    }
    if (mode(c) != LOSS_ONLY) {
        struct check_arg *dx = check_arg(c, "dx");
        ref_mse_bwd(s->rows, s->v, x, val(c, "y"), (double)s->scale, dx->want);
        for (size_t i = 0; i < s->rows * s->v; i++) dx->tol[i] = ref_mse_bwd_bound(dx->want[i]);
    }
}

static void call_mse(struct check *c, const struct weft_kernels *k) {
    const struct shape *s = c->user;
    struct weft_mse_args a = {
        .rows = s->rows,
        .n = s->v,
        .ld = s->ld,
        .scale = s->scale,
        .y = check_f32(c, "y"),
        .loss = mode(c) == GRAD_ONLY ? NULL : check_f32(c, "loss"),
        .dx = mode(c) == LOSS_ONLY ? NULL : check_ptr(c, "dx"),
    };
    a.x = mode(c) == IN_PLACE ? a.dx : check_f32(c, "x");
    CHECK_PICK(c, k, mse)(&a);
}
static const struct check_family mse = {"mse", draw_mse, oracle_mse, call_mse, 60, 0, " dx "};

CHECK_MAIN(&softmax_fwd, &xent_fwd, &xent, &mse)
