/* Losses by softmax: of a row, loss = (max - x_target) - log p_max, where p_max is the probability
 * of the largest logit, and dx = (p - onehot) scale. The head goes in chunks of tokens, as weft's
 * does, so that the logits of one chunk are all that is in memory. */
#include <math.h>
#include <string.h>

#include "runtime/onednn/node.h"

/* ---- softmax cross-entropy of rows of logits ---- */
struct rows {
    size_t n, v;
    const float *x; /* (n, v) logits */
    float *p;       /* (n, v) where probabilities go, and the gradient; may be x */
    const int32_t *target;
    float *loss;
    int32_t *correct;
    float *max, *pmax, *scale; /* (n), (n), (1): buffers */
};
enum { MAX, SOFTMAX, SCALE, XENT_PRIMITIVES };

static void xent_prepare(struct weft_dnn *d, size_t at, size_t n, size_t v) {
    const struct weft_dnn_array x = weft_dnn_rows(n, v), one = weft_dnn_rows(n, 1);
    const struct weft_dnn_array scalar = weft_dnn_rows(1, 1);
    weft_dnn_reduction(d, at + MAX, dnnl_reduction_max, &x, &one);
    weft_dnn_softmax(d, at + SOFTMAX, &x);
    weft_dnn_binary(d, at + SCALE, dnnl_binary_mul, &x, &scalar);
}

/* Is the target the first of the largest? */
static int32_t is_first(const float *x, long target, float max) {
    if (target < 0 || x[target] != max) return 0;
    for (long j = 0; j < target; j++)
        if (x[j] == max) return 0;
    return 1;
}

/* loss holds max - x_target between the two passes, before p has overwritten x. */
static void xent_run(struct weft_dnn *d, size_t at, const struct rows *r, bool gradient) {
    WEFT_DNN_RUN(d, at + MAX, {DNNL_ARG_SRC, r->x}, {DNNL_ARG_DST, r->max});
    for (size_t i = 0; d->status == WEFT_OK && i < r->n; i++) {
        const float *const x = r->x + i * r->v;
        r->correct[i] = is_first(x, r->target[i], r->max[i]);
        r->loss[i] = r->target[i] < 0 ? 0 : r->max[i] - x[r->target[i]];
    }
    WEFT_DNN_RUN(d, at + SOFTMAX, {DNNL_ARG_SRC, r->x}, {DNNL_ARG_DST, r->p});
    WEFT_DNN_RUN(d, at + MAX, {DNNL_ARG_SRC, r->p}, {DNNL_ARG_DST, r->pmax});
    for (size_t i = 0; d->status == WEFT_OK && i < r->n; i++) {
        float *const p = r->p + i * r->v;
        if (r->target[i] >= 0) r->loss[i] = (float)((double)r->loss[i] - log((double)r->pmax[i]));
        if (!gradient) continue;
        if (r->target[i] < 0)
            memset(p, 0, r->v * sizeof *p);
        else
            p[r->target[i]] -= 1;
    }
    if (gradient)
        WEFT_DNN_RUN(d, at + SCALE, {DNNL_ARG_SRC_0, r->p}, {DNNL_ARG_SRC_1, r->scale},
                     {DNNL_ARG_DST, r->p});
}

enum { LOGITS_BUFFER, MAX_BUFFER, PMAX_BUFFER, SCALE_BUFFER };

static void xent_buffers(struct weft_dnn *d, size_t n, size_t v) {
    weft_dnn_buffer(d, LOGITS_BUFFER, n * v);
    weft_dnn_buffer(d, MAX_BUFFER, n);
    weft_dnn_buffer(d, PMAX_BUFFER, n);
    weft_dnn_buffer(d, SCALE_BUFFER, 1);
}

static void softmax_xent_prepare(const struct weft_exec *x, const struct weft_node *n,
                                 struct weft_dnn *d) {
    const size_t rows = x_rows(x, n->in[0]), v = x_cols(x, n->in[0]);
    xent_prepare(d, 0, rows, v);
    xent_buffers(d, rows, v);
}

