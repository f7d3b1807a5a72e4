/* What the parity scripts ask of weft, over pipes: a record in, a record out, each a 32-bit length
 * and so many items.
 *
 *   encode TOKENIZER special|plain   bytes in, 16-bit tokens out
 *   logits MODEL                     32-bit tokens in, the logits after the last one out */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/bpe.h"
#include "train/loaded.h"

static int fail(weft_ctx *ctx) {
    fprintf(stderr, "parity_tool: %s\n", weft_ctx_message(ctx));
    return 1;
}

/* The next record, in *buffer, which grows; false at the end. */
static bool read_record(void **buffer, size_t item, uint32_t *n) {
    if (fread(n, sizeof *n, 1, stdin) != 1) return false;
    void *more = realloc(*buffer, (*n + 1) * item);
    if (!more) return false;
    *buffer = more;
    return fread(*buffer, item, *n, stdin) == *n;
}

static bool write_record(const void *items, size_t item, size_t n) {
    const uint32_t size = (uint32_t)n;
    return fwrite(&size, sizeof size, 1, stdout) == 1 && fwrite(items, item, n, stdout) == n &&
           fflush(stdout) == 0;
}

static int encode(weft_ctx *ctx, const char *path, bool special) {
    struct weft_tokenizer t;
    void *text = NULL;
    uint32_t size;
    if (weft_tokenizer_open(ctx, path, 0, &t) != WEFT_OK || t.kind != WEFT_TOKENS_BPE)
        return fail(ctx);
    while (read_record(&text, 1, &size)) {
        size_t n;
        uint16_t *tokens = malloc((size + 1) * sizeof *tokens);
        if (!tokens || weft_bpe_encode(ctx, t.bpe, text, size, special, tokens, &n) != WEFT_OK ||
            !write_record(tokens, sizeof *tokens, n))
            return fail(ctx);
        free(tokens);
    }
    free(text);
    weft_tokenizer_free(&t);
    return 0;
}

static int logits(weft_ctx *ctx, const char *path) {
    struct weft_loaded l;
    void *tokens = NULL;
    uint32_t n;
    if (weft_loaded_open(ctx, path, NULL, NULL, &l) != WEFT_OK) return fail(ctx);
    float *out = malloc(l.shape.gpt2.vocab * sizeof *out);
    while (out && read_record(&tokens, sizeof(int32_t), &n))
        if (weft_model_infer(l.model, tokens, n, 0, out) != WEFT_OK ||
            !write_record(out, sizeof *out, l.shape.gpt2.vocab))
            return fail(ctx);
    free(out);
    free(tokens);
    weft_loaded_close(&l);
    return 0;
}

int main(int argc, char **argv) {
    weft_ctx *ctx = NULL;
    if (weft_ctx_create(NULL, &ctx) != WEFT_OK) return 1;
    int code = 2;
    if (argc == 4 && !strcmp(argv[1], "encode"))
        code = encode(ctx, argv[2], !strcmp(argv[3], "special"));
    else if (argc == 3 && !strcmp(argv[1], "logits"))
        code = logits(ctx, argv[2]);
    else
        fputs("usage: parity_tool encode TOKENIZER special|plain | logits MODEL\n", stderr);
    weft_ctx_free(ctx);
    return code;
}
