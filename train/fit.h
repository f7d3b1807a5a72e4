/* Does it fit? Memory of a training before anything is allocated, and the largest batch. */
#ifndef WEFT_TRAIN_FIT_H
#define WEFT_TRAIN_FIT_H

#include "train/settings.h"

#define WEFT_FIT_MAX_BATCH ((size_t)1 << 20)

/* What a run takes besides the model. */
struct weft_fit_data {
    size_t data;    /* as long as the run */
    size_t reading; /* in all, before there is a model: of the data, then of the baseline */
};
/* Measured on the data; *bigram (may be NULL): its loss on the validation part, or NaN. */
void weft_fit_data(const struct weft_data *data, struct weft_fit_data *out, double *bigram);
/* The most at once. */
size_t weft_fit_total(const struct weft_fit_data *data, const struct weft_memory *model);

/* Bytes by category of a step with this batch (0: the batch in s), and the number of parameters. */
WEFT_NODISCARD enum weft_status weft_fit_memory(weft_ctx *ctx, const struct weft_settings *s,
                                                size_t batch, struct weft_memory *out,
                                                size_t *params);
/* The largest micro-batch whose total is at most available, up to WEFT_FIT_MAX_BATCH, and its
 * total; 0 when not even one sample fits. */
size_t weft_fit_batch(weft_ctx *ctx, const struct weft_settings *s, size_t available,
                      size_t *total);

#endif