static void softmax_xent_run(const struct weft_exec *x, const struct weft_node *n,
                             struct weft_dnn *d) {
    const bool gradient = n->attr.with_grad && n->out[2] >= 0;
    const struct rows r = {.n = x_rows(x, n->in[0]),
                           .v = x_cols(x, n->in[0]),
                           .x = x_f32(x, n->in[0]),
                           .p = gradient ? x_f32(x, n->out[2]) : d->buffer[LOGITS_BUFFER],
                           .target = x_i32(x, n->in[1]),
                           .loss = x_f32(x, n->out[0]),
                           .correct = x_i32(x, n->out[1]),
                           .max = d->buffer[MAX_BUFFER],
                           .pmax = d->buffer[PMAX_BUFFER],
                           .scale = d->buffer[SCALE_BUFFER]};
    *r.scale = x->run->inv_targets;
    xent_run(d, 0, &r, gradient);
}

/* ---- head: primitives of a whole chunk, then those of the last one when it is shorter ---- */
#define CHUNK_BYTES ((size_t)64 << 20) /* of logits, unless that is less than 256 rows */
enum { LOGITS = XENT_PRIMITIVES, DX, DW, DW_ADD, CHUNK_PRIMITIVES };

static size_t chunk_of(size_t tokens, size_t v) {
    const size_t fit = CHUNK_BYTES / sizeof(float) / v;
    const size_t rows = fit < 256 ? 256 : fit > 1024 ? 1024 : fit;
    return tokens < rows ? tokens : rows;
}

static void chunk_prepare(const struct weft_exec *x, const struct weft_node *n, struct weft_dnn *d,
                          size_t at, size_t rows) {
    const size_t c = x_cols(x, n->in[0]), v = weft_desc(x->g, n->in[1])->shape[0];
    const struct weft_dnn_array h = weft_dnn_rows(rows, c), w = weft_dnn_rows(v, c);
    const struct weft_dnn_product logits = {
        .a = h, .b = weft_dnn_turned(c, v), .c = weft_dnn_rows(rows, v)};
    weft_dnn_matmul(d, at + LOGITS, &logits);
    xent_prepare(d, at, rows, v);
    if (!n->attr.with_grad) return;
    struct weft_dnn_product dx = {.a = weft_dnn_rows(rows, v), .b = w, .c = h};
    struct weft_dnn_product dw = {.a = weft_dnn_turned(v, rows), .b = h, .c = w};
    dx.after.sum = n->attr.accumulate >> 2 & 1;
    weft_dnn_matmul(d, at + DX, &dx);
    weft_dnn_matmul(d, at + DW, &dw);
    dw.after.sum = true;
    weft_dnn_matmul(d, at + DW_ADD, &dw);
}

static void head_prepare(const struct weft_exec *x, const struct weft_node *n, struct weft_dnn *d) {
    const size_t tokens = x_rows(x, n->in[0]), v = weft_desc(x->g, n->in[1])->shape[0];
    const size_t rows = chunk_of(tokens, v);
    chunk_prepare(x, n, d, 0, rows);
    if (tokens % rows != 0) chunk_prepare(x, n, d, CHUNK_PRIMITIVES, tokens % rows);
    xent_buffers(d, rows, v);
}

static void chunk_run(const struct weft_exec *x, const struct weft_node *n, struct weft_dnn *d,
                      size_t at, size_t first, size_t rows) {
    const size_t c = x_cols(x, n->in[0]), v = weft_desc(x->g, n->in[1])->shape[0];
    const float *const h = x_f32(x, n->in[0]) + first * c, *const w = x_f32(x, n->in[1]);
    float *const logits = d->buffer[LOGITS_BUFFER];
    const struct rows r = {.n = rows,
                           .v = v,
                           .x = logits,
                           .p = logits,
                           .target = x_i32(x, n->in[2]) + first,
                           .loss = x_f32(x, n->out[0]) + first,
                           .correct = x_i32(x, n->out[1]) + first,
                           .max = d->buffer[MAX_BUFFER],
                           .pmax = d->buffer[PMAX_BUFFER],
                           .scale = d->buffer[SCALE_BUFFER]};
    *r.scale = x->run->inv_targets;
    WEFT_DNN_RUN(d, at + LOGITS, {DNNL_ARG_SRC, h}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DST, logits});
    xent_run(d, at, &r, n->attr.with_grad);
    if (n->attr.with_grad && n->out[2] >= 0)
        WEFT_DNN_RUN(d, at + DX, {DNNL_ARG_SRC, logits}, {DNNL_ARG_WEIGHTS, w},
                     {DNNL_ARG_DST, x_f32(x, n->out[2]) + first * c});
    if (n->attr.with_grad && n->out[3] >= 0)
        WEFT_DNN_RUN(d, at + (first > 0 || x_accumulate(x, n, 3) ? DW_ADD : DW),
                     {DNNL_ARG_SRC, logits}, {DNNL_ARG_WEIGHTS, h},
                     {DNNL_ARG_DST, x_f32(x, n->out[3])});
}

