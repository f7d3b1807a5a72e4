/* A model of llm.c. Its size must be what its header says, so what is loaded is no larger than the
 * fuzzer's input. */
#include "tests/fuzz/fuzz.h"
#include "weft/weft.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    weft_ctx *ctx = fuzz_ctx();
    struct weft_gpt2_config c;
    weft_model *m = NULL;
    fuzz_put("m.bin", data, size);
    enum weft_status st = weft_gpt2_file_config(ctx, "m.bin", &c);
    fuzz_check(ctx, st);
    if (st != WEFT_OK) return 0;
    st = weft_gpt2_create(ctx, &c, NULL, &m);
    fuzz_check(ctx, st);
    if (st == WEFT_OK) st = weft_model_commit(m);
    if (st == WEFT_OK) st = weft_gpt2_file_read("m.bin", m);
    fuzz_check(ctx, st);
    weft_model_free(m);
    return 0;
}
