/* Activations: y = f(z) and dx = dy f'(z), elementwise over n values. Errors are those of
 * vec_math.h; a NaN propagates. */
#include "kernels/kernels.h"
#include "kernels/simd/elem.h"
#include "kernels/simd/vec_act.h"
#include "kernels/simd/vec_reduce.h"

#define SIDE 3 /* vectors side by side: operations of one fill the gaps of the other chains */

static WEFT_INLINE void fwd(const struct weft_act_args *a, const enum weft_act act) {
    const size_t n = a->n;
    const elem *const z = a->z;
    elem *const y = a->y;
    size_t i = 0;
    for (; i + SIDE * VL <= n; i += SIDE * VL) {
        vf side[SIDE];
        WEFT_UNROLL_ALL
        for (size_t j = 0; j < SIDE; j++) side[j] = v_act(act, e_load(z + i + j * VL), a->slope);
        WEFT_UNROLL_ALL
        for (size_t j = 0; j < SIDE; j++) e_store(y + i + j * VL, side[j]);
    }
    for (; i + VL <= n; i += VL) e_store(y + i, v_act(act, e_load(z + i), a->slope));
    if (i < n) e_store_n(y + i, v_act(act, e_load_n(z + i, n - i), a->slope), n - i - WEFT_BUG(4));
}

static WEFT_INLINE void bwd_add(const struct weft_act_args *a, const enum weft_act act,
                                const bool add) {
    const size_t n = a->n;
    const elem *const dy = a->dy, *const z = a->z;
    elem *const dx = a->dx;
    size_t i = 0;
    for (; i + SIDE * VL <= n; i += SIDE * VL) {
        vf d[SIDE];
        WEFT_UNROLL_ALL
        for (size_t j = 0; j < SIDE; j++) {
            const size_t at = i + j * VL;
            d[j] = v_mul(e_load(dy + at), v_dact(act, e_load(z + at), a->slope));
            if (add) d[j] = v_add(e_load(dx + at), d[j]);
        }
        WEFT_UNROLL_ALL
        for (size_t j = 0; j < SIDE; j++) e_store(dx + i + j * VL, d[j]);
    }
    for (; i + VL <= n; i += VL) {
        const vf d = v_mul(e_load(dy + i), v_dact(act, e_load(z + i), a->slope));
        e_store(dx + i, add ? v_add(e_load(dx + i), d) : d);
    }
    if (i < n) {
        const size_t m = n - i;
        const vf d = v_mul(e_load_n(dy + i, m), v_dact(act, e_load_n(z + i, m), a->slope));
        e_store_n(dx + i, add ? v_add(e_load_n(dx + i, m), d) : d, m);
    }
}
static WEFT_INLINE void bwd(const struct weft_act_args *a, const enum weft_act act) {
    if (a->accumulate)
        bwd_add(a, act, true);
    else
        bwd_add(a, act, false);
}

/* With the sum of squares: wanted once in many steps, so one loop chooses the activation. */
static WEFT_INLINE vf bwd_vector(const struct weft_act_args *a, size_t i, size_t m) {
    const vf z = e_load_n((const elem *)a->z + i, m), dy = e_load_n((const elem *)a->dy + i, m);
    elem *const dx = (elem *)a->dx + i;
    vf d = v_mul(dy, v_dact(a->act, z, a->slope));
    if (a->accumulate) d = v_add(e_load_n(dx, m), d);
    e_store_n(dx, d, m);
    return v_sel(m_first(m), e_round(d), v_zero());
}

static WEFT_NOINLINE void bwd_measured(const struct weft_act_args *a) {
    d32 sum = d32_zero();
    const size_t n = a->n;
    size_t i = 0;
    for (; i + 32 <= n; i += 32) V32_EACH(j) {
            const vd d = d_from_v(bwd_vector(a, i + j * VL, VL));
            sum.v[j] = d_fma(d, d, sum.v[j]);
        }
    V32_TAIL(i, j, m, n) {
        const vd d = d_from_v(bwd_vector(a, i, m));
        sum.v[j] = d_fma(d, d, sum.v[j]);
    }
    *a->sumsq = d32_sum(&sum);
}

/* One loop a function: the switch stands outside. */
void WEFT_EFN(act_fwd)(const struct weft_act_args *a) {
    switch (a->act) {
    case WEFT_ACT_NONE: fwd(a, WEFT_ACT_NONE); break;
    case WEFT_ACT_RELU: fwd(a, WEFT_ACT_RELU); break;
    case WEFT_ACT_LEAKY_RELU: fwd(a, WEFT_ACT_LEAKY_RELU); break;
    case WEFT_ACT_GELU_TANH: fwd(a, WEFT_ACT_GELU_TANH); break;
    case WEFT_ACT_GELU_ERF: fwd(a, WEFT_ACT_GELU_ERF); break;
    case WEFT_ACT_TANH: fwd(a, WEFT_ACT_TANH); break;
    case WEFT_ACT_SIGMOID: fwd(a, WEFT_ACT_SIGMOID); break;
    case WEFT_ACT_SILU: fwd(a, WEFT_ACT_SILU); break;
    case WEFT_ACT_SELU: fwd(a, WEFT_ACT_SELU); break;
    case WEFT_ACTS: break;
    }
}

void WEFT_EFN(act_bwd)(const struct weft_act_args *a) {
    if (a->sumsq) {
        bwd_measured(a);
        return;
    }
    switch (a->act) {
    case WEFT_ACT_NONE: bwd(a, WEFT_ACT_NONE); break;
    case WEFT_ACT_RELU: bwd(a, WEFT_ACT_RELU); break;
    case WEFT_ACT_LEAKY_RELU: bwd(a, WEFT_ACT_LEAKY_RELU); break;
    case WEFT_ACT_GELU_TANH: bwd(a, WEFT_ACT_GELU_TANH); break;
    case WEFT_ACT_GELU_ERF: bwd(a, WEFT_ACT_GELU_ERF); break;
    case WEFT_ACT_TANH: bwd(a, WEFT_ACT_TANH); break;
    case WEFT_ACT_SIGMOID: bwd(a, WEFT_ACT_SIGMOID); break;
    case WEFT_ACT_SILU: bwd(a, WEFT_ACT_SILU); break;
    case WEFT_ACT_SELU: bwd(a, WEFT_ACT_SELU); break;
    case WEFT_ACTS: break;
    }
}
