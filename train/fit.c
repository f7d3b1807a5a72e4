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

size_t weft_fit_batch(weft_ctx *ctx, const struct weft_settings *s, size_t available,
                      size_t *total) {
    struct weft_memory memory;
    size_t fits = 0, fails = 1; /* memory grows with the batch: double, then halve the interval */
    *total = 0;
    for (size_t batch = 1; batch <= WEFT_FIT_MAX_BATCH; batch *= 2) {
        fails = batch;
        if (weft_fit_memory(ctx, s, batch, &memory, NULL) != WEFT_OK || memory.total > available)
            break;
        fits = batch;
        *total = memory.total;
        fails = batch + 1;
    }
    while (fails - fits > 1) {
        const size_t batch = fits + (fails - fits) / 2;
        if (weft_fit_memory(ctx, s, batch, &memory, NULL) == WEFT_OK && memory.total <= available) {
            fits = batch;
            *total = memory.total;
        } else {
            fails = batch;
        }
    }
    return fits;
}
