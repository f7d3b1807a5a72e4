#include "train/evaluate.h"

uint64_t weft_text_bytes(const struct weft_data *data, const struct weft_batch *batch) {
    uint64_t bytes = 0;
    if (data->kind != WEFT_DATA_TOKENS || !data->tokenizer) return 0;
    for (size_t i = 0; i < batch->rows * data->seq; i++) {
        char buf[4];
        size_t size = 0;
        if (batch->targets[i] >= 0)
            weft_tokenizer_piece(data->tokenizer, (uint32_t)batch->targets[i], buf, &size);
        bytes += size;
    }
    return bytes;
}

enum weft_status weft_evaluate(weft_ctx *ctx, weft_model *model, struct weft_feed *feed,
                               enum weft_split split, uint64_t samples,
                               const volatile sig_atomic_t *stop, struct weft_score *out) {
    const uint64_t all = feed->data->n[split];
    const uint64_t n = samples > 0 && samples < all ? samples : all;
    if (n == 0)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG, "there are no %s samples to evaluate on",
                             split == WEFT_SPLIT_VAL ? "validation" : "training");
    double sum = 0;
    uint64_t targets = 0, correct = 0, bytes = 0, i = 0;
    while (i < n && !(i > 0 && stop && *stop)) {
        const size_t rows = n - i < feed->rows ? (size_t)(n - i) : feed->rows;
        struct weft_batch batch;
        struct weft_loss loss;
        weft_feed_fill(feed, split, i, rows, &batch);
        const enum weft_status st = weft_model_eval(model, &batch, &loss);
        if (st != WEFT_OK) return st;
        sum += loss.sum;
        targets += loss.count;
        correct += loss.correct;
        bytes += weft_text_bytes(feed->data, &batch);
        i += batch.rows;
    }
    *out = (struct weft_score){.loss = sum / (double)targets,
                               .accuracy = (double)correct / (double)targets,
                               .targets = targets,
                               .samples = i,
                               .bytes = bytes};
    return WEFT_OK;
}
