/* Compact weights: a matrix W (n outputs, k) for products Y = X·Wᵀ that are bound by memory.
 *
 * It lies in blocks of 64 outputs, in the order in which a product reads it: within a block k runs
 * slowest, a row is the 64 weights of one term, or of two, a block is one stream. A row is words: a
 * vector of words is a vector of weights after a shift or a mask, lanes are outputs, and nothing is
 * shuffled. Outputs beyond n are zeros, and so is a term beyond k.
 *
 *   f32     64 of them
 *   bf16    64 words of 32 bits, of an output and two terms each, the first in the low half
 *   int8    64 f32 scales, then rows of 64 signed bytes q, |q| <= 127: w = s q
 *   int4    the same with 16 words of 16 bits: output i + 16 j in bits 4 j.., as q + 8, |q| <= 7
 * With groups (int8-g64, int8-g32, int4) every 64 or 32 rows have 64 scales of their own before
 * them. A scale is max|w| / 127 (or 7) of what it stands for, at least FLT_MIN, or 0 for zeros;
 * q = w / s rounded to nearest even: |w - s q| <= s / 2.
 *
 * Order of a product (gemv_compact_f32, gemm_compact_f32): an element is, over each chunk of
 * min(1024, group) terms, one FMA chain from 0 over x q with q exact in f32; the first chunk's sum
 * is multiplied by its scale, each further one is added by an FMA, sum <- part s + sum. bf16 has no
 * scales: its chunks of 1024 are added, which is the order of gemm_f32. Then the epilogue.
 *
 * f32 is read by gemm_f32 itself, as it lies. Where the CPU has dot products of bf16, x is rounded to
 * bf16. A row of bf16 is a row of words for them (gemm.h), which gemm_bf16 reads in its own order;
 * gemm_compact_bf16 joins two rows of q, exact in bf16, to words, and chunks have min(2048, group)
 * terms. */
#ifndef WEFT_KERNELS_COMPACT_H
#define WEFT_KERNELS_COMPACT_H

#include <stddef.h>
#include <stdint.h>

#define WEFT_CHANNEL SIZE_MAX

enum weft_format {
#define WEFT_WEIGHT_FORMAT(name, ...) WEFT_FORMAT_##name,
#include "kernels/formats.def"
#undef WEFT_WEIGHT_FORMAT
    WEFT_FORMATS
};

#define WEFT_BLOCK 64 /* outputs */

static inline const char *weft_format_name(enum weft_format f) {
    static const char *const names[] = {
#define WEFT_WEIGHT_FORMAT(name, text, ...) text,
#include "kernels/formats.def"
#undef WEFT_WEIGHT_FORMAT
    };
    return names[f];
}
static inline size_t weft_format_bits(enum weft_format f) {
    static const unsigned char bits[] = {
#define WEFT_WEIGHT_FORMAT(name, text, bits, group) bits,
#include "kernels/formats.def"
#undef WEFT_WEIGHT_FORMAT
    };
    return bits[f];
}
/* Terms with one scale; 0: there are none. */
static inline size_t weft_format_group(enum weft_format f) {
    switch (f) {
#define WEFT_WEIGHT_FORMAT(name, text, bits, group)                                                \
    case WEFT_FORMAT_##name:                                                                       \
        return group;
#include "kernels/formats.def"
#undef WEFT_WEIGHT_FORMAT
    default: return 0;
    }
}

#define WEFT_SCALE_BYTES (WEFT_BLOCK * sizeof(float))
/* Bytes of the 64 weights of a term, and of a whole block, a multiple of 64. */
static inline size_t weft_compact_row(enum weft_format f) {
    return WEFT_BLOCK * weft_format_bits(f) / 8;
}
static inline size_t weft_compact_block(enum weft_format f, size_t k) {
    const size_t group = weft_format_group(f);
    const size_t scales = group == 0 ? 0 : group == WEFT_CHANNEL ? 1 : (k + group - 1) / group;
    if (f == WEFT_FORMAT_BF16) k = (k + 1) & ~(size_t)1;
    return (k * weft_compact_row(f) + scales * WEFT_SCALE_BYTES + 63) & ~(size_t)63;
}
static inline size_t weft_compact_bytes(enum weft_format f, size_t n, size_t k) {
    return (n + WEFT_BLOCK - 1) / WEFT_BLOCK * weft_compact_block(f, k);
}

/* Makes one block. */
struct weft_compact_args {
    enum weft_format format;
    size_t n, k;             /* n <= 64 live outputs */
    const float *src; /* (k, n) ld, read: transposed already, so that rows are those of the block */
    size_t ld;
    void *block; /* weft_compact_block(format, k) bytes, = */
};

#endif
