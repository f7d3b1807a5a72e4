#include "kernels/ref/ref_gemm.h"
#include <math.h>
#include "kernels/ref/ref_bound.h"

void ref_gemm(size_t m, size_t n, size_t k, const struct ref_matrix ab[2], double *c, double *mag) {
    const struct ref_matrix *a = &ab[0];
    const struct ref_matrix *b = &ab[1];
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0, size = 0;
            for (size_t q = 0; q < k; q++) {
                const double t = a->p[i * a->rs + q * a->cs] * b->p[q * b->rs + j * b->cs];
                sum += t;
                size += fabs(t);
            }
            c[i * n + j] += sum;
            if (mag) mag[i * n + j] += size;
        }
}

double ref_gemm_bound(size_t k, double mag) { return ((double)k + 4) * REF_U * mag + REF_TINY; }

void ref_colsum(size_t m, size_t n, const double *x, double *sum) {
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) sum[j] += x[i * n + j];
}
