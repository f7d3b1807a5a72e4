/* The matrix products inside a block of attention, and the copies they read.
 *
 * C (rows, cols) (+)= A (rows, k) B (k, cols): one element of C is one chain over the words of k
 * (simd/word.h) ascending, so any register tile gives the same bits. B and C have rows of whole
 * vectors. A is any strided view; three views occur: queries times packed keys (nt), scores times
 * rows (nn), and transposed scores times rows (tn). On the diagonal of a causal mask row r sees
 * k in [lo + r, hi) (tn) or [0, hi + r) (nn): the common range runs at full speed, its triangular
 * edges apart. Where a range begins or ends in the middle of a word, A has 0 in the other half, and
 * B's is taken as 0 too: it belongs to a hidden pair. */
#ifndef WEFT_ATTENTION_TILE_H
#define WEFT_ATTENTION_TILE_H

#include "kernels/attention.h"
#include "kernels/simd/word.h"
#include "kernels/tile.h"

#define BLOCK  ((size_t)WEFT_ATTN_BLOCK)
#define UNROLL ((size_t)2) /* steps of k; the best of 1, 2, 4 and 8 */

struct product {
    const float *a; /* word (r, k) at a[r * rs + k * ks] */
    const float *b; /* (words of k, cols) ld=ldb */
    float *c;       /* (rows, cols) ld=ldc; whole vectors are written, cols rounded up */
    size_t rs, ldb, ldc;
    size_t rows, cols;
    size_t lo, hi;           /* row r runs over the terms [lo + r lo_step, hi + r hi_step) */
    size_t lo_step, hi_step; /* 0, or 1 for a triangle */
};

/* Step k of the common range. */
static WEFT_INLINE void step(vf *acc, const float *a, size_t rs, const float *b, const size_t R,
                             const size_t NV) {
    vf bv[4];
    WEFT_UNROLL_ALL
    for (size_t j = 0; j < NV; j++) bv[j] = v_load(b + j * VL);
    WEFT_UNROLL_ALL
    for (size_t r = 0; r < R; r++) {
        const vf ar = v_bcast(a + r * rs);
        WEFT_UNROLL_ALL
        for (size_t j = 0; j < NV; j++) acc[r * NV + j] = word_mac(ar, bv[j], acc[r * NV + j]);
    }
}

/* One register tile: R rows from r0, NV vectors from column c0, the words that all rows take. */
static WEFT_INLINE void tile(const struct product *p, size_t r0, size_t c0, size_t rs, size_t ks,
                             const size_t R, const size_t NV, const bool zero) {
    vf acc[ATTN_MR * ATTN_NRV];
    const size_t ldb = p->ldb, ldc = p->ldc;
    float *c = p->c + r0 * ldc + c0;
    WEFT_UNROLL_ALL
    for (size_t r = 0; r < R; r++) WEFT_UNROLL_ALL
    for (size_t j = 0; j < NV; j++)
        acc[r * NV + j] = zero ? v_zero() : v_load(c + r * ldc + j * VL);

    const size_t hi = (p->hi + r0 * p->hi_step) / WORD;
    size_t k = words_of(p->lo + r0 * p->lo_step + (R - 1) * p->lo_step);
    const float *a = p->a + r0 * rs + k * ks;
    const float *b = p->b + k * ldb + c0;
    for (; k + UNROLL <= hi; k += UNROLL, a += UNROLL * ks, b += UNROLL * ldb) WEFT_UNROLL_ALL
    for (size_t u = 0; u < UNROLL; u++) step(acc, a + u * ks, rs, b + u * ldb, R, NV);
    for (; k < hi; k++, a += ks, b += ldb) step(acc, a, rs, b, R, NV);

    WEFT_UNROLL_ALL
    for (size_t r = 0; r < R; r++) WEFT_UNROLL_ALL
    for (size_t j = 0; j < NV; j++) v_store(c + r * ldc + j * VL, acc[r * NV + j]);
}

/* What a tile leaves at either end of its range: row r begins before the whole words that all take,
 * or ends after them. */
static WEFT_INLINE void edge(const struct product *p, size_t r0, size_t c0, size_t rs, size_t ks,
                             const size_t R, const size_t NV, const bool begins) {
    for (size_t r = 0; r < R; r++) {
        const size_t row = r0 + r;
        const size_t last = p->lo + (r0 + R - 1) * p->lo_step, first = p->hi + r0 * p->hi_step;
        const size_t from = begins ? p->lo + row * p->lo_step : first / WORD * WORD;
        const size_t end = begins ? words_of(last) * WORD : p->hi + row * p->hi_step;
        float *const c = p->c + row * p->ldc + c0;
        vf acc[4];
        WEFT_UNROLL_ALL
        for (size_t j = 0; j < NV; j++) acc[j] = v_load(c + j * VL);
        for (size_t k = from; k < end; k = (k / WORD + 1) * WORD) {
            const vf ar = v_bcast(p->a + row * rs + k / WORD * ks);
            const bool low = k % WORD == 0, high = WORD > 1 && (!low || end - k > 1);
            WEFT_UNROLL_ALL
            for (size_t j = 0; j < NV; j++) {
                const vf b = v_load(p->b + k / WORD * p->ldb + c0 + j * VL);
                acc[j] = word_mac(ar, WORD > 1 ? word_keep(b, low, high) : b, acc[j]);
            }
        }
        WEFT_UNROLL_ALL
        for (size_t j = 0; j < NV; j++) v_store(c + j * VL, acc[j]);
    }
}

