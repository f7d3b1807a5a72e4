/* tokenizer.json of any kind: loaded, written, loaded again, and used. */
#include "tests/fuzz/fuzz.h"
#include "train/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    weft_ctx *ctx = fuzz_ctx();
    struct weft_tokenizer t = {0}, again = {0};
    fuzz_put("t.json", data, size);
    enum weft_status st = weft_tokenizer_load(ctx, "t.json", &t);
    fuzz_check(ctx, st);
    if (st != WEFT_OK) return 0;
    struct weft_json j = {0};
    weft_tokenizer_write(&t, &j);
    if (j.failed) abort();
    fuzz_put("t.json", j.data, j.size);
    weft_json_free(&j);
    if (weft_tokenizer_load(ctx, "t.json", &again) != WEFT_OK) abort();
    if (!weft_tokenizer_same(&t, &again)) abort();
    uint16_t *tokens = NULL;
    size_t n;
    st = weft_tokenizer_encode(ctx, &t, "text", "the cat\n", 8, &tokens, &n);
    fuzz_check(ctx, st);
    free(tokens);
    weft_tokenizer_free(&t);
    weft_tokenizer_free(&again);
    return 0;
}
