/* The one file that knows which version of oneDNN it is compiled with. In 2 a memory descriptor is
 * a struct and a primitive descriptor is made from an operation descriptor; in 3 memory descriptors
 * are handles and each primitive has a function that makes its descriptor at once. */
#include "runtime/onednn/api.h"

#include <string.h>

#define TRY(call)                                                                                  \
    do {                                                                                           \
        if (st == dnnl_success) st = (call);                                                       \
    } while (0)

/* ---- memory descriptors: up to four are held at once ---- */
#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t desc_ref;
#define REF(d) (d)

static dnnl_status_t describe(dnnl_memory_desc_t *d, const struct weft_dnn_array *x) {
    if (x->any)
        return dnnl_memory_desc_create_with_tag(d, x->dims, x->dim, dnnl_f32, dnnl_format_tag_any);
    return dnnl_memory_desc_create_with_strides(d, x->dims, x->dim, dnnl_f32, x->stride);
}
static void drop(dnnl_memory_desc_t *d, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (d[i] != NULL) dnnl_memory_desc_destroy(d[i]);
}
#else
typedef const dnnl_memory_desc_t *desc_ref;
#define REF(d) (&(d))

static dnnl_status_t describe(dnnl_memory_desc_t *d, const struct weft_dnn_array *x) {
    if (x->any)
        return dnnl_memory_desc_init_by_tag(d, x->dims, x->dim, dnnl_f32, dnnl_format_tag_any);
    return dnnl_memory_desc_init_by_strides(d, x->dims, x->dim, dnnl_f32, x->stride);
}
static void drop(dnnl_memory_desc_t *d, size_t n) { (void)d, (void)n; }

/* The operation, whatever it is, as a primitive descriptor. */
static dnnl_status_t from_op(dnnl_primitive_desc_t *pd, const void *op, dnnl_primitive_attr_t attr,
                             dnnl_engine_t engine, dnnl_primitive_desc_t hint) {
    return dnnl_primitive_desc_create(pd, (const_dnnl_op_desc_t)op, attr, engine, hint);
}
#endif

/* ---- what follows a product ---- */
static dnnl_status_t append(dnnl_post_ops_t ops, const struct weft_dnn_after *after, desc_ref add) {
    dnnl_status_t st = dnnl_success;
#if DNNL_VERSION_MAJOR >= 3
    if (after->sum) TRY(dnnl_post_ops_append_sum(ops, 1, 0, dnnl_f32));
    if (after->act != dnnl_alg_kind_undef)
        TRY(dnnl_post_ops_append_eltwise(ops, after->act, after->alpha, after->beta));
#else
    if (after->sum) TRY(dnnl_post_ops_append_sum(ops, 1));
    if (after->act != dnnl_alg_kind_undef)
        TRY(dnnl_post_ops_append_eltwise(ops, 1, after->act, after->alpha, after->beta));
#endif
    if (after->add != NULL) TRY(dnnl_post_ops_append_binary(ops, dnnl_binary_add, add));
    return st;
}

static dnnl_status_t attributes(dnnl_primitive_attr_t *attr, const struct weft_dnn_after *after) {
    dnnl_memory_desc_t add;
    dnnl_post_ops_t ops = NULL;
    memset(&add, 0, sizeof add);
    dnnl_status_t st = dnnl_primitive_attr_create(attr);
    TRY(dnnl_post_ops_create(&ops));
    if (after->add != NULL) TRY(describe(&add, after->add));
    TRY(append(ops, after, REF(add)));
    TRY(dnnl_primitive_attr_set_post_ops(*attr, ops));
    dnnl_post_ops_destroy(ops);
    drop(&add, 1);
    return st;
}

/* ---- primitives ---- */
dnnl_status_t weft_dnn_pd_matmul(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                 const struct weft_dnn_array *a, const struct weft_dnn_array *b,
                                 const struct weft_dnn_array *bias, const struct weft_dnn_array *c,
                                 const struct weft_dnn_after *after) {
    dnnl_memory_desc_t d[4];
    dnnl_primitive_attr_t attr = NULL;
    memset(d, 0, sizeof d);
    dnnl_status_t st = attributes(&attr, after);
    TRY(describe(&d[0], a));
    TRY(describe(&d[1], b));
    if (bias != NULL) TRY(describe(&d[2], bias));
    TRY(describe(&d[3], c));
    const desc_ref with = bias == NULL ? NULL : REF(d[2]);
#if DNNL_VERSION_MAJOR >= 3
    TRY(dnnl_matmul_primitive_desc_create(pd, engine, REF(d[0]), REF(d[1]), with, REF(d[3]), attr));
#else
    dnnl_matmul_desc_t op;
    TRY(dnnl_matmul_desc_init(&op, REF(d[0]), REF(d[1]), with, REF(d[3])));
    TRY(from_op(pd, &op, attr, engine, NULL));
#endif
    dnnl_primitive_attr_destroy(attr);
    drop(d, 4);
    return st;
}

