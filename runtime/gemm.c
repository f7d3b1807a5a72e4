/* See gemm.h. A task takes a block of rows and a block of columns of C over all of k: the kernel
 * packs each panel of B once for the rows of the task, so rows are cut only as L2 demands. */
#include "runtime/gemm.h"

#define COLUMN_PANELS  8     /* at most this many panels of columns in a task */
#define TASKS_A_THREAD 6     /* at least this many tasks a thread, where there are enough panels */
#define FEW_FLOPS      200e3 /* below this a product is one task */

static size_t ceil_div(size_t a, size_t b) { return (a + b - 1) / b; }

struct weft_gemm_grid weft_gemm_cut(const weft_ctx *ctx, size_t m, size_t n, size_t k) {
    if (2.0 * (double)m * (double)n * (double)k < FEW_FLOPS) return (struct weft_gemm_grid){1, 1};
    /* Half of L2 for the chunk of A (rows x 256); B's panel and C take the rest. */
    size_t most = ctx->l2 / 2 / (WEFT_GEMM_CHUNK * sizeof(float));
    if (most < 4 * ctx->k->gemm_mr) most = 4 * ctx->k->gemm_mr;
    const size_t row_blocks = ceil_div(m, most), panels = ceil_div(n, ctx->k->gemm_nr);
    size_t col_blocks = ceil_div(panels, COLUMN_PANELS);
    const size_t want = ceil_div(TASKS_A_THREAD * ctx->threads, row_blocks == 0 ? 1 : row_blocks);
    if (ctx->threads > 1 && col_blocks < want) col_blocks = want;
    if (col_blocks > panels) col_blocks = panels;
    return (struct weft_gemm_grid){row_blocks == 0 ? 1 : row_blocks,
                                   col_blocks == 0 ? 1 : col_blocks};
}

/* Element (r, 0) of an operand whose rows are cut at a multiple of its panel width. */
static const float *operand_at(const float *p, size_t ld, enum weft_layout layout, size_t r,
                               size_t width) {
    if (layout == WEFT_K_INNER) return p + r * ld;
    return layout == WEFT_K_OUTER ? p + r : p + r / width * ld;
}

void weft_gemm_task(const struct weft_kernels *k, const struct weft_gemm_args *g,
                    struct weft_gemm_grid grid, size_t task) {
    size_t i0, i1, j0, j1;
    weft_split(g->m, k->gemm_mr, grid.rows, task % grid.rows, &i0, &i1);
    weft_split(g->n, k->gemm_nr, grid.cols, task / grid.rows, &j0, &j1);
    if (i0 == i1 || j0 == j1) return;
    struct weft_gemm_args t = *g;
    t.m = i1 - i0;
    t.n = j1 - j0;
    t.a = operand_at(g->a, g->lda, g->a_layout, i0, k->gemm_mr);
    t.b = operand_at(g->b, g->ldb, g->b_layout, j0, k->gemm_nr);
    t.c = g->c + i0 * g->ldc + j0;
    if (g->bias != NULL) t.bias = g->bias + j0;
    if (g->residual != NULL) t.residual = g->residual + i0 * g->ldr + j0;
    if (g->z != NULL) t.z = g->z + i0 * g->ldz + j0;
    k->gemm_f32(&t);
}
