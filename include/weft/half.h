/* Half-precision numbers in memory: bf16 (the upper half of an f32) and IEEE binary16. Loading is
 * exact; rounding is to nearest, ties to even, and NaN stays NaN. Denormals are kept. */
#ifndef WEFT_HALF_H
#define WEFT_HALF_H

#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

static inline float weft_bits_float(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
static inline uint32_t weft_float_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float weft_bf16_load(uint16_t h) { return weft_bits_float((uint32_t)h << 16); }

static inline uint16_t weft_bf16_round(float x) {
    const uint32_t bits = weft_float_bits(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static inline float weft_f16_load(uint16_t h) {
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h >> 10 & 31u;
    const uint32_t mantissa = h & 0x3ffu;
    if (exponent == 31)
        return weft_bits_float(sign | 0x7f800000u | mantissa << 13 | (mantissa ? 0x400000u : 0));
    if (exponent == 0) /* mantissa / 2^24 */
        return weft_bits_float(sign | weft_float_bits((float)mantissa * 5.9604644775390625e-08f));
    return weft_bits_float(sign | (exponent + 112) << 23 | mantissa << 13);
}

static inline uint16_t weft_f16_round(float x) {
    const uint32_t sign = weft_float_bits(x) >> 16 & 0x8000u;
    uint32_t bits = weft_float_bits(x) & 0x7fffffffu;
    if (bits > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (bits >> 13 & 0x1ffu));
    if (bits >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* 65520 and more */
    if (bits < 0x38800000u) { /* below 2^-14: the sum with 1/2 rounds at 2^-24 */
        const float shifted = weft_bits_float(bits) + 0.5f;
        return (uint16_t)(sign | (weft_float_bits(shifted) - 0x3f000000u));
    }
    bits += 0xfffu + (bits >> 13 & 1u);
    return (uint16_t)(sign | (bits - 0x38000000u) >> 13);
}

#ifdef __cplusplus
}
#endif
#endif
