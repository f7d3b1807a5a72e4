/* Token files of llm.c and nanoGPT: opened, and samples taken from both parts. */
#include "tests/fuzz/fuzz.h"
#include "train/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    weft_ctx *ctx = fuzz_ctx();
    struct weft_data *d = NULL;
    const struct weft_data_options how = {
        .path = "d.bin", .seq = 1 + size % 7, .val_fraction = size % 2 ? 0.3 : 0, .seed = size};
    int32_t tokens[3 * 8], targets[3 * 8];
    fuzz_put("d.bin", data, size);
    const enum weft_status st = weft_data_open(ctx, WEFT_DATA_TOKENS, &how, &d);
    fuzz_check(ctx, st);
    if (st != WEFT_OK) return 0;
    const struct weft_samples out = {.tokens = tokens, .targets = targets};
    for (uint64_t i = 0; i < 20; i++) weft_data_batch(d, WEFT_SPLIT_TRAIN, i, 3, &out);
    if (d->n[WEFT_SPLIT_VAL] > 0) weft_data_batch(d, WEFT_SPLIT_VAL, 0, 3, &out);
    weft_data_free(d);
    return 0;
}
