#include "train/loaded.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "train/atomic.h"

static enum weft_status load_tokenizer(weft_ctx *ctx, const char *dir, struct weft_loaded *l) {
    char *path = weft_text("%s/tokenizer.json", dir);
    if (!path) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory", dir);
    enum weft_status st = WEFT_OK;
    if (access(path, F_OK) == 0 || errno != ENOENT) {
        st = weft_tokenizer_load(ctx, path, &l->own);
        if (st == WEFT_OK) l->tokenizer = &l->own;
        if (st == WEFT_OK && l->own.vocab != l->shape.gpt2.vocab)
            st = weft_ctx_fail(ctx, WEFT_ERR_FORMAT,
                               "%s has %zu tokens, but config.json beside it has vocab_size %zu",
                               path, l->own.vocab, l->shape.gpt2.vocab);
    }
    free(path);
    return st;
}

enum weft_status weft_loaded_open(weft_ctx *ctx, const char *dir,
                                  const struct weft_training *training, struct weft_loaded *out) {
    struct weft_loaded *l = out;
    *l = (struct weft_loaded){0};
    enum weft_status st = weft_checkpoint_shape(ctx, dir, &l->shape);
    if (st == WEFT_OK && l->shape.language) st = load_tokenizer(ctx, dir, l);
    if (st == WEFT_OK) st = weft_shape_create(ctx, &l->shape, training, &l->model);
    if (st == WEFT_OK) st = weft_model_commit(l->model);
    if (st == WEFT_OK) st = weft_checkpoint_weights(ctx, dir, l->model);
    if (st != WEFT_OK) weft_loaded_close(l);
    return st;
}

void weft_loaded_close(struct weft_loaded *loaded) {
    weft_model_free(loaded->model);
    if (loaded->tokenizer) weft_tokenizer_free(loaded->tokenizer);
    *loaded = (struct weft_loaded){0};
}
