/* Elementwise kernels without a function in them. All operands are (n), contiguous; outputs may be
 * any of the inputs.
 *
 *   add_f32       y = a + b
 *   mul_f32       y = a * b
 *   axpy_f32      y = alpha * x + y       (one rounding)
 *   scale_f32     y = alpha * x
 *   fill_f32      y = value
 *   gain_fwd_f32  y = gain[0] * f + residual (one rounding), or gain[0] * f when residual is NULL
 *   gain_bwd_f32  see the struct */
#ifndef WEFT_KERNELS_ELEMENTWISE_H
#define WEFT_KERNELS_ELEMENTWISE_H
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

/* Backward of the learned gain, for one block of 64 rows (or all of a smaller tensor): the caller
 * folds the blocks' dgain in ascending order. The gradient of the residual is dy itself. */
struct weft_gain_bwd_args {
    size_t n;
    const float *gain; /* (1), read */
    const float *f;    /* (n), read */
    const float *dy;   /* (n), read */
    float *df;         /* (n), = gain dy, or += ; may be f or dy when = ; NULL: not wanted */
    bool accumulate;   /* df += */
    double *dgain;     /* (1), = sum of f dy: products exact, 32 lanes of f64 */
};

#endif
