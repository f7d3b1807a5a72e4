#include "train/shuffle.h"

#define ROUNDS 8

/* A bijection of 64 bits with full avalanche (two multiply-xorshift rounds). */
static uint64_t scramble(uint64_t x) {
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    return x ^ x >> 32;
}

uint64_t weft_mix(uint64_t seed, uint64_t stream, uint64_t i) {
    const uint64_t odd = 0x9e3779b97f4a7c15u; // 2^64 over the golden ratio: spreads small numbers
    return scramble(scramble(scramble(seed + odd) + stream * odd) + i * odd);
}

uint64_t weft_shuffle(uint64_t seed, uint64_t stream, uint64_t i, uint64_t n) {
    unsigned half = 1; // bits of each half; 4^half >= n, less than four times as much as needed
    while (half < 32 && (uint64_t)1 << 2 * half < n) half++;
    const uint64_t mask = ((uint64_t)1 << half) - 1;
    const uint64_t key = weft_mix(seed, stream, n);
    do {
        uint64_t left = i >> half, right = i & mask;
        for (uint64_t round = 0; round < ROUNDS; round++) {
            const uint64_t next = left ^ (weft_mix(key, round, right) & mask);
            left = right;
            right = next;
        }
        i = left << half | right;
    } while (i >= n); // the walk comes back below n: the network is a permutation
    return i;
}
