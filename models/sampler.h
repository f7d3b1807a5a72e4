/* The next token from logits; the same one for the same logits, seed and position on every machine.
 */
#ifndef WEFT_MODELS_SAMPLER_H
#define WEFT_MODELS_SAMPLER_H

#include "weft/generate.h"

struct weft_sampler {
    size_t n; /* logits of a position that may be chosen: the first n */
    struct weft_candidate *scratch;
};

WEFT_NODISCARD enum weft_status weft_sampler_init(weft_ctx *ctx, struct weft_sampler *s, size_t n);
void weft_sampler_free(struct weft_sampler *s);

/* Draw number `position` of the seed. seen (n): not 0 for tokens that the text has; NULL: none. NaN
 * counts as impossible, +inf as certain. */
uint32_t weft_sample(const struct weft_sampler *s, const struct weft_sampling *how,
                     const float *logits, const uint8_t *seen, uint64_t position);

#endif
