/* Vector backend in plain C: eight lanes, one after the other. It defines what every op of vec.h means; the
 * other backends must give the same bits (NaN payloads aside). Slow, portable, and always built. */
#ifndef WEFT_VEC_EMU_H
#define WEFT_VEC_EMU_H

#include <math.h>
#include <string.h>

#define VL 8

/* Under a sanitizer each lane carries checks: inlined, kernels would take minutes to compile. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define EMU_INLINE WEFT_NOINLINE WEFT_UNUSED
#else
#define EMU_INLINE inline
#endif

/* Vectors as compilers know them (they split them for the machine): arrays in structs mean the same,
 * but take five times as long to compile. A lane of a mask is 0 or 1. */
typedef float vf __attribute__((vector_size(4 * VL)));
typedef int32_t vi __attribute__((vector_size(4 * VL)));
typedef double vd __attribute__((vector_size(8 * VL)));
typedef int32_t vm __attribute__((vector_size(4 * VL)));

#define EMU_LANES for (size_t i = 0; i < VL; i++)
/* One op: type of the result, name with parameters, value of lane i. */
#define EMU_OP(type, head, value)                                                                  \
    static EMU_INLINE type head {                                                                 \
        type r = {0};                                                                                  \
        EMU_LANES r[i] = (value);                                                                \
        return r;                                                                                  \
    }

static EMU_INLINE uint32_t emu_u32(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}
static EMU_INLINE float emu_f32(uint32_t u) {
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}
static EMU_INLINE bool emu_neg(float x) { return emu_u32(x) >> 31; }

static EMU_INLINE float emu_max(float x, float y) {
    if (x != x) return x;
    if (y != y) return y;
    return x > y || (x == y && emu_neg(y)) ? x : y;
}
static EMU_INLINE float emu_min(float x, float y) {
    if (x != x) return x;
    if (y != y) return y;
    return x < y || (x == y && emu_neg(x)) ? x : y;
}
/* Below 2^23 the addition of 2^23 rounds the fraction away, to nearest even; above, x is whole. */
static EMU_INLINE float emu_round(float x) {
    const float mag = emu_f32(emu_u32(x) & 0x7fffffffu);
    if (!(mag < 0x1p23f)) return x;
    const float r = (mag + 0x1p23f) - 0x1p23f;
    return emu_f32(emu_u32(r) | (emu_u32(x) & 0x80000000u));
}
static EMU_INLINE float emu_floor(float x) {
    const float r = emu_round(x);
    return r > x ? r - 1.0f : r;
}
/* Out of range and NaN give INT32_MIN here; the backends differ there, so callers clamp first. */
static EMU_INLINE int32_t emu_to_i(float x) {
    return x >= -0x1p31f && x < 0x1p31f ? (int32_t)x : INT32_MIN;
}

/* ---- f32 ---- */
EMU_OP(vf, v_set1(float x), x)
EMU_OP(vf, v_zero(void), 0.0f)
EMU_OP(vf, v_load(const float *p), p[i])
EMU_OP(vf, v_load_n(const float *p, size_t n), i < n ? p[i] : 0.0f)
EMU_OP(vf, v_bcast(const float *p), *p)
EMU_OP(vf, v_add(vf a, vf b), a[i] + b[i])
EMU_OP(vf, v_sub(vf a, vf b), a[i] - b[i])
EMU_OP(vf, v_mul(vf a, vf b), a[i] * b[i])
EMU_OP(vf, v_div(vf a, vf b), a[i] / b[i])
EMU_OP(vf, v_sqrt(vf a), sqrtf(a[i]))
EMU_OP(vf, v_neg(vf a), emu_f32(emu_u32(a[i]) ^ 0x80000000u))
EMU_OP(vf, v_abs(vf a), emu_f32(emu_u32(a[i]) & 0x7fffffffu))
EMU_OP(vf, v_fma(vf a, vf b, vf c),
       WEFT_BUG(17) ? a[i] * b[i] + c[i] : fmaf(a[i], b[i], c[i]))
