/* Losses of a whole batch at once (op_head.c has the language model's, in chunks).
 *
 *   softmax_xent  in logits, targets  out losses, correct, dlogits, and for probes: sums of
 *                                     dlogits^2, log Z, largest logits
 *   mse           in x, targets       out losses, (none), dx
 *   inner         in x, g             out sums of x g, (none), dx = g
 *
 * No node of their own for the backward pass: with attr.with_grad they make the gradient too. */
#include <string.h>

#include "kernels/base/compiler.h"
#include "runtime/graph.h"

#define TASK_ELEMENTS 8192

static size_t rows_per_task(size_t cols) {
    return cols >= TASK_ELEMENTS ? 1 : TASK_ELEMENTS / (cols + 1);
}

static void plan(struct weft_node *n) {
    const struct weft_tensor_desc *const x = weft_node_in(n, 0);
    const double count = (double)weft_desc_count(x);
    const size_t unit = rows_per_task(weft_desc_cols(x));
    const bool exps = n->op == &weft_op_softmax_xent;
    n->model_flops = n->flops = 4 * count;
    n->bytes = (n->attr.with_grad ? 8 : 4) * count;
    weft_phase_add(n, (weft_desc_rows(x) + unit - 1) / unit, (exps ? 2.0 : 0.5) * count);
}

/* Rows [*lo, *lo + the result) of this task. */
static size_t task_rows(const struct weft_exec *x, const struct weft_node *n, size_t task,
                        size_t *lo) {
    const size_t rows = x_rows(x, n->in[0]), unit = rows_per_task(x_cols(x, n->in[0]));
    *lo = task * unit;
    return *lo >= rows ? 0 : rows - *lo < unit ? rows - *lo : unit;
}

static void *gradient(const struct weft_exec *x, const struct weft_node *n, size_t at) {
    return n->attr.with_grad ? x_at(x, n->out[2], at) : NULL;
}

static void xent_run(const struct weft_exec *x, const struct weft_node *n, size_t phase,
                     size_t task, size_t thread) {
    (void)phase, (void)thread;
    size_t r;
    const size_t rows = task_rows(x, n, task, &r), v = x_cols(x, n->in[0]);
    const struct weft_xent_args a = {
        .rows = rows,
        .v = v,
        .x = x_f32(x, n->in[0]) + r * v,
        .dx = gradient(x, n, r * v),
        .target = x_i32(x, n->in[1]) + r,
        .loss = x_f32(x, n->out[0]) + r,
        .correct = x_i32(x, n->out[1]) + r,
        .dsq = x_measures(x, n, 3) ? x_f32(x, n->out[3]) + r : NULL,
        .lse = x_measures(x, n, 4) ? x_f32(x, n->out[4]) + r : NULL,
        .max = x_measures(x, n, 5) ? x_f32(x, n->out[5]) + r : NULL,
        .scale = x->run->inv_targets,
    };
    if (a.dx != NULL)
        WEFT_PICK(x, n, xent)(&a);
    else
        x->k->xent_fwd_f32(&a);
}

static void mse_run(const struct weft_exec *x, const struct weft_node *n, size_t phase, size_t task,
                    size_t thread) {
    (void)phase, (void)thread;
    size_t r;
    const size_t rows = task_rows(x, n, task, &r), cols = x_cols(x, n->in[0]);
    WEFT_PICK(x, n, mse)
    (&(struct weft_mse_args){
        .rows = rows,
        .n = cols,
        .x = x_f32(x, n->in[0]) + r * cols,
        .y = x_f32(x, n->in[1]) + r * cols,
        .loss = x_f32(x, n->out[0]) + r,
        .dx = gradient(x, n, r * cols),
        .scale = x->run->inv_targets,
    });
}

static void inner_run(const struct weft_exec *x, const struct weft_node *n, size_t phase,
                      size_t task, size_t thread) {
    (void)phase, (void)thread;
    size_t r;
    const size_t rows = task_rows(x, n, task, &r), cols = x_cols(x, n->in[0]);
    for (size_t i = r; i < r + rows; i++) {
        const float *const g = x_f32(x, n->in[1]) + i * cols;
        float *const dx = gradient(x, n, i * cols);
        double sum;
        x->k->dot_f32(x_f32(x, n->in[0]) + i * cols, g, cols, &sum);
        x_f32(x, n->out[0])[i] = (float)sum;
        if (dx != NULL) x->k->scale_f32(x->run->inv_targets, g, dx, cols);
    }
}