dnnl_status_t weft_dnn_pd_eltwise(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                  dnnl_alg_kind_t act, float alpha, float beta,
                                  const struct weft_dnn_array *x) {
    dnnl_memory_desc_t d;
    memset(&d, 0, sizeof d);
    dnnl_status_t st = describe(&d, x);
#if DNNL_VERSION_MAJOR >= 3
    TRY(dnnl_eltwise_forward_primitive_desc_create(pd, engine, dnnl_forward_training, act, REF(d),
                                                   REF(d), alpha, beta, NULL));
#else
    dnnl_eltwise_desc_t op;
    TRY(dnnl_eltwise_forward_desc_init(&op, dnnl_forward_training, act, REF(d), alpha, beta));
    TRY(from_op(pd, &op, NULL, engine, NULL));
#endif
    drop(&d, 1);
    return st;
}

dnnl_status_t weft_dnn_pd_eltwise_bwd(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                      dnnl_alg_kind_t act, float alpha, float beta,
                                      const struct weft_dnn_array *x,
                                      dnnl_primitive_desc_t forward) {
    dnnl_memory_desc_t d;
    memset(&d, 0, sizeof d);
    dnnl_status_t st = describe(&d, x);
#if DNNL_VERSION_MAJOR >= 3
    TRY(dnnl_eltwise_backward_primitive_desc_create(pd, engine, act, REF(d), REF(d), REF(d), alpha,
                                                    beta, forward, NULL));
#else
    dnnl_eltwise_desc_t op;
    TRY(dnnl_eltwise_backward_desc_init(&op, act, REF(d), REF(d), alpha, beta));
    TRY(from_op(pd, &op, NULL, engine, forward));
#endif
    drop(&d, 1);
    return st;
}

dnnl_status_t weft_dnn_pd_softmax(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                  const struct weft_dnn_array *x) {
    dnnl_memory_desc_t d;
    memset(&d, 0, sizeof d);
    dnnl_status_t st = describe(&d, x);
#if DNNL_VERSION_MAJOR >= 3
    TRY(dnnl_softmax_forward_primitive_desc_create(pd, engine, dnnl_forward_training,
                                                   dnnl_softmax_accurate, REF(d), REF(d),
                                                   x->dims - 1, NULL));
#else
    dnnl_softmax_desc_t op;
    TRY(dnnl_softmax_forward_desc_init(&op, dnnl_forward_training, REF(d), x->dims - 1));
    TRY(from_op(pd, &op, NULL, engine, NULL));
#endif
    drop(&d, 1);
    return st;
}

dnnl_status_t weft_dnn_pd_softmax_bwd(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                      const struct weft_dnn_array *x,
                                      dnnl_primitive_desc_t forward) {
    dnnl_memory_desc_t d;
    memset(&d, 0, sizeof d);
    dnnl_status_t st = describe(&d, x);
#if DNNL_VERSION_MAJOR >= 3
    TRY(dnnl_softmax_backward_primitive_desc_create(pd, engine, dnnl_softmax_accurate, REF(d),
                                                    REF(d), REF(d), x->dims - 1, forward, NULL));
#else
    dnnl_softmax_desc_t op;
    TRY(dnnl_softmax_backward_desc_init(&op, REF(d), REF(d), x->dims - 1));
    TRY(from_op(pd, &op, NULL, engine, forward));
#endif
    drop(&d, 1);
    return st;
}

dnnl_status_t weft_dnn_pd_layernorm(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                    const struct weft_dnn_array *x,
                                    const struct weft_dnn_array *stat, float eps, unsigned flags) {
    dnnl_memory_desc_t d[2];
    memset(d, 0, sizeof d);
    dnnl_status_t st = describe(&d[0], x);
    TRY(describe(&d[1], stat));
#if DNNL_VERSION_MAJOR >= 3
    TRY(dnnl_layer_normalization_forward_primitive_desc_create(
        pd, engine, dnnl_forward_training, REF(d[0]), REF(d[0]), REF(d[1]), eps, flags, NULL));
#else
    dnnl_layer_normalization_desc_t op;
    TRY(dnnl_layer_normalization_forward_desc_init(&op, dnnl_forward_training, REF(d[0]), REF(d[1]),
                                                   eps, flags));
    TRY(from_op(pd, &op, NULL, engine, NULL));
#endif
    drop(d, 2);
    return st;
}

