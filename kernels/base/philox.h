/* Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11):
 * 128 random bits as a pure function of a 128-bit counter and a 64-bit key. Ten rounds of
 *   (c0, c1, c2, c3) <- (hi(M1 c2) ^ c1 ^ k0, lo(M1 c2), hi(M0 c0) ^ c3 ^ k1, lo(M0 c0)),
 * the key advanced by (W0, W1) after each. The vector form is in kernels/simd/vec_philox.h. */
#ifndef WEFT_BASE_PHILOX_H
#define WEFT_BASE_PHILOX_H

#include <stdint.h>
#include "kernels/base/compiler.h"

#define PHILOX_M0     0xD2511F53u
#define PHILOX_M1     0xCD9E8D57u
#define PHILOX_W0     0x9E3779B9u
#define PHILOX_W1     0xBB67AE85u
#define PHILOX_ROUNDS 10

static WEFT_INLINE void philox_block(const uint32_t counter[4], const uint32_t key[2],
                                     uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (unsigned round = 0; round < PHILOX_ROUNDS; round++) {
        const uint64_t p0 = (uint64_t)PHILOX_M0 * c0;
        const uint64_t p1 = (uint64_t)PHILOX_M1 * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += PHILOX_W0;
        k1 += PHILOX_W1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* What the numbers are for: the same stream number in two uses gives unrelated numbers. */
enum philox_use { PHILOX_FILL = 1, PHILOX_DROPOUT = 2, PHILOX_ROUND = 3 };

/* The key of a stream: one block of the seed, so that seeds and streams never collide by sums. */
static WEFT_INLINE void philox_key(uint64_t seed, uint32_t stream, enum philox_use use,
                                   uint32_t key[2]) {
    const uint32_t counter[4] = {stream, (uint32_t)use, 0, 0};
    const uint32_t seed_key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t out[4];
    philox_block(counter, seed_key, out);
    key[0] = out[0];
    key[1] = out[1];
}

#endif
