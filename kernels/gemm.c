/* C = A·B (+ C), epilogue: the block a caller hands out as one task. Order and layouts: gemm.h.
 *
 * For each k chunk, for each panel of columns: the panel of B (chunk x GEMM_NR, 128 KB or less) is
 * in L2, made there on the stack if B is not packed, and the rows of A pass over it. Columns beyond
 * n are computed from zeros and never stored, less than a vector of them where one vector is
 * enough; rows beyond m do not exist.
 * Operands in bf16 become words (simd/word.h) on the way into panels, of A too, unless its words
 * lie there already: the tiles are the same.
 * Error of an element: (k + 2)·u·Σ|a||b|, and less (chunk + k/chunk instead of k). */
#include "kernels/gemm_a.h"
#include "kernels/gemm_inner.h"

/* Where the panel of B at column j and term k0 lies, packed or not. */
static const void *b_at(const struct weft_gemm_args *g, size_t k0, size_t j) {
    const elem *const b = g->b;
    switch (g->b_layout) {
    case WEFT_K_INNER: return b + j * g->ldb + k0;
    case WEFT_K_OUTER: return b + k0 * g->ldb + j;
    case WEFT_BLOCKS:
        return g->blocks + j / WEFT_BLOCK * weft_compact_block(GEMM_BLOCKS, g->k) +
               k0 * weft_compact_row(GEMM_BLOCKS) + j % WEFT_BLOCK * sizeof(float);
    default: return (const float *)g->b + j / GEMM_NR * g->ldb + k0 / WORD * GEMM_NR;
    }
}

struct ahead { /* B of so many words, to come after a panel; NULL: none */
    const char *b;
    size_t words;
};

/* The panel, or the block, after the one at j, behind the last what is to follow. */
static struct ahead b_next(const struct weft_gemm_args *g, size_t k0, size_t kc, size_t j) {
    const size_t unit = g->b_layout == WEFT_BLOCKS ? WEFT_BLOCK : GEMM_NR;
    const size_t at = (j / unit + 1) * unit;
    if (at < g->n) return (struct ahead){b_at(g, k0, at), words_of(kc)};
    const size_t left = g->k - (k0 + kc), most = chunk_terms(g);
    if (left > 0) return (struct ahead){b_at(g, k0 + kc, 0), words_of(min_size(most, left))};
    return (struct ahead){g->next, words_of(min_size(most, g->k))};
}

/* What the i-th tile of a panel fetches meanwhile for the next one, so that its part of B comes
 * from memory while this one is multiplied. K_INNER and packed B (GEMM_NR rows of words): two rows
 * a tile. K_OUTER: the first tile takes all k, two lines a word: both ends of a row, or a pair of
 * rows. */
static void look_ahead(const struct weft_gemm_args *g, struct tile *t, struct ahead next,
                       size_t i) {
    const bool outer = g->b_layout == WEFT_K_OUTER, packed = g->b_layout == WEFT_PANELS;
    const size_t word = packed ? sizeof(float) : WORD * sizeof(elem);
    const size_t ld = packed ? t->k * sizeof(float) : g->ldb * sizeof(elem);
    if (next.b == NULL || i >= (outer ? 1 : GEMM_NR / 2)) {
        t->ahead[0] = t->ahead[1] = (const char *)t->b;
        t->ahead_step = 0;
    } else {
        t->ahead[0] = outer ? next.b : next.b + 2 * i * ld;
        t->ahead[1] = t->ahead[0] + (outer && WORD == 1 ? (GEMM_NR - 1) * sizeof(elem) : ld);
        t->ahead_step = outer ? WORD * ld : word;
    }
}

/* The same for blocks: the first tiles of a block's panels share the next one, each a stretch of
 * it, line by line, which the CPU's own prefetcher follows; two of them when there are more lines
 * than words to pass. */
static void look_ahead_block(const struct weft_gemm_args *g, struct tile *t, struct ahead next,
                             size_t i, size_t j) {
    const size_t panels = WEFT_BLOCK / GEMM_NR, line = 64;
    const size_t tiles = g->m > rows_step(g) ? GEMM_NR * sizeof(float) / line : 1;
    const size_t lines = next.words * weft_compact_row(WEFT_FORMAT_F32) / line / (panels * tiles);
    const size_t part = j % WEFT_BLOCK / GEMM_NR * tiles + i;
    const bool none = next.b == NULL || i >= tiles;
    t->ahead[0] = none ? (const char *)t->b : next.b + part * lines * line;
    t->ahead[1] = t->ahead[0] + (!none && lines > t->k ? lines / 2 * line : 0);
    t->ahead_step = none ? 0 : line;
}

/* Where the tile of a part puts its sums: into C, rounded or not; or, when something follows (true),
 * beside each other in `buffer`, to be read in L1, so that C is written once. What will be read and
 * written at its end is fetched. */
