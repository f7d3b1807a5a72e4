/* A product on a team of threads: kernels/gemm.h cut into phases of tasks. The cut never changes a
 * bit, so it follows the machine.
 *
 * Large products go in parts of A, as much as fits PACKED_MAX: a phase in which all threads pack
 * the part into shared panels, then one in which each task multiplies a block of its rows by a
 * block of columns; the kernel packs B on the way, each panel once per block of rows. Small
 * products are one phase, and tiny ones one task. */
#ifndef WEFT_RUNTIME_PRODUCT_H
#define WEFT_RUNTIME_PRODUCT_H

#include "runtime/graph.h"

struct weft_product {
    size_t m, n, k;               /* of the whole product; a run may have smaller m or k */
    enum weft_layout a, b;        /* K_INNER or K_OUTER; b also PANELS or BLOCKS */
    enum weft_format format;      /* of blocks */
    bool half, narrow;            /* A and B are bf16; C too: rounded once, from sums in f32 */
    bool rounds;                  /* computed: A, in f32, is rounded for dot products with blocks */
    size_t word;                  /* terms of a word of packed A (gemm.h) */
    bool by_rows; /* a thread's tasks are rows of C rather than columns: what it leaves in its cache
                   * is then what it gets of C's rows elsewhere (of weights: where they are n) */
    size_t m_part, k_part, parts; /* rows and depth of A in a part */
    bool pack;                    /* parts are packed: two phases each */
    enum weft_layout as;          /* ... as panels, or, few rows that it rounds, as rows */
    size_t rows, cols;            /* of a task */
    size_t row_tasks, col_tasks, pack_tasks;
    size_t packed_bytes; /* shared scratch, 64-byte aligned */
    size_t local_bytes;  /* of each thread: sums of a task, when narrow; rows of A, when it rounds */
    size_t sums_at;      /* narrow, parts along k: where all sums are in the shared scratch */
};

/* p->m, n, k, a, b are set; the rest is computed. */
void weft_product_plan(struct weft_product *p, const weft_ctx *ctx);
static inline size_t weft_product_phases(const struct weft_product *p) {
    return p->parts * (p->pack ? 2 : 1);
}
/* Tasks of a phase, and its time on one thread. */
size_t weft_product_tasks(const struct weft_product *p, size_t phase);
double weft_product_ns(const struct weft_product *p, const weft_ctx *ctx, size_t phase);
/* Task of a phase. g: the live product, unpacked, g->m <= p->m, g->k <= p->k. */
void weft_product_run(const struct weft_product *p, const struct weft_kernels *k,
                      const struct weft_gemm_args *g, void *shared, void *local, size_t phase,
                      size_t task);

#endif
