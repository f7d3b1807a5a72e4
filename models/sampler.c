/* Sampling. What is likeliest comes off a heap, so that a few tokens of a large vocabulary cost one
 * pass and not a sort. */
#include "models/sampler.h"

#include <math.h>
#include <stdlib.h>

#include "weft/math.h"

struct weft_candidate {
    double
        weight; /* the logit, then what its probability is proportional to: 1 for the likeliest */
    uint32_t token;
};

enum { STREAM_SAMPLE = 0x73616d70 }; /* keeps its random numbers apart from others of the seed */

enum weft_status weft_sampler_init(weft_ctx *ctx, struct weft_sampler *s, size_t n) {
    struct weft_candidate *const scratch = malloc(n * sizeof *scratch);
    if (n == 0 || scratch == NULL)
        return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory for sampling among %zu tokens", n);
    s->n = n;
    s->scratch = scratch;
    return WEFT_OK;
}

void weft_sampler_free(struct weft_sampler *s) {
    free(s->scratch);
    s->scratch = NULL;
}

static double uniform(uint64_t seed, uint64_t position) { /* [0, 1) */
    const uint32_t counter[4] = {(uint32_t)position, (uint32_t)(position >> 32), STREAM_SAMPLE, 0};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    uint32_t bits[4];
    weft_philox(counter, key, bits);
    return (double)(((uint64_t)bits[0] << 32 | bits[1]) >> 11) * 0x1p-53;
}

/* Likeliest first, then by token: a total order. */
static bool is_likelier(const struct weft_candidate *a, const struct weft_candidate *b) {
    return a->weight != b->weight ? a->weight > b->weight : a->token < b->token;
}

/* The candidate at i of a heap of n sinks to where none below it is likelier. */
static void sink(struct weft_candidate *c, size_t i, size_t n) {
    const struct weft_candidate x = c[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && is_likelier(&c[child + 1], &c[child])) child++;
        if (!is_likelier(&c[child], &x)) break;
        c[i] = c[child];
    }
    c[i] = x;
}

/* Move the likeliest of n candidates to the front, in order: as many as top_k and top_p leave. */
static size_t keep_likeliest(struct weft_candidate *c, size_t n, size_t top_k, double top_p) {
    double total = 0, sum = 0;
    size_t kept = 0;
    const size_t most = top_k > 0 && top_k < n ? top_k : n;
    for (size_t i = 0; i < n; i++) total += c[i].weight;
    for (size_t i = n / 2; i-- > 0;) sink(c, i, n);
    /* Without top_k the sum that top_p is a share of is known: stop there. */
    while (kept < most && (kept == 0 || most < n || sum < top_p * total)) {
        const struct weft_candidate top = c[0];
        const size_t last = n - 1 - kept++;
        sum += top.weight;
        c[0] = c[last];
        sink(c, 0, last);
        c[last] = top;
    }
    for (size_t i = 0; i < kept && i < n - 1 - i; i++) {
        const struct weft_candidate x = c[i];
        c[i] = c[n - 1 - i];
        c[n - 1 - i] = x;
    }
    if (most == n) return kept;
    for (total = sum, sum = 0, n = 0; n < kept && (n == 0 || sum < top_p * total); n++)
        sum += c[n].weight;
    return n;
}

/* Logits with the penalty; the index of the largest, the first of equals. */
static uint32_t load(const struct weft_sampler *s, const struct weft_sampling *how,
                     const float *logits, const uint8_t *seen) {
    struct weft_candidate *const c = s->scratch;
    const bool punish = seen != NULL && how->repetition_penalty > 0;
    uint32_t best = 0;
    for (size_t i = 0; i < s->n; i++) {
        double x = (double)logits[i];
        if (punish && seen[i])
            x = x > 0 ? x / how->repetition_penalty : x * how->repetition_penalty;
        c[i] = (struct weft_candidate){x, (uint32_t)i};
        if (x > c[best].weight || isnan(c[best].weight)) best = (uint32_t)i;
    }
    return best;
}

uint32_t weft_sample(const struct weft_sampler *s, const struct weft_sampling *how,
                     const float *logits, const uint8_t *seen, uint64_t position) {
    struct weft_candidate *const c = s->scratch;
    const uint32_t best = load(s, how, logits, seen);
    const double max = c[best].weight;
    if (how->temperature <= 0 || !isfinite(max)) return best;
    size_t n = s->n;
    for (size_t i = 0; i < n; i++) {
        const double weight = weft_exp((c[i].weight - max) / how->temperature);
        c[i].weight = isnan(weight) ? 0 : weight;
    }
    const double top_p = how->top_p > 0 && how->top_p < 1 ? how->top_p : 1;
    if (how->top_k > 0 || top_p < 1) n = keep_likeliest(c, n, how->top_k, top_p);
    size_t kept = 0;
    double total = 0;
    for (size_t i = 0; i < n; i++) {
        if (c[i].weight < how->min_p) continue;
        total += c[i].weight;
        c[kept++] = c[i];
    }
    const double want = uniform(how->seed, position) * total;
    double sum = 0;
    for (size_t i = 0; i < kept; i++) {
        sum += c[i].weight;
        if (sum > want) return c[i].token;
    }
    return best; /* unreachable but for rounding */
}