EMU_OP(vf, v_fnma(vf a, vf b, vf c), fmaf(-a[i], b[i], c[i]))
EMU_OP(vf, v_min(vf a, vf b), emu_min(a[i], b[i]))
EMU_OP(vf, v_max(vf a, vf b), emu_max(a[i], b[i]))
EMU_OP(vf, v_round(vf a), emu_round(a[i]))
EMU_OP(vf, v_floor(vf a), emu_floor(a[i]))
EMU_OP(vf, v_at_most(vf a, vf lim), a[i] > lim[i] ? lim[i] : a[i])
EMU_OP(vf, v_copysign(vf mag, vf sgn),
       emu_f32((emu_u32(mag[i]) & 0x7fffffffu) | (emu_u32(sgn[i]) & 0x80000000u)))

static EMU_INLINE void v_store(float *p, vf a) { EMU_LANES p[i] = a[i]; }
static EMU_INLINE void v_store_n(float *p, vf a, size_t n) {
    for (size_t i = 0; i < n; i++) p[i] = a[i];
}

/* ---- compare, select, masks ---- */
EMU_OP(vm, v_lt(vf a, vf b), a[i] < b[i])
EMU_OP(vm, v_le(vf a, vf b), a[i] <= b[i])
EMU_OP(vm, v_gt(vf a, vf b), a[i] > b[i])
EMU_OP(vm, v_ge(vf a, vf b), a[i] >= b[i])
EMU_OP(vm, v_eq(vf a, vf b), a[i] == b[i])
EMU_OP(vm, v_isnan(vf a), a[i] != a[i])
EMU_OP(vm, v_isfinite(vf a), (emu_u32(a[i]) & 0x7f800000u) != 0x7f800000u)
EMU_OP(vf, v_sel(vm m, vf a, vf b), m[i] ? a[i] : b[i])
EMU_OP(vf, v_sel_neg(vf x, vf a, vf b), emu_u32(x[i]) >> 31 ? a[i] : b[i])
EMU_OP(vf, v_keep(vm m, vf a), m[i] ? a[i] : 0.0f)
EMU_OP(vm, m_and(vm a, vm b), a[i] && b[i])
EMU_OP(vm, m_or(vm a, vm b), a[i] || b[i])
EMU_OP(vm, m_not(vm a), !a[i])
EMU_OP(vm, m_first(size_t n), i < n)

static EMU_INLINE size_t m_count(vm m) {
    size_t n = 0;
    EMU_LANES n += m[i] != 0;
    return n;
}
static EMU_INLINE bool m_any(vm m) { return m_count(m) != 0; }

/* ---- i32: wrapping, so the arithmetic is done unsigned ---- */
EMU_OP(vi, i_set1(int32_t x), x)
EMU_OP(vi, i_load(const int32_t *p), p[i])
EMU_OP(vi, i_load_n(const int32_t *p, size_t n), i < n ? p[i] : 0)
EMU_OP(vi, i_iota(void), (int32_t)i)
EMU_OP(vi, i_add(vi a, vi b), (int32_t)((uint32_t)a[i] + (uint32_t)b[i]))
EMU_OP(vi, i_sub(vi a, vi b), (int32_t)((uint32_t)a[i] - (uint32_t)b[i]))
EMU_OP(vi, i_mullo(vi a, vi b), (int32_t)((uint32_t)a[i] * (uint32_t)b[i]))
EMU_OP(vi, i_mulhi_u(vi a, vi b),
       (int32_t)(((uint64_t)(uint32_t)a[i] * (uint32_t)b[i]) >> 32))
EMU_OP(vi, i_and(vi a, vi b), a[i] & b[i])
EMU_OP(vi, i_or(vi a, vi b), a[i] | b[i])
EMU_OP(vi, i_xor(vi a, vi b), a[i] ^ b[i])
EMU_OP(vi, i_shl(vi a, int k), (int32_t)((uint32_t)a[i] << k))
EMU_OP(vi, i_shr(vi a, int k), (int32_t)((uint32_t)a[i] >> k))
EMU_OP(vi, i_sar(vi a, int k), a[i] >> k)
EMU_OP(vm, i_eq(vi a, vi b), a[i] == b[i])
EMU_OP(vm, i_gt(vi a, vi b), a[i] > b[i])
EMU_OP(vi, i_sel(vm m, vi a, vi b), m[i] ? a[i] : b[i])
EMU_OP(vi, i_max(vi a, vi b), a[i] > b[i] ? a[i] : b[i])

