/* Reductions over n values, the histogram, and merging of moments. */
#include "kernels/ref/ref_reduce.h"
#include "tests/support/check.h"

static const double eps = 0x1p-53;

static const double *val(const struct check *c, const char *name) {
    return check_arg(c, name)->val;
}
static size_t count(const struct check *c) { return check_arg(c, "x")->cols; }
/* of a sum of n terms: chains of n/32, the tree of 5, the final rounding */
static double depth(const struct check *c) { return (double)count(c) / 32 + 7; }

static void draw_f64(struct check *c) {
    const size_t n = check_size(c, 0);
    check_in(c, "x", 1, n, n, CHECK_FILL_CASE);
    check_in(c, "y", 1, n, n, CHECK_FILL_NORMAL);
    check_typed(c, "out", CHECK_OUT, CHECK_F64, 1, 1, 1);
}
static void oracle_sum(struct check *c) {
    struct check_arg *out = check_arg(c, "out");
    *out->want = ref_sum(val(c, "x"), count(c));
    *out->tol = depth(c) * eps * ref_abs_sum(val(c, "x"), count(c));
}
static void call_sum(struct check *c, const struct weft_kernels *k) {
    k->sum_f32(check_f32(c, "x"), count(c), check_f64(c, "out"));
}
static void oracle_dot(struct check *c) {
    struct check_arg *out = check_arg(c, "out");
    *out->want = ref_dot(val(c, "x"), val(c, "y"), count(c));
    *out->tol = depth(c) * eps * ref_abs_dot(val(c, "x"), val(c, "y"), count(c));
}
static void call_dot(struct check *c, const struct weft_kernels *k) {
    k->dot_f32(check_f32(c, "x"), check_f32(c, "y"), count(c), check_f64(c, "out"));
}
static void oracle_sumsq(struct check *c) {
    struct check_arg *out = check_arg(c, "out");
    *out->want = ref_dot(val(c, "x"), val(c, "x"), count(c));
    *out->tol = depth(c) * eps * *out->want;
}
static void call_sumsq(struct check *c, const struct weft_kernels *k) {
    k->sumsq_f32(check_f32(c, "x"), count(c), check_f64(c, "out"));
}

static void draw_special(struct check *c, enum check_type type) {
    const size_t n = check_size(c, 0);
    check_in(c, "x", 1, n, n, c->index % 3 ? CHECK_FILL_CASE : CHECK_FILL_SPECIAL);
    check_typed(c, "out", CHECK_OUT, type, 1, 1, 1);
}
static void draw_absmax(struct check *c) { draw_special(c, CHECK_F32); }
static void oracle_absmax(struct check *c) {
    *check_arg(c, "out")->want = ref_absmax(val(c, "x"), count(c));
    *check_arg(c, "out")->tol = CHECK_EXACT;
}
static void call_absmax(struct check *c, const struct weft_kernels *k) {
    k->absmax_f32(check_f32(c, "x"), count(c), check_f32(c, "out"));
}
static void draw_nonfinite(struct check *c) { draw_special(c, CHECK_U64); }
static void oracle_nonfinite(struct check *c) {
    *check_arg(c, "out")->want = (double)ref_nonfinite(val(c, "x"), count(c));
    *check_arg(c, "out")->tol = CHECK_EXACT;
}
static void call_nonfinite(struct check *c, const struct weft_kernels *k) {
    k->nonfinite_f32(check_f32(c, "x"), count(c), check_ptr(c, "out"));
}

/* Blocks of 4096 are merged: sizes around and above them. |mean error| <= depth eps mean|x|; M2:
 * each deviation is off by the mean's error and one rounding. */
