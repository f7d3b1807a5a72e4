/* Every op of vec.h behind a function pointer; see vec_isa.h. */
#include "tests/vec_isa.h"
#include "kernels/simd/vec_act.h"
#include "kernels/simd/vec_bf16.h"
#include "kernels/simd/vec_philox.h"
#include "kernels/simd/vec_reduce.h"

static WEFT_INLINE vi in_i(const uint32_t *p) { return i_load((const int32_t *)(const void *)p); }
static WEFT_INLINE vf in_f(const uint32_t *p) { return i_bits(in_i(p)); }
static WEFT_INLINE void out_i(uint32_t *p, vi v) { i_store((int32_t *)(void *)p, v); }
static WEFT_INLINE void out_f(uint32_t *p, vf v) { out_i(p, v_bits(v)); }
static WEFT_INLINE void out_d(uint32_t *p, vd v) {
    double d[VL];
    d_store(d, v);
    __builtin_memcpy(p, d, sizeof d);
}
/* f64 operands that no f32 holds */
static WEFT_INLINE vd wide(vf a, vf b) {
    return d_fma(d_from_v(a), d_set1(1 + 0x1p-30), d_mul(d_from_v(b), d_set1(0x1p-28)));
}

/* Narrow integers through memory, with what is beside them. */
#define NARROW(store, load, bytes)                                                                 \
    static WEFT_INLINE vi through_##store##_##load(vi v) {                                         \
        unsigned char room[VL * (bytes) + 3];                                                      \
        __builtin_memset(room, 0x5a, sizeof room);                                                 \
        store(room + 1, v);                                                                        \
        const bool kept = room[0] == 0x5a && room[sizeof room - 2] == 0x5a;                        \
        return kept ? load(room + 1) : i_set1(1 << 30);                                            \
    }
NARROW(i_store_u16, i_load_u16, 2)
NARROW(i_store_8, i_load_s8, 1)

/* The operands are called a, b, c (f32), ia, ib, ic (i32). */
#define OP(name, out, value)                                                                       \
    static void run_##name(const uint32_t *pa, const uint32_t *pb, const uint32_t *pc,             \
                           uint32_t *po) {                                                         \
        const vf a = in_f(pa), b = in_f(pb), c = in_f(pc);                                         \
        const vi ia = in_i(pa), ib = in_i(pb), ic = in_i(pc);                                      \
        (void)a, (void)b, (void)c, (void)ia, (void)ib, (void)ic;                                   \
        out(po, value);                                                                            \
    }
#define F(name, value) OP(name, out_f, value)
#define I(name, value) OP(name, out_i, value)
#define D(name, value) OP(name, out_d, value)
#define FLAG(m) i_sel(m, i_set1(1), i_set1(0))
#include "tests/vec_ops.def"
#undef F
#undef I
#undef D

#define F(name, value) {#name, VEC_F32, run_##name},
#define I(name, value) {#name, VEC_I32, run_##name},
#define D(name, value) {#name, VEC_F64, run_##name},
static const struct vec_op ops[] = {
#include "tests/vec_ops.def"
    {0}};
#undef F
#undef I
#undef D

static WEFT_INLINE vf sine(vf u) {
    vf s, c;
    v_sincos2pi(u, &s, &c);
    return s;
}
static WEFT_INLINE vf cosine(vf u) {
    vf s, c;
    v_sincos2pi(u, &s, &c);
    return c;
}
#define F(name, value) OP(name, out_f, value)
#include "tests/vec_math_ops.def"
#undef F
#define F(name, value) {#name, VEC_F32, run_##name},
static const struct vec_op math[] = {
#include "tests/vec_math_ops.def"
    {0}};
#undef F

static void copy_f32(const float *x, float *y, size_t n) { v_store_n(y, v_load_n(x, n), n); }
static void copy_i32(const int32_t *x, int32_t *y, size_t n) { i_store_n(y, i_load_n(x, n), n); }
static void copy_u16(const uint16_t *x, uint16_t *y, size_t n) {
    if (n == VL)
        i_store_u16(y, i_load_u16(x));
    else
        i_store_u16_n(y, i_load_u16_n(x, n), n);
}
static void load_f32(const float *x, float *lanes, size_t n) { v_store(lanes, v_load_n(x, n)); }
static void load_i32(const int32_t *x, int32_t *lanes, size_t n) {
    i_store(lanes, i_load_n(x, n));
}
static void load_u16(const uint16_t *x, int32_t *lanes, size_t n) {
    i_store(lanes, i_load_u16_n(x, n));
}
static size_t count_first(size_t n, int *any, int *inverse) {
    *any = m_any(m_first(n));
    *inverse = (int)m_count(m_not(m_first(n)));
    return m_count(m_first(n));
}
static void lanes(int32_t *iota, float *bcast, const float *x) {
    i_store(iota, i_iota());
    v_store(bcast, v_bcast(x));
}
static void fold(const float *x, float out[3], double *dadd) {
    out[0] = v_fold_add(v_load(x));
    out[1] = v_fold_max(v_load(x));
    out[2] = v_fold_min(v_load(x));
    *dadd = d_fold_add(d_from_v(v_load(x)));
}
static void transpose(float *block) {
    vf r[VL];
    for (size_t i = 0; i < VL; i++) r[i] = v_load(block + i * VL);
    v_transpose(r);
    for (size_t i = 0; i < VL; i++) v_store(block + i * VL, r[i]);
}
static void load_t(const float *x, size_t ld, bool whole, float *block) {
    vf r[VL];
    if (whole)
        v_load_t(r, x, ld, VL);
    else
        v_load_t(r, x, ld, VL / 2 + 1);
    for (size_t i = 0; i < VL; i++) v_store(block + i * VL, r[i]);
}
static void reduce(const float *x, const float *y, size_t n, float out[4], double sums[2]) {
    out[0] = r_sum(x, n);
    out[1] = r_dot(x, y, n);
    out[2] = r_max(x, n);
    out[3] = r_absmax(x, n);
    sums[0] = r_sum_f64(x, n);
    sums[1] = r_dot_f64(x, y, n);
}

const struct vec_isa WEFT_PASTE(vec_isa_, WEFT_ISA_NAME) = {
    .name = WEFT_STR(WEFT_ISA_NAME),
    .vl = VL,
    .op = ops,
    .math = math,
    .copy_f32 = copy_f32,
    .copy_i32 = copy_i32,
    .copy_u16 = copy_u16,
    .load_f32 = load_f32,
    .load_i32 = load_i32,
    .load_u16 = load_u16,
    .count_first = count_first,
    .lanes = lanes,
    .fold = fold,
    .transpose = transpose,
    .load_t = load_t,
    .reduce = reduce,
};
