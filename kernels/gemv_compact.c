/* C = A·Wᵀ, epilogue, for one row of A or two and compact W (layout and order: compact.h):
 * decoding. With dot products two terms at a time, A being rounded and the weights joined to words.
 *
 * A block of 64 outputs is one stream, read once: each row of it becomes f32 in registers and is
 * multiplied by one broadcast number of A. The chains of a block's outputs are as many as hide the
 * latency of FMA. For two rows of A the accumulators allow half of a block at a time; the chunk of
 * weights (16 KB of int8) is in L1 when the other half comes. */
#include "kernels/compact_inner.h"

#define VECTORS (WEFT_BLOCK / VL)
#if defined(WEFT_ISA_IS_AVX512)
#define HALVES(m) ((size_t)1)
#else
#define HALVES(m) ((size_t)(m)) /* parts of a block, for m rows */
#endif

/* part[row][vector] += x w: nw vectors of words from word i on of row w, for the first `terms` of
 * their terms. */
static WEFT_INLINE void sum_row(const enum weft_format f, const size_t m, const size_t nw,
                                const size_t terms, const float *a, size_t lda,
                                const unsigned char *w, size_t i, vf *part) {
    const size_t places = COMPACT_PLACES(f);
    vf x[2][WEFT_COMPACT_ROWS];
    WEFT_UNROLL_ALL
    for (size_t r = 0; r < m; r++) {
        WEFT_UNROLL_ALL
        for (size_t t = 0; t < terms; t++) x[t][r] = v_bcast(a + r * lda + t);
    }
    WEFT_UNROLL_ALL
    for (size_t u = 0; u < nw; u++) {
        const vi words = v_words(f, w, i + u * VL);
        WEFT_UNROLL_ALL
        for (size_t p = 0; p < places * terms; p++) { /* one of the two is 1 */
            const vf q = v_place(f, words, p);
            WEFT_UNROLL_ALL
            for (size_t r = 0; r < m; r++) {
                vf *const to = &part[(r * nw + u) * places + p / terms];
                *to = v_fma(x[p % terms][r], q, *to);
            }
        }
    }
}

/* The same by words: the row of a term, and that of the next one, if there is one. */
static WEFT_INLINE void sum_words(const enum weft_format f, const size_t m, const size_t nw,
                                  const bool pair, const side *a, size_t lda,
                                  const unsigned char *w, size_t i, vf *part) {
    const size_t places = COMPACT_PLACES(f), row = weft_compact_row(f);
    vf x[WEFT_COMPACT_ROWS];
    WEFT_UNROLL_ALL
    for (size_t r = 0; r < m; r++) x[r] = pair ? word_bcast(a + r * lda) : word_half(a + r * lda);
    WEFT_UNROLL_ALL
    for (size_t u = 0; u < nw; u++) {
        const vi first = v_words(f, w, i + u * VL);
        const vi second = pair ? v_words(f, w + row, i + u * VL) : first;
        WEFT_UNROLL_ALL
        for (size_t p = 0; p < places; p++) {
            const vf q = word_pair(v_place(f, first, p), pair ? v_place(f, second, p) : v_zero());
            WEFT_UNROLL_ALL
            for (size_t r = 0; r < m; r++) {
                vf *const to = &part[(r * nw + u) * places + p];
                *to = word_mac(x[r], q, *to);
            }
        }
    }
}

/* The same for terms [k0, end). */
static WEFT_INLINE void sum_terms(const struct weft_gemm_args *g, const enum weft_format f,
                                  const size_t m, const size_t nw, const unsigned char *w, size_t i,
                                  size_t k0, size_t end, vf *part) {
    const size_t terms = COMPACT_TERMS(f) * WORD, row = terms * weft_compact_row(f);
    const elem *a = (const elem *)g->a + k0;
    size_t k = k0;
    for (; k + terms <= end; k += terms, w += row, a += terms) {
        WEFT_UNROLL_ALL
        for (size_t line = 0; line < row; line += 64) WEFT_PREFETCH(w + WEFT_COMPACT_AHEAD + line);
        if (WORD > 1)
            sum_words(f, m, nw, true, (const void *)a, g->lda, w, i, part);
        else
            sum_row(f, m, nw, terms, (const void *)a, g->lda, w, i, part);
    }
    if (k < end && WORD > 1)
        sum_words(f, m, nw, false, (const void *)a, g->lda, w, i, part);
    else if (k < end)
        sum_row(f, m, nw, 1, (const void *)a, g->lda, w, i, part);
}

