/* LayerNorm in double (kernels/layernorm.h has the equations); every (rows, c) array is dense. */
#ifndef WEFT_REF_LAYERNORM_H
#define WEFT_REF_LAYERNORM_H
#include <stddef.h>

/* gamma, beta (c) or NULL. y (rows, c) =, mean, rstd (rows) =. */
void ref_layernorm_fwd(size_t rows, size_t c, const double *x, const double *gamma,
                       const double *beta, double eps, double *y, double *mean, double *rstd);
/* dx (rows, c) =, dgamma, dbeta (c) += ; each may be NULL. Any mean and rstd are taken as they are.
 */
void ref_layernorm_bwd(size_t rows, size_t c, const double *dy, const double *x, const double *mean,
                       const double *rstd, const double *gamma, double *dx, double *dgamma,
                       double *dbeta);

/* Bounds, K = c/32 + 8; mean and rstd as the oracle made them.
 *   y     K u ((1 + |mean| rstd) (1 + |xhat|) |gamma| + |beta|); a constant row is beta exactly */
void ref_layernorm_fwd_bound(size_t rows, size_t c, const double *x, const double *gamma,
                             const double *beta, const double *mean, const double *rstd,
                             double *tol_y, double *tol_mean, double *tol_rstd);
/* dx: (c/32 + 12) u times what it is summed from. */
void ref_layernorm_bwd_bound(size_t rows, size_t c, const double *dy, const double *x,
                             const double *mean, const double *rstd, const double *gamma,
                             double *tol_dx);
#endif
