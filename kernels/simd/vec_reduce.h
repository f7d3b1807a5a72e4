/* Sums whose bits do not depend on the vector length.
 *
 * Element i of a row goes to virtual lane i mod 32, each lane accumulates its elements in ascending
 * order, and the 32 lanes are folded by one tree: lane l + lane l+16, then +8, +4, +2, +1. A v32 is
 * the 32 lanes of f32 in 32/VL vectors, a d32 the same in f64. A row is walked as
 *
 *     v32 acc = v32_zero();
 *     size_t i = 0;
 *     for (; i + 32 <= n; i += 32)
 *         V32_EACH(j) acc.v[j] = v_fma(v_load(x + i + j * VL), v_load(y + i + j * VL), acc.v[j]);
 *     V32_TAIL(i, j, m, n)
 *         acc.v[j] = v_fma(v_load_n(x + i, m), v_load_n(y + i, m), acc.v[j]);
 *     return v32_sum(&acc);
 *
 * The tail walks the last n mod 32 elements in vectors of m <= VL valid lanes. Lanes past n add
 * +0 * +0 or +0: an accumulator that starts at +0 is never -0, so nothing changes. A term that is
 * not 0 for a 0 element (x - mean, say) must be masked: v_sel(m_first(m), term, v_zero()).
 *
 * Error: |sum - exact| <= (ceil(n/32) + 5) u sum|x_i|, u = 2^-24 (2^-53 for the f64 forms, whose
 * products of two f32 are exact). */
#ifndef WEFT_VEC_REDUCE_H
#define WEFT_VEC_REDUCE_H

#include "kernels/simd/vec.h"

#define V32N (32 / VL) /* vectors of a v32 */

typedef struct { vf v[V32N]; } v32;
typedef struct { vd v[V32N]; } d32;

#define V32_EACH(j) WEFT_UNROLL(8) for (size_t j = 0; j < V32N; j++)
#define V32_TAIL(i, j, m, n)                                                                       \
    for (size_t j = 0, m; m = (n) - (i) < VL ? (n) - (i) : VL, m > 0; (i) += m, j++)

static WEFT_INLINE v32 v32_set1(float x) {
    v32 r;
    V32_EACH(j) r.v[j] = v_set1(x);
    return r;
}
static WEFT_INLINE v32 v32_zero(void) { return v32_set1(0.0f); }
static WEFT_INLINE d32 d32_zero(void) {
    d32 r;
    V32_EACH(j) r.v[j] = d_zero();
    return r;
}

/* Folds of the 32 lanes. */
#define V32_FOLD(type, scalar, name, op, fold)                                                     \
    static WEFT_INLINE scalar name(const type *a) {                                                \
        type t;                                                                                    \
        V32_EACH(j) t.v[j] = a->v[j];                                                              \
        WEFT_UNROLL(3)                                                                             \
        for (size_t w = V32N / 2; w > 0; w /= 2)                                                   \
            V32_EACH(j) if (j < w) t.v[j] = op(t.v[j], t.v[WEFT_BUG(7) ? w : j + w]);            \
        return fold(t.v[0]);                                                                       \
    }
V32_FOLD(v32, float, v32_sum, v_add, v_fold_add)
V32_FOLD(v32, float, v32_max, v_max, v_fold_max)
V32_FOLD(v32, float, v32_min, v_min, v_fold_min)
V32_FOLD(d32, double, d32_sum, d_add, d_fold_add)
#undef V32_FOLD

/* sum of x[i]; x (n), n >= 0. */
static WEFT_INLINE float r_sum(const float *x, size_t n) {
    v32 acc = v32_zero();
    size_t i = 0;
    for (; i + 32 <= n; i += 32)
        V32_EACH(j) acc.v[j] = v_add(acc.v[j], v_load(x + i + j * VL));
    V32_TAIL(i, j, m, n) acc.v[j] = v_add(acc.v[j], v_load_n(x + i, m));
    return v32_sum(&acc);
}

/* sum of x[i] * y[i]. */
static WEFT_INLINE float r_dot(const float *x, const float *y, size_t n) {
    v32 acc = v32_zero();
    size_t i = 0;
    for (; i + 32 <= n; i += 32)
        V32_EACH(j) acc.v[j] = v_fma(v_load(x + i + j * VL), v_load(y + i + j * VL), acc.v[j]);
    V32_TAIL(i, j, m, n) acc.v[j] = v_fma(v_load_n(x + i, m), v_load_n(y + i, m), acc.v[j]);
    return v32_sum(&acc);
}

/* sum of x[i]^2. */
static WEFT_INLINE float r_sumsq(const float *x, size_t n) { return r_dot(x, x, n); }

/* max of x[i]; a NaN wins; -inf when n = 0. */
static WEFT_INLINE float r_max(const float *x, size_t n) {
    const vf low = v_set1(-__builtin_inff());
    v32 acc = v32_set1(-__builtin_inff());
    size_t i = 0;
    for (; i + 32 <= n; i += 32)
        V32_EACH(j) acc.v[j] = v_max(acc.v[j], v_load(x + i + j * VL));
    V32_TAIL(i, j, m, n)
        acc.v[j] = v_max(acc.v[j], v_sel(m_first(m), v_load_n(x + i, m), low));
    return v32_max(&acc);
}

/* The larger of a and |x|, a being such a maximum or +0. The bits of what has no sign are in the
 * order of the numbers, NaN above infinity: an integer maximum, in which a NaN wins. */
static WEFT_INLINE vf v_max_abs(vf a, vf x) { return i_bits(i_max(v_bits(a), v_bits(v_abs(x)))); }

/* max of |x[i]|; a NaN wins; 0 when n = 0. */
static WEFT_INLINE float r_absmax(const float *x, size_t n) {
    v32 acc = v32_zero();
    size_t i = 0;
    for (; i + 32 <= n; i += 32)
        V32_EACH(j) acc.v[j] = v_max_abs(acc.v[j], v_load(x + i + j * VL));
    V32_TAIL(i, j, m, n) acc.v[j] = v_max_abs(acc.v[j], v_load_n(x + i, m));
    return v32_max(&acc);
}

/* The same in f64: sum of x[i], sum of x[i] * y[i], sum of x[i]^2. */
static WEFT_INLINE double r_sum_f64(const float *x, size_t n) {
    d32 acc = d32_zero();
    size_t i = 0;
    for (; i + 32 <= n; i += 32)
        V32_EACH(j) acc.v[j] = d_add(acc.v[j], d_from_v(v_load(x + i + j * VL)));
    V32_TAIL(i, j, m, n) acc.v[j] = d_add(acc.v[j], d_from_v(v_load_n(x + i, m)));
    return d32_sum(&acc);
}
static WEFT_INLINE double r_dot_f64(const float *x, const float *y, size_t n) {
    d32 acc = d32_zero();
    size_t i = 0;
    for (; i + 32 <= n; i += 32)
        V32_EACH(j) acc.v[j] = d_fma(d_from_v(v_load(x + i + j * VL)),
                                     d_from_v(v_load(y + i + j * VL)), acc.v[j]);
    V32_TAIL(i, j, m, n)
        acc.v[j] = d_fma(d_from_v(v_load_n(x + i, m)), d_from_v(v_load_n(y + i, m)), acc.v[j]);
    return d32_sum(&acc);
}
static WEFT_INLINE double r_sumsq_f64(const float *x, size_t n) { return r_dot_f64(x, x, n); }

#endif
