/* Counts of pairs in a hash table with open addressing, which grows with the pairs that there are.
 */
#include "train/bigram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "weft/math.h"

#define LEAST ((size_t)1 << 10) /* entries of the table, powers of two */
#define MOST  ((size_t)1 << 22) /* 32 MiB, 48 while it grows */

struct entry {
    uint32_t pair; /* before * vocab + after, below 2^32 */
    uint32_t count;
};

struct counts {
    size_t vocab;
    struct entry *entry; /* (room); count 0: free */
    size_t room, used;
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

/* Where a pair is, or would be. */
static struct entry *find(const struct counts *c, uint32_t pair) {
    size_t at = (size_t)((pair * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (c->room - 1);
    while (c->entry[at].count > 0 && c->entry[at].pair != pair) at = (at + 1) & (c->room - 1);
    return &c->entry[at];
}

/* Twice the room; false when that is too much. */
static bool grow(struct counts *c, size_t *bytes) {
    const struct counts old = *c;
    if (c->room == MOST) return false;
    c->room = old.room > 0 ? 2 * old.room : LEAST;
    c->entry = calloc(c->room, sizeof *c->entry);
    if (!c->entry) {
        *c = old;
        return false;
    }
    for (size_t i = 0; i < old.room; i++)
        if (old.entry[i].count > 0) *find(c, old.entry[i].pair) = old.entry[i];
    free(old.entry);
    *bytes = (old.room + c->room) * sizeof *c->entry + c->vocab * 2 * sizeof *c->single;
    return true;
}

static bool count(const struct weft_data *data, struct counts *c, size_t *bytes) {
    for (size_t r = 0; r < data->n_runs[WEFT_SPLIT_TRAIN]; r++) {
        const struct weft_token_run *run = &data->runs[WEFT_SPLIT_TRAIN][r];
        for (uint64_t i = 0; i < run->n; i++) {
            const uint32_t token = token_at(data, run, i);
            c->single[token]++;
            c->total++;
            if (i + 1 == run->n) break;
            c->before[token]++;
            if (4 * c->used >= 3 * c->room && !grow(c, bytes)) return false;
            const uint32_t pair = token * (uint32_t)c->vocab + token_at(data, run, i + 1);
            struct entry *e = find(c, pair);
            e->pair = pair;
            c->used += e->count == 0;
            e->count += e->count < UINT32_MAX;
        }
    }
    return c->room > 0 || grow(c, bytes);
}

static double cross_entropy(const struct weft_data *data, enum weft_split split,
                            const struct counts *c) {
    double sum = 0;
    uint64_t n = 0;
    for (size_t r = 0; r < data->n_runs[split]; r++) {
        const struct weft_token_run *run = &data->runs[split][r];
        for (uint64_t i = 0; i + 1 < run->n; i++) {
            const uint32_t a = token_at(data, run, i), b = token_at(data, run, i + 1);
            const double alone = (double)(c->single[b] + 1) / (double)(c->total + c->vocab);
            const uint32_t pairs = find(c, a * (uint32_t)c->vocab + b)->count;
            sum -= weft_log((pairs + alone) / (double)(c->before[a] + 1));
            n++;
        }
    }
    return n > 0 ? sum / (double)n : NAN;
}

double weft_bigram_loss(const struct weft_data *data, enum weft_split split, size_t *bytes) {
    size_t most = 0;
    double loss = NAN;
    struct counts c = {.vocab = data->vocab};
    if (data->kind == WEFT_DATA_TOKENS) {
        c.before = calloc(c.vocab, sizeof *c.before);
        c.single = calloc(c.vocab, sizeof *c.single);
        if (c.before && c.single && count(data, &c, &most)) loss = cross_entropy(data, split, &c);
    }
    free(c.entry);
    free(c.before);
    free(c.single);
    if (bytes) *bytes = most;
    return loss;
}
