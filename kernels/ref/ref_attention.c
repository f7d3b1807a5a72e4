#include "kernels/ref/ref_attention.h"
#include <math.h>
#include "kernels/base/philox.h"
#include "kernels/ref/ref_bound.h"

static double dot(const double *a, const double *b, size_t n) {
    double s = 0;
    for (size_t i = 0; i < n; i++) s += a[i] * b[i];
    return s;
}
static void axpy(double a, const double *x, size_t n, double *y) {
    for (size_t i = 0; i < n; i++) y[i] += a * x[i];
}

static double factor(const double *f, size_t t, size_t i, size_t j) { return f ? f[i * t + j] : 1; }

double ref_attention_drop(const struct weft_attn_drop *d, size_t query, size_t key) {
    const uint32_t counter[4] = {(uint32_t)(key / 64 * 16 + key % 16), (uint32_t)query,
                                 (uint32_t)d->sample, (uint32_t)d->step};
    uint32_t of_stream[2], r[4];
    philox_key(d->seed, d->stream, PHILOX_DROPOUT, of_stream);
    philox_block(counter, of_stream, r);
    const bool kept = (double)(r[key % 64 / 16] >> 1) >= (double)d->p * 0x1p31;
    return kept ? (double)(1 / (1 - d->p)) : 0;
}

void ref_attention_fwd(size_t t, size_t hs, const double *q, const double *k, const double *v,
                       const double *f, double scale, bool causal, double *y, double *lse,
                       double *smax) {
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
            axpy(p * factor(f, t, i, j), v + j * hs, hs, y + i * hs);
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
                       const double *f, const double *y, const double *lse, const double *dy,
                       double scale, bool causal, double *dq, double *dk, double *dv) {
    for (size_t i = 0; i < t * hs; i++) dq[i] = dk[i] = dv[i] = 0;
    for (size_t i = 0; i < t; i++) {
        const double big_d = dot(dy + i * hs, y + i * hs, hs);
        for (size_t j = 0; j < (causal ? i + 1 : t); j++) {
            const double p = exp(dot(q + i * hs, k + j * hs, hs) * scale - lse[i]);
            const double kept = factor(f, t, i, j);
            const double ds = p * (kept * dot(dy + i * hs, v + j * hs, hs) - big_d) * scale;
            axpy(p * kept, dy + i * hs, hs, dv + j * hs);
            axpy(ds, q + i * hs, hs, dk + j * hs);
            axpy(ds, k + j * hs, hs, dq + i * hs);
        }
    }
}

static double dot_abs(const double *a, const double *b, size_t n) {
    double s = 0;
    for (size_t i = 0; i < n; i++) s += fabs(a[i] * b[i]);
    return s;
}

/* One query over n keys, f its factors or NULL; tol_y (hs), the other two one each. */
static void bound_row(size_t n, size_t hs, const double *q, const double *k, const double *v,
                      const double *f_row, double scale, double r, const double *y, double lse,
                      double smax, double *tol_y, double *tol_lse, double *tol_smax) {
    const double blocks = (double)(n / 64 + 1);
    double worst = 0, drift = 0, vmax = 0;
    for (size_t d = 0; d < hs; d++) tol_y[d] = 0;
    for (size_t j = 0; j < n; j++) {
        const double score = dot(q, k + j * hs, hs) * scale;
        const double p = exp(score - lse);
        const double e = REF_U * ((double)hs + 1) * scale * dot_abs(q, k + j * hs, hs);
        const double f = expm1(e + REF_U * (2 * (smax - score) + 3 * blocks + 4));
        if (e > worst) worst = e;
        drift += p * f;
        for (size_t d = 0; d < hs; d++) {
            const double term = fabs(v[j * hs + d]) * (f_row ? f_row[j] : 1);
            tol_y[d] += p * term * (f + ((double)n + 3) * REF_U + r * (1 + f));
            vmax = fmax(vmax, term);
        }
    }
    for (size_t d = 0; d < hs; d++) {
        tol_y[d] += fabs(y[d]) * (drift + (2 * blocks + 8) * REF_U) + 0x1p-110 * vmax;
        if (!(worst < 0.5) && !isnan(y[d])) tol_y[d] = INFINITY;
    }
    *tol_smax = worst;
    *tol_lse = worst + drift + REF_U * (2 * blocks + 10 + 2 * fabs(lse) + fabs(lse - smax));
}

