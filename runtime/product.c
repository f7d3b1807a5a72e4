/* See product.h. */
#include "runtime/product.h"

#define PACKED_MAX ((size_t)16 << 20) /* bytes of a packed part of A */
#define PACK_FROM  ((size_t)96 << 10) /* bytes of A from which packing pays: more than L1 holds */
#define PACK_TASK  ((size_t)64 << 10) /* bytes of A in a packing task */
#define FEW_ROWS   4                  /* up to here the kernel streams B and packs nothing */
#define TASKS      4                  /* of a thread: who is late then loses little */
#define TASK_FLOPS 1e6                /* at least: some 10 us */
#define TASK_BYTES 250e3              /* of B at least, with few rows */

static size_t min_size(size_t a, size_t b) { return a < b ? a : b; }
static size_t max_size(size_t a, size_t b) { return a > b ? a : b; }
static size_t ceil_div(size_t a, size_t b) { return (a + b - 1) / b; }
static size_t round_up(size_t a, size_t unit) { return ceil_div(a, unit) * unit; }

/* How many tasks a part is worth. */
static size_t tasks_wanted(const struct weft_product *p, const weft_ctx *ctx) {
    const double flops = 2.0 * (double)p->m_part * (double)p->n * (double)p->k_part;
    const double stream = 4.0 * (double)p->n * (double)p->k;
    const double worth = p->m <= FEW_ROWS ? stream / TASK_BYTES : flops / TASK_FLOPS;
    const size_t most = ctx->threads > 1 ? TASKS * ctx->threads : 1;
    return worth < 1 ? 1 : worth < (double)most ? (size_t)worth : most;
}

/* Three quarters of L2 hold a task's C (rows x cols), which every chunk adds to, and its chunk of A
 * (rows x 256), which every panel of B passes over. About as many rows as columns then cost the
 * least traffic: 512 x 512 with 2 MB. Fewer columns, then fewer rows, if that gives too few tasks.
 */
static void cut(struct weft_product *p, const weft_ctx *ctx) {
    const size_t mr = ctx->k->gemm_mr;
    const size_t nr = ctx->k->gemm_nr;
    const size_t budget = ctx->l2 / 4 * 3 / sizeof(float);
    const size_t want = tasks_wanted(p, ctx);
    const size_t panels = ceil_div(p->n, nr);
    size_t rows = mr;
    while ((rows + mr) * (rows + mr + WEFT_GEMM_CHUNK) <= budget) rows += mr;
    const size_t row_tasks = max_size(
        ceil_div(p->m_part, rows), min_size(ceil_div(want, panels), ceil_div(p->m_part, 4 * mr)));
    p->rows = round_up(ceil_div(p->m_part, row_tasks), mr);
    p->row_tasks = ceil_div(p->m_part, p->rows);
    const size_t cols = max_size(budget / p->rows, WEFT_GEMM_CHUNK + nr) - WEFT_GEMM_CHUNK;
    const size_t col_tasks = max_size(ceil_div(p->n, cols), ceil_div(want, p->row_tasks));
    p->cols = round_up(ceil_div(p->n, col_tasks), nr);
    p->col_tasks = ceil_div(p->n, p->cols);
}

void weft_product_plan(struct weft_product *p, const weft_ctx *ctx) {
    const size_t mr = ctx->k->gemm_mr;
    p->m = max_size(p->m, 1);
    p->n = max_size(p->n, 1);
    p->k = max_size(p->k, 1);
    const size_t bytes = p->m * p->k * sizeof(float);
    p->pack = p->m > FEW_ROWS && bytes >= PACK_FROM && p->n >= 4 * ctx->k->gemm_nr;
    p->m_part = p->m;
    p->k_part = p->k;
    if (p->pack && bytes > PACKED_MAX) {
        const size_t deep = PACKED_MAX / sizeof(float) / p->m / WEFT_GEMM_CHUNK * WEFT_GEMM_CHUNK;
        p->k_part = min_size(p->k, max_size(deep, 4 * WEFT_GEMM_CHUNK));
        const size_t high = PACKED_MAX / sizeof(float) / p->k_part / mr * mr;
        p->m_part = min_size(p->m, max_size(high, mr)); /* fewer rows than a tile: one part */
    }
    p->parts = ceil_div(p->m, p->m_part) * ceil_div(p->k, p->k_part);
    p->packed_bytes = p->pack ? round_up(p->m_part, mr) * p->k_part * sizeof(float) : 0;
    p->pack_tasks = min_size(ceil_div(p->m_part * p->k_part * sizeof(float), PACK_TASK), 64);
    cut(p, ctx);
}

