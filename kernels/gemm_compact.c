/* C = A·Wᵀ, epilogue, for compact W: the order of gemv_compact.c, for many rows of A.
 *
 * For each chunk of 1024 words and each panel of columns the weights are widened once, without their
 * scales, into words on the stack (128 KB or less): f32, or pairs of bf16 for dot products. All rows
 * of A pass over them. A tile is summed group by group; where there are scales, its sums go through
 * memory on their way into C. */
#include "kernels/compact_inner.h"
#include "kernels/gemm_a.h"

_Static_assert(GEMM_NR % 16 == 0, "panels begin at multiples of 16 outputs");

/* The words of `terms` terms, a word's or fewer, from term k on, of VL outputs from c on. */
static WEFT_INLINE vf widen_vector(const enum weft_format f, const unsigned char *row, size_t terms,
                                   const size_t c) {
    const size_t words = COMPACT_WORDS(f), next = weft_compact_row(f);
    const vf first = v_place(f, v_words(f, row, c % words), c / words);
    if (WORD == 1) return first;
    return word_pair(first, terms > 1 ? v_place(f, v_words(f, row + next, c % words), c / words)
                                      : v_zero());
}

/* Terms [k0, end), at most one chunk, of GEMM_NR outputs from c on, into rows of words. */
static WEFT_INLINE void widen_from(const enum weft_format f, const size_t c,
                                   const unsigned char *block, size_t k0, size_t end, size_t step,
                                   float *panel) {
    const size_t two = COMPACT_TERMS(f); /* bf16's last one may be beyond k: a row of zeros */
    const size_t terms = two * WORD, bytes = terms * weft_compact_row(f);
    for (size_t k = k0; k < end;) {
        const unsigned char *row = compact_rows(f, block, k);
        for (const size_t stop = min_size(end, k + step); k < stop; k += terms) {
            WEFT_UNROLL_ALL
            for (size_t v = 0; v < GEMM_NR; v += VL) {
                if (two == 1) {
                    v_store(panel + v, widen_vector(f, row, stop - k, c + v));
                    continue;
                }
                const vi words = v_words(f, row, c + v);
                v_store(panel + v, v_place(f, words, 0));
                v_store(panel + GEMM_NR + v, v_place(f, words, 1));
            }
            row += bytes;
            panel += two * GEMM_NR;
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
#if WEFT_ELEM_F32
    case WEFT_FORMAT_BF16: widen_as(WEFT_FORMAT_BF16, block, k0, end, step, c, panel); break;
#endif
    case WEFT_FORMAT_INT4: widen_as(WEFT_FORMAT_INT4, block, k0, end, step, c, panel); break;
    case WEFT_FORMAT_INT8: widen_as(WEFT_FORMAT_INT8, block, k0, end, step, c, panel); break;
    case WEFT_FORMAT_INT8_G64:
        widen_as(WEFT_FORMAT_INT8_G64, block, k0, end, step, c, panel);
        break;
    default: widen_as(WEFT_FORMAT_INT8_G32, block, k0, end, step, c, panel); break;
    }
}

/* C = sums scale, or += : cols of each of the rows. */
static void add_scaled(const float *sums, const float *scale, float *c, size_t ldc, size_t rows,
                       size_t cols, bool add) {
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j += VL) {
            const size_t n = min_size(VL, cols - j);
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
    const float *b; /* (words of end - k0, GEMM_NR) */
};

/* Rows [i, i + rows), whose A t has for term k0. */
static void rows_of_panel(const struct weft_gemm_args *g, const struct panel *p, size_t i,
                          size_t rows, struct tile t) {
    float sums[GEMM_MR * GEMM_NR] WEFT_ALIGN(64);
    const bool inner = g->a_layout == WEFT_K_INNER && a_in_place(g, p->end - p->k0);
    const bool narrow = p->cols <= VL, scaled = weft_format_group(g->format) > 0;
    float *const c = (float *)g->c + i * g->ldc + p->j;
    const side *const a = t.a;
    tile_fetch(c, g->ldc * sizeof *c, rows, p->cols * sizeof *c, true);
    t.c = scaled ? sums : c;
    t.ldc = scaled ? GEMM_NR : g->ldc;
    t.cols = !scaled ? p->cols : narrow ? VL : GEMM_NR;
    t.ldold = g->ldc;
    for (size_t k = p->k0; k < p->end; k += p->step) {
        const size_t words = (k - p->k0) / WORD;
        t.k = words_of(min_size(p->step, p->end - k));
        t.a = a + words * (inner ? WORD : t.lda);
        t.b = p->b + words * GEMM_NR;
        t.old = scaled || k == 0 ? NULL : c;
        t.ahead[0] = t.ahead[1] = (const char *)t.b;
        run_tile(&t, rows, inner, narrow);
        if (scaled)
            add_scaled(
                sums, compact_scales(g->format, p->block, WEFT_BUG(72) ? 0 : k) + p->j % WEFT_BLOCK,
                c, g->ldc, rows, p->cols, k > 0);
    }
}

static void chunk(const struct weft_gemm_args *g, size_t k0, size_t end) {
    float b[WEFT_GEMM_CHUNK * GEMM_NR] WEFT_ALIGN(64);
    A_COPY(copy);
    const size_t group = weft_format_group(g->format), most = WEFT_GEMM_CHUNK * WORD;
    const size_t stride = weft_compact_block(g->format, g->k);
    struct panel p = {
        .k0 = k0, .end = end, .step = group > 0 && group < most ? group : most, .b = b};
    const size_t rows = rows_step(g);
    for (; p.j < g->n; p.j += GEMM_NR) {
        p.cols = min_size(GEMM_NR, g->n - p.j);
        p.block = g->blocks + p.j / WEFT_BLOCK * stride;
        widen(g->format, p.block, k0, end, p.step, p.j % WEFT_BLOCK, b);
        for (size_t i = 0; i < g->m; i += rows) {
            const size_t live = min_size(rows, g->m - i);
            struct tile t = {.lda = a_ld(g, end - k0), .ldb = GEMM_NR};
            a_tile(g, &t, k0, end - k0, i, live, copy);
            rows_of_panel(g, &p, i, live, t);
            if (end < g->k || g->epilogue == WEFT_EPI_NONE) continue;
            const struct weft_gemm_part part = {
                i, p.j, live, p.cols, .sum = (const float *)g->c + i * g->ldc + p.j, .ld = g->ldc};
            gemm_finish(g, &part);
        }
    }
}

void WEFT_EFN(gemm_compact)(const struct weft_gemm_args *g) {
    const size_t most = WEFT_GEMM_CHUNK * WORD;
    if (g->format == GEMM_BLOCKS) { /* words already */
        WEFT_EFN(gemm)(g);
        return;
    }
    if (g->m == 0 || g->n == 0) return;
    if (g->m <= WEFT_COMPACT_ROWS && g->a_layout == WEFT_K_INNER) {
        WEFT_EFN(gemv_compact)(g);
        return;
    }
    for (size_t k0 = 0; k0 < g->k; k0 += most) chunk(g, k0, min_size(g->k, k0 + most));
}
