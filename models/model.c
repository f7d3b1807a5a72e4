/* What every model does: settings, memory, parameters, the training step, evaluation, generation.
 */
#include "models/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/graph.h"
#include "runtime/optim.h"

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
    const enum weft_status st = m->graph->status;
    if (st != WEFT_OK)
        weft_model_free(m);
    else
        *out = m;
    return st;
}

enum weft_status weft_model_memory(weft_model *m, struct weft_memory *out) {
    return weft_graph_memory(m->graph, out);
}

enum weft_status weft_model_commit(weft_model *m) {
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
    const weft_graph *const g = m->graph;
    size_t n = 0;
    for (size_t t = 0; t < g->tensors; t++) {
        const struct weft_tensor_desc *const d = &g->tensor[t];
        if (d->kind != WEFT_PARAM) continue;
        if (n < max) {
            float *const m0 = g->optim_states > 0 && m->committed
                                  ? (float *)(void *)(g->optim[0] + d->offset)
                                  : NULL;
            float *const v0 = g->optim_states > 1 && m->committed
                                  ? (float *)(void *)(g->optim[1] + d->offset)
                                  : NULL;
            out[n] = (struct weft_param_info){
                .name = d->name,
                .shape = {d->param.shape[0], d->param.shape[1]},
                .layer = d->layer,
                .role = d->param.role,
                .decay = d->param.decay,
                .transposed = d->param.transposed,
                .data = d->data,
                .grad = d->grad < 0 ? NULL : g->tensor[d->grad].data,
                .m = m0,
                .v = v0,
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

/* ---- a batch in ---- */
static enum weft_status copy_indices(weft_model *m, weft_tensor t, const int32_t *src, size_t n,
                                     const char *what, bool ignore) {
    if (t < 0) return WEFT_OK;
    if (src == NULL) return weft_ctx_fail(m->ctx, WEFT_ERR_NULL, "the batch has no %ss", what);
    int32_t *const dst = weft_tensor_data(m->graph, t);
    for (size_t i = 0; i < n; i++) {
        if ((src[i] < 0 || (size_t)src[i] >= m->classes) && !(ignore && src[i] == -1))
            return weft_ctx_fail(m->ctx, WEFT_ERR_ARG,
                                 "%s %zu of the batch is %d, outside 0..%zu: the data does not fit "
                                 "the model",
                                 what, i, (int)src[i], m->classes - 1);
        dst[i] = src[i];
    }
    return WEFT_OK;
}

/* Inputs are only read: the run looks at the caller's memory. */
static enum weft_status borrow_values(weft_model *m, weft_tensor t, const float *src) {
    if (t < 0) return WEFT_OK;
    if (src == NULL) return weft_ctx_fail(m->ctx, WEFT_ERR_NULL, "the batch has no values");
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
    const size_t n = b->rows * (m->language ? m->training.seq : 1);
    enum weft_status st = WEFT_OK;
    if (m->language) st = copy_indices(m, io->tokens, b->tokens, n, "token", false);
    if (st == WEFT_OK && !m->language) st = borrow_values(m, io->inputs, b->inputs);
    const bool numbers = m->mlp.mse || m->mlp.inner;
    if (st == WEFT_OK && numbers) st = borrow_values(m, io->values, b->values);
    if (st == WEFT_OK && !numbers)
        st = copy_indices(m, io->targets, b->targets, n, "target", true);
    return st;
}

/* Sum of the losses. Each is rounded to a multiple of 2^-24 first, which makes the sum exact, hence
 * the same for any cut into micro-batches. */
static void read_loss(weft_model *m, const struct weft_io *io, size_t rows, struct weft_loss *out) {
    const float *const loss = weft_tensor_data(m->graph, io->loss);
    const int32_t *const correct = weft_tensor_data(m->graph, io->correct);
    const int32_t *const target = weft_tensor_data(m->graph, io->targets);
    const size_t n = rows * (m->language ? m->training.seq : 1);
    *out = (struct weft_loss){0};
    for (size_t i = 0; i < n; i++) {
        if (target != NULL && target[i] < 0) continue;
        out->sum += rint((double)loss[i] * 0x1p24) * 0x1p-24;
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
    read_loss(m, io, b->rows, out);
    if (isfinite(out->sum)) return WEFT_OK;
    const char *const node = weft_program_find_nonfinite(io->program, &r);
    return weft_ctx_fail(m->ctx, WEFT_ERR_NONFINITE,
                         "the loss is not finite at step %llu; the first node with a NaN or Inf is "
                         "%s: lower the learning rate or check the data",
                         (unsigned long long)run->step, node == NULL ? "unknown" : node);
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

/* The first parameter, in file order, whose gradient holds a NaN or Inf. */
static const char *nonfinite_gradient(const weft_model *m) {
    const weft_graph *const g = m->graph;
    for (size_t t = 0; t < g->tensors; t++) {
        const struct weft_tensor_desc *const d = &g->tensor[t];
        if (d->kind != WEFT_PARAM || d->grad < 0) continue;
        const float *const dw = g->tensor[d->grad].data;
        const size_t n = weft_desc_count(d);
        for (size_t i = 0; i < n; i++)
            if (!isfinite(dw[i])) return d->name;
    }
    return "none (their squares overflow)";
}

enum weft_status weft_model_update(weft_model *m, const struct weft_run *run,
                                   struct weft_step *out) {
    if (m == NULL || run == NULL || out == NULL) return WEFT_ERR_NULL;
    if (m->update == NULL || !m->committed)
        return weft_ctx_fail(m->ctx, WEFT_ERR_STATE, "the model has no optimizer");
    const enum weft_status st = weft_program_run(m->update, run);
    if (st != WEFT_OK) return st;
    struct weft_optim_result r;
    weft_optim_result(m->update, &r);
    *out = (struct weft_step){.grad_norm = r.norm, .scale = r.scale};
    if (isfinite(r.norm)) return WEFT_OK;
    return weft_ctx_fail(m->ctx, WEFT_ERR_NONFINITE,
                         "the gradient is not finite at step %llu (%llu values; first parameter: "
                         "%s): lower the learning rate or check the data",
                         (unsigned long long)run->step, (unsigned long long)r.nonfinite,
                         nonfinite_gradient(m));
}

enum weft_status weft_model_eval(weft_model *m, const struct weft_batch *b, struct weft_loss *out) {
    if (m == NULL || b == NULL || out == NULL) return WEFT_ERR_NULL;
    const struct weft_run run = {0};
    const size_t rows = m->probe_rows;
    const enum weft_status st = run_loss(m, &m->eval, b, &run, out);
    m->probe_rows = rows;
    return st;
}

/* ---- generation ---- */
static enum weft_status infer_chunk(weft_model *m, struct weft_io *io, const int32_t *tokens,
                                    size_t n, size_t pos) {
    const enum weft_status st = copy_indices(m, io->tokens, tokens, n, "token", false);
    const struct weft_run run = {.rows = n, .pos = pos};
    return st == WEFT_OK ? weft_program_run(io->program, &run) : st;
}

enum weft_status weft_model_infer(weft_model *m, const int32_t *tokens, size_t n, size_t pos,
                                  float *logits) {
    if (m == NULL || tokens == NULL || logits == NULL) return WEFT_ERR_NULL;
    if (m->decode.program == NULL || !m->committed)
        return weft_ctx_fail(m->ctx, WEFT_ERR_STATE, "the model was not built for generation");
    if (n == 0 || pos > m->gpt2.context || n > m->gpt2.context - pos)
        return weft_ctx_fail(m->ctx, WEFT_ERR_ARG,
                             "%zu tokens at position %zu do not fit the context of %zu", n, pos,
                             m->gpt2.context);
    const struct weft_io *last = NULL;
    for (size_t i = 0; i < n;) {
        struct weft_io *const io = n - i == 1 ? &m->decode : &m->prefill;
        const size_t take = n - i < io->rows ? n - i : io->rows;
        const enum weft_status st = infer_chunk(m, io, tokens + i, take, pos + i);
        if (st != WEFT_OK) return st;
        last = io;
        i += take;
    }
    memcpy(logits, weft_tensor_data(m->graph, last->logits), m->gpt2.vocab * sizeof *logits);
    return WEFT_OK;
}

/* ---- work and time ---- */
void weft_model_work(weft_model *m, const struct weft_limits *limits, double *flops,
                     double *seconds) {
    struct weft_memory planned;
    *flops = *seconds = 0;
    if (m->train.program == NULL || weft_graph_memory(m->graph, &planned) != WEFT_OK) return;
    double f, s;
    weft_program_work(m->train.program, limits, &f, &s);
    *flops = f * (double)m->graph->micro_batches;
    *seconds = s * (double)m->graph->micro_batches;
    if (m->update == NULL) return;
    weft_program_work(m->update, limits, &f, &s);
    *flops += f;
    *seconds += s;
}

void weft_model_timing(weft_model *m, bool on) {
    if (m->train.program != NULL) weft_program_timing(m->train.program, on);
    if (m->update != NULL) weft_program_timing(m->update, on);
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
