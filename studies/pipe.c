/* See pipe.h: z is a parameter, so that it has a gradient; 1 is sent back through the activation.
 */
#include "studies/pipe.h"

enum weft_status pipe_open(weft_ctx *ctx, const char *act, size_t n, struct pipe *out) {
    const struct weft_param_desc d = {.name = "z", .shape = {1, n}, .layer = -1, .role = "z"};
    struct pipe p = {.n = n};
    enum weft_status st = weft_graph_create(ctx, &p.graph);
    if (st != WEFT_OK) return st;
    p.program = weft_program_create(p.graph, "act", 1);
    const weft_tensor z = weft_param(p.graph, &d);
    const weft_tensor one = weft_input_f32(p.program, "one", n);
    const weft_tensor y = weft_activation(p.program, z, act);
    weft_tensor_keep(p.graph, y);
    weft_backward(p.program, weft_inner(p.program, y, one));
    st = weft_graph_commit(p.graph);
    if (st != WEFT_OK) {
        weft_graph_free(p.graph);
        return st;
    }
    float *const ones = weft_tensor_data(p.graph, one);
    for (size_t i = 0; i < n; i++) ones[i] = 1;
    p.z = weft_tensor_data(p.graph, z);
    p.y = weft_tensor_data(p.graph, y);
    p.dz = weft_tensor_data(p.graph, weft_tensor_grad(p.graph, z));
    *out = p;
    return WEFT_OK;
}

enum weft_status pipe_run(struct pipe *p) {
    const struct weft_run run = {.inv_targets = 1};
    return weft_program_run(p->program, &run);
}

void pipe_close(struct pipe *p) { weft_graph_free(p->graph); }
