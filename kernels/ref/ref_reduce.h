/* Oracles of reduce.h, in long double. */
#ifndef WEFT_REF_REDUCE_H
#define WEFT_REF_REDUCE_H
#include <stddef.h>

double ref_sum(const double *x, size_t n);
double ref_abs_sum(const double *x, size_t n); /* sum |x|: for error bounds */
double ref_dot(const double *x, const double *y, size_t n);
double ref_abs_dot(const double *x, const double *y, size_t n);
double ref_absmax(const double *x, size_t n); /* a NaN wins */
size_t ref_nonfinite(const double *x, size_t n);
void ref_moments(const double *x, size_t n, double *mean, double *m2); /* two passes */

#endif
