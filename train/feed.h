/* A batch in memory: room for the samples that a model takes at once, filled from data. */
#ifndef WEFT_TRAIN_FEED_H
#define WEFT_TRAIN_FEED_H

#include "train/data.h"
#include "weft/model.h"

struct weft_feed {
    const struct weft_data *data;
    size_t rows;
    struct weft_samples at;
};

WEFT_NODISCARD enum weft_status weft_feed_create(weft_ctx *ctx, const struct weft_data *data,
                                                 size_t rows, struct weft_feed *out);
void weft_feed_free(struct weft_feed *feed); /* fine on a zeroed one */

/* Samples first.. of a split, at most `rows` and at most the room there is; their number is in
 * out->rows. out is valid until the next call. */
void weft_feed_fill(struct weft_feed *feed, enum weft_split split, uint64_t first, size_t rows,
                    struct weft_batch *out);

#endif
