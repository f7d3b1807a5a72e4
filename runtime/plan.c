/* The planner: every tensor's place, before anything is allocated.
 *
 *   params | their copies in bf16 | grads | grad_sum | optimizer m, v | state | activations |
 * per-thread scratch
 *
 * Gradients and optimizer arrays mirror the parameters, so that one offset serves all. Activations
 * of a program get offsets from their live ranges (largest first, lowest hole that fits); programs
 * share the same activation memory, since only one runs at a time. */
#include <stdlib.h>
#include <string.h>

#include "runtime/exec.h"
#include "runtime/memory.h"
#include "runtime/parallel.h"
#include "runtime/touch.h"

size_t weft_desc_bytes(const struct weft_tensor_desc *d) {
    if (d->dtype == WEFT_COMPACT) return weft_compact_bytes(d->format, d->shape[0], d->shape[2]);
    return weft_align_up(weft_desc_count(d) * weft_dtype_bytes(d->dtype), WEFT_ALIGNMENT);
}

/* Half of what a process can address; far below what would wrap. */
#define BYTES_MAX ((size_t)1 << 46)

/* a + b, or b's error when that is more memory than there can be. */
static size_t add_bytes(weft_graph *g, size_t a, size_t b) {
    if (a <= BYTES_MAX && b <= BYTES_MAX - a) return a + b;
    weft_graph_fail(g, WEFT_ERR_SHAPE, "the model needs more memory than can be addressed");
    return 0;
}

static size_t choose_threads(const weft_ctx *ctx, const struct weft_phase *ph) {
    const double worth = ph->ns / (double)ctx->tuning.grain_ns;
    size_t n = worth < (double)ctx->threads ? (size_t)worth : ctx->threads;
    if (n > ph->tasks) n = ph->tasks;
    return n < 1 ? 1 : n;
}

/* Ask every op for its phases and scratch; shared scratch becomes a tensor that lives for its node.
 */
static void plan_nodes(weft_program *p) {
    weft_graph *const g = p->graph;
    p->threads = 1;
    for (size_t i = 0; i < p->nodes && g->status == WEFT_OK; i++) {
        struct weft_node *const n = &p->node[i];
        n->phase0 = p->phases;
        n->op->plan(n);
        for (size_t ph = n->phase0; ph < p->phases; ph++) {
            p->phase[ph].threads = choose_threads(g->ctx, &p->phase[ph]);
            if (p->phase[ph].threads > p->threads) p->threads = p->phase[ph].threads;
        }
        if (n->shared_bytes > 0) {
            const weft_tensor t = weft_fixed_tensor(p, WEFT_F32, 1, (n->shared_bytes + 3) / 4);
            p->node[i].shared = t;
        }
        if (n->local_bytes > p->local_bytes) p->local_bytes = n->local_bytes;
    }
    if (p->threads == 1) return;
    unsigned char *const deals =
        weft_graph_alloc(g, p->phases * weft_deal_bytes(p->threads) + WEFT_ALIGNMENT);
    if (deals != NULL) p->deals = (void *)weft_align_up((uintptr_t)deals, WEFT_ALIGNMENT);
}

static void touch(weft_program *p, weft_tensor t, size_t node) {
    if (t < 0) return;
    struct weft_tensor_desc *const d = &p->graph->tensor[t];
    if (d->kind != WEFT_ACT) return;
    if (node < d->first) d->first = node;
    if (node > d->last) d->last = node;
}

static void live_ranges(weft_program *p) {
    weft_graph *const g = p->graph;
    for (size_t i = 0; i < p->nodes; i++) {
        for (size_t j = 0; j < WEFT_NODE_IN; j++) touch(p, p->node[i].in[j], i);
        for (size_t j = 0; j < WEFT_NODE_OUT; j++) touch(p, p->node[i].out[j], i);
        touch(p, p->node[i].shared, i);
    }
    for (size_t t = 0; t < g->tensors; t++) {
        struct weft_tensor_desc *const d = &g->tensor[t];
        if (d->program != p) continue;
        if (d->kind == WEFT_INPUT) d->first = 0;
        if (d->keep || d->kind == WEFT_INPUT) d->last = p->nodes;
    }
}

struct item { /* one activation to place */
    size_t first, last, bytes, offset;
    weft_tensor t;
};

static int larger_first(const void *a, const void *b) {
    const struct item *const x = a, *const y = b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x->t < y->t ? -1 : 1;
}

/* Gives it the lowest hole between those of the n placed items that it is alive with, which are
 * ordered by their offsets, and puts it among them. */
static void place(struct item *it, struct item **placed, size_t n) {
    size_t at = 0, i = 0;
    for (; i < n && placed[i]->offset < at + it->bytes; i++) {
        const struct item *const p = placed[i];
        const bool together = p->first <= it->last && it->first <= p->last;
        if (together && p->offset + p->bytes > at) at = p->offset + p->bytes;
    }
    it->offset = at;
    while (i > 0 && placed[i - 1]->offset > at) i--;
    memmove(placed + i + 1, placed + i, (n - i) * sizeof *placed);
    placed[i] = it;
}

static void place_activations(weft_program *p) {
    weft_graph *const g = p->graph;
    struct item *const item = malloc((g->tensors + 1) * sizeof *item);
    struct item **const placed = malloc((g->tensors + 1) * sizeof *placed);
    size_t n = 0;
    for (size_t t = 0; item != NULL && t < g->tensors; t++) {
        const struct weft_tensor_desc *const d = &g->tensor[t];
        const bool used = d->first != SIZE_MAX && (d->kind == WEFT_ACT || d->kind == WEFT_INPUT);
        if (d->program == p && used)
            item[n++] = (struct item){d->first, d->last, weft_desc_bytes(d), 0, (weft_tensor)t};
    }
    if (item == NULL || placed == NULL)
        weft_graph_fail(g, WEFT_ERR_NOMEM, "out of memory while planning");
    else
        qsort(item, n, sizeof *item, larger_first);
    for (size_t i = 0; g->status == WEFT_OK && i < n; i++) {
        place(&item[i], placed, i);
        g->tensor[item[i].t].offset = item[i].offset;
        const size_t end = add_bytes(g, item[i].offset, item[i].bytes);
        if (end > p->act_bytes) p->act_bytes = end;
    }
    free(placed);
    free(item);
}

