/* vocab.json and merges.txt, with a zero byte between. */
#include "tests/fuzz/fuzz.h"
#include "train/bpe_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    weft_ctx *ctx = fuzz_ctx();
    struct weft_bpe *bpe = NULL;
    const uint8_t *zero = memchr(data, 0, size);
    const size_t first = zero ? (size_t)(zero - data) : size;
    fuzz_put("vocab.json", data, first);
    fuzz_put("merges.txt", zero ? zero + 1 : data, zero ? size - first - 1 : 0);
    const enum weft_status st = weft_bpe_load(ctx, "vocab.json", "merges.txt", &bpe);
    fuzz_check(ctx, st);
    if (st == WEFT_OK) weft_bpe_free(bpe);
    return 0;
}
