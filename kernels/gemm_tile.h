/* The register tile: rows x GEMM_NR of C over one k chunk, in rows * GEMM_NRV accumulators. Along k
 * it goes by words (simd/word.h).
 *
 * An instance for each row count 1..GEMM_MR and each of the two ways to walk A, so that no product
 * is padded along m; and each of them again with one vector of columns instead of GEMM_NRV, for
 * what is left at the right edge. B is read as (k, nv * VL) with rows ldb apart. */
#ifndef WEFT_GEMM_TILE_H
#define WEFT_GEMM_TILE_H
#include "kernels/gemm.h"
#include "kernels/simd/word.h"
#include "kernels/tile.h"

struct tile {
    size_t k;      /* words */
    const side *a; /* word (row, k): inner: at a[row*lda + k*WORD], else at a[k*lda + row*WORD] */
    size_t lda;
    const float *b;
    size_t ldb;
    float *c;
    size_t ldc;
    elem *rounded;    /* C in bf16, when all its columns exist and nothing is added; NULL: c */
    const float *old; /* what is added, where C is or elsewhere; NULL: nothing */
    size_t ldold;
    size_t cols;          /* of C that exist; the accumulators beyond are not stored */
    const char *ahead[2]; /* prefetched into L2 on the way, ahead_step bytes further every k */
    size_t ahead_step;
};

/* rows of C, or of what else is needed when the tile is done, on their way. */
static WEFT_INLINE void tile_fetch(const void *row, size_t ld, size_t rows, size_t bytes,
                                   const bool write) {
    const char *p = row;
    WEFT_UNROLL(1)
    for (size_t i = 0; i < rows; i++, p += ld) {
        if (write) {
            WEFT_PREFETCH_W(p);
            if (bytes > 64) WEFT_PREFETCH_W(p + bytes - 1);
        } else {
            WEFT_PREFETCH(p);
            if (bytes > 64) WEFT_PREFETCH(p + bytes - 1);
        }
    }
}

/* C = the accumulators, or what is old and them, one row after the other; whole: every column
 * exists. */
static WEFT_INLINE void tile_store(const struct tile *t, vf acc[GEMM_MR][GEMM_NRV],
                                   const size_t rows, const size_t nv, const bool add,
                                   const bool whole) {
    float *c = t->c;
    const float *old = t->old;
    WEFT_UNROLL_ALL
    for (size_t i = 0; i < rows; i++, c += t->ldc) {
        WEFT_UNROLL_ALL
        for (size_t v = 0; v < nv; v++) {
            const size_t at = v * VL;
            const size_t n = t->cols < at ? 0 : t->cols - at < VL ? t->cols - at : VL;
            vf x = acc[i][v];
            if (add) x = v_add(whole ? v_load(old + at) : v_load_n(old + at, n), x);
            if (whole)
                v_store(c + at, x);
            else
                v_store_n(c + at, x, n);
        }
        if (add) old += t->ldold;
    }
}

/* The same into C in bf16. */
static WEFT_INLINE void tile_round(const struct tile *t, vf acc[GEMM_MR][GEMM_NRV],
                                   const size_t rows, const size_t nv) {
    elem *c = t->rounded;
    WEFT_UNROLL_ALL
    for (size_t i = 0; i < rows; i++, c += t->ldc) {
        WEFT_UNROLL_ALL
        for (size_t v = 0; v < nv; v++) e_store(c + v * VL, acc[i][v]);
    }
}

static WEFT_INLINE void tile_body(const struct tile *t, const size_t rows, const bool inner,
                                  const size_t nv) {
    vf acc[GEMM_MR][GEMM_NRV];
    const size_t lda = t->lda, ldb = t->ldb;
    WEFT_UNROLL_ALL
    for (size_t i = 0; i < rows; i++) {
        WEFT_UNROLL_ALL
        for (size_t v = 0; v < nv; v++) acc[i][v] = v_zero();
    }
    const side *a = t->a;
    const float *b = t->b;
    const char *ahead0 = t->ahead[0], *ahead1 = t->ahead[1];
    for (size_t k = t->k; k > 0; k--) {
        vf bk[GEMM_NRV];
        WEFT_UNROLL_ALL
        for (size_t v = 0; v < nv; v++) bk[v] = v_load(b + v * VL);
        WEFT_UNROLL_ALL
        for (size_t i = 0; i < rows; i++) {
            const vf x = word_bcast(a + i * (inner ? lda : WORD));
            WEFT_UNROLL_ALL
            for (size_t v = 0; v < nv; v++) acc[i][v] = word_mac(x, bk[v], acc[i][v]);
        }
        a += inner ? WORD : lda;
        b += ldb;
        WEFT_PREFETCH_L2(ahead0);
        WEFT_PREFETCH_L2(ahead1);
        ahead0 += t->ahead_step;
        ahead1 += t->ahead_step;
    }
    const bool whole = t->cols == nv * VL;
    if (!WEFT_ELEM_F32 && t->rounded)
        tile_round(t, acc, rows, nv);
    else if (t->old && whole)
        tile_store(t, acc, rows, nv, true, true);
    else if (whole)
        tile_store(t, acc, rows, nv, false, true);
    else if (t->old)
        tile_store(t, acc, rows, nv, true, false);
    else
        tile_store(t, acc, rows, nv, false, false);
}

#define ROWS_4(CASE)  CASE(1) CASE(2) CASE(3) CASE(4)
#define ROWS_6(CASE)  ROWS_4(CASE) CASE(5) CASE(6)
#define ROWS_8(CASE)  ROWS_6(CASE) CASE(7) CASE(8)
#define ROWS_14(CASE) ROWS_8(CASE) CASE(9) CASE(10) CASE(11) CASE(12) CASE(13) CASE(14)
#define TILE_CASE(r)                                                                               \
    case r:                                                                                        \
        tile_body(t, r, inner, nv);                                                                \
        break;
#define TILE(name, is_inner, vectors)                                                              \
    static WEFT_NOINLINE void name(const struct tile *t, size_t rows) {                            \
        const bool inner = is_inner;                                                               \
        const size_t nv = vectors;                                                                 \
        switch (rows) { WEFT_PASTE(ROWS_, GEMM_MR)(TILE_CASE) }                                    \
    }
TILE(tile_inner, true, GEMM_NRV)
TILE(tile_outer, false, GEMM_NRV)
TILE(tile_inner_narrow, true, 1)
TILE(tile_outer_narrow, false, 1)
#undef TILE
#undef TILE_CASE

#endif
