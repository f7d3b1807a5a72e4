/* Dropout: y = keep ? x / (1 - p) : 0, plus a residual when given. The backward pass is the same
 * function of dy. Whether an element is kept depends on (seed, stream, step, sample, position,
 * channel) alone, so nothing is stored and any rows can be done in any order by anyone.
 *
 * Row r of the call is row R = row0 + r of the batch: sample = sample0 + R / rows_per_sample,
 * position = R mod rows_per_sample. Random word: Philox4x32-10 under the key of (seed, stream),
 * block counter (32 g + l, position, sample, step), word w, for channel 128 g + 32 w + l, 0 <= l
 * < 32. Kept when the word's upper 31 bits are >= p 2^31. step and sample count modulo 2^32. */
#ifndef WEFT_KERNELS_DROPOUT_H
#define WEFT_KERNELS_DROPOUT_H
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

struct weft_dropout_args {
    size_t rows, cols;
    size_t row0;            /* number of the first row within the batch */
    size_t rows_per_sample; /* T, >= 1 */
    uint64_t sample0;       /* global number of the batch's first sample */
    uint64_t step;
    uint64_t seed;
    uint32_t stream;      /* of the node */
    float p;              /* probability of 0; 0 <= p <= 1 */
    const void *x;        /* (rows, cols) elem, read */
    const void *residual; /* (rows, cols) elem, read; NULL: none */
    void *y;              /* (rows, cols) elem, = ; may be x or residual (= accumulating into it) */
};

#endif
