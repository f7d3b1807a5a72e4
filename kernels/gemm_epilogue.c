/* What follows a product (enum weft_epilogue), applied to a part of C that was just stored and is
 * still in L1: rows [i0, i0+rows) by columns [j0, j0+cols). Elementwise, exact up to the
 * activation. */
#include "kernels/gemm.h"
#include "kernels/simd/vec.h"
#include "kernels/simd/vec_act.h"

static WEFT_INLINE vf finish_vec(const struct weft_gemm_args *g, const enum weft_epilogue epi,
                                 const enum weft_act act, vf x, size_t i, size_t j, size_t n) {
    if (epi == WEFT_EPI_DACT) {
        const float *z = g->z + i * g->ldz + j;
        return v_mul(x, v_dact(act, n == VL ? v_load(z) : v_load_n(z, n), WEFT_LEAKY_SLOPE));
    }
    if (g->bias) x = v_add(x, n == VL ? v_load(g->bias + j) : v_load_n(g->bias + j, n));
    if (epi == WEFT_EPI_BIAS_RESIDUAL) {
        const float *r = g->residual + i * g->ldr + j;
        x = v_add(x, n == VL ? v_load(r) : v_load_n(r, n));
    }
    if (epi == WEFT_EPI_BIAS_ACT) {
        if (g->z && n == VL) v_store(g->z + i * g->ldz + j, x);
        if (g->z && n < VL) v_store_n(g->z + i * g->ldz + j, x, n - WEFT_BUG(9));
        x = v_act(act, x, WEFT_LEAKY_SLOPE);
    }
    return x;
}

static WEFT_INLINE void finish_rows(const struct weft_gemm_args *g, const enum weft_epilogue epi,
                                    const enum weft_act act, size_t i0, size_t j0, size_t rows,
                                    size_t cols) {
    for (size_t i = i0; i < i0 + rows; i++) {
        float *const c = g->c + i * g->ldc;
        size_t j = j0;
        for (; j + VL <= j0 + cols; j += VL)
            v_store(c + j, finish_vec(g, epi, act, v_load(c + j), i, j, VL));
        const size_t n = j0 + cols - j;
        if (n) v_store_n(c + j, finish_vec(g, epi, act, v_load_n(c + j, n), i, j, n), n);
    }
}

void WEFT_FN(gemm_epilogue_f32)(const struct weft_gemm_args *g, size_t i0, size_t j0, size_t rows,
                                size_t cols) {
#define WEFT_FINISH(epi, act) finish_rows(g, epi, act, i0, j0, rows, cols)
#define WEFT_FINISH_ACT(epi)                                                                       \
    switch (g->act) {                                                                              \
    case WEFT_ACT_NONE: WEFT_FINISH(epi, WEFT_ACT_NONE); break;                                    \
    case WEFT_ACT_RELU: WEFT_FINISH(epi, WEFT_ACT_RELU); break;                                    \
    case WEFT_ACT_LEAKY_RELU: WEFT_FINISH(epi, WEFT_ACT_LEAKY_RELU); break;                        \
    case WEFT_ACT_GELU_TANH: WEFT_FINISH(epi, WEFT_ACT_GELU_TANH); break;                          \
    case WEFT_ACT_GELU_ERF: WEFT_FINISH(epi, WEFT_ACT_GELU_ERF); break;                            \
    case WEFT_ACT_TANH: WEFT_FINISH(epi, WEFT_ACT_TANH); break;                                    \
    case WEFT_ACT_SIGMOID: WEFT_FINISH(epi, WEFT_ACT_SIGMOID); break;                              \
    }
    switch (g->epilogue) {
    case WEFT_EPI_NONE: break;
    case WEFT_EPI_BIAS: WEFT_FINISH(WEFT_EPI_BIAS, WEFT_ACT_NONE); break;
    case WEFT_EPI_BIAS_RESIDUAL: WEFT_FINISH(WEFT_EPI_BIAS_RESIDUAL, WEFT_ACT_NONE); break;
    case WEFT_EPI_BIAS_ACT: WEFT_FINISH_ACT(WEFT_EPI_BIAS_ACT) break;
    case WEFT_EPI_DACT: WEFT_FINISH_ACT(WEFT_EPI_DACT) break;
    }
#undef WEFT_FINISH_ACT
#undef WEFT_FINISH
}
