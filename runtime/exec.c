/* The executor: one parallel region a program run, nodes in order, a barrier between phases only
 * where more than one thread is involved. Tasks are dealt by a counter: who runs a task never
 * matters for its bits. */
#include "runtime/exec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/compiler.h"
#include "runtime/parallel.h"

struct team {
    weft_program *p;
    struct weft_exec x;
    struct weft_barrier barrier;
};

static void run_phase(const struct team *t, const struct weft_node *n, size_t phase, size_t thread,
                      size_t threads) {
    const struct weft_phase *const ph = &t->p->phase[n->phase0 + phase];
    if (threads == 1) {
        for (size_t task = 0; task < ph->tasks; task++) n->op->run(&t->x, n, phase, task, thread);
        return;
    }
    atomic_size_t *const next = &t->p->counter[n->phase0 + phase].next;
    for (;;) {
        const size_t task = atomic_fetch_add_explicit(next, 1, memory_order_relaxed);
        if (task >= ph->tasks - WEFT_BUG(19)) return;
        n->op->run(&t->x, n, phase, task, thread);
    }
}

/* What each member of the team does: all see the same sequence of phases and barriers. */
static void member(void *arg, size_t thread, size_t team) {
    struct team *const t = arg;
    weft_program *const p = t->p;
    const bool timing = p->timing && thread == 0;
    size_t before = 1;
    double start = timing ? weft_now() : 0;
    for (size_t i = 0; i < p->nodes; i++) {
        const struct weft_node *const n = &p->node[i];
        for (size_t ph = 0; ph < n->phases; ph++) {
            size_t threads = p->phase[n->phase0 + ph].threads;
            if (threads > team) threads = team;
            if (before > 1 || threads > 1) weft_barrier_wait(&t->barrier);
            if (timing && ph == 0 && i > 0) {
                const double now = weft_now();
                p->seconds[i - 1] += now - start;
                start = now;
            }
            if (thread < threads) run_phase(t, n, ph, thread, threads);
            before = threads;
        }
    }
    if (timing && p->nodes > 0) p->seconds[p->nodes - 1] += weft_now() - start;
}

/* The system may give fewer threads than asked for: the barrier counts those that are there. */
static void team_main(void *arg, size_t thread, size_t team) {
    struct team *const t = arg;
    atomic_store_explicit(&t->barrier.threads, (unsigned)team, memory_order_relaxed);
    member(t, thread, team);
}

static enum weft_status prepare(weft_program *p, const struct weft_run *run, struct team *t) {
    weft_graph *const g = p->graph;
    if (g->base == NULL)
        return weft_ctx_fail(g->ctx, WEFT_ERR_STATE, "program %s: commit the graph first", p->name);
    if (run->rows > p->batch)
        return weft_ctx_fail(g->ctx, WEFT_ERR_ARG, "program %s: %zu rows, but its batch is %zu",
                             p->name, run->rows, p->batch);
    const size_t rows = run->rows == 0 ? p->batch : run->rows;
    if (p->positions != 0 && (run->pos > p->positions || rows > p->positions - run->pos))
        return weft_ctx_fail(g->ctx, WEFT_ERR_ARG,
                             "program %s: %zu tokens at position %zu do not fit the context of %zu",
                             p->name, rows, run->pos, p->positions);
    t->p = p;
    t->x = (struct weft_exec){.k = g->ctx->k,
                              .g = g,
                              .run = run,
                              .rows = rows,
                              .batch = p->batch};
    return WEFT_OK;
}

enum weft_status weft_program_run(weft_program *p, const struct weft_run *run) {
    struct team t;
    const enum weft_status st = prepare(p, run, &t);
    if (st != WEFT_OK) return st;
    const weft_ctx *const ctx = p->graph->ctx;
    if (p->threads > 1)
        for (size_t i = 0; i < p->phases; i++)
            atomic_store_explicit(&p->counter[i].next, 0, memory_order_relaxed);
    weft_barrier_init(&t.barrier, p->threads, ctx->cores);
    if (p->threads == 1)
        member(&t, 0, 1);
    else
        weft_parallel(p->threads, team_main, &t);
    p->calls++;
    return WEFT_OK;
}

void *weft_tensor_data(weft_graph *g, weft_tensor t) {
    return t < 0 || (size_t)t >= g->tensors ? NULL : g->tensor[t].data;
}

static bool all_finite(const struct weft_exec *x, weft_tensor t) {
    const struct weft_tensor_desc *const d = weft_desc(x->g, t);
    if (d->dtype != WEFT_F32) return true;
    const float *const p = d->data;
    const size_t n = x_rows(x, t) * x_cols(x, t);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(p[i])) return false;
    return true;
}

const char *weft_program_find_nonfinite(weft_program *p, const struct weft_run *run) {
    struct team t;
    if (prepare(p, run, &t) != WEFT_OK) return NULL;
    for (size_t i = 0; i < p->nodes; i++) {
        const struct weft_node *const n = &p->node[i];
        for (size_t j = 0; j < WEFT_NODE_IN && n->in[j] >= 0; j++)
            if (t.x.g->tensor[n->in[j]].kind == WEFT_PARAM && !all_finite(&t.x, n->in[j]))
                return weft_graph_format(p->graph, "%s (parameter %s)", n->name,
                                         t.x.g->tensor[n->in[j]].name);
        for (size_t ph = 0; ph < n->phases; ph++) run_phase(&t, n, ph, 0, 1);
        for (size_t j = 0; j < WEFT_NODE_OUT; j++)
            if (n->out[j] >= 0 && !all_finite(&t.x, n->out[j])) return n->name;
    }
    return NULL;
}

void weft_program_timing(weft_program *p, bool on) {
    free(p->seconds);
    p->seconds = on ? calloc(p->nodes + 1, sizeof *p->seconds) : NULL;
    p->timing = p->seconds != NULL;
    p->calls = 0;
}

size_t weft_program_times(weft_program *p, struct weft_node_time *out, size_t max) {
    for (size_t i = 0; i < p->nodes && i < max; i++) {
        const struct weft_node *const n = &p->node[i];
        out[i] = (struct weft_node_time){.node = n->name,
                                         .op = n->op->name,
                                         .layer = n->layer,
                                         .calls = p->calls,
                                         .seconds = p->timing ? p->seconds[i] : 0,
                                         .flops = n->flops,
                                         .bytes = n->bytes};
    }
    return p->nodes;
}

void weft_program_work(weft_program *p, const struct weft_limits *limits, double *model_flops,
                       double *seconds) {
    double flops = 0, bound = 0;
    for (size_t i = 0; i < p->nodes; i++) {
        const struct weft_node *const n = &p->node[i];
        flops += n->model_flops;
        if (limits == NULL) continue;
        const double compute = n->flops / (1e9 * limits->fma_gflops);
        const double memory = n->bytes / (1e9 * limits->triad_gbs);
        bound += compute > memory ? compute : memory;
    }
    if (model_flops != NULL) *model_flops = flops;
    if (seconds != NULL) *seconds = bound;
}
