/* Elementwise kernels: one rounding an element, so every result is exact to the bit. */
#include "kernels/ref/ref_elementwise.h"
#include "kernels/ref/ref_reduce.h"
#include "tests/support/check.h"

static const double *val(const struct check *c, const char *name) {
    return check_arg(c, name)->val;
}
static size_t count(const struct check *c) { return check_arg(c, "y")->cols; }
static enum check_fill fill(const struct check *c) {
    return c->index % 5 == 4 ? CHECK_FILL_SPECIAL : CHECK_FILL_CASE;
}
static void exact(struct check_arg *y) {
    for (size_t i = 0; i < y->cols; i++) y->tol[i] = CHECK_EXACT;
}
/* alpha * x + y in double is not always the nearest to the truth: half an ulp, and a little. */
static void one_rounding(struct check_arg *y, double alpha, const double *x, const double *old) {
    for (size_t i = 0; i < y->cols; i++)
        y->tol[i] = CHECK_U * fabs(y->want[i]) + 0x1p-150 +
                    0x1p-50 * (fabs(alpha * x[i]) + fabs(old ? old[i] : 0));
}

/* ---- add, mul ---- */
static void draw_two(struct check *c) {
    const size_t n = check_size(c, 0);
    check_in(c, "a", 1, n, n, fill(c));
    check_in(c, "b", 1, n, n, CHECK_FILL_CASE);
    check_out(c, "y", 1, n, n);
}
static void oracle_add(struct check *c) {
    struct check_arg *y = check_arg(c, "y");
    ref_add(val(c, "a"), val(c, "b"), y->want, y->cols);
    exact(y);
}
static void call_add(struct check *c, const struct weft_kernels *k) {
    CHECK_PICK(c, k, add)(check_ptr(c, "a"), check_ptr(c, "b"), check_ptr(c, "y"), count(c));
}
static void oracle_mul(struct check *c) {
    struct check_arg *y = check_arg(c, "y");
    ref_mul(val(c, "a"), val(c, "b"), y->want, y->cols);
    exact(y);
}
static void call_mul(struct check *c, const struct weft_kernels *k) {
    k->mul_f32(check_f32(c, "a"), check_f32(c, "b"), check_f32(c, "y"), count(c));
}

/* ---- axpy, scale, fill ---- */
static float alpha(const struct check *c) {
    static const float some[] = {1.0f, -0.75f, 0.1f, 0.0f, 3e-5f};
    return some[c->index % 5];
}
static void draw_axpy(struct check *c) {
    const size_t n = check_size(c, 0);
    check_in(c, "x", 1, n, n, fill(c));
    check_inout(c, "y", 1, n, n, CHECK_FILL_CASE);
}
static void oracle_axpy(struct check *c) {
    struct check_arg *y = check_arg(c, "y");
    for (size_t i = 0; i < y->cols; i++) y->want[i] = y->val[i];
    ref_axpy((double)alpha(c), val(c, "x"), y->want, y->cols);
    one_rounding(y, (double)alpha(c), val(c, "x"), y->val);
}
static void call_axpy(struct check *c, const struct weft_kernels *k) {
    k->axpy_f32(alpha(c), check_f32(c, "x"), check_f32(c, "y"), count(c));
}
static void draw_scale(struct check *c) {
    const size_t n = check_size(c, 0);
    check_in(c, "x", 1, n, n, fill(c));
    check_out(c, "y", 1, n, n);
}
static void oracle_scale(struct check *c) {
    struct check_arg *y = check_arg(c, "y");
    ref_scale((double)alpha(c), val(c, "x"), y->want, y->cols);
    exact(y);
}
static void call_scale(struct check *c, const struct weft_kernels *k) {
    CHECK_PICK(c, k, scale)(alpha(c), check_ptr(c, "x"), check_ptr(c, "y"), count(c));
}
static void draw_fill(struct check *c) {
    const size_t n = check_size(c, 0);
    check_out(c, "y", 1, n, n);
}
static void oracle_fill(struct check *c) {
    struct check_arg *y = check_arg(c, "y");
    for (size_t i = 0; i < y->cols; i++) y->want[i] = (double)alpha(c);
    exact(y);
}
static void call_fill(struct check *c, const struct weft_kernels *k) {
    k->fill_f32(alpha(c), check_f32(c, "y"), count(c));
}

/* ---- learned gain ---- */
static void draw_gain_fwd(struct check *c) {
    const size_t n = check_size(c, 0);
    check_in(c, "gain", 1, 1, 1, CHECK_FILL_NORMAL);
    check_in(c, "f", 1, n, n, CHECK_FILL_CASE);
    check_in(c, "r", 1, n, n, CHECK_FILL_NORMAL);
    check_out(c, "y", 1, n, n);
}
static bool residual(const struct check *c) { return c->index % 3 != 0; }
static void oracle_gain_fwd(struct check *c) {
    struct check_arg *y = check_arg(c, "y");
    const double *r = residual(c) ? val(c, "r") : NULL;
    ref_gain_fwd(*val(c, "gain"), val(c, "f"), r, y->want, y->cols);
    one_rounding(y, *val(c, "gain"), val(c, "f"), r);
}
static void call_gain_fwd(struct check *c, const struct weft_kernels *k) {
    CHECK_PICK(c, k, gain_fwd)
    (check_f32(c, "gain"), check_ptr(c, "f"), residual(c) ? check_ptr(c, "r") : NULL,
     check_ptr(c, "y"), count(c));
}

