#include "kernels/ref/ref_layernorm.h"
#include <math.h>
#include <stdbool.h>
#include "kernels/ref/ref_bound.h"

void ref_layernorm_fwd(size_t rows, size_t c, const double *x, const double *gamma,
                       const double *beta, double eps, double *y, double *mean, double *rstd) {
    for (size_t r = 0; r < rows; r++, x += c, y += c) {
        double sum = 0;
        for (size_t j = 0; j < c; j++) sum += x[j] - x[0];
        mean[r] = x[0] + sum / (double)c;
        double sq = 0;
        for (size_t j = 0; j < c; j++) sq += (x[j] - mean[r]) * (x[j] - mean[r]);
        rstd[r] = 1 / sqrt(sq / (double)c + eps);
        for (size_t j = 0; j < c; j++)
            y[j] = (x[j] - mean[r]) * rstd[r] * (gamma ? gamma[j] : 1) + (beta ? beta[j] : 0);
    }
}

void ref_layernorm_bwd(size_t rows, size_t c, const double *dy, const double *x, const double *mean,
                       const double *rstd, const double *gamma, double *dx, double *dgamma,
                       double *dbeta) {
    for (size_t r = 0; r < rows; r++) {
        const double *g = dy + r * c;
        double mg = 0;
        double mgx = 0;
        for (size_t j = 0; j < c; j++) {
            const double xhat = (x[r * c + j] - mean[r]) * rstd[r];
            const double w = gamma ? gamma[j] : 1;
            mg += g[j] * w / (double)c;
            mgx += g[j] * w * xhat / (double)c;
            if (dgamma) dgamma[j] += g[j] * xhat;
            if (dbeta) dbeta[j] += g[j];
        }
        for (size_t j = 0; dx && j < c; j++) {
            const double xhat = (x[r * c + j] - mean[r]) * rstd[r];
            dx[r * c + j] = rstd[r] * (g[j] * (gamma ? gamma[j] : 1) - mg - xhat * mgx);
        }
    }
}

static bool constant(const double *x, size_t c) {
    for (size_t j = 1; j < c; j++)
        if (x[j] != x[0]) return false;
    return true;
}

void ref_layernorm_fwd_bound(size_t rows, size_t c, const double *x, const double *gamma,
                             const double *beta, const double *mean, const double *rstd,
                             double *tol_y, double *tol_mean, double *tol_rstd) {
    const double k = ((double)c / 32 + 8) * REF_U;
    for (size_t r = 0; r < rows; r++) {
        const double m = fabs(mean[r]), i = rstd[r];
        const bool flat = constant(x + r * c, c);
        tol_mean[r] = flat ? 0 : k * (m + 1 / i);
        tol_rstd[r] = k * i;
        for (size_t j = 0; j < c; j++) {
            const double xhat = (x[r * c + j] - mean[r]) * i;
            const double scale = (1 + m * i) * (1 + fabs(xhat)) * (gamma ? fabs(gamma[j]) : 1);
            tol_y[r * c + j] = flat ? 0 : k * (scale + (beta ? fabs(beta[j]) : 0));
        }
    }
}

void ref_layernorm_bwd_bound(size_t rows, size_t c, const double *dy, const double *x,
                             const double *mean, const double *rstd, const double *gamma,
                             double *tol_dx) {
    for (size_t r = 0; r < rows; r++) {
        double abs_g = 0, abs_gx = 0;
        for (size_t j = 0; j < c; j++) {
            const size_t i = r * c + j;
            const double g = fabs(dy[i] * (gamma ? gamma[j] : 1)) / (double)c;
            abs_g += g;
            abs_gx += g * fabs(x[i] - mean[r]) * rstd[r];
        }
        for (size_t j = 0; j < c; j++) {
            const size_t i = r * c + j;
            const double xhat = (x[i] - mean[r]) * rstd[r];
            const double g = fabs(dy[i] * (gamma ? gamma[j] : 1));
            const double terms = rstd[r] * (g + abs_g + fabs(xhat) * abs_gx);
            tol_dx[i] = REF_U * ((double)c / 32 + 12) * terms + 0x1p-140;
        }
    }
}
