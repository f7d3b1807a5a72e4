/* The executor: one parallel region a program run, nodes in order; with a backend, one a node that
 * it leaves to weft's kernels. A phase begins when all tasks of the one before are done, not when
 * all threads have arrived: one that lost its core holds up no more than the task it is in, and
 * catches up later. Who runs a task never matters for its bits. */
#include "runtime/exec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/compiler.h"
#include "runtime/affinity.h"
#include "runtime/backend.h"
#include "runtime/memory.h"
#include "runtime/parallel.h"

struct team {
    weft_program *p;
    struct weft_exec x;
    struct weft_gate gate;
    size_t first, end; /* the nodes of this region */
};

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

static struct weft_deal *deal_of(const weft_program *p, size_t phase) {
    return (void *)(p->deals + phase * weft_deal_bytes(p->threads));
}

/* What `done` of a phase ends at. One without tasks ends when its thread has been there: those
 * after it wait for those before it all the same. */
static unsigned full_of(const weft_program *p, size_t phase) {
    return p->phase[phase].tasks == 0 ? 1 : (unsigned)p->phase[phase].tasks;
}

/* Until all tasks of a phase are done. */
static void wait_for(struct team *t, size_t phase) {
    weft_gate_wait(&t->gate, &deal_of(t->p, phase)->done, full_of(t->p, phase));
}

/* A task of a phase of a node. */
static void run_task(const struct team *t, const struct weft_node *n, size_t phase, size_t task,
                     size_t thread) {
    const size_t tasks = t->p->phase[phase].tasks;
    if (WEFT_BUG(19) && t->p->threads > 1 && tasks > 1 && task + 1 == tasks) return;
    n->op->run(&t->x, n, phase - n->phase0, task, thread);
}

/* All tasks, on one thread. */
static void run_alone(const struct team *t, const struct weft_node *n, size_t phase) {
    for (size_t task = 0; task < t->p->phase[phase].tasks; task++) run_task(t, n, phase, task, 0);
}

/* What this thread gets of the tasks: those of its own queue, then what others have left. */
static void run_share(struct team *t, const struct weft_node *n, size_t phase, size_t thread,
                      size_t threads) {
    struct weft_deal *const d = deal_of(t->p, phase);
    const size_t tasks = t->p->phase[phase].tasks;
    const size_t queues = smaller(threads, WEFT_QUEUES);
    size_t mine = 0;
    for (size_t i = 0, q = thread * queues / threads; i < queues; i++, q = (q + 1) % queues) {
        const size_t first = tasks * q / queues, end = tasks * (q + 1) / queues;
        for (;; mine++) {
            const size_t next =
                atomic_fetch_add_explicit(&d->queue[q].next, 1, memory_order_relaxed);
            if (next >= end - first) break;
            run_task(t, n, phase, first + next, thread);
        }
    }
    if (mine > 0) weft_gate_add(&t->gate, &d->done, (unsigned)mine, (unsigned)tasks);
}

/* Phases in which only one thread takes part need not be dealt; in a team the others must learn of
 * their end. */
static void run_phase(struct team *t, const struct weft_node *n, size_t phase, size_t thread,
                      size_t team) {
    weft_program *const p = t->p;
    const size_t threads = smaller(p->phase[phase].threads, team);
    struct weft_interval *const work = p->timing ? &p->work[thread * p->phases + phase] : NULL;
    if (thread >= threads) return;
    if (team > 1 && phase > p->node[t->first].phase0) wait_for(t, phase - 1);
    if (work != NULL) work->begin = weft_now();
    if (threads > 1)
        run_share(t, n, phase, thread, threads);
    else
        run_alone(t, n, phase);
    if (work != NULL) work->end = weft_now();
    const unsigned full = full_of(p, phase);
    if (threads == 1 && team > 1) weft_gate_add(&t->gate, &deal_of(p, phase)->done, full, full);
}

/* What each member of the team does, in the same floating-point environment whoever called. The
 * system may give fewer members than asked for. */
static void member(void *arg, size_t thread, size_t team) {
    struct team *const t = arg;
    weft_program *const p = t->p;
    const unsigned control = weft_fp_begin();
    const bool timing = p->timing && thread == 0;
    double start = timing ? weft_now() : 0;
    for (size_t i = t->first; i < t->end; i++) {
        const struct weft_node *const n = &p->node[i];
        for (size_t ph = 0; ph < n->phases; ph++) run_phase(t, n, n->phase0 + ph, thread, team);
        if (!timing) continue;
        if (team > 1 && n->phases > 0) wait_for(t, n->phase0 + n->phases - 1);
        const double now = weft_now();
        p->seconds[i] += now - start;
        start = now;
    }
    weft_fp_end(control);
}