static bool adds(const struct check *c) { return c->index % 2; }
static void draw_gain_bwd(struct check *c) {
    const size_t n = check_size(c, 0);
    check_in(c, "gain", 1, 1, 1, CHECK_FILL_NORMAL);
    check_in(c, "f", 1, n, n, CHECK_FILL_CASE);
    check_in(c, "dy", 1, n, n, CHECK_FILL_NORMAL);
    if (adds(c))
        check_inout(c, "y", 1, n, n, CHECK_FILL_NORMAL);
    else
        check_out(c, "y", 1, n, n);
    check_typed(c, "dgain", CHECK_OUT, CHECK_F64, 1, 1, 1);
}
static void oracle_gain_bwd(struct check *c) {
    struct check_arg *df = check_arg(c, "y");
    struct check_arg *dgain = check_arg(c, "dgain");
    const size_t n = df->cols;
    *dgain->want = ref_gain_bwd(*val(c, "gain"), val(c, "f"), val(c, "dy"), df->want, n);
    *dgain->tol = ((double)n / 32 + 6) * 0x1p-53 * ref_abs_dot(val(c, "f"), val(c, "dy"), n);
    if (adds(c))
        for (size_t i = 0; i < n; i++) df->want[i] += df->val[i];
    one_rounding(df, *val(c, "gain"), val(c, "dy"), adds(c) ? df->val : NULL);
}
static void call_gain_bwd(struct check *c, const struct weft_kernels *k) {
    const struct weft_gain_bwd_args a = {.n = count(c),
                                         .gain = check_f32(c, "gain"),
                                         .f = check_ptr(c, "f"),
                                         .dy = check_ptr(c, "dy"),
                                         .df = check_ptr(c, "y"),
                                         .accumulate = adds(c),
                                         .dgain = check_f64(c, "dgain")};
    CHECK_PICK(c, k, gain_bwd)(&a);
}

/* ---- sums of rows ---- */
static void draw_fold(struct check *c) {
    const size_t n = check_size(c, 0);
    check_in(c, "x", check_size(c, 1) % 20, n, check_ld(c, n), CHECK_FILL_CASE);
    if (adds(c))
        check_inout(c, "y", 1, n, n, CHECK_FILL_NORMAL);
    else
        check_out(c, "y", 1, n, n);
}
static void oracle_fold(struct check *c) {
    const struct check_arg *x = check_arg(c, "x");
    struct check_arg *y = check_arg(c, "y");
    for (size_t j = 0; j < y->cols; j++) {
        double sum = adds(c) ? y->val[j] : 0;
        double terms = fabs(sum);
        for (size_t r = 0; r < x->rows; r++) {
            sum += x->val[r * x->cols + j];
            terms += fabs(x->val[r * x->cols + j]);
        }
        y->want[j] = sum;
        y->tol[j] = (double)x->rows * CHECK_U * terms;
    }
}
static void call_fold(struct check *c, const struct weft_kernels *k) {
    const struct check_arg *x = check_arg(c, "x");
    CHECK_PICK(c, k, fold_rows)
    (check_ptr(c, "x"), x->rows, x->ld, check_f32(c, "y"), x->cols, adds(c));
}

static const struct check_family add = {"add", draw_two, oracle_add, call_add, 60, 0, " a b y "};
static const struct check_family mul = {"mul", draw_two, oracle_mul, call_mul, 60, 0};
static const struct check_family axpy = {"axpy", draw_axpy, oracle_axpy, call_axpy, 60, 0};
static const struct check_family scale = {"scale", draw_scale, oracle_scale, call_scale,
                                          60,      0,          " x y "};
static const struct check_family fills = {"fill", draw_fill, oracle_fill, call_fill, 40, 0};
static const struct check_family gain_fwd = {
    "gain_fwd", draw_gain_fwd, oracle_gain_fwd, call_gain_fwd, 60, 0, " f r y "};
static const struct check_family gain_bwd = {
    "gain_bwd", draw_gain_bwd, oracle_gain_bwd, call_gain_bwd, 60, 0, " f dy y "};
static const struct check_family fold_rows = {"fold_rows", draw_fold, oracle_fold, call_fold,
                                              60,          0,         " x "};
CHECK_MAIN(&add, &mul, &axpy, &scale, &fills, &gain_fwd, &gain_bwd, &fold_rows)