static void place_parameters(weft_graph *g) {
    for (size_t t = 0; t < g->tensors; t++) {
        struct weft_tensor_desc *const d = &g->tensor[t];
        size_t *const end = d->kind == WEFT_PARAM   ? &g->param_bytes
                            : d->kind == WEFT_STATE ? &g->memory.state
                                                    : NULL;
        if (end == NULL) continue;
        d->offset = *end;
        *end = add_bytes(g, *end, weft_desc_bytes(d));
    }
    for (size_t t = 0; t < g->tensors; t++) {
        const struct weft_tensor_desc *const d = &g->tensor[t];
        if (d->kind == WEFT_PARAM && d->grad >= 0) g->tensor[d->grad].offset = d->offset;
    }
}

static enum weft_status plan(weft_graph *g) {
    if (g->planned || g->status != WEFT_OK) return g->status;
    for (weft_program *p = g->first; p != NULL; p = p->next) {
        plan_nodes(p);
        if (g->status != WEFT_OK) return g->status;
        live_ranges(p);
    }
    place_parameters(g);
    struct weft_memory *const m = &g->memory;
    size_t threads = 1;
    for (weft_program *p = g->first; p != NULL; p = p->next) {
        place_activations(p);
        if (p->act_bytes > m->activations) m->activations = p->act_bytes;
        if (p->local_bytes > g->local_bytes) g->local_bytes = p->local_bytes;
        if (p->threads > threads) threads = p->threads;
    }
    /* An odd number of cache lines apart: threads' scratch does not collide in the same cache sets.
     */
    g->local_bytes = weft_align_up(g->local_bytes, 4096) + WEFT_ALIGNMENT;
    m->params = g->param_bytes;
    m->copies = g->half ? weft_align_up(g->param_bytes / 2, WEFT_ALIGNMENT) : 0;
    m->grads = g->training ? g->param_bytes * (g->grad_groups > 1 ? 2 : 1) : 0;
    m->optim = g->param_bytes * g->optim_states;
    m->scratch = g->local_bytes * threads;
    const size_t part[] = {m->params, m->copies,      m->grads,  m->optim,
                           m->state,  m->activations, m->scratch};
    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        m->total = add_bytes(g, m->total, part[i]);
    g->planned = g->status == WEFT_OK;
    return g->status;
}

enum weft_status weft_graph_memory(weft_graph *g, struct weft_memory *out) {
    if (g == NULL || out == NULL) return WEFT_ERR_NULL;
    const enum weft_status st = plan(g);
    if (st == WEFT_OK) *out = g->memory;
    return st;
}

static void set_pointers(weft_graph *g) {
    const struct weft_memory *const m = &g->memory;
    unsigned char *at = g->base;
    g->params = at, at += m->params;
    g->copies = g->half ? at : NULL;
    at += m->copies;
    g->stale = g->half;
    g->grads = g->training ? at : NULL;
    g->grad_sum = g->grad_groups > 1 ? at + g->param_bytes : NULL;
    at += m->grads;
    for (size_t i = 0; i < g->optim_states; i++) g->optim[i] = at, at += g->param_bytes;
    g->state = at, at += m->state;
    g->act = at, at += m->activations;
    g->local = at;
    for (size_t t = 0; t < g->tensors; t++) {
        struct weft_tensor_desc *const d = &g->tensor[t];
        unsigned char *const base = d->kind == WEFT_PARAM   ? g->params
                                    : d->kind == WEFT_GRAD  ? g->grads
                                    : d->kind == WEFT_STATE ? g->state
                                                            : g->act;
        d->data = base + d->offset;
    }
}

enum weft_status weft_graph_commit(weft_graph *g) {
    if (g == NULL) return WEFT_ERR_NULL;
    if (g->base != NULL) return weft_ctx_fail(g->ctx, WEFT_ERR_STATE, "graph committed twice");
    const enum weft_status st = plan(g);
    if (st != WEFT_OK) return st;
    const size_t have = weft_memory_available();
    const double gb = 1e-9;
    if (have != 0 && g->memory.total > have)
        return weft_ctx_fail(g->ctx, WEFT_ERR_NOMEM,
                             "the model needs %.3f GB of memory and %.3f GB are available: take a "
                             "smaller batch, sequence or model",
                             gb * (double)g->memory.total, gb * (double)have);
    size_t threads = 1;
    for (const weft_program *p = g->first; p != NULL; p = p->next)
        if (p->threads > threads) threads = p->threads;
    if (threads > g->ctx->cores && !weft_threads_possible(threads))
        return weft_ctx_fail(g->ctx, WEFT_ERR_NOMEM,
                             "the system refuses %zu threads (limits of processes or memory): take "
                             "fewer",
                             threads);
    g->base = weft_map(g->memory.total == 0 ? 1 : g->memory.total);
    if (g->base == NULL)
        return weft_ctx_fail(g->ctx, WEFT_ERR_NOMEM,
                             "the system refused %.4g GB of memory: take a smaller batch, sequence "
                             "or model",
                             gb * (double)g->memory.total);
    set_pointers(g);
    weft_touch_first(g);
    return WEFT_OK;
}
