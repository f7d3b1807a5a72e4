/* The word layer: what panels of a product are made of, and how two words multiply. A word has 32
 * bits: an f32 that was loaded from one element or, where the CPU has dot products of bf16
 * (WEFT_DOT), two of them that are neighbours along k, the first in the low half.
 *
 *   WORD         elements of a word: 1 or 2
 *   word_load(p,n)
 *                VL words of a row that is contiguous along k, n <= WORD * VL elements, then 0
 *   word_load_t(r,p,ld,rows)
 *                r[i] lane j = word i of row j < rows <= VL (a constant), else 0
 *   word_join(p,ld) word_join_n(p,ld,pair,n)
 *                words of VL, or n <= VL, rows that are contiguous: the elements at p and, in the
 *                word's second half, those at p + ld, or 0 without pair
 *   word_bcast(p) the word at p in all lanes
 *   word_half(p) the element at p as the first half of a word, in all lanes
 *   word_keep(a,first,second)
 *                the halves of a that are asked for, the other one 0
 *   word_pair(a,b)
 *                words of a and of b, in f32 with 8 bits of significand or fewer; a with WORD = 1
 *   word_put(p,i,a)
 *                a as the elements i, i + 1, ... of a row of words that begins at p
 *   word_mac(a,b,c)
 *                c + a b; c is f32. With WORD = 2 both products are added as the CPU does it,
 *                denormals taken and given as 0: VDPBF16PS one after the other, each sum rounded
 *                to nearest; BFDOT first to each other, each sum rounded to odd. Either errs by a
 *                unit roundoff a term at most, of the sum of absolute values
 *   words_of(k)  words of k terms
 *
 * side: what a tile's pointer to A counts in. */
#ifndef WEFT_WORD_H
#define WEFT_WORD_H

#include <string.h>
#include "kernels/simd/elem.h"

#if defined(WEFT_DOT) && !WEFT_ELEM_F32
#define WORD ((size_t)2)
typedef elem side;
static WEFT_INLINE vf word_load(const elem *p, size_t n) { return i_bits(h_pairs_n(p, n)); }
static WEFT_INLINE void word_load_t(vf *r, const elem *p, size_t ld, const size_t rows) {
    WEFT_UNROLL_ALL
    for (size_t j = 0; j < VL; j++) r[j] = j < rows ? i_bits(h_pairs(p + j * ld)) : v_zero();
    v_transpose(r);
}
static WEFT_INLINE vf word_join(const elem *p, size_t ld) {
    return i_bits(i_or(i_load_u16(p), i_shl(i_load_u16(p + ld), 16)));
}
static WEFT_INLINE vf word_join_n(const elem *p, size_t ld, bool pair, size_t n) {
    const vi first = i_load_u16_n(p, n);
    return i_bits(pair ? i_or(first, i_shl(i_load_u16_n(p + ld, n), 16)) : first);
}
static WEFT_INLINE vf word_bcast(const side *p) {
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return i_bits(i_set1(pair));
}
static WEFT_INLINE vf word_half(const side *p) { return i_bits(i_set1(*p)); }
static WEFT_INLINE vf word_keep(vf a, bool first, bool second) {
    const int32_t high = (int32_t)0xffff0000u;
    return i_bits(i_and(v_bits(a), i_set1((first ? ~high : 0) | (second ? high : 0))));
}
static WEFT_INLINE vf word_pair(vf a, vf b) {
    return i_bits(i_or(i_shr(v_bits(a), 16), i_and(v_bits(b), i_set1((int32_t)0xffff0000u))));
}
static WEFT_INLINE void word_put(float *p, size_t i, vf a) { h_store((elem *)p + i, a); }
static WEFT_INLINE vf word_mac(vf a, vf b, vf c) { return v_dot(v_bits(a), v_bits(b), c); }
#else
#define WORD ((size_t)1)
typedef float side;
static WEFT_INLINE vf word_load(const elem *p, size_t n) { return e_load_n(p, n); }
static WEFT_INLINE void word_load_t(vf *r, const elem *p, size_t ld, const size_t rows) {
    e_load_t(r, p, ld, rows);
}
static WEFT_INLINE vf word_join(const elem *p, size_t ld) {
    (void)ld;
    return e_load(p);
}
static WEFT_INLINE vf word_join_n(const elem *p, size_t ld, bool pair, size_t n) {
    (void)ld, (void)pair;
    return e_load_n(p, n);
}
static WEFT_INLINE vf word_bcast(const side *p) { return v_bcast(p); }
static WEFT_INLINE vf word_half(const side *p) { return v_bcast(p); }
static WEFT_INLINE vf word_keep(vf a, bool first, bool second) {
    (void)first, (void)second;
    return a;
}
static WEFT_INLINE vf word_pair(vf a, vf b) {
    (void)b;
    return a;
}
static WEFT_INLINE void word_put(float *p, size_t i, vf a) { v_store(p + i, a); }
static WEFT_INLINE vf word_mac(vf a, vf b, vf c) { return v_fma(a, b, c); }
#endif

static WEFT_INLINE size_t words_of(size_t k) { return (k + WORD - 1) / WORD; }

#endif