void ref_attention_fwd_bound(size_t t, size_t hs, const double *q, const double *k, const double *v,
                             const double *f, double scale, bool causal, double r, const double *y,
                             const double *lse, const double *smax, double *tol_y, double *tol_lse,
                             double *tol_smax) {
    for (size_t i = 0; i < t; i++)
        bound_row(causal ? i + 1 : t, hs, q + i * hs, k, v, f ? f + i * t : NULL, scale, r,
                  y + i * hs, lse[i], smax[i], tol_y + i * hs, &tol_lse[i], &tol_smax[i]);
}

void ref_attention_entropy_bound(size_t t, size_t hs, const double *q, const double *k,
                                 double scale, bool causal, const double *lse, const double *smax,
                                 double *tol) {
    for (size_t i = 0; i < t; i++, q += hs) {
        const size_t n = causal ? i + 1 : t;
        const double blocks = (double)(n / 64 + 1);
        double worst = 0, drift = 0, far = 0, below = 0;
        for (size_t j = 0; j < n; j++) {
            const double away = smax[i] - dot(q, k + j * hs, hs) * scale;
            const double p = exp(smax[i] - away - lse[i]);
            const double e = REF_U * ((double)hs + 1) * scale * dot_abs(q, k + j * hs, hs);
            const double f = expm1(e + REF_U * (2 * away + 3 * blocks + 4));
            worst = fmax(worst, e);
            drift += p * f;
            if (p > 0) far += p * f * away;
            if (p > 0) below += p * away;
        }
        const double size = 1 + below + fabs(lse[i] - smax[i]);
        tol[i] = 2 * worst * (1 + log((double)n)) + 2 * far + drift * size +
                 REF_U * (2 * blocks + (double)n / 32 + 20) * size;
        if (!(worst < 0.5)) tol[i] = INFINITY;
    }
}

void ref_attention_bwd_bound(size_t t, size_t hs, const double *q, const double *k, const double *v,
                             const double *f, const double *y, const double *lse, const double *dy,
                             double scale, bool causal, double r, double *tol_dq,
                             double *tol_dk, double *tol_dv) {
    const double steps = ((double)t + 8) * REF_U;
    for (size_t i = 0; i < t; i++, q += hs, y += hs, dy += hs, tol_dq += hs) {
        const double big_d = dot(dy, y, hs);
        const double err_d = REF_U * ((double)hs / 32 + 6) * dot_abs(dy, y, hs);
        for (size_t j = 0; j < (causal ? i + 1 : t); j++) {
            const double *kj = k + j * hs, *vj = v + j * hs;
            const double score = dot(q, kj, hs) * scale;
            const double p = exp(score - lse[i]);
            const double kept = factor(f, t, i, j);
            const double g = fabs(kept * dot(dy, vj, hs) - big_d);
            const double e = REF_U * ((double)hs + 1) * scale * dot_abs(q, kj, hs);
            const double rel = e < 0.5 ? expm1(e + REF_U * (fabs(score - lse[i]) + 2)) : INFINITY;
            const double err_dp = REF_U * ((double)hs + 1) * kept * dot_abs(dy, vj, hs);
            const double exact = p * scale * (err_dp + err_d + g * (rel + 4 * REF_U + steps));
            const double err = exact + r * (p * scale * g + exact);
            const double rel_dv = rel + steps + r * (1 + rel);
            for (size_t d = 0; d < hs; d++) {
                tol_dq[d] += err * fabs(kj[d]) + 0x1p-110;
                tol_dk[j * hs + d] += err * fabs(q[d]) + 0x1p-110;
                tol_dv[j * hs + d] += p * kept * fabs(dy[d]) * rel_dv + 0x1p-110;
            }
        }
    }
}
