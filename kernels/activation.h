/* Activations: y = f(z) and dx = dy f'(z), z the pre-activation. The enum is also that of the
 * epilogues of gemm.h. */
#ifndef WEFT_KERNELS_ACTIVATION_H
#define WEFT_KERNELS_ACTIVATION_H
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

enum weft_act {
    WEFT_ACT_NONE,
    WEFT_ACT_RELU,       /* max(z, 0) */
    WEFT_ACT_LEAKY_RELU, /* z < 0 ? slope z : z */
    WEFT_ACT_GELU_TANH, /* z/2 (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3))), Hendrycks & Gimpel 2016 */
    WEFT_ACT_GELU_ERF,  /* z Phi(z) */
    WEFT_ACT_TANH,
    WEFT_ACT_SIGMOID,
};
#define WEFT_LEAKY_SLOPE 0.01f /* the customary slope of leaky_relu */

struct weft_act_args {
    enum weft_act act;
    float slope; /* leaky_relu */
    size_t n;
    const float *z;  /* (n), read */
    const float *dy; /* act_bwd: (n), read */
    float *y;        /* act_fwd: (n), = f(z); may be z */
    float *dx;       /* act_bwd: (n), = dy f'(z), or += ; may be dy or z when = */
    bool accumulate; /* act_bwd: dx += */
};

#endif
