/* A model's folder: config.json, and an index or a whole file; first the config, a zero byte, then
 * the other. A model that is small and fits is loaded. */
#include "tests/fuzz/fuzz.h"
#include "train/loaded.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    weft_ctx *ctx = fuzz_ctx();
    const uint8_t *zero = memchr(data, 0, size);
    const size_t first = zero ? (size_t)(zero - data) : size;
    const size_t second = zero ? first + 1 : size;
    struct weft_shape shape;
    struct weft_loaded l;
    fuzz_put("config.json", data, first);
    unlink("model.safetensors");
    fuzz_put(size > second && data[second] == '{' ? "model.safetensors.index.json"
                                                  : "model.safetensors",
             data + second, size - second);
    enum weft_status st = weft_checkpoint_shape(ctx, ".", &shape);
    fuzz_check(ctx, st);
    const struct weft_gpt2_config *c = &shape.gpt2;
    if (st != WEFT_OK || !shape.language || c->vocab > 999 || c->context > 99 || c->width > 99 ||
        c->layers > 4)
        return 0;
    st = weft_loaded_open(ctx, ".", NULL, NULL, &l);
    fuzz_check(ctx, st);
    if (st == WEFT_OK) weft_loaded_close(&l);
    return 0;
}
