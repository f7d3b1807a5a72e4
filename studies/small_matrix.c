/* See small_matrix.h. */
#include "studies/small_matrix.h"

#include <gsl/gsl_eigen.h>
#include <gsl/gsl_linalg.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "kernels/base/bug.h"

void matrix_multiply(const double *a, const double *b, double *c, size_t n, size_t cols) {
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < cols; j++) {
            double sum = 0;
            for (size_t k = 0; k < n; k++) sum += a[i * n + k] * b[k * cols + j];
            c[i * cols + j] = sum;
        }
}

double matrix_norm(const double *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i] * x[i];
    return sqrt(sum);
}

/* Q (n, n) becomes orthonormal by columns, in order; logs[k] += ln R_kk. Twice is enough (Kahan).
 */
void matrix_orthonormalise(double *q, double *logs, size_t n) {
    for (size_t k = 0; k < n; k++) {
        double r = 0;
        for (int pass = 0; pass < 2; pass++)
            for (size_t j = WEFT_BUG(86) ? 1 : 0; j < k; j++) {
                double dot = 0;
                for (size_t i = 0; i < n; i++) dot += q[i * n + j] * q[i * n + k];
                for (size_t i = 0; i < n; i++) q[i * n + k] -= dot * q[i * n + j];
            }
        for (size_t i = 0; i < n; i++) r += q[i * n + k] * q[i * n + k];
        r = sqrt(r);
        logs[k] += log(r);
        for (size_t i = 0; i < n; i++) q[i * n + k] /= r;
    }
}

void matrix_singular_values(const double *m, double *out, size_t n) {
    double copy[MATRIX_SMALL * MATRIX_SMALL], v[MATRIX_SMALL * MATRIX_SMALL], room[MATRIX_SMALL];
    memcpy(copy, m, n * n * sizeof *copy);
    gsl_matrix_view a = gsl_matrix_view_array(copy, n, n), b = gsl_matrix_view_array(v, n, n);
    gsl_vector_view s = gsl_vector_view_array(out, n), w = gsl_vector_view_array(room, n);
    gsl_linalg_SV_decomp(&a.matrix, &b.matrix, &s.vector, &w.vector);
}

static int descending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

void matrix_eigenvalue_sizes(const double *m, double *out, size_t n) {
    double copy[MATRIX_SMALL * MATRIX_SMALL];
    memcpy(copy, m, n * n * sizeof *copy);
    gsl_matrix_view a = gsl_matrix_view_array(copy, n, n);
    gsl_vector_complex *const v = gsl_vector_complex_alloc(n);
    gsl_eigen_nonsymm_workspace *const room = gsl_eigen_nonsymm_alloc(n);
    gsl_eigen_nonsymm(&a.matrix, v, room);
    for (size_t i = 0; i < n; i++) {
        const gsl_complex z = gsl_vector_complex_get(v, i);
        out[i] = hypot(GSL_REAL(z), GSL_IMAG(z));
    }
    gsl_eigen_nonsymm_free(room);
    gsl_vector_complex_free(v);
    qsort(out, n, sizeof *out, descending);
}
