#include "kernels/ref/ref_attention.h"
#include <math.h>

static double dot(const double *a, const double *b, size_t n) {
    double s = 0;
    for (size_t i = 0; i < n; i++) s += a[i] * b[i];
    return s;
}
static void axpy(double a, const double *x, size_t n, double *y) {
    for (size_t i = 0; i < n; i++) y[i] += a * x[i];
}

void ref_attention_fwd(size_t t, size_t hs, const double *q, const double *k, const double *v,
                       double scale, bool causal, double *y, double *lse, double *smax) {
    for (size_t i = 0; i < t; i++) {
        const size_t n = causal ? i + 1 : t;
        double m = -INFINITY;
        for (size_t j = 0; j < n; j++) {
            const double s = dot(q + i * hs, k + j * hs, hs) * scale;
            if (s > m || isnan(s)) m = s;
        }
        double l = 0;
        for (size_t d = 0; d < hs; d++) y[i * hs + d] = 0;
        for (size_t j = 0; j < n; j++) {
            const double p = exp(dot(q + i * hs, k + j * hs, hs) * scale - m);
            l += p;
            axpy(p, v + j * hs, hs, y + i * hs);
        }
        for (size_t d = 0; d < hs; d++) y[i * hs + d] /= l;
        lse[i] = m + log(l);
        smax[i] = m;
    }
}

void ref_attention_entropy(size_t t, size_t hs, const double *q, const double *k, double scale,
                           bool causal, const double *lse, double *entropy) {
    for (size_t i = 0; i < t; i++) {
        entropy[i] = 0;
        for (size_t j = 0; j < (causal ? i + 1 : t); j++) {
            const double log_p = dot(q + i * hs, k + j * hs, hs) * scale - lse[i];
            const double p = exp(log_p);
            entropy[i] -= p == 0 ? 0 : p * log_p;
        }
    }
}

void ref_attention_bwd(size_t t, size_t hs, const double *q, const double *k, const double *v,
                       const double *y, const double *lse, const double *dy, double scale,
                       bool causal, double *dq, double *dk, double *dv) {
    for (size_t i = 0; i < t * hs; i++) dq[i] = dk[i] = dv[i] = 0;
    for (size_t i = 0; i < t; i++) {
        const double big_d = dot(dy + i * hs, y + i * hs, hs);
        for (size_t j = 0; j < (causal ? i + 1 : t); j++) {
            const double p = exp(dot(q + i * hs, k + j * hs, hs) * scale - lse[i]);
            const double ds = p * (dot(dy + i * hs, v + j * hs, hs) - big_d) * scale;
            axpy(p, dy + i * hs, hs, dv + j * hs);
            axpy(ds, q + i * hs, hs, dk + j * hs);
            axpy(ds, k + j * hs, hs, dq + i * hs);
        }
    }
}
