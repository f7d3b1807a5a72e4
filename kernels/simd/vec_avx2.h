/* Vector backend for AVX2 + FMA: 8 lanes, masks are vectors of all-ones or all-zeros lanes. */
#ifndef WEFT_VEC_AVX2_H
#define WEFT_VEC_AVX2_H

#include <immintrin.h>

#define VL 8

typedef __m256 vf;
typedef __m256i vi;
typedef struct { __m256d lo, hi; } vd;
typedef __m256 vm;

static WEFT_INLINE vi i_iota(void) { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }
static WEFT_INLINE vi avx2_first(size_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)n), i_iota());
}
static WEFT_INLINE vm m_first(size_t n) { return _mm256_castsi256_ps(avx2_first(n)); }

/* ---- f32 ---- */
static WEFT_INLINE vf v_set1(float x) { return _mm256_set1_ps(x); }
static WEFT_INLINE vf v_zero(void) { return _mm256_setzero_ps(); }
static WEFT_INLINE vf v_load(const float *p) { return _mm256_loadu_ps(p); }
static WEFT_INLINE void v_store(float *p, vf a) { _mm256_storeu_ps(p, a); }
static WEFT_INLINE vf v_load_n(const float *p, size_t n) {
    return _mm256_maskload_ps(p, avx2_first(n));
}
/* In pieces of 4, 2 and 1: a masked store takes AMD's cores 20 times as long as a store. */
static WEFT_INLINE void v_store_n(float *p, vf a, size_t n) {
    if (n >= VL) {
        _mm256_storeu_ps(p, a);
        return;
    }
    __m128 x = _mm256_castps256_ps128(a);
    if (n & 4) {
        _mm_storeu_ps(p, x);
        x = _mm256_extractf128_ps(a, 1);
        p += 4;
    }
    if (n & 2) {
        _mm_storel_pi((__m64 *)(void *)p, x);
        x = _mm_movehl_ps(x, x);
        p += 2;
    }
    if (n & 1) _mm_store_ss(p, x);
}
static WEFT_INLINE vf v_bcast(const float *p) { return _mm256_broadcast_ss(p); }
static WEFT_INLINE vf v_add(vf a, vf b) { return _mm256_add_ps(a, b); }
static WEFT_INLINE vf v_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
static WEFT_INLINE vf v_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
static WEFT_INLINE vf v_div(vf a, vf b) { return _mm256_div_ps(a, b); }
static WEFT_INLINE vf v_sqrt(vf a) { return _mm256_sqrt_ps(a); }
static WEFT_INLINE vf v_neg(vf a) { return _mm256_xor_ps(a, _mm256_set1_ps(-0.0f)); }
static WEFT_INLINE vf v_abs(vf a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
static WEFT_INLINE vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
static WEFT_INLINE vf v_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }

/* MINPS and MAXPS return the second operand when the two are equal or one is NaN. Both operand
 * orders together hold both zeros (or the NaN): OR picks -0, AND +0; OR with a NaN is a NaN. */
static WEFT_INLINE vf v_min(vf a, vf b) {
    return _mm256_or_ps(_mm256_min_ps(a, b), _mm256_min_ps(b, a));
}
static WEFT_INLINE vf v_max(vf a, vf b) {
    const vf max = _mm256_and_ps(_mm256_max_ps(a, b), _mm256_max_ps(b, a));
    return WEFT_BUG(16) ? max : _mm256_or_ps(max, _mm256_cmp_ps(a, b, _CMP_UNORD_Q));
}
static WEFT_INLINE vf v_at_most(vf a, vf lim) { return _mm256_min_ps(lim, a); }
static WEFT_INLINE vf v_round(vf a) { return _mm256_round_ps(a, 8); }
static WEFT_INLINE vf v_floor(vf a) { return _mm256_round_ps(a, 9); }
static WEFT_INLINE vf v_copysign(vf mag, vf sgn) {
    const vf sign = _mm256_set1_ps(-0.0f);
    return _mm256_or_ps(_mm256_andnot_ps(sign, mag), _mm256_and_ps(sign, sgn));
}

