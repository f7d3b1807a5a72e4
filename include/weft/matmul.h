/* One matrix product on the threads of a context: the product that linear layers are made of, for
 * programs that want nothing else, and for benchmarks.
 *
 *   C (m, n) = A·B, or C + A·B, then + bias, activation or + residual
 *
 * Created once for a shape, run any number of times; a run allocates nothing. f32, row-major. The
 * bits of C depend on the operands only (docs/numerics.md). */
#ifndef WEFT_MATMUL_H
#define WEFT_MATMUL_H

#include "weft/context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_matmul weft_matmul;

struct weft_matmul_shape {
    size_t m, n, k;
    bool a_trans;    /* A lies as (k, m), not (m, k) */
    bool b_trans;    /* B lies as (n, k), a linear layer's weight, not (k, n) */
    bool b_packed;   /* runs take B as weft_matmul_pack has written it */
    bool accumulate; /* C is added to */
    bool bias;       /* + bias (n) */
    bool residual;   /* + residual (m, n); not with act */
    const char *act; /* NULL or "none": none; else as in weft_linear */
};

/* WEFT_ERR_ARG for an unknown activation or one with a residual, WEFT_ERR_SHAPE for sizes beyond
 * what memory can address, WEFT_ERR_NOMEM. */
WEFT_API WEFT_NODISCARD enum weft_status weft_matmul_create(weft_ctx *ctx,
                                                          const struct weft_matmul_shape *shape,
                                                          weft_matmul **out);
WEFT_API void weft_matmul_free(weft_matmul *g);

/* B in the order in which the kernel reads it; for operands that stay while others change. The
 * order belongs to this context's instruction set. packed: weft_matmul_packed_size floats. */
WEFT_API size_t weft_matmul_packed_size(const weft_matmul *g);
WEFT_API WEFT_NODISCARD enum weft_status weft_matmul_pack(weft_matmul *g, const float *b, size_t ldb,
                                                        float *packed);

struct weft_matmul_operands { /* leading dimensions in elements; 0: no gap between rows */
    const float *a;
    size_t lda;
    const float *b; /* with b_packed: packed, and ldb is not looked at */
    size_t ldb;
    float *c; /* must overlap no other operand */
    size_t ldc;
    const float *bias;
    const float *residual;
    size_t ldr;
};
/* WEFT_ERR_NULL for a missing operand, WEFT_ERR_STRIDE for a leading dimension below the row. */
WEFT_API WEFT_NODISCARD enum weft_status weft_matmul_run(weft_matmul *g,
                                                       const struct weft_matmul_operands *o);

#ifdef __cplusplus
}
#endif
#endif
