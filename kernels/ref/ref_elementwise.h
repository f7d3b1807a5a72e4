/* Oracles of elementwise.h, in double. */
#ifndef WEFT_REF_ELEMENTWISE_H
#define WEFT_REF_ELEMENTWISE_H
#include <stddef.h>

void ref_add(const double *a, const double *b, double *y, size_t n);
void ref_mul(const double *a, const double *b, double *y, size_t n);
void ref_axpy(double alpha, const double *x, double *y, size_t n); /* y += alpha x */
void ref_scale(double alpha, const double *x, double *y, size_t n);
void ref_gain_fwd(double gain, const double *f, const double *residual, double *y, size_t n);
/* df = gain dy; returns the gradient of the gain, sum f dy */
double ref_gain_bwd(double gain, const double *f, const double *dy, double *df, size_t n);

#endif
