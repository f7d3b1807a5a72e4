/* Building a graph: tensors and nodes. The first error sticks; later calls do nothing. */
#include "runtime/graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/backend.h"
#include "runtime/memory.h"

#define COUNT_MAX ((size_t)1 << 40) /* elements of a tensor: 4 TB */

struct weft_chunk { /* a list of small allocations */
    struct weft_chunk *next;
    _Alignas(16) unsigned char data[];
};

void *weft_graph_alloc(weft_graph *g, size_t bytes) {
    struct weft_chunk *const c = calloc(1, sizeof *c + bytes);
    if (c == NULL) {
        weft_graph_fail(g, WEFT_ERR_NOMEM, "out of memory while building the graph");
        return NULL;
    }
    c->next = g->chunks;
    g->chunks = c;
    return c->data;
}

const char *weft_graph_format(weft_graph *g, const char *fmt, ...) {
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    char *const s = weft_graph_alloc(g, strlen(text) + 1);
    return s == NULL ? "?" : strcpy(s, text);
}

weft_tensor weft_graph_fail(weft_graph *g, enum weft_status st, const char *fmt, ...) {
    if (g->status != WEFT_OK) return WEFT_NONE;
    g->status = st;
    va_list args;
    va_start(args, fmt);
    vsnprintf(g->ctx->message, sizeof g->ctx->message, fmt, args);
    va_end(args);
    return WEFT_NONE;
}

enum weft_status weft_graph_create(weft_ctx *ctx, weft_graph **out) {
    if (ctx == NULL || out == NULL) return WEFT_ERR_NULL;
    weft_graph *const g = calloc(1, sizeof *g);
    if (g == NULL) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory for a graph");
    g->ctx = ctx;
    g->last = &g->first;
    g->micro_batches = g->grad_groups = 1;
    *out = g;
    return WEFT_OK;
}

void weft_graph_free(weft_graph *g) {
    if (g == NULL) return;
    weft_unmap(g->base, g->memory.total);
    for (weft_program *p = g->first; p != NULL; p = p->next) {
        for (size_t i = 0; i < p->nodes; i++)
            if (p->node[i].prepared != NULL) p->node[i].backend->forget(&p->node[i]);
        free(p->node);
        free(p->phase);
        free(p->probe);
        free(p->grad_of);
        free(p->seconds);
        free(p->work);
    }
    for (struct weft_chunk *c = g->chunks; c != NULL;) {
        struct weft_chunk *const next = c->next;
        free(c);
        c = next;
    }
    free(g->tensor);
    free(g);
}

void weft_graph_accumulate(weft_graph *g, size_t micro_batches, size_t grad_groups) {
    g->micro_batches = micro_batches == 0 ? 1 : micro_batches;
    g->grad_groups = grad_groups == 0 ? 1 : grad_groups;
    if (g->micro_batches % g->grad_groups != 0)
        weft_graph_fail(g, WEFT_ERR_ARG, "%zu micro-batches cannot form %zu equal gradient groups",
                        g->micro_batches, g->grad_groups);
}

bool weft_graph_grow(weft_graph *g, void **p, size_t *cap, size_t used, size_t size) {
    if (used < *cap) return true;
    const size_t want = *cap == 0 ? 32 : *cap * 2;
    void *const q = realloc(*p, want * size);
    if (q == NULL) {
        weft_graph_fail(g, WEFT_ERR_NOMEM, "out of memory while building the graph");
        return false;
    }
    *p = q;
    *cap = want;
    return true;
}

static weft_tensor tensor_add(weft_graph *g, const struct weft_tensor_desc *d) {
    size_t count, bytes;
    if (g->status != WEFT_OK) return WEFT_NONE;
    if (g->planned)
        return weft_graph_fail(g, WEFT_ERR_STATE, "tensor %s: the graph is already planned",
                               d->name);
    if (!weft_mul(d->shape[0], d->shape[1], &count) || !weft_mul(count, d->shape[2], &count) ||
        !weft_mul(count, 16, &bytes) || count > COUNT_MAX || g->tensors >= INT32_MAX)
        return weft_graph_fail(g, WEFT_ERR_SHAPE, "tensor %s: %zu x %zu x %zu is too large",
                               d->name, d->shape[0], d->shape[1], d->shape[2]);
    if (!weft_graph_grow(g, (void **)&g->tensor, &g->tensor_cap, g->tensors, sizeof *g->tensor))
        return WEFT_NONE;
    g->tensor[g->tensors] = *d;
    return (weft_tensor)g->tensors++;
}

const struct weft_tensor_desc *weft_desc(const weft_graph *g, weft_tensor t) {
    static const struct weft_tensor_desc none = {.name = "(none)", .grad = WEFT_NONE};
    return t < 0 || (size_t)t >= g->tensors ? &none : &g->tensor[t];
}

