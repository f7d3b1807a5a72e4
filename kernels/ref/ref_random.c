/* Random numbers element by element, with libm's functions in double. */
#include "kernels/ref/ref_random.h"
#include <math.h>
#include "kernels/base/philox.h"
#include "kernels/ref/ref_bound.h"

/* The words of the block that element i belongs to; *w: which of them is its own. */
static void words(uint64_t seed, uint32_t stream, uint64_t i, uint32_t out[4], unsigned *w) {
    const uint64_t block = i / 128 * 32 + i % 32;
    const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), 0, 0};
    uint32_t key[2];
    philox_key(seed, stream, PHILOX_FILL, key);
    philox_block(counter, key, out);
    *w = (unsigned)(i % 128 / 32);
}

double ref_uniform(uint64_t seed, uint32_t stream, uint64_t i) {
    uint32_t r[4];
    unsigned w;
    words(seed, stream, i, r, &w);
    return (double)(r[w] >> 8) * 0x1p-24;
}

double ref_normal(uint64_t seed, uint32_t stream, uint64_t i) {
    uint32_t r[4];
    unsigned w;
    words(seed, stream, i, r, &w);
    const double a = (double)((r[w & 2u] >> 8) + 1) * 0x1p-24;
    const double turn = (double)(r[w | 1u] >> 8) * 0x1p-24 * 6.283185307179586477;
    return sqrt(-2 * log(a)) * (w & 1u ? sin(turn) : cos(turn));
}

double ref_normal_bound(double mean, double std, double z) {
    return REF_U * (std * (3 * fabs(z) + 8) + fabs(mean + std * z));
}

bool ref_dropout_keep(const struct ref_dropout_at *at, double p) {
    const size_t c = at->channel;
    const uint32_t counter[4] = {(uint32_t)(c / 128 * 32 + c % 32), (uint32_t)at->position,
                                 (uint32_t)at->sample, (uint32_t)at->step};
    uint32_t key[2], r[4];
    philox_key(at->seed, at->stream, PHILOX_DROPOUT, key);
    philox_block(counter, key, r);
    return (double)(r[c % 128 / 32] >> 1) >= p * 0x1p31;
}
