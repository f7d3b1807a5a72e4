/* weft/matmul.h: a graph of one node, whose operands are the caller's memory.
 *
 *   matmul        the product                        in and out: struct weft_matmul's operands
 *   matmul_pack   B into panels of gemm_nr columns   likewise */
#include <stdlib.h>

#include "runtime/memory.h"
#include "runtime/op_names.h"
#include "runtime/product.h"
#include "weft/matmul.h"

#define PACK_PANELS 8 /* of a packing task */

struct weft_matmul {
    weft_ctx *ctx;
    weft_graph *graph;
    weft_program *run, *pack;
    struct weft_matmul_shape shape;
    struct weft_product product;
    struct weft_gemm_args live; /* of the run in progress */
    struct weft_pack_args live_pack;
};

/* ---- the product ---- */
static void plan(struct weft_node *n) {
    struct weft_matmul *const g = n->plan;
    const struct weft_matmul_shape *const s = &g->shape;
    g->product = (struct weft_product){.m = s->m,
                                       .n = s->n,
                                       .k = s->k,
                                       .a = s->a_trans ? WEFT_K_OUTER : WEFT_K_INNER,
                                       .b = g->live.b_layout,
                                       .half = s->bf16,
                                       .narrow = s->bf16 && !s->c_f32,
                                       .by_rows = s->a_trans};
    weft_product_plan(&g->product, g->ctx);
    n->shared_bytes = g->product.packed_bytes;
    n->local_bytes = g->product.local_bytes;
    n->model_flops = n->flops = 2 * (double)s->m * (double)s->n * (double)s->k;
    if (s->bf16) n->bf16_flops = n->flops;
    n->bytes = (s->bf16 ? 2 : 4) * ((double)s->m + (double)s->n) * (double)s->k +
               (g->product.narrow ? 2 : 4) * (double)s->m * (double)s->n;
    for (size_t i = 0; i < weft_product_phases(&g->product); i++)
        weft_phase_add(n, weft_product_tasks(&g->product, i),
                       weft_product_ns(&g->product, g->ctx, i));
}

static void run(const struct weft_exec *x, const struct weft_node *n, size_t phase, size_t task,
                size_t thread) {
    const struct weft_matmul *const g = n->plan;
    weft_product_run(&g->product, x->k, &g->live, x_shared(x, n), x_local(x, thread), phase, task);
}

/* ---- packing ---- */
static size_t panels_of(const struct weft_matmul *g) {
    return (g->shape.n + g->ctx->k->gemm_nr - 1) / g->ctx->k->gemm_nr;
}
/* Words of a column of B. */
static size_t depth_of(const struct weft_matmul *g) {
    const size_t word = g->shape.bf16 ? g->ctx->k->bf16_word : 1;
    return (g->shape.k + word - 1) / word;
}

static void pack_plan(struct weft_node *n) {
    const struct weft_matmul *const g = n->plan;
    n->bytes = 8.0 * (double)g->shape.n * (double)g->shape.k;
    weft_phase_add(n, (panels_of(g) + PACK_PANELS - 1) / PACK_PANELS, weft_ns_bytes(n->bytes));
}

static void pack_run(const struct weft_exec *x, const struct weft_node *n, size_t phase,
                     size_t task, size_t thread) {
    (void)phase, (void)thread;
    const struct weft_matmul *const g = n->plan;
    const size_t first = task * PACK_PANELS * x->k->gemm_nr, width = PACK_PANELS * x->k->gemm_nr;
    struct weft_pack_args a = g->live_pack;
    a.r = g->shape.n - first < width ? g->shape.n - first : width;
    a.src = (const unsigned char *)a.src +
            (g->shape.bf16 ? 2 : sizeof(float)) * (a.layout == WEFT_K_INNER ? first * a.ld : first);
    a.dst += first * depth_of(g);
    (g->shape.bf16 ? x->k->gemm_pack_b_bf16 : x->k->gemm_pack_b_f32)(&a);
}

const struct weft_op weft_op_matmul = {"matmul", plan, run, NULL};
const struct weft_op weft_op_matmul_pack = {"matmul_pack", pack_plan, pack_run, NULL};

/* ---- creation ---- */
static weft_program *one_node(struct weft_matmul *g, const char *name, const struct weft_op *op) {
    weft_program *const p = weft_program_create(g->graph, name, 1);
    if (p == NULL) return NULL;
    struct weft_node *const n =
        weft_node_add(p, op, WEFT_TENSORS(WEFT_NONE), WEFT_TENSORS(WEFT_NONE), NULL);
    if (n != NULL) n->plan = g;
    return p;
}

static enum weft_status check_shape(weft_ctx *ctx, const struct weft_matmul_shape *s, int act) {
    size_t a, b, c;
    if (act < 0)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG, "matmul: unknown activation \"%s\"", s->act);
    if (act != WEFT_ACT_NONE && s->residual)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG, "matmul: a residual goes with act \"none\" only");
    if (!weft_mul(s->m, s->k, &a) || !weft_mul(s->k, s->n, &b) || !weft_mul(s->m, s->n, &c) ||
        a > SIZE_MAX / 64 || b > SIZE_MAX / 64 || c > SIZE_MAX / 64)
        return weft_ctx_fail(ctx, WEFT_ERR_SHAPE, "matmul: %zu x %zu x %zu is too large", s->m,
                             s->n, s->k);
    return WEFT_OK;
}