bool weft_operand(weft_program *p, const char *op, weft_tensor t, enum weft_dtype dtype) {
    static const char *const holds[] = {"f32", "i32", "f64", "bf16", "compact weights"};
    weft_graph *const g = p->graph;
    if (g->status != WEFT_OK) return false;
    if (t < 0 || (size_t)t >= g->tensors) {
        weft_graph_fail(g, WEFT_ERR_ARG, "%s: an operand is no tensor (handle %d)", op, (int)t);
        return false;
    }
    const struct weft_tensor_desc *const d = &g->tensor[t];
    if (d->dtype != dtype) {
        weft_graph_fail(g, WEFT_ERR_DTYPE, "%s: tensor %s holds %s, not %s", op, d->name,
                        holds[d->dtype], holds[dtype]);
        return false;
    }
    if (d->program != NULL && d->program != p) {
        weft_graph_fail(g, WEFT_ERR_ARG, "%s: tensor %s belongs to program %s, not %s", op, d->name,
                        d->program->name, p->name);
        return false;
    }
    return true;
}

void weft_indices(weft_program *p, weft_tensor t, size_t below, bool ignore) {
    weft_graph *const g = p->graph;
    if (weft_desc(g, t)->kind != WEFT_INPUT) return;
    for (size_t i = 0; i < p->indices; i++)
        if (p->index[i].t == t && p->index[i].below <= below) return;
    if (p->indices == sizeof p->index / sizeof *p->index)
        weft_graph_fail(g, WEFT_ERR_ARG, "program %s: more than %zu integer inputs", p->name,
                        p->indices);
    else
        p->index[p->indices++] = (struct weft_index_input){t, below, ignore};
}

const char *weft_shape_text(const weft_graph *g, weft_tensor t) {
    const struct weft_tensor_desc *const d = weft_desc(g, t);
    weft_graph *const mutable = (weft_graph *)(uintptr_t)g;
    if (t < 0) return "(absent)";
    if (d->shape[1] == 1) return weft_graph_format(mutable, "(%zu, %zu)", d->shape[0], d->shape[2]);
    return weft_graph_format(mutable, "(%zu, %zu, %zu)", d->shape[0], d->shape[1], d->shape[2]);
}

const char *weft_weights_name(size_t i) {
    return i < WEFT_FORMATS ? weft_format_name((enum weft_format)i) : NULL;
}

static bool parse_format(const char *name, enum weft_format *out) {
    *out = WEFT_FORMAT_F32;
    if (name == NULL) return true;
    for (size_t i = 0; i < WEFT_FORMATS; i++) {
        *out = (enum weft_format)i;
        if (strcmp(name, weft_format_name(*out)) == 0) return true;
    }
    return false;
}

weft_tensor weft_param(weft_graph *g, const struct weft_param_desc *desc) {
    const bool vector = desc->shape[1] == 0;
    enum weft_format format;
    if (!parse_format(desc->format, &format))
        return weft_graph_fail(g, WEFT_ERR_ARG, "parameter %s: unknown format of weights \"%s\"",
                               desc->name, desc->format);
    if (desc->format != NULL && vector)
        return weft_graph_fail(g, WEFT_ERR_DTYPE, "parameter %s: a vector has no format %s",
                               desc->name, desc->format);
    for (size_t i = 0; i < sizeof desc->slices / sizeof *desc->slices; i++) {
        const struct weft_slice *const s = &desc->slices[i];
        if (s->row > desc->shape[0] || s->rows > desc->shape[0] - s->row)
            return weft_graph_fail(
                g, WEFT_ERR_SHAPE,
                "parameter %s: slice %s, rows %zu to %zu, is beyond its %zu rows", desc->name,
                s->name == NULL ? "?" : s->name, s->row, s->row + s->rows, desc->shape[0]);
    }
    const struct weft_tensor_desc d = {
        .name = desc->name,
        .kind = WEFT_PARAM,
        .dtype = desc->format == NULL ? WEFT_F32 : WEFT_COMPACT,
        .format = format,
        .layer = desc->layer,
        .shape = {vector ? 1 : desc->shape[0], 1, vector ? desc->shape[0] : desc->shape[1]},
        .param = *desc,
        .grad = WEFT_NONE,
    };
    return tensor_add(g, &d);
}

weft_tensor weft_state(weft_graph *g, const char *name, size_t rows, size_t cols) {
    const struct weft_tensor_desc d = {
        .name = name, .kind = WEFT_STATE, .layer = -1, .shape = {rows, 1, cols}, .grad = WEFT_NONE};
    return tensor_add(g, &d);
}

static weft_tensor program_tensor(weft_program *p, const char *name, enum weft_kind kind,
                                  enum weft_dtype dtype, bool batched, const size_t shape[3]) {
    const struct weft_tensor_desc d = {
        .name = name,
        .kind = kind,
        .dtype = dtype,
        .layer = p->layer,
        .batched = batched,
        .shape = {shape[0], shape[1], shape[2]},
        .program = p,
        .grad = WEFT_NONE,
        .first = SIZE_MAX,
    };
    return tensor_add(p->graph, &d);
}

