/* A safetensors file: opened, and every byte of every tensor looked at. */
#include "tests/fuzz/fuzz.h"
#include "train/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    weft_ctx *ctx = fuzz_ctx();
    weft_st_file *file = NULL;
    unsigned sum = 0;
    fuzz_put("f", data, size);
    const enum weft_status st = weft_st_open(ctx, "f", &file);
    fuzz_check(ctx, st);
    if (st != WEFT_OK) return 0;
    for (size_t i = 0; i < weft_st_count(file); i++) {
        const struct weft_st_entry *e = weft_st_entry(file, i);
        for (size_t k = 0; k < e->size; k++) sum += e->data[k];
        if (weft_st_find(file, e->name) != e) abort();
    }
    weft_st_close(file);
    return sum == 1 ? -1 : 0;
}
