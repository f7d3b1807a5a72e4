/* One immutable table per ISA, expanded from kernels.def. */
#include "kernels/kernels.h"
#include "kernels/base/compiler.h"
#include "kernels/simd/word.h"
#include "kernels/tile.h"

#define WEFT_KERNEL(name, params)      void WEFT_BASE_FN(name) params;
#define WEFT_KERNEL_BF16(name, params) void WEFT_FN(name) params;
#include "kernels/kernels.def"
#undef WEFT_KERNEL

const struct weft_kernels WEFT_PASTE(weft_kernels_, WEFT_ISA_NAME) = {
    .isa = WEFT_STR(WEFT_ISA_NAME),
    .vl = VL,
    .gemm_mr = GEMM_MR,
    .gemm_nr = GEMM_NR,
    .bf16_word = WORD,
#define WEFT_KERNEL(name, params)      .name = WEFT_BASE_FN(name),
#define WEFT_KERNEL_BF16(name, params) .name = WEFT_FN(name),
#ifndef WEFT_DOT
#define WEFT_KERNEL_DOT(name, params) .name = NULL,
#endif
#include "kernels/kernels.def"
#undef WEFT_KERNEL
};
