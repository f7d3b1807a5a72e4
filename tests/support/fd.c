#include "tests/support/fd.h"
#include <math.h>
#include <stdint.h>
#include <stdio.h>

static size_t checked, failed;
static uint64_t rng = 0x9e3779b97f4a7c15u;

static double uniform(void) { /* xorshift64*, (0, 1) */
    rng ^= rng >> 12;
    rng ^= rng << 25;
    rng ^= rng >> 27;
    return ((double)((rng * 0x2545f4914f6cdd1du) >> 12) + 0.5) * 0x1p-52;
}

void fd_fill(double *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        x[i] = sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform());
}

double fd_dot(const double *w, const double *f, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += w[i] * f[i];
    return sum;
}

static double shifted(double *x, double value, fd_loss *loss, void *user) {
    const double keep = *x;
    *x = value;
    const double l = loss(user);
    *x = keep;
    return l;
}

/* (8 (L(x+h) - L(x-h)) - (L(x+2h) - L(x-2h))) / 12h, error O(h^4). */
static double stencil(double *x, double h, fd_loss *loss, void *user) {
    const double near = shifted(x, *x + h, loss, user) - shifted(x, *x - h, loss, user);
    const double far = shifted(x, *x + 2 * h, loss, user) - shifted(x, *x - 2 * h, loss, user);
    return (8 * near - far) / (12 * h);
}

void fd_check(const char *what, double *x, size_t n, const double *grad, fd_loss *loss,
              void *user) {
    double scale = 0;
    for (size_t i = 0; i < n; i++) scale = fmax(scale, fabs(grad[i]));
    double worst = 0;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        double best = INFINITY;
        for (double h = 1e-4 * fmax(1, fabs(x[i])); h < 2e-2 * fmax(1, fabs(x[i])); h *= 10)
            best = fmin(best, fabs(stencil(&x[i], h, loss, user) - grad[i]));
        if (best > worst) {
            worst = best;
            at = i;
        }
    }
    checked++;
    const int ok = n > 0 && scale > 0 && worst <= 1e-8 * (1 + scale);
    failed += !ok;
    printf("%s %s: %zu derivatives, worst difference %.2g at %zu (largest derivative %.2g)\n",
           ok ? "ok  " : "FAIL", what, n, worst, at, scale);
}

int fd_report(void) {
    if (checked == 0) printf("FAIL: nothing was checked\n");
    return failed > 0 || checked == 0;
}
