/* See product.h. */
#include "runtime/product.h"

#include "kernels/base/compiler.h"

#define PACK_TASK ((size_t)64 << 10) /* bytes of A in a packing task */
#define STRETCH   384                /* and of a row of it at least, where that runs along m */
#define FAR       33.0               /* bytes a nanosecond into a core, from beyond its L2 */
#define FEW_ROWS  4                  /* up to here the kernel streams B and packs nothing */

static size_t min_size(size_t a, size_t b) { return a < b ? a : b; }
static size_t max_size(size_t a, size_t b) { return a > b ? a : b; }
static size_t ceil_div(size_t a, size_t b) { return (a + b - 1) / b; }
static size_t round_up(size_t a, size_t unit) { return ceil_div(a, unit) * unit; }
/* Words of so many terms along k. */
static size_t words(const struct weft_product *p, size_t k) { return ceil_div(k, p->word); }

static size_t bytes_of(const struct weft_product *p) { return p->half ? 2 : sizeof(float); }

/* Columns that stay together. */
static size_t col_unit(const struct weft_product *p, const weft_ctx *ctx) {
    return p->b == WEFT_BLOCKS ? WEFT_BLOCK : ctx->k->gemm_nr;
}

/* What a task of so many rows and columns takes, in vector FMAs: the multiplications, whole vectors
 * of columns; its A and B, an element at a time, B being packed on the way, more when they come
 * from beyond L2; the start and end of every tile; C, once a chunk, and A again for every panel
 * when a chunk of it is clearly larger than L2; the first panel of B, which nothing fetched ahead;
 * and handing it out. Fitted to products of 64 to 3072 rows in turns with other cuts
 * (docs/performance.md). What is beyond L2 comes at FAR bytes a nanosecond, whatever an FMA takes:
 * fast cores wait for it longer. */
static double task_cost(const struct weft_product *p, const weft_ctx *ctx, size_t rows,
                        size_t cols) {
    const size_t vl = ctx->k->vl, mr = ctx->k->gemm_mr, nr = ctx->k->gemm_nr;
    const double vectors = (double)(cols / nr * (nr / vl) + ceil_div(cols % nr, vl));
    const size_t depth = words(p, p->k_part), chunk = weft_gemm_chunk(p->a);
    const double k = (double)depth, chunks = (double)ceil_div(depth, chunk);
    const double fmas_ns = 1e-3 * (double)ctx->tuning.fma_mflops / (double)(2 * vl);
    const double from_far = sizeof(float) * fmas_ns / FAR,
                 l2 = (double)ctx->tuning.l2 / sizeof(float);
    const double a = (p->pack ? 0.1 : 0.2) + ((double)p->m_part * k > l2 ? from_far : 0);
    const bool far = (double)p->n * k > l2;
    const bool widens = p->b == WEFT_BLOCKS &&
                        p->format != (p->rounds ? WEFT_FORMAT_BF16 : WEFT_FORMAT_F32);
    const double b = (p->b == WEFT_K_INNER             ? 0.8
                      : p->b == WEFT_K_OUTER || widens ? 0.4
                                                       : 0.1) +
                     (far ? 2 * from_far : 0);
    const double first = far ? (double)(nr * min_size(depth, chunk)) * from_far : 0;
    const double tiles = (double)(ceil_div(rows, mr) * ceil_div(cols, nr)) * chunks;
    const double reload = (double)(rows * chunk) > 1.1 * l2 ? 1 : 0.3;
    return 1.05 * (double)rows * vectors * k + (a * (double)rows + b * (double)cols) * k +
           80 * tiles + reload * (double)(rows * cols) * chunks + first + 1000;
}

/* The next number of parts into which units can be cut that makes the parts smaller. */
static size_t next_cut(size_t units, size_t parts) {
    const size_t each = ceil_div(units, parts);
    return each <= 1 ? units + 1 : ceil_div(units, each - 1);
}

/* The grid with the least time: rounds of tasks on all threads, and half a task more, because they
 * never end together. Rows in whole tiles, columns in whole panels. */
