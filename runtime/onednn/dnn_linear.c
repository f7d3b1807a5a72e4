/* The linear layer and its derivatives (runtime/op_linear.c has the equations). The weight lies as
 * it does in the model, unless weft_onednn_pack was asked for. */
#include "runtime/onednn/node.h"

/* ---- linear: the activation is part of the product, unless its input is wanted too ---- */
enum { PRODUCT, PACK, ACT };

static bool keeps_z(const struct weft_node *n) {
    return n->attr.act != WEFT_ACT_NONE && n->out[1] >= 0;
}

static void linear_prepare(const struct weft_exec *x, const struct weft_node *n,
                           struct weft_dnn *d) {
    const size_t m = x_rows(x, n->in[0]), in = x_cols(x, n->in[0]), out = x_cols(x, n->out[0]);
    const struct weft_dnn_array y = weft_dnn_rows(m, out), bias = weft_dnn_rows(1, out);
    const struct weft_dnn_array w = weft_dnn_turned(in, out);
    const struct weft_dnn_act f = weft_dnn_act_of(n->attr.act);
    struct weft_dnn_product p = {.a = weft_dnn_rows(m, in), .b = w, .c = y, .plain = &w};
    p.b.any = d->packed != NULL;
    if (n->in[2] >= 0) p.bias = &bias;
    if (n->in[3] >= 0) p.after.add = &y;
    if (n->attr.act != WEFT_ACT_NONE && !keeps_z(n))
        p.after = (struct weft_dnn_after){.act = f.alg, .alpha = f.alpha, .beta = f.beta};
    weft_dnn_matmul(d, PRODUCT, &p);
    if (keeps_z(n)) weft_dnn_eltwise(d, ACT, f, &y);
    if (d->packed != NULL) WEFT_DNN_RUN(d, PACK, {DNNL_ARG_FROM, d->packed});
}

static void linear_run(const struct weft_exec *x, const struct weft_node *n, struct weft_dnn *d) {
    float *const y = x_f32(x, n->out[0]), *const z = keeps_z(n) ? x_f32(x, n->out[1]) : y;
    WEFT_DNN_RUN(d, PRODUCT, {DNNL_ARG_SRC, x_f32(x, n->in[0])},
                 {DNNL_ARG_WEIGHTS, x_f32(x, n->in[1])}, {DNNL_ARG_BIAS, x_f32(x, n->in[2])},
                 {WEFT_DNN_ADD, x_f32(x, n->in[3])}, {DNNL_ARG_DST, z});
    if (keeps_z(n)) WEFT_DNN_RUN(d, ACT, {DNNL_ARG_SRC, z}, {DNNL_ARG_DST, y});
}

/* ---- linear_dx: dy w, then times act'(z) in place; an op that adds has no z ---- */
enum { DX, DX_PACK, DX_ADD, DX_ACT };

static void dx_prepare(const struct weft_exec *x, const struct weft_node *n, struct weft_dnn *d) {
    const size_t m = x_rows(x, n->in[0]), out = x_cols(x, n->in[0]), in = x_cols(x, n->out[0]);
    const struct weft_dnn_array dx = weft_dnn_rows(m, in), w = weft_dnn_rows(out, in);
    struct weft_dnn_product p = {.a = weft_dnn_rows(m, out), .b = w, .c = dx, .plain = &w};
    p.b.any = d->packed != NULL;
    p.after.sum = d->packed != NULL && x_accumulate(x, n, 0);
    weft_dnn_matmul(d, DX, &p);
    if (n->in[2] >= 0) weft_dnn_eltwise_bwd(d, DX_ACT, weft_dnn_act_of(n->attr.act), &dx);
    if (d->packed != NULL) {
        WEFT_DNN_RUN(d, DX_PACK, {DNNL_ARG_FROM, d->packed});
        return;
    }
    p.after.sum = true;
    weft_dnn_matmul(d, DX_ADD, &p);
}

static void dx_run(const struct weft_exec *x, const struct weft_node *n, struct weft_dnn *d) {
    float *const dx = x_f32(x, n->out[0]);
    WEFT_DNN_RUN(d, x_accumulate(x, n, 0) && d->packed == NULL ? DX_ADD : DX,
                 {DNNL_ARG_SRC, x_f32(x, n->in[0])}, {DNNL_ARG_WEIGHTS, x_f32(x, n->in[1])},
                 {DNNL_ARG_DST, dx});
    if (n->in[2] >= 0)
        WEFT_DNN_RUN(d, DX_ACT, {DNNL_ARG_SRC, x_f32(x, n->in[2])}, {DNNL_ARG_DIFF_DST, dx},
                     {DNNL_ARG_DIFF_SRC, dx});
}

/* ---- linear_dw: dyᵀ x, and the column sums of dy ---- */
enum { DW, DW_ADD, DB, DB_ADD };
enum { DB_PART };

static void dw_prepare(const struct weft_exec *x, const struct weft_node *n, struct weft_dnn *d) {
    const size_t m = x_rows(x, n->in[0]), out = x_cols(x, n->in[0]), in = x_cols(x, n->in[1]);
    const struct weft_dnn_array dy = weft_dnn_rows(m, out), db = weft_dnn_rows(1, out);
    struct weft_dnn_product p = {
        .a = weft_dnn_turned(out, m), .b = weft_dnn_rows(m, in), .c = weft_dnn_rows(out, in)};
    if (n->out[0] >= 0) {
        weft_dnn_matmul(d, DW, &p);
        p.after.sum = true;
        weft_dnn_matmul(d, DW_ADD, &p);
    }
    if (n->out[1] < 0) return;
    weft_dnn_reduction(d, DB, dnnl_reduction_sum, &dy, &db);
    weft_dnn_binary(d, DB_ADD, dnnl_binary_add, &db, &db);
    weft_dnn_buffer(d, DB_PART, out);
}

static void dw_run(const struct weft_exec *x, const struct weft_node *n, struct weft_dnn *d) {
    const float *const dy = x_f32(x, n->in[0]);
    if (n->out[0] >= 0)
        WEFT_DNN_RUN(d, x_accumulate(x, n, 0) ? DW_ADD : DW, {DNNL_ARG_SRC, dy},
                     {DNNL_ARG_WEIGHTS, x_f32(x, n->in[1])}, {DNNL_ARG_DST, x_f32(x, n->out[0])});
    if (n->out[1] < 0) return;
    float *const db = x_f32(x, n->out[1]), *const part = d->buffer[DB_PART];
    const bool add = x_accumulate(x, n, 1);
    WEFT_DNN_RUN(d, DB, {DNNL_ARG_SRC, dy}, {DNNL_ARG_DST, add ? part : db});
    if (add)
        WEFT_DNN_RUN(d, DB_ADD, {DNNL_ARG_SRC_0, db}, {DNNL_ARG_SRC_1, part}, {DNNL_ARG_DST, db});
}

const struct weft_dnn_op weft_dnn_linear = {&weft_op_linear, 2, linear_prepare, linear_run};
const struct weft_dnn_op weft_dnn_linear_dx = {&weft_op_linear_dx, 1, dx_prepare, dx_run};
const struct weft_dnn_op weft_dnn_linear_dw = {&weft_op_linear_dw, 2, dw_prepare, dw_run};
