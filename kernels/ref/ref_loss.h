/* Losses in double (kernels/loss.h has the equations); (rows, v) arrays are dense. */
#ifndef WEFT_REF_LOSS_H
#define WEFT_REF_LOSS_H
#include <stddef.h>

/* p (rows, v) = softmax(x * inv_temp); may be x. A row of all -inf gives zeros. */
void ref_softmax_fwd(size_t rows, size_t v, const double *x, double inv_temp, double *p);
/* loss[r] = log Z_r - x[r, target[r]], lse[r] = log Z_r; both 0 where target < 0. */
void ref_xent_fwd(size_t rows, size_t v, const double *x, const long *target, double *loss,
                  double *lse);
/* dx (rows, v) = (softmax(x) - onehot(target)) * scale, zeros where target < 0. */
void ref_xent_bwd(size_t rows, size_t v, const double *x, const long *target, double scale,
                  double *dx);
/* loss[r] = mean_j (x - y)^2; dx (rows, n) = 2 (x - y) scale / n. */
void ref_mse_fwd(size_t rows, size_t n, const double *x, const double *y, double *loss);
void ref_mse_bwd(size_t rows, size_t n, const double *x, const double *y, double scale, double *dx);

/* Bounds, K = 8 + log2 v: p u (K + |x - max|); loss and lse K u (1 + |loss|). exp gives 0 where it
 * would be denormal, so a probability below FLT_MIN may be off by FLT_MIN. want: the oracle's. */
void ref_softmax_bound(size_t rows, size_t v, const double *x, double inv_temp, const double *want,
                       double *tol);
double ref_xent_bound(size_t v, double loss);
void ref_xent_bwd_bound(size_t rows, size_t v, const double *x, const long *target, double scale,
                        const double *want, double *tol);
double ref_mse_bound(double loss);
double ref_mse_bwd_bound(double dx);
#endif