static void cut(struct weft_product *p, const weft_ctx *ctx) {
    const size_t mr = ctx->k->gemm_mr, nr = col_unit(p, ctx);
    const size_t tiles = ceil_div(p->m_part, mr), panels = ceil_div(p->n, nr);
    const double all = weft_product_ns(p, ctx, p->pack) / (double)ctx->tuning.grain_ns;
    const size_t team = all < 1 ? 1 : all < (double)ctx->threads ? (size_t)all : ctx->threads;
    double best = 0;
    for (size_t r = p->by_rows ? min_size(team, tiles) : 1; r <= tiles; r = next_cut(tiles, r)) {
        const size_t rows = ceil_div(tiles, r) * mr;
        for (size_t c = 1; c <= panels; c = next_cut(panels, c)) {
            const size_t cols = ceil_div(panels, c) * nr;
            const size_t tasks = ceil_div(tiles, rows / mr) * ceil_div(panels, cols / nr);
            const double rounds = (double)ceil_div(tasks, team) + (team > 1 ? 0.5 : 0);
            const double cost =
                rounds * task_cost(p, ctx, min_size(rows, p->m_part), min_size(cols, p->n));
            if (best != 0 && cost >= best) continue;
            best = cost;
            p->rows = rows;
            p->cols = cols;
            p->row_tasks = ceil_div(p->m_part, rows);
            p->col_tasks = ceil_div(p->n, cols);
        }
    }
}

/* Is A better read where it is? Panels make tiles 1% faster, but A moves twice for it, which few
 * columns do not pay for, the less the faster the core; and a large A in rows along k is out of
 * the caches once more. */
static bool stays(const struct weft_product *p, const weft_ctx *ctx, double bytes) {
    const bool inner = p->a == WEFT_K_INNER;
    if (p->half && (p->word == 1 || !inner)) return false; /* each tile would make a copy */
    const double most = (double)ctx->tuning.packed_max * (p->half ? 1 : 0.5);
    const double flops = bytes / sizeof(float) * 2 * (double)p->n;
    return 2 * bytes / FAR > weft_ns_flops(ctx, flops) / 100 || (inner && bytes > most);
}

void weft_product_plan(struct weft_product *p, const weft_ctx *ctx) {
    const size_t mr = ctx->k->gemm_mr, most = ctx->tuning.packed_max;
    p->rounds = p->b == WEFT_BLOCKS && p->format != WEFT_FORMAT_F32 && ctx->k->bf16_word == 2;
    p->word = p->half || p->rounds ? ctx->k->bf16_word : 1;
    p->m = max_size(p->m, 1);
    p->n = max_size(p->n, 1);
    p->k = max_size(p->k, 1);
    const size_t bytes = p->m * words(p, p->k) * sizeof(float), chunk = weft_gemm_chunk(p->a);
    p->pack = p->m > FEW_ROWS && (p->rounds || (bytes >= ctx->tuning.pack_from &&
                                                p->n >= 4 * ctx->k->gemm_nr &&
                                                !stays(p, ctx, (double)bytes)));
    p->as = p->rounds && p->m <= 2 * mr ? WEFT_K_INNER : WEFT_PANELS; /* rows are cut evenly */
    p->m_part = p->m;
    p->k_part = p->k;
    if (p->pack && bytes > most) {
        const size_t rows = round_up(p->m, mr);
        const size_t deep = most / sizeof(float) / rows / chunk * chunk;
        if (p->b != WEFT_BLOCKS)
            p->k_part = min_size(p->k, max_size(deep, WEFT_GEMM_CHUNK) * p->word);
        const size_t high = most / sizeof(float) / words(p, p->k_part) / mr * mr;
        p->m_part = min_size(p->m, max_size(high, mr)); /* fewer rows than a tile: one part */
    }
    p->parts = ceil_div(p->m, p->m_part) * ceil_div(p->k, p->k_part);
    const size_t part = words(p, p->k_part) * sizeof(float); /* of a row of A */
    p->packed_bytes = p->pack ? round_up(p->m_part, mr) * part : 0;
    p->pack_tasks = min_size(ceil_div(p->m_part * part, PACK_TASK), 64);
    if (p->a == WEFT_K_OUTER)
        p->pack_tasks = min_size(p->pack_tasks,
                                 max_size(p->m_part * bytes_of(p) / STRETCH, ctx->threads));
    cut(p, ctx);
    if (p->rounds)
        p->local_bytes = min_size(p->m, max_size(mr, FEW_ROWS)) * words(p, p->k) * sizeof(float);
    if (!p->narrow) return;
    p->local_bytes = p->k_part < p->k ? 0 : p->rows * p->cols * sizeof(float);
    p->sums_at = p->packed_bytes;
    if (p->k_part < p->k) p->packed_bytes += p->m * p->n * sizeof(float);
}

