/* Plain text: the tokens of a whole file, its tail kept for validation. With the byte tokenizer the
 * mapped file is the token array. */
#include <stdlib.h>
#include <string.h>
#include "train/data.h"

static enum weft_status make_tokenizer(weft_ctx *ctx, const struct weft_data_options *o,
                                       const struct weft_file *text, struct weft_tokenizer *t) {
    if (o->tokenizer) return weft_tokenizer_copy(ctx, o->tokenizer, t);
    if (!o->tokens || strcmp(o->tokens, "byte") == 0) return weft_tokenizer_bytes(ctx, o->vocab, t);
    if (strcmp(o->tokens, "char") == 0)
        return weft_tokenizer_chars(ctx, o->path, (const char *)text->data, text->size, o->vocab,
                                    t);
    return weft_tokenizer_open(ctx, o->tokens, o->vocab, t);
}

enum weft_status weft_data_tokenizer(weft_ctx *ctx, const struct weft_data_options *o,
                                     const struct weft_file *text, struct weft_data *data) {
    const bool named =
        o->tokens && strcmp(o->tokens, "byte") != 0 && strcmp(o->tokens, "char") != 0;
    if (!text && !o->tokenizer && !named) return WEFT_OK;
    data->tokenizer = calloc(1, sizeof *data->tokenizer);
    if (!data->tokenizer) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory", o->path);
    return make_tokenizer(ctx, o, text, data->tokenizer);
}

static enum weft_status check_bytes(weft_ctx *ctx, const char *path, const struct weft_file *file,
                                    const struct weft_tokenizer *t) {
    for (size_t i = 0; t->size < 256 && i < file->size; i++) {
        if (file->data[i] >= t->size)
            return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                                 "%s: byte %zu is %u, not below --vocab %zu; a vocabulary of 256 "
                                 "takes any text",
                                 path, i, file->data[i], t->vocab);
    }
    return WEFT_OK;
}

enum weft_status weft_data_text(weft_ctx *ctx, const struct weft_data_options *o,
                                struct weft_data *data) {
    data->format = "text";
    data->files = calloc(1, sizeof *data->files);
    if (!data->files) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory", o->path);
    struct weft_file *file = data->files;
    enum weft_status st = weft_file_open(ctx, o->path, file);
    if (st != WEFT_OK) return st;
    data->n_files = 1;
    if (file->size == 0) return weft_ctx_fail(ctx, WEFT_ERR_FORMAT, "%s: is empty", o->path);
    data->bytes = file->size;
    data->hash = weft_hash(file->data, file->size, 0);
    st = weft_data_tokenizer(ctx, o, file, data);
    if (st != WEFT_OK) return st;
    data->vocab = data->tokenizer->vocab;
    size_t n = file->size;
    const char *tokens = (const char *)file->data;
    const bool bytes = data->tokenizer->kind == WEFT_TOKENS_BYTE;
    if (!bytes) {
        st = weft_tokenizer_encode(ctx, data->tokenizer, o->path, tokens, file->size,
                                   &data->encoded, &n);
        tokens = (const char *)data->encoded;
    } else {
        st = check_bytes(ctx, o->path, file, data->tokenizer);
    }
    data->width = bytes ? 1 : 2;
    const uint64_t val = (uint64_t)((double)n * o->val_fraction);
    if (st == WEFT_OK) st = weft_data_add_run(ctx, data, WEFT_SPLIT_TRAIN, tokens, n - val);
    if (st == WEFT_OK && o->val_fraction > 0)
        st = weft_data_add_run(ctx, data, WEFT_SPLIT_VAL, tokens + (n - val) * data->width, val);
    return st == WEFT_OK ? weft_data_cut_windows(ctx, o, data) : st;
}
