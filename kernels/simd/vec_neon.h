/* Vector backend for AArch64 Advanced SIMD: 4 lanes, masks are vectors of all-ones or all-zeros
 * lanes. FMIN and FMAX already follow the contract (a NaN wins, -0 < +0). There are no masked
 * accesses: an _n op touches its n lanes one by one. */
#ifndef WEFT_VEC_NEON_H
#define WEFT_VEC_NEON_H

#include <arm_neon.h>

#define VL 4

typedef float32x4_t vf;
typedef int32x4_t vi;
typedef struct { float64x2_t lo, hi; } vd;
typedef uint32x4_t vm;

/* ---- i32 ---- */
static WEFT_INLINE vi i_set1(int32_t x) { return vdupq_n_s32(x); }
static WEFT_INLINE vi i_load(const int32_t *p) { return vld1q_s32(p); }
static WEFT_INLINE void i_store(int32_t *p, vi a) { vst1q_s32(p, a); }
static WEFT_INLINE vi i_load_n(const int32_t *p, size_t n) {
    vi r = vdupq_n_s32(0);
    if (n > 0) r = vld1q_lane_s32(p, r, 0);
    if (n > 1) r = vld1q_lane_s32(p + 1, r, 1);
    if (n > 2) r = vld1q_lane_s32(p + 2, r, 2);
    if (n > 3) r = vld1q_lane_s32(p + 3, r, 3);
    return r;
}
static WEFT_INLINE void i_store_n(int32_t *p, vi a, size_t n) {
    if (n > 0) vst1q_lane_s32(p, a, 0);
    if (n > 1) vst1q_lane_s32(p + 1, a, 1);
    if (n > 2) vst1q_lane_s32(p + 2, a, 2);
    if (n > 3) vst1q_lane_s32(p + 3, a, 3);
}
static WEFT_INLINE vi i_iota(void) {
    static const int32_t lanes[VL] = {0, 1, 2, 3};
    return vld1q_s32(lanes);
}
static WEFT_INLINE vi i_add(vi a, vi b) { return vaddq_s32(a, b); }
static WEFT_INLINE vi i_sub(vi a, vi b) { return vsubq_s32(a, b); }
static WEFT_INLINE vi i_mullo(vi a, vi b) { return vmulq_s32(a, b); }
static WEFT_INLINE vi i_mulhi_u(vi a, vi b) {
    const uint32x4_t x = vreinterpretq_u32_s32(a);
    const uint32x4_t y = vreinterpretq_u32_s32(b);
    const uint64x2_t lo = vmull_u32(vget_low_u32(x), vget_low_u32(y));
    const uint64x2_t hi = vmull_high_u32(x, y);
    return vreinterpretq_s32_u32(
        vuzp2q_u32(vreinterpretq_u32_u64(lo), vreinterpretq_u32_u64(hi)));
}
static WEFT_INLINE vi i_and(vi a, vi b) { return vandq_s32(a, b); }
static WEFT_INLINE vi i_or(vi a, vi b) { return vorrq_s32(a, b); }
static WEFT_INLINE vi i_xor(vi a, vi b) { return veorq_s32(a, b); }
#define i_shl(a, k) vshlq_n_s32((a), (k))
#define i_shr(a, k) vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_s32(a), (k)))
#define i_sar(a, k) vshrq_n_s32((a), (k))
static WEFT_INLINE vm i_eq(vi a, vi b) { return vceqq_s32(a, b); }
static WEFT_INLINE vm i_gt(vi a, vi b) { return vcgtq_s32(a, b); }
static WEFT_INLINE vi i_sel(vm m, vi a, vi b) { return vbslq_s32(m, a, b); }
static WEFT_INLINE vi i_max(vi a, vi b) { return vmaxq_s32(a, b); }

/* ---- bf16 by the CPU: dot products of pairs. Rounding stays that of vec_bf16.h, as BFCVT keeps
 * denormals ---- */
