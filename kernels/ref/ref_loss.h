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
#endif
