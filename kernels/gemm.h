/* Matrix products, C = A·B (+ C) with an epilogue, and what belongs to them.
 *
 * Shapes: A (m, k), B (k, n), C (m, n). One index of an operand runs along k, the other along its
 * "rows" r: m for A, n for B. Where element (r, k) lives:
 *   WEFT_K_INNER  p[r*ld + k]   A as it is written, B transposed: (n, k)
 *   WEFT_K_OUTER  p[k*ld + r]   A transposed: (k, m), B as it is written
 *   WEFT_PANELS   packed by gemm_pack_a or gemm_pack_b: panels of W = gemm_mr (A) or gemm_nr (B)
 *                 rows, in a panel k runs slowest: p[(r/W)*ld + k*W + r%W], rows beyond the last one
 *                 are 0. ld = W*k of the matrix that was packed. Elements are f32, or, for dot products
 *                 of bf16 (bf16_word of the table is 2), words: the terms 2k and 2k+1, an odd last one
 *                 with 0; all k above then counts words.
 *   WEFT_BLOCKS   B of gemm_compact and gemv_compact: compact.h. Those in f32 for gemm_compact_f32, and in
 *                 bf16 for gemm_compact_bf16, are words, which gemm and gemv read as they lie. C is f32
 *                 (c_f32), and so is what the epilogue reads.
 * The three products of a linear layer, X (M, K), W (N, K), Y (M, N):
 *   Y  = X·Wᵀ     a = X  K_INNER ld K    b = W  K_INNER ld K    (m, n, k) = (M, N, K)
 *   dX = dY·W     a = dY K_INNER ld N    b = W  K_OUTER ld K    (m, n, k) = (M, K, N)
 *   dW = dYᵀ·X    a = dY K_OUTER ld N    b = X  K_OUTER ld K    (m, n, k) = (N, K, M)
 *
 * Order (the bits of C depend on nothing else): an element is one FMA chain over a chunk of k,
 * from 0; chunks are added in ascending order to the old C (accumulate) or to the first of them;
 * then comes the epilogue. A chunk has 1024 terms; where k counts the rows of A (K_OUTER; dW, whose
 * k are the samples) 256, so that a batch cut at a multiple of 256 gives the same bits. A product
 * may be split along k into calls at multiples of a chunk, all but the first accumulating and only
 * the last with the epilogue, and along m and n anywhere.
 *
 * With operands in bf16 the sums are the same f32 chains; with dot products a step of a chain adds
 * two terms, and a chunk has twice as many. C may be f32 (c_f32), or bf16: then the sums wait in
 * acc, and an element is rounded once, after the epilogue. Split along k, all calls but the first are
 * `resumed` (the sum so far is in acc, whatever C holds), all but the last `unfinished` (it stays
 * there). */
#ifndef WEFT_KERNELS_GEMM_H
#define WEFT_KERNELS_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "kernels/activation.h"
#include "kernels/compact.h"

/* Words of k, 1 or 2 terms, of one FMA chain: along the rows of A, and over them. */
#define WEFT_GEMM_CHUNK      1024
#define WEFT_GEMM_CHUNK_ROWS 256
#define WEFT_COLSUM_ROWS     64 /* rows of one partial column sum */

/* What an epilogue tells about the values that pass it, a group of WEFT_GEMM_GROUP columns of a row
 * after the other; sums in f32 over the group's columns by the tree of vec_reduce.h. z is what enters
 * the activation or, without one, the product with its bias; x is what is stored in C.
 *   SUM_Z, SUM_ZZ   sum z, sum z^2 (0 with DACT)
 *   SUM_X, SUM_XX   sum x, sum x^2
 *   COUNT           BIAS_ACT: units that are off or saturated: x = 0 or |act'(z)| < 1e-3
 *                   BIAS_RESIDUAL: additions that were swallowed: z != 0, x = residual */
enum weft_gemm_stat { WEFT_SUM_Z, WEFT_SUM_ZZ, WEFT_SUM_X, WEFT_SUM_XX, WEFT_COUNT, WEFT_GEMM_STATS };
#define WEFT_GEMM_GROUP 16
#define WEFT_SATURATED  1e-3f
static inline size_t weft_gemm_groups(size_t n) {
    return (n + WEFT_GEMM_GROUP - 1) / WEFT_GEMM_GROUP;
}

enum weft_layout { WEFT_K_INNER, WEFT_K_OUTER, WEFT_PANELS, WEFT_BLOCKS };

/* The chunk of a product with A in this layout, in words. */
static inline size_t weft_gemm_chunk(enum weft_layout a) {
    return a == WEFT_K_OUTER ? WEFT_GEMM_CHUNK_ROWS : WEFT_GEMM_CHUNK;
}

enum weft_epilogue {
    WEFT_EPI_NONE,
    WEFT_EPI_BIAS,          /* C + bias */
    WEFT_EPI_BIAS_ACT,      /* z = C + bias (bias NULL: 0), stored unless z is NULL; C = act(z) */
    WEFT_EPI_BIAS_RESIDUAL, /* (C + bias) + residual (bias NULL: 0) */
    WEFT_EPI_DACT,          /* C * act'(z) */
};

struct weft_gemm_args {
    size_t m, n, k;
    const void *a; /* (m, k) elem in a_layout, or panels, read */
    size_t lda;
    enum weft_layout a_layout;
    size_t chunk; /* words; 0: that of a_layout. Panels of a K_OUTER A have to say so */
    const void *b; /* (k, n) elem in b_layout, or panels, read */
    size_t ldb;
    enum weft_layout b_layout;
    enum weft_format format;     /* BLOCKS: of the weights; b is not read, accumulate is false */
    const unsigned char *blocks; /* BLOCKS: the first block of (n, k), read */
    const void *next; /* B of the call to follow, in the same layout, to fetch ahead; or NULL */
    void *c; /* (m, n) elem, =, or += with accumulate; must not overlap any other operand */
    size_t ldc;
    bool accumulate;
    enum weft_epilogue epilogue;
    enum weft_act act;     /* leaky_relu has slope WEFT_LEAKY_SLOPE */
    const float *bias;     /* (n), read */
    const void *residual;  /* (m, n) elem, read */
    size_t ldr;
    void *z; /* (m, n) elem: = in BIAS_ACT, read in DACT */
    size_t ldz;
    float *stats; /* (m, groups of n, WEFT_GEMM_STATS), = ; NULL: not wanted */
    size_t lds;   /* groups of a row of stats */
    /* bf16 only */
    bool c_f32; /* C is f32 */
    float *acc; /* C in bf16: (m, n) ld=ldacc, scratch */
    size_t ldacc;
    bool resumed, unfinished;
};

/* A part of C, and where its sums are: (rows, cols), ld; C itself will do. */
struct weft_gemm_part {
    size_t i, j, rows, cols; /* j a multiple of WEFT_GEMM_GROUP */
    const float *sum;
    size_t ld;
};

struct weft_pack_args {
    size_t r, k;
    const void *src; /* (r, k) elem in layout K_INNER or K_OUTER, read */
    size_t ld;
    enum weft_layout layout;
    float *dst; /* (ceil(r/W), words of k, W), = */
};

struct weft_colsum_args {
    size_t m, n;
    const void *x; /* (m, n) elem, read */
    size_t ldx;
    float *sum; /* (n), =, or += with accumulate: blocks of 64 rows, folded in ascending order */
    bool accumulate;
};

#endif
