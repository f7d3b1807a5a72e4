/* See draw.h. */
#include "studies/draw.h"

#include "weft/math.h"

/* Four standard normal numbers, 4 i .. 4 i + 3. */
static void four(uint64_t seed, uint32_t stream, uint64_t i, double out[4]) {
    const uint32_t counter[4] = {(uint32_t)i, (uint32_t)(i >> 32), stream, 0};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t bits[4];
    weft_philox(counter, key, bits);
    for (int p = 0; p < 2; p++) {
        const double u = (bits[2 * p] + 0.5) * 0x1p-32; /* in (0, 1) */
        const double angle = 6.283185307179586477 * (bits[2 * p + 1] + 0.5) * 0x1p-32;
        const double radius = weft_sqrt(-2 * weft_log(u));
        out[2 * p] = radius * weft_cos(angle);
        out[2 * p + 1] = radius * weft_sin(angle);
    }
}

void draw_normal_f64(uint64_t seed, uint32_t stream, uint64_t first, double *out, size_t n) {
    double x[4];
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || (first + i) % 4 == 0) four(seed, stream, (first + i) / 4, x);
        out[i] = x[(first + i) % 4];
    }
}

void draw_normal(uint64_t seed, uint32_t stream, uint64_t first, double std, float *out, size_t n) {
    double x[4];
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || (first + i) % 4 == 0) four(seed, stream, (first + i) / 4, x);
        out[i] = (float)(std * x[(first + i) % 4]);
    }
}

double draw_uniform(uint64_t seed, uint32_t stream, uint64_t i) {
    const uint32_t counter[4] = {(uint32_t)i, (uint32_t)(i >> 32), stream, 1};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t bits[4];
    weft_philox(counter, key, bits);
    return bits[0] * 0x1p-32;
}