static void set_epilogue(struct weft_matmul *g, int act) {
    const struct weft_matmul_shape *const s = &g->shape;
    g->live.act = (enum weft_act)act;
    g->live.accumulate = s->accumulate;
    g->live.epilogue = act != WEFT_ACT_NONE ? WEFT_EPI_BIAS_ACT
                       : s->residual        ? WEFT_EPI_BIAS_RESIDUAL
                       : s->bias            ? WEFT_EPI_BIAS
                                            : WEFT_EPI_NONE;
}

enum weft_status weft_matmul_create(weft_ctx *ctx, const struct weft_matmul_shape *shape,
                                    weft_matmul **out) {
    if (ctx == NULL || shape == NULL || out == NULL) return WEFT_ERR_NULL;
    const int act = weft_act_parse(shape->act);
    enum weft_status st = check_shape(ctx, shape, act);
    if (st != WEFT_OK) return st;
    weft_matmul *const g = calloc(1, sizeof *g);
    if (g == NULL) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory for a matmul");
    g->ctx = ctx;
    g->shape = *shape;
    g->live.a_layout = shape->a_trans ? WEFT_K_OUTER : WEFT_K_INNER;
    g->live.b_layout = shape->b_packed ? WEFT_PANELS : shape->b_trans ? WEFT_K_INNER : WEFT_K_OUTER;
    set_epilogue(g, act);
    st = weft_graph_create(ctx, &g->graph);
    if (st == WEFT_OK) {
        g->run = one_node(g, "matmul", &weft_op_matmul);
        g->pack = one_node(g, "pack", &weft_op_matmul_pack);
        st = weft_graph_commit(g->graph);
    }
    if (st != WEFT_OK) {
        weft_matmul_free(g);
        return st;
    }
    *out = g;
    return WEFT_OK;
}

void weft_matmul_free(weft_matmul *g) {
    if (g == NULL) return;
    weft_graph_free(g->graph);
    free(g);
}

/* ---- use ---- */
/* The leading dimension to use: 0 stands for the row itself. */
static enum weft_status stride(weft_ctx *ctx, const char *what, size_t row, size_t *ld) {
    if (*ld == 0) *ld = row;
    if (*ld >= row) return WEFT_OK;
    return weft_ctx_fail(ctx, WEFT_ERR_STRIDE,
                         "matmul: %s's rows of %zu do not fit a stride of %zu", what, row, *ld);
}

size_t weft_matmul_packed_size(const weft_matmul *g) {
    return panels_of(g) * g->ctx->k->gemm_nr * depth_of(g);
}

enum weft_status weft_matmul_pack(weft_matmul *g, const void *b, size_t ldb, void *packed) {
    if (g == NULL || b == NULL || packed == NULL) return WEFT_ERR_NULL;
    const struct weft_matmul_shape *const s = &g->shape;
    const enum weft_status st = stride(g->ctx, "B", s->b_trans ? s->k : s->n, &ldb);
    if (st != WEFT_OK) return st;
    g->live_pack = (struct weft_pack_args){.r = s->n,
                                           .k = s->k,
                                           .src = b,
                                           .ld = ldb,
                                           .layout = s->b_trans ? WEFT_K_INNER : WEFT_K_OUTER,
                                           .dst = packed};
    const struct weft_run run = {.step = 0};
    return weft_program_run(g->pack, &run);
}

enum weft_status weft_matmul_run(weft_matmul *g, const struct weft_matmul_operands *o) {
    if (g == NULL || o == NULL || o->a == NULL || o->b == NULL || o->c == NULL)
        return WEFT_ERR_NULL;
    const struct weft_matmul_shape *const s = &g->shape;
    if ((s->bias && o->bias == NULL) || (s->residual && o->residual == NULL)) return WEFT_ERR_NULL;
    struct weft_gemm_args *const a = &g->live;
    a->m = s->m, a->n = s->n, a->k = s->k;
    a->a = o->a, a->lda = o->lda;
    a->b = o->b, a->ldb = s->b_packed ? depth_of(g) * g->ctx->k->gemm_nr : o->ldb;
    a->c = o->c, a->ldc = o->ldc;
    a->bias = s->bias ? o->bias : NULL;
    a->residual = s->residual ? o->residual : NULL, a->ldr = o->ldr;
    enum weft_status st = stride(g->ctx, "A", s->a_trans ? s->m : s->k, &a->lda);
    if (st == WEFT_OK && !s->b_packed) st = stride(g->ctx, "B", s->b_trans ? s->k : s->n, &a->ldb);
    if (st == WEFT_OK) st = stride(g->ctx, "C", s->n, &a->ldc);
    if (st == WEFT_OK && s->residual) st = stride(g->ctx, "the residual", s->n, &a->ldr);
    const struct weft_run run = {.step = 0};
    return st == WEFT_OK ? weft_program_run(g->run, &run) : st;
}