static bool packs(const struct weft_product *p, size_t phase) { return p->pack && phase % 2 == 0; }

size_t weft_product_tasks(const struct weft_product *p, size_t phase) {
    return packs(p, phase) ? p->pack_tasks : p->row_tasks * p->col_tasks;
}

double weft_product_ns(const struct weft_product *p, const weft_ctx *ctx, size_t phase) {
    const double a = 4.0 * (double)p->m_part * (double)words(p, p->k_part);
    const double deep = (double)(p->b == WEFT_BLOCKS ? p->k_part : words(p, p->k_part));
    const double b = (double)weft_format_bits(p->format) / 8 * (double)p->n * deep;
    const double compute = weft_ns_flops(ctx, a * (double)p->n / 2);
    if (packs(p, phase)) return weft_ns_bytes(2 * a);
    return compute > weft_ns_bytes(b) ? compute : weft_ns_bytes(b);
}

static const void *move(const void *p, size_t i, size_t bytes) {
    return p == NULL ? NULL : (const unsigned char *)p + i * bytes;
}
static void *move_out(void *p, size_t i, size_t bytes) {
    return p == NULL ? NULL : (unsigned char *)p + i * bytes;
}

/* Element (r, k) of an operand; in panels w wide, r is the first of one. */
static const void *at(const struct weft_product *p, const void *x, size_t ld,
                      enum weft_layout layout, size_t r, size_t k, size_t w) {
    switch (layout) {
    case WEFT_K_INNER: return move(x, r * ld + k, bytes_of(p));
    case WEFT_K_OUTER: return move(x, k * ld + r, bytes_of(p));
    default: return move(x, r / w * ld + words(p, k) * w, sizeof(float));
    }
}

/* Rows of A in f32 to rows of words. */
static void round_rows(const struct weft_product *p, const struct weft_kernels *k, const float *a,
                       size_t lda, size_t m, size_t depth, void *to) {
    const size_t ld = words(p, depth) * p->word;
    for (size_t i = 0; i < m; i++) k->narrow_bf16(a + i * lda, (uint16_t *)to + i * ld, depth);
}

/* Panels [i, i + count) of the part of A that starts at a. */
static void pack_task(const struct weft_product *p, const struct weft_kernels *k, const void *a,
                      size_t lda, size_t m, size_t depth, float *packed, void *local, size_t task) {
    const size_t mr = k->gemm_mr;
    size_t lo, hi;
    weft_split(p->m_part, mr, p->pack_tasks, task, &lo, &hi);
    hi = min_size(hi, m);
    if (lo >= hi) return;
    if (p->as == WEFT_K_INNER) {
        round_rows(p, k, at(p, a, lda, p->a, lo, 0, mr), lda, hi - lo, depth,
                   packed + lo * words(p, depth));
        return;
    }
    for (size_t i = lo; i < hi;) { /* panel by panel when it rounds */
        const size_t rows = p->rounds ? min_size(mr, hi - i) : hi - i;
        const void *src = at(p, a, lda, p->a, i, 0, mr);
        if (p->rounds) round_rows(p, k, src, lda, rows, depth, local), src = local;
        const struct weft_pack_args args = {.r = rows,
                                            .k = depth,
                                            .src = src,
                                            .ld = p->rounds ? p->word * words(p, depth) : lda,
                                            .layout = p->a,
                                            .dst = packed + i * words(p, depth)};
        (p->half || p->rounds ? k->gemm_pack_a_bf16 : k->gemm_pack_a_f32)(&args);
        i += rows;
    }
}

/* The first row and column of a task. */
static size_t first_row(const struct weft_product *p, size_t task) {
    return (p->by_rows ? task / p->col_tasks : task % p->row_tasks) * p->rows;
}
static size_t first_col(const struct weft_product *p, size_t task) {
    return (p->by_rows ? task % p->col_tasks : task / p->row_tasks) * p->cols;
}

/* B of the columns from j on, and of those that the next task begins with, unless they are the
 * same: then it is in the caches. */
