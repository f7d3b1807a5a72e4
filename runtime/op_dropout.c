/* Dropout, with an optional residual sum.
 *
 *   dropout      in x, residual   out y = mask x / (1 - p) + residual
 *   dropout_bwd  in dy            out dx = mask dy / (1 - p)
 *
 * The mask is a function of seed, step, sample, position and channel (kernels/dropout.h): it is
 * made again in the backward pass, never stored. */
#include "runtime/graph.h"

#define TASK_ROWS 16

static void plan(struct weft_node *n) {
    const struct weft_tensor_desc *const d = weft_node_out(n, 0);
    n->bytes = weft_node_bytes(n) * (n->in[1] >= 0 ? 3.0 : 2.0) * (double)weft_desc_count(d);
    weft_phase_add(n, (weft_desc_rows(d) + TASK_ROWS - 1) / TASK_ROWS,
                   (double)weft_desc_count(d)); /* about one element a nanosecond */
}

static void run(const struct weft_exec *x, const struct weft_node *n, size_t phase, size_t task,
                size_t thread) {
    (void)phase, (void)thread;
    const size_t rows = x_rows(x, n->in[0]), cols = x_cols(x, n->in[0]), r = task * TASK_ROWS;
    if (r >= rows) return;
    WEFT_PICK(x, n, dropout)
    (&(struct weft_dropout_args){
        .rows = rows - r < TASK_ROWS ? rows - r : TASK_ROWS,
        .cols = cols,
        .row0 = r,
        .rows_per_sample = weft_desc(x->g, n->in[0])->shape[1],
        .sample0 = x->run->sample,
        .step = x->run->step,
        .seed = x->run->seed,
        .stream = n->attr.stream,
        .p = n->attr.prob,
        .x = x_at(x, n->in[0], r * cols),
        .residual = x_at(x, n->in[1], r * cols),
        .y = x_at(x, n->out[0], r * cols),
    });
}

/* dx, or dx += through the residual operand of the same kernel. */
static void append_backward(struct weft_backward *b, size_t node) {
    const struct weft_node n = b->p->node[node];
    const weft_tensor dy = weft_grad_get(b, n.out[0]);
    bool add;
    const weft_tensor dx = weft_grad_dst(b, n.in[0], &add);
    if (dx != WEFT_NONE)
        weft_node_add(b->p, &weft_op_dropout_bwd, WEFT_TENSORS(dy, add ? dx : WEFT_NONE),
                      WEFT_TENSORS(dx), &n.attr);
    weft_grad_alias(b, n.in[1], dy);
}

const struct weft_op weft_op_dropout = {"dropout", plan, run, append_backward};
const struct weft_op weft_op_dropout_bwd = {"dropout_bwd", plan, run, NULL};

weft_tensor weft_dropout(weft_program *p, weft_tensor x, float prob, weft_tensor residual) {
    weft_graph *const g = p->graph;
    if (!weft_stored(p, "dropout", &x) ||
        (residual != WEFT_NONE && !weft_stored(p, "dropout", &residual)))
        return WEFT_NONE;
    if (!(prob >= 0 && prob < 1))
        return weft_graph_fail(g, WEFT_ERR_ARG, "dropout: probability %g must be in [0, 1)",
                               (double)prob);
    if (residual >= 0 &&
        weft_desc_count(weft_desc(g, x)) != weft_desc_count(weft_desc(g, residual)))
        return weft_graph_fail(g, WEFT_ERR_SHAPE, "dropout: %s and residual %s differ",
                               weft_shape_text(g, x), weft_shape_text(g, residual));
    if (prob == 0) return residual < 0 ? x : weft_add(p, x, residual);
    const weft_tensor y = weft_act_like(p, x);
    const struct weft_attr attr = {.prob = prob, .stream = g->streams++};
    weft_node_add(p, &weft_op_dropout, WEFT_TENSORS(x, residual), WEFT_TENSORS(y), &attr);
    return y;
}
