/* What every model does: settings, memory, parameters, the training step, evaluation. */
#include "models/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/graph.h"
#include "runtime/optim.h"
#include "runtime/probe.h"

bool weft_model_watches(const weft_model *m, const char *word) {
    const size_t n = strlen(word);
    const char *const all = m->training.watch;
    if (all == NULL || strcmp(all, "all") == 0) return all != NULL;
    for (const char *p = all; (p = strstr(p, word)) != NULL; p += n)
        if ((p == all || p[-1] == ' ') && (p[n] == ' ' || p[n] == 0)) return true;
    return false;
}

/* ---- creation ---- */
enum weft_status weft_model_begin(weft_ctx *ctx, const struct weft_training *training,
                                  weft_model **out) {
    weft_model *const m = calloc(1, sizeof *m);
    if (m == NULL) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory for a model");
    m->ctx = ctx;
    m->training = *training;
    const enum weft_status st = weft_graph_create(ctx, &m->graph);
    if (st != WEFT_OK) {
        free(m);
        return st;
    }
    static const struct weft_io none = {.tokens = WEFT_NONE,
                                        .inputs = WEFT_NONE,
                                        .targets = WEFT_NONE,
                                        .values = WEFT_NONE,
                                        .loss = WEFT_NONE,
                                        .correct = WEFT_NONE,
                                        .logits = WEFT_NONE};
    m->train = m->eval = m->prefill = m->decode = m->score = none;
    weft_graph_accumulate(m->graph, training->accumulate, training->grad_groups);
    if (training->keep) weft_graph_keep_probed(m->graph);
    *out = m;
    return WEFT_OK;
}

static bool has_optimizer(const weft_model *m) {
    return m->train.program != NULL && m->training.optim.name != NULL;
}

enum weft_status weft_model_end(weft_model *m, weft_model **out) {
    if (has_optimizer(m)) {
        if (m->graph->grad_groups > 1) {
            m->fold = weft_program_create(m->graph, "fold", 1);
            if (m->fold != NULL) weft_grad_fold(m->fold);
        }
        m->update = weft_program_create(m->graph, "update", 1);
        if (m->update != NULL) weft_optimizer(m->update, &m->training.optim);
    }
    if (m->train.program != NULL && m->train.program->probes > 0) {
        m->seen.room = m->train.program->probes * WEFT_PROBE_VALUES;
        m->seen.value = weft_graph_alloc(m->graph, 2 * m->seen.room * sizeof *m->seen.value);
    }
    const enum weft_status st = m->graph->status;
    if (st != WEFT_OK)
        weft_model_free(m);
    else
        *out = m;
    return st;
}

enum weft_status weft_model_memory(weft_model *m, struct weft_memory *out) {
    if (m == NULL) return WEFT_ERR_NULL;
    return weft_graph_memory(m->graph, out);
}

enum weft_status weft_model_commit(weft_model *m) {
    if (m == NULL) return WEFT_ERR_NULL;
    const enum weft_status st = weft_graph_commit(m->graph);
    if (st == WEFT_OK) m->committed = true;
    return st;
}

void weft_model_free(weft_model *m) {
    if (m == NULL) return;
    weft_graph_free(m->graph);
    free(m);
}

/* ---- parameters ---- */
size_t weft_model_params(const weft_model *m, struct weft_param_info *out, size_t max) {
    weft_graph *const g = m->graph;
    size_t n = 0;
    g->stale |= g->half && max > 0; /* who has the pointers may write */
    for (size_t t = 0; t < g->tensors; t++) {
        const struct weft_tensor_desc *const d = &g->tensor[t];
        if (d->kind != WEFT_PARAM) continue;
        if (n < max) {
            const size_t kept = g->optim_states - (g->weights == WEFT_KAHAN ? 1 : 0);
            float *const m0 =
                kept > 0 && m->committed ? (float *)(void *)(g->optim[0] + d->offset) : NULL;
            float *const v0 =
                kept > 1 && m->committed ? (float *)(void *)(g->optim[1] + d->offset) : NULL;
            float *const c0 = kept < g->optim_states && m->committed
                                  ? (float *)(void *)(g->optim[kept] + d->offset)
                                  : NULL;
            out[n] = (struct weft_param_info){
                .name = d->name,
                .shape = {d->param.shape[0], d->param.shape[1]},
                .layer = d->layer,
                .role = d->param.role,
                .decay = d->param.decay,
                .transposed = d->param.transposed,
                .format = weft_format_name(d->format),
                .data = d->dtype == WEFT_COMPACT ? NULL : d->data,
                .grad = d->grad < 0 ? NULL : g->tensor[d->grad].data,
                .m = m0,
                .v = v0,
                .c = c0,
            };
        }
        n++;
    }
    return n;
}

size_t weft_model_param_count(const weft_model *m) {
    size_t n = 0;
    for (size_t t = 0; t < m->graph->tensors; t++)
        if (m->graph->tensor[t].kind == WEFT_PARAM) n += weft_desc_count(&m->graph->tensor[t]);
    return n;
}

