/* Random operands: SplitMix64, independent of weft's generators. */
#include <math.h>
#include <string.h>

#include "crosscheck/cross_walk.h"

static uint64_t bits(uint64_t *state) {
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}
static double uniform(uint64_t *state) { return (double)(bits(state) >> 11) * 0x1p-53; }

float weft_cross_normal(uint64_t *state) {
    const double radius = sqrt(-2 * log(1 - uniform(state)));
    return (float)(radius * cos(6.283185307179586 * uniform(state)));
}

size_t weft_cross_below(uint64_t *state, size_t n) { return (size_t)(bits(state) % n); }

static void fill_values(const struct weft_tensor_desc *d, uint64_t *state) {
    float *const p = d->data;
    const bool matrix = d->kind == WEFT_PARAM && d->param.shape[1] > 0;
    const bool gain = d->kind == WEFT_PARAM && strcmp(d->param.role, "gain") == 0;
    const float scale = matrix ? 1 / sqrtf((float)d->shape[2]) : 1;
    const size_t n = weft_desc_count(d);
    for (size_t i = 0; i < n; i++) {
        const float z = weft_cross_normal(state);
        p[i] = gain ? 1 + 0.1f * z : scale * z;
    }
}

static void fill_indices(const struct weft_tensor_desc *d, size_t classes, uint64_t *state) {
    const bool target = strcmp(d->name, "targets") == 0;
    int32_t *const p = d->data;
    const size_t n = weft_desc_count(d);
    for (size_t i = 0; i < n; i++) {
        p[i] = (int32_t)weft_cross_below(state, classes);
        if (target && weft_cross_below(state, 8) == 0) p[i] = -1;
    }
}

void weft_cross_fill(weft_graph *g, size_t classes, uint64_t seed) {
    uint64_t state = seed;
    for (size_t t = 0; t < g->tensors; t++) {
        const struct weft_tensor_desc *const d = &g->tensor[t];
        if (d->kind != WEFT_PARAM && d->kind != WEFT_INPUT) continue;
        if (d->dtype == WEFT_I32)
            fill_indices(d, classes, &state);
        else
            fill_values(d, &state);
    }
}
