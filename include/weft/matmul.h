/* One matrix product on the threads of a context: the product that linear layers are made of, for
 * programs that want nothing else, and for benchmarks.
 *
 *   C (m, n) = A·B, or C + A·B, then + bias, activation or + residual
 *
 * Created once for a shape, run any number of times; a run allocates nothing. Row-major; elements are
 * f32 or bf16 (uint16_t), sums f32. The bits of C depend on the operands only, in bf16 also on whether
 * the context's instruction set has dot products (docs/numerics.md). */
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
    bool bf16;       /* A, B, the residual and C are bf16, not f32; C is rounded once, at the end */
    bool c_f32;      /* bf16: C is f32 all the same */
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
 * order belongs to this context's instruction set. packed: weft_matmul_packed_size words of 4 bytes. */
WEFT_API size_t weft_matmul_packed_size(const weft_matmul *g);
WEFT_API WEFT_NODISCARD enum weft_status weft_matmul_pack(weft_matmul *g, const void *b, size_t ldb,
                                                        void *packed);

struct weft_matmul_operands { /* leading dimensions in elements; 0: no gap between rows */
    const void *a;
    size_t lda;
    const void *b; /* with b_packed: packed, and ldb is not looked at */
    size_t ldb;
    void *c; /* must overlap no other operand */
    size_t ldc;
    const float *bias; /* f32 always */
    const void *residual;
    size_t ldr;
};
/* WEFT_ERR_NULL for a missing operand, WEFT_ERR_STRIDE for a leading dimension below the row. */
WEFT_API WEFT_NODISCARD enum weft_status weft_matmul_run(weft_matmul *g,
                                                       const struct weft_matmul_operands *o);

#ifdef __cplusplus
}
#endif
#endif
