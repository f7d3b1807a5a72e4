/* Kernels that gemm.c calls directly, in the same ISA. */
#ifndef WEFT_GEMM_INNER_H
#define WEFT_GEMM_INNER_H
#include "kernels/base/compiler.h"
#include "kernels/gemm.h"

#define WEFT_GEMV_ROWS 4 /* at most this many rows: B is not worth packing */

void WEFT_FN(gemv_f32)(const struct weft_gemm_args *g);
void WEFT_FN(gemm_epilogue_f32)(const struct weft_gemm_args *g, size_t i0, size_t j0, size_t rows,
                                size_t cols);

#endif
