/* Dropout of attention probabilities: struct weft_attn_drop of attention.h as factors, 0 or
 * 1/(1-p). */
#ifndef WEFT_ATTENTION_DROP_H
#define WEFT_ATTENTION_DROP_H

#include "kernels/attention_tile.h"
#include "kernels/simd/vec_philox.h"

struct drop {
    vi threshold;
    vf keep; /* 1 / (1 - p) */
    uint32_t key[2], sample, step;
    bool on;
};

static WEFT_INLINE struct drop drop_init(const struct weft_attn_drop *a) {
    struct drop d = {.threshold = i_set1((int32_t)(a->p * 0x1p31f)),
                     .keep = v_set1(1.0f / (1.0f - a->p)),
                     .sample = (uint32_t)a->sample,
                     .step = (uint32_t)a->step,
                     .on = a->p > 0};
    philox_key(a->seed, a->stream, PHILOX_DROPOUT, d.key);
    return d;
}

/* The factors of the query at this position and the 64 keys from j0, a multiple of 64. */
static WEFT_NOINLINE void drop_row(const struct drop *d, size_t query, size_t j0, float *factor) {
    for (size_t l = 0; l < BLOCK / 4; l += VL) {
        vi word[4];
        v_philox_run((uint32_t)(j0 / 4 + l), (uint32_t)query, d->sample, d->step, d->key, word);
        for (size_t w = 0; w < 4; w++)
            v_store(factor + BLOCK / 4 * w + l,
                    v_sel(i_gt(d->threshold, i_shr(word[w], 1)), v_zero(), d->keep));
    }
}

#endif
