/* Making and running primitives. */
#include "runtime/onednn/node.h"

#include <dnnl_debug.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/activation.h"
#include "runtime/memory.h"

static void check(struct weft_dnn *d, dnnl_status_t st, const char *what) {
    if (st == dnnl_success || d->status != WEFT_OK) return;
    d->status = weft_ctx_fail(d->ctx, st == dnnl_out_of_memory ? WEFT_ERR_NOMEM : WEFT_ERR_INTERNAL,
                              "oneDNN: %s of node %s: %s", what, d->node, dnnl_status2str(st));
}

float *weft_dnn_buffer(struct weft_dnn *d, size_t i, size_t count) {
    if (d->status != WEFT_OK) return NULL;
    const size_t bytes = weft_align_up((count + 1) * sizeof(float), WEFT_ALIGNMENT);
    d->buffer[i] = aligned_alloc(WEFT_ALIGNMENT, bytes);
    if (d->buffer[i] == NULL)
        d->status = weft_ctx_fail(d->ctx, WEFT_ERR_NOMEM, "oneDNN: no memory for node %s", d->node);
    return d->buffer[i];
}

struct part { /* an argument of a primitive */
    int arg;
    const struct weft_dnn_array *array; /* NULL: absent */
};

/* p[i] from its descriptor, which is given up, with memory for each argument. */
static void make(struct weft_dnn *d, size_t i, dnnl_status_t made, dnnl_primitive_desc_t pd,
                 const struct part *part, size_t parts, const char *what) {
    struct weft_dnn_primitive *const p = &d->p[i];
    check(d, made, what);
    if (d->status == WEFT_OK) check(d, dnnl_primitive_create(&p->handle, pd), what);
    for (size_t k = 0; k < parts && d->status == WEFT_OK; k++) {
        if (part[k].array == NULL) continue;
        struct weft_dnn_arg *const a = &p->arg[p->args];
        a->arg = part[k].arg;
        a->fixed = part[k].array->any;
        const dnnl_status_t st = weft_dnn_memory(&a->memory, d->engine, part[k].array, pd);
        check(d, st, what);
        if (st == dnnl_success) p->args++;
    }
    if (pd != NULL) dnnl_primitive_desc_destroy(pd);
}
#define MAKE(d, i, made, pd, what, ...)                                                            \
    make((d), (i), (made), (pd), (const struct part[]){__VA_ARGS__},                               \
         sizeof((const struct part[]){__VA_ARGS__}) / sizeof(struct part), (what))

void weft_dnn_matmul(struct weft_dnn *d, size_t i, const struct weft_dnn_product *m) {
    dnnl_primitive_desc_t pd = NULL, pack = NULL;
    if (d->status != WEFT_OK) return;
    const dnnl_status_t st =
        weft_dnn_pd_matmul(&pd, d->engine, &m->a, &m->b, m->bias, &m->c, &m->after);
    if (st == dnnl_success && m->b.any) {
        const dnnl_status_t packs = weft_dnn_pd_pack(&pack, d->engine, m->plain, pd);
        MAKE(d, i + 1, packs, pack, "reorder", {DNNL_ARG_FROM, m->plain});
    }
    MAKE(d, i, st, pd, "matmul", {DNNL_ARG_SRC, &m->a}, {DNNL_ARG_WEIGHTS, &m->b},
         {DNNL_ARG_BIAS, m->bias}, {DNNL_ARG_DST, &m->c}, {WEFT_DNN_ADD, m->after.add});
    if (d->status != WEFT_OK || !m->b.any) return;
    /* the weights' own memory is where the reorder writes */
    struct weft_dnn_primitive *const to = &d->p[i + 1];
    to->arg[to->args++] = (struct weft_dnn_arg){
        .arg = DNNL_ARG_TO, .memory = d->p[i].arg[1].memory, .fixed = true, .borrowed = true};
}

void weft_dnn_eltwise(struct weft_dnn *d, size_t i, struct weft_dnn_act f,
                      const struct weft_dnn_array *x) {
    dnnl_primitive_desc_t pd = NULL;
    if (d->status != WEFT_OK) return;
    const dnnl_status_t st = weft_dnn_pd_eltwise(&pd, d->engine, f.alg, f.alpha, f.beta, x);
    MAKE(d, i, st, pd, "eltwise", {DNNL_ARG_SRC, x}, {DNNL_ARG_DST, x});
}