enum weft_status weft_model_fill(weft_model *m, size_t i, const struct weft_source *source) {
    if (m == NULL || source == NULL || source->read == NULL) return WEFT_ERR_NULL;
    if (!m->committed) return weft_ctx_fail(m->ctx, WEFT_ERR_STATE, "the model has no memory yet");
    const weft_graph *const g = m->graph;
    for (size_t t = 0; t < g->tensors; t++)
        if (g->tensor[t].kind == WEFT_PARAM && i-- == 0)
            return weft_tensor_fill(m->graph, (weft_tensor)t, source);
    return weft_ctx_fail(m->ctx, WEFT_ERR_ARG, "the model has no such parameter");
}

/* ---- a batch in ---- */
/* Inputs are only read: the run looks at the caller's memory. */
enum weft_status weft_model_borrow(weft_model *m, weft_tensor t, const void *src,
                                   const char *what) {
    if (t < 0) return WEFT_OK;
    if (src == NULL) return weft_ctx_fail(m->ctx, WEFT_ERR_NULL, "the batch has no %s", what);
    m->graph->tensor[t].data = (void *)(uintptr_t)src;
    return WEFT_OK;
}

static enum weft_status batch_in(weft_model *m, const struct weft_io *io,
                                 const struct weft_batch *b) {
    if (io->program == NULL || !m->committed)
        return weft_ctx_fail(m->ctx, WEFT_ERR_STATE,
                             "the model was not built for training, or not committed");
    if (b->rows == 0 || b->rows > m->training.batch)
        return weft_ctx_fail(m->ctx, WEFT_ERR_ARG, "a batch of %zu rows: must be between 1 and %zu",
                             b->rows, m->training.batch);
    enum weft_status st = weft_model_borrow(m, io->tokens, b->tokens, "tokens");
    if (st == WEFT_OK) st = weft_model_borrow(m, io->inputs, b->inputs, "inputs");
    if (st == WEFT_OK) st = weft_model_borrow(m, io->values, b->values, "values");
    return st == WEFT_OK ? weft_model_borrow(m, io->targets, b->targets, "targets") : st;
}

static void read_loss(weft_model *m, const struct weft_io *io, size_t rows, struct weft_loss *out) {
    const float *const loss = weft_tensor_data(m->graph, io->loss);
    const int32_t *const correct = weft_tensor_data(m->graph, io->correct);
    const int32_t *const target = weft_tensor_data(m->graph, io->targets);
    const size_t n = rows * (m->language ? m->training.seq : 1);
    *out = (struct weft_loss){0};
    out->sum = weft_loss_sum(loss, target, n);
    for (size_t i = 0; i < n; i++) {
        if (target != NULL && target[i] < 0) continue;
        out->count++;
        if (correct != NULL) out->correct += (uint64_t)correct[i];
    }
}

static enum weft_status run_loss(weft_model *m, struct weft_io *io, const struct weft_batch *b,
                                 const struct weft_run *run, struct weft_loss *out) {
    enum weft_status st = batch_in(m, io, b);
    struct weft_run r = *run;
    r.rows = b->rows;
    if (st == WEFT_OK) st = weft_program_run(io->program, &r);
    if (st != WEFT_OK) return st;
    m->probe_rows = b->rows;
    if (run->statistics) weft_model_look(m, b->rows);
    read_loss(m, io, b->rows, out);
    if (isfinite(out->sum)) return WEFT_OK;
    char when[48] = "in an evaluation";
    if (io == &m->train)
        snprintf(when, sizeof when, "at step %llu", (unsigned long long)run->step + 1);
    const char *const node = weft_program_find_nonfinite(io->program, &r);
    return weft_ctx_fail(m->ctx, WEFT_ERR_NONFINITE,
                         "the loss is not finite %s; the first node with a NaN or Inf is %s: lower "
                         "the learning rate or check the data",
                         when, node == NULL ? "unknown" : node);
}

/* ---- training ---- */
enum weft_status weft_model_grad(weft_model *m, const struct weft_batch *b,
                                 const struct weft_run *run, struct weft_loss *out) {
    if (m == NULL || b == NULL || run == NULL || out == NULL) return WEFT_ERR_NULL;
    return run_loss(m, &m->train, b, run, out);
}

enum weft_status weft_model_fold(weft_model *m, bool first) {
    if (m->fold == NULL) return WEFT_OK;
    const struct weft_run run = {.accumulate = !first};
    return weft_program_run(m->fold, &run);
}

/* The first parameter, in file order, that holds a NaN or Inf, or whose gradient does. NULL: none.
 */
static const char *first_nonfinite(const weft_model *m, bool gradient) {
    const weft_graph *const g = m->graph;
    for (size_t t = 0; t < g->tensors; t++) {
        const struct weft_tensor_desc *const d = &g->tensor[t];
        if (d->kind != WEFT_PARAM || (gradient && d->grad < 0)) continue;
        if (d->dtype == WEFT_COMPACT) continue; /* they were, when it was filled */
        uint64_t bad = 0;
        m->ctx->k->nonfinite_f32(gradient ? g->tensor[d->grad].data : d->data, weft_desc_count(d),
                                 &bad);
        if (bad != 0) return d->name;
    }
    return NULL;
}

