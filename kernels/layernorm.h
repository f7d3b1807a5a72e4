/* LayerNorm over rows of c elements (Ba, Kiros, Hinton 2016):
 *
 *   forward   y = (x - mean)*rstd*gamma + beta,   rstd = 1/sqrt(var + eps)
 *   backward  g = dy*gamma, xhat = (x - mean)*rstd
 *             dx = rstd*(g - mean_j(g) - xhat*mean_j(g*xhat)) [+ dres]
 *             dgamma = sum_r dy*xhat,  dbeta = sum_r dy
 *
 * Rows are independent. Column sums: each block of 64 rows from zero, rows ascending, into its own
 * slot of scratch; fold_rows adds the slots in ascending order. */
#ifndef WEFT_KERNELS_LAYERNORM_H
#define WEFT_KERNELS_LAYERNORM_H
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#define WEFT_LAYERNORM_BLOCK 64 /* rows of a column-sum slot */

struct weft_layernorm_args {
    size_t rows, c;
    size_t ld;          /* of every (rows, c) operand; 0: c */
    const void *x;      /* (rows, c) elem, read */
    const float *f;     /* layernorm_res_f32: (rows, c), read: x + f is normalised */
    float *r;           /* layernorm_res_f32: (rows, c), = x + f; may be x or f */
    const float *gamma; /* (c), read; NULL: ones */
    const float *beta;  /* (c), read; NULL: zeros */
    void *y;            /* (rows, c) elem, = ; may be x */
    float *mean, *rstd; /* (rows), = */
    float eps;
};

struct weft_layernorm_bwd_args {
    size_t rows, c;           /* rows counted from the first row of a block */
    size_t ld;                /* of every (rows, c) operand; 0: c */
    const void *dy, *x;       /* (rows, c) elem, read */
    const float *mean, *rstd; /* (rows), read */
    const float *gamma;       /* (c), read; NULL: ones */
    const void *dres;         /* (rows, c) elem, read, added to dx; may be dx; NULL: none */
    void *dx;                 /* (rows, c) elem, = ; may be dy; NULL: not wanted */
    float *part; /* (ceil(rows/64), 2, c), = : dgamma and dbeta of each block; NULL: not
                  * wanted */
};

#endif
