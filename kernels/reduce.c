/* Sums, products, extrema and moments of reduce.h. */
#include "kernels/kernels.h"
#include "kernels/simd/vec_reduce.h"

void WEFT_FN(sum_f32)(const float *x, size_t n, double *out) { *out = r_sum_f64(x, n); }
void WEFT_FN(dot_f32)(const float *x, const float *y, size_t n, double *out) {
    *out = r_dot_f64(x, y, n);
}
void WEFT_FN(sumsq_f32)(const float *x, size_t n, double *out) { *out = r_sumsq_f64(x, n); }
void WEFT_FN(absmax_f32)(const float *x, size_t n, float *out) { *out = r_absmax(x, n); }

void WEFT_FN(nonfinite_f32)(const float *x, size_t n, uint64_t *out) {
    size_t finite = 0;
    size_t i = 0;
    for (; i + VL <= n; i += VL) finite += m_count(v_isfinite(v_load(x + i)));
    if (i < n) finite += m_count(m_and(m_first(n - i), v_isfinite(v_load_n(x + i, n - i))));
    *out = n - finite;
}

/* sum (x - mean)^2, in f64 */
static WEFT_INLINE double deviations(const float *x, size_t n, double mean) {
    const vd mu = d_set1(-mean);
    d32 acc = d32_zero();
    size_t i = 0;
    for (; i + 32 <= n; i += 32) V32_EACH(j) {
            const vd d = d_add(d_from_v(v_load(x + i + j * VL)), mu);
            acc.v[j] = d_fma(d, d, acc.v[j]);
        }
    if (i == n) return d32_sum(&acc);
    double last[32]; /* absent elements deviate by 0 */
    V32_EACH(j) d_store(last + j * VL, d_zero());
    for (size_t k = 0; i + k < n; k++) last[k] = (double)x[i + k] - mean;
    V32_EACH(j) {
        const vd d = d_load(last + j * VL);
        acc.v[j] = d_fma(d, d, acc.v[j]);
    }
    return d32_sum(&acc);
}

void WEFT_FN(moments_f32)(const float *x, size_t n, struct weft_moments *out) {
    struct weft_moments all = {0, 0, 0};
    for (size_t i = 0; i < n; i += WEFT_MOMENTS_BLOCK) {
        const size_t m = n - i < WEFT_MOMENTS_BLOCK ? n - i : WEFT_MOMENTS_BLOCK;
        struct weft_moments b = {(double)m, r_sum_f64(x + i, m) / (double)m, 0};
        b.m2 = deviations(x + i, m, b.mean);
        weft_moments_merge(&all, &b);
    }
    *out = all;
}
