/* Activations on vectors: y = f(z) and f'(z), for loops of their own (activation.c) and for the
 * epilogues of the matrix kernels. act is a compile-time constant at every call, so that the
 * switch folds away. */
#ifndef WEFT_VEC_ACT_H
#define WEFT_VEC_ACT_H

#include "kernels/activation.h"
#include "kernels/simd/vec_math.h"

/* f(z); slope is that of leaky_relu for z < 0. relu keeps a NaN and turns -0 into 0. */
static WEFT_INLINE vf v_act(const enum weft_act act, vf z, float slope) {
    switch (act) {
    case WEFT_ACT_RELU: return v_sel(v_le(z, v_zero()), v_zero(), z);
    case WEFT_ACT_LEAKY_RELU: return v_sel(v_lt(z, v_zero()), v_mul(z, v_set1(slope)), z);
    case WEFT_ACT_GELU_TANH: return v_gelu_tanh(z);
    case WEFT_ACT_GELU_ERF: return v_gelu_erf(z);
    case WEFT_ACT_TANH: return v_tanh(z);
    case WEFT_ACT_SIGMOID: return v_sigmoid(z);
    case WEFT_ACT_NONE: break;
    }
    return z;
}

/* E / (1 + E)^2, E = e^-t, t >= 0: the derivative of the logistic function */
static WEFT_INLINE vf act_dlogistic(vf t) {
    const vf e = v_exp(v_neg(t));
    const vf d = v_add(v_set1(1.0f), e);
    return v_div(v_div(e, d), d);
}

/* f'(z), from the pre-activation; f'(0) of relu and leaky_relu is that of z < 0 (as PyTorch). A NaN
 * gives what the side of z >= 0 gives, except where f' is computed from it. */
static WEFT_INLINE vf v_dact(const enum weft_act act, vf z, float slope) {
    const vf one = v_set1(1.0f);
    switch (act) {
    case WEFT_ACT_RELU: return v_sel(v_le(z, v_zero()), v_zero(), one);
    case WEFT_ACT_LEAKY_RELU: return v_sel(v_le(z, v_zero()), v_set1(slope), one);
    case WEFT_ACT_GELU_TANH: return v_dgelu_tanh(z);
    case WEFT_ACT_GELU_ERF: return v_dgelu_erf(z);
    case WEFT_ACT_TANH: return v_mul(v_set1(4.0f), act_dlogistic(v_abs(v_add(z, z))));
    case WEFT_ACT_SIGMOID: return act_dlogistic(v_abs(z));
    case WEFT_ACT_NONE: break;
    }
    return one;
}

#endif
