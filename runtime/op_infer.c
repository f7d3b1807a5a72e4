/* last_row: (n, C) -> (1, C), the last live row: logits are wanted for the newest token only. */
#include <string.h>

#include "runtime/graph.h"

static void plan(struct weft_node *n) {
    const size_t cols = weft_desc_cols(weft_node_in(n, 0));
    n->bytes = 8 * (double)cols;
    weft_phase_add(n, 1, weft_ns_bytes(n->bytes));
}

static void run(const struct weft_exec *x, const struct weft_node *n, size_t phase, size_t task,
                size_t thread) {
    (void)phase, (void)task, (void)thread;
    const size_t cols = x_cols(x, n->in[0]), rows = x_rows(x, n->in[0]);
    memcpy(x_f32(x, n->out[0]), x_f32(x, n->in[0]) + (rows - 1) * cols, cols * sizeof(float));
}

const struct weft_op weft_op_last_row = {"last_row", plan, run, NULL};

weft_tensor weft_last_row(weft_program *p, weft_tensor x) {
    if (!weft_operand(p, "last_row", x, WEFT_F32)) return WEFT_NONE;
    const weft_tensor y = weft_fixed_tensor(p, WEFT_F32, 1, weft_desc_cols(weft_desc(p->graph, x)));
    weft_node_add(p, &weft_op_last_row, WEFT_TENSORS(x), WEFT_TENSORS(y), NULL);
    return y;
}
