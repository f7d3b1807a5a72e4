/* Activations: y = f(z) and dx = dy f'(z), elementwise over n values. Errors are those of
 * vec_math.h; -0 and denormals as there; a NaN propagates. */
#include "kernels/kernels.h"
#include "kernels/simd/vec_act.h"

static WEFT_INLINE void fwd(const enum weft_act act, float slope, const float *z, float *y,
                            size_t n) {
    size_t i = 0;
    for (; i + VL <= n; i += VL) v_store(y + i, v_act(act, v_load(z + i), slope));
    if (i < n) v_store_n(y + i, v_act(act, v_load_n(z + i, n - i), slope), n - i - WEFT_BUG(4));
}

static WEFT_INLINE void bwd(const enum weft_act act, float slope, const float *z, const float *dy,
                            float *dx, size_t n) {
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        v_store(dx + i, v_mul(v_load(dy + i), v_dact(act, v_load(z + i), slope)));
    if (i < n)
        v_store_n(dx + i,
                  v_mul(v_load_n(dy + i, n - i), v_dact(act, v_load_n(z + i, n - i), slope)),
                  n - i);
}

/* One loop a function: the switch stands outside. */
void WEFT_FN(act_fwd_f32)(enum weft_act act, float slope, const float *z, float *y, size_t n) {
    switch (act) {
    case WEFT_ACT_NONE: fwd(WEFT_ACT_NONE, slope, z, y, n); break;
    case WEFT_ACT_RELU: fwd(WEFT_ACT_RELU, slope, z, y, n); break;
    case WEFT_ACT_LEAKY_RELU: fwd(WEFT_ACT_LEAKY_RELU, slope, z, y, n); break;
    case WEFT_ACT_GELU_TANH: fwd(WEFT_ACT_GELU_TANH, slope, z, y, n); break;
    case WEFT_ACT_GELU_ERF: fwd(WEFT_ACT_GELU_ERF, slope, z, y, n); break;
    case WEFT_ACT_TANH: fwd(WEFT_ACT_TANH, slope, z, y, n); break;
    case WEFT_ACT_SIGMOID: fwd(WEFT_ACT_SIGMOID, slope, z, y, n); break;
    }
}

void WEFT_FN(act_bwd_f32)(enum weft_act act, float slope, const float *z, const float *dy,
                          float *dx, size_t n) {
    switch (act) {
    case WEFT_ACT_NONE: bwd(WEFT_ACT_NONE, slope, z, dy, dx, n); break;
    case WEFT_ACT_RELU: bwd(WEFT_ACT_RELU, slope, z, dy, dx, n); break;
    case WEFT_ACT_LEAKY_RELU: bwd(WEFT_ACT_LEAKY_RELU, slope, z, dy, dx, n); break;
    case WEFT_ACT_GELU_TANH: bwd(WEFT_ACT_GELU_TANH, slope, z, dy, dx, n); break;
    case WEFT_ACT_GELU_ERF: bwd(WEFT_ACT_GELU_ERF, slope, z, dy, dx, n); break;
    case WEFT_ACT_TANH: bwd(WEFT_ACT_TANH, slope, z, dy, dx, n); break;
    case WEFT_ACT_SIGMOID: bwd(WEFT_ACT_SIGMOID, slope, z, dy, dx, n); break;
    }
}
