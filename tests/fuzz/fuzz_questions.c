/* Questions with endings, and stop strings: JSON lines and a JSON list. */
#include "tests/fuzz/fuzz.h"
#include "train/choices.h"
#include "train/writer_lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    weft_ctx *ctx = fuzz_ctx();
    struct weft_tokenizer t;
    struct weft_questions q = {.n = 0};
    struct weft_stops stops;
    if (weft_tokenizer_bytes(ctx, 256, &t) != WEFT_OK) abort();
    fuzz_put("q.jsonl", data, size);
    enum weft_status st = weft_questions_open(ctx, "q.jsonl", &t, 16, &q);
    fuzz_check(ctx, st);
    if (st == WEFT_OK && (q.n == 0 || q.longest > 17)) abort();
    weft_questions_close(&q);
    char *option = malloc(size + 1);
    if (!option) abort();
    memcpy(option, data, size);
    option[size] = '\0';
    st = weft_stops_parse(ctx, option, &stops);
    fuzz_check(ctx, st);
    if (st == WEFT_OK) weft_stops_free(&stops);
    free(option);
    return 0;
}
