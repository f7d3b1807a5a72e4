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
    WEFT_ACT_SILU, /* z sigma(z), Elfwing et al. 2017 */
    WEFT_ACT_SELU, /* lambda (z > 0 ? z : alpha (e^z - 1)), Klambauer et al. 2017 */
    WEFT_ACTS,     /* how many there are */
};
#define WEFT_SELU_LAMBDA 1.0507009873554805
#define WEFT_SELU_ALPHA  1.6732632423543772
#define WEFT_LEAKY_SLOPE 0.01f /* the customary slope of leaky_relu */

struct weft_act_args {
    enum weft_act act;
    float slope; /* leaky_relu */
    size_t n;
    const void *z;   /* (n) elem, read */
    const void *dy;  /* act_bwd: (n) elem, read */
    void *y;         /* act_fwd: (n) elem, = f(z); may be z */
    void *dx;        /* act_bwd: (n) elem, = dy f'(z), or += ; may be dy or z when = */
    bool accumulate; /* act_bwd: dx += */
    double *sumsq;   /* act_bwd: (1), = sum dx^2, 32 virtual lanes of f64; NULL: not wanted */
};

#endif
