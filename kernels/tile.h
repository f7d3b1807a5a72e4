/* Register tiles of the matrix kernels, one row an ISA: data, not code. Any value gives the same
 * bits (docs/numerics.md); these are chosen by bench. Registers: MR*NRV accumulators, NRV of B. */
#ifndef WEFT_TILE_H
#define WEFT_TILE_H
#include "kernels/simd/vec.h"

#if defined(WEFT_ISA_IS_AVX512)
#define GEMM_MR 14
#define GEMM_NRV 2
#define ATTN_MR 8
#define ATTN_NRV 2
#elif defined(WEFT_ISA_IS_AVX2)
#define GEMM_MR 6
#define GEMM_NRV 2
#define ATTN_MR 6
#define ATTN_NRV 2
#elif defined(WEFT_ISA_IS_NEON)
#define GEMM_MR 6
#define GEMM_NRV 4
#define ATTN_MR 6
#define ATTN_NRV 4
#else
#define GEMM_MR 4
#define GEMM_NRV 2
#define ATTN_MR 4
#define ATTN_NRV 2
#endif
#define GEMM_NR (GEMM_NRV * VL)
_Static_assert(GEMM_NR % 16 == 0, "statistics of an epilogue go by groups of 16 columns");

#endif
