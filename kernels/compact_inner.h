/* Kernels that gemm_compact.c calls directly, in the same ISA. */
#ifndef WEFT_COMPACT_INNER_H
#define WEFT_COMPACT_INNER_H
#include "kernels/gemm_inner.h"
#include "kernels/simd/vec_compact.h"
#include "kernels/simd/word.h"

#define WEFT_COMPACT_ROWS  2     /* at most this many rows: weights stay in registers */
#define WEFT_COMPACT_AHEAD 12288 /* bytes of a block that are fetched ahead */

void WEFT_EFN(gemm)(const struct weft_gemm_args *g);
void WEFT_EFN(gemv_compact)(const struct weft_gemm_args *g);

#endif
