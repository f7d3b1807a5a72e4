/* The vector layer: the only place where intrinsics live. One backend per ISA defines the same
 * names with the same bits; vec_emu.h (plain C) defines what each op means.
 *
 * Types   vf  VL x f32      vi  VL x i32 (wraps; unsigned where an op says so)
 *         vd  VL x f64      vm  VL lanes of true/false
 * VL is 16 (avx512), 8 (avx2, emu) or 4 (neon). An _n op touches the first n <= VL lanes only:
 * v_load_n gives 0 in the others and v_store_n leaves memory beyond n alone (neither may fault).
 *
 * f32     v_set1(x) v_zero() v_load(p) v_store(p,a) v_load_n(p,n) v_store_n(p,a,n) v_bcast(p)
 *         v_add v_sub v_mul v_div v_sqrt v_neg v_abs
 *         v_fma(a,b,c) = a*b+c   v_fnma(a,b,c) = c-a*b       (one rounding, always)
 *         v_min v_max            NaN wins, -0 < +0, on every ISA
 *         v_round                to nearest, ties to even    v_floor
 *         v_copysign(mag,sgn)
 * compare v_lt v_le v_gt v_ge v_eq (ordered: false on NaN)  v_isnan(a)  v_isfinite(a)
 *         v_sel(m,a,b) = m ? a : b     v_keep(m,a) = m ? a : +0     m_and m_or m_not m_any(m) m_count(m) m_first(n)
 * i32     i_set1(x) i_load(p) i_store(p,a) i_load_n(p,n) i_store_n(p,a,n) i_iota() = 0,1,2..
 *         i_add i_sub i_mullo i_mulhi_u (high half of the unsigned product) i_and i_or i_xor
 *         i_shl(a,k) i_shr(a,k) logical, i_sar(a,k) arithmetic; k is a constant
 *         i_eq i_gt (signed) -> vm     i_sel(m,a,b)    i_max(a,b) signed
 * cast    v_bits(a) f32 -> i32 bits   i_bits(a) i32 bits -> f32
 *         v_to_i(a) truncates (caller clamps first)   i_to_v(a) signed, round to nearest
 * u16     i_load_u16(p) i_load_u16_n(p,n) zero-extended   i_store_u16(p,a) i_store_u16_n(p,a,n) the
 *         low halves: numbers of 16 bits in memory (vec_bf16.h)
 * f64     d_zero() d_set1(x) d_from_v(vf) exact  d_add d_sub d_mul d_fma(a,b,c)
 *         d_max (as v_max)  d_store(p,a) d_load(p)  d_to_v(a) rounds to f32
 * fold    v_fold_add v_fold_max v_fold_min d_fold_add -> scalar: lane i with lane i+VL/2, then
 *         i+VL/4, .. i+1 (a fixed tree; use vec_reduce.h, which makes it independent of VL)
 * block   v_transpose(r): r[VL], in place, r[i] lane j <-> r[j] lane i
 *
 * Above these, the same source for every ISA: vec_reduce.h (32 virtual lanes), vec_math.h. */
#ifndef WEFT_VEC_H
#define WEFT_VEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "kernels/base/compiler.h"

#if defined(WEFT_ISA_IS_AVX512)
#include "kernels/simd/vec_avx512.h"
#elif defined(WEFT_ISA_IS_AVX2)
#include "kernels/simd/vec_avx2.h"
#elif defined(WEFT_ISA_IS_NEON)
#include "kernels/simd/vec_neon.h"
#else
#include "kernels/simd/vec_emu.h"
#endif

#endif
