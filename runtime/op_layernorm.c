/* LayerNorm over the last dimension.
 *
 *   layernorm      in x, gamma, beta            out y, mean, rstd
 *   layernorm_bwd  in dy, x, mean, rstd, gamma  out dx, dgamma, dbeta
 *
 * Where the residual stream's gradient is in dx already, the derivative is added to it in place.
 * Blocks of 64 rows leave partial column sums in shared scratch; a second phase folds them. */
#include "kernels/base/compiler.h"
#include "runtime/graph.h"

#define FORWARD_ROWS 16 /* of a task */
#define FOLD_COLS    256

static size_t blocks_of(size_t rows) {
    return (rows + WEFT_LAYERNORM_BLOCK - 1) / WEFT_LAYERNORM_BLOCK;
}

/* ---- forward ---- */
static void forward_plan(struct weft_node *n) {
    const struct weft_tensor_desc *const x = weft_node_in(n, 0);
    n->model_flops = n->flops = 8.0 * (double)weft_desc_count(x);
    n->bytes = 2 * weft_node_bytes(n) * (double)weft_desc_count(x);
    weft_phase_add(n, (weft_desc_rows(x) + FORWARD_ROWS - 1) / FORWARD_ROWS,
                   2 * weft_ns_bytes(n->bytes));
}

static void forward_run(const struct weft_exec *x, const struct weft_node *n, size_t phase,
                        size_t task, size_t thread) {
    (void)phase, (void)thread;
    const size_t rows = x_rows(x, n->in[0]), c = x_cols(x, n->in[0]), r = task * FORWARD_ROWS;
    if (r >= rows) return;
    WEFT_PICK(x, n, layernorm_fwd)
    (&(struct weft_layernorm_args){
        .rows = rows - r < FORWARD_ROWS ? rows - r : FORWARD_ROWS,
        .c = c,
        .x = x_at(x, n->in[0], r * c),
        .gamma = x_f32(x, n->in[1]),
        .beta = x_f32(x, n->in[2]),
        .y = x_at(x, n->out[0], r * c),
        .mean = x_f32(x, n->out[1]) + r,
        .rstd = x_f32(x, n->out[2]) + r,
        .eps = n->attr.eps,
    });
}

/* ---- backward ---- */
static void backward_plan(struct weft_node *n) {
    const struct weft_tensor_desc *const x = weft_node_in(n, 1);
    const size_t c = weft_desc_cols(x), blocks = blocks_of(weft_desc_rows(x));
    n->model_flops = n->flops = 14.0 * (double)weft_desc_count(x);
    n->bytes = 3 * weft_node_bytes(n) * (double)weft_desc_count(x);
    n->shared_bytes = blocks * 2 * c * sizeof(float);
    weft_phase_add(n, blocks, 2 * weft_ns_bytes(n->bytes));
    weft_phase_add(n, (c + FOLD_COLS - 1) / FOLD_COLS, weft_ns_bytes((double)n->shared_bytes));
}

static void backward_block(const struct weft_exec *x, const struct weft_node *n, size_t block) {
    const size_t rows = x_rows(x, n->in[1]), c = x_cols(x, n->in[1]);
    const size_t r = block * WEFT_LAYERNORM_BLOCK;
    if (r >= rows) return;
    void *const dx = x_at(x, n->out[0], r * c);
    WEFT_PICK(x, n, layernorm_bwd)
    (&(struct weft_layernorm_bwd_args){
        .rows = rows - r < WEFT_LAYERNORM_BLOCK ? rows - r : WEFT_LAYERNORM_BLOCK,
        .c = c,
        .dy = x_at(x, n->in[0], r * c),
        .x = x_at(x, n->in[1], r * c),
        .mean = x_f32(x, n->in[2]) + r,
        .rstd = x_f32(x, n->in[3]) + r,
        .gamma = x_f32(x, n->in[4]),
        .dres = x_accumulate(x, n, 0) && !WEFT_BUG(21) ? dx : NULL,
        .dx = dx,
        .part = (float *)x_shared(x, n) + block * 2 * c,
    });
}

