/* Oracles of random.h and dropout.h: one element at a time, from the documented mapping. */
#ifndef WEFT_REF_RANDOM_H
#define WEFT_REF_RANDOM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

double ref_uniform(uint64_t seed, uint32_t stream, uint64_t i); /* u in [0, 1) of element i */
double ref_normal(uint64_t seed, uint32_t stream, uint64_t i);  /* z of element i */
/* Bound of mean + std z. log: 1 ulp, halved by the root; root, products: half each; sine and cosine
 * 1.3 u absolute. */
double ref_normal_bound(double mean, double std, double z);

struct ref_dropout_at {
    uint64_t seed, step, sample;
    uint32_t stream;
    size_t position, channel;
};
bool ref_dropout_keep(const struct ref_dropout_at *at, double p);

#endif