#ifdef WEFT_DOT
static WEFT_INLINE vi h_pairs(const uint16_t *p) { return vreinterpretq_s32_u16(vld1q_u16(p)); }
static WEFT_INLINE vi h_pairs_n(const uint16_t *p, size_t n) { /* n <= 2 VL */
    uint16_t pairs[2 * VL] = {0};
    for (size_t i = 0; i < n; i++) pairs[i] = p[i];
    return h_pairs(pairs);
}
static WEFT_INLINE vf v_dot(vi a, vi b, vf c) {
    return vbfdotq_f32(c, vreinterpretq_bf16_s32(a), vreinterpretq_bf16_s32(b));
}
#endif

/* ---- narrow integers: four bytes go through a word, as an 8-byte load would read too much ---- */
static WEFT_INLINE vi i_load_u16(const void *p) {
    return vreinterpretq_s32_u32(vmovl_u16(vreinterpret_u16_u8(vld1_u8(p))));
}
static WEFT_INLINE vi i_load_u16_n(const uint16_t *p, size_t n) {
    uint16x4_t r = vdup_n_u16(0);
    if (n > 0) r = vld1_lane_u16(p, r, 0);
    if (n > 1) r = vld1_lane_u16(p + 1, r, 1);
    if (n > 2) r = vld1_lane_u16(p + 2, r, 2);
    if (n > 3) r = vld1_lane_u16(p + 3, r, 3);
    return vreinterpretq_s32_u32(vmovl_u16(r));
}
static WEFT_INLINE vi i_load_s8(const void *p) {
    uint32_t word;
    __builtin_memcpy(&word, p, sizeof word);
    return vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(word)))));
}
static WEFT_INLINE void i_store_u16(void *p, vi a) { vst1_u8(p, vreinterpret_u8_s16(vmovn_s32(a))); }
static WEFT_INLINE void i_store_u16_n(uint16_t *p, vi a, size_t n) {
    const uint16x4_t r = vmovn_u32(vreinterpretq_u32_s32(a));
    if (n > 0) vst1_lane_u16(p, r, 0);
    if (n > 1) vst1_lane_u16(p + 1, r, 1);
    if (n > 2) vst1_lane_u16(p + 2, r, 2);
    if (n > 3) vst1_lane_u16(p + 3, r, 3);
}
static WEFT_INLINE void i_store_8(void *p, vi a) {
    const int8x8_t low = vmovn_s16(vcombine_s16(vmovn_s32(a), vdup_n_s16(0)));
    const uint32_t word = vget_lane_u32(vreinterpret_u32_s8(low), 0);
    __builtin_memcpy(p, &word, sizeof word);
}

/* ---- casts ---- */
static WEFT_INLINE vi v_bits(vf a) { return vreinterpretq_s32_f32(a); }
static WEFT_INLINE vf i_bits(vi a) { return vreinterpretq_f32_s32(a); }
static WEFT_INLINE vi v_to_i(vf a) { return vcvtq_s32_f32(a); }
static WEFT_INLINE vf i_to_v(vi a) { return vcvtq_f32_s32(a); }

