/* What a step tells about itself: by-products of the optimizer sweep and of the forward kernels. */
#include <math.h>
#include <string.h>

#include "models/model.h"
#include "runtime/optim.h"
#include "runtime/probe.h"

struct sink {
    struct weft_statistic *out;
    size_t n, max;
};

static void put(struct sink *s, int layer, const char *tensor, const char *kind, double value) {
    if (s->n < s->max) s->out[s->n] = (struct weft_statistic){layer, tensor, kind, value};
    s->n++;
}

static void put_segment(struct sink *s, const struct weft_segment_stats *g) {
    const double n = (double)g->count, mean = g->w_sum / n;
    const double var = g->w_sumsq / n - mean * mean;
    put(s, g->layer, g->tensor, "mean", mean);
    put(s, g->layer, g->tensor, "std", var > 0 ? sqrt(var) : 0);
    put(s, g->layer, g->tensor, "absmax", g->w_absmax);
    put(s, g->layer, g->tensor, "gnorm", sqrt(g->g_sumsq));
    put(s, g->layer, g->tensor, "update_ratio", g->w_sumsq > 0 ? sqrt(g->d_sumsq / g->w_sumsq) : 0);
}

static void put_probes(struct sink *s, const weft_model *m) {
    const weft_program *const p = m->train.program;
    for (size_t i = 0; i < p->probes; i++) {
        struct weft_probe_value v;
        weft_probe_read(p, i, m->probe_rows, &v);
        /* A block has two LayerNorms: the first sees the stream as it enters, the second between
         * its halves; the one after the last block belongs to none. */
        const bool second = i > 0 && p->probe[i - 1].layer == v.layer;
        const bool residual = strcmp(v.kind, "std") == 0;
        put(s, v.layer, !residual ? "attn" : second ? "resid_mid" : "resid", v.kind, v.value);
    }
}

size_t weft_model_statistics(weft_model *m, struct weft_statistic *out, size_t max) {
    struct sink s = {out, 0, max};
    struct weft_segment_stats seg;
    if (m->update != NULL && m->committed)
        for (size_t i = 0; weft_optim_segment(m->update, i, &seg); i++)
            if (seg.matrix) put_segment(&s, &seg);
    if (m->train.program != NULL && m->committed) put_probes(&s, m);
    return s.n;
}

enum weft_status weft_model_histogram(weft_model *m, const char *param, size_t bins,
                                      uint64_t *counts, double *lo, double *hi) {
    if (m == NULL || param == NULL || counts == NULL || lo == NULL || hi == NULL)
        return WEFT_ERR_NULL;
    const weft_graph *const g = m->graph;
    for (size_t t = 0; bins > 0 && m->committed && t < g->tensors; t++) {
        const struct weft_tensor_desc *const d = &g->tensor[t];
        if (d->kind != WEFT_PARAM || strcmp(d->name, param) != 0) continue;
        const float *const w = d->data;
        const size_t n = weft_desc_count(d);
        double sum = 0, sumsq = 0;
        for (size_t i = 0; i < n; i++) sum += (double)w[i];
        const double mean = sum / (double)n;
        for (size_t i = 0; i < n; i++) sumsq += ((double)w[i] - mean) * ((double)w[i] - mean);
        const double std = sqrt(sumsq / (double)n), width = std > 0 ? 8 * std : 1;
        *lo = mean - width / 2;
        *hi = mean + width / 2;
        memset(counts, 0, bins * sizeof *counts);
        for (size_t i = 0; i < n; i++) {
            const double at = ((double)w[i] - *lo) / width * (double)bins;
            if (at >= 0 && at < (double)bins) counts[(size_t)at]++;
        }
        return WEFT_OK;
    }
    return weft_ctx_fail(m->ctx, WEFT_ERR_ARG, "histogram: no parameter \"%s\" (or no bins)",
                         param);
}
