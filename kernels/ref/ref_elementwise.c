/* Elementwise oracles: the formulas, one element at a time. */
#include "kernels/ref/ref_elementwise.h"

void ref_add(const double *a, const double *b, double *y, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

void ref_mul(const double *a, const double *b, double *y, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = a[i] * b[i];
}

void ref_axpy(double alpha, const double *x, double *y, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] += alpha * x[i];
}

void ref_scale(double alpha, const double *x, double *y, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = alpha * x[i];
}

void ref_gain_fwd(double gain, const double *f, const double *residual, double *y, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] = gain * f[i] + (residual ? residual[i] : 0);
}

double ref_gain_bwd(double gain, const double *f, const double *dy, double *df, size_t n) {
    long double dgain = 0;
    for (size_t i = 0; i < n; i++) {
        df[i] = gain * dy[i];
        dgain += (long double)f[i] * dy[i];
    }
    return (double)dgain;
}
