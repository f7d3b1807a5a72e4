/* See look.h. */
#include "studies/look.h"

#include <math.h>
#include <stdlib.h>

#define ROWS 16   /* of a stream that an effective step is measured on */
#define WIDE 2048 /* the widest one */

/* ---- histograms ---- */
void look_histogram(struct study_run *r, uint64_t step, const char *tensor, const float *x,
                    size_t n, double half) {
    double count[LOOK_BINS + 2] = {0}, mean = 0, m2 = 0, m4 = 0;
    for (size_t i = 0; i < n; i++) {
        const double at = ((double)x[i] / half + 1) / 2 * LOOK_BINS;
        count[at < 0 ? 0 : at >= LOOK_BINS ? LOOK_BINS + 1 : (size_t)at + 1]++;
        mean += (double)x[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        const double d2 = ((double)x[i] - mean) * ((double)x[i] - mean);
        m2 += d2 / (double)n;
        m4 += d2 * d2 / (double)n;
    }
    for (int i = 0; i < LOOK_BINS + 2; i++)
        if (count[i] > 0) study_put(r, (int64_t)step, i, tensor, KIND_count, count[i]);
    study_put(r, (int64_t)step, -1, tensor, KIND_mean, mean);
    study_put(r, (int64_t)step, -1, tensor, KIND_std, sqrt(m2));
    study_put(r, (int64_t)step, -1, tensor, KIND_kurt, m4 / (m2 * m2));
}

bool look_density(const struct study_cell *c, uint64_t step, const char *tensor, double half,
                  double *x, double *y) {
    const double width = 2 * half / LOOK_BINS;
    double all = 0;
    for (int i = 0; i < LOOK_BINS + 2; i++) {
        const double n = study_value(c, KIND_count, i, tensor, (int64_t)step);
        all += isnan(n) ? 0 : n;
        if (i == 0 || i > LOOK_BINS) continue;
        x[i - 1] = -half + (i - 0.5) * width;
        y[i - 1] = n / width;
    }
    for (int i = 0; i < LOOK_BINS; i++) y[i] /= all;
    return all > 0;
}

void look_normal(double std, const double *x, double *y) {
    for (size_t b = 0; b < LOOK_BINS; b++)
        y[b] = exp(-x[b] * x[b] / (2 * std * std)) / (std * sqrt(2 * acos(-1)));
}

/* ---- signal and noise ---- */
/* Sums of gradients and of their squares over fresh batches. */
static enum weft_status add_gradients(struct trial *t, struct weft_param_info *const *param,
                                      size_t n, double **mean, double *square) {
    const size_t rows = t->spec->how.batch;
    enum weft_status st = WEFT_OK;
    for (uint64_t k = 0; k < LOOK_SNR && st == WEFT_OK; k++) {
        const uint64_t first = (t->spec->steps + t->step * LOOK_SNR + k) * rows;
        struct weft_batch batch;
        struct weft_loss loss;
        struct weft_run run = t->how;
        run.statistics = false;
        weft_feed_fill(&t->feed, WEFT_SPLIT_TRAIN, first, rows, &batch);
        st = weft_model_grad(t->model, &batch, &run, &loss);
        for (size_t p = 0; p < n && st == WEFT_OK; p++)
            for (size_t i = 0; i < trial_count(param[p]); i++) {
                const double g = (double)param[p]->grad[i];
                mean[p][i] += g / LOOK_SNR;
                square[p] += g * g;
            }
    }
    return st;
}

enum weft_status look_signal(struct trial *t, struct weft_param_info *const *param, size_t n,
                             const char *tensor) {
    double **const mean = calloc(n, sizeof *mean), *const square = calloc(n, sizeof *square);
    enum weft_status st = mean == NULL || square == NULL ? WEFT_ERR_NOMEM : WEFT_OK;
    for (size_t p = 0; p < n && st == WEFT_OK; p++) {
        mean[p] = calloc(trial_count(param[p]), sizeof **mean);
        if (mean[p] == NULL) st = WEFT_ERR_NOMEM;
    }
    if (st == WEFT_ERR_NOMEM)
        weft_ctx_fail(t->run->ctx, st, "out of memory for gradients");
    else
        st = add_gradients(t, param, n, mean, square);
    for (size_t p = 0; p < n && st == WEFT_OK; p++) {
        double m2 = 0;
        for (size_t i = 0; i < trial_count(param[p]); i++) m2 += mean[p][i] * mean[p][i];
        const double trace = (square[p] - LOOK_SNR * m2) / (LOOK_SNR - 1);
        study_put(t->run, (int64_t)t->step, param[p]->layer, tensor, KIND_value,
                  (m2 - trace / LOOK_SNR) / trace);
    }
    for (size_t p = 0; mean != NULL && p < n; p++) free(mean[p]);
    free(mean);
    free(square);
    return st == WEFT_ERR_NONFINITE ? WEFT_OK : st;
}

/* ---- effective steps ---- */
/* A row of layer norm, in double. */
static void normalise(const float *in, size_t c, const float *gamma, const float *beta,
                      double *out) {
    double mean = 0, var = 0;
    for (size_t i = 0; i < c; i++) mean += (double)in[i] / (double)c;
    for (size_t i = 0; i < c; i++)
        var += ((double)in[i] - mean) * ((double)in[i] - mean) / (double)c;
    for (size_t i = 0; i < c; i++)
        out[i] = ((double)in[i] - mean) / sqrt(var + 1e-5) * (double)gamma[i] + (double)beta[i];
}

double look_effective(const struct weft_param_info *w, const float *before,
                      const struct weft_probe_value *stream, const float *gamma,
                      const float *beta) {
    const size_t c = stream->cols, rows = stream->rows < ROWS ? stream->rows : ROWS;
    double moved = 0, all = 0, x[WIDE];
    for (size_t r = 0; r < rows && c <= WIDE; r++) {
        normalise(stream->of + r * c, c, gamma, beta, x);
        for (size_t o = 0; o < c; o++) {
            double old = 0, new = 0;
            for (size_t i = 0; i < c; i++) {
                old += (double)before[o * c + i] * x[i];
                new += (double)w->data[o * c + i] * x[i];
            }
            moved += (new - old) * (new - old);
            all += old * old;
        }
    }
    return sqrt(moved / all);
}