static void head_run(const struct weft_exec *x, const struct weft_node *n, struct weft_dnn *d) {
    const size_t tokens = x_rows(x, n->in[0]), v = weft_desc(x->g, n->in[1])->shape[0];
    const size_t rows = chunk_of(tokens, v);
    for (size_t first = 0; first < tokens; first += rows) {
        const bool whole = tokens - first >= rows;
        chunk_run(x, n, d, whole ? 0 : CHUNK_PRIMITIVES, first, whole ? rows : tokens - first);
    }
}

/* ---- squared error ---- */
enum { MINUS, SQUARE, MEAN, TIMES };
enum { DIFFERENCE, SQUARES, FACTOR };

static void mse_prepare(const struct weft_exec *x, const struct weft_node *n, struct weft_dnn *d) {
    const size_t rows = x_rows(x, n->in[0]), cols = x_cols(x, n->in[0]);
    const struct weft_dnn_array all = weft_dnn_rows(rows, cols), scalar = weft_dnn_rows(1, 1);
    const struct weft_dnn_array one = weft_dnn_rows(rows, 1);
    weft_dnn_binary(d, MINUS, dnnl_binary_sub, &all, &all);
    weft_dnn_binary(d, SQUARE, dnnl_binary_mul, &all, &all);
    weft_dnn_reduction(d, MEAN, dnnl_reduction_mean, &all, &one);
    weft_dnn_binary(d, TIMES, dnnl_binary_mul, &all, &scalar);
    weft_dnn_buffer(d, DIFFERENCE, rows * cols);
    weft_dnn_buffer(d, SQUARES, rows * cols);
    weft_dnn_buffer(d, FACTOR, 1);
}

static void mse_run(const struct weft_exec *x, const struct weft_node *n, struct weft_dnn *d) {
    float *const diff = d->buffer[DIFFERENCE], *const squares = d->buffer[SQUARES];
    d->buffer[FACTOR][0] = 2 * x->run->inv_targets / (float)x_cols(x, n->in[0]);
    WEFT_DNN_RUN(d, MINUS, {DNNL_ARG_SRC_0, x_f32(x, n->in[0])},
                 {DNNL_ARG_SRC_1, x_f32(x, n->in[1])}, {DNNL_ARG_DST, diff});
    WEFT_DNN_RUN(d, SQUARE, {DNNL_ARG_SRC_0, diff}, {DNNL_ARG_SRC_1, diff},
                 {DNNL_ARG_DST, squares});
    WEFT_DNN_RUN(d, MEAN, {DNNL_ARG_SRC, squares}, {DNNL_ARG_DST, x_f32(x, n->out[0])});
    if (n->attr.with_grad && n->out[2] >= 0)
        WEFT_DNN_RUN(d, TIMES, {DNNL_ARG_SRC_0, diff}, {DNNL_ARG_SRC_1, d->buffer[FACTOR]},
                     {DNNL_ARG_DST, x_f32(x, n->out[2])});
}

const struct weft_dnn_op weft_dnn_head_xent = {&weft_op_head_xent, 4, head_prepare, head_run};
const struct weft_dnn_op weft_dnn_softmax_xent = {&weft_op_softmax_xent, 3, softmax_xent_prepare,
                                                  softmax_xent_run};
const struct weft_dnn_op weft_dnn_mse = {&weft_op_mse, 3, mse_prepare, mse_run};
