/* Vector backend for AVX-512 (F, BW, DQ, VL): 16 lanes, masks in k registers. */
#ifndef WEFT_VEC_AVX512_H
#define WEFT_VEC_AVX512_H

#include <immintrin.h>

/* Without optimisation GCC's intrinsics with immediates are macros that convert masks carelessly.
 * The sources keep their warnings: every other ISA compiles the same lines. */
#if defined(__GNUC__) && !defined(__OPTIMIZE__)
#pragma GCC diagnostic ignored "-Wsign-conversion"
#endif

#define VL 16

typedef __m512 vf;
typedef __m512i vi;
typedef struct { __m512d lo, hi; } vd;
typedef __mmask16 vm;

static WEFT_INLINE vm m_first(size_t n) { return (vm)((1u << n) - 1u); }

/* ---- f32 ---- */
static WEFT_INLINE vf v_set1(float x) { return _mm512_set1_ps(x); }
static WEFT_INLINE vf v_zero(void) { return _mm512_setzero_ps(); }
static WEFT_INLINE vf v_load(const float *p) { return _mm512_loadu_ps(p); }
static WEFT_INLINE void v_store(float *p, vf a) { _mm512_storeu_ps(p, a); }
static WEFT_INLINE vf v_load_n(const float *p, size_t n) {
    return _mm512_maskz_loadu_ps(m_first(n), p);
}
static WEFT_INLINE void v_store_n(float *p, vf a, size_t n) {
    _mm512_mask_storeu_ps(p, m_first(n), a);
}
static WEFT_INLINE vf v_bcast(const float *p) { return _mm512_set1_ps(*p); }
static WEFT_INLINE vf v_add(vf a, vf b) { return _mm512_add_ps(a, b); }
static WEFT_INLINE vf v_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
static WEFT_INLINE vf v_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
static WEFT_INLINE vf v_div(vf a, vf b) { return _mm512_div_ps(a, b); }
static WEFT_INLINE vf v_sqrt(vf a) { return _mm512_sqrt_ps(a); }
static WEFT_INLINE vf v_neg(vf a) { return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f)); }
static WEFT_INLINE vf v_abs(vf a) { return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a); }
static WEFT_INLINE vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
static WEFT_INLINE vf v_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }

/* VRANGEPS orders the zeros but drops a lone NaN; a + b brings it back. */
static WEFT_INLINE vf v_min(vf a, vf b) {
    const vm nan = _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q);
    return _mm512_mask_add_ps(_mm512_range_ps(a, b, 4), nan, a, b);
}
static WEFT_INLINE vf v_max(vf a, vf b) {
    const vm nan = _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q);
    return _mm512_mask_add_ps(_mm512_range_ps(a, b, 5), nan, a, b);
}
static WEFT_INLINE vf v_at_most(vf a, vf lim) { return _mm512_min_ps(lim, a); }
static WEFT_INLINE vf v_round(vf a) { return _mm512_roundscale_ps(a, 8); }
static WEFT_INLINE vf v_floor(vf a) { return _mm512_roundscale_ps(a, 9); }
static WEFT_INLINE vf v_copysign(vf mag, vf sgn) {
    const __m512i sign = _mm512_set1_epi32(INT32_MIN); /* 0xD8: sign ? sgn : mag, bit by bit */
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(_mm512_castps_si512(mag),
                                                         _mm512_castps_si512(sgn), sign, 0xD8));
}

