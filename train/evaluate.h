/* How good a model is on one split of its data. */
#ifndef WEFT_TRAIN_EVALUATE_H
#define WEFT_TRAIN_EVALUATE_H

#include <signal.h>
#include "train/feed.h"

struct weft_score {
    double loss;     /* mean over targets */
    double accuracy; /* share of targets that were the likeliest; 0 for regression */
    uint64_t targets, samples;
    uint64_t bytes; /* of the targets' text; 0: no tokenizer, or no text */
};

/* Bytes of text that the targets of a batch stand for; 0: unknown. */
uint64_t weft_text_bytes(const struct weft_data *data, const struct weft_batch *batch);

/* The first `samples` samples of a split (0: all of them), feed->rows at a time; fewer, the score
 * of those, when *stop is not 0 in between (stop may be NULL). WEFT_ERR_ARG when the split is
 * empty. */
WEFT_NODISCARD enum weft_status weft_evaluate(weft_ctx *ctx, weft_model *model,
                                              struct weft_feed *feed, enum weft_split split,
                                              uint64_t samples, const volatile sig_atomic_t *stop,
                                              struct weft_score *out);

#endif
