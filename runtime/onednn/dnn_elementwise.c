/* Elementwise ops (runtime/op_elementwise.c has the equations). What is added to goes through a
 * buffer. */
#include "runtime/onednn/node.h"

static struct weft_dnn_array all(const struct weft_exec *x, weft_tensor t) {
    return weft_dnn_rows(x_rows(x, t), x_cols(x, t));
}
static struct weft_dnn_array scalar(void) { return weft_dnn_rows(1, 1); }

/* out += part */
static void add_to(struct weft_dnn *d, size_t i, float *out, const float *part) {
    WEFT_DNN_RUN(d, i, {DNNL_ARG_SRC_0, out}, {DNNL_ARG_SRC_1, part}, {DNNL_ARG_DST, out});
}

/* ---- activation ---- */
enum { ACT, ADD };
enum { PART };

static void act_prepare(const struct weft_exec *x, const struct weft_node *n, struct weft_dnn *d) {
    const struct weft_dnn_array z = all(x, n->in[0]);
    weft_dnn_eltwise(d, ACT, weft_dnn_act_of(n->attr.act), &z);
}

static void act_run(const struct weft_exec *x, const struct weft_node *n, struct weft_dnn *d) {
    WEFT_DNN_RUN(d, ACT, {DNNL_ARG_SRC, x_f32(x, n->in[0])}, {DNNL_ARG_DST, x_f32(x, n->out[0])});
}

static void act_bwd_prepare(const struct weft_exec *x, const struct weft_node *n,
                            struct weft_dnn *d) {
    const struct weft_dnn_array z = all(x, n->in[0]);
    weft_dnn_eltwise_bwd(d, ACT, weft_dnn_act_of(n->attr.act), &z);
    weft_dnn_binary(d, ADD, dnnl_binary_add, &z, &z);
    weft_dnn_buffer(d, PART, x_rows(x, n->in[0]) * x_cols(x, n->in[0]));
}

static void act_bwd_run(const struct weft_exec *x, const struct weft_node *n, struct weft_dnn *d) {
    float *const dx = x_f32(x, n->out[0]);
    const bool add = x_accumulate(x, n, 0);
    WEFT_DNN_RUN(d, ACT, {DNNL_ARG_SRC, x_f32(x, n->in[0])},
                 {DNNL_ARG_DIFF_DST, x_f32(x, n->in[1])},
                 {DNNL_ARG_DIFF_SRC, add ? d->buffer[PART] : dx});
    if (add) add_to(d, ADD, dx, d->buffer[PART]);
}

/* ---- add ---- */
static void add_prepare(const struct weft_exec *x, const struct weft_node *n, struct weft_dnn *d) {
    const struct weft_dnn_array a = all(x, n->out[0]);
    weft_dnn_binary(d, ADD, dnnl_binary_add, &a, &a);
}

static void add_run(const struct weft_exec *x, const struct weft_node *n, struct weft_dnn *d) {
    WEFT_DNN_RUN(d, ADD, {DNNL_ARG_SRC_0, x_f32(x, n->in[0])}, {DNNL_ARG_SRC_1, x_f32(x, n->in[1])},
                 {DNNL_ARG_DST, x_f32(x, n->out[0])});
}

/* ---- gain ---- */
enum { SCALE, GAIN_ADD, TIMES, SUM, SUM_ADD };
enum { DF, PRODUCTS, DGAIN };

static void gain_prepare(const struct weft_exec *x, const struct weft_node *n, struct weft_dnn *d) {
    const struct weft_dnn_array f = all(x, n->in[0]), gain = scalar();
    weft_dnn_binary(d, SCALE, dnnl_binary_mul, &f, &gain);
    weft_dnn_binary(d, GAIN_ADD, dnnl_binary_add, &f, &f);
}

static void gain_run(const struct weft_exec *x, const struct weft_node *n, struct weft_dnn *d) {
    float *const y = x_f32(x, n->out[0]);
    WEFT_DNN_RUN(d, SCALE, {DNNL_ARG_SRC_0, x_f32(x, n->in[0])},
                 {DNNL_ARG_SRC_1, x_f32(x, n->in[1])}, {DNNL_ARG_DST, y});
    if (n->in[2] >= 0) add_to(d, GAIN_ADD, y, x_f32(x, n->in[2]));
}

static void gain_bwd_prepare(const struct weft_exec *x, const struct weft_node *n,
                             struct weft_dnn *d) {
    const struct weft_dnn_array f = all(x, n->in[0]), one = scalar();
    const size_t count = x_rows(x, n->in[0]) * x_cols(x, n->in[0]);
    gain_prepare(x, n, d);
    weft_dnn_binary(d, TIMES, dnnl_binary_mul, &f, &f);
    weft_dnn_reduction(d, SUM, dnnl_reduction_sum, &f, &one);
    weft_dnn_binary(d, SUM_ADD, dnnl_binary_add, &one, &one);
    weft_dnn_buffer(d, DF, count);
    weft_dnn_buffer(d, PRODUCTS, count);
    weft_dnn_buffer(d, DGAIN, 1);
}

static void gain_bwd_run(const struct weft_exec *x, const struct weft_node *n, struct weft_dnn *d) {
    const float *const dy = x_f32(x, n->in[2]);
    if (n->out[0] >= 0) {
        float *const df = x_f32(x, n->out[0]);
        const bool add = x_accumulate(x, n, 0);
        WEFT_DNN_RUN(d, SCALE, {DNNL_ARG_SRC_0, dy}, {DNNL_ARG_SRC_1, x_f32(x, n->in[1])},
                     {DNNL_ARG_DST, add ? d->buffer[DF] : df});
        if (add) add_to(d, GAIN_ADD, df, d->buffer[DF]);
    }
    float *const dgain = x_f32(x, n->out[1]);
    const bool add = x_accumulate(x, n, 1);
    WEFT_DNN_RUN(d, TIMES, {DNNL_ARG_SRC_0, x_f32(x, n->in[0])}, {DNNL_ARG_SRC_1, dy},
                 {DNNL_ARG_DST, d->buffer[PRODUCTS]});
    WEFT_DNN_RUN(d, SUM, {DNNL_ARG_SRC, d->buffer[PRODUCTS]},
                 {DNNL_ARG_DST, add ? d->buffer[DGAIN] : dgain});
    if (add) add_to(d, SUM_ADD, dgain, d->buffer[DGAIN]);
}

const struct weft_dnn_op weft_dnn_activation = {&weft_op_activation, 1, act_prepare, act_run};
const struct weft_dnn_op weft_dnn_activation_bwd = {&weft_op_activation_bwd, 1, act_bwd_prepare,
                                                    act_bwd_run};
const struct weft_dnn_op weft_dnn_add = {&weft_op_add, 1, add_prepare, add_run};
const struct weft_dnn_op weft_dnn_gain = {&weft_op_gain, 1, gain_prepare, gain_run};
const struct weft_dnn_op weft_dnn_gain_bwd = {&weft_op_gain_bwd, 2, gain_bwd_prepare, gain_bwd_run};
