/* Activations on vectors: y = f(z) and f'(z), for loops of their own (activation.c) and for the
 * epilogues of the matrix kernels. act is a compile-time constant at every call, so that the
 * switch folds away. */
#ifndef WEFT_VEC_ACT_H
#define WEFT_VEC_ACT_H

#include "kernels/activation.h"
#include "kernels/simd/vec_math.h"

/* silu(x) = x sigma(x), |x| clamped where E = e^-|x| is 0; silu'(x) = sigma + x sigma (1 - sigma),
 * for x < 0 it is c - t c r with c = E / (1 + E), r = 1 / (1 + E), and silu'(x) + silu'(-x) = 1. */
static WEFT_INLINE vf v_silu(vf x) {
    const vf t = math_clamp_abs(x, 100.0f);
    const vf e = v_exp(v_neg(t));
    const vf num = v_sel_neg(x, v_neg(v_mul(t, e)), x);
    return v_div(num, v_add(v_set1(1.0f), e));
}
static WEFT_INLINE vf v_dsilu(vf x) {
    const vf one = v_set1(1.0f);
    const vf t = math_clamp_abs(x, 100.0f);
    const vf e = v_exp(v_neg(t));
    const vf r = v_div(one, v_add(one, e));
    const vf c = v_mul(e, r);
    const vf neg = v_fnma(v_mul(t, c), r, c);
    return v_sel_neg(x, neg, v_sub(one, neg));
}

/* selu: e^x - 1 = 2 T / (1 - T), T = tanh(x/2) in [-1, 0]: nothing cancels near 0. */
static WEFT_INLINE vf v_selu(vf x) {
    const vf t = v_tanh(v_mul(x, v_set1(0.5f)));
    const vf slope = v_set1((float)(2 * WEFT_SELU_LAMBDA * WEFT_SELU_ALPHA));
    const vf neg = v_div(v_mul(slope, t), v_sub(v_set1(1.0f), t));
    return v_sel(v_gt(x, v_zero()), v_mul(x, v_set1((float)WEFT_SELU_LAMBDA)), neg);
}
static WEFT_INLINE vf v_dselu(vf x) {
    const vf neg = v_mul(v_set1((float)(WEFT_SELU_LAMBDA * WEFT_SELU_ALPHA)), v_exp(x));
    return v_sel(v_gt(x, v_zero()), v_set1((float)WEFT_SELU_LAMBDA), neg);
}

/* f(z); slope is that of leaky_relu for z < 0. relu keeps a NaN and turns -0 into 0. */
static WEFT_INLINE vf v_act(const enum weft_act act, vf z, float slope) {
    switch (act) {
    case WEFT_ACT_RELU: return v_sel(v_le(z, v_zero()), v_zero(), z);
    case WEFT_ACT_LEAKY_RELU: return v_sel(v_lt(z, v_zero()), v_mul(z, v_set1(slope)), z);
    case WEFT_ACT_GELU_TANH: return v_gelu_tanh(z);
    case WEFT_ACT_GELU_ERF: return v_gelu_erf(z);
    case WEFT_ACT_TANH: return v_tanh(z);
    case WEFT_ACT_SIGMOID: return v_sigmoid(z);
    case WEFT_ACT_SILU: return v_silu(z);
    case WEFT_ACT_SELU: return v_selu(z);
    case WEFT_ACT_NONE:
    case WEFT_ACTS: break;
    }
    return z;
}

/* E / (1 + E)^2, E = e^-t, t >= 0: the derivative of the logistic function */
static WEFT_INLINE vf act_dlogistic(vf t) {
    const vf e = v_exp(v_neg(t));
    const vf d = v_add(v_set1(1.0f), e);
    return v_div(v_div(e, d), d);
}

/* f'(z), from the pre-activation; f'(0) of relu, leaky_relu, selu is that of z < 0 (as PyTorch). A
 * NaN gives what the side of z >= 0 gives, except where f' is computed from it. */
static WEFT_INLINE vf v_dact(const enum weft_act act, vf z, float slope) {
    const vf one = v_set1(1.0f);
    switch (act) {
    case WEFT_ACT_RELU: return v_sel(v_le(z, v_zero()), v_zero(), one);
    case WEFT_ACT_LEAKY_RELU: return v_sel(v_le(z, v_zero()), v_set1(slope), one);
    case WEFT_ACT_GELU_TANH: return v_dgelu_tanh(z);
    case WEFT_ACT_GELU_ERF: return v_dgelu_erf(z);
    case WEFT_ACT_TANH:
        return v_mul(v_set1(4.0f), act_dlogistic(v_abs(WEFT_BUG(85) ? z : v_add(z, z))));
    case WEFT_ACT_SIGMOID:
        return WEFT_BUG(29) ? act_dlogistic(v_mul(z, z)) : act_dlogistic(v_abs(z));
    case WEFT_ACT_SILU: return v_dsilu(z);
    case WEFT_ACT_SELU: return v_dselu(z);
    case WEFT_ACT_NONE:
    case WEFT_ACTS: break;
    }
    return one;
}

#endif