weft_tensor weft_act_tensor(weft_program *p, enum weft_dtype dtype, size_t s0, size_t s1,
                            size_t s2) {
    return program_tensor(p, "activation", WEFT_ACT, dtype, s0 == p->batch,
                          (const size_t[3]){s0, s1, s2});
}

weft_tensor weft_fixed_tensor(weft_program *p, enum weft_dtype dtype, size_t rows, size_t cols) {
    return program_tensor(p, "scratch", WEFT_ACT, dtype, false, (const size_t[3]){rows, 1, cols});
}

weft_tensor weft_act_like(weft_program *p, weft_tensor t) {
    const struct weft_tensor_desc d = *weft_desc(p->graph, t);
    return program_tensor(p, "activation", WEFT_ACT, p->storage, d.batched, d.shape);
}

/* Inputs are (B, cols): a token matrix (B, T) has T columns and one row a sample. */
weft_tensor weft_input_i32(weft_program *p, const char *name, size_t cols) {
    return program_tensor(p, name, WEFT_INPUT, WEFT_I32, true,
                          (const size_t[3]){p->batch, 1, cols});
}

weft_tensor weft_input_f32(weft_program *p, const char *name, size_t cols) {
    return program_tensor(p, name, WEFT_INPUT, WEFT_F32, true,
                          (const size_t[3]){p->batch, 1, cols});
}

void weft_tensor_keep(weft_graph *g, weft_tensor t) {
    if (t >= 0 && (size_t)t < g->tensors) g->tensor[t].keep = true;
}

weft_program *weft_program_create(weft_graph *g, const char *name, size_t batch) {
    weft_program *const p = weft_graph_alloc(g, sizeof *p);
    if (p == NULL) return NULL;
    *p = (struct weft_program){
        .graph = g, .name = name, .batch = batch, .layer = -1, .last_start = SIZE_MAX};
    if (g->planned)
        weft_graph_fail(g, WEFT_ERR_STATE, "program %s: the graph is already planned", name);
    if (batch == 0) weft_graph_fail(g, WEFT_ERR_ARG, "program %s: batch must be at least 1", name);
    *g->last = p;
    g->last = &p->next;
    return p;
}

void weft_program_layer(weft_program *p, int layer) { p->layer = layer; }

void weft_program_storage(weft_program *p, const char *type) {
    const bool half = type != NULL && strcmp(type, "bf16") == 0;
    if (p->nodes > 0)
        weft_graph_fail(p->graph, WEFT_ERR_STATE, "program %s has nodes: choose its storage first",
                        p->name);
    else if (type != NULL && !half && strcmp(type, "f32") != 0)
        weft_graph_fail(p->graph, WEFT_ERR_ARG, "program %s: storage \"%s\" must be f32 or bf16",
                        p->name, type);
    p->storage = half ? WEFT_BF16 : WEFT_F32;
    p->graph->half |= half;
}

struct weft_node *weft_node_add(weft_program *p, const struct weft_op *op,
                                const weft_tensor in[WEFT_NODE_IN],
                                const weft_tensor out[WEFT_NODE_OUT],
                                const struct weft_attr *attr) {
    weft_graph *const g = p->graph;
    if (g->planned)
        weft_graph_fail(g, WEFT_ERR_STATE, "%s: the graph is already planned", op->name);
    if (g->status != WEFT_OK ||
        !weft_graph_grow(g, (void **)&p->node, &p->node_cap, p->nodes, sizeof *p->node))
        return NULL;
    struct weft_node *const n = &p->node[p->nodes];
    *n = (struct weft_node){.op = op, .layer = p->layer, .program = p, .shared = WEFT_NONE};
    n->name = p->layer >= 0 ? weft_graph_format(g, "h%d.%s.%zu", p->layer, op->name, p->nodes)
                            : weft_graph_format(g, "%s.%zu", op->name, p->nodes);
    for (size_t i = 0; i < WEFT_NODE_IN; i++) n->in[i] = n->out[i] = WEFT_NONE;
    for (size_t i = 0; i < WEFT_NODE_IN; i++) n->in[i] = in[i];
    for (size_t i = 0; i < WEFT_NODE_OUT; i++) n->out[i] = out[i];
    if (attr != NULL) n->attr = *attr;
    if (n->attr.max_context != 0 && (p->positions == 0 || n->attr.max_context < p->positions))
        p->positions = n->attr.max_context;
    if (n->attr.sequences != 0 && (p->sequences == 0 || n->attr.sequences < p->sequences))
        p->sequences = n->attr.sequences;
    p->nodes++;
    return n;
}

void weft_phase_add(struct weft_node *n, size_t tasks, double ns) {
    weft_program *const p = n->program;
    if (!weft_graph_grow(p->graph, (void **)&p->phase, &p->phase_cap, p->phases, sizeof *p->phase))
        return;
    p->phase[p->phases++] = (struct weft_phase){.tasks = tasks, .ns = ns};
    n->phases++;
}

void *weft_plan_alloc(struct weft_node *n, size_t bytes) {
    return weft_graph_alloc(n->program->graph, bytes);
}