/* ---- compare, select, masks ---- */
static WEFT_INLINE vm v_lt(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
static WEFT_INLINE vm v_le(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
static WEFT_INLINE vm v_gt(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_GT_OQ); }
static WEFT_INLINE vm v_ge(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_GE_OQ); }
static WEFT_INLINE vm v_eq(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
static WEFT_INLINE vm v_isnan(vf a) { return _mm256_cmp_ps(a, a, _CMP_UNORD_Q); }
static WEFT_INLINE vm v_isfinite(vf a) { return v_lt(v_abs(a), v_set1(__builtin_inff())); }
static WEFT_INLINE vf v_sel(vm m, vf a, vf b) { return _mm256_blendv_ps(b, a, m); }
static WEFT_INLINE vf v_sel_neg(vf x, vf a, vf b) { return _mm256_blendv_ps(b, a, x); }
static WEFT_INLINE vf v_keep(vm m, vf a) { return _mm256_and_ps(m, a); }
static WEFT_INLINE vm m_and(vm a, vm b) { return _mm256_and_ps(a, b); }
static WEFT_INLINE vm m_or(vm a, vm b) { return _mm256_or_ps(a, b); }
static WEFT_INLINE vm m_not(vm a) {
    return _mm256_xor_ps(a, _mm256_castsi256_ps(_mm256_set1_epi32(-1)));
}
static WEFT_INLINE size_t m_count(vm m) {
    return (size_t)__builtin_popcount((unsigned)_mm256_movemask_ps(m));
}
static WEFT_INLINE bool m_any(vm m) { return _mm256_movemask_ps(m) != 0; }

/* ---- i32 ---- */
static WEFT_INLINE vi i_set1(int32_t x) { return _mm256_set1_epi32(x); }
static WEFT_INLINE vi i_load(const int32_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
static WEFT_INLINE void i_store(int32_t *p, vi a) { _mm256_storeu_si256((__m256i *)p, a); }
static WEFT_INLINE vi i_load_n(const int32_t *p, size_t n) {
    return _mm256_maskload_epi32(p, avx2_first(n));
}
static WEFT_INLINE void i_store_n(int32_t *p, vi a, size_t n) {
    _mm256_maskstore_epi32(p, avx2_first(n), a);
}
static WEFT_INLINE vi i_add(vi a, vi b) { return _mm256_add_epi32(a, b); }
static WEFT_INLINE vi i_sub(vi a, vi b) { return _mm256_sub_epi32(a, b); }
static WEFT_INLINE vi i_mullo(vi a, vi b) { return _mm256_mullo_epi32(a, b); }
static WEFT_INLINE vi i_mulhi_u(vi a, vi b) {
    const vi even = _mm256_srli_epi64(_mm256_mul_epu32(a, b), 32);
    const vi odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64(b, 32));
    return _mm256_blend_epi32(even, odd, 0xAA);
}
static WEFT_INLINE vi i_and(vi a, vi b) { return _mm256_and_si256(a, b); }
static WEFT_INLINE vi i_or(vi a, vi b) { return _mm256_or_si256(a, b); }
static WEFT_INLINE vi i_xor(vi a, vi b) { return _mm256_xor_si256(a, b); }
#define i_shl(a, k) _mm256_slli_epi32((a), (k))
#define i_shr(a, k) _mm256_srli_epi32((a), (k))
#define i_sar(a, k) _mm256_srai_epi32((a), (k))
static WEFT_INLINE vm i_eq(vi a, vi b) { return _mm256_castsi256_ps(_mm256_cmpeq_epi32(a, b)); }
static WEFT_INLINE vm i_gt(vi a, vi b) { return _mm256_castsi256_ps(_mm256_cmpgt_epi32(a, b)); }

/* ---- narrow integers: there is no masked access, so a tail goes through the stack ---- */
static WEFT_INLINE vi i_load_u16(const void *p) {
    return _mm256_cvtepu16_epi32(_mm_loadu_si128(p));
}
static WEFT_INLINE vi i_load_u16_n(const uint16_t *p, size_t n) {
    uint16_t lane[VL] = {0};
    for (size_t i = 0; i < n; i++) lane[i] = p[i];
    return i_load_u16(lane);
}
static WEFT_INLINE vi i_load_s8(const void *p) { return _mm256_cvtepi8_epi32(_mm_loadl_epi64(p)); }
static WEFT_INLINE __m128i avx2_low_16(vi a) { /* packing saturates: clear what is above */
    a = _mm256_and_si256(a, _mm256_set1_epi32(0xffff));
    return _mm_packus_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
}
static WEFT_INLINE void i_store_u16(void *p, vi a) { _mm_storeu_si128(p, avx2_low_16(a)); }
static WEFT_INLINE void i_store_u16_n(uint16_t *p, vi a, size_t n) {
    uint16_t lane[VL];
    i_store_u16(lane, a);
    for (size_t i = 0; i < n; i++) p[i] = lane[i];
}
static WEFT_INLINE void i_store_8(void *p, vi a) {
    const __m128i low = avx2_low_16(_mm256_and_si256(a, _mm256_set1_epi32(0xff)));
    _mm_storel_epi64(p, _mm_packus_epi16(low, low));
}

/* ---- casts ---- */
static WEFT_INLINE vi v_bits(vf a) { return _mm256_castps_si256(a); }
static WEFT_INLINE vf i_bits(vi a) { return _mm256_castsi256_ps(a); }
static WEFT_INLINE vi v_to_i(vf a) { return _mm256_cvttps_epi32(a); }
static WEFT_INLINE vf i_to_v(vi a) { return _mm256_cvtepi32_ps(a); }
static WEFT_INLINE vi i_sel(vm m, vi a, vi b) { return v_bits(v_sel(m, i_bits(a), i_bits(b))); }
static WEFT_INLINE vi i_max(vi a, vi b) { return _mm256_max_epi32(a, b); }

/* ---- f64 ---- */
static WEFT_INLINE vd d_set1(double x) { return (vd){_mm256_set1_pd(x), _mm256_set1_pd(x)}; }
static WEFT_INLINE vd d_zero(void) { return (vd){_mm256_setzero_pd(), _mm256_setzero_pd()}; }
static WEFT_INLINE vd d_load(const double *p) {
    return (vd){_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4)};
}
static WEFT_INLINE void d_store(double *p, vd a) {
    _mm256_storeu_pd(p, a.lo);
    _mm256_storeu_pd(p + 4, a.hi);
}
static WEFT_INLINE vd d_from_v(vf a) {
    return (vd){_mm256_cvtps_pd(_mm256_castps256_ps128(a)),
                _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1))};
}
static WEFT_INLINE vf d_to_v(vd a) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm256_cvtpd_ps(a.lo)),
                                _mm256_cvtpd_ps(a.hi), 1);
}
static WEFT_INLINE vd d_add(vd a, vd b) {
    return (vd){_mm256_add_pd(a.lo, b.lo), _mm256_add_pd(a.hi, b.hi)};
}
static WEFT_INLINE vd d_sub(vd a, vd b) {
    return (vd){_mm256_sub_pd(a.lo, b.lo), _mm256_sub_pd(a.hi, b.hi)};
}
static WEFT_INLINE vd d_mul(vd a, vd b) {
    return (vd){_mm256_mul_pd(a.lo, b.lo), _mm256_mul_pd(a.hi, b.hi)};
}
static WEFT_INLINE vd d_fma(vd a, vd b, vd c) {
    return (vd){_mm256_fmadd_pd(a.lo, b.lo, c.lo), _mm256_fmadd_pd(a.hi, b.hi, c.hi)};
}
static WEFT_INLINE __m256d avx2_dmax(__m256d a, __m256d b) {
    const __m256d max = _mm256_and_pd(_mm256_max_pd(a, b), _mm256_max_pd(b, a));
    return _mm256_or_pd(max, _mm256_cmp_pd(a, b, _CMP_UNORD_Q));
}
static WEFT_INLINE vd d_max(vd a, vd b) {
    return (vd){avx2_dmax(a.lo, b.lo), avx2_dmax(a.hi, b.hi)};
}

