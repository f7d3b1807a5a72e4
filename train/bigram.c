#include "train/bigram.h"

#include <math.h>
#include <stdlib.h>
#include "weft/math.h"

#define MOST_TOKENS 8192 /* 256 MiB of counts */

struct counts {
    size_t vocab;
    uint32_t *pair;   /* (vocab, vocab) */
    uint64_t *before; /* (vocab) times it stands before another token */
    uint64_t *single; /* (vocab) */
    uint64_t total;
};

static uint32_t token_at(const struct weft_data *data, const struct weft_token_run *run,
                         uint64_t i) {
    const uint8_t *bytes = run->tokens;
    const uint16_t *words = run->tokens;
    return data->width == 1 ? bytes[i] : words[i];
}

static void count(const struct weft_data *data, struct counts *c) {
    for (size_t r = 0; r < data->n_runs[WEFT_SPLIT_TRAIN]; r++) {
        const struct weft_token_run *run = &data->runs[WEFT_SPLIT_TRAIN][r];
        for (uint64_t i = 0; i < run->n; i++) {
            const uint32_t token = token_at(data, run, i);
            c->single[token]++;
            c->total++;
            if (i + 1 == run->n) break;
            c->before[token]++;
            c->pair[token * c->vocab + token_at(data, run, i + 1)]++;
        }
    }
}

static double cross_entropy(const struct weft_data *data, enum weft_split split,
                            const struct counts *c) {
    double sum = 0;
    uint64_t n = 0;
    for (size_t r = 0; r < data->n_runs[split]; r++) {
        const struct weft_token_run *run = &data->runs[split][r];
        for (uint64_t i = 0; i < run->windows * data->seq; i++) {
            const uint32_t a = token_at(data, run, i), b = token_at(data, run, i + 1);
            const double alone = (double)(c->single[b] + 1) / (double)(c->total + c->vocab);
            sum -= weft_log((c->pair[a * c->vocab + b] + alone) / (double)(c->before[a] + 1));
            n++;
        }
    }
    return n > 0 ? sum / (double)n : NAN;
}

double weft_bigram_loss(const struct weft_data *data, enum weft_split split) {
    if (data->kind != WEFT_DATA_TOKENS || data->vocab > MOST_TOKENS) return NAN;
    struct counts c = {.vocab = data->vocab};
    c.pair = calloc(c.vocab * c.vocab, sizeof *c.pair);
    c.before = calloc(c.vocab, sizeof *c.before);
    c.single = calloc(c.vocab, sizeof *c.single);
    double loss = NAN;
    if (c.pair && c.before && c.single) {
        count(data, &c);
        loss = cross_entropy(data, split, &c);
    }
    free(c.pair);
    free(c.before);
    free(c.single);
    return loss;
}