/* C[0..m) at the outputs of nw vectors of words from word i on, of the block at column j. */
static WEFT_INLINE void outputs(const struct weft_gemm_args *g, const enum weft_format f,
                                const size_t m, const size_t nw, const unsigned char *block,
                                size_t j, size_t i) {
    const size_t group = weft_format_group(f), places = COMPACT_PLACES(f), n = m * nw * places;
    const size_t most = WEFT_GEMM_CHUNK * WORD, step = group > 0 && group < most ? group : most;
    vf sum[WEFT_COMPACT_ROWS * VECTORS], part[WEFT_COMPACT_ROWS * VECTORS];
    WEFT_UNROLL_ALL
    for (size_t v = 0; v < n; v++) sum[v] = v_zero();
    for (size_t k0 = 0; k0 < g->k; k0 += step) {
        WEFT_UNROLL_ALL
        for (size_t v = 0; v < n; v++) part[v] = v_zero();
        sum_terms(g, f, m, nw, compact_rows(f, block, k0), i, k0, min_size(g->k, k0 + step), part);
        const float *const scale = compact_scales(f, block, k0) + i;
        WEFT_UNROLL_ALL
        for (size_t v = 0; v < n; v++) {
            const size_t at = v % places * COMPACT_WORDS(f) + v / places % nw * VL;
            const vf s = group > 0 ? v_load(scale + at) : v_zero();
            if (k0 == 0)
                sum[v] = group > 0 ? v_mul(part[v], s) : part[v];
            else
                sum[v] =
                    group > 0 && !WEFT_BUG(76) ? v_fma(part[v], s, sum[v]) : v_add(sum[v], part[v]);
        }
    }
    WEFT_UNROLL_ALL
    for (size_t v = 0; v < n; v++) {
        const size_t at = j + i + v % places * COMPACT_WORDS(f) + v / places % nw * VL;
        float *const to = (float *)g->c + v / places / nw * g->ldc + at;
        if (at + VL <= g->n)
            v_store(to, sum[v]);
        else if (at < g->n)
            v_store_n(to, sum[v], g->n - at);
    }
}

/* All columns of m rows. */
static WEFT_INLINE void columns(const struct weft_gemm_args *g, const enum weft_format f,
                                const size_t m) {
    const size_t stride = weft_compact_block(f, g->k), words = COMPACT_WORDS(f) / HALVES(m);
    for (size_t j = 0; j < g->n; j += WEFT_BLOCK)
        for (size_t i = 0; i < COMPACT_WORDS(f); i += words)
            outputs(g, f, m, words / VL, g->blocks + j / WEFT_BLOCK * stride, j, i);
}

static WEFT_INLINE void few_rows(const struct weft_gemm_args *g, const enum weft_format f) {
    if (g->m == 1)
        columns(g, f, 1);
    else
        columns(g, f, 2);
}

/* The formats apart, so that each is its own loop. */
#if WEFT_ELEM_F32
static WEFT_NOINLINE void rows_bf16(const struct weft_gemm_args *g) {
    few_rows(g, WEFT_FORMAT_BF16);
}
#endif
static WEFT_NOINLINE void rows_int8(const struct weft_gemm_args *g) {
    few_rows(g, WEFT_FORMAT_INT8);
}
static WEFT_NOINLINE void rows_int8_g64(const struct weft_gemm_args *g) {
    few_rows(g, WEFT_FORMAT_INT8_G64);
}
static WEFT_NOINLINE void rows_int8_g32(const struct weft_gemm_args *g) {
    few_rows(g, WEFT_FORMAT_INT8_G32);
}
static WEFT_NOINLINE void rows_int4(const struct weft_gemm_args *g) {
    few_rows(g, WEFT_FORMAT_INT4);
}

void WEFT_EFN(gemv_compact)(const struct weft_gemm_args *g) {
    if (g->format == GEMM_BLOCKS) {
        WEFT_EFN(gemv)(g);
        return;
    }
    for (size_t i = 0; i < g->m; i += WEFT_COMPACT_ROWS) {
        struct weft_gemm_args part = *g;
        part.m = min_size(WEFT_COMPACT_ROWS, g->m - i);
        part.a = (const elem *)g->a + i * g->lda;
        part.c = (float *)g->c + i * g->ldc;
        switch (g->format) {
#if WEFT_ELEM_F32
        case WEFT_FORMAT_BF16: rows_bf16(&part); break;
#endif
        case WEFT_FORMAT_INT8: rows_int8(&part); break;
        case WEFT_FORMAT_INT8_G64: rows_int8_g64(&part); break;
        case WEFT_FORMAT_INT8_G32: rows_int8_g32(&part); break;
        default: rows_int4(&part); break;
        }
    }
    if (g->epilogue != WEFT_EPI_NONE) gemm_finish_all(g);
}
