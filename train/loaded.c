#include "train/loaded.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "train/atomic.h"
#include "train/weights.h"

bool weft_is_model_file(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

enum weft_status weft_loaded_shape(weft_ctx *ctx, const char *path, struct weft_shape *out) {
    if (!weft_is_model_file(path)) return weft_checkpoint_shape(ctx, path, out);
    struct weft_shape shape = {.language = true};
    const enum weft_status st = weft_gpt2_file_config(ctx, path, &shape.gpt2);
    if (st == WEFT_OK) *out = shape;
    return st;
}

enum weft_status weft_loaded_weights(weft_ctx *ctx, const char *path, weft_model *model) {
    return weft_is_model_file(path) ? weft_gpt2_file_read(path, model)
                                    : weft_weights_load(ctx, path, model);
}

/* Is there one in the folder? */
static bool has_tokenizer(const char *dir) {
    static const char *const names[] = {"tokenizer.json", "vocab.json", "encoder.json"};
    bool found = false;
    for (size_t i = 0; !found && i < sizeof names / sizeof *names; i++) {
        char *path = weft_text("%s/%s", dir, names[i]);
        found = path && (access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR));
        free(path);
    }
    return found;
}

enum weft_status weft_loaded_tokenizer(weft_ctx *ctx, const char *path, const char *tokenizer,
                                       size_t vocab, struct weft_tokenizer **out) {
    struct weft_tokenizer *t = calloc(1, sizeof *t);
    enum weft_status st = WEFT_OK;
    *out = NULL;
    if (!t) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory", path);
    const char *from = tokenizer ? tokenizer : path;
    if (tokenizer && strcmp(tokenizer, "byte") == 0) {
        st = weft_tokenizer_bytes(ctx, vocab, t);
    } else if (tokenizer || (!weft_is_model_file(path) && has_tokenizer(path))) {
        st = weft_tokenizer_open(ctx, from, 0, t);
        if (st == WEFT_OK && t->kind == WEFT_TOKENS_BPE && t->size <= vocab) t->vocab = vocab;
        if (st == WEFT_OK && t->vocab != vocab)
            st = weft_ctx_fail(
                ctx, WEFT_ERR_FORMAT,
                "%s: the tokenizer has %zu tokens, but the model in %s has a vocabulary "
                "of %zu",
                from, t->vocab, path, vocab);
    } else {
        free(t);
        return WEFT_OK;
    }
    if (st != WEFT_OK) {
        weft_tokenizer_free(t);
        free(t);
        return st;
    }
    *out = t;
    return WEFT_OK;
}

enum weft_status weft_loaded_open(weft_ctx *ctx, const char *path, const char *tokenizer,
                                  const struct weft_training *training, struct weft_loaded *out) {
    struct weft_loaded *l = out;
    *l = (struct weft_loaded){0};
    enum weft_status st = weft_loaded_shape(ctx, path, &l->shape);
    if (st == WEFT_OK && l->shape.language)
        st = weft_loaded_tokenizer(ctx, path, tokenizer, l->shape.gpt2.vocab, &l->tokenizer);
    if (st == WEFT_OK) st = weft_shape_create(ctx, &l->shape, training, &l->model);
    if (st == WEFT_OK) st = weft_model_commit(l->model);
    if (st == WEFT_OK) st = weft_loaded_weights(ctx, path, l->model);
    if (st != WEFT_OK) weft_loaded_close(l);
    return st;
}

/* ---- --init-from ---- */

static enum weft_status adopt(weft_ctx *ctx, struct weft_options *o, enum weft_option_id id,
                              const char *text) {
    char name[WEFT_OPTION_NAME], now[4096];
    if (weft_options_given(o, id) && strcmp(weft_options_text(o, id, now, sizeof now), text) != 0)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                             "--%s is %s, but the model in %s has %s: leave the "
                             "option out",
                             weft_option_spell(id, name), now, o->init_from, text);
    const enum weft_status st = weft_options_set(o, id, text, WEFT_FROM_CONFIG);
    return st == WEFT_OK ? st : weft_ctx_fail(ctx, st, "%s: %s", o->init_from, o->message);
}

static enum weft_status adopt_shape(weft_ctx *ctx, struct weft_options *o,
                                    const struct weft_gpt2_config *c) {
    const struct {
        enum weft_option_id id;
        size_t value;
    } sizes[] = {{WEFT_OPT_layers, c->layers},
                 {WEFT_OPT_heads, c->heads},
                 {WEFT_OPT_width, c->width},
                 {WEFT_OPT_context, c->context},
                 {WEFT_OPT_vocab, c->vocab}};
    char text[WEFT_REAL_TEXT];
    enum weft_status st = WEFT_OK;
    for (size_t i = 0; st == WEFT_OK && i < sizeof sizes / sizeof *sizes; i++) {
        snprintf(text, sizeof text, "%zu", sizes[i].value);
        st = adopt(ctx, o, sizes[i].id, text);
    }
    weft_real_text(c->norm_eps > 0 ? c->norm_eps : 1e-5, text);
    if (st == WEFT_OK) st = adopt(ctx, o, WEFT_OPT_norm_eps, text);
    if (st == WEFT_OK) st = adopt(ctx, o, WEFT_OPT_activation, c->act ? c->act : "gelu_tanh");
    if (st == WEFT_OK) st = adopt(ctx, o, WEFT_OPT_norm, c->norm ? c->norm : "pre");
    return st == WEFT_OK && c->untied ? adopt(ctx, o, WEFT_OPT_untied, "true") : st;
}

enum weft_status weft_settings_adopt(weft_ctx *ctx, struct weft_options *o) {
    struct weft_shape shape;
    enum weft_status st = weft_loaded_shape(ctx, o->init_from, &shape);
    if (st == WEFT_OK && !shape.language)
        st = weft_ctx_fail(ctx, WEFT_ERR_ARG, "%s: is not a language model", o->init_from);
    if (st == WEFT_OK) st = adopt_shape(ctx, o, &shape.gpt2);
    if (st == WEFT_OK && !weft_options_given(o, WEFT_OPT_tokenizer) &&
        !weft_is_model_file(o->init_from) && has_tokenizer(o->init_from))
        st = weft_options_set(o, WEFT_OPT_tokenizer, o->init_from, WEFT_FROM_CONFIG);
    return st;
}

void weft_loaded_close(struct weft_loaded *loaded) {
    weft_model_free(loaded->model);
    if (loaded->tokenizer) weft_tokenizer_free(loaded->tokenizer);
    free(loaded->tokenizer);
    *loaded = (struct weft_loaded){0};
}
