/* Reductions: one accumulator, ascending. */
#include "kernels/ref/ref_reduce.h"
#include <math.h>

double ref_sum(const double *x, size_t n) {
    long double s = 0;
    for (size_t i = 0; i < n; i++) s += x[i];
    return (double)s;
}

double ref_abs_sum(const double *x, size_t n) {
    double s = 0;
    for (size_t i = 0; i < n; i++) s += fabs(x[i]);
    return s;
}

double ref_dot(const double *x, const double *y, size_t n) {
    long double s = 0;
    for (size_t i = 0; i < n; i++) s += (long double)x[i] * y[i];
    return (double)s;
}

double ref_abs_dot(const double *x, const double *y, size_t n) {
    double s = 0;
    for (size_t i = 0; i < n; i++) s += fabs(x[i] * y[i]);
    return s;
}

double ref_absmax(const double *x, size_t n) {
    double m = 0;
    for (size_t i = 0; i < n; i++)
        if (fabs(x[i]) > m || isnan(x[i])) m = fabs(x[i]);
    for (size_t i = 0; i < n; i++)
        if (isnan(x[i])) m = x[i];
    return m;
}

size_t ref_nonfinite(const double *x, size_t n) {
    size_t count = 0;
    for (size_t i = 0; i < n; i++) count += isfinite(x[i]) ? 0 : 1;
    return count;
}

void ref_moments(const double *x, size_t n, double *mean, double *m2) {
    long double m = 0, s = 0;
    for (size_t i = 0; i < n; i++) m += x[i];
    if (n) m /= (long double)n;
    for (size_t i = 0; i < n; i++) s += (x[i] - m) * (x[i] - m);
    *mean = (double)m;
    *m2 = (double)s;
}