/* ---- folds: one half on the other, in lane 0 at last ---- */
#define AVX2_FOLD(name, op)                                                                        \
    static WEFT_INLINE float name(vf a) {                                                          \
        a = op(a, _mm256_castps128_ps256(_mm256_extractf128_ps(a, 1)));                            \
        a = op(a, _mm256_permute_ps(a, 0x4E));                                                     \
        return _mm256_cvtss_f32(op(a, _mm256_permute_ps(a, 0xB1)));                                \
    }
AVX2_FOLD(v_fold_add, v_add)
AVX2_FOLD(v_fold_max, v_max)
AVX2_FOLD(v_fold_min, v_min)
#undef AVX2_FOLD
static WEFT_INLINE double d_fold_add(vd a) {
    __m256d s = _mm256_add_pd(a.lo, a.hi);
    s = _mm256_add_pd(s, _mm256_castpd128_pd256(_mm256_extractf128_pd(s, 1)));
    return _mm256_cvtsd_f64(_mm256_add_pd(s, _mm256_permute_pd(s, 5)));
}

/* ---- block: 4x4 inside the 128-bit halves, then the halves themselves ---- */
static WEFT_INLINE void v_transpose(vf r[VL]) {
    vf q[VL];
    WEFT_UNROLL(4)
    for (size_t i = 0; i < VL; i += 4) {
        const vf a = _mm256_unpacklo_ps(r[i], r[i + 1]);
        const vf b = _mm256_unpackhi_ps(r[i], r[i + 1]);
        const vf c = _mm256_unpacklo_ps(r[i + 2], r[i + 3]);
        const vf d = _mm256_unpackhi_ps(r[i + 2], r[i + 3]);
        q[i] = _mm256_shuffle_ps(a, c, 0x44);
        q[i + 1] = _mm256_shuffle_ps(a, c, 0xEE);
        q[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
        q[i + 3] = _mm256_shuffle_ps(b, d, 0xEE);
    }
    WEFT_UNROLL(4)
    for (size_t j = 0; j < 4; j++) {
        r[j] = _mm256_permute2f128_ps(q[j], q[j + 4], 0x20);
        r[j + 4] = _mm256_permute2f128_ps(q[j], q[j + 4], 0x31);
    }
}
/* Row j + 4 goes beside row j as it is loaded, four columns at a time: then nothing has to cross
 * the halves, which is dear where they are executed one after the other (Zen 1). */
static WEFT_INLINE void v_load_t(vf r[VL], const float *p, size_t ld, const size_t rows) {
    WEFT_UNROLL(2)
    for (size_t i = 0; i < VL; i += 4) {
        vf q[4];
        WEFT_UNROLL(4)
        for (size_t j = 0; j < 4; j++) {
            const __m128 zero = _mm_setzero_ps();
            const __m128 lo = j < rows ? _mm_loadu_ps(p + j * ld + i) : zero;
            const __m128 hi = j + 4 < rows ? _mm_loadu_ps(p + (j + 4) * ld + i) : zero;
            q[j] = _mm256_insertf128_ps(_mm256_castps128_ps256(lo), hi, 1);
        }
        const vf a = _mm256_unpacklo_ps(q[0], q[1]);
        const vf b = _mm256_unpackhi_ps(q[0], q[1]);
        const vf c = _mm256_unpacklo_ps(q[2], q[3]);
        const vf d = _mm256_unpackhi_ps(q[2], q[3]);
        r[i] = _mm256_shuffle_ps(a, c, 0x44);
        r[i + 1] = _mm256_shuffle_ps(a, c, 0xEE);
        r[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
        r[i + 3] = _mm256_shuffle_ps(b, d, 0xEE);
    }
}

#endif
