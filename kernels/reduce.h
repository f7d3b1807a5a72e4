/* Reductions over n contiguous values: 32 virtual lanes of f64 and a fixed tree (vec_reduce.h).
 *
 *   sum_f32(x, n, out)        sum x          f64 throughout: error (n/32 + 5) 2^-53 sum|x|
 *   dot_f32(x, y, n, out)     sum x y        products exact, same bound on sum|x y|
 *   sumsq_f32(x, n, out)      sum x^2
 *   absmax_f32(x, n, out)     max |x|        exact; a NaN wins; 0 for n = 0
 *   nonfinite_f32(x, n, out)  how many are NaN or infinite
 *   moments_f32(x, n, out)    count, mean and sum of squared deviations
 *   histogram_f32(args) */
#ifndef WEFT_KERNELS_REDUCE_H
#define WEFT_KERNELS_REDUCE_H
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#define WEFT_MOMENTS_BLOCK 4096 /* elements whose mean and M2 are taken directly, in two passes */

/* M2 = sum (x - mean)^2: variance = m2 / count, or m2 / (count - 1) of a sample. */
struct weft_moments {
    double count, mean, m2;
};

/* a <- the moments of both sets (Chan, Golub, LeVeque 1979). Not commutative in the last bit: merge
 * in a fixed order. */
static inline void weft_moments_merge(struct weft_moments *a, const struct weft_moments *b) {
    if (b->count == 0) return;
    const double n = a->count + b->count;
    const double d = b->mean - a->mean;
    const double share = b->count / n;
    a->m2 += b->m2 + d * d * a->count * share;
    a->mean += d * share;
    a->count = n;
}

/* counts: below lo | bins equal bins of [lo, hi] | above hi | NaN. The bin of x is
 * floor((x - lo) * (bins / (hi - lo))) in f32, cut to the last one: an x within rounding of an edge
 * may fall on either side, the same one everywhere. */
struct weft_histogram_args {
    size_t n, bins;   /* 1 <= bins <= 2^20 */
    float lo, hi;     /* lo < hi, finite */
    const float *x;   /* (n), read */
    uint64_t *counts; /* (bins + 3), += */
};

#endif