static void backward_fold(const struct weft_exec *x, const struct weft_node *n, size_t task) {
    const size_t c = x_cols(x, n->in[1]), blocks = blocks_of(x_rows(x, n->in[1]));
    const size_t j = task * FOLD_COLS, cols = c - j < FOLD_COLS ? c - j : FOLD_COLS;
    const float *const part = x_shared(x, n);
    for (size_t i = 0; i < 2; i++) /* dgamma, dbeta */
        if (n->out[1 + i] >= 0)
            x->k->fold_rows_f32(part + i * c + j, blocks, 2 * c, x_f32(x, n->out[1 + i]) + j,
                                     cols, x_accumulate(x, n, 1 + i));
}

static void backward_run(const struct weft_exec *x, const struct weft_node *n, size_t phase,
                         size_t task, size_t thread) {
    (void)thread;
    if (phase == 0)
        backward_block(x, n, task);
    else
        backward_fold(x, n, task);
}

static void append_backward(struct weft_backward *b, size_t node) {
    const struct weft_node n = b->p->node[node];
    const weft_tensor dy = weft_grad_get(b, n.out[0]);
    bool add[3];
    const weft_tensor dx = weft_grad_dst(b, n.in[0], &add[0]);
    const weft_tensor dgamma = weft_grad_dst(b, n.in[1], &add[1]);
    const weft_tensor dbeta = weft_grad_dst(b, n.in[2], &add[2]);
    const struct weft_attr attr = {.accumulate = (unsigned)add[0] | (unsigned)add[1] << 1 |
                                                 (unsigned)add[2] << 2};
    weft_node_add(b->p, &weft_op_layernorm_bwd,
                  WEFT_TENSORS(dy, n.in[0], n.out[1], n.out[2], n.in[1]),
                  WEFT_TENSORS(dx, dgamma, dbeta), &attr);
}

const struct weft_op weft_op_layernorm = {"layernorm", forward_plan, forward_run, append_backward};
const struct weft_op weft_op_layernorm_bwd = {"layernorm_bwd", backward_plan, backward_run, NULL};

/* ---- builder ---- */
weft_tensor weft_layernorm(weft_program *p, weft_tensor x, weft_tensor gamma, weft_tensor beta,
                           float eps) {
    weft_graph *const g = p->graph;
    if (!weft_stored(p, "layernorm", &x)) return WEFT_NONE;
    const struct weft_tensor_desc d = *weft_desc(g, x);
    const weft_tensor affine[2] = {gamma, beta};
    for (size_t i = 0; i < 2; i++) {
        if (affine[i] == WEFT_NONE) continue;
        if (!weft_operand(p, "layernorm", affine[i], WEFT_F32)) return WEFT_NONE;
        if (weft_desc_count(weft_desc(g, affine[i])) != d.shape[2])
            return weft_graph_fail(g, WEFT_ERR_SHAPE, "layernorm: x %s does not fit %s %s",
                                   weft_shape_text(g, x), weft_desc(g, affine[i])->name,
                                   weft_shape_text(g, affine[i]));
    }
    if (!(eps > 0))
        return weft_graph_fail(g, WEFT_ERR_ARG, "layernorm: eps %g must be positive", (double)eps);
    const weft_tensor y = weft_act_like(p, x);
    weft_tensor stat[2];
    for (size_t i = 0; i < 2; i++)
        stat[i] = d.batched ? weft_act_tensor(p, WEFT_F32, d.shape[0], d.shape[1], 1)
                            : weft_fixed_tensor(p, WEFT_F32, weft_desc_rows(&d), 1);
    const struct weft_attr attr = {.eps = eps};
    weft_node_add(p, &weft_op_layernorm, WEFT_TENSORS(x, gamma, beta),
                  WEFT_TENSORS(y, stat[0], stat[1]), &attr);
    return y;
}
