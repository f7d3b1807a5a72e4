/* Cutting a product into tasks. The cut never changes a bit (kernels/gemm.h), so it follows the
 * machine: blocks whose operands stay in L2, and enough of them to keep all threads busy. */
#ifndef WEFT_RUNTIME_GEMM_H
#define WEFT_RUNTIME_GEMM_H

#include "runtime/graph.h"

struct weft_gemm_grid {
    size_t rows, cols; /* of tasks */
};
/* For C (m, n) with inner dimension k. */
struct weft_gemm_grid weft_gemm_cut(const weft_ctx *ctx, size_t m, size_t n, size_t k);
static inline size_t weft_gemm_tasks(struct weft_gemm_grid g) { return g.rows * g.cols; }
/* Compute block `task` of the product described by g (whole matrices). */
void weft_gemm_task(const struct weft_kernels *k, const struct weft_gemm_args *g,
                    struct weft_gemm_grid grid, size_t task);

#endif