static EMU_INLINE void i_store(int32_t *p, vi a) { EMU_LANES p[i] = a[i]; }
static EMU_INLINE void i_store_n(int32_t *p, vi a, size_t n) {
    for (size_t i = 0; i < n; i++) p[i] = a[i];
}

/* ---- narrow integers: bytes, the lower one first ---- */
static EMU_INLINE int32_t emu_byte(const void *p, size_t i) { return ((const uint8_t *)p)[i]; }
EMU_OP(vi, i_load_u16(const void *p), emu_byte(p, 2 * i) | emu_byte(p, 2 * i + 1) << 8)
EMU_OP(vi, i_load_u16_n(const uint16_t *p, size_t n), i < n ? p[i] : 0)
EMU_OP(vi, i_load_s8(const void *p), (emu_byte(p, i) ^ 0x80) - 0x80)
static EMU_INLINE void i_store_8(void *p, vi a) { EMU_LANES((uint8_t *)p)[i] = (uint8_t)a[i]; }
static EMU_INLINE void i_store_u16(void *p, vi a) {
    for (size_t i = 0; i < 2 * VL; i++)
        ((uint8_t *)p)[i] = (uint8_t)((uint32_t)a[i / 2] >> 8 * (i % 2));
}
static EMU_INLINE void i_store_u16_n(uint16_t *p, vi a, size_t n) {
    for (size_t i = 0; i < n; i++) p[i] = (uint16_t)a[i];
}

/* ---- casts ---- */
EMU_OP(vi, v_bits(vf a), (int32_t)emu_u32(a[i]))
EMU_OP(vf, i_bits(vi a), emu_f32((uint32_t)a[i]))
EMU_OP(vi, v_to_i(vf a), emu_to_i(a[i]))
EMU_OP(vf, i_to_v(vi a), (float)a[i])

/* ---- f64 ---- */
static EMU_INLINE double emu_dmax(double x, double y) {
    if (x != x) return x;
    if (y != y) return y;
    return x > y || (x == y && signbit(y)) ? x : y;
}
EMU_OP(vd, d_zero(void), 0.0)
EMU_OP(vd, d_set1(double x), x)
EMU_OP(vd, d_load(const double *p), p[i])
EMU_OP(vd, d_from_v(vf a), (double)a[i])
EMU_OP(vf, d_to_v(vd a), (float)a[i])
EMU_OP(vd, d_add(vd a, vd b), a[i] + b[i])
EMU_OP(vd, d_sub(vd a, vd b), a[i] - b[i])
EMU_OP(vd, d_mul(vd a, vd b), a[i] * b[i])
EMU_OP(vd, d_fma(vd a, vd b, vd c), fma(a[i], b[i], c[i]))
EMU_OP(vd, d_max(vd a, vd b), emu_dmax(a[i], b[i]))
static EMU_INLINE void d_store(double *p, vd a) { EMU_LANES p[i] = a[i]; }

/* ---- folds and blocks ---- */
#define EMU_FOLD(type, scalar, name, op)                                                           \
    static EMU_INLINE scalar name(type a) {                                                       \
        for (size_t w = VL / 2; w > 0; w /= 2)                                                     \
            for (size_t i = 0; i < w; i++) a[i] = op(a[i], a[i + w]);                        \
        return a[0];                                                                             \
    }
#define EMU_ADD(x, y) ((x) + (y))
EMU_FOLD(vf, float, v_fold_add, EMU_ADD)
EMU_FOLD(vf, float, v_fold_max, emu_max)
EMU_FOLD(vf, float, v_fold_min, emu_min)
EMU_FOLD(vd, double, d_fold_add, EMU_ADD)

static EMU_INLINE void v_transpose(vf r[VL]) {
    for (size_t i = 0; i < VL; i++)
        for (size_t j = 0; j < i; j++) {
            const float t = r[i][j];
            r[i][j] = r[j][i];
            r[j][i] = t;
        }
}
static EMU_INLINE void v_load_t(vf r[VL], const float *p, size_t ld, const size_t rows) {
    for (size_t i = 0; i < VL; i++)
        for (size_t j = 0; j < VL; j++) r[i][j] = j < rows ? p[j * ld + i] : 0;
}

#undef EMU_ADD
#undef EMU_FOLD
#undef EMU_OP
#undef EMU_LANES
#endif