/* The integers of this run's rows are such that nothing is looked up out of bounds. */
static enum weft_status check_indices(const weft_program *p, size_t rows) {
    const weft_graph *const g = p->graph;
    for (size_t i = 0; i < p->indices; i++) {
        const struct weft_index_input *const in = &p->index[i];
        const struct weft_tensor_desc *const d = weft_desc(g, in->t);
        const int32_t *const value = d->data;
        for (size_t j = 0; j < rows * d->shape[1] * d->shape[2]; j++)
            if (value[j] < 0 ? !in->ignore || value[j] != -1 : (size_t)value[j] >= in->below)
                return weft_ctx_fail(g->ctx, WEFT_ERR_ARG,
                                     "element %zu of input %s is %d, outside 0..%zu: the data does "
                                     "not fit the model",
                                     j, d->name, (int)value[j], in->below - 1);
    }
    return WEFT_OK;
}

/* No place may lead out of the cache. (Rows of one sequence with others between them would only
 * give wrong numbers.) */
static enum weft_status check_places(const weft_program *p, const struct weft_run *run,
                                     size_t rows) {
    weft_ctx *const ctx = p->graph->ctx;
    const bool listed = run->place != NULL;
    if (!listed && (run->pos > p->positions || rows > p->positions - run->pos))
        return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                             "program %s: %zu tokens at position %zu do not fit the context of %zu",
                             p->name, rows, run->pos, p->positions);
    for (size_t r = 0; listed && r < rows; r++) {
        const struct weft_place at = run->place[r];
        if (at.pos >= p->positions || (p->sequences != 0 && at.sequence >= p->sequences))
            return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                                 "program %s: row %zu is token %zu of sequence %zu; there are %zu "
                                 "positions and %zu sequences",
                                 p->name, r, at.pos, at.sequence, p->positions, p->sequences);
        if (r > 0 && run->place[r - 1].sequence == at.sequence &&
            run->place[r - 1].pos + 1 != at.pos)
            return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                                 "program %s: row %zu does not continue sequence %zu", p->name, r,
                                 at.sequence);
    }
    return WEFT_OK;
}

/* The copies in bf16 of all parameters, where the caller may have written these (and the parameters
 * themselves, if they are to be no more than that). After an update both are right already: the
 * optimizer writes them. */
static void refresh(weft_graph *g) {
    const unsigned control = weft_fp_begin();
    for (size_t t = 0; t < g->tensors; t++) {
        const struct weft_tensor_desc *const d = &g->tensor[t];
        if (d->kind != WEFT_PARAM) continue;
        uint16_t *const copy = (uint16_t *)(void *)(g->copies + d->offset / 2);
        g->ctx->k->narrow_bf16(d->data, copy, weft_desc_count(d));
        if (g->weights != WEFT_MASTER) g->ctx->k->widen_bf16(copy, d->data, weft_desc_count(d));
    }
    weft_fp_end(control);
    g->stale = false;
}

static enum weft_status prepare(weft_program *p, const struct weft_run *run, struct team *t) {
    weft_graph *const g = p->graph;
    if (g->base == NULL)
        return weft_ctx_fail(g->ctx, WEFT_ERR_STATE, "program %s: commit the graph first", p->name);
    if (run->rows > p->batch)
        return weft_ctx_fail(g->ctx, WEFT_ERR_ARG, "program %s: %zu rows, but its batch is %zu",
                             p->name, run->rows, p->batch);
    const size_t rows = run->rows == 0 ? p->batch : run->rows;
    if (p->positions == 0 && run->pos > p->last_start)
        return weft_ctx_fail(
            g->ctx, WEFT_ERR_ARG,
            "program %s: position %zu is beyond %zu, the last one that leaves room", p->name,
            run->pos, p->last_start);
    enum weft_status st = p->positions != 0 ? check_places(p, run, rows) : WEFT_OK;
    if (st == WEFT_OK) st = check_indices(p, rows);
    if (st != WEFT_OK) return st;
    if (g->stale && !WEFT_BUG(64)) refresh(g);
    t->p = p;
    t->x = (struct weft_exec){.k = g->ctx->k, .g = g, .run = run, .rows = rows, .batch = p->batch};
    return WEFT_OK;
}