dnnl_status_t weft_dnn_pd_layernorm_bwd(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                        const struct weft_dnn_array *x,
                                        const struct weft_dnn_array *stat, float eps,
                                        unsigned flags, dnnl_primitive_desc_t forward) {
    const dnnl_prop_kind_t kind = flags == 0 ? dnnl_backward_data : dnnl_backward;
    dnnl_memory_desc_t d[2];
    memset(d, 0, sizeof d);
    dnnl_status_t st = describe(&d[0], x);
    TRY(describe(&d[1], stat));
#if DNNL_VERSION_MAJOR >= 3
    TRY(dnnl_layer_normalization_backward_primitive_desc_create(
        pd, engine, kind, REF(d[0]), REF(d[0]), REF(d[0]), REF(d[1]), eps, flags, forward, NULL));
#else
    dnnl_layer_normalization_desc_t op;
    TRY(dnnl_layer_normalization_backward_desc_init(&op, kind, REF(d[0]), REF(d[0]), REF(d[1]), eps,
                                                    flags));
    TRY(from_op(pd, &op, NULL, engine, forward));
#endif
    drop(d, 2);
    return st;
}

dnnl_status_t weft_dnn_pd_binary(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                 dnnl_alg_kind_t alg, const struct weft_dnn_array *a,
                                 const struct weft_dnn_array *b, const struct weft_dnn_array *c) {
    dnnl_memory_desc_t d[3];
    memset(d, 0, sizeof d);
    dnnl_status_t st = describe(&d[0], a);
    TRY(describe(&d[1], b));
    TRY(describe(&d[2], c));
#if DNNL_VERSION_MAJOR >= 3
    TRY(dnnl_binary_primitive_desc_create(pd, engine, alg, REF(d[0]), REF(d[1]), REF(d[2]), NULL));
#else
    dnnl_binary_desc_t op;
    TRY(dnnl_binary_desc_init(&op, alg, REF(d[0]), REF(d[1]), REF(d[2])));
    TRY(from_op(pd, &op, NULL, engine, NULL));
#endif
    drop(d, 3);
    return st;
}

dnnl_status_t weft_dnn_pd_reduction(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                    dnnl_alg_kind_t alg, const struct weft_dnn_array *x,
                                    const struct weft_dnn_array *y) {
    dnnl_memory_desc_t d[2];
    memset(d, 0, sizeof d);
    dnnl_status_t st = describe(&d[0], x);
    TRY(describe(&d[1], y));
#if DNNL_VERSION_MAJOR >= 3
    TRY(dnnl_reduction_primitive_desc_create(pd, engine, alg, REF(d[0]), REF(d[1]), 0, 0, NULL));
#else
    dnnl_reduction_desc_t op;
    TRY(dnnl_reduction_desc_init(&op, alg, REF(d[0]), REF(d[1]), 0, 0));
    TRY(from_op(pd, &op, NULL, engine, NULL));
#endif
    drop(d, 2);
    return st;
}

dnnl_status_t weft_dnn_pd_pack(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                               const struct weft_dnn_array *from, dnnl_primitive_desc_t matmul) {
    const desc_ref to = dnnl_primitive_desc_query_md(matmul, dnnl_query_weights_md, 0);
    dnnl_memory_desc_t d;
    memset(&d, 0, sizeof d);
    dnnl_status_t st = describe(&d, from);
    TRY(dnnl_reorder_primitive_desc_create(pd, REF(d), engine, to, engine, NULL));
    drop(&d, 1);
    return st;
}

dnnl_status_t weft_dnn_memory(dnnl_memory_t *out, dnnl_engine_t engine,
                              const struct weft_dnn_array *x, dnnl_primitive_desc_t matmul) {
    if (x->any)
        return dnnl_memory_create(out,
                                  dnnl_primitive_desc_query_md(matmul, dnnl_query_weights_md, 0),
                                  engine, DNNL_MEMORY_ALLOCATE);
    dnnl_memory_desc_t d;
    memset(&d, 0, sizeof d);
    dnnl_status_t st = describe(&d, x);
    TRY(dnnl_memory_create(out, REF(d), engine, DNNL_MEMORY_NONE));
    drop(&d, 1);
    return st;
}
