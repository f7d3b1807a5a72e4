/* Compact weights as vectors (kernels/compact.h): the same source for every ISA. */
#ifndef WEFT_VEC_COMPACT_H
#define WEFT_VEC_COMPACT_H

#include "kernels/compact.h"
#include "kernels/simd/vec_bf16.h"

/* Of a block's row: outputs of a word, terms of a word, and words of a row. */
#define COMPACT_PLACES(f) ((size_t)((f) == WEFT_FORMAT_INT4 ? 4 : 1))
#define COMPACT_TERMS(f)  ((size_t)((f) == WEFT_FORMAT_BF16 ? 2 : 1))
#define COMPACT_WORDS(f)  (WEFT_BLOCK / COMPACT_PLACES(f))

/* VL words from word i on. */
static WEFT_INLINE vi v_words(const enum weft_format f, const unsigned char *row, size_t i) {
    if (f == WEFT_FORMAT_BF16) return i_load((const int32_t *)(const void *)row + i);
    return f == WEFT_FORMAT_INT4 ? i_load_u16(row + 2 * i) : i_load_s8(row + i);
}

/* The number in bits 4 j.. of the words, minus 8: its bits are put where 2^(23 - 4 j) has its last
 * ones, and what is too much is subtracted. Exact, and without a conversion. */
static WEFT_INLINE vf v_nibble(vi words, const int j) {
    const vi bits = i_or(i_and(words, i_set1(15 << 4 * j)), i_set1((150 - 4 * j) << 23));
    return v_sub(i_bits(bits), v_set1((float)(1 << (23 - 4 * j)) + 8));
}

/* The weights in place j (bf16: of term j) of the words, without their scales. */
static WEFT_INLINE vf v_place(const enum weft_format f, vi words, const size_t j) {
    if (f == WEFT_FORMAT_BF16)
        return i_bits(j == 0 ? i_shl(words, 16) : i_and(words, i_set1(-65536)));
    return f == WEFT_FORMAT_INT4 ? v_nibble(words, (int)j) : i_to_v(words);
}

/* Where the scales and the row of term k (its first one) of a block are. */
static WEFT_INLINE size_t compact_group(const enum weft_format f, size_t k) {
    const size_t group = weft_format_group(f);
    return group == 0 || group == WEFT_CHANNEL
               ? 0
               : k / group * (WEFT_SCALE_BYTES + group * weft_compact_row(f));
}
static WEFT_INLINE const float *compact_scales(const enum weft_format f, const unsigned char *block,
                                               size_t k) {
    return (const float *)(const void *)(block + compact_group(f, k));
}
static WEFT_INLINE const unsigned char *compact_rows(const enum weft_format f,
                                                     const unsigned char *block, size_t k) {
    const size_t group = weft_format_group(f), row = weft_compact_row(f);
    if (group == 0) return block + k * row;
    return block + compact_group(f, k) + WEFT_SCALE_BYTES +
           (group == WEFT_CHANNEL ? k : k % group) * row;
}

#endif
