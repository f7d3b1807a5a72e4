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
    const float *x;     /* (rows, c), read */
    const float *f;     /* layernorm_res: (rows, c), read: x + f is normalised */
    float *r;           /* layernorm_res: (rows, c), = x + f; may be x or f */
    const float *gamma; /* (c), read; NULL: ones */
    const float *beta;  /* (c), read; NULL: zeros */
    float *y;           /* (rows, c), = ; may be x */
    float *mean, *rstd; /* (rows), = */
    float eps;
};

struct weft_layernorm_bwd_args {
    size_t rows, c;           /* rows counted from the first row of a block */
    size_t ld;                /* of every (rows, c) operand; 0: c */
    const float *dy, *x;      /* (rows, c), read */
    const float *mean, *rstd; /* (rows), read */
    const float *gamma;       /* (c), read; NULL: ones */
    const float *dres;        /* (rows, c), read, added to dx; may be dx; NULL: none */
    float *dx;                /* (rows, c), = ; may be dy; NULL: not wanted */
    float *part; /* (ceil(rows/64), 2, c), = : dgamma and dbeta of each block; NULL: not
                  * wanted */
};

#endif
