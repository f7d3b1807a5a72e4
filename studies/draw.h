/* Random numbers of studies outside a model's own: pure functions of seed, stream and index. */
#ifndef WEFT_STUDIES_DRAW_H
#define WEFT_STUDIES_DRAW_H

#include <stddef.h>
#include <stdint.h>

enum draw_stream { DRAW_INPUT = 0x40000000, DRAW_DELTA, DRAW_MATRIX, DRAW_NOISE, DRAW_CHOICE };

/* out[i] = std times the standard normal number first + i of (seed, stream), by Box and Muller. */
void draw_normal(uint64_t seed, uint32_t stream, uint64_t first, double std, float *out, size_t n);
/* The same in double. */
void draw_normal_f64(uint64_t seed, uint32_t stream, uint64_t first, double *out, size_t n);
/* Number i of (seed, stream), uniform in [0, 1). */
double draw_uniform(uint64_t seed, uint32_t stream, uint64_t i);

#endif
