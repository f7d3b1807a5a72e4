/* bf16 in memory, f32 in registers. A bf16 is the upper half of an f32, so loading is a shift and
 * exact. Storing rounds to nearest, ties to even; a NaN stays one, made quiet; what is below
 * FLT_MIN becomes a zero of its sign: all as VCVTNEPS2BF16 does it, on every ISA; by it where the
 * vector layer has it (WEFT_ROUNDS_BF16). */
#ifndef WEFT_VEC_BF16_H
#define WEFT_VEC_BF16_H

#include "kernels/simd/vec.h"

#ifndef WEFT_ROUNDS_BF16
/* The bits of the nearest bf16 in the upper half of each lane, 0 in the lower half. With x = h 2^16
 * + l, adding 0x7fff plus h's last bit carries into h when l is above one half, or is it and h is
 * odd. */
static WEFT_INLINE vi bf16_bits(vf a) {
    const vi bits = v_bits(a), high = i_set1((int32_t)0xffff0000u);
    const vi odd = WEFT_BUG(70) ? i_set1(1) : i_and(i_shr(bits, 16), i_set1(1));
    const vi rounded = i_add(bits, i_add(odd, i_set1(WEFT_BUG(61) ? 0 : 0x7fff)));
    const vi quiet = i_or(bits, i_set1(0x00400000));
    const vm tiny = v_lt(v_abs(a), v_set1(0x1p-126f));
    const vi sign = i_and(bits, i_set1(INT32_MIN));
    return i_and(i_sel(tiny, sign, i_sel(v_isnan(a), quiet, rounded)), high);
}
static WEFT_INLINE vf v_bf16(vf a) { return i_bits(bf16_bits(a)); } /* a as bf16 holds it */
static WEFT_INLINE void h_store(uint16_t *p, vf a) { i_store_u16(p, i_shr(bf16_bits(a), 16)); }
static WEFT_INLINE void h_store_n(uint16_t *p, vf a, size_t n) {
    i_store_u16_n(p, i_shr(bf16_bits(a), 16), n);
}
#endif

static WEFT_INLINE vf h_load(const uint16_t *p) { return i_bits(i_shl(i_load_u16(p), 16)); }
static WEFT_INLINE vf h_load_n(const uint16_t *p, size_t n) {
    return i_bits(i_shl(i_load_u16_n(p, n), 16));
}
static WEFT_INLINE float h_float(uint16_t h) {
    const uint32_t bits = (uint32_t)h << 16;
    float x;
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
}

#endif
