#include "train/feed.h"

#include <stdlib.h>

enum weft_status weft_feed_create(weft_ctx *ctx, const struct weft_data *data, size_t rows,
                                  struct weft_feed *out) {
    struct weft_feed f = {.data = data, .rows = rows};
    const bool tokens = data->kind == WEFT_DATA_TOKENS;
    const bool numbers = !tokens && data->classes == 0;
    bool failed = false;
    if (tokens) failed |= !(f.at.tokens = calloc(rows, data->seq * sizeof *f.at.tokens));
    if (!tokens) failed |= !(f.at.x = calloc(rows, data->features * sizeof *f.at.x));
    if (numbers) failed |= !(f.at.values = calloc(rows, sizeof *f.at.values));
    if (!numbers)
        failed |= !(f.at.targets = calloc(rows, (tokens ? data->seq : 1) * sizeof *f.at.targets));
    if (failed) {
        weft_feed_free(&f);
        return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory for a batch of %zu samples", rows);
    }
    *out = f;
    return WEFT_OK;
}

void weft_feed_free(struct weft_feed *feed) {
    free(feed->at.tokens);
    free(feed->at.targets);
    free(feed->at.x);
    free(feed->at.values);
    *feed = (struct weft_feed){0};
}

void weft_feed_fill(struct weft_feed *feed, enum weft_split split, uint64_t first, size_t rows,
                    struct weft_batch *out) {
    if (rows > feed->rows) rows = feed->rows;
    *out = (struct weft_batch){.tokens = feed->at.tokens,
                               .inputs = feed->at.x,
                               .targets = feed->at.targets,
                               .values = feed->at.values,
                               .rows = weft_data_batch(feed->data, split, first, rows, &feed->at)};
}
