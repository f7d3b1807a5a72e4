/* Language-model head with its loss: logits = x wᵀ, softmax cross-entropy, and, in the same sweep,
 * dx and dw. Tokens go in chunks of a multiple of 256, so the logits of one chunk are all that is
 * ever in memory and nothing is computed twice.
 *
 *   in x (tokens, C), w (V, C), targets (tokens)   out losses, correct, dx, dw
 *
 * For each chunk: the product; softmax, loss and dlogits in place; dw += dlogitsᵀ x, dx = dlogits
 * w. A chunk is whole k chunks of dw, so its bits do not depend on how many there are. In bf16
 * logits stay f32, and dlogits lie behind them. */
#include "runtime/product.h"

#define CHUNK_BYTES ((size_t)64 << 20) /* of logits, unless that is less than 256 rows */
#define CHUNK_ROWS  1024               /* at most */
#define LOSS_ROWS   8                  /* of a task */

enum { LOGITS, DW, DX };
struct head_plan {
    size_t rows, ld; /* of a chunk's logits */
    size_t steps;    /* phases of a chunk */
    /* where they are in the shared scratch, in bytes; dlogits 0: in the logits' place */
    size_t dlogits, packed;
    struct weft_product product[3];
};

/* Rows of a chunk: a power of two from 256 on, or all tokens. */
static size_t chunk_rows(size_t tokens, size_t ld) {
    size_t rows = WEFT_GEMM_CHUNK_ROWS;
    while (rows < CHUNK_ROWS && 2 * rows * ld * sizeof(float) <= CHUNK_BYTES) rows *= 2;
    return tokens < rows ? tokens : rows;
}

static void add_phases(struct weft_node *n, const struct weft_product *p) {
    for (size_t i = 0; i < weft_product_phases(p); i++)
        weft_phase_add(n, weft_product_tasks(p, i), weft_product_ns(p, n->program->graph->ctx, i));
}

static void plan(struct weft_node *n) {
    struct head_plan *const plan = weft_plan_alloc(n, sizeof *plan);
    if (plan == NULL) return;
    const size_t tokens = weft_desc_rows(weft_node_in(n, 0));
    const size_t c = weft_desc_cols(weft_node_in(n, 0)), v = weft_node_in(n, 1)->shape[0];
    plan->ld = (v + 15) / 16 * 16;
    const size_t rows = plan->rows = chunk_rows(tokens, plan->ld);
    const struct weft_tensor_desc *const w = weft_node_in(n, 1);
    const struct weft_product all[3] = {
        [LOGITS] = {.m = rows,
                    .n = v,
                    .k = c,
                    .a = WEFT_K_INNER,
                    .b = w->dtype == WEFT_COMPACT ? WEFT_BLOCKS : WEFT_K_INNER,
                    .format = w->format},
        [DW] = {.m = v, .n = c, .k = rows, .a = WEFT_K_OUTER, .b = WEFT_K_OUTER, .by_rows = true},
        [DX] = {.m = rows, .n = c, .k = v, .a = WEFT_K_INNER, .b = WEFT_K_OUTER},
    };
    const size_t products = n->attr.with_grad ? 3 : 1;
    size_t packed = 0;
    plan->steps = 1;
    for (size_t i = 0; i < products; i++) {
        plan->product[i] = all[i];
        plan->product[i].half = x_half(n);
        plan->product[i].narrow = x_half(n) && i == DX;
        weft_product_plan(&plan->product[i], n->program->graph->ctx);
        plan->steps += weft_product_phases(&plan->product[i]);
        if (plan->product[i].packed_bytes > packed) packed = plan->product[i].packed_bytes;
        if (plan->product[i].local_bytes > n->local_bytes)
            n->local_bytes = plan->product[i].local_bytes;
    }
    n->plan = plan;
    plan->packed = rows * plan->ld * sizeof(float);
    if (x_half(n) && products > 1) {
        plan->dlogits = plan->packed;
        plan->packed += rows * plan->ld * sizeof(uint16_t);
    }
    n->shared_bytes = plan->packed + packed;
    n->model_flops = n->flops = 2.0 * (double)products * (double)tokens * (double)(v * c);
    if (x_half(n) || plan->product[LOGITS].rounds) n->bf16_flops = n->flops;
    n->bytes = weft_node_bytes(n) * (double)(v * c + 2 * tokens * c) +
               (products > 1 ? 4.0 : 0) * (double)(v * c);
    for (size_t first = 0; first < tokens; first += rows) {
        add_phases(n, &plan->product[LOGITS]);
        weft_phase_add(n, (rows + LOSS_ROWS - 1) / LOSS_ROWS, 2.0 * (double)(rows * v));
        if (products == 1) continue;
        add_phases(n, &plan->product[DW]);
        add_phases(n, &plan->product[DX]);
    }
}

struct chunk { /* of tokens: [first, first + rows) */
    size_t first, rows, c, v;
    const void *x, *w;
    float *logits;
    void *dlogits;
};