/* A tile and its edges, which pass through memory: beside the common range they would push its
 * accumulators out of registers. A product from 0 has none. */
static WEFT_INLINE void tile_with_edges(const struct product *p, size_t r0, size_t c0, size_t rs,
                                        size_t ks, const size_t R, const size_t NV,
                                        const bool zero) {
    const bool parts = !zero && (R > 1 || WORD > 1);
    if (parts && p->lo_step) edge(p, r0, c0, rs, ks, R, NV, true);
    tile(p, r0, c0, rs, ks, R, NV, zero);
    if (parts && (p->hi_step || p->hi % WORD)) edge(p, r0, c0, rs, ks, R, NV, false);
}

/* R rows. A single one, as in decoding, takes four vectors to have enough chains in flight. */
static WEFT_INLINE void strip(const struct product *p, size_t r0, size_t rs, size_t ks,
                              const size_t R, const bool zero) {
    const size_t NV = R == 1 ? 4 : ATTN_NRV;
    size_t c0 = 0;
    for (; c0 + (NV - 1) * VL < p->cols; c0 += NV * VL)
        tile_with_edges(p, r0, c0, rs, ks, R, NV, zero);
    if (NV > 2)
        for (; c0 + VL < p->cols; c0 += 2 * VL) tile_with_edges(p, r0, c0, rs, ks, R, 2, zero);
    for (; c0 < p->cols; c0 += VL) tile_with_edges(p, r0, c0, rs, ks, R, 1, zero);
}

static WEFT_INLINE void product(const struct product *p, size_t rs, size_t ks, const bool zero) {
    size_t r = 0;
    for (; r + ATTN_MR <= p->rows; r += ATTN_MR) strip(p, r, rs, ks, ATTN_MR, zero);
    for (; r + 4 <= p->rows; r += 4) strip(p, r, rs, ks, 4, zero);
    for (; r < p->rows; r++) strip(p, r, rs, ks, 1, zero);
}

/* C = A B, A row-major with stride rs; hi counts whole words. */
static WEFT_NOINLINE void product_nt(const struct product *p) { product(p, p->rs, 1, true); }
/* C += A B, A (rows, 64 floats) row-major. */
static WEFT_NOINLINE void product_nn(const struct product *p) { product(p, BLOCK, 1, false); }

/* A row that will be packed soon comes into L2. */
static WEFT_INLINE void fetch_row(const void *row, size_t bytes) {
    for (size_t at = 0; at < bytes; at += 64) WEFT_PREFETCH_L2((const char *)row + at);
}

/* VL rows by VL words of pack_columns, or what of it exists. */
static WEFT_INLINE void pack_square(const elem *src, size_t ld, size_t rows, size_t cols,
                                    float *dst, const bool whole) {
    vf r[VL];
    if (whole) {
        word_load_t(r, src, ld, VL);
    } else {
        WEFT_UNROLL_ALL
        for (size_t j = 0; j < VL; j++) r[j] = j < rows ? word_load(src + j * ld, cols) : v_zero();
        v_transpose(r);
    }
    WEFT_UNROLL_ALL
    for (size_t j = 0; j < VL; j++)
        if (whole || j < words_of(cols)) v_store(dst + j * BLOCK, r[j]);
}

/* dst (words of hs, 64) = the transpose of src (n, hs) ld=ld, n <= 64; columns from n to the next
 * multiple of VL are 0, those beyond are left alone. */
static WEFT_NOINLINE void pack_columns(const elem *src, size_t ld, size_t n, size_t hs,
                                       float *dst) {
    for (size_t i = 0; i < n; i += VL)
        for (size_t d = 0; d < hs; d += WORD * VL) {
            const size_t rows = n - i < VL ? n - i : VL;
            const size_t cols = hs - d < WORD * VL ? hs - d : WORD * VL;
            float *const to = dst + d / WORD * BLOCK + i;
            if (rows == VL && cols == WORD * VL)
                pack_square(src + i * ld + d, ld, VL, cols, to, true);
            else
                pack_square(src + i * ld + d, ld, rows, cols, to, false);
        }
}

/* dst (n, hp / WORD) = the words of src (n, hs) ld=ld, padded with zeros. */
static WEFT_NOINLINE void pack_words(const elem *src, size_t ld, size_t n, size_t hs, float *dst) {
    const size_t words = weft_attn_pad(hs) / WORD;
    for (size_t i = 0; i < n; i++, src += ld, dst += words)
        for (size_t w = 0; w < words; w += VL) {
            const size_t left = w * WORD < hs ? hs - w * WORD : 0;
            const vf x =
                left ? word_load(src + w * WORD, left < WORD * VL ? left : WORD * VL) : v_zero();
            v_store_n(dst + w, x, words - w < VL ? words - w : VL);
        }
}

/* dst (words of n, hp) = the rows of src (n, hs) ld=ld, those of a word joined, padded with zeros to
 * hp = weft_attn_pad(hs). */
static WEFT_NOINLINE void pack_rows(const elem *src, size_t ld, size_t n, size_t hs, float *dst) {
    const size_t hp = weft_attn_pad(hs);
    for (size_t i = 0; i < n; i += WORD, src += WORD * ld, dst += hp) {
        const bool pair = i + WORD <= n;
        size_t d = 0;
        for (; pair && d + VL <= hs; d += VL) v_store(dst + d, word_join(src + d, ld));
        for (; d < hs; d += VL)
            v_store(dst + d, word_join_n(src + d, ld, pair, hs - d < VL ? hs - d : VL));
        for (; d < hp; d += VL) v_store(dst + d, v_zero());
    }
}

#endif
