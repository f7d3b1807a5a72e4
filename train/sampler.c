#include "train/sampler.h"

#include <math.h>
#include <stdlib.h>
#include "weft/math.h"

struct weft_candidate {
    double weight; /* of its probability: exp((logit - max) / temperature) */
    uint32_t token;
};

enum { STREAM_SAMPLE = 0x73616d70 }; /* keeps its random numbers apart from others of the seed */

enum weft_status weft_sampler_init(weft_ctx *ctx, struct weft_sampler *s, size_t n) {
    struct weft_candidate *scratch = malloc(n * sizeof *scratch);
    if (n == 0 || !scratch)
        return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory for sampling among %zu tokens", n);
    s->n = n;
    s->scratch = scratch;
    return WEFT_OK;
}

void weft_sampler_free(struct weft_sampler *s) {
    free(s->scratch);
    s->scratch = NULL;
}

static double uniform(uint64_t seed, uint64_t position) { // [0, 1)
    const uint32_t counter[4] = {(uint32_t)position, (uint32_t)(position >> 32), STREAM_SAMPLE, 0};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t bits[4];
    weft_philox(counter, key, bits);
    return (double)(((uint64_t)bits[0] << 32 | bits[1]) >> 11) * 0x1p-53;
}

/* Likeliest first, then by token: a total order, so any sort gives the same. */
static int likelier(const void *a, const void *b) {
    const struct weft_candidate *x = a, *y = b;
    if (x->weight != y->weight) return x->weight > y->weight ? -1 : 1;
    return (x->token > y->token) - (x->token < y->token);
}

uint32_t weft_sample(const struct weft_sampler *s, const float *logits, uint64_t position) {
    uint32_t best = 0;
    for (size_t i = 1; i < s->n; i++) {
        if (logits[i] > logits[best] || isnan(logits[best])) best = (uint32_t)i;
    }
    const double max = (double)logits[best];
    if (s->temperature <= 0 || !isfinite(max)) return best;
    struct weft_candidate *c = s->scratch;
    size_t n = s->n;
    for (size_t i = 0; i < n; i++) {
        const double weight = weft_exp(((double)logits[i] - max) / s->temperature);
        c[i] = (struct weft_candidate){isnan(weight) ? 0 : weight, (uint32_t)i};
    }
    if (s->top_k > 0 || s->top_p < 1) qsort(c, n, sizeof *c, likelier);
    if (s->top_k > 0 && s->top_k < n) n = s->top_k;
    double total = 0;
    for (size_t i = 0; i < n; i++) total += c[i].weight;
    if (s->top_p < 1) {
        double sum = c[0].weight;
        size_t kept = 1;
        while (kept < n && sum < s->top_p * total) sum += c[kept++].weight;
        n = kept;
        total = sum;
    }
    const double want = uniform(s->seed, position) * total;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += c[i].weight;
        if (sum > want) return c[i].token;
    }
    return best; // unreachable but for rounding
}
