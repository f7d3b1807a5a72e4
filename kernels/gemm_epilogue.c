/* What follows a product (enum weft_epilogue), on the way from the sums of a part, which were just
 * stored and are still in L1, into C. Elementwise, exact up to the activation. With statistics the
 * same values come from another function. */
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
        elem *const z = g->z ? (elem *)g->z + i * g->ldz + j : NULL;
        if (z && n == VL) e_store(z, x);
        if (z && n < VL) e_store_n(z, x, n - WEFT_BUG(9));
        x = v_act(act, x, WEFT_LEAKY_SLOPE);
    }
    return x;
}

/* The sum of C[i, j]. */
static WEFT_INLINE const float *sum_of(const struct weft_gemm_part *p, size_t i, size_t j) {
    return p->sum + (i - p->i) * p->ld + (j - p->j);
}

/* Columns [j, j + n) of row i of C. */
static WEFT_INLINE void put(const struct weft_gemm_args *g, size_t i, size_t j, vf x, size_t n) {
    float *const c = (float *)g->c + i * g->ldc + j;
    if (gemm_narrows(g))
        e_put_n((elem *)g->c + i * g->ldc + j, x, n);
    else if (n == VL)
        v_store(c, x);
    else
        v_store_n(c, x, n);
}

/* The same, from the sums into C. */
static WEFT_INLINE void finish_at(const struct weft_gemm_args *g, const struct weft_gemm_part *p,
                                  const enum weft_epilogue epi, const enum weft_act act, size_t i,
                                  size_t j, size_t n) {
    const float *const sum = sum_of(p, i, j);
    const vf x = n == VL ? v_load(sum) : v_load_n(sum, n);
    put(g, i, j, finish_vec(g, epi, act, x, i, j, n), n);
}

static WEFT_INLINE void finish_rows(const struct weft_gemm_args *g, const struct weft_gemm_part *p,
                                    const enum weft_epilogue epi, const enum weft_act act) {
    const size_t end = p->j + p->cols;
    for (size_t i = p->i; i < p->i + p->rows; i++) {
        size_t j = p->j;
        for (; j + 2 * VL <= end; j += 2 * VL) { /* a vector's chain in the other's gaps */
            const float *const sum = sum_of(p, i, j);
            const vf x = finish_vec(g, epi, act, v_load(sum), i, j, VL);
            const vf y = finish_vec(g, epi, act, v_load(sum + VL), i, j + VL, VL);
            put(g, i, j, x, VL);
            put(g, i, j + VL, y, VL);
        }
        for (; j + VL <= end; j += VL) finish_at(g, p, epi, act, i, j, VL);
        if (j < end) finish_at(g, p, epi, act, i, j, end - j);
    }
}

/* ---- with statistics ---- */
struct sums {
    vf part[WEFT_COUNT][GROUP_VECTORS]; /* lane = column of the group; absent ones are 0 */
    size_t count;
};

static WEFT_INLINE vf load_cols(const float *p, size_t n) {
    return n == VL ? v_load(p) : v_load_n(p, n);
}

/* What finish_vec makes of n columns, and what it tells. */
static WEFT_INLINE void measure(const struct weft_gemm_args *g, const struct weft_gemm_part *p,
                                const enum weft_epilogue epi, const enum weft_act act, size_t i,
                                size_t j, size_t n, struct sums *s, size_t v) {
    vf x = load_cols(sum_of(p, i, j), n), z = v_zero();
    vm counted = m_first(0);
    if (epi == WEFT_EPI_DACT) {
        x = v_mul(x, v_dact(act, e_get_n((const elem *)g->z + i * g->ldz + j, n), WEFT_LEAKY_SLOPE));
    } else {
        if (epi != WEFT_EPI_NONE && g->bias) x = v_add(x, load_cols(g->bias + j, n));
        z = x;
        if (epi == WEFT_EPI_BIAS_ACT) {
            if (g->z) e_put_n((elem *)g->z + i * g->ldz + j, z, n);
            x = v_act(act, z, WEFT_LEAKY_SLOPE);
            const vf slope = v_abs(v_dact(act, z, WEFT_LEAKY_SLOPE));
            counted = m_or(v_eq(x, v_zero()), v_lt(slope, v_set1(WEFT_SATURATED)));
        } else if (epi == WEFT_EPI_BIAS_RESIDUAL) {
            const vf r = e_get_n((const elem *)g->residual + i * g->ldr + j, n);
            x = gemm_narrows(g) ? e_round(v_add(z, r)) : v_add(z, r);
            counted = m_and(v_eq(x, r), m_not(v_eq(z, v_zero())));
        }
    }
    if (gemm_narrows(g)) x = e_round(x);
    put(g, i, j, x, n);
    if (n < VL) {
        const vm live = m_first(n);
        z = v_sel(live, z, v_zero());
        if (!WEFT_BUG(22)) x = v_sel(live, x, v_zero());
        counted = m_and(counted, live);
    }
    s->part[WEFT_SUM_Z][v] = z;
    s->part[WEFT_SUM_ZZ][v] = v_mul(z, z);
    s->part[WEFT_SUM_X][v] = x;
    s->part[WEFT_SUM_XX][v] = v_mul(x, x);
    if (epi >= WEFT_EPI_BIAS_ACT && epi != WEFT_EPI_DACT) s->count += m_count(counted);
}

