/* The register tile: rows x GEMM_NR of C over one k chunk, in rows * GEMM_NRV accumulators.
 *
 * An instance for each row count 1..GEMM_MR and each of the two ways to walk A, so that no product
 * is padded along m. B is read as (k, GEMM_NR) with rows ldb apart. */
#ifndef WEFT_GEMM_TILE_H
#define WEFT_GEMM_TILE_H
#include "kernels/gemm.h"
#include "kernels/simd/vec.h"
#include "kernels/tile.h"

struct tile {
    size_t k;
    const float *a; /* inner: a[row*lda + k], else a[k*lda + row] */
    size_t lda;
    const float *b;
    size_t ldb;
    float *c;
    size_t ldc;
    bool add;              /* C += instead of = */
    const float *ahead[2]; /* prefetched into L2 on the way, ahead_step further every k */
    size_t ahead_step;
};

static WEFT_INLINE void tile_body(const struct tile *t, const size_t rows, const bool inner) {
    vf acc[GEMM_MR][GEMM_NRV];
    const size_t lda = t->lda, ldb = t->ldb, ldc = t->ldc;
    WEFT_UNROLL_ALL
    for (size_t i = 0; i < rows; i++) {
        WEFT_UNROLL_ALL
        for (size_t v = 0; v < GEMM_NRV; v++) acc[i][v] = v_zero();
    }
    float *c = t->c;
    WEFT_UNROLL(1)
    for (size_t i = 0; i < rows; i++, c += ldc) {
        WEFT_PREFETCH_W(c);
        WEFT_PREFETCH_W(c + GEMM_NR - 1);
    }
    const float *a = t->a, *b = t->b, *ahead0 = t->ahead[0], *ahead1 = t->ahead[1];
    for (size_t k = t->k; k > 0; k--) {
        vf bk[GEMM_NRV];
        WEFT_UNROLL_ALL
        for (size_t v = 0; v < GEMM_NRV; v++) bk[v] = v_load(b + v * VL);
        WEFT_UNROLL_ALL
        for (size_t i = 0; i < rows; i++) {
            const vf x = v_bcast(inner ? a + i * lda : a + i);
            WEFT_UNROLL_ALL
            for (size_t v = 0; v < GEMM_NRV; v++) acc[i][v] = v_fma(x, bk[v], acc[i][v]);
        }
        a += inner ? 1 : lda;
        b += ldb;
        WEFT_PREFETCH_L2(ahead0);
        WEFT_PREFETCH_L2(ahead1);
        ahead0 += t->ahead_step;
        ahead1 += t->ahead_step;
    }
    c = t->c;
    if (t->add) {
        WEFT_UNROLL_ALL
        for (size_t i = 0; i < rows; i++, c += ldc) {
            WEFT_UNROLL_ALL
            for (size_t v = 0; v < GEMM_NRV; v++)
                v_store(c + v * VL, v_add(v_load(c + v * VL), acc[i][v]));
        }
    } else {
        WEFT_UNROLL_ALL
        for (size_t i = 0; i < rows; i++, c += ldc) {
            WEFT_UNROLL_ALL
            for (size_t v = 0; v < GEMM_NRV; v++) v_store(c + v * VL, acc[i][v]);
        }
    }
}

#if GEMM_MR > 8
#define TILE_ROWS_9(inner)                                                                         \
    case 9: tile_body(t, 9, inner); break;                                                         \
    case 10: tile_body(t, 10, inner); break;                                                       \
    case 11: tile_body(t, 11, inner); break;                                                       \
    case 12: tile_body(t, 12, inner); break;                                                       \
    case 13: tile_body(t, 13, inner); break;                                                       \
    case 14:                                                                                       \
        tile_body(t, 14, inner);                                                                   \
        break;
#else
#define TILE_ROWS_9(inner)
#endif
#if GEMM_MR > 6
#define TILE_ROWS_7(inner)                                                                         \
    case 7: tile_body(t, 7, inner); break;                                                         \
    case 8:                                                                                        \
        tile_body(t, 8, inner);                                                                    \
        break;
#else
#define TILE_ROWS_7(inner)
#endif
#if GEMM_MR > 4
#define TILE_ROWS_5(inner)                                                                         \
    case 5: tile_body(t, 5, inner); break;                                                         \
    case 6:                                                                                        \
        tile_body(t, 6, inner);                                                                    \
        break;
#else
#define TILE_ROWS_5(inner)
#endif
_Static_assert(GEMM_MR == 4 || GEMM_MR == 6 || GEMM_MR == 8 || GEMM_MR == 14,
               "list the rows above");

#define TILE_SWITCH(inner)                                                                         \
    switch (rows) {                                                                                \
    case 1: tile_body(t, 1, inner); break;                                                         \
    case 2: tile_body(t, 2, inner); break;                                                         \
    case 3: tile_body(t, 3, inner); break;                                                         \
    case 4:                                                                                        \
        tile_body(t, 4, inner);                                                                    \
        break;                                                                                     \
        TILE_ROWS_5(inner) TILE_ROWS_7(inner) TILE_ROWS_9(inner)                                   \
    }
static WEFT_NOINLINE void tile_inner(const struct tile *t, size_t rows) { TILE_SWITCH(true) }
static WEFT_NOINLINE void tile_outer(const struct tile *t, size_t rows) { TILE_SWITCH(false) }
#undef TILE_SWITCH

#endif
