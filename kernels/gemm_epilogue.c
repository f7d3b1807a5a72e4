/* What follows a product (enum weft_epilogue), applied to a part of C that was just stored and is
 * still in L1, or, in bf16, to its sums: rows [i0, i0+rows) by columns [j0, j0+cols), j0 a multiple
 * of 16. Elementwise, exact up to the activation. With statistics the same values come from a
 * function that chooses the activation at run time: they are wanted once in many steps. */
#include "kernels/gemm_inner.h"
#include "kernels/simd/vec_act.h"

#define GROUP_VECTORS (WEFT_GEMM_GROUP / VL)

static WEFT_INLINE vf finish_vec(const struct weft_gemm_args *g, const enum weft_epilogue epi,
                                 const enum weft_act act, vf x, size_t i, size_t j, size_t n) {
    if (epi == WEFT_EPI_DACT) {
        const elem *z = (const elem *)g->z + i * g->ldz + j;
        return v_mul(x, v_dact(act, e_get_n(z, n), WEFT_LEAKY_SLOPE));
    }
    if (epi != WEFT_EPI_NONE && g->bias)
        x = v_add(x, n == VL ? v_load(g->bias + j) : v_load_n(g->bias + j, n));
    if (epi == WEFT_EPI_BIAS_RESIDUAL)
        x = v_add(x, e_get_n((const elem *)g->residual + i * g->ldr + j, n));
    if (epi == WEFT_EPI_BIAS_ACT) {
        elem *const z = (elem *)g->z + i * g->ldz + j;
        if (g->z && n == VL) e_store(z, x);
        if (g->z && n < VL) e_store_n(z, x, n - WEFT_BUG(9));
        x = v_act(act, x, WEFT_LEAKY_SLOPE);
    }
    return x;
}

/* Columns [j, j + n) of row i: from the sums into C. */
static WEFT_INLINE void finish_at(const struct weft_gemm_args *g, const enum weft_epilogue epi,
                                  const enum weft_act act, size_t i, size_t j, size_t n) {
    float *const sum = gemm_sums(g) + i * gemm_lds(g) + j;
    const vf x = n == VL ? v_load(sum) : v_load_n(sum, n);
    const vf y = finish_vec(g, epi, act, x, i, j, n);
    if (gemm_narrows(g))
        e_put_n((elem *)g->c + i * g->ldc + j, y, n);
    else if (n == VL)
        v_store(sum, y);
    else
        v_store_n(sum, y, n);
}

static WEFT_INLINE void finish_rows(const struct weft_gemm_args *g, const enum weft_epilogue epi,
                                    const enum weft_act act, size_t i0, size_t j0, size_t rows,
                                    size_t cols) {
    for (size_t i = i0; i < i0 + rows; i++) {
        size_t j = j0;
        for (; j + VL <= j0 + cols; j += VL) finish_at(g, epi, act, i, j, VL);
        const size_t n = j0 + cols - j;
        if (n) finish_at(g, epi, act, i, j, n);
    }
}

/* ---- with statistics ---- */
struct sums {
    vf part[WEFT_GEMM_STATS][GROUP_VECTORS]; /* lane = column of the group */
};

