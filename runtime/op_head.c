/* Language-model head with its loss: logits = x wᵀ, softmax cross-entropy, and, in the same sweep,
 * dx and dw. Tokens go in chunks of 256, so the logits of one chunk are all that is ever in memory
 * and nothing is computed twice.
 *
 *   in x (tokens, C), w (V, C), targets (tokens)   out losses, correct, dx, dw
 *
 * For each chunk: the product; softmax, loss and dlogits in place; dx = dlogits w and dw +=
 * dlogitsᵀ x side by side. 256 tokens are one k chunk of dw, so its bits do not depend on the
 * chunks' number. */
#include "runtime/gemm.h"

#define CHUNK     WEFT_GEMM_CHUNK
#define LOSS_ROWS 8 /* of a task */

struct head_plan {
    size_t chunks, ld;
    struct weft_gemm_grid logits, dx, dw;
};
enum { LOGITS, LOSS, GRADIENTS };

static size_t phases_a_chunk(const struct weft_node *n) { return n->attr.with_grad ? 3 : 2; }

static void plan(struct weft_node *n) {
    struct head_plan *const plan = weft_plan_alloc(n, sizeof *plan);
    if (plan == NULL) return;
    const weft_ctx *const ctx = n->program->graph->ctx;
    const size_t tokens = weft_desc_rows(weft_node_in(n, 0)),
                 c = weft_desc_cols(weft_node_in(n, 0));
    const size_t v = weft_node_in(n, 1)->shape[0], rows = tokens < CHUNK ? tokens : CHUNK;
    plan->chunks = (tokens + CHUNK - 1) / CHUNK;
    plan->ld = (v + 15) / 16 * 16;
    plan->logits = weft_gemm_cut(ctx, rows, v, c);
    plan->dx = weft_gemm_cut(ctx, rows, c, v);
    plan->dw = weft_gemm_cut(ctx, v, c, rows);
    n->plan = plan;
    n->shared_bytes = rows * plan->ld * sizeof(float);
    const double product = 2.0 * (double)tokens * (double)v * (double)c;
    n->model_flops = n->flops = n->attr.with_grad ? 3 * product : product;
    n->bytes = 4.0 * (double)(v * c) * (n->attr.with_grad ? 2 : 1) + 8.0 * (double)(tokens * c);
    const double part = (double)plan->chunks;
    for (size_t i = 0; i < plan->chunks; i++) {
        weft_phase_add(n, weft_gemm_tasks(plan->logits), weft_ns_flops(product) / part);
        weft_phase_add(n, (rows + LOSS_ROWS - 1) / LOSS_ROWS, 2.0 * (double)(rows * v));
        if (n->attr.with_grad)
            weft_phase_add(n, weft_gemm_tasks(plan->dx) + weft_gemm_tasks(plan->dw),
                           2 * weft_ns_flops(product) / part);
    }
}

struct chunk { /* of tokens: [first, first + rows) */
    size_t first, rows, c, v;
    const float *x, *w;
    float *logits;
};

static void run_logits(const struct weft_exec *x, const struct head_plan *plan,
                       const struct chunk *q, size_t task) {
    const struct weft_gemm_args g = {
        .m = q->rows,
        .n = q->v,
        .k = q->c,
        .a = q->x,
        .lda = q->c,
        .a_layout = WEFT_K_INNER,
        .b = q->w,
        .ldb = q->c,
        .b_layout = WEFT_K_INNER,
        .c = q->logits,
        .ldc = plan->ld,
    };
    weft_gemm_task(x->k, &g, plan->logits, task);
}

static void run_loss(const struct weft_exec *x, const struct weft_node *n,
                     const struct head_plan *plan, const struct chunk *q, size_t task) {
    const size_t r = task * LOSS_ROWS;
    if (r >= q->rows) return;
    const struct weft_xent_args a = {
        .rows = q->rows - r < LOSS_ROWS ? q->rows - r : LOSS_ROWS,
        .v = q->v,
        .ld = plan->ld,
        .x = q->logits + r * plan->ld,
        .target = x_i32(x, n->in[2]) + q->first + r,
        .loss = x_f32(x, n->out[0]) + q->first + r,
        .correct = x_i32(x, n->out[1]) + q->first + r,
        .scale = x->run->inv_targets,
    };
    if (n->attr.with_grad)
        x->k->xent_f32(&a);
    else
        x->k->xent_fwd_f32(&a);
}

