/* Random fills. Element i of a stream is a pure function of (seed, stream, i): any range can be
 * made alone, in any order, with the same bits on every ISA.
 *
 * Element i = 128 g + 32 w + l (0 <= l < 32, 0 <= w < 4) comes from Philox4x32-10 under the key of
 * (seed, stream), block counter 32 g + l, word w; u = (word >> 8) 2^-24.
 *   random_uniform_f32  y = lo + (hi - lo) u, one rounding; u in [0, 1)
 *   random_normal_f32   y = mean + std z, one rounding; z by Box & Muller 1958:
 *                       z_0 = r cos(2 pi u_1), z_1 = r sin(2 pi u_1), r = sqrt(-2 log(u_0 + 2^-24))
 *                       for words 0 and 1; likewise words 2 and 3; |z| <= 5.77 */
#ifndef WEFT_KERNELS_RANDOM_H
#define WEFT_KERNELS_RANDOM_H
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

struct weft_random_args {
    uint64_t seed;
    uint32_t stream;
    uint64_t first; /* number of the first element, y[0] */
    size_t n;
    float lo, hi;    /* uniform */
    float mean, std; /* normal */
    float *y;        /* (n), = */
};

#endif
