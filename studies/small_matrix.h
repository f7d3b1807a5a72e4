/* Small dense matrices in double, row-major; decompositions from GSL. */
#ifndef WEFT_STUDIES_SMALL_MATRIX_H
#define WEFT_STUDIES_SMALL_MATRIX_H

#include <stddef.h>

#define MATRIX_SMALL 16 /* largest n of singular values and eigenvalues */

/* c (n, cols) = a (n, n) b (n, cols). */
void matrix_multiply(const double *a, const double *b, double *c, size_t n, size_t cols);
double matrix_norm(const double *x, size_t n);
/* q (n, n) becomes orthonormal by columns, in order; logs[k] += ln R_kk. */
void matrix_orthonormalise(double *q, double *logs, size_t n);
/* Descending. */
void matrix_singular_values(const double *m, double *out, size_t n);
void matrix_eigenvalue_sizes(const double *m, double *out, size_t n); /* |lambda| */

#endif
