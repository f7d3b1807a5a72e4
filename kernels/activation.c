/* Activations: y = f(z) and dx = dy f'(z), elementwise over n values. Errors are those of
 * vec_math.h; a NaN propagates. */
#include "kernels/kernels.h"
#include "kernels/simd/vec_act.h"

static WEFT_INLINE void fwd(const struct weft_act_args *a, const enum weft_act act) {
    const size_t n = a->n;
    size_t i = 0;
    for (; i + VL <= n; i += VL) v_store(a->y + i, v_act(act, v_load(a->z + i), a->slope));
    if (i < n)
        v_store_n(a->y + i, v_act(act, v_load_n(a->z + i, n - i), a->slope), n - i - WEFT_BUG(4));
}

static WEFT_INLINE void bwd_add(const struct weft_act_args *a, const enum weft_act act,
                                const bool add) {
    const size_t n = a->n;
    size_t i = 0;
    for (; i + VL <= n; i += VL) {
        const vf d = v_mul(v_load(a->dy + i), v_dact(act, v_load(a->z + i), a->slope));
        v_store(a->dx + i, add ? v_add(v_load(a->dx + i), d) : d);
    }
    if (i < n) {
        const size_t m = n - i;
        const vf d = v_mul(v_load_n(a->dy + i, m), v_dact(act, v_load_n(a->z + i, m), a->slope));
        v_store_n(a->dx + i, add ? v_add(v_load_n(a->dx + i, m), d) : d, m);
    }
}
static WEFT_INLINE void bwd(const struct weft_act_args *a, const enum weft_act act) {
    if (a->accumulate)
        bwd_add(a, act, true);
    else
        bwd_add(a, act, false);
}

/* One loop a function: the switch stands outside. */
void WEFT_FN(act_fwd_f32)(const struct weft_act_args *a) {
    switch (a->act) {
    case WEFT_ACT_NONE: fwd(a, WEFT_ACT_NONE); break;
    case WEFT_ACT_RELU: fwd(a, WEFT_ACT_RELU); break;
    case WEFT_ACT_LEAKY_RELU: fwd(a, WEFT_ACT_LEAKY_RELU); break;
    case WEFT_ACT_GELU_TANH: fwd(a, WEFT_ACT_GELU_TANH); break;
    case WEFT_ACT_GELU_ERF: fwd(a, WEFT_ACT_GELU_ERF); break;
    case WEFT_ACT_TANH: fwd(a, WEFT_ACT_TANH); break;
    case WEFT_ACT_SIGMOID: fwd(a, WEFT_ACT_SIGMOID); break;
    }
}

void WEFT_FN(act_bwd_f32)(const struct weft_act_args *a) {
    switch (a->act) {
    case WEFT_ACT_NONE: bwd(a, WEFT_ACT_NONE); break;
    case WEFT_ACT_RELU: bwd(a, WEFT_ACT_RELU); break;
    case WEFT_ACT_LEAKY_RELU: bwd(a, WEFT_ACT_LEAKY_RELU); break;
    case WEFT_ACT_GELU_TANH: bwd(a, WEFT_ACT_GELU_TANH); break;
    case WEFT_ACT_GELU_ERF: bwd(a, WEFT_ACT_GELU_ERF); break;
    case WEFT_ACT_TANH: bwd(a, WEFT_ACT_TANH); break;
    case WEFT_ACT_SIGMOID: bwd(a, WEFT_ACT_SIGMOID); break;
    }
}
