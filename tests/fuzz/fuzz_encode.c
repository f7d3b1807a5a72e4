/* Any bytes through a tokenizer and back, with the short cut for words and without. */
#include "tests/fuzz/fuzz.h"
#include "train/bpe_train.h"

static const char text[] =
    "It's the best of times, it was the worst of times; we'll see what they've got.\n\n    if (x "
    "== 10) "
    "{ return 2000; }\n\tna\xc3\xafve caf\xc3\xa9s \xe4\xb8\xad\xe6\x96\x87 "
    "\xf0\x9f\x8d\xb5\xf0\x9f\x8d\xb5 "
    "<|endoftext|> times times times what what see see aaaaaaaa bbbb    \n\n\n\n";

static void check_splits(weft_ctx *ctx, const struct weft_bpe *b, const char *data, size_t size) {
    struct weft_words a, c;
    if (weft_words_open(ctx, b->splitter, data, size, &a) != WEFT_OK) abort();
    if (weft_words_open(ctx, b->splitter, data, size, &c) != WEFT_OK) abort();
    c.plain = true;
    for (size_t n = 1; n > 0;) {
        size_t x = 0, y = 0;
        n = weft_words_next(&a, &x);
        if (n != weft_words_next(&c, &y) || x != y) abort();
    }
    weft_words_close(&a);
    weft_words_close(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct weft_bpe *bpe;
    weft_ctx *ctx = fuzz_ctx();
    const struct weft_bpe_training how = {
        .path = "t", .text = text, .size = strlen(text), .vocab = 400};
    if (!bpe && weft_bpe_train(ctx, &how, &bpe) != WEFT_OK) abort();
    uint16_t *token = malloc((size + 1) * sizeof *token);
    size_t n = 0, at = 0;
    if (!token ||
        weft_bpe_encode(ctx, bpe, (const char *)data, size, size % 2, token, &n) != WEFT_OK)
        abort();
    for (size_t i = 0; i < n; i++) {
        size_t length;
        const char *piece = weft_bpe_piece(bpe, token[i], &length);
        if (length == 0 || at + length > size || memcmp(piece, data + at, length) != 0) abort();
        at += length;
    }
    if (at != size) abort();
    if (size > 0) check_splits(ctx, bpe, (const char *)data, size);
    free(token);
    return 0;
}