/* What finish_vec makes of n columns, the act chosen at run time, and what it tells. */
static WEFT_INLINE void measure(const struct weft_gemm_args *g, size_t i, size_t j, size_t n,
                                struct sums *s, size_t v) {
    float *const c = gemm_sums(g) + i * gemm_lds(g) + j;
    const vm live = m_first(n);
    const vf old = n == VL ? v_load(c) : v_load_n(c, n);
    vf z = v_zero(), x = old;
    vm counted = m_first(0);
    if (g->epilogue == WEFT_EPI_DACT) {
        x = v_mul(
            old, v_dact(g->act, e_get_n((const elem *)g->z + i * g->ldz + j, n), WEFT_LEAKY_SLOPE));
    } else {
        if (g->epilogue != WEFT_EPI_NONE && g->bias) x = v_add(x, v_load_n(g->bias + j, n));
        z = x;
        if (g->epilogue == WEFT_EPI_BIAS_ACT) {
            if (g->z) e_put_n((elem *)g->z + i * g->ldz + j, z, n);
            x = v_act(g->act, z, WEFT_LEAKY_SLOPE);
            const vf slope = v_abs(v_dact(g->act, z, WEFT_LEAKY_SLOPE));
            counted = m_or(v_eq(x, v_zero()), v_lt(slope, v_set1(WEFT_SATURATED)));
        } else if (g->epilogue == WEFT_EPI_BIAS_RESIDUAL) {
            const vf r = e_get_n((const elem *)g->residual + i * g->ldr + j, n);
            x = gemm_narrows(g) ? e_round(v_add(z, r)) : v_add(z, r);
            counted = m_and(v_eq(x, r), m_not(v_eq(z, v_zero())));
        }
    }
    if (gemm_narrows(g)) {
        x = e_round(x);
        e_put_n((elem *)g->c + i * g->ldc + j, x, n);
    } else {
        v_store_n(c, x, n);
    }
    z = v_sel(live, z, v_zero());
    if (!WEFT_BUG(22)) x = v_sel(live, x, v_zero());
    s->part[WEFT_SUM_Z][v] = z;
    s->part[WEFT_SUM_ZZ][v] = v_mul(z, z);
    s->part[WEFT_SUM_X][v] = x;
    s->part[WEFT_SUM_XX][v] = v_mul(x, x);
    s->part[WEFT_COUNT][v] = v_sel(m_and(counted, live), v_set1(1.0f), v_zero());
}

/* Lane l + lane l + 8, then + 4, + 2, + 1, whatever VL is. */
static WEFT_INLINE float fold_group(vf *v) {
    for (size_t w = GROUP_VECTORS / 2; w > 0; w /= 2)
        for (size_t i = 0; i < w; i++) v[i] = v_add(v[i], v[i + w]);
    return v_fold_add(v[0]);
}

static WEFT_NOINLINE void finish_measured(const struct weft_gemm_args *g, size_t i0, size_t j0,
                                          size_t rows, size_t cols) {
    for (size_t i = i0; i < i0 + rows; i++)
        for (size_t j = j0; j < j0 + cols; j += WEFT_GEMM_GROUP) {
            float *const out = g->stats + (i * g->lds + j / WEFT_GEMM_GROUP) * WEFT_GEMM_STATS;
            struct sums s;
            for (size_t v = 0; v < GROUP_VECTORS; v++) {
                const size_t at = j + v * VL, end = j0 + cols;
                const size_t n = at >= end ? 0 : end - at < VL ? end - at : VL;
                if (n > 0)
                    measure(g, i, at, n, &s, v);
                else
                    for (size_t k = 0; k < WEFT_GEMM_STATS; k++) s.part[k][v] = v_zero();
            }
            for (size_t k = 0; k < WEFT_GEMM_STATS; k++) out[k] = fold_group(s.part[k]);
        }
}

void WEFT_EFN(gemm_epilogue)(const struct weft_gemm_args *g, size_t i0, size_t j0, size_t rows,
                             size_t cols) {
    if (g->stats) {
        finish_measured(g, i0, j0, rows, cols);
        return;
    }
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
    case WEFT_ACT_SILU: WEFT_FINISH(epi, WEFT_ACT_SILU); break;                                    \
    case WEFT_ACT_SELU: WEFT_FINISH(epi, WEFT_ACT_SELU); break;                                    \
    case WEFT_ACTS: break;                                                                         \
    }
    switch (g->epilogue) {
    case WEFT_EPI_NONE:
        if (gemm_narrows(g)) WEFT_FINISH(WEFT_EPI_NONE, WEFT_ACT_NONE);
        break;
    case WEFT_EPI_BIAS: WEFT_FINISH(WEFT_EPI_BIAS, WEFT_ACT_NONE); break;
    case WEFT_EPI_BIAS_RESIDUAL: WEFT_FINISH(WEFT_EPI_BIAS_RESIDUAL, WEFT_ACT_NONE); break;
    case WEFT_EPI_BIAS_ACT: WEFT_FINISH_ACT(WEFT_EPI_BIAS_ACT) break;
    case WEFT_EPI_DACT: WEFT_FINISH_ACT(WEFT_EPI_DACT) break;
    }
#undef WEFT_FINISH_ACT
#undef WEFT_FINISH
}
