/* ref_xent_bwd and ref_mse_bwd are the derivatives of the scaled sums of losses. */
#include "kernels/ref/ref_loss.h"
#include "tests/support/fd.h"

enum { R = 4, V = 6 };
static double x[R * V], y[R * V], dx[R * V], loss[R], lse[R];
static const long target[R] = {2, -1, 0, 5};
static const double scale = 0.7;

static double xent(void *user) {
    (void)user;
    ref_xent_fwd(R, V, x, target, loss, lse);
    double sum = 0;
    for (int r = 0; r < R; r++) sum += scale * loss[r];
    return sum;
}
static double mse(void *user) {
    (void)user;
    ref_mse_fwd(R, V, x, y, loss);
    double sum = 0;
    for (int r = 0; r < R; r++) sum += scale * loss[r];
    return sum;
}

int main(void) {
    fd_fill(x, R * V);
    fd_fill(y, R * V);
    ref_xent_bwd(R, V, x, target, scale, dx);
    fd_check("cross-entropy dx", x, R * V, dx, xent, 0);
    ref_mse_bwd(R, V, x, y, scale, dx);
    fd_check("squared error dx", x, R * V, dx, mse, 0);
    return fd_report();
}
