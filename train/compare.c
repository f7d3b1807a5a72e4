#include "train/compare.h"

#include <string.h>

#include "train/progress.h"
#include "weft/math.h"

/* sum_v p (x - y) - log Zx + log Zy, in one pass; rounding may leave less than nothing. */
double weft_divergence(const float *base, const float *other, size_t n, size_t target,
                       double loss[2]) {
    double x_max = (double)base[0], y_max = (double)other[0];
    for (size_t i = 1; i < n; i++) {
        x_max = (double)base[i] > x_max ? (double)base[i] : x_max;
        y_max = (double)other[i] > y_max ? (double)other[i] : y_max;
    }
    double x_sum = 0, y_sum = 0, apart = 0;
    for (size_t i = 0; i < n; i++) {
        const double x = (double)base[i] - x_max, y = (double)other[i] - y_max;
        const double p = weft_exp(x);
        x_sum += p;
        y_sum += weft_exp(y);
        apart += p * (x - y);
    }
    const double x_log = weft_log(x_sum), y_log = weft_log(y_sum);
    loss[0] = x_log - ((double)base[target] - x_max);
    loss[1] = y_log - ((double)other[target] - y_max);
    const double kl = apart / x_sum - x_log + y_log;
    return kl > 0 ? kl : 0;
}

static size_t likeliest(const float *logits, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

struct sums {
    double loss[2], kl;
    uint64_t correct[2], same, targets;
};

static void add_token(struct sums *s, const float *base, const float *other, size_t vocab,
                      size_t target) {
    double loss[2];
    s->kl += weft_divergence(base, other, vocab, target, loss);
    const size_t best[2] = {likeliest(base, vocab), likeliest(other, vocab)};
    for (size_t i = 0; i < 2; i++) {
        s->loss[i] += loss[i];
        s->correct[i] += best[i] == target;
    }
    s->same += best[0] == best[1];
    s->targets++;
}

/* One sample, as many tokens at a time as the models take. */
static enum weft_status add_sample(weft_model *const model[2], const int32_t *token,
                                   const int32_t *target, size_t seq, size_t vocab, struct sums *s,
                                   double seconds[2]) {
    const size_t most = weft_model_score_rows(model[0]);
    for (size_t i = 0; i < seq; i += most) {
        const size_t n = seq - i < most ? seq - i : most;
        const float *logits[2];
        for (size_t k = 0; k < 2; k++) {
            const double start = weft_clock();
            const enum weft_status st =
                weft_model_score(model[k], token + i, n, (struct weft_place){.pos = i}, &logits[k]);
            if (st != WEFT_OK) return st;
            seconds[k] += weft_clock() - start;
        }
        for (size_t r = 0; r < n; r++)
            if (target[i + r] >= 0)
                add_token(s, logits[0] + r * vocab, logits[1] + r * vocab, vocab,
                          (size_t)target[i + r]);
    }
    return WEFT_OK;
}

static struct weft_score score_of(const struct sums *s, size_t which, uint64_t samples,
                                  uint64_t bytes) {
    const double n = (double)s->targets;
    return (struct weft_score){.loss = s->loss[which] / n,
                               .accuracy = (double)s->correct[which] / n,
                               .targets = s->targets,
                               .samples = samples,
                               .bytes = bytes};
}

enum weft_status weft_compare(weft_ctx *ctx, weft_model *base, weft_model *other,
                              struct weft_feed *feed, enum weft_split split,
                              struct weft_comparison *out) {
    weft_model *const model[2] = {base, other};
    const uint64_t n = feed->data->n[split];
    const size_t seq = feed->data->seq;
    struct sums s = {.kl = 0};
    uint64_t bytes = 0;
    *out = (struct weft_comparison){.kl = 0};
    if (weft_model_score_rows(base) == 0 ||
        weft_model_score_rows(base) != weft_model_score_rows(other))
        return weft_ctx_fail(ctx, WEFT_ERR_STATE, "the models were not both built for scoring");
    if (n == 0) return weft_ctx_fail(ctx, WEFT_ERR_ARG, "there are no samples to evaluate on");
    for (uint64_t i = 0; i < n;) {
        const size_t rows = n - i < feed->rows ? (size_t)(n - i) : feed->rows;
        struct weft_batch batch;
        weft_feed_fill(feed, split, i, rows, &batch);
        for (size_t r = 0; r < batch.rows; r++) {
            const enum weft_status st =
                add_sample(model, batch.tokens + r * seq, batch.targets + r * seq, seq,
                           feed->data->vocab, &s, out->seconds);
            if (st != WEFT_OK) return st;
        }
        bytes += weft_text_bytes(feed->data, &batch);
        i += batch.rows;
    }
    out->base = score_of(&s, 0, n, bytes);
    out->other = score_of(&s, 1, n, bytes);
    out->kl = s.kl / (double)s.targets;
    out->same = (double)s.same / (double)s.targets;
    return WEFT_OK;
}