/* ---- f32 ---- */
static WEFT_INLINE vf v_set1(float x) { return vdupq_n_f32(x); }
static WEFT_INLINE vf v_zero(void) { return vdupq_n_f32(0.0f); }
static WEFT_INLINE vf v_load(const float *p) { return vld1q_f32(p); }
static WEFT_INLINE void v_store(float *p, vf a) { vst1q_f32(p, a); }
static WEFT_INLINE vf v_load_n(const float *p, size_t n) {
    vf r = vdupq_n_f32(0.0f);
    if (n > 0) r = vld1q_lane_f32(p, r, 0);
    if (n > 1) r = vld1q_lane_f32(p + 1, r, 1);
    if (n > 2) r = vld1q_lane_f32(p + 2, r, 2);
    if (n > 3) r = vld1q_lane_f32(p + 3, r, 3);
    return r;
}
static WEFT_INLINE void v_store_n(float *p, vf a, size_t n) {
    if (n > 0) vst1q_lane_f32(p, a, 0);
    if (n > 1) vst1q_lane_f32(p + 1, a, 1);
    if (n > 2) vst1q_lane_f32(p + 2, a, 2);
    if (n > 3) vst1q_lane_f32(p + 3, a, 3);
}
static WEFT_INLINE vf v_bcast(const float *p) { return vld1q_dup_f32(p); }
static WEFT_INLINE vf v_add(vf a, vf b) { return vaddq_f32(a, b); }
static WEFT_INLINE vf v_sub(vf a, vf b) { return vsubq_f32(a, b); }
static WEFT_INLINE vf v_mul(vf a, vf b) { return vmulq_f32(a, b); }
static WEFT_INLINE vf v_div(vf a, vf b) { return vdivq_f32(a, b); }
static WEFT_INLINE vf v_sqrt(vf a) { return vsqrtq_f32(a); }
static WEFT_INLINE vf v_neg(vf a) { return vnegq_f32(a); }
static WEFT_INLINE vf v_abs(vf a) { return vabsq_f32(a); }
static WEFT_INLINE vf v_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
static WEFT_INLINE vf v_fnma(vf a, vf b, vf c) { return vfmsq_f32(c, a, b); }
static WEFT_INLINE vf v_min(vf a, vf b) { return vminq_f32(a, b); }
static WEFT_INLINE vf v_max(vf a, vf b) { return vmaxq_f32(a, b); }
static WEFT_INLINE vf v_at_most(vf a, vf lim) { return vbslq_f32(vcgtq_f32(a, lim), lim, a); }
static WEFT_INLINE vf v_round(vf a) { return vrndnq_f32(a); }
static WEFT_INLINE vf v_floor(vf a) { return vrndmq_f32(a); }
static WEFT_INLINE vf v_copysign(vf mag, vf sgn) {
    return vbslq_f32(vdupq_n_u32(0x80000000u), sgn, mag);
}

/* ---- compare, select, masks ---- */
static WEFT_INLINE vm v_lt(vf a, vf b) { return vcltq_f32(a, b); }
static WEFT_INLINE vm v_le(vf a, vf b) { return vcleq_f32(a, b); }
static WEFT_INLINE vm v_gt(vf a, vf b) { return vcgtq_f32(a, b); }
static WEFT_INLINE vm v_ge(vf a, vf b) { return vcgeq_f32(a, b); }
static WEFT_INLINE vm v_eq(vf a, vf b) { return vceqq_f32(a, b); }
static WEFT_INLINE vm v_isnan(vf a) { return vmvnq_u32(vceqq_f32(a, a)); }
static WEFT_INLINE vm v_isfinite(vf a) { return v_lt(v_abs(a), v_set1(__builtin_inff())); }
static WEFT_INLINE vf v_sel(vm m, vf a, vf b) { return vbslq_f32(m, a, b); }
static WEFT_INLINE vf v_sel_neg(vf x, vf a, vf b) {
    return vbslq_f32(vcltzq_s32(vreinterpretq_s32_f32(x)), a, b);
}
static WEFT_INLINE vf v_keep(vm m, vf a) {
    return vreinterpretq_f32_u32(vandq_u32(m, vreinterpretq_u32_f32(a)));
}
static WEFT_INLINE vm m_and(vm a, vm b) { return vandq_u32(a, b); }
static WEFT_INLINE vm m_or(vm a, vm b) { return vorrq_u32(a, b); }
static WEFT_INLINE vm m_not(vm a) { return vmvnq_u32(a); }
static WEFT_INLINE vm m_first(size_t n) { return vcgtq_s32(i_set1((int32_t)n), i_iota()); }
static WEFT_INLINE size_t m_count(vm m) { return vaddvq_u32(vshrq_n_u32(m, 31)); }
static WEFT_INLINE bool m_any(vm m) { return vmaxvq_u32(m) != 0; }