static bool packs(const struct weft_product *p, size_t phase) { return p->pack && phase % 2 == 0; }

size_t weft_product_tasks(const struct weft_product *p, size_t phase) {
    return packs(p, phase) ? p->pack_tasks : p->row_tasks * p->col_tasks;
}

double weft_product_ns(const struct weft_product *p, size_t phase) {
    const double a = 4.0 * (double)p->m_part * (double)p->k_part;
    const double b = 4.0 * (double)p->n * (double)p->k_part;
    const double compute = weft_ns_flops(a * (double)p->n / 2);
    if (packs(p, phase)) return weft_ns_bytes(2 * a);
    return compute > weft_ns_bytes(b) ? compute : weft_ns_bytes(b);
}

/* Element (r, k) of an unpacked operand. */
static const float *at(const float *p, size_t ld, enum weft_layout layout, size_t r, size_t k) {
    return layout == WEFT_K_INNER ? p + r * ld + k : p + k * ld + r;
}

/* Panels [i, i + count) of the part of A that starts at a. */
static void pack_task(const struct weft_product *p, const struct weft_kernels *k, const float *a,
                      size_t lda, size_t m, size_t depth, float *packed, size_t task) {
    size_t lo, hi;
    weft_split(p->m_part, k->gemm_mr, p->pack_tasks, task, &lo, &hi);
    hi = min_size(hi, m);
    if (lo >= hi) return;
    k->gemm_pack_a_f32(&(struct weft_pack_args){.r = hi - lo,
                                                .k = depth,
                                                .src = at(a, lda, p->a, lo, 0),
                                                .ld = lda,
                                                .layout = p->a,
                                                .dst = packed + lo * depth});
}

void weft_product_run(const struct weft_product *p, const struct weft_kernels *k,
                      const struct weft_gemm_args *g, float *packed, size_t phase, size_t task) {
    const size_t part = phase / (p->pack ? 2 : 1);
    const size_t deep = ceil_div(p->k, p->k_part);
    const size_t i0 = part / deep * p->m_part;
    const size_t k0 = part % deep * p->k_part;
    if (i0 >= g->m || (k0 > 0 && k0 >= g->k)) return;
    const size_t m = min_size(p->m_part, g->m - i0);
    const size_t depth = min_size(p->k_part, g->k - k0);
    const bool direct = !p->pack || g->m <= FEW_ROWS;
    const float *const a = at(g->a, g->lda, p->a, i0, k0);
    if (packs(p, phase)) {
        if (!direct) pack_task(p, k, a, g->lda, m, depth, packed, task);
        return;
    }
    const size_t i = task % p->row_tasks * p->rows;
    const size_t j = task / p->row_tasks * p->cols;
    if (i >= m || j >= g->n) return;
    struct weft_gemm_args t = *g;
    t.m = min_size(p->rows, m - i);
    t.n = min_size(p->cols, g->n - j);
    t.k = depth;
    t.a = direct ? at(a, g->lda, p->a, i, 0) : packed + i * depth;
    t.lda = direct ? g->lda : k->gemm_mr * depth;
    t.a_layout = direct ? p->a : WEFT_PANELS;
    t.b = at(g->b, g->ldb, p->b, j, k0);
    t.b_layout = p->b;
    t.c = g->c + (i0 + i) * g->ldc + j;
    t.accumulate = g->accumulate || k0 > 0;
    if (k0 + depth < g->k) t.epilogue = WEFT_EPI_NONE;
    if (g->bias) t.bias = g->bias + j;
    if (g->residual) t.residual = g->residual + (i0 + i) * g->ldr + j;
    if (g->z) t.z = g->z + (i0 + i) * g->ldz + j;
    k->gemm_f32(&t);
}