static WEFT_INLINE bool place_sums(const struct weft_gemm_args *g, struct tile *t, bool add,
                                   bool last, const struct weft_gemm_part *p,
                                   float *buffer) {
    const size_t ld = gemm_lds(g), out = gemm_narrows(g) ? sizeof(elem) : sizeof(float);
    float *const sums = gemm_sums(g) + p->i * ld + p->j;
    void *const c = (char *)g->c + (p->i * g->ldc + p->j) * out;
    const bool rounds = gemm_narrows(g) && last && !add && !g->stats &&
                        g->epilogue == WEFT_EPI_NONE && (p->cols == GEMM_NR || p->cols == VL);
    t->old = add && !(last && WEFT_BUG(96)) ? sums : NULL;
    t->ldold = ld;
    t->rounded = rounds ? c : NULL;
    t->c = last ? buffer : sums;
    t->ldc = rounds ? g->ldc : last ? GEMM_NR : ld;
    if (add || !last) tile_fetch(sums, ld * sizeof *sums, p->rows, p->cols * sizeof *sums, true);
    if (last) tile_fetch(c, g->ldc * out, p->rows, p->cols * out, true);
    if (last && g->epilogue == WEFT_EPI_BIAS_RESIDUAL) {
        const size_t in = gemm_epilogue_is_f32(g) ? sizeof(float) : sizeof(elem);
        const char *const r = (const char *)g->residual + (p->i * g->ldr + p->j) * in;
        tile_fetch(r, g->ldr * in, p->rows, p->cols * in, false);
    }
    return last && !rounds;
}

/* Columns [j, j+cols), cols <= GEMM_NR, over the chunk [k0, k0+kc): all rows. */
static void panel(const struct weft_gemm_args *g, struct tile t, size_t k0, size_t kc, size_t j,
                  size_t cols) {
    const bool last = k0 + kc == g->k && gemm_finishes(g);
    const bool inner = a_in_place(g, kc) && g->a_layout == WEFT_K_INNER;
    const bool narrow = cols <= VL;
    const bool add = (gemm_adds(g) && !WEFT_BUG(8)) || k0 > 0;
    const size_t step = rows_step(g);
    float buffer[GEMM_MR * GEMM_NR] WEFT_ALIGN(64);
    const struct ahead next = b_next(g, k0, kc, j);
    A_COPY(copy);
    t.cols = cols;
    for (size_t i = 0; i < g->m; i += step) {
        const size_t rows = min_size(step, g->m - i);
        const struct weft_gemm_part part = {i, j, rows, cols, .sum = buffer, .ld = GEMM_NR};
        const bool follows = place_sums(g, &t, add, last, &part, buffer);
        a_tile(g, &t, k0, kc, i, rows, copy);
        if (g->b_layout == WEFT_BLOCKS)
            look_ahead_block(g, &t, next, i / step, j);
        else
            look_ahead(g, &t, next, i / step);
        run_tile(&t, rows, inner, narrow);
        if (follows) gemm_finish(g, &part);
    }
}

/* All columns over the chunk [k0, k0+kc). */
static void chunk(const struct weft_gemm_args *g, size_t k0, size_t kc) {
    float packed[WEFT_GEMM_CHUNK * GEMM_NR] WEFT_ALIGN(64);
    for (size_t j = 0; j < g->n; j += GEMM_NR) {
        const size_t cols = min_size(GEMM_NR, g->n - j);
        struct tile t = {.k = words_of(kc), .lda = a_ld(g, kc), .ldb = GEMM_NR};
        const void *const b = b_at(g, k0, j);
        t.b = b;
        if (WEFT_ELEM_F32 && g->b_layout == WEFT_K_OUTER && (cols == GEMM_NR || cols == VL) &&
            g->m <= 2 * GEMM_MR) {
            t.ldb = g->ldb; /* too few rows to pay for a copy */
        } else if (g->b_layout == WEFT_BLOCKS) {
            t.ldb = WEFT_BLOCK;
        } else if (g->b_layout != WEFT_PANELS) {
            if (cols <= VL)
                pack_panel(VL, g->b_layout, b, g->ldb, cols, kc, packed);
            else
                pack_panel(GEMM_NR, g->b_layout, b, g->ldb, cols, kc, packed);
            t.b = packed;
            t.ldb = cols <= VL ? VL : GEMM_NR;
        }
        panel(g, t, k0, kc, j, cols);
    }
}

void WEFT_EFN(gemm)(const struct weft_gemm_args *g) {
    if (g->m == 0 || g->n == 0) return;
    if (g->m <= WEFT_GEMV_ROWS && g->a_layout == WEFT_K_INNER &&
        (g->b_layout == WEFT_BLOCKS || (WORD == 1 && g->b_layout == WEFT_K_INNER))) {
        WEFT_EFN(gemv)(g);
        return;
    }
    gemm_begin(g);
    if (g->k == 0 && gemm_adds(g)) {
        if (gemm_finishes(g)) gemm_finish_all(g);
        return;
    }
    size_t k0 = 0;
    do { /* once for k = 0: C = 0 and its epilogue */
        const size_t kc = min_size(chunk_terms(g), g->k - k0);
        chunk(g, k0, kc);
        k0 += kc;
    } while (k0 < g->k);
}
