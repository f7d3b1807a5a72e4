#include "train/fit.h"

enum weft_status weft_fit_memory(weft_ctx *ctx, const struct weft_settings *s, size_t batch,
                                 struct weft_memory *out, size_t *params) {
    struct weft_training training = s->training;
    if (batch > 0) training.batch = batch;
    weft_model *model = NULL;
    enum weft_status st = weft_shape_create(ctx, &s->shape, &training, &model);
    if (st == WEFT_OK) st = weft_model_memory(model, out);
    if (st == WEFT_OK && params) *params = weft_model_param_count(model);
    weft_model_free(model);
    return st;
}

/* Memory grows about in proportion to the batch: a straight line through the last two points says
 * where to look next, between what is known to fit and what is known to fail. */
size_t weft_fit_batch(weft_ctx *ctx, const struct weft_settings *s, size_t available,
                      size_t *total) {
    size_t fits = 0, fails = WEFT_FIT_MAX_BATCH + 1, batch = 1;
    size_t at[2] = {0, 0}, bytes[2] = {0, 0}; /* the last two that were planned */
    *total = 0;
    for (int tries = 0; fails - fits > 1; tries++) {
        struct weft_memory memory;
        const bool planned = weft_fit_memory(ctx, s, batch, &memory, NULL) == WEFT_OK;
        if (planned && memory.total <= available) {
            fits = batch;
            *total = memory.total;
        } else {
            fails = batch;
        }
        at[0] = at[1], bytes[0] = bytes[1];
        at[1] = batch, bytes[1] = planned ? memory.total : SIZE_MAX;
        const double slope = ((double)bytes[1] - (double)bytes[0]) / ((double)at[1] - (double)at[0]);
        const double next = (double)at[1] + ((double)available - (double)bytes[1]) / slope;
        batch = fits + (fails - fits) / 2;
        if (tries == 0)
            batch = fits * 64;
        else if (planned && tries < 8 && next > (double)fits && next < (double)fails)
            batch = (size_t)next;
        if (batch <= fits) batch = fits + 1;
        if (batch >= fails) batch = fails - 1;
    }
    return fits;
}