static void run_gradients(const struct weft_exec *x, const struct weft_node *n,
                          const struct head_plan *plan, const struct chunk *q, size_t task) {
    const size_t dw_tasks = weft_gemm_tasks(plan->dw);
    if (task < dw_tasks) {
        if (n->out[3] < 0) return;
        const struct weft_gemm_args g = {
            .m = q->v,
            .n = q->c,
            .k = q->rows,
            .a = q->logits,
            .lda = plan->ld,
            .a_layout = WEFT_K_OUTER,
            .b = q->x,
            .ldb = q->c,
            .b_layout = WEFT_K_OUTER,
            .c = x_f32(x, n->out[3]),
            .ldc = q->c,
            .accumulate = q->first > 0 || x_accumulate(x, n, 3),
        };
        weft_gemm_task(x->k, &g, plan->dw, task);
        return;
    }
    if (n->out[2] < 0) return;
    const struct weft_gemm_args g = {
        .m = q->rows,
        .n = q->c,
        .k = q->v,
        .a = q->logits,
        .lda = plan->ld,
        .a_layout = WEFT_K_INNER,
        .b = q->w,
        .ldb = q->c,
        .b_layout = WEFT_K_OUTER,
        .c = x_f32(x, n->out[2]) + q->first * q->c,
        .ldc = q->c,
        .accumulate = x_accumulate(x, n, 2),
    };
    weft_gemm_task(x->k, &g, plan->dx, task - dw_tasks);
}

static void run(const struct weft_exec *x, const struct weft_node *n, size_t phase, size_t task,
                size_t thread) {
    (void)thread;
    const struct head_plan *const plan = n->plan;
    const size_t tokens = x_rows(x, n->in[0]), c = x_cols(x, n->in[0]);
    const size_t first = phase / phases_a_chunk(n) * CHUNK;
    if (first >= tokens) return;
    const struct chunk q = {.first = first,
                            .rows = tokens - first < CHUNK ? tokens - first : CHUNK,
                            .c = c,
                            .v = weft_desc(x->g, n->in[1])->shape[0],
                            .x = x_f32(x, n->in[0]) + first * c,
                            .w = x_f32(x, n->in[1]),
                            .logits = x_shared(x, n)};
    switch (phase % phases_a_chunk(n)) {
    case LOGITS: run_logits(x, plan, &q, task); break;
    case LOSS: run_loss(x, n, plan, &q, task); break;
    case GRADIENTS: run_gradients(x, n, plan, &q, task); break;
    }
}

/* No node of its own: this one makes the gradients too. */
static void with_gradient(struct weft_backward *b, size_t node) {
    bool add_x, add_w;
    const weft_tensor dx = weft_grad_dst(b, b->p->node[node].in[0], &add_x);
    const weft_tensor dw = weft_grad_dst(b, b->p->node[node].in[1], &add_w);
    struct weft_node *const n = &b->p->node[node];
    n->attr.with_grad = true;
    n->attr.accumulate = (unsigned)add_x << 2 | (unsigned)add_w << 3;
    n->out[2] = dx;
    n->out[3] = dw;
}

const struct weft_op weft_op_head_xent = {"head_xent", plan, run, with_gradient};

weft_tensor weft_head_xent(weft_program *p, weft_tensor x, weft_tensor w, weft_tensor targets) {
    weft_graph *const g = p->graph;
    if (g->status != WEFT_OK) return WEFT_NONE;
    const struct weft_tensor_desc dx = *weft_desc(g, x), dt = *weft_desc(g, targets);
    if (x < 0 || w < 0 || weft_desc_cols(weft_desc(g, w)) != dx.shape[2])
        return weft_graph_fail(g, WEFT_ERR_SHAPE, "head: x %s does not fit weight %s",
                               weft_shape_text(g, x), weft_shape_text(g, w));
    if (dt.dtype != WEFT_I32 || weft_desc_count(&dt) != weft_desc_rows(&dx))
        return weft_graph_fail(g, WEFT_ERR_SHAPE, "head: targets %s do not fit x %s",
                               weft_shape_text(g, targets), weft_shape_text(g, x));
    const weft_tensor loss = weft_act_tensor(p, WEFT_F32, dx.shape[0], dx.shape[1], 1);
    const weft_tensor correct = weft_act_tensor(p, WEFT_I32, dx.shape[0], dx.shape[1], 1);
    weft_node_add(p, &weft_op_head_xent, WEFT_TENSORS(x, w, targets), WEFT_TENSORS(loss, correct),
                  NULL);
    return loss;
}
