/* Kernels that measure the machine: nothing but FMAs, nothing but memory traffic. */
#ifndef WEFT_KERNELS_LIMITS_H
#define WEFT_KERNELS_LIMITS_H
#include <stddef.h>

/* limit_fma: WEFT_LIMIT_CHAINS independent chains of `rounds` vector FMAs: 2 * vl * chains * rounds
 * floating-point operations. sink (16 floats, =) keeps the work alive. */
#define WEFT_LIMIT_CHAINS 12
/* limit_triad: a[i] = b[i] + s * c[i] over n floats.  limit_read: sink (16 floats, =) from n floats.
 * limit_move: reads `ins` arrays of n floats (1 to 4) and writes `outs` (1 to 3), which may be
 * among them, bits combined by or: the yardstick of an op with these streams and no arithmetic. */

#endif