/* ---- compare, select, masks ---- */
static WEFT_INLINE vm v_lt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
static WEFT_INLINE vm v_le(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
static WEFT_INLINE vm v_gt(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
static WEFT_INLINE vm v_ge(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
static WEFT_INLINE vm v_eq(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
static WEFT_INLINE vm v_isnan(vf a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
static WEFT_INLINE vm v_isfinite(vf a) { return v_lt(v_abs(a), v_set1(__builtin_inff())); }
static WEFT_INLINE vf v_sel(vm m, vf a, vf b) { return _mm512_mask_blend_ps(m, b, a); }
static WEFT_INLINE vf v_sel_neg(vf x, vf a, vf b) {
    return _mm512_mask_blend_ps(_mm512_movepi32_mask(_mm512_castps_si512(x)), b, a);
}
static WEFT_INLINE vf v_keep(vm m, vf a) { return _mm512_maskz_mov_ps(m, a); }
static WEFT_INLINE vm m_and(vm a, vm b) { return _kand_mask16(a, b); }
static WEFT_INLINE vm m_or(vm a, vm b) { return _kor_mask16(a, b); }
static WEFT_INLINE vm m_not(vm a) { return _knot_mask16(a); }
static WEFT_INLINE size_t m_count(vm m) { return (size_t)__builtin_popcount(m); }
static WEFT_INLINE bool m_any(vm m) { return m != 0; }

/* ---- i32 ---- */
static WEFT_INLINE vi i_set1(int32_t x) { return _mm512_set1_epi32(x); }
static WEFT_INLINE vi i_load(const int32_t *p) { return _mm512_loadu_si512(p); }
static WEFT_INLINE void i_store(int32_t *p, vi a) { _mm512_storeu_si512(p, a); }
static WEFT_INLINE vi i_load_n(const int32_t *p, size_t n) {
    return _mm512_maskz_loadu_epi32(m_first(n), p);
}
static WEFT_INLINE void i_store_n(int32_t *p, vi a, size_t n) {
    _mm512_mask_storeu_epi32(p, m_first(n), a);
}
static WEFT_INLINE vi i_iota(void) {
    return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
static WEFT_INLINE vi i_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
static WEFT_INLINE vi i_sub(vi a, vi b) { return _mm512_sub_epi32(a, b); }
static WEFT_INLINE vi i_mullo(vi a, vi b) { return _mm512_mullo_epi32(a, b); }
static WEFT_INLINE vi i_mulhi_u(vi a, vi b) {
    const vi even = _mm512_srli_epi64(_mm512_mul_epu32(a, b), 32);
    const vi odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(b, 32));
    return _mm512_mask_blend_epi32(0xAAAA, even, odd);
}
static WEFT_INLINE vi i_and(vi a, vi b) { return _mm512_and_si512(a, b); }
static WEFT_INLINE vi i_or(vi a, vi b) { return _mm512_or_si512(a, b); }
static WEFT_INLINE vi i_xor(vi a, vi b) { return _mm512_xor_si512(a, b); }
#define i_shl(a, k) _mm512_slli_epi32((a), (k))
#define i_shr(a, k) _mm512_srli_epi32((a), (k))
#define i_sar(a, k) _mm512_srai_epi32((a), (k))
static WEFT_INLINE vm i_eq(vi a, vi b) { return _mm512_cmpeq_epi32_mask(a, b); }
static WEFT_INLINE vm i_gt(vi a, vi b) { return _mm512_cmpgt_epi32_mask(a, b); }
static WEFT_INLINE vi i_sel(vm m, vi a, vi b) { return _mm512_mask_blend_epi32(m, b, a); }
static WEFT_INLINE vi i_max(vi a, vi b) { return _mm512_max_epi32(a, b); }

/* ---- bf16 by the CPU: dot products of pairs, rounding ---- */
#ifdef WEFT_DOT
static WEFT_INLINE vi h_pairs(const uint16_t *p) { return _mm512_loadu_si512(p); }
static WEFT_INLINE vi h_pairs_n(const uint16_t *p, size_t n) { /* n <= 2 VL */
    return _mm512_maskz_loadu_epi16((__mmask32)((1ull << n) - 1), p);
}
static WEFT_INLINE vf v_dot(vi a, vi b, vf c) {
    return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b);
}
#define WEFT_ROUNDS_BF16
static WEFT_INLINE __m256i h_narrow(vf a) { return (__m256i)_mm512_cvtneps_pbh(a); }
static WEFT_INLINE vf v_bf16(vf a) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h_narrow(a)), 16));
}
static WEFT_INLINE void h_store(uint16_t *p, vf a) { _mm256_storeu_si256((void *)p, h_narrow(a)); }
static WEFT_INLINE void h_store_n(uint16_t *p, vf a, size_t n) {
    _mm256_mask_storeu_epi16(p, m_first(n), h_narrow(a));
}
#endif

/* ---- narrow integers ---- */
static WEFT_INLINE vi i_load_u16(const void *p) {
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256(p));
}
static WEFT_INLINE vi i_load_u16_n(const uint16_t *p, size_t n) {
    return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(m_first(n), p));
}
static WEFT_INLINE vi i_load_s8(const void *p) { return _mm512_cvtepi8_epi32(_mm_loadu_si128(p)); }
static WEFT_INLINE void i_store_u16(void *p, vi a) {
    _mm256_storeu_si256(p, _mm512_cvtepi32_epi16(a));
}
static WEFT_INLINE void i_store_u16_n(uint16_t *p, vi a, size_t n) {
    _mm256_mask_storeu_epi16(p, m_first(n), _mm512_cvtepi32_epi16(a));
}
static WEFT_INLINE void i_store_8(void *p, vi a) { _mm_storeu_si128(p, _mm512_cvtepi32_epi8(a)); }

/* ---- casts ---- */
static WEFT_INLINE vi v_bits(vf a) { return _mm512_castps_si512(a); }
static WEFT_INLINE vf i_bits(vi a) { return _mm512_castsi512_ps(a); }
static WEFT_INLINE vi v_to_i(vf a) { return _mm512_cvttps_epi32(a); }
static WEFT_INLINE vf i_to_v(vi a) { return _mm512_cvtepi32_ps(a); }