static void place_b(const struct weft_product *p, struct weft_gemm_args *t, size_t j, size_t after,
                    size_t k0, size_t depth, size_t nr) {
    const bool follows = after != j && after < p->n;
    t->b_layout = p->b;
    t->format = p->format;
    if (p->b == WEFT_BLOCKS) {
        const size_t block = weft_compact_block(p->format, depth);
        const unsigned char *const all = t->blocks;
        t->blocks = all + (WEFT_BUG(75) ? 0 : j / WEFT_BLOCK) * block;
        t->next = follows ? all + after / WEFT_BLOCK * block : NULL;
    } else {
        const void *const all = t->b;
        t->b = at(p, all, t->ldb, p->b, j, k0, nr);
        t->next = follows ? at(p, all, t->ldb, p->b, after, k0, nr) : NULL;
    }
}

/* Where the sums of C[i.., j..] are until they are rounded, and whether there are some already. */
static void place_sums(const struct weft_product *p, struct weft_gemm_args *t, void *shared,
                       void *local, size_t i, size_t j, size_t k0) {
    if (!p->narrow) return;
    const bool parts = p->k_part < p->k;
    t->acc = parts ? move_out(shared, p->sums_at + (i * p->n + j) * sizeof(float), 1) : local;
    t->ldacc = parts ? p->n : p->cols;
    t->resumed = k0 > 0 && !WEFT_BUG(65);
}

/* The epilogue's operands at C[i.., j..]. */
static void place_epilogue(const struct weft_product *p, struct weft_gemm_args *t, size_t i,
                           size_t j) {
    const size_t bytes = bytes_of(p);
    if (t->bias) t->bias += j;
    t->residual = move(t->residual, i * t->ldr + j, bytes);
    t->z = move_out(t->z, i * t->ldz + j, bytes);
    if (t->stats) t->stats += (i * t->lds + j / WEFT_GEMM_GROUP) * WEFT_GEMM_STATS;
}

void weft_product_run(const struct weft_product *p, const struct weft_kernels *k,
                      const struct weft_gemm_args *g, void *shared, void *local, size_t phase,
                      size_t task) {
    const size_t part = phase / (p->pack ? 2 : 1);
    const size_t deep = ceil_div(p->k, p->k_part);
    const size_t i0 = part / deep * p->m_part;
    const size_t k0 = part % deep * p->k_part;
    if (i0 >= g->m || (k0 > 0 && k0 >= g->k)) return;
    const size_t m = min_size(p->m_part, g->m - i0);
    const size_t depth = min_size(p->k_part, g->k - k0);
    const bool direct = !p->pack || g->m <= FEW_ROWS;
    const void *const a = at(p, g->a, g->lda, p->a, i0, k0, k->gemm_mr);
    float *const packed = shared;
    if (packs(p, phase)) {
        if (!direct) pack_task(p, k, a, g->lda, m, depth, packed, local, task);
        return;
    }
    const size_t i = first_row(p, task), j = first_col(p, task), after = first_col(p, task + 1);
    if (i >= m || j >= g->n) return;
    struct weft_gemm_args t = *g;
    t.m = min_size(p->rows, m - i);
    t.n = min_size(p->cols, g->n - j);
    t.k = depth;
    t.a = direct ? at(p, a, g->lda, p->a, i, 0, k->gemm_mr) : packed + i * words(p, depth);
    t.a_layout = direct ? p->a : p->as;
    t.chunk = WEFT_BUG(95) ? 0 : weft_gemm_chunk(p->a);
    if (direct && p->rounds) {
        round_rows(p, k, t.a, t.lda, t.m, depth, local);
        t.a = local;
    }
    if (t.a_layout == WEFT_PANELS)
        t.lda = k->gemm_mr * words(p, depth);
    else if (p->rounds)
        t.lda = p->word * words(p, depth);
    place_b(p, &t, j, after, k0, depth, k->gemm_nr);
    t.c = move_out(g->c, (i0 + i) * g->ldc + j, p->narrow ? 2 : sizeof(float));
    t.c_f32 = !p->narrow;
    t.accumulate = g->accumulate || (k0 > 0 && !p->narrow && !WEFT_BUG(60));
    t.unfinished = k0 + depth < g->k;
    if (t.unfinished) t.epilogue = WEFT_EPI_NONE, t.stats = NULL;
    place_epilogue(p, &t, i0 + i, j);
    place_sums(p, &t, shared, local, i0 + i, j, k0);
    if (p->b == WEFT_BLOCKS)
        (p->rounds ? k->gemm_compact_bf16 : k->gemm_compact_f32)(&t);
    else
        (p->half ? k->gemm_bf16 : k->gemm_f32)(&t);
}
