/* Attention as products and softmax, one sample at a time, all heads at once (H, T, T):
 *
 *   S = scale Q Kᵀ + mask,  P = softmax(S),  Y = P V
 *   dV = Pᵀ dY,  dP = dY Vᵀ,  dS = softmax'(P, dP),  dQ = scale dS K,  dK = scale dSᵀ Q
 *
 * The backward pass makes P again, so that it reads nothing but what weft's op reads. */
#include <math.h>

#include "runtime/onednn/node.h"

struct shape {
    size_t t, c, hs, heads;
    float scale;
};

static struct shape shape_of(const struct weft_exec *x, const struct weft_node *n) {
    const struct weft_tensor_desc *const d = weft_desc(x->g, n->in[0]);
    const size_t c = d->shape[2] / 3, hs = c / n->attr.heads;
    return (struct shape){.t = d->shape[1],
                          .c = c,
                          .hs = hs,
                          .heads = n->attr.heads,
                          .scale = (float)(1 / sqrt((double)hs))};
}

/* Arrays of one sample: (H, T, hs) inside rows of ld, and its transpose; scores, and theirs. */
static struct weft_dnn_array rows(const struct shape *s, size_t ld) {
    return weft_dnn_cube(s->heads, s->t, s->hs, s->hs, ld, 1);
}
static struct weft_dnn_array columns(const struct shape *s, size_t ld) {
    return weft_dnn_cube(s->heads, s->hs, s->t, s->hs, 1, ld);
}
static struct weft_dnn_array scores(const struct shape *s) {
    return weft_dnn_cube(s->heads, s->t, s->t, s->t * s->t, s->t, 1);
}
static struct weft_dnn_array turned(const struct shape *s) {
    return weft_dnn_cube(s->heads, s->t, s->t, s->t * s->t, 1, s->t);
}

enum { SCORES, MASK, SOFTMAX, LARGEST, OUTPUT, DP, DS, DQ, DK, DV };
enum { HIDDEN, P, PMAX, DPS }; /* buffers */

static struct weft_dnn_after scaled(const struct shape *s) {
    return (struct weft_dnn_after){.act = dnnl_eltwise_linear, .alpha = s->scale};
}

static void prepare_scores(const struct shape *s, struct weft_dnn *d) {
    const struct weft_dnn_array all = scores(s);
    const struct weft_dnn_array mask = weft_dnn_cube(1, s->t, s->t, s->t * s->t, s->t, 1);
    const struct weft_dnn_product p = {
        .a = rows(s, 3 * s->c), .b = columns(s, 3 * s->c), .c = all, .after = scaled(s)};
    weft_dnn_matmul(d, SCORES, &p);
    weft_dnn_binary(d, MASK, dnnl_binary_add, &all, &mask);
    weft_dnn_softmax(d, SOFTMAX, &all);
    float *const hidden = weft_dnn_buffer(d, HIDDEN, s->t * s->t);
    weft_dnn_buffer(d, P, s->heads * s->t * s->t);
    for (size_t i = 0; hidden != NULL && i < s->t * s->t; i++)
        hidden[i] = i % s->t > i / s->t ? -INFINITY : 0;
}

/* Masked scores of a sample, into the buffer P. */
static void run_scores(const struct shape *s, struct weft_dnn *d, const float *qkv) {
    float *const p = d->buffer[P];
    WEFT_DNN_RUN(d, SCORES, {DNNL_ARG_SRC, qkv}, {DNNL_ARG_WEIGHTS, qkv + s->c}, {DNNL_ARG_DST, p});
    WEFT_DNN_RUN(d, MASK, {DNNL_ARG_SRC_0, p}, {DNNL_ARG_SRC_1, d->buffer[HIDDEN]},
                 {DNNL_ARG_DST, p});
}

static void run_softmax(struct weft_dnn *d) {
    WEFT_DNN_RUN(d, SOFTMAX, {DNNL_ARG_SRC, d->buffer[P]}, {DNNL_ARG_DST, d->buffer[P]});
}

/* ---- forward; lse = the largest score less the log of its probability ---- */
static void forward_prepare(const struct weft_exec *x, const struct weft_node *n,
                            struct weft_dnn *d) {
    const struct shape s = shape_of(x, n);
    const struct weft_dnn_array all = scores(&s);
    const struct weft_dnn_array one = weft_dnn_cube(s.heads, s.t, 1, s.t, 1, 1);
    const struct weft_dnn_product y = {.a = all, .b = rows(&s, 3 * s.c), .c = rows(&s, s.c)};
    prepare_scores(&s, d);
    weft_dnn_reduction(d, LARGEST, dnnl_reduction_max, &all, &one);
    weft_dnn_matmul(d, OUTPUT, &y);
    weft_dnn_buffer(d, PMAX, s.heads * s.t);
}

