/* C = A·B (+ C), epilogue, for few rows of A and both operands K_INNER, or B in blocks of words:
 * y = W·x of decoding.
 *
 * W (n, k) in K_INNER is read once, as it lies: VL rows by VL columns are transposed in registers,
 * so that the lanes are VL elements of C and each of them is the FMA chain over k that gemm_f32
 * makes. A row of A alone therefore has the bits it has in a batch. The cost is about four shuffles
 * a vector of W, less than the time W takes from memory. A block is one stream of words: nothing to
 * transpose. */
#include "kernels/gemm_inner.h"
#include "kernels/simd/word.h"


/* part[i] += rows of A times a block of kn columns of W, lane j = row j of W (n of them live). */
static WEFT_INLINE void block(const size_t m, const bool edge, const elem *a, size_t lda,
                              const elem *w, size_t ldw, size_t n, size_t kn, vf *part) {
    vf t[VL];
    if (edge) {
        WEFT_UNROLL_ALL
        for (size_t j = 0; j < VL; j++) t[j] = j < n ? e_load_n(w + j * ldw, kn) : v_zero();
        v_transpose(t);
    } else {
        e_load_t(t, w, ldw, VL);
    }
    WEFT_UNROLL_ALL
    for (size_t q = 0; q < VL; q++) {
        if (edge && q >= kn) break;
        WEFT_UNROLL_ALL
        for (size_t i = 0; i < m; i++)
            part[i] = v_fma(v_set1(e_get(a + i * lda + q)), t[q], part[i]);
    }
}

/* Fetch the next VL rows of W meanwhile: at each step along k, as many of their lines as a block
 * has bytes for, so that each line is asked for once. */
static WEFT_INLINE void look_ahead(const elem *next, size_t ldw, size_t k) {
    const size_t block = VL * VL * sizeof(elem);
    const size_t lines = block < 64 ? 1 : block / 64, steps = VL / lines;
    const elem *const row = next + k / VL % steps * lines * ldw + k;
    WEFT_UNROLL_ALL
    for (size_t r = 0; r < lines; r++) WEFT_PREFETCH_L2(row + r * ldw);
}

/* C[0..m) at columns [j, j+n), n <= VL. */
static WEFT_INLINE void columns(const struct weft_gemm_args *g, const size_t m, size_t j,
                                size_t n) {
    vf sum[WEFT_GEMV_ROWS];
    bool add = gemm_adds(g);
    const size_t ld = gemm_lds(g);
    float *const c = gemm_sums(g) + j;
    const elem *const a = g->a;
    WEFT_UNROLL_ALL
    for (size_t i = 0; i < m; i++) sum[i] = add ? v_load_n(c + i * ld, n) : v_zero();
    for (size_t k0 = 0; k0 < g->k; k0 += WEFT_GEMM_CHUNK) {
        const size_t end = g->k - k0 < WEFT_GEMM_CHUNK ? g->k : k0 + WEFT_GEMM_CHUNK;
        const elem *const w = (const elem *)g->b + j * g->ldb;
        vf part[WEFT_GEMV_ROWS];
        WEFT_UNROLL_ALL
        for (size_t i = 0; i < m; i++) part[i] = v_zero();
        size_t k = k0;
        if (n == VL)
            for (; k + VL <= end; k += VL) {
                look_ahead(w + VL * g->ldb, g->ldb, k);
                block(m, false, a + k, g->lda, w + k, g->ldb, n, VL, part);
            }
        for (; k < end; k += VL)
            block(m, true, a + k, g->lda, w + k, g->ldb, n, end - k < VL ? end - k : VL, part);
        WEFT_UNROLL_ALL
        for (size_t i = 0; i < m; i++) sum[i] = add ? v_add(sum[i], part[i]) : part[i];
        add = !WEFT_BUG(56);
    }
    WEFT_UNROLL_ALL
    for (size_t i = 0; i < m; i++) v_store_n(c + i * ld, sum[i], n);
}

#if WEFT_ELEM_F32 || defined(WEFT_DOT) /* blocks of words */
#define VECTORS (WEFT_BLOCK / VL)
#define AHEAD   3072 /* bytes of a block that are fetched ahead */
#if defined(WEFT_ISA_IS_AVX512) || defined(WEFT_ISA_IS_NEON)
#define SUMS ((size_t)16) /* vectors in registers */
#else
#define SUMS ((size_t)8)
#endif