static void draw_moments(struct check *c) {
    static const size_t sizes[] = {4095, 4096, 4097, 8192, 12345};
    const size_t n = c->index % 6 == 5 ? sizes[c->index / 6 % 5] : check_size(c, 0);
    check_in(c, "x", 1, n, n, CHECK_FILL_CASE);
    check_typed(c, "out", CHECK_OUT, CHECK_F64, 1, 3, 3);
}
static void oracle_moments(struct check *c) {
    struct check_arg *out = check_arg(c, "out");
    const size_t n = count(c);
    const double scale = n ? ref_abs_sum(val(c, "x"), n) / (double)n : 0;
    ref_moments(val(c, "x"), n, &out->want[1], &out->want[2]);
    out->want[0] = (double)n;
    out->tol[0] = CHECK_EXACT;
    out->tol[1] = 2 * depth(c) * eps * scale;
    out->tol[2] = 4 * depth(c) * eps * (out->want[2] + (double)n * scale * scale);
}
static void call_moments(struct check *c, const struct weft_kernels *k) {
    k->moments_f32(check_f32(c, "x"), count(c), check_ptr(c, "out"));
}

/* ---- histogram ---- */
static struct weft_histogram_args histogram_args(const struct check *c) {
    return (struct weft_histogram_args){.bins = c->index % 4 ? 1 + c->index % 50 : 1,
                                        .lo = c->index % 2 ? -1.5f : -0.0f,
                                        .hi = c->index % 3 ? 2.0f : 0.7f};
}
static void draw_histogram(struct check *c) {
    const size_t bins = histogram_args(c).bins;
    const size_t n = check_size(c, 0);
    check_in(c, "x", 1, n, n, c->index % 3 ? CHECK_FILL_NORMAL : CHECK_FILL_SPECIAL);
    struct check_arg *counts =
        check_typed(c, "counts", CHECK_INOUT, CHECK_U64, 1, bins + 3, bins + 3);
    for (size_t i = 0; i < bins + 3; i++) counts->val[i] = (double)(i * i);
}
static void oracle_histogram(struct check *c) {
    const struct weft_histogram_args a = histogram_args(c);
    const float scale = (float)((double)a.bins / ((double)a.hi - (double)a.lo));
    struct check_arg *counts = check_arg(c, "counts");
    for (size_t i = 0; i < a.bins + 3; i++) {
        counts->want[i] = counts->val[i];
        counts->tol[i] = CHECK_EXACT;
    }
    for (size_t i = 0; i < count(c); i++) {
        const float x = (float)val(c, "x")[i];
        size_t bin = a.bins + 2;
        if (x < a.lo) bin = 0;
        if (x > a.hi) bin = a.bins + 1;
        if (x >= a.lo && x <= a.hi) {
            const float below = x - a.lo;
            const size_t b = (size_t)floorf(below * scale);
            bin = 1 + (b < a.bins ? b : a.bins - 1);
        }
        counts->want[bin]++;
    }
}
static void call_histogram(struct check *c, const struct weft_kernels *k) {
    struct weft_histogram_args a = histogram_args(c);
    a.n = count(c);
    a.x = check_f32(c, "x");
    a.counts = check_ptr(c, "counts");
    k->histogram_f32(&a);
}

static const struct check_family sum = {"sum", draw_f64, oracle_sum, call_sum, 80, 0};
static const struct check_family dot = {"dot", draw_f64, oracle_dot, call_dot, 80, 0};
static const struct check_family sumsq = {"sumsq", draw_f64, oracle_sumsq, call_sumsq, 60, 0};
static const struct check_family absmax = {"absmax",    draw_absmax, oracle_absmax,
                                           call_absmax, 90,          0};
static const struct check_family nonfinite = {
    "nonfinite", draw_nonfinite, oracle_nonfinite, call_nonfinite, 90, 0};
static const struct check_family moments = {"moments",    draw_moments, oracle_moments,
                                            call_moments, 90,           0};
static const struct check_family histogram = {
    "histogram", draw_histogram, oracle_histogram, call_histogram, 90, 0};
CHECK_MAIN(&sum, &dot, &sumsq, &absmax, &nonfinite, &moments, &histogram)