static void clear_deals(weft_program *p, size_t first, size_t end) {
    for (size_t i = first; i < end; i++) {
        struct weft_deal *const d = deal_of(p, i);
        const size_t queues = smaller(p->phase[i].threads, WEFT_QUEUES);
        atomic_store_explicit(&d->done, 0, memory_order_relaxed);
        for (size_t q = 0; q < queues; q++)
            atomic_store_explicit(&d->queue[q].next, 0, memory_order_relaxed);
    }
}

/* Nodes [first, end) on weft's own kernels. */
static void run_nodes(struct team *t, size_t first, size_t end) {
    weft_program *const p = t->p;
    if (first == end) return;
    const size_t phase0 = p->node[first].phase0;
    const size_t phases_end = p->node[end - 1].phase0 + p->node[end - 1].phases;
    size_t threads = 1;
    for (size_t i = phase0; i < phases_end; i++)
        if (p->phase[i].threads > threads) threads = p->phase[i].threads;
    t->first = first;
    t->end = end;
    if (threads > 1) {
        clear_deals(p, phase0, phases_end);
        weft_gate_init(&t->gate, threads, p->graph->ctx->cores);
    }
    weft_ctx_parallel(p->graph->ctx, threads, member, t);
}

static enum weft_status run_node(struct team *t, size_t node, const struct weft_backend *b) {
    weft_program *const p = t->p;
    struct weft_node *const n = &p->node[node];
    if (!weft_backend_knows(b, &t->x, n)) {
        run_nodes(t, node, node + 1);
        return WEFT_OK;
    }
    const double start = weft_now();
    const size_t before = weft_parallel_default(p->graph->ctx->threads);
    const enum weft_status st = b->run(&t->x, n);
    weft_parallel_default(before);
    if (p->timing) p->seconds[node] += weft_now() - start;
    return st;
}

enum weft_status weft_program_run_node(weft_program *p, const struct weft_run *run, size_t node,
                                       const struct weft_backend *backend) {
    struct team t;
    if (p == NULL || run == NULL) return WEFT_ERR_NULL;
    const enum weft_status st = prepare(p, run, &t);
    return st == WEFT_OK ? run_node(&t, node, backend) : st;
}

enum weft_status weft_program_run(weft_program *p, const struct weft_run *run) {
    struct team t;
    if (p == NULL || run == NULL) return WEFT_ERR_NULL;
    enum weft_status st = prepare(p, run, &t);
    if (st != WEFT_OK) return st;
    if (p->timing) memset(p->work, 0, p->threads * p->phases * sizeof *p->work);
    const struct weft_backend *const b = p->graph->ctx->backend;
    if (b == NULL) run_nodes(&t, 0, p->nodes);
    for (size_t i = 0; b != NULL && st == WEFT_OK && i < p->nodes; i++) st = run_node(&t, i, b);
    p->calls++;
    return st;
}

void *weft_tensor_data(weft_graph *g, weft_tensor t) {
    if (t < 0 || (size_t)t >= g->tensors) return NULL;
    g->stale |= g->half && g->tensor[t].kind == WEFT_PARAM;
    return g->tensor[t].data;
}

static bool all_finite(const struct weft_exec *x, weft_tensor t) {
    const struct weft_tensor_desc *const d = weft_desc(x->g, t);
    const size_t n = x_rows(x, t) * x_cols(x, t);
    const float *const p = d->data;
    const uint16_t *const h = d->data;
    for (size_t i = 0; i < n && d->dtype == WEFT_F32; i++)
        if (!isfinite(p[i])) return false;
    for (size_t i = 0; i < n && d->dtype == WEFT_BF16; i++)
        if ((h[i] & 0x7f80u) == 0x7f80u) return false;
    return true;
}

const char *weft_program_find_nonfinite(weft_program *p, const struct weft_run *run) {
    struct team t;
    if (p == NULL || run == NULL || prepare(p, run, &t) != WEFT_OK) return NULL;
    for (size_t i = 0; i < p->nodes; i++) {
        const struct weft_node *const n = &p->node[i];
        if (n->op == &weft_op_optimizer) continue; /* it would step again, and checks by itself */
        for (size_t j = 0; j < WEFT_NODE_IN; j++)
            if (n->in[j] >= 0 && t.x.g->tensor[n->in[j]].kind == WEFT_PARAM &&
                !all_finite(&t.x, n->in[j]))
                return weft_graph_format(p->graph, "%s (parameter %s)", n->name,
                                         t.x.g->tensor[n->in[j]].name);
        if (run_node(&t, i, p->graph->ctx->backend) != WEFT_OK) return NULL;
        for (size_t j = 0; j < WEFT_NODE_OUT; j++)
            if (n->out[j] >= 0 && !all_finite(&t.x, n->out[j])) return n->name;
    }
    return NULL;
}

