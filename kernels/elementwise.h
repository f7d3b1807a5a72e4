/* Elementwise kernels without a function in them. All operands are (n), contiguous; outputs may be
 * any of the inputs.
 *
 *   add       y = a + b                 elem
 *   mul_f32   y = a * b
 *   axpy_f32  y = alpha * x + y         (one rounding)
 *   scale     y = alpha * x             elem
 *   fill_f32  y = value
 *   gain_fwd  y = gain[0] * f + residual (one rounding), or gain[0] * f when residual is NULL; elem
 *             but for the gain, which is f32
 *   gain_bwd  see the struct
 *   narrow_bf16  y = the nearest bf16 of x      widen_bf16  y = x, exactly */
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
    const void *f;     /* (n) elem, read */
    const void *dy;    /* (n) elem, read */
    void *df;          /* (n) elem, = gain dy, or += ; may be f or dy when = ; NULL: not wanted */
    bool accumulate;   /* df += */
    double *dgain;     /* (1), = sum of f dy: products exact, 32 lanes of f64 */
};

#endif
