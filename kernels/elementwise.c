/* Sums, products and the learned gain of elementwise.h: memory-bound, one rounding an element. */
#include "kernels/kernels.h"
#include "kernels/simd/vec_reduce.h"

void WEFT_FN(add_f32)(const float *a, const float *b, float *y, size_t n) {
    size_t i = 0;
    for (; i + VL <= n; i += VL) v_store(y + i, v_add(v_load(a + i), v_load(b + i)));
    if (i < n) v_store_n(y + i, v_add(v_load_n(a + i, n - i), v_load_n(b + i, n - i)), n - i);
}

void WEFT_FN(mul_f32)(const float *a, const float *b, float *y, size_t n) {
    size_t i = 0;
    for (; i + VL <= n; i += VL) v_store(y + i, v_mul(v_load(a + i), v_load(b + i)));
    if (i < n) v_store_n(y + i, v_mul(v_load_n(a + i, n - i), v_load_n(b + i, n - i)), n - i);
}

void WEFT_FN(axpy_f32)(float alpha, const float *x, float *y, size_t n) {
    const vf s = v_set1(alpha);
    size_t i = 0;
    for (; i + VL <= n; i += VL) v_store(y + i, v_fma(s, v_load(x + i), v_load(y + i)));
    if (i < n) v_store_n(y + i, v_fma(s, v_load_n(x + i, n - i), v_load_n(y + i, n - i)), n - i);
}

void WEFT_FN(scale_f32)(float alpha, const float *x, float *y, size_t n) {
    const vf s = v_set1(alpha);
    size_t i = 0;
    for (; i + VL <= n; i += VL) v_store(y + i, v_mul(s, v_load(x + i)));
    if (i < n) v_store_n(y + i, v_mul(s, v_load_n(x + i, n - i)), n - i);
}

void WEFT_FN(fill_f32)(float value, float *y, size_t n) {
    const vf s = v_set1(value);
    size_t i = 0;
    for (; i + VL <= n; i += VL) v_store(y + i, s);
    if (i < n) v_store_n(y + i, s, n - i);
}

void WEFT_FN(gain_fwd_f32)(const float *gain, const float *f, const float *residual, float *y,
                           size_t n) {
    if (!residual) {
        WEFT_FN(scale_f32)(*gain, f, y, n);
        return;
    }
    const vf s = v_set1(*gain);
    size_t i = 0;
    for (; i + VL <= n; i += VL) v_store(y + i, v_fma(s, v_load(f + i), v_load(residual + i)));
    if (i < n)
        v_store_n(y + i, v_fma(s, v_load_n(f + i, n - i), v_load_n(residual + i, n - i)), n - i);
}

static WEFT_INLINE void gain_bwd(const struct weft_gain_bwd_args *a, const bool add) {
    const vf s = v_set1(*a->gain);
    d32 acc = d32_zero();
    size_t i = 0;
    for (; i + 32 <= a->n; i += 32) V32_EACH(j) {
            const size_t k = i + j * VL;
            const vf dy = v_load(a->dy + k);
            acc.v[j] = d_fma(d_from_v(v_load(a->f + k)), d_from_v(dy), acc.v[j]);
            if (a->df) v_store(a->df + k, add ? v_fma(s, dy, v_load(a->df + k)) : v_mul(s, dy));
        }
    V32_TAIL(i, j, m, a->n) {
        const vf dy = v_load_n(a->dy + i, m);
        acc.v[j] = d_fma(d_from_v(v_load_n(a->f + i, m)), d_from_v(dy), acc.v[j]);
        if (a->df)
            v_store_n(a->df + i, add ? v_fma(s, dy, v_load_n(a->df + i, m)) : v_mul(s, dy), m);
    }
    *a->dgain = d32_sum(&acc);
}

void WEFT_FN(gain_bwd_f32)(const struct weft_gain_bwd_args *a) {
    if (a->accumulate)
        gain_bwd(a, true);
    else
        gain_bwd(a, false);
}

/* Columns [i, i + m), m <= VL. */
static WEFT_INLINE void fold_cols(const float *x, size_t rows, size_t ld, float *y, bool accumulate,
                                  size_t i, size_t m) {
    vf sum = accumulate && !WEFT_BUG(2) ? v_load_n(y + i, m) : v_zero();
    for (size_t r = 0; r < rows; r++)
        sum = v_add(sum, m == VL ? v_load(x + r * ld + i) : v_load_n(x + r * ld + i, m));
    v_store_n(y + i, sum, m);
}

void WEFT_FN(fold_rows_f32)(const float *x, size_t rows, size_t ld, float *y, size_t n,
                            bool accumulate) {
    size_t i = 0;
    for (; i + VL <= n; i += VL) fold_cols(x, rows, ld, y, accumulate, i, VL);
    if (i < n) fold_cols(x, rows, ld, y, accumulate, i, n - i);
}
