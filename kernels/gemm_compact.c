/* C = A·Wᵀ, epilogue, for compact W: the order of gemv_compact.c, for many rows of A.
 *
 * For each chunk of 1024 terms and each panel of columns the weights are widened once, without their
 * scales, into f32 on the stack (128 KB or less), over which all rows of A pass. A tile is summed
 * group by group; where there are scales, its sums go through memory on their way into C. */
#include "kernels/compact_inner.h"
#include "kernels/gemm_tile.h"
#include "kernels/simd/vec_compact.h"

_Static_assert(GEMM_NR % 16 == 0, "panels begin at multiples of 16 outputs");

static WEFT_INLINE size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* Rows at a time: whole panels of packed A, an even share of an unpacked one. */
static size_t rows_step(const struct weft_gemm_args *g) {
    const size_t tiles = (g->m + GEMM_MR - 1) / GEMM_MR;
    return g->a_layout == WEFT_PANELS ? GEMM_MR : (g->m + tiles - 1) / tiles;
}

/* Terms [k0, end), at most one chunk, of outputs c, c + 1, ..., GEMM_NR of them, into rows. */
static WEFT_INLINE void widen_from(const enum weft_format f, const size_t c,
                                   const unsigned char *block, size_t k0, size_t end, size_t step,
                                   float *panel) {
    const size_t terms = COMPACT_TERMS(f); /* the last one may be beyond k: a row of zeros */
    for (size_t k = k0; k < end;) {
        const unsigned char *row = compact_rows(f, block, k);
        for (const size_t stop = smaller(end, k + step); k < stop; k += terms) {
            WEFT_UNROLL_ALL
            for (size_t v = 0; v < GEMM_NR; v += VL) {
                const vi words = v_words(f, row, (c + v) % COMPACT_WORDS(f));
                WEFT_UNROLL_ALL
                for (size_t t = 0; t < terms; t++)
                    v_store(panel + t * GEMM_NR + v,
                            v_place(f, words, terms > 1 ? t : (c + v) / COMPACT_WORDS(f)));
            }
            row += terms * weft_compact_row(f);
            panel += terms * GEMM_NR;
        }
    }
}

static WEFT_INLINE void widen_as(const enum weft_format f, const unsigned char *block, size_t k0,
                                 size_t end, size_t step, size_t c, float *panel) {
    switch (c / 16) {
    case 0: widen_from(f, 0, block, k0, end, step, panel); break;
    case 1: widen_from(f, 16, block, k0, end, step, panel); break;
    case 2: widen_from(f, 32, block, k0, end, step, panel); break;
    default: widen_from(f, 48, block, k0, end, step, panel); break;
    }
}

static WEFT_NOINLINE void widen(enum weft_format f, const unsigned char *block, size_t k0,
                                size_t end, size_t step, size_t c, float *panel) {
    switch (f) {
    case WEFT_FORMAT_BF16: widen_as(WEFT_FORMAT_BF16, block, k0, end, step, c, panel); break;
    case WEFT_FORMAT_INT4: widen_as(WEFT_FORMAT_INT4, block, k0, end, step, c, panel); break;
    case WEFT_FORMAT_INT8: widen_as(WEFT_FORMAT_INT8, block, k0, end, step, c, panel); break;
    case WEFT_FORMAT_INT8_G64:
        widen_as(WEFT_FORMAT_INT8_G64, block, k0, end, step, c, panel);
        break;
    default: widen_as(WEFT_FORMAT_INT8_G32, block, k0, end, step, c, panel); break;
    }
}

static void run_tile(const struct tile *t, size_t rows, bool inner, bool narrow) {
    if (inner && narrow)
        tile_inner_narrow(t, rows);
    else if (inner)
        tile_inner(t, rows);
    else if (narrow)
        tile_outer_narrow(t, rows);
    else
        tile_outer(t, rows);
}

/* C = sums scale, or += : cols of each of the rows. */
static void add_scaled(const float *sums, const float *scale, float *c, size_t ldc, size_t rows,
                       size_t cols, bool add) {
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j += VL) {
            const size_t n = smaller(VL, cols - j);
            float *const to = c + i * ldc + j;
            const vf part = v_load(sums + i * GEMM_NR + j), s = v_load(scale + j);
            if (n == VL)
                v_store(to, add ? v_fma(part, s, v_load(to)) : v_mul(part, s));
            else
                v_store_n(to, add ? v_fma(part, s, v_load_n(to, n)) : v_mul(part, s), n);
        }
}