/* The largest |x| of a tensor. */
static double largest(const struct weft_exec *x, weft_tensor t) {
    const struct weft_tensor_desc *const d = weft_desc(x->g, t);
    const size_t n = x_rows(x, t) * x_cols(x, t);
    float wide, max = 0;
    if (d->dtype == WEFT_F32) x->k->absmax_f32(d->data, n, &max);
    for (size_t i = 0; i < n && d->dtype == WEFT_BF16; i++) {
        x->k->widen_bf16((const uint16_t *)d->data + i, &wide, 1);
        wide = fabsf(wide);
        if (!(wide <= max)) max = wide;
    }
    return (double)max;
}

const char *weft_program_find_largest(weft_program *p, const struct weft_run *run, double *value) {
    struct team t;
    const char *name = NULL;
    if (p == NULL || run == NULL || value == NULL || prepare(p, run, &t) != WEFT_OK) return NULL;
    *value = 0;
    for (size_t i = 0; i < p->nodes; i++) {
        const struct weft_node *const n = &p->node[i];
        if (n->op == &weft_op_optimizer) continue;
        if (run_node(&t, i, p->graph->ctx->backend) != WEFT_OK) return NULL;
        for (size_t j = 0; j < WEFT_NODE_OUT; j++) {
            if (n->out[j] < 0) continue;
            const double v = largest(&t.x, n->out[j]);
            if (v <= *value || isnan(*value)) continue;
            *value = v;
            name = n->name;
        }
    }
    return name;
}

enum weft_status weft_program_timing(weft_program *p, bool on) {
    if (p == NULL) return WEFT_ERR_NULL;
    weft_ctx *const ctx = p->graph->ctx;
    if (p->graph->base == NULL)
        return weft_ctx_fail(ctx, WEFT_ERR_STATE, "program %s: commit the graph before timing it",
                             p->name);
    free(p->seconds);
    free(p->work);
    p->seconds = on ? calloc(p->nodes + 1, sizeof *p->seconds) : NULL;
    p->work = on ? calloc(p->threads * p->phases + 1, sizeof *p->work) : NULL;
    p->timing = p->seconds != NULL && p->work != NULL;
    p->calls = 0;
    return p->timing == on ? WEFT_OK
                           : weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory for timers");
}

size_t weft_program_times(weft_program *p, struct weft_node_time *out, size_t max) {
    for (size_t i = 0; i < p->nodes && i < max; i++) {
        const struct weft_node *const n = &p->node[i];
        out[i] = (struct weft_node_time){.node = n->name,
                                         .op = n->op->name,
                                         .layer = n->layer,
                                         .calls = p->calls,
                                         .seconds = p->timing ? p->seconds[i] : 0,
                                         .bf16_flops = n->bf16_flops,
                                         .flops = n->flops,
                                         .bytes = n->bytes};
    }
    return p->nodes;
}

size_t weft_program_spans(const weft_program *p, struct weft_span *out, size_t max) {
    size_t spans = 0;
    for (size_t thread = 0; p->timing && thread < p->threads; thread++) {
        for (size_t i = 0; i < p->nodes; i++) {
            const struct weft_node *const n = &p->node[i];
            for (size_t ph = 0; ph < n->phases; ph++) {
                const struct weft_interval w = p->work[thread * p->phases + n->phase0 + ph];
                if (w.end == 0) continue;
                if (spans < max)
                    out[spans] = (struct weft_span){.node = n->name,
                                                    .op = n->op->name,
                                                    .layer = n->layer,
                                                    .phase = ph,
                                                    .thread = thread,
                                                    .begin = w.begin,
                                                    .end = w.end};
                spans++;
            }
        }
    }
    return spans;
}

void weft_program_work(weft_program *p, const struct weft_limits *limits, double *model_flops,
                       double *seconds) {
    double flops = 0, bound = 0;
    for (size_t i = 0; i < p->nodes; i++) {
        const struct weft_node *const n = &p->node[i];
        flops += n->model_flops;
        if (limits == NULL) continue;
        const double compute = 1e-9 * ((n->flops - n->bf16_flops) / limits->fma_gflops +
                                       n->bf16_flops / limits->bf16_gflops);
        const double memory = n->bytes / (1e9 * limits->triad_gbs);
        bound += compute > memory ? compute : memory;
    }
    if (model_flops != NULL) *model_flops = flops;
    if (seconds != NULL) *seconds = bound;
}
