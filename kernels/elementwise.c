/* Sums, products and the learned gain of elementwise.h: memory-bound, one rounding an element. */
#include "kernels/kernels.h"
#include "kernels/simd/elem.h"
#include "kernels/simd/vec_reduce.h"

void WEFT_EFN(add)(const void *a, const void *b, void *y, size_t n) {
    const elem *const p = a, *const q = b;
    elem *const out = y;
    size_t i = 0;
    for (; i + VL <= n; i += VL) e_store(out + i, v_add(e_load(p + i), e_load(q + i)));
    if (i < n) e_store_n(out + i, v_add(e_load_n(p + i, n - i), e_load_n(q + i, n - i)), n - i);
}

void WEFT_EFN(scale)(float alpha, const void *x, void *y, size_t n) {
    const vf s = v_set1(alpha);
    const elem *const p = x;
    elem *const out = y;
    size_t i = 0;
    for (; i + VL <= n; i += VL) e_store(out + i, v_mul(s, e_load(p + i)));
    if (i < n) e_store_n(out + i, v_mul(s, e_load_n(p + i, n - i)), n - i);
}

#if WEFT_ELEM_F32
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

void WEFT_FN(fill_f32)(float value, float *y, size_t n) {
    const vf s = v_set1(value);
    size_t i = 0;
    for (; i + VL <= n; i += VL) v_store(y + i, s);
    if (i < n) v_store_n(y + i, s, n - i);
}
#else
void WEFT_FN(narrow_bf16)(const float *x, uint16_t *y, size_t n) {
    size_t i = 0;
    for (; i + VL <= n; i += VL) h_store(y + i, v_load(x + i));
    if (i < n) h_store_n(y + i, v_load_n(x + i, n - i), n - i);
}

void WEFT_FN(widen_bf16)(const uint16_t *x, float *y, size_t n) {
    size_t i = 0;
    for (; i + VL <= n; i += VL) v_store(y + i, h_load(x + i));
    if (i < n) v_store_n(y + i, h_load_n(x + i, n - i), n - i);
}
#endif

void WEFT_EFN(gain_fwd)(const float *gain, const void *f, const void *residual, void *y, size_t n) {
    if (!residual) {
        WEFT_EFN(scale)(*gain, f, y, n);
        return;
    }
    const vf s = v_set1(*gain);
    const elem *const p = f, *const r = residual;
    elem *const out = y;
    size_t i = 0;
    for (; i + VL <= n; i += VL) e_store(out + i, v_fma(s, e_load(p + i), e_load(r + i)));
    if (i < n) e_store_n(out + i, v_fma(s, e_load_n(p + i, n - i), e_load_n(r + i, n - i)), n - i);
}

static WEFT_INLINE void gain_bwd(const struct weft_gain_bwd_args *a, const bool add) {
    const vf s = v_set1(*a->gain);
    const elem *const f = a->f, *const dys = a->dy;
    elem *const df = a->df;
    d32 acc = d32_zero();
    size_t i = 0;
    for (; i + 32 <= a->n; i += 32) V32_EACH(j) {
            const size_t k = i + j * VL;
            const vf dy = e_load(dys + k);
            acc.v[j] = d_fma(d_from_v(e_load(f + k)), d_from_v(dy), acc.v[j]);
            if (df) e_store(df + k, add ? v_fma(s, dy, e_load(df + k)) : v_mul(s, dy));
        }
    V32_TAIL(i, j, m, a->n) {
        const vf dy = e_load_n(dys + i, m);
        acc.v[j] = d_fma(d_from_v(e_load_n(f + i, m)), d_from_v(dy), acc.v[j]);
        if (df) e_store_n(df + i, add ? v_fma(s, dy, e_load_n(df + i, m)) : v_mul(s, dy), m);
    }
    *a->dgain = d32_sum(&acc);
}

void WEFT_EFN(gain_bwd)(const struct weft_gain_bwd_args *a) {
    if (a->accumulate)
        gain_bwd(a, true);
    else
        gain_bwd(a, false);
}

/* Columns [i, i + m), m <= VL. */
static WEFT_INLINE void fold_cols(const elem *x, size_t rows, size_t ld, float *y, bool accumulate,
                                  size_t i, size_t m) {
    vf sum = accumulate && !WEFT_BUG(2) ? v_load_n(y + i, m) : v_zero();
    for (size_t r = 0; r < rows; r++) sum = v_add(sum, e_get_n(x + r * ld + i, m));
    v_store_n(y + i, sum, m);
}

void WEFT_EFN(fold_rows)(const void *x, size_t rows, size_t ld, float *y, size_t n,
                         bool accumulate) {
    size_t i = 0;
    for (; i + VL <= n; i += VL) fold_cols(x, rows, ld, y, accumulate, i, VL);
    if (i < n) fold_cols(x, rows, ld, y, accumulate, i, n - i);
}