/* The loss is the last node that reads x, so nobody has written dx before. */
static void with_gradient(struct weft_backward *b, size_t node) {
    bool accumulate;
    const weft_tensor dx = weft_grad_dst(b, b->p->node[node].in[0], &accumulate);
    struct weft_node *const n = &b->p->node[node];
    n->attr.with_grad = true;
    n->out[2] = dx;
    if (accumulate)
        weft_graph_fail(b->p->graph, WEFT_ERR_STATE, "%s: its input has another gradient", n->name);
}

/* To a multiple of 2^-24; from 1 on a float is one. */
static double rounded(float loss) {
    const double x = (double)loss * 0x1p24, nearest = 0x1.8p52;
    return (x < 0x1p24 ? x + nearest - nearest : x) * 0x1p-24;
}

double weft_loss_sum(const float *loss, const int32_t *target, size_t n) {
    double sum = 0;
    const unsigned control = weft_fp_begin(); /* to nearest, whatever the caller does */
    for (size_t i = 0; i < n; i++)
        if (target == NULL || target[i] >= 0) sum += rounded(loss[i]);
    weft_fp_end(control);
    return sum;
}

const struct weft_op weft_op_softmax_xent = {"softmax_xent", plan, xent_run, with_gradient};
const struct weft_op weft_op_mse = {"mse", plan, mse_run, with_gradient};
const struct weft_op weft_op_inner = {"inner", plan, inner_run, with_gradient};

weft_tensor weft_softmax_xent(weft_program *p, weft_tensor logits, weft_tensor targets) {
    weft_graph *const g = p->graph;
    if (!weft_logits(p, "softmax_xent", &logits) ||
        !weft_operand(p, "softmax_xent", targets, WEFT_I32))
        return WEFT_NONE;
    const struct weft_tensor_desc x = *weft_desc(g, logits), t = *weft_desc(g, targets);
    if (weft_desc_count(&t) != weft_desc_rows(&x))
        return weft_graph_fail(g, WEFT_ERR_SHAPE, "softmax_xent: targets %s do not fit logits %s",
                               weft_shape_text(g, targets), weft_shape_text(g, logits));
    const weft_tensor loss = weft_act_tensor(p, WEFT_F32, x.shape[0], x.shape[1], 1);
    const weft_tensor correct = weft_act_tensor(p, WEFT_I32, x.shape[0], x.shape[1], 1);
    weft_indices(p, targets, x.shape[2], true);
    weft_node_add(p, &weft_op_softmax_xent, WEFT_TENSORS(logits, targets),
                  WEFT_TENSORS(loss, correct), NULL);
    return loss;
}

static weft_tensor with_values(weft_program *p, const struct weft_op *op, weft_tensor x,
                               weft_tensor values) {
    weft_graph *const g = p->graph;
    if (p->storage != WEFT_F32 && op == &weft_op_inner)
        return weft_graph_fail(g, WEFT_ERR_DTYPE, "inner: only programs in f32 have it");
    if (!weft_logits(p, op->name, &x) || !weft_operand(p, op->name, values, WEFT_F32))
        return WEFT_NONE;
    const struct weft_tensor_desc dx = *weft_desc(g, x), dv = *weft_desc(g, values);
    if (memcmp(dx.shape, dv.shape, sizeof dx.shape) != 0)
        return weft_graph_fail(g, WEFT_ERR_SHAPE, "%s: targets %s do not fit x %s", op->name,
                               weft_shape_text(g, values), weft_shape_text(g, x));
    const weft_tensor loss = weft_act_tensor(p, WEFT_F32, dx.shape[0], dx.shape[1], 1);
    weft_node_add(p, op, WEFT_TENSORS(x, values), WEFT_TENSORS(loss), NULL);
    return loss;
}

weft_tensor weft_mse(weft_program *p, weft_tensor x, weft_tensor targets) {
    return with_values(p, &weft_op_mse, x, targets);
}

weft_tensor weft_inner(weft_program *p, weft_tensor x, weft_tensor g) {
    return with_values(p, &weft_op_inner, x, g);
}

weft_tensor weft_correct(weft_program *p, weft_tensor loss) {
    weft_graph *const g = p->graph;
    for (size_t i = 0; i < p->nodes; i++) {
        const struct weft_node *const n = &p->node[i];
        const bool counts = n->op == &weft_op_head_xent || n->op == &weft_op_softmax_xent;
        if (!counts || n->out[0] != loss) continue;
        weft_tensor_keep(g, n->out[1]);
        return n->out[1];
    }
    return weft_graph_fail(g, WEFT_ERR_ARG, "correct: the tensor is not the loss of a classifier");
}
