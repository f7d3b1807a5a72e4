#include "kernels/ref/ref_loss.h"
#include <math.h>
#include "kernels/ref/ref_bound.h"

/* Largest element, 0 for a row of all -inf, and sum of exp(x - max). */
static double exp_sum(size_t v, const double *x, double inv_temp, double *max) {
    double top = -INFINITY;
    for (size_t j = 0; j < v; j++) top = fmax(top, x[j] * inv_temp);
    *max = top == -INFINITY ? 0 : top;
    double sum = 0;
    for (size_t j = 0; j < v; j++) sum += exp(x[j] * inv_temp - *max);
    return sum;
}

void ref_softmax_fwd(size_t rows, size_t v, const double *x, double inv_temp, double *p) {
    for (size_t r = 0; r < rows; r++, x += v, p += v) {
        double max;
        const double sum = exp_sum(v, x, inv_temp, &max);
        for (size_t j = 0; j < v; j++) p[j] = sum == 0 ? 0 : exp(x[j] * inv_temp - max) / sum;
    }
}

void ref_xent_fwd(size_t rows, size_t v, const double *x, const long *target, double *loss,
                  double *lse) {
    for (size_t r = 0; r < rows; r++, x += v) {
        loss[r] = lse[r] = 0;
        if (target[r] < 0) continue;
        double max;
        const double sum = exp_sum(v, x, 1, &max);
        lse[r] = max + log(sum);
        loss[r] = log(sum) + (max - x[target[r]]);
    }
}

void ref_xent_bwd(size_t rows, size_t v, const double *x, const long *target, double scale,
                  double *dx) {
    ref_softmax_fwd(rows, v, x, 1, dx);
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < v; j++) {
            const double hot = target[r] == (long)j;
            dx[r * v + j] = target[r] < 0 ? 0 : (dx[r * v + j] - hot) * scale;
        }
}

void ref_mse_fwd(size_t rows, size_t n, const double *x, const double *y, double *loss) {
    for (size_t r = 0; r < rows; r++) {
        loss[r] = 0;
        for (size_t j = r * n; j < (r + 1) * n; j++)
            loss[r] += (x[j] - y[j]) * (x[j] - y[j]) / (double)n;
    }
}

void ref_mse_bwd(size_t rows, size_t n, const double *x, const double *y, double scale,
                 double *dx) {
    for (size_t j = 0; j < rows * n; j++) dx[j] = 2 * (x[j] - y[j]) * scale / (double)n;
}

static double max_of(const double *x, size_t n) {
    double max = -INFINITY;
    for (size_t j = 0; j < n; j++) max = fmax(max, x[j]);
    return max;
}

/* How far a logit is below the largest of its row; a probability of 0 is exact. */
static double away(double x, double max) { return isinf(x) ? 0 : fabs(x - max); }

static double terms(size_t v) { return 8 + log2((double)v); }

void ref_softmax_bound(size_t rows, size_t v, const double *x, double inv_temp, const double *want,
                       double *tol) {
    for (size_t r = 0; r < rows; r++, x += v, want += v, tol += v) {
        const double max = max_of(x, v);
        for (size_t j = 0; j < v; j++)
            tol[j] = REF_U * want[j] * (terms(v) + 2 * away(x[j], max) * inv_temp) + REF_TINY;
    }
}

double ref_xent_bound(size_t v, double loss) { return terms(v) * REF_U * (1 + fabs(loss)); }

void ref_xent_bwd_bound(size_t rows, size_t v, const double *x, const long *target, double scale,
                        const double *want, double *tol) {
    for (size_t r = 0; r < rows; r++, x += v, want += v, tol += v) {
        const double max = max_of(x, v);
        for (size_t j = 0; j < v; j++) {
            const double hot = target[r] == (long)j ? scale : 0;
            const double p = (want[j] + hot) * (terms(v) + away(x[j], max));
            tol[j] = target[r] < 0 ? 0 : REF_U * (p + hot) + REF_TINY;
        }
    }
}

double ref_mse_bound(double loss) { return 44 * REF_U * loss; }
double ref_mse_bwd_bound(double dx) { return 4 * REF_U * fabs(dx); }
