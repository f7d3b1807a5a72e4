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

static void put_segment(struct sink *s, const struct weft_segment_stats *g, const char *tensor,
                        bool watch) {
    const double n = (double)g->count, mean = g->w_sum / n;
    const double var = g->w_sumsq / n - mean * mean;
    put(s, g->layer, tensor, "mean", mean);
    put(s, g->layer, tensor, "std", var > 0 ? sqrt(var) : 0);
    put(s, g->layer, tensor, "absmax", g->w_absmax);
    put(s, g->layer, tensor, "gnorm", sqrt(g->g_sumsq));
    put(s, g->layer, tensor, "update_ratio", g->w_sumsq > 0 ? sqrt(g->d_sumsq / g->w_sumsq) : 0);
    if (g->half) put(s, g->layer, tensor, "bf16_lost", g->moves > 0 ? g->lost / g->moves : 0);
    if (g->half && g->decays)
        put(s, g->layer, tensor, "decay_effect",
            g->decay_want > 0 ? g->decay_done / g->decay_want : 1);
    if (!watch) return;
    put(s, g->layer, tensor, "norm", sqrt(g->w_sumsq));
    put(s, g->layer, tensor, "rate", g->rate_sum / n);
}

/* Matrices and their slices; parts of a slice, then the slice that they make. */
static void put_segments(struct sink *s, const weft_model *m) {
    struct weft_segment_stats seg, next, whole = {0};
    const bool watch = weft_model_watches(m, "weights");
    bool more = weft_optim_segment(m->update, 0, &seg);
    for (size_t i = 0; more; i++, seg = next) {
        more = weft_optim_segment(m->update, i + 1, &next);
        if (seg.matrix) put_segment(s, &seg, seg.tensor, watch);
        if (seg.whole == NULL) continue;
        if (whole.count == 0)
            whole = seg;
        else
            weft_optim_join(&whole, &seg);
        if (more && next.whole != NULL && strcmp(next.whole, seg.whole) == 0) continue;
        put_segment(s, &whole, seg.whole, watch);
        whole.count = 0;
    }
}

/* A block has two LayerNorms: the first sees the stream as it enters, the second between its
 * halves; the one after the last block belongs to none. */
static const char *stream_name(const weft_program *p, size_t probe, int layer) {
    const size_t node = p->probe[probe].node;
    for (size_t i = 0; i < node; i++)
        if (p->node[i].op == &weft_op_layernorm && p->node[i].layer == layer) return "resid_mid";
    return "resid";
}

static void put_probes(struct sink *s, const weft_model *m, size_t rows) {
    const weft_program *const p = m->train.program;
    for (size_t i = 0; i < p->probes; i++) {
        struct weft_probe_value v[WEFT_PROBE_VALUES];
        const size_t n = weft_probe_read(p, i, rows, v);
        for (size_t j = 0; j < n; j++) {
            const bool stream = strcmp(v[j].tensor, "stream") == 0;
            put(s, v[j].layer, stream ? stream_name(p, i, v[j].layer) : v[j].tensor, v[j].kind,
                v[j].value);
        }
    }
}

static bool ends_with(const char *text, const char *end) {
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* The value of two sets of rows from those of each: a maximum, a root of a mean square, or a mean;
 * share is the part of the rows that are new. */
static double join(const char *kind, double old, double new, double share) {
    if (ends_with(kind, "max")) return new > old ? new : old;
    if (ends_with(kind, "std") || ends_with(kind, "rms"))
        return sqrt(old * old * (1 - share) + new *new *share);
    return old * (1 - share) + new *share;
}

void weft_model_look(weft_model *m, size_t rows) {
    struct weft_seen *const seen = &m->seen;
    struct sink now = {seen->value + seen->room, 0, seen->room};
    if (seen->room == 0) return;
    put_probes(&now, m, rows);
    if (seen->closed) seen->rows = 0;
    seen->closed = false;
    seen->count = now.n;
    seen->rows += (double)rows;
    for (size_t i = 0; i < now.n; i++) {
        struct weft_statistic *const s = &seen->value[i];
        const double share = (double)rows / seen->rows;
        const double value =
            share == 1 ? now.out[i].value : join(s->kind, s->value, now.out[i].value, share);
        *s = now.out[i];
        s->value = value;
    }
}

size_t weft_model_statistics(weft_model *m, struct weft_statistic *out, size_t max) {
    struct sink s = {out, 0, max};
    if (m->update != NULL && m->committed) put_segments(&s, m);
    if (m->train.program == NULL || !m->committed) return s.n;
    if (m->seen.count == 0)
        put_probes(&s, m, m->probe_rows); /* no step yet: how many there will be */
    for (size_t i = 0; i < m->seen.count; i++) {
        const struct weft_statistic *const v = &m->seen.value[i];
        put(&s, v->layer, v->tensor, v->kind, v->value);
    }
    return s.n;
}

size_t weft_model_probes(weft_model *m, struct weft_probe_value *out, size_t max) {
    if (m->train.program == NULL || !m->committed) return 0;
    return weft_program_probes(m->train.program, m->probe_rows, out, max);
}

enum weft_status weft_model_histogram(weft_model *m, const char *param, size_t bins,
                                      uint64_t *counts, double *lo, double *hi) {
    if (m == NULL || param == NULL || counts == NULL || lo == NULL || hi == NULL)
        return WEFT_ERR_NULL;
    const weft_graph *const g = m->graph;
    for (size_t t = 0; bins > 0 && m->committed && t < g->tensors; t++) {
        const struct weft_tensor_desc *const d = &g->tensor[t];
        if (d->kind != WEFT_PARAM || strcmp(d->name, param) != 0) continue;
        if (d->dtype == WEFT_COMPACT) break;
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
    return weft_ctx_fail(m->ctx, WEFT_ERR_ARG, "histogram: no parameter \"%s\" in f32 (or no bins)",
                         param);
}
