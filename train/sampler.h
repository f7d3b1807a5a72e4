/* The next token from logits: temperature, top-k, top-p; the same token for the same logits, seed
 * and position on every machine. */
#ifndef WEFT_TRAIN_SAMPLER_H
#define WEFT_TRAIN_SAMPLER_H

#include <stddef.h>
#include <stdint.h>
#include "weft/context.h"

struct weft_sampler {
    double temperature; /* divides the logits; 0: the likeliest token, the first of equals */
    size_t top_k;       /* keep the k likeliest; 0: all */
    double top_p;       /* then the fewest that have this probability together; 1: all */
    uint64_t seed;
    size_t n; /* logits of a position that may be chosen: the first n */
    struct weft_candidate *scratch;
};

WEFT_NODISCARD enum weft_status weft_sampler_init(weft_ctx *ctx, struct weft_sampler *s, size_t n);
void weft_sampler_free(struct weft_sampler *s);

/* Draw number `position` of the seed. NaN counts as impossible, +inf as certain. */
uint32_t weft_sample(const struct weft_sampler *s, const float *logits, uint64_t position);

#endif