static void forward_run(const struct weft_exec *x, const struct weft_node *n, struct weft_dnn *d) {
    const struct shape s = shape_of(x, n);
    const size_t rows_of_all = s.heads * s.t;
    float *const pmax = d->buffer[PMAX];
    for (size_t b = 0; b < x->rows; b++) {
        const float *const qkv = x_f32(x, n->in[0]) + b * s.t * 3 * s.c;
        float *const lse = x_f32(x, n->out[1]) + b * rows_of_all;
        float *const smax = x_f32(x, n->out[2]) + b * rows_of_all;
        run_scores(&s, d, qkv);
        WEFT_DNN_RUN(d, LARGEST, {DNNL_ARG_SRC, d->buffer[P]}, {DNNL_ARG_DST, smax});
        run_softmax(d);
        WEFT_DNN_RUN(d, LARGEST, {DNNL_ARG_SRC, d->buffer[P]}, {DNNL_ARG_DST, pmax});
        WEFT_DNN_RUN(d, OUTPUT, {DNNL_ARG_SRC, d->buffer[P]}, {DNNL_ARG_WEIGHTS, qkv + 2 * s.c},
                     {DNNL_ARG_DST, x_f32(x, n->out[0]) + b * s.t * s.c});
        for (size_t i = 0; d->status == WEFT_OK && i < rows_of_all; i++)
            lse[i] = (float)((double)smax[i] - log((double)pmax[i]));
    }
}

/* ---- backward ---- */
static void backward_prepare(const struct weft_exec *x, const struct weft_node *n,
                             struct weft_dnn *d) {
    const struct shape s = shape_of(x, n);
    const struct weft_dnn_array all = scores(&s), grad = rows(&s, 3 * s.c), y = rows(&s, s.c);
    const struct weft_dnn_product dp = {.a = y, .b = columns(&s, 3 * s.c), .c = all};
    const struct weft_dnn_product dv = {.a = turned(&s), .b = y, .c = grad};
    const struct weft_dnn_product dq = {.a = all, .b = grad, .c = grad, .after = scaled(&s)};
    const struct weft_dnn_product dk = {.a = turned(&s), .b = grad, .c = grad, .after = scaled(&s)};
    prepare_scores(&s, d);
    weft_dnn_matmul(d, DP, &dp);
    weft_dnn_softmax_bwd(d, DS, &all);
    weft_dnn_matmul(d, DQ, &dq);
    weft_dnn_matmul(d, DK, &dk);
    weft_dnn_matmul(d, DV, &dv);
    weft_dnn_buffer(d, DPS, s.heads * s.t * s.t);
}

static void backward_run(const struct weft_exec *x, const struct weft_node *n, struct weft_dnn *d) {
    const struct shape s = shape_of(x, n);
    float *const p = d->buffer[P], *const ds = d->buffer[DPS];
    for (size_t b = 0; b < x->rows; b++) {
        const float *const qkv = x_f32(x, n->in[0]) + b * s.t * 3 * s.c;
        const float *const dy = x_f32(x, n->in[2]) + b * s.t * s.c;
        float *const dqkv = x_f32(x, n->out[0]) + b * s.t * 3 * s.c;
        run_scores(&s, d, qkv);
        run_softmax(d);
        WEFT_DNN_RUN(d, DV, {DNNL_ARG_SRC, p}, {DNNL_ARG_WEIGHTS, dy},
                     {DNNL_ARG_DST, dqkv + 2 * s.c});
        WEFT_DNN_RUN(d, DP, {DNNL_ARG_SRC, dy}, {DNNL_ARG_WEIGHTS, qkv + 2 * s.c},
                     {DNNL_ARG_DST, ds});
        WEFT_DNN_RUN(d, DS, {DNNL_ARG_DST, p}, {DNNL_ARG_DIFF_DST, ds}, {DNNL_ARG_DIFF_SRC, ds});
        WEFT_DNN_RUN(d, DQ, {DNNL_ARG_SRC, ds}, {DNNL_ARG_WEIGHTS, qkv + s.c},
                     {DNNL_ARG_DST, dqkv});
        WEFT_DNN_RUN(d, DK, {DNNL_ARG_SRC, ds}, {DNNL_ARG_WEIGHTS, qkv},
                     {DNNL_ARG_DST, dqkv + s.c});
    }
}

const struct weft_dnn_op weft_dnn_attention = {&weft_op_attention, 3, forward_prepare, forward_run};
const struct weft_dnn_op weft_dnn_attention_bwd = {&weft_op_attention_bwd, 1, backward_prepare,
                                                   backward_run};
