/* Random order without memory: a permutation of 0..n-1 for every (seed, stream), any element of it
 * in constant time. So the sample that a step sees is a pure function of its number, and resuming
 * needs no more than that number. */
#ifndef WEFT_TRAIN_SHUFFLE_H
#define WEFT_TRAIN_SHUFFLE_H

#include <stdint.h>

/* Where i (< n) goes: a Feistel network over the next power of four, walked until it is below n. */
uint64_t weft_shuffle(uint64_t seed, uint64_t stream, uint64_t i, uint64_t n);

/* 64 well-mixed bits of a triple. */
uint64_t weft_mix(uint64_t seed, uint64_t stream, uint64_t i);

#endif
