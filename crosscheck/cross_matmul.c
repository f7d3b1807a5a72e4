/* weft/matmul.h, whose op has no tensors of its own: one product, its weight as it lies and packed,
 * against the oracle and oneDNN's result of the linear layer with the same operands. */
#include <stdio.h>
#include <stdlib.h>

#include "crosscheck/cross_walk.h"
#include "weft/matmul.h"

enum { M = 37, N = 131, K = 300 };

static weft_program *build(weft_graph *g) {
    weft_program *const p = weft_program_create(g, "matmul", M);
    const struct weft_param_desc w = {.name = "w", .shape = {N, K}, .role = "w"};
    const struct weft_param_desc b = {.name = "b", .shape = {N}, .role = "b"};
    const weft_tensor x = weft_input_f32(p, "x", K);
    weft_linear(p, x, weft_param(g, &w), weft_param(g, &b), "gelu_tanh", WEFT_NONE);
    return p;
}

/* The product by weft_matmul, into the linear node's output. */
static enum weft_status multiply(weft_ctx *ctx, const struct weft_exec *x,
                                 const struct weft_node *n, bool packed) {
    const struct weft_matmul_shape shape = {.m = M,
                                            .n = N,
                                            .k = K,
                                            .b_trans = true,
                                            .b_packed = packed,
                                            .bias = true,
                                            .act = "gelu_tanh"};
    struct weft_matmul_operands o = {.a = x_f32(x, n->in[0]),
                                     .b = x_f32(x, n->in[1]),
                                     .bias = x_f32(x, n->in[2]),
                                     .c = x_f32(x, n->out[0])};
    weft_matmul *g = NULL;
    enum weft_status st = weft_matmul_create(ctx, &shape, &g);
    if (st != WEFT_OK) return st;
    float *const panels = malloc((weft_matmul_packed_size(g) + 1) * sizeof *panels);
    if (panels == NULL) st = weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory");
    if (st == WEFT_OK && packed) {
        st = weft_matmul_pack(g, o.b, 0, panels);
        o.b = panels;
    }
    if (st == WEFT_OK) st = weft_matmul_run(g, &o);
    free(panels);
    weft_matmul_free(g);
    return st;
}

static enum weft_status check(struct weft_cross_walk *w, weft_program *p,
                              const struct weft_run *run, bool packed) {
    const struct weft_exec x = {
        .k = w->ctx->k, .g = p->graph, .run = run, .rows = p->batch, .batch = p->batch};
    struct weft_node *const n = &p->node[0];
    struct weft_cross_expect e;
    struct weft_cross_check *c = NULL;
    bool sharp = false;
    enum weft_status st = weft_cross_expect_make(&x, n, &e)
                              ? WEFT_OK
                              : weft_ctx_fail(w->ctx, WEFT_ERR_NOMEM, "out of memory");
    if (st == WEFT_OK && (c = weft_cross_append(w)) == NULL) st = WEFT_ERR_NOMEM;
    if (st == WEFT_OK) {
        snprintf(c->op, sizeof c->op, "matmul%s", packed ? " packed" : "");
        snprintf(c->shape, sizeof c->shape, "%dx%d->%d", M, K, N);
        snprintf(c->node, sizeof c->node, "matmul");
        c->output = "c";
        c->kernels = weft_cross_kernels(n->op);
        c->has_onednn = true;
        st = multiply(w->ctx, &x, n, packed);
    }
    if (st == WEFT_OK) {
        sharp = weft_cross_measure(&e.output[0], &c->weft);
        st = weft_program_run_node(p, run, 0, w->backend);
    }
    if (st == WEFT_OK) {
        weft_cross_measure(&e.output[0], &c->onednn);
        weft_cross_judge(c, sharp);
    }
    weft_cross_expect_free(&e);
    return st;
}

enum weft_status weft_cross_matmul(struct weft_cross_walk *w, const void *arg, uint64_t seed) {
    (void)arg;
    weft_graph *g = NULL;
    enum weft_status st = weft_graph_create(w->ctx, &g);
    if (st != WEFT_OK) return st;
    const struct weft_run run = {.pos = 0};
    weft_program *const p = build(g);
    st = weft_graph_commit(g);
    if (st == WEFT_OK) weft_cross_fill(g, 1, seed);
    for (int packed = 0; st == WEFT_OK && packed < 2; packed++) st = check(w, p, &run, packed);
    weft_graph_free(g);
    return st;
}
