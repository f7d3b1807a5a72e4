#include "kernels/ref/ref_layernorm.h"
#include <math.h>

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
