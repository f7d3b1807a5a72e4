/* Losses over rows of logits or outputs.
 *
 *   softmax   p_j = exp((x_j - max)*inv_temp) / sum
 *   xent      loss = log Z - x_target, log Z = max + log(sum_j exp(x_j - max))
 *             dx_j = (p_j - [j = target])*scale
 *   mse       loss = mean_j (x_j - y_j)^2,  dx_j = 2 (x_j - y_j)*scale/n
 *
 * A negative target is ignored: loss, log Z, max and correct are 0, dx is 0. -inf has p = 0; a row
 * of all -inf has p = 0 everywhere, log Z = -inf and, unless it is ignored, a NaN loss; a row with
 * +inf or NaN gives NaNs.
 *
 * Logits, outputs and what is made of them are f32; only gradients have the kernel's type.
 *
 * Sums: 32 virtual lanes of f32 over 1024 elements, these folded ascending in f64.
 * Error: p u (K + |x - max|), loss K u (1 + |loss|), K = 8 + log2 v. */
#ifndef WEFT_KERNELS_LOSS_H
#define WEFT_KERNELS_LOSS_H
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

struct weft_xent_args {
    size_t rows, v;
    size_t ld;             /* of x and dx; 0: v */
    float *x;              /* (rows, v), logits, read; in f32 dx goes here when dx is NULL */
    void *dx;              /* xent: (rows, v) elem, = ; f32: NULL: x */
    const int32_t *target; /* (rows), < v, read */
    float *loss;           /* (rows), = */
    float *lse;            /* (rows), = log Z; NULL: not wanted */
    float *max;            /* (rows), = the largest logit; NULL: not wanted */
    float *dsq;            /* xent: (rows), = sum dx^2; NULL: not wanted */
    int32_t *correct; /* (rows), = 1 where the first of the largest logits is the target's, else
                       * 0; NULL: not wanted */
    float scale;      /* 1 / (valid targets of the step) */
};

struct weft_mse_args {
    size_t rows, n;
    size_t ld;      /* of x, y and dx; 0: n */
    const float *x; /* (rows, n), read */
    const float *y; /* (rows, n), targets, read */
    float *loss;    /* (rows), = ; NULL: not wanted */
    void *dx;       /* (rows, n) elem, = ; in f32 may be x; NULL: not wanted */
    float scale;
};

#endif
