/* Where the C APIs of oneDNN 2 and 3 differ: descriptors of memory, of primitives, of post-ops. */
#ifndef WEFT_ONEDNN_API_H
#define WEFT_ONEDNN_API_H

#include <dnnl.h>
#include <stdbool.h>
#include <stddef.h>

/* A plain f32 array: dimensions, and elements from one index of each to the next. `any`: laid out
 * as oneDNN likes it best. */
struct weft_dnn_array {
    int dims;
    dnnl_dims_t dim, stride;
    bool any;
};

/* What is done to a result before it is stored, in this order. */
struct weft_dnn_after {
    bool sum;            /* + what is there */
    dnnl_alg_kind_t act; /* an eltwise algorithm, or dnnl_alg_kind_undef */
    float alpha, beta;   /* of act */
    const struct weft_dnn_array
        *add; /* + this operand (broadcast along dimensions of 1), or NULL */
};

/* Primitive descriptors. forward: the hint of a backward one. */
dnnl_status_t weft_dnn_pd_matmul(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                 const struct weft_dnn_array *a, const struct weft_dnn_array *b,
                                 const struct weft_dnn_array *bias, const struct weft_dnn_array *c,
                                 const struct weft_dnn_after *after);
dnnl_status_t weft_dnn_pd_eltwise(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                  dnnl_alg_kind_t act, float alpha, float beta,
                                  const struct weft_dnn_array *x);
dnnl_status_t weft_dnn_pd_eltwise_bwd(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                      dnnl_alg_kind_t act, float alpha, float beta,
                                      const struct weft_dnn_array *x,
                                      dnnl_primitive_desc_t forward);
dnnl_status_t weft_dnn_pd_softmax(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                  const struct weft_dnn_array *x); /* over the last dimension */
dnnl_status_t weft_dnn_pd_softmax_bwd(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                      const struct weft_dnn_array *x,
                                      dnnl_primitive_desc_t forward);
dnnl_status_t weft_dnn_pd_layernorm(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                    const struct weft_dnn_array *x,
                                    const struct weft_dnn_array *stat, float eps, unsigned flags);
dnnl_status_t weft_dnn_pd_layernorm_bwd(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                        const struct weft_dnn_array *x,
                                        const struct weft_dnn_array *stat, float eps,
                                        unsigned flags, dnnl_primitive_desc_t forward);
dnnl_status_t weft_dnn_pd_binary(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                 dnnl_alg_kind_t alg, const struct weft_dnn_array *a,
                                 const struct weft_dnn_array *b, const struct weft_dnn_array *c);
dnnl_status_t weft_dnn_pd_reduction(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                    dnnl_alg_kind_t alg, const struct weft_dnn_array *x,
                                    const struct weft_dnn_array *y);
/* Copies an array into the weights of a matrix product. */
dnnl_status_t weft_dnn_pd_pack(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                               const struct weft_dnn_array *from, dnnl_primitive_desc_t matmul);

/* Memory of an array, or (x.any) of the weights of a matrix product, which oneDNN then allocates.
 */
dnnl_status_t weft_dnn_memory(dnnl_memory_t *out, dnnl_engine_t engine,
                              const struct weft_dnn_array *x, dnnl_primitive_desc_t matmul);

#endif
