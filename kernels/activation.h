/* Elementwise kernels with an activation function. The enum is part of gemm's epilogues too. */
#ifndef WEFT_KERNELS_ACTIVATION_H
#define WEFT_KERNELS_ACTIVATION_H
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

enum weft_act {
    WEFT_ACT_NONE,
    WEFT_ACT_RELU,       /* max(z, 0) */
    WEFT_ACT_LEAKY_RELU, /* z < 0 ? slope z : z */
    WEFT_ACT_GELU_TANH,  /* z/2 (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3))), Hendrycks & Gimpel 2016 */
    WEFT_ACT_GELU_ERF,   /* z Phi(z) */
    WEFT_ACT_TANH,
    WEFT_ACT_SIGMOID,
};
#define WEFT_LEAKY_SLOPE 0.01f /* the customary slope of leaky_relu */

/* act_fwd_f32(act, slope, z, y, n)       y = f(z)
 * act_bwd_f32(act, slope, z, dy, dx, n)  dx = dy f'(z), z the pre-activation
 * y may be z; dx may be dy or z. slope is used by leaky_relu only. */

#endif