/* Lane l + lane l + 8, then + 4, + 2, + 1, whatever VL is. */
static WEFT_INLINE float fold_group(const vf *v) {
    vf t[GROUP_VECTORS];
    WEFT_UNROLL(4)
    for (size_t i = 0; i < GROUP_VECTORS; i++) t[i] = v[i];
    WEFT_UNROLL(4)
    for (size_t w = GROUP_VECTORS / 2; w > 0; w /= 2) {
        WEFT_UNROLL(4)
        for (size_t i = 0; i < w; i++) t[i] = v_add(t[i], t[i + w]);
    }
    return v_fold_add(t[0]);
}

/* Sums of a group; with DACT z is 0, without activation and residual it is x unless that is rounded.
 */
static WEFT_INLINE void tell(const struct sums *s, const enum weft_epilogue epi, bool rounded,
                             float *out) {
    const bool own = epi == WEFT_EPI_BIAS_ACT || epi == WEFT_EPI_BIAS_RESIDUAL ||
                     (rounded && epi != WEFT_EPI_DACT);
    out[WEFT_SUM_X] = fold_group(s->part[WEFT_SUM_X]);
    out[WEFT_SUM_XX] = fold_group(s->part[WEFT_SUM_XX]);
    out[WEFT_SUM_Z] = own                    ? fold_group(s->part[WEFT_SUM_Z])
                      : epi == WEFT_EPI_DACT ? 0
                                             : out[WEFT_SUM_X];
    out[WEFT_SUM_ZZ] = own                    ? fold_group(s->part[WEFT_SUM_ZZ])
                       : epi == WEFT_EPI_DACT ? 0
                                              : out[WEFT_SUM_XX];
    out[WEFT_COUNT] = (float)s->count;
}

static WEFT_INLINE void measure_rows(const struct weft_gemm_args *g, const struct weft_gemm_part *p,
                                     const enum weft_epilogue epi, const enum weft_act act) {
    const size_t end = p->j + p->cols;
    for (size_t i = p->i; i < p->i + p->rows; i++) {
        float *out = g->stats + (i * g->lds + p->j / WEFT_GEMM_GROUP) * WEFT_GEMM_STATS;
        size_t j = p->j;
        for (; j + WEFT_GEMM_GROUP <= end; j += WEFT_GEMM_GROUP, out += WEFT_GEMM_STATS) {
            struct sums s;
            s.count = 0;
            WEFT_UNROLL(4)
            for (size_t v = 0; v < GROUP_VECTORS; v++)
                measure(g, p, epi, act, i, j + v * VL, VL, &s, v);
            tell(&s, epi, gemm_narrows(g), out);
        }
        if (j == end) continue;
        struct sums s;
        s.count = 0;
        for (size_t v = 0; v < GROUP_VECTORS; v++) {
            const size_t at = j + v * VL;
            if (at < end)
                measure(g, p, epi, act, i, at, end - at < VL ? end - at : VL, &s, v);
            else
                for (size_t k = 0; k < WEFT_COUNT; k++) s.part[k][v] = v_zero();
        }
        tell(&s, epi, gemm_narrows(g), out);
    }
}

/* A function of its own for the activations of nets that are mostly looked at; the others choose at
 * run time. */
typedef void measure_fn(const struct weft_gemm_args *g, const struct weft_gemm_part *p);
#define WEFT_MEASURE(name, epi, act)                                                               \
    static WEFT_NOINLINE void name(const struct weft_gemm_args *g,                                 \
                                   const struct weft_gemm_part *p) {                               \
        measure_rows(g, p, epi, act);                                                              \
    }
WEFT_MEASURE(measure_none, WEFT_EPI_NONE, WEFT_ACT_NONE)
WEFT_MEASURE(measure_bias, WEFT_EPI_BIAS, WEFT_ACT_NONE)
WEFT_MEASURE(measure_residual, WEFT_EPI_BIAS_RESIDUAL, WEFT_ACT_NONE)
WEFT_MEASURE(measure_act, WEFT_EPI_BIAS_ACT, g->act)
WEFT_MEASURE(measure_relu, WEFT_EPI_BIAS_ACT, WEFT_ACT_RELU)
WEFT_MEASURE(measure_gelu, WEFT_EPI_BIAS_ACT, WEFT_ACT_GELU_TANH)
WEFT_MEASURE(measure_dact, WEFT_EPI_DACT, g->act)
WEFT_MEASURE(measure_drelu, WEFT_EPI_DACT, WEFT_ACT_RELU)
WEFT_MEASURE(measure_dgelu, WEFT_EPI_DACT, WEFT_ACT_GELU_TANH)
#undef WEFT_MEASURE

static measure_fn *measurer(const struct weft_gemm_args *g) {
    const bool relu = g->act == WEFT_ACT_RELU, gelu = g->act == WEFT_ACT_GELU_TANH;
    switch (g->epilogue) {
    case WEFT_EPI_BIAS: return measure_bias;
    case WEFT_EPI_BIAS_RESIDUAL: return measure_residual;
    case WEFT_EPI_BIAS_ACT: return relu ? measure_relu : gelu ? measure_gelu : measure_act;
    case WEFT_EPI_DACT: return relu ? measure_drelu : gelu ? measure_dgelu : measure_dact;
    case WEFT_EPI_NONE: break;
    }
    return measure_none;
}

void WEFT_EFN(gemm_epilogue)(const struct weft_gemm_args *g, const struct weft_gemm_part *p) {
    if (g->stats) {
        measurer(g)(g, p);
        return;
    }
#define WEFT_FINISH(epi, act) finish_rows(g, p, epi, act)
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
