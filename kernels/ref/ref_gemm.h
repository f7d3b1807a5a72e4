/* Oracles of the matrix products, in double. */
#ifndef WEFT_REF_GEMM_H
#define WEFT_REF_GEMM_H
#include <stddef.h>

struct ref_matrix { /* element (i, j) at p[i*rs + j*cs] */
    const double *p;
    size_t rs, cs;
};

/* c (m, n) dense += A·B, A (m, k), B (k, n); mag += |A|·|B|, unless NULL: the scale of the error.
 */
void ref_gemm(size_t m, size_t n, size_t k, const struct ref_matrix ab[2], double *c, double *mag);

/* Bound of an element: mag is the sum of the magnitudes of everything that is added up. */
double ref_gemm_bound(size_t k, double mag);

/* sum (n) += column sums of x (m, n) dense. */
void ref_colsum(size_t m, size_t n, const double *x, double *sum);

#endif
