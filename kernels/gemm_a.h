/* A as register tiles read it: which rows at a time, and where the words of a chunk are. */
#ifndef WEFT_GEMM_A_H
#define WEFT_GEMM_A_H
#include "kernels/gemm_pack.h"
#include "kernels/gemm_tile.h"

#define SETS     4096 /* bytes: lines so far apart share a set of L1, which has at least 8 ways */
#define SET_ROWS 8

/* Does A hold words as they are, so that tiles read it in place? (An odd last term has no partner.)
 */
static WEFT_INLINE bool a_in_place(const struct weft_gemm_args *g, size_t kc) {
    if (WEFT_ELEM_F32) return true;
    return WORD == 2 && g->a_layout == WEFT_K_INNER && kc % WORD == 0;
}

/* Rows at a time: whole panels of packed A, an even share of an unpacked one, and no more than stay
 * in L1 beside each other. */
static size_t rows_step(const struct weft_gemm_args *g) {
    const bool crowded = g->a_layout == WEFT_K_INNER && a_in_place(g, WORD) &&
                         g->lda * sizeof(elem) % SETS == 0;
    const size_t most = crowded ? min_size(SET_ROWS, GEMM_MR) : GEMM_MR;
    const size_t tiles = (g->m + most - 1) / most;
    return g->a_layout == WEFT_PANELS ? GEMM_MR : (g->m + tiles - 1) / tiles;
}

/* Terms of a chunk, at most. */
static WEFT_INLINE size_t chunk_terms(const struct weft_gemm_args *g) {
    const size_t words = g->chunk > 0 ? g->chunk : weft_gemm_chunk(g->a_layout);
    return WEFT_BUG(10) && GEMM_MR > 4 ? 128 : words * WORD;
}

/* How far apart a tile's rows of A lie, or, not K_INNER, its words. */
static WEFT_INLINE size_t a_ld(const struct weft_gemm_args *g, size_t kc) {
    return g->a_layout != WEFT_PANELS && a_in_place(g, kc) ? g->lda : GEMM_MR * WORD;
}

/* Room for a panel of what is not in place. */
#if WEFT_ELEM_F32
#define A_COPY(name) float *const name = NULL
#else
#define A_COPY(name) float name[WEFT_GEMM_CHUNK * GEMM_MR] WEFT_ALIGN(64)
#endif

/* The rows [i, i + rows) of A over the chunk [k0, k0 + kc), as the tiles read them: in panels, in
 * place, or copied into a panel. */
static WEFT_INLINE void a_tile(const struct weft_gemm_args *g, struct tile *t, size_t k0, size_t kc,
                               size_t i, size_t rows, float *panel) {
    const elem *const a =
        (const elem *)g->a + (g->a_layout == WEFT_K_INNER ? i * g->lda + k0 : k0 * g->lda + i);
    if (g->a_layout == WEFT_PANELS) {
        t->a = (const void *)((const float *)g->a + i / GEMM_MR * g->lda + k0 / WORD * GEMM_MR);
    } else if (a_in_place(g, kc)) {
        t->a = (const void *)a;
    } else {
        pack_panel(GEMM_MR, g->a_layout, a, g->lda, rows, kc, panel);
        t->a = (const void *)panel;
    }
}

static WEFT_INLINE void run_tile(const struct tile *t, size_t rows, bool inner, bool narrow) {
    if (inner && narrow)
        tile_inner_narrow(t, rows);
    else if (inner)
        tile_inner(t, rows);
    else if (narrow)
        tile_outer_narrow(t, rows);
    else
        tile_outer(t, rows);
}

#endif