/* ---- f64 ---- */
static WEFT_INLINE vd d_set1(double x) { return (vd){_mm512_set1_pd(x), _mm512_set1_pd(x)}; }
static WEFT_INLINE vd d_zero(void) { return (vd){_mm512_setzero_pd(), _mm512_setzero_pd()}; }
static WEFT_INLINE vd d_load(const double *p) {
    return (vd){_mm512_loadu_pd(p), _mm512_loadu_pd(p + 8)};
}
static WEFT_INLINE void d_store(double *p, vd a) {
    _mm512_storeu_pd(p, a.lo);
    _mm512_storeu_pd(p + 8, a.hi);
}
static WEFT_INLINE vd d_from_v(vf a) {
    return (vd){_mm512_cvtps_pd(_mm512_castps512_ps256(a)),
                _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1))};
}
static WEFT_INLINE vf d_to_v(vd a) {
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(a.lo)),
                              _mm512_cvtpd_ps(a.hi), 1);
}
static WEFT_INLINE vd d_add(vd a, vd b) {
    return (vd){_mm512_add_pd(a.lo, b.lo), _mm512_add_pd(a.hi, b.hi)};
}
static WEFT_INLINE vd d_sub(vd a, vd b) {
    return (vd){_mm512_sub_pd(a.lo, b.lo), _mm512_sub_pd(a.hi, b.hi)};
}
static WEFT_INLINE vd d_mul(vd a, vd b) {
    return (vd){_mm512_mul_pd(a.lo, b.lo), _mm512_mul_pd(a.hi, b.hi)};
}
static WEFT_INLINE vd d_fma(vd a, vd b, vd c) {
    return (vd){_mm512_fmadd_pd(a.lo, b.lo, c.lo), _mm512_fmadd_pd(a.hi, b.hi, c.hi)};
}
static WEFT_INLINE __m512d avx512_dmax(__m512d a, __m512d b) {
    const __mmask8 nan = _mm512_cmp_pd_mask(a, b, _CMP_UNORD_Q);
    return _mm512_mask_add_pd(_mm512_range_pd(a, b, 5), nan, a, b);
}
static WEFT_INLINE vd d_max(vd a, vd b) {
    return (vd){avx512_dmax(a.lo, b.lo), avx512_dmax(a.hi, b.hi)};
}

/* ---- folds: halves are swapped and combined, so that every lane holds the result ---- */
#define AVX512_FOLD(name, op)                                                                      \
    static WEFT_INLINE float name(vf a) {                                                          \
        a = op(a, _mm512_shuffle_f32x4(a, a, 0x4E));                                               \
        a = op(a, _mm512_shuffle_f32x4(a, a, 0xB1));                                               \
        a = op(a, _mm512_permute_ps(a, 0x4E));                                                     \
        return _mm512_cvtss_f32(op(a, _mm512_permute_ps(a, 0xB1)));                                \
    }
AVX512_FOLD(v_fold_add, v_add)
AVX512_FOLD(v_fold_max, v_max)
AVX512_FOLD(v_fold_min, v_min)
#undef AVX512_FOLD
static WEFT_INLINE double d_fold_add(vd a) {
    __m512d s = _mm512_add_pd(a.lo, a.hi);
    s = _mm512_add_pd(s, _mm512_shuffle_f64x2(s, s, 0x4E));
    s = _mm512_add_pd(s, _mm512_shuffle_f64x2(s, s, 0xB1));
    return _mm512_cvtsd_f64(_mm512_add_pd(s, _mm512_permute_pd(s, 0x55)));
}

/* ---- block: 4x4 inside the 128-bit quarters, then the quarters themselves ---- */
static WEFT_INLINE void v_transpose(vf r[VL]) {
    vf q[VL];
    WEFT_UNROLL(4)
    for (size_t i = 0; i < VL; i += 4) {
        const vf a = _mm512_unpacklo_ps(r[i], r[i + 1]);
        const vf b = _mm512_unpackhi_ps(r[i], r[i + 1]);
        const vf c = _mm512_unpacklo_ps(r[i + 2], r[i + 3]);
        const vf d = _mm512_unpackhi_ps(r[i + 2], r[i + 3]);
        q[i] = _mm512_shuffle_ps(a, c, 0x44);
        q[i + 1] = _mm512_shuffle_ps(a, c, 0xEE);
        q[i + 2] = _mm512_shuffle_ps(b, d, 0x44);
        q[i + 3] = _mm512_shuffle_ps(b, d, 0xEE);
    }
    WEFT_UNROLL(4)
    for (size_t j = 0; j < 4; j++) {
        const vf a = _mm512_shuffle_f32x4(q[j], q[j + 4], 0x88);      /* quarters 0 2 of both */
        const vf b = _mm512_shuffle_f32x4(q[j], q[j + 4], 0xDD);      /* quarters 1 3 */
        const vf c = _mm512_shuffle_f32x4(q[j + 8], q[j + 12], 0x88);
        const vf d = _mm512_shuffle_f32x4(q[j + 8], q[j + 12], 0xDD);
        r[j] = _mm512_shuffle_f32x4(a, c, 0x88);
        r[j + 4] = _mm512_shuffle_f32x4(b, d, 0x88);
        r[j + 8] = _mm512_shuffle_f32x4(a, c, 0xDD);
        r[j + 12] = _mm512_shuffle_f32x4(b, d, 0xDD);
    }
}
static WEFT_INLINE void v_load_t(vf r[VL], const float *p, size_t ld, const size_t rows) {
    WEFT_UNROLL_ALL
    for (size_t j = 0; j < VL; j++) r[j] = j < rows ? v_load(p + j * ld) : v_zero();
    v_transpose(r);
}

#endif
