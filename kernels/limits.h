/* Kernels that measure the machine: nothing but FMAs, nothing but memory traffic. */
#ifndef WEFT_KERNELS_LIMITS_H
#define WEFT_KERNELS_LIMITS_H
#include <stddef.h>

/* limit_fma: rounds * WEFT_LIMIT_FMAS vector FMAs in as many chains as hide their latency: 2 * vl times
 * that many floating-point operations. In bf16: what products in bf16 are made of, FMAs or dot products
 * of bf16_word terms. sink (16 floats, =) keeps the work alive. */
#define WEFT_LIMIT_FMAS 24
/* limit_triad: a[i] = b[i] + s * c[i] over n floats.  limit_read: sink (16 floats, =) from n floats.
 * limit_move: reads `ins` arrays of n floats (1 to 4) and writes `outs` (1 to 3), which may be
 * among them, bits combined by or: the yardstick of an op with these streams and no arithmetic. */

#endif
