/* What the backend keeps for a node: the primitives it is made of, for one number of live rows, and
 * memory between them. Errors stick, as in a graph's builders: after the first one everything is a
 * no-op, and it is told once. */
#ifndef WEFT_ONEDNN_NODE_H
#define WEFT_ONEDNN_NODE_H

#include "runtime/graph.h"
#include "runtime/onednn/api.h"

#define WEFT_DNN_PRIMITIVES 16
#define WEFT_DNN_BUFFERS    6
#define WEFT_DNN_ARGS       9

struct weft_dnn_primitive {
    dnnl_primitive_t handle; /* NULL: not made */
    size_t args;
    struct weft_dnn_arg {
        int arg; /* DNNL_ARG_... */
        dnnl_memory_t memory;
        bool fixed;    /* it has memory of its own: a run does not point it elsewhere */
        bool borrowed; /* of another primitive */
    } arg[WEFT_DNN_ARGS];
};

struct weft_dnn {
    weft_ctx *ctx;
    const char *node;
    enum weft_status status;
    size_t rows; /* live samples it is prepared for */
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    struct weft_dnn_primitive p[WEFT_DNN_PRIMITIVES];
    float *buffer[WEFT_DNN_BUFFERS];
    const float *packed; /* the weight that p[0] holds in a layout of its own, or NULL */
};

/* How an op is computed. prepare: primitives and buffers, once for a number of rows. */
struct weft_dnn_op {
    const struct weft_op *op;
    size_t outputs; /* that it makes: the first ones */
    void (*prepare)(const struct weft_exec *x, const struct weft_node *n, struct weft_dnn *d);
    void (*run)(const struct weft_exec *x, const struct weft_node *n, struct weft_dnn *d);
};
extern const struct weft_dnn_op weft_dnn_linear, weft_dnn_linear_dx, weft_dnn_linear_dw,
    weft_dnn_layernorm, weft_dnn_layernorm_bwd, weft_dnn_attention, weft_dnn_attention_bwd,
    weft_dnn_activation, weft_dnn_activation_bwd, weft_dnn_add, weft_dnn_gain, weft_dnn_gain_bwd,
    weft_dnn_head_xent, weft_dnn_softmax_xent, weft_dnn_mse;

/* ---- arrays: dense rows, or transposed, or with strides of its own ---- */
static inline struct weft_dnn_array weft_dnn_rows(size_t rows, size_t cols) {
    return (struct weft_dnn_array){
        2, {(int64_t)rows, (int64_t)cols}, {(int64_t)(cols > 0 ? cols : 1), 1}, false};
}
/* (rows, cols) that lies as (cols, rows) */
static inline struct weft_dnn_array weft_dnn_turned(size_t rows, size_t cols) {
    return (struct weft_dnn_array){2, {(int64_t)rows, (int64_t)cols}, {1, (int64_t)rows}, false};
}
static inline struct weft_dnn_array weft_dnn_cube(size_t a, size_t b, size_t c, size_t sa,
                                                  size_t sb, size_t sc) {
    return (struct weft_dnn_array){
        3, {(int64_t)a, (int64_t)b, (int64_t)c}, {(int64_t)sa, (int64_t)sb, (int64_t)sc}, false};
}

/* ---- while preparing ---- */
float *weft_dnn_buffer(struct weft_dnn *d, size_t i, size_t count); /* d->buffer[i] */

/* p[i]: c = a b + bias, and what follows. Arguments: SRC, WEIGHTS, BIAS, DST, and that of
 * after->add, WEFT_DNN_ADD. b->any: the weights lie as oneDNN likes, and p[i + 1] brings them there
 * (FROM, an array like `plain`, to TO). */
struct weft_dnn_product {
    struct weft_dnn_array a, b, c;
    const struct weft_dnn_array *bias, *plain; /* NULL: none */
    struct weft_dnn_after after;
};
#define WEFT_DNN_ADD (DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1)
void weft_dnn_matmul(struct weft_dnn *d, size_t i, const struct weft_dnn_product *m);
/* y = f(x): SRC, DST; the derivative: SRC, DIFF_DST, DIFF_SRC. */
struct weft_dnn_act {
    dnnl_alg_kind_t alg;
    float alpha, beta;
};
void weft_dnn_eltwise(struct weft_dnn *d, size_t i, struct weft_dnn_act f,
                      const struct weft_dnn_array *x);
void weft_dnn_eltwise_bwd(struct weft_dnn *d, size_t i, struct weft_dnn_act f,
                          const struct weft_dnn_array *x);
/* Over the last dimension: SRC, DST; the derivative: DST, DIFF_DST, DIFF_SRC. */
void weft_dnn_softmax(struct weft_dnn *d, size_t i, const struct weft_dnn_array *x);
void weft_dnn_softmax_bwd(struct weft_dnn *d, size_t i, const struct weft_dnn_array *x);
/* SRC, DST, MEAN, VARIANCE, SCALE, SHIFT; the derivative: SRC, MEAN, VARIANCE, DIFF_DST, SCALE,
 * SHIFT (any memory), DIFF_SRC, DIFF_SCALE, DIFF_SHIFT. */
void weft_dnn_norm(struct weft_dnn *d, size_t i, size_t rows, size_t cols, float eps, bool scale,
                   bool shift);
void weft_dnn_norm_bwd(struct weft_dnn *d, size_t i, size_t rows, size_t cols, float eps,
                       bool scale, bool shift);
/* c = a op b (b broadcast along its dimensions of 1): SRC_0, SRC_1, DST. */
void weft_dnn_binary(struct weft_dnn *d, size_t i, dnnl_alg_kind_t alg,
                     const struct weft_dnn_array *a, const struct weft_dnn_array *b);
/* y = x folded along the dimensions where y has 1: SRC, DST. */
void weft_dnn_reduction(struct weft_dnn *d, size_t i, dnnl_alg_kind_t alg,
                        const struct weft_dnn_array *x, const struct weft_dnn_array *y);

/* ---- while running ---- */
struct weft_dnn_use {
    int arg;
    const void *data; /* read or written, as the argument says */
};
void weft_dnn_run(struct weft_dnn *d, size_t i, const struct weft_dnn_use *use, size_t n);
#define WEFT_DNN_RUN(d, i, ...)                                                                    \
    weft_dnn_run((d), (i), (const struct weft_dnn_use[]){__VA_ARGS__},                             \
                 sizeof((const struct weft_dnn_use[]){__VA_ARGS__}) / sizeof(struct weft_dnn_use))

/* The eltwise algorithm of an enum weft_act; dnnl_alg_kind_undef: oneDNN has none. */
struct weft_dnn_act weft_dnn_act_of(int act);

#endif