/* part[row][vector] += word of x times nv vectors of a block's row of words. */
static WEFT_INLINE void words(const size_t m, const size_t nv, const vf *x, const float *w,
                              vf *part) {
    WEFT_UNROLL_ALL
    for (size_t v = 0; v < nv; v++) {
        const vf b = v_load(w + v * VL);
        if (v * VL % 16 == 0) WEFT_PREFETCH((const char *)(w + v * VL) + AHEAD);
        WEFT_UNROLL_ALL
        for (size_t i = 0; i < m; i++) part[i * nv + v] = word_mac(x[i], b, part[i * nv + v]);
    }
}

/* C[0..m) at the nv vectors of outputs from column j on, those of them that exist. */
static WEFT_INLINE void outputs(const struct weft_gemm_args *g, const size_t m, const size_t nv,
                                size_t j) {
    vf sum[SUMS], part[SUMS], x[WEFT_GEMV_ROWS];
    const size_t n = m * nv, block = weft_compact_block(GEMM_BLOCKS, g->k);
    const unsigned char *const from = g->blocks + j / WEFT_BLOCK * block;
    const float *w = (const float *)(const void *)from + j % WEFT_BLOCK;
    const elem *a = g->a;
    size_t k = 0;
    do { /* a chunk; once for k = 0 */
        const size_t end = min_size(g->k, k + WEFT_GEMM_CHUNK * WORD);
        const bool first = k == 0;
        WEFT_UNROLL_ALL
        for (size_t q = 0; q < n; q++) part[q] = v_zero();
        for (; k + WORD <= end; k += WORD, a += WORD, w += WEFT_BLOCK) {
            WEFT_UNROLL_ALL
            for (size_t i = 0; i < m; i++) x[i] = word_bcast(a + i * g->lda);
            words(m, nv, x, w, part);
        }
        if (k < end) { /* half a word */
            WEFT_UNROLL_ALL
            for (size_t i = 0; i < m; i++) x[i] = word_half(a + i * g->lda);
            words(m, nv, x, w, part);
            k = end;
        }
        WEFT_UNROLL_ALL
        for (size_t q = 0; q < n; q++)
            sum[q] = first ? part[q] : WEFT_BUG(94) ? v_add(part[q], part[q]) : v_add(sum[q], part[q]);
    } while (k < g->k);
    WEFT_UNROLL_ALL
    for (size_t q = 0; q < n; q++) {
        const size_t at = j + q % nv * VL;
        float *const to = (float *)g->c + q / nv * g->ldc + at;
        if (at + VL <= g->n)
            v_store(to, sum[q]);
        else if (at < g->n)
            v_store_n(to, sum[q], g->n - at);
    }
}

/* All columns; of a block as many at once as there are registers for their sums. */
static WEFT_INLINE void block_rows(const struct weft_gemm_args *g, const size_t m) {
    const size_t most = SUMS / (m == 3 ? 4 : m), nv = VECTORS < most ? VECTORS : most;
    for (size_t j = 0; j < g->n; j += nv * VL) outputs(g, m, nv, j);
}
#else
static WEFT_INLINE void block_rows(const struct weft_gemm_args *g, const size_t m) {
    (void)g, (void)m;
}
#endif

static WEFT_INLINE void rows(const struct weft_gemm_args *g, const size_t m) {
    if (g->b_layout == WEFT_BLOCKS) {
        block_rows(g, m);
        return;
    }
    for (size_t j = 0; j < g->n; j += VL) columns(g, m, j, min_size(VL, g->n - j));
}

void WEFT_EFN(gemv)(const struct weft_gemm_args *g) {
    gemm_begin(g);
    for (size_t i = 0; i < g->m; i += WEFT_GEMV_ROWS) {
        struct weft_gemm_args part = *g;
        part.m = min_size(WEFT_GEMV_ROWS, g->m - i);
        part.a = (const elem *)g->a + i * g->lda;
        if (gemm_narrows(g))
            part.acc += i * g->ldacc;
        else
            part.c = (float *)g->c + i * g->ldc;
        switch (part.m) {
        case 1: rows(&part, 1); break;
        case 2: rows(&part, 2); break;
        case 3: rows(&part, 3); break;
        case 4: rows(&part, 4); break;
        }
    }
    if (gemm_finishes(g)) gemm_finish_all(g);
}
