/* The kernel table: every compute kernel of weft, once per ISA.
 *
 * A kernel is pure: one thread, no allocation, no I/O, no globals, no error return, and it never
 * touches a byte outside its operands, not even to read. Arguments are checked by the runtime.
 * kernels.def is the one list; prototypes, table type and tables are expanded from it. */
#ifndef WEFT_KERNELS_H
#define WEFT_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Argument structs, one header a family. */
#include "kernels/activation.h"
#include "kernels/attention.h"
#include "kernels/compact.h"
#include "kernels/dropout.h"
#include "kernels/elementwise.h"
#include "kernels/embedding.h"
#include "kernels/gemm.h"
#include "kernels/layernorm.h"
#include "kernels/limits.h"
#include "kernels/loss.h"
#include "kernels/optim.h"
#include "kernels/random.h"
#include "kernels/reduce.h"

struct weft_kernels {
    const char *isa;         /* "emu", "avx2", "avx512", "avx512bf16", "neon" */
    size_t vl;               /* f32 lanes of a vector */
    size_t gemm_mr, gemm_nr; /* rows and columns of the GEMM register tile = panel widths */
    size_t bf16_word;        /* terms of a word of a bf16 panel; 2: products in bf16 are dot products
                              * with bits of their own, and f32 is that of the table before */
#define WEFT_KERNEL(name, params) void(*name) params;
#include "kernels/kernels.def"
#undef WEFT_KERNEL
};

#define WEFT_KERNEL_ISA(isa) extern const struct weft_kernels weft_kernels_##isa;
#include "kernels/isa.def"
#undef WEFT_KERNEL_ISA

#endif