void weft_dnn_eltwise_bwd(struct weft_dnn *d, size_t i, struct weft_dnn_act f,
                          const struct weft_dnn_array *x) {
    dnnl_primitive_desc_t forward = NULL, pd = NULL;
    if (d->status != WEFT_OK) return;
    dnnl_status_t st = weft_dnn_pd_eltwise(&forward, d->engine, f.alg, f.alpha, f.beta, x);
    if (st == dnnl_success)
        st = weft_dnn_pd_eltwise_bwd(&pd, d->engine, f.alg, f.alpha, f.beta, x, forward);
    MAKE(d, i, st, pd, "eltwise backward", {DNNL_ARG_SRC, x}, {DNNL_ARG_DIFF_DST, x},
         {DNNL_ARG_DIFF_SRC, x});
    if (forward != NULL) dnnl_primitive_desc_destroy(forward);
}

void weft_dnn_softmax(struct weft_dnn *d, size_t i, const struct weft_dnn_array *x) {
    dnnl_primitive_desc_t pd = NULL;
    if (d->status != WEFT_OK) return;
    const dnnl_status_t st = weft_dnn_pd_softmax(&pd, d->engine, x);
    MAKE(d, i, st, pd, "softmax", {DNNL_ARG_SRC, x}, {DNNL_ARG_DST, x});
}

void weft_dnn_softmax_bwd(struct weft_dnn *d, size_t i, const struct weft_dnn_array *x) {
    dnnl_primitive_desc_t forward = NULL, pd = NULL;
    if (d->status != WEFT_OK) return;
    dnnl_status_t st = weft_dnn_pd_softmax(&forward, d->engine, x);
    if (st == dnnl_success) st = weft_dnn_pd_softmax_bwd(&pd, d->engine, x, forward);
    MAKE(d, i, st, pd, "softmax backward", {DNNL_ARG_DST, x}, {DNNL_ARG_DIFF_DST, x},
         {DNNL_ARG_DIFF_SRC, x});
    if (forward != NULL) dnnl_primitive_desc_destroy(forward);
}

static unsigned norm_flags(bool scale, bool shift) {
    return (scale ? (unsigned)dnnl_use_scale : 0) | (shift ? (unsigned)dnnl_use_shift : 0);
}
/* Statistics and affine parameters are vectors to layer normalization. */
static struct weft_dnn_array vector(size_t n) {
    return (struct weft_dnn_array){1, {(int64_t)n}, {1}, false};
}

void weft_dnn_norm(struct weft_dnn *d, size_t i, size_t rows, size_t cols, float eps, bool scale,
                   bool shift) {
    const struct weft_dnn_array x = weft_dnn_rows(rows, cols);
    const struct weft_dnn_array stat = vector(rows), affine = vector(cols);
    dnnl_primitive_desc_t pd = NULL;
    if (d->status != WEFT_OK) return;
    const dnnl_status_t st =
        weft_dnn_pd_layernorm(&pd, d->engine, &x, &stat, eps, norm_flags(scale, shift));
    MAKE(d, i, st, pd, "layer normalization", {DNNL_ARG_SRC, &x}, {DNNL_ARG_DST, &x},
         {DNNL_ARG_MEAN, &stat}, {DNNL_ARG_VARIANCE, &stat},
         {DNNL_ARG_SCALE, scale ? &affine : NULL}, {DNNL_ARG_SHIFT, shift ? &affine : NULL});
}

void weft_dnn_norm_bwd(struct weft_dnn *d, size_t i, size_t rows, size_t cols, float eps,
                       bool scale, bool shift) {
    const struct weft_dnn_array x = weft_dnn_rows(rows, cols);
    const struct weft_dnn_array stat = vector(rows), affine = vector(cols);
    const unsigned flags = norm_flags(scale, shift);
    dnnl_primitive_desc_t forward = NULL, pd = NULL;
    if (d->status != WEFT_OK) return;
    dnnl_status_t st = weft_dnn_pd_layernorm(&forward, d->engine, &x, &stat, eps, flags);
    if (st == dnnl_success)
        st = weft_dnn_pd_layernorm_bwd(&pd, d->engine, &x, &stat, eps, flags, forward);
    /* SHIFT is not read, but 2.6 wants it */
    MAKE(d, i, st, pd, "layer normalization backward", {DNNL_ARG_SRC, &x}, {DNNL_ARG_MEAN, &stat},
         {DNNL_ARG_VARIANCE, &stat}, {DNNL_ARG_DIFF_DST, &x},
         {DNNL_ARG_SCALE, scale ? &affine : NULL}, {DNNL_ARG_SHIFT, shift ? &affine : NULL},
         {DNNL_ARG_DIFF_SRC, &x}, {DNNL_ARG_DIFF_SCALE, scale ? &affine : NULL},
         {DNNL_ARG_DIFF_SHIFT, shift ? &affine : NULL});
    if (forward != NULL) dnnl_primitive_desc_destroy(forward);
}

