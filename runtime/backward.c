/* Deriving the backward pass: nodes in reverse order, each appending its derivative. The gradient
 * of a tensor belongs to whoever writes it first; later writers add. */
#include <stdlib.h>
#include <string.h>

#include "runtime/graph.h"

/* Slot of t in the table of gradients, grown with the tensors. */
static weft_tensor *slot(weft_program *p, weft_tensor t) { return &p->grad_of[t]; }

weft_tensor weft_grad_get(struct weft_backward *b, weft_tensor t) {
    return t < 0 ? WEFT_NONE : *slot(b->p, t);
}

/* The gradient tensor of a parameter, made on first use; one for all programs. */
static weft_tensor param_grad(weft_program *p, weft_tensor t) {
    weft_graph *const g = p->graph;
    if (g->tensor[t].grad != WEFT_NONE) return g->tensor[t].grad;
    const weft_tensor d =
        weft_fixed_tensor(p, WEFT_F32, g->tensor[t].shape[0], g->tensor[t].shape[2]);
    if (d == WEFT_NONE) return WEFT_NONE;
    g->tensor[d].kind = WEFT_GRAD;
    g->tensor[d].name = g->tensor[t].name;
    g->tensor[d].layer = g->tensor[t].layer;
    g->tensor[t].grad = d;
    g->training = true;
    return d;
}

weft_tensor weft_grad_dst(struct weft_backward *b, weft_tensor t, bool *accumulate) {
    weft_program *const p = b->p;
    weft_graph *const g = p->graph;
    *accumulate = false;
    if (t < 0 || g->status != WEFT_OK) return WEFT_NONE;
    const enum weft_kind kind = g->tensor[t].kind;
    if ((kind != WEFT_PARAM && kind != WEFT_ACT) || g->tensor[t].constant) return WEFT_NONE;
    if (g->tensor[t].dtype == WEFT_COMPACT)
        return weft_graph_fail(g, WEFT_ERR_DTYPE,
                               "parameter %s is kept as %s, for inference: it has no gradient",
                               g->tensor[t].name, weft_format_name(g->tensor[t].format));
    weft_tensor *const s = slot(p, t);
    *accumulate = *s != WEFT_NONE;
    if (*s == WEFT_NONE) *s = kind == WEFT_PARAM ? param_grad(p, t) : weft_act_like(p, t);
    return *s;
}

void weft_grad_alias(struct weft_backward *b, weft_tensor t, weft_tensor dy) {
    weft_graph *const g = b->p->graph;
    if (t < 0 || g->status != WEFT_OK || g->tensor[t].kind != WEFT_ACT) return;
    weft_tensor *const s = slot(b->p, t);
    if (*s == WEFT_NONE)
        *s = dy;
    else
        weft_node_add(b->p, &weft_op_add, WEFT_TENSORS(*s, dy), WEFT_TENSORS(*s), NULL);
}

weft_tensor weft_tensor_grad(const weft_graph *g, weft_tensor param) {
    return weft_desc(g, param)->grad;
}

void weft_backward(weft_program *p, weft_tensor loss) {
    weft_graph *const g = p->graph;
    if (g->status != WEFT_OK) return;
    if (p->grad_of != NULL) {
        weft_graph_fail(g, WEFT_ERR_STATE, "program %s has a backward pass already", p->name);
        return;
    }
    const size_t forward = p->nodes;
    /* Every tensor a backward pass can refer to exists already or is a gradient, which has none. */
    p->grad_of = malloc((g->tensors + 1) * sizeof *p->grad_of);
    if (p->grad_of == NULL) {
        weft_graph_fail(g, WEFT_ERR_NOMEM, "out of memory while building the graph");
        return;
    }
    for (size_t i = 0; i <= g->tensors; i++) p->grad_of[i] = WEFT_NONE;
    struct weft_backward b = {p};
    bool seeded = false;
    for (size_t i = forward; i-- > 0 && g->status == WEFT_OK;) {
        const struct weft_op *const op = p->node[i].op;
        const bool is_loss =
            op == &weft_op_head_xent || op == &weft_op_softmax_xent || op == &weft_op_mse ||
            op == &weft_op_inner;
        const bool wanted =
            is_loss ? p->node[i].out[0] == loss : weft_grad_get(&b, p->node[i].out[0]) != WEFT_NONE;
        if (!wanted || op->backward == NULL) continue;
        seeded |= is_loss;
        p->layer = p->node[i].layer;
        op->backward(&b, i);
    }
    p->layer = -1;
    if (!seeded) weft_graph_fail(g, WEFT_ERR_ARG, "weft_backward: the tensor is not a loss");
}