const char *weft_model_largest_node(weft_model *m, const struct weft_run *run, double *value) {
    if (m == NULL || run == NULL || value == NULL || m->train.program == NULL) return NULL;
    struct weft_run again = *run;
    again.rows = m->probe_rows;
    return weft_program_find_largest(m->train.program, &again, value);
}

const char *weft_model_largest_gradient(const weft_model *m, double *norm) {
    const weft_graph *const g = m == NULL ? NULL : m->graph;
    const char *name = NULL;
    double most = -1;
    for (size_t t = 0; g != NULL && norm != NULL && m->committed && t < g->tensors; t++) {
        const struct weft_tensor_desc *const d = &g->tensor[t];
        double sq;
        if (d->kind != WEFT_PARAM || d->grad < 0) continue;
        m->ctx->k->sumsq_f32(g->tensor[d->grad].data, weft_desc_count(d), &sq);
        if (sq <= most) continue;
        most = sq;
        name = d->name;
    }
    if (name != NULL) *norm = sqrt(most);
    return name;
}

enum weft_status weft_model_check_finite(const weft_model *m) {
    if (m == NULL) return WEFT_ERR_NULL;
    if (!m->committed) return weft_ctx_fail(m->ctx, WEFT_ERR_STATE, "the model has no memory yet");
    const char *const bad = first_nonfinite(m, false);
    if (bad == NULL) return WEFT_OK;
    return weft_ctx_fail(
        m->ctx, WEFT_ERR_NONFINITE,
        "%s has a NaN or Inf: lower the learning rate, or raise the optimizer's eps", bad);
}

enum weft_status weft_model_update(weft_model *m, const struct weft_run *run,
                                   struct weft_step *out) {
    if (m == NULL || run == NULL || out == NULL) return WEFT_ERR_NULL;
    if (m->update == NULL || !m->committed)
        return weft_ctx_fail(m->ctx, WEFT_ERR_STATE, "the model has no optimizer");
    const enum weft_status st = weft_program_run(m->update, run);
    if (st != WEFT_OK) return st;
    m->seen.closed = true;
    struct weft_optim_result r;
    weft_optim_result(m->update, &r);
    *out = (struct weft_step){.grad_norm = r.norm, .scale = r.scale};
    if (isfinite(r.norm)) return WEFT_OK;
    const char *const bad = first_nonfinite(m, true);
    return weft_ctx_fail(m->ctx, WEFT_ERR_NONFINITE,
                         "the gradient is not finite at step %llu (%llu values; first parameter: "
                         "%s): lower the learning rate or check the data",
                         (unsigned long long)run->step + 1, (unsigned long long)r.nonfinite,
                         bad == NULL ? "none (their squares overflow)" : bad);
}

enum weft_status weft_model_eval(weft_model *m, const struct weft_batch *b, struct weft_loss *out) {
    if (m == NULL || b == NULL || out == NULL) return WEFT_ERR_NULL;
    const struct weft_run run = {0};
    const size_t rows = m->probe_rows;
    const enum weft_status st = run_loss(m, &m->eval, b, &run, out);
    m->probe_rows = rows;
    return st;
}

const float *weft_model_losses(weft_model *m) {
    return m->eval.program == NULL ? NULL : weft_tensor_data(m->graph, m->eval.loss);
}

/* ---- work and time ---- */
void weft_model_work(weft_model *m, const struct weft_limits *limits, double *flops,
                     double *seconds) {
    struct weft_memory planned;
    *flops = *seconds = 0;
    if (m == NULL || m->train.program == NULL || weft_graph_memory(m->graph, &planned) != WEFT_OK)
        return;
    const struct {
        weft_program *p;
        size_t times;
    } part[] = {{m->train.program, m->graph->micro_batches},
                {m->fold, m->graph->grad_groups},
                {m->update, 1}};
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        double f, s;
        if (part[i].p == NULL) continue;
        weft_program_work(part[i].p, limits, &f, &s);
        *flops += f * (double)part[i].times;
        *seconds += s * (double)part[i].times;
    }
}

enum weft_status weft_model_timing(weft_model *m, bool on) {
    if (m == NULL) return WEFT_ERR_NULL;
    enum weft_status st = WEFT_OK;
    if (m->train.program != NULL) st = weft_program_timing(m->train.program, on);
    if (st == WEFT_OK && m->update != NULL) st = weft_program_timing(m->update, on);
    return st;
}

size_t weft_model_times(weft_model *m, struct weft_node_time *out, size_t max) {
    size_t n = 0;
    if (m->train.program != NULL) n = weft_program_times(m->train.program, out, max);
    if (m->update != NULL)
        n += weft_program_times(m->update, n < max ? out + n : out, n < max ? max - n : 0);
    return n;
}

size_t weft_model_spans(weft_model *m, struct weft_span *out, size_t max) {
    size_t n = 0;
    if (m->train.program != NULL) n = weft_program_spans(m->train.program, out, max);
    if (m->update != NULL)
        n += weft_program_spans(m->update, n < max ? out + n : out, n < max ? max - n : 0);
    return n;
}
