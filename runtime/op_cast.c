/* Between f32 and a program's storage.
 *
 *   narrow  in x (f32)    out y: an input's copy in bf16; has no derivative
 *   widen   in x (bf16)   out y (f32), exactly; its gradient is that of x */
#include "runtime/graph.h"

#define TASK_ELEMENTS 16384

static void plan(struct weft_node *n) {
    const size_t count = weft_desc_count(weft_node_in(n, 0));
    n->bytes = 6 * (double)count;
    weft_phase_add(n, (count + TASK_ELEMENTS - 1) / TASK_ELEMENTS, weft_ns_bytes(n->bytes));
}

static size_t task_count(const struct weft_exec *x, const struct weft_node *n, size_t task,
                         size_t *at) {
    const size_t count = x_rows(x, n->in[0]) * x_cols(x, n->in[0]);
    *at = task * TASK_ELEMENTS;
    return *at >= count ? 0 : count - *at < TASK_ELEMENTS ? count - *at : TASK_ELEMENTS;
}

static void narrow_run(const struct weft_exec *x, const struct weft_node *n, size_t phase,
                       size_t task, size_t thread) {
    (void)phase, (void)thread;
    size_t at;
    const size_t count = task_count(x, n, task, &at);
    x->k->narrow_bf16(x_at(x, n->in[0], at), x_at(x, n->out[0], at), count);
}

static void widen_run(const struct weft_exec *x, const struct weft_node *n, size_t phase,
                      size_t task, size_t thread) {
    (void)phase, (void)thread;
    size_t at;
    const size_t count = task_count(x, n, task, &at);
    x->k->widen_bf16(x_at(x, n->in[0], at), x_at(x, n->out[0], at), count);
}

static void widen_backward(struct weft_backward *b, size_t node) {
    const struct weft_node n = b->p->node[node];
    weft_grad_alias(b, n.in[0], weft_grad_get(b, n.out[0]));
}

const struct weft_op weft_op_narrow = {"narrow", plan, narrow_run, NULL};
const struct weft_op weft_op_widen = {"widen", plan, widen_run, widen_backward};

static weft_tensor cast(weft_program *p, const struct weft_op *op, weft_tensor x,
                        enum weft_dtype dtype) {
    weft_graph *const g = p->graph;
    const weft_tensor y = weft_act_like(p, x);
    if (y == WEFT_NONE) return y;
    g->tensor[y].dtype = dtype;
    g->tensor[y].constant = g->tensor[x].kind == WEFT_INPUT;
    weft_node_add(p, op, WEFT_TENSORS(x), WEFT_TENSORS(y), NULL);
    return y;
}

bool weft_stored(weft_program *p, const char *op, weft_tensor *t) {
    const bool input = weft_desc(p->graph, *t)->kind == WEFT_INPUT;
    if (p->storage == WEFT_F32 || !input) return weft_operand(p, op, *t, p->storage);
    if (!weft_operand(p, op, *t, WEFT_F32)) return false;
    *t = cast(p, &weft_op_narrow, *t, WEFT_BF16);
    return *t != WEFT_NONE;
}

bool weft_weight(weft_program *p, const char *op, weft_tensor t) {
    if (p->storage == WEFT_F32 && weft_desc(p->graph, t)->dtype == WEFT_COMPACT)
        return weft_operand(p, op, t, WEFT_COMPACT);
    if (!weft_operand(p, op, t, WEFT_F32)) return false;
    if (p->storage == WEFT_F32 || weft_desc(p->graph, t)->kind == WEFT_PARAM) return true;
    weft_graph_fail(p->graph, WEFT_ERR_DTYPE,
                    "%s: in bf16 weights must be parameters, and tensor %s is none", op,
                    weft_desc(p->graph, t)->name);
    return false;
}

/* The linear layer that writes t and nobody reads can as well write f32: no rounding. */
static bool written_by_linear(const weft_program *p, weft_tensor t) {
    bool found = false;
    for (size_t i = 0; i < p->nodes; i++) {
        const struct weft_node *const n = &p->node[i];
        for (size_t j = 0; j < WEFT_NODE_IN; j++)
            if (n->in[j] == t) return false;
        found |= n->op == &weft_op_linear && n->out[0] == t && n->attr.act == WEFT_ACT_NONE &&
                 n->in[3] < 0;
    }
    return found;
}

bool weft_logits(weft_program *p, const char *op, weft_tensor *t) {
    weft_graph *const g = p->graph;
    if (p->storage == WEFT_F32 || weft_desc(g, *t)->dtype != WEFT_BF16)
        return weft_operand(p, op, *t, WEFT_F32);
    if (!weft_operand(p, op, *t, WEFT_BF16)) return false;
    if (written_by_linear(p, *t))
        g->tensor[*t].dtype = WEFT_F32;
    else
        *t = cast(p, &weft_op_widen, *t, WEFT_F32);
    return *t != WEFT_NONE;
}