void weft_dnn_binary(struct weft_dnn *d, size_t i, dnnl_alg_kind_t alg,
                     const struct weft_dnn_array *a, const struct weft_dnn_array *b) {
    dnnl_primitive_desc_t pd = NULL;
    if (d->status != WEFT_OK) return;
    const dnnl_status_t st = weft_dnn_pd_binary(&pd, d->engine, alg, a, b, a);
    MAKE(d, i, st, pd, "binary", {DNNL_ARG_SRC_0, a}, {DNNL_ARG_SRC_1, b}, {DNNL_ARG_DST, a});
}

void weft_dnn_reduction(struct weft_dnn *d, size_t i, dnnl_alg_kind_t alg,
                        const struct weft_dnn_array *x, const struct weft_dnn_array *y) {
    dnnl_primitive_desc_t pd = NULL;
    if (d->status != WEFT_OK) return;
    if (memcmp(x->dim, y->dim, (size_t)x->dims * sizeof x->dim[0]) == 0) {
        weft_dnn_eltwise(d, i, weft_dnn_act_of(WEFT_ACT_NONE), x); /* nothing to fold: a copy */
        return;
    }
    const dnnl_status_t st = weft_dnn_pd_reduction(&pd, d->engine, alg, x, y);
    MAKE(d, i, st, pd, "reduction", {DNNL_ARG_SRC, x}, {DNNL_ARG_DST, y});
}

void weft_dnn_run(struct weft_dnn *d, size_t i, const struct weft_dnn_use *use, size_t n) {
    const struct weft_dnn_primitive *const p = &d->p[i];
    dnnl_exec_arg_t arg[WEFT_DNN_ARGS];
    if (d->status != WEFT_OK) return;
    for (size_t k = 0; k < p->args; k++) {
        arg[k] = (dnnl_exec_arg_t){p->arg[k].arg, p->arg[k].memory};
        for (size_t u = 0; u < n; u++)
            if (use[u].arg == p->arg[k].arg && !p->arg[k].fixed)
                check(d,
                      dnnl_memory_set_data_handle(p->arg[k].memory, (void *)(uintptr_t)use[u].data),
                      "memory");
    }
    if (d->status != WEFT_OK) return;
    check(d, dnnl_primitive_execute(p->handle, d->stream, (int)p->args, arg), "execution");
    if (d->status == WEFT_OK) check(d, dnnl_stream_wait(d->stream), "execution");
}

struct weft_dnn_act weft_dnn_act_of(int act) {
    switch ((enum weft_act)act) {
    case WEFT_ACT_NONE: return (struct weft_dnn_act){dnnl_eltwise_linear, 1, 0};
    case WEFT_ACT_RELU: return (struct weft_dnn_act){dnnl_eltwise_relu, 0, 0};
    case WEFT_ACT_LEAKY_RELU: return (struct weft_dnn_act){dnnl_eltwise_relu, WEFT_LEAKY_SLOPE, 0};
    case WEFT_ACT_GELU_TANH: return (struct weft_dnn_act){dnnl_eltwise_gelu_tanh, 0, 0};
    case WEFT_ACT_GELU_ERF: return (struct weft_dnn_act){dnnl_eltwise_gelu_erf, 0, 0};
    case WEFT_ACT_TANH: return (struct weft_dnn_act){dnnl_eltwise_tanh, 0, 0};
    case WEFT_ACT_SIGMOID: return (struct weft_dnn_act){dnnl_eltwise_logistic, 0, 0};
    case WEFT_ACT_SILU: return (struct weft_dnn_act){dnnl_eltwise_swish, 1, 0};
    case WEFT_ACT_SELU: /* its ELU has no factor lambda */
    case WEFT_ACTS: break;
    }
    return (struct weft_dnn_act){dnnl_alg_kind_undef, 0, 0};
}