struct panel { /* columns [j, j + cols) over the chunk [k0, end), in groups of step terms */
    size_t j, cols, k0, end, step;
    const unsigned char *block;
    const float *b; /* (end - k0, GEMM_NR) */
};

/* Rows [i, i + rows), whose A begins at a for term k0. */
static void rows_of_panel(const struct weft_gemm_args *g, const struct panel *p, size_t i,
                          size_t rows, const float *a) {
    float sums[GEMM_MR * GEMM_NR] WEFT_ALIGN(64);
    const bool inner = g->a_layout == WEFT_K_INNER, narrow = p->cols <= VL;
    const bool scaled = weft_format_group(g->format) > 0;
    float *const c = (float *)g->c + i * g->ldc + p->j;
    tile_fetch(c, g->ldc * sizeof *c, rows, p->cols * sizeof *c);
    for (size_t k = p->k0; k < p->end; k += p->step) {
        const float *const b = p->b + (k - p->k0) * GEMM_NR;
        const size_t lda = inner ? g->lda : GEMM_MR;
        const bool first = k == 0;
        const struct tile t = {.k = smaller(p->step, p->end - k),
                               .a = a + (k - p->k0) * (inner ? 1 : lda),
                               .lda = lda,
                               .b = b,
                               .ldb = GEMM_NR,
                               .c = scaled ? sums : c,
                               .ldc = scaled ? GEMM_NR : g->ldc,
                               .cols = !scaled  ? p->cols
                                       : narrow ? VL
                                                : GEMM_NR,
                               .old = scaled || first ? NULL : c,
                               .ldold = g->ldc,
                               .ahead = {(const char *)b, (const char *)b}};
        run_tile(&t, rows, inner, narrow);
        if (scaled)
            add_scaled(
                sums, compact_scales(g->format, p->block, WEFT_BUG(72) ? 0 : k) + p->j % WEFT_BLOCK,
                c, g->ldc, rows, p->cols, !first);
    }
}

static void chunk(const struct weft_gemm_args *g, size_t k0, size_t end) {
    float b[WEFT_GEMM_CHUNK * GEMM_NR] WEFT_ALIGN(64);
    const size_t group = weft_format_group(g->format);
    const size_t stride = weft_compact_block(g->format, g->k);
    struct panel p = {.k0 = k0,
                      .end = end,
                      .step = group > 0 && group < WEFT_GEMM_CHUNK ? group : WEFT_GEMM_CHUNK,
                      .b = b};
    const bool inner = g->a_layout == WEFT_K_INNER;
    const size_t rows = rows_step(g);
    for (; p.j < g->n; p.j += GEMM_NR) {
        p.cols = smaller(GEMM_NR, g->n - p.j);
        p.block = g->blocks + p.j / WEFT_BLOCK * stride;
        widen(g->format, p.block, k0, end, p.step, p.j % WEFT_BLOCK, b);
        for (size_t i = 0; i < g->m; i += rows) {
            const size_t live = smaller(rows, g->m - i);
            const float *const a =
                (const float *)g->a +
                (inner ? i * g->lda + k0 : i / GEMM_MR * g->lda + k0 * GEMM_MR);
            rows_of_panel(g, &p, i, live, a);
            if (end < g->k || g->epilogue == WEFT_EPI_NONE) continue;
            const float *const sum = (const float *)g->c + i * g->ldc + p.j;
            WEFT_FN(gemm_epilogue_f32)
            (g, &(struct weft_gemm_part){i, p.j, live, p.cols, .sum = sum, .ld = g->ldc});
        }
    }
}

void WEFT_FN(gemm_compact_f32)(const struct weft_gemm_args *g) {
    if (g->m == 0 || g->n == 0) return;
    if (g->m <= WEFT_COMPACT_ROWS && g->a_layout == WEFT_K_INNER) {
        WEFT_FN(gemv_compact_f32)(g);
        return;
    }
    for (size_t k0 = 0; k0 < g->k; k0 += WEFT_GEMM_CHUNK)
        chunk(g, k0, smaller(g->k, k0 + WEFT_GEMM_CHUNK));
}
