/* Layer normalization. weft keeps 1/std of each row where oneDNN keeps the variance: one is turned
 * into the other on the way. Gradients that are added to go through buffers. */
#include <math.h>

#include "runtime/onednn/node.h"

enum { NORM };

static void forward_prepare(const struct weft_exec *x, const struct weft_node *n,
                            struct weft_dnn *d) {
    weft_dnn_norm(d, NORM, x_rows(x, n->in[0]), x_cols(x, n->in[0]), n->attr.eps, n->in[1] >= 0,
                  n->in[2] >= 0);
}

static void forward_run(const struct weft_exec *x, const struct weft_node *n, struct weft_dnn *d) {
    const size_t rows = x_rows(x, n->in[0]);
    float *const rstd = x_f32(x, n->out[2]);
    WEFT_DNN_RUN(d, NORM, {DNNL_ARG_SRC, x_f32(x, n->in[0])}, {DNNL_ARG_DST, x_f32(x, n->out[0])},
                 {DNNL_ARG_MEAN, x_f32(x, n->out[1])}, {DNNL_ARG_VARIANCE, rstd},
                 {DNNL_ARG_SCALE, x_f32(x, n->in[1])}, {DNNL_ARG_SHIFT, x_f32(x, n->in[2])});
    for (size_t r = 0; r < rows; r++)
        rstd[r] = (float)(1 / sqrt((double)rstd[r] + (double)n->attr.eps));
}

enum { GRAD, ADD_DX, ADD_VECTOR };
enum { VARIANCE, DX, DGAMMA, DBETA };

static void backward_prepare(const struct weft_exec *x, const struct weft_node *n,
                             struct weft_dnn *d) {
    const size_t rows = x_rows(x, n->in[1]), c = x_cols(x, n->in[1]);
    const struct weft_dnn_array all = weft_dnn_rows(rows, c), vector = weft_dnn_rows(1, c);
    weft_dnn_norm_bwd(d, GRAD, rows, c, 0, n->in[4] >= 0, n->out[2] >= 0);
    weft_dnn_binary(d, ADD_DX, dnnl_binary_add, &all, &all);
    weft_dnn_binary(d, ADD_VECTOR, dnnl_binary_add, &vector, &vector);
    weft_dnn_buffer(d, VARIANCE, rows);
    weft_dnn_buffer(d, DX, rows * c);
    weft_dnn_buffer(d, DGAMMA, c);
    weft_dnn_buffer(d, DBETA, c);
}

/* Where oneDNN writes output i: itself, or a buffer when it is added to or absent. */
static float *target(const struct weft_exec *x, const struct weft_node *n, const struct weft_dnn *d,
                     size_t i) {
    return n->out[i] < 0 || x_accumulate(x, n, i) ? d->buffer[DX + i] : x_f32(x, n->out[i]);
}

static void backward_run(const struct weft_exec *x, const struct weft_node *n, struct weft_dnn *d) {
    const size_t rows = x_rows(x, n->in[1]);
    const float *const rstd = x_f32(x, n->in[3]);
    float *const variance = d->buffer[VARIANCE];
    for (size_t r = 0; r < rows; r++) {
        const double s = (double)rstd[r]; /* eps is in it already */
        variance[r] = (float)(1 / (s * s));
    }
    WEFT_DNN_RUN(d, GRAD, {DNNL_ARG_SRC, x_f32(x, n->in[1])}, {DNNL_ARG_MEAN, x_f32(x, n->in[2])},
                 {DNNL_ARG_VARIANCE, variance}, {DNNL_ARG_DIFF_DST, x_f32(x, n->in[0])},
                 {DNNL_ARG_SCALE, x_f32(x, n->in[4])}, {DNNL_ARG_DIFF_SRC, target(x, n, d, 0)},
                 {DNNL_ARG_DIFF_SCALE, target(x, n, d, 1)},
                 {DNNL_ARG_DIFF_SHIFT, target(x, n, d, 2)}, {DNNL_ARG_SHIFT, target(x, n, d, 2)});
    for (size_t i = 0; i < 3; i++) {
        if (n->out[i] < 0 || !x_accumulate(x, n, i)) continue;
        float *const out = x_f32(x, n->out[i]);
        WEFT_DNN_RUN(d, i == 0 ? ADD_DX : ADD_VECTOR, {DNNL_ARG_SRC_0, out},
                     {DNNL_ARG_SRC_1, d->buffer[DX + i]}, {DNNL_ARG_DST, out});
    }
}

const struct weft_dnn_op weft_dnn_layernorm = {&weft_op_layernorm, 3, forward_prepare, forward_run};
const struct weft_dnn_op weft_dnn_layernorm_bwd = {&weft_op_layernorm_bwd, 3, backward_prepare,
                                                   backward_run};
