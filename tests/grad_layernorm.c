/* ref_layernorm_bwd is the derivative of ref_layernorm_fwd. */
#include "kernels/ref/ref_layernorm.h"
#include "tests/support/fd.h"

enum { R = 3, C = 7 };
static double x[R * C], gamma_[C], beta[C], w[R * C], y[R * C], mean[R], rstd[R];
static double dx[R * C], dgamma[C], dbeta[C];

static double affine(void *user) {
    (void)user;
    ref_layernorm_fwd(R, C, x, gamma_, beta, 1e-3, y, mean, rstd);
    return fd_dot(w, y, R * C);
}
static double plain(void *user) {
    (void)user;
    ref_layernorm_fwd(R, C, x, 0, 0, 1e-3, y, mean, rstd);
    return fd_dot(w, y, R * C);
}

int main(void) {
    fd_fill(x, R * C);
    fd_fill(gamma_, C);
    fd_fill(beta, C);
    fd_fill(w, R * C);
    affine(0);
    ref_layernorm_bwd(R, C, w, x, mean, rstd, gamma_, dx, dgamma, dbeta);
    fd_check("dx", x, R * C, dx, affine, 0);
    fd_check("dgamma", gamma_, C, dgamma, affine, 0);
    fd_check("dbeta", beta, C, dbeta, affine, 0);
    plain(0);
    ref_layernorm_bwd(R, C, w, x, mean, rstd, 0, dx, 0, 0);
    fd_check("dx without gamma", x, R * C, dx, plain, 0);
    return fd_report();
}