/* ---- f64 ---- */
static WEFT_INLINE vd d_set1(double x) { return (vd){vdupq_n_f64(x), vdupq_n_f64(x)}; }
static WEFT_INLINE vd d_zero(void) { return d_set1(0.0); }
static WEFT_INLINE vd d_load(const double *p) { return (vd){vld1q_f64(p), vld1q_f64(p + 2)}; }
static WEFT_INLINE void d_store(double *p, vd a) {
    vst1q_f64(p, a.lo);
    vst1q_f64(p + 2, a.hi);
}
static WEFT_INLINE vd d_from_v(vf a) {
    return (vd){vcvt_f64_f32(vget_low_f32(a)), vcvt_high_f64_f32(a)};
}
static WEFT_INLINE vf d_to_v(vd a) { return vcvt_high_f32_f64(vcvt_f32_f64(a.lo), a.hi); }
static WEFT_INLINE vd d_add(vd a, vd b) {
    return (vd){vaddq_f64(a.lo, b.lo), vaddq_f64(a.hi, b.hi)};
}
static WEFT_INLINE vd d_sub(vd a, vd b) {
    return (vd){vsubq_f64(a.lo, b.lo), vsubq_f64(a.hi, b.hi)};
}
static WEFT_INLINE vd d_mul(vd a, vd b) {
    return (vd){vmulq_f64(a.lo, b.lo), vmulq_f64(a.hi, b.hi)};
}
static WEFT_INLINE vd d_fma(vd a, vd b, vd c) {
    return (vd){vfmaq_f64(c.lo, a.lo, b.lo), vfmaq_f64(c.hi, a.hi, b.hi)};
}
static WEFT_INLINE vd d_max(vd a, vd b) {
    return (vd){vmaxq_f64(a.lo, b.lo), vmaxq_f64(a.hi, b.hi)};
}

/* ---- folds: the upper half onto the lower, then the neighbour ---- */
#define NEON_FOLD(name, op)                                                                        \
    static WEFT_INLINE float name(vf a) {                                                          \
        const float32x2_t h = op(vget_low_f32(a), vget_high_f32(a));                               \
        return vget_lane_f32(op(h, vrev64_f32(h)), 0);                                             \
    }
NEON_FOLD(v_fold_add, vadd_f32)
NEON_FOLD(v_fold_max, vmax_f32)
NEON_FOLD(v_fold_min, vmin_f32)
#undef NEON_FOLD
static WEFT_INLINE double d_fold_add(vd a) {
    const float64x2_t s = vaddq_f64(a.lo, a.hi);
    return vgetq_lane_f64(s, 0) + vgetq_lane_f64(s, 1);
}

/* ---- block ---- */
static WEFT_INLINE void v_transpose(vf r[VL]) {
    const float64x2_t a = vreinterpretq_f64_f32(vtrn1q_f32(r[0], r[1])); /* 00 10 02 12 */
    const float64x2_t b = vreinterpretq_f64_f32(vtrn2q_f32(r[0], r[1])); /* 01 11 03 13 */
    const float64x2_t c = vreinterpretq_f64_f32(vtrn1q_f32(r[2], r[3]));
    const float64x2_t d = vreinterpretq_f64_f32(vtrn2q_f32(r[2], r[3]));
    r[0] = vreinterpretq_f32_f64(vtrn1q_f64(a, c));
    r[1] = vreinterpretq_f32_f64(vtrn1q_f64(b, d));
    r[2] = vreinterpretq_f32_f64(vtrn2q_f64(a, c));
    r[3] = vreinterpretq_f32_f64(vtrn2q_f64(b, d));
}
static WEFT_INLINE void v_load_t(vf r[VL], const float *p, size_t ld, const size_t rows) {
    WEFT_UNROLL_ALL
    for (size_t j = 0; j < VL; j++) r[j] = j < rows ? v_load(p + j * ld) : v_zero();
    v_transpose(r);
}

#endif
