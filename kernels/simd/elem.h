/* The element layer: how the tensors of this compilation lie in memory. Arithmetic is f32 always;
 * what is called elem in an argument struct is float in <kernel>_f32 and bf16 in <kernel>_bf16,
 * which are the same source compiled twice (CMakeLists.txt lists the sources).
 *
 *   elem               float, or uint16_t that holds a bf16
 *   e_load(p) e_load_n(p,n) e_store(p,a) e_store_n(p,a,n) e_get(p)      as v_..., with conversion
 *   e_load_t(r,p,ld,rows)  as v_load_t
 *   e_round(a)         a as it will be read again after a store
 *   WEFT_EFN(name)     the kernel's symbol: WEFT_FN with the type behind the name
 *
 * What exists once, whatever the type, stands inside #if WEFT_ELEM_F32. */
#ifndef WEFT_ELEM_H
#define WEFT_ELEM_H

#include "kernels/simd/vec_bf16.h"

#ifdef WEFT_ELEM_IS_BF16
#define WEFT_ELEM_F32  0
#define WEFT_EFN(name) WEFT_FN(name##_bf16)
typedef uint16_t elem;
static WEFT_INLINE vf e_load(const elem *p) { return h_load(p); }
static WEFT_INLINE vf e_load_n(const elem *p, size_t n) { return h_load_n(p, n); }
static WEFT_INLINE void e_store(elem *p, vf a) { h_store(p, a); }
static WEFT_INLINE void e_store_n(elem *p, vf a, size_t n) { h_store_n(p, a, n); }
static WEFT_INLINE float e_get(const elem *p) { return h_float(*p); }
static WEFT_INLINE vf e_round(vf a) { return v_bf16(a); }
static WEFT_INLINE void e_load_t(vf *r, const elem *p, size_t ld, const size_t rows) {
    WEFT_UNROLL_ALL
    for (size_t i = 0; i < VL; i++) r[i] = i < rows ? e_load(p + i * ld) : v_zero();
    v_transpose(r);
}
#else
#define WEFT_ELEM_F32  1
#define WEFT_EFN(name) WEFT_FN(name##_f32)
typedef float elem;
static WEFT_INLINE vf e_load(const elem *p) { return v_load(p); }
static WEFT_INLINE vf e_load_n(const elem *p, size_t n) { return v_load_n(p, n); }
static WEFT_INLINE void e_store(elem *p, vf a) { v_store(p, a); }
static WEFT_INLINE void e_store_n(elem *p, vf a, size_t n) { v_store_n(p, a, n); }
static WEFT_INLINE float e_get(const elem *p) { return *p; }
static WEFT_INLINE vf e_round(vf a) { return a; }
static WEFT_INLINE void e_load_t(vf *r, const elem *p, size_t ld, const size_t rows) {
    v_load_t(r, p, ld, rows);
}
#endif

/* n <= VL lanes, whole or not. */
static WEFT_INLINE vf e_get_n(const elem *p, size_t n) {
    return n == VL ? e_load(p) : e_load_n(p, n);
}
static WEFT_INLINE void e_put_n(elem *p, vf a, size_t n) {
    if (n == VL)
        e_store(p, a);
    else
        e_store_n(p, a, n);
}

#endif