/* The product's operands; c NULL: not wanted. */
static struct weft_gemm_args product_args(const struct weft_exec *x, const struct weft_node *n,
                                          const struct chunk *q, int which) {
    const size_t ld = ((const struct head_plan *)n->plan)->ld;
    switch (which) {
    case LOGITS:
        return (struct weft_gemm_args){.m = q->rows,
                                       .n = q->v,
                                       .k = q->c,
                                       .a = q->x,
                                       .lda = q->c,
                                       .b = q->w,
                                       .ldb = q->c,
                                       .blocks = (const unsigned char *)q->w,
                                       .c = q->logits,
                                       .ldc = ld};
    case DW:
        return (struct weft_gemm_args){.m = q->v,
                                       .n = q->c,
                                       .k = q->rows,
                                       .a = q->dlogits,
                                       .lda = ld,
                                       .b = q->x,
                                       .ldb = q->c,
                                       .c = x_f32(x, n->out[3]),
                                       .ldc = q->c,
                                       .accumulate = q->first > 0 || x_accumulate(x, n, 3)};
    default:
        return (struct weft_gemm_args){.m = q->rows,
                                       .n = q->c,
                                       .k = q->v,
                                       .a = q->dlogits,
                                       .lda = ld,
                                       .b = q->w,
                                       .ldb = q->c,
                                       .c = x_at(x, n->out[2], q->first * q->c),
                                       .ldc = q->c,
                                       .accumulate = x_accumulate(x, n, 2)};
    }
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
        .dx = x_half(n) ? (void *)((uint16_t *)q->dlogits + r * plan->ld) : NULL,
        .target = x_i32(x, n->in[2]) + q->first + r,
        .loss = x_f32(x, n->out[0]) + q->first + r,
        .correct = x_i32(x, n->out[1]) + q->first + r,
        .lse = x_measures(x, n, 4) ? x_f32(x, n->out[4]) + q->first + r : NULL,
        .max = x_measures(x, n, 5) ? x_f32(x, n->out[5]) + q->first + r : NULL,
        .scale = x->run->inv_targets,
    };
    if (n->attr.with_grad)
        WEFT_PICK(x, n, xent)(&a);
    else
        x->k->xent_fwd_f32(&a);
}

static void run(const struct weft_exec *x, const struct weft_node *n, size_t phase, size_t task,
                size_t thread) {
    const struct head_plan *const plan = n->plan;
    unsigned char *const shared = x_shared(x, n);
    const size_t tokens = x_rows(x, n->in[0]), c = x_cols(x, n->in[0]);
    const size_t first = phase / plan->steps * plan->rows;
    if (first >= tokens) return;
    const struct chunk q = {.first = first,
                            .rows = tokens - first < plan->rows ? tokens - first : plan->rows,
                            .c = c,
                            .v = weft_desc(x->g, n->in[1])->shape[0],
                            .x = x_at(x, n->in[0], first * c),
                            .w = x_weight(x, n, n->in[1]),
                            .logits = x_shared(x, n),
                            .dlogits = shared + plan->dlogits};
    size_t step = phase % plan->steps;
    for (int i = LOGITS; i <= DX; i++) {
        const size_t phases = weft_product_phases(&plan->product[i]);
        if (step < phases) {
            const struct weft_gemm_args g = product_args(x, n, &q, i);
            if (g.c != NULL)
                weft_product_run(&plan->product[i], x->k, &g, shared + plan->packed,
                                 x_local(x, thread), step, task);
            return;
        }
        step -= phases;
        if (i == LOGITS && step-- == 0) {
            run_loss(x, n, plan, &q, task);
            return;
        }
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
    if (!weft_stored(p, "head", &x) || !weft_weight(p, "head", w) ||
        !weft_operand(p, "head", targets, WEFT_I32))
        return WEFT_NONE;
    const struct weft_tensor_desc dx = *weft_desc(g, x), dt = *weft_desc(g, targets);
    if (weft_desc_cols(weft_desc(g, w)) != dx.shape[2])
        return weft_graph_fail(g, WEFT_ERR_SHAPE, "head: x %s does not fit weight %s",
                               weft_shape_text(g, x), weft_shape_text(g, w));
    if (weft_desc_count(&dt) != weft_desc_rows(&dx))
        return weft_graph_fail(g, WEFT_ERR_SHAPE, "head: targets %s do not fit x %s",
                               weft_shape_text(g, targets), weft_shape_text(g, x));
    const weft_tensor loss = weft_act_tensor(p, WEFT_F32, dx.shape[0], dx.shape[1], 1);
    const weft_tensor correct = weft_act_tensor(p, WEFT_I32, dx.shape[0], dx.shape[1], 1);
    weft_indices(p, targets, weft_desc(g, w)->shape[0], true);
    weft_node_add(p, &weft_op_head_xent, WEFT_TENSORS(x, w, targets), WEFT_TENSORS(loss, correct),
                  NULL);
    return loss;
}
