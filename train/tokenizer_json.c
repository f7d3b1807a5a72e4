/* tokenizer.json and its neighbours, read and written. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "train/atomic.h"
#include "train/bpe_bytes.h"
#include "train/bpe_files.h"
#include "train/json_in.h"
#include "train/tokenizer.h"
#include "train/utf8.h"

#define FILE_MOST ((size_t)64 << 20)

/* ---- writing ---- */

static void open_document(struct weft_json *j) {
    j->pretty = true;
    weft_json_open(j, NULL, '{');
    weft_json_text(j, "version", "1.0");
    weft_json_text(j, "truncation", NULL);
    weft_json_text(j, "padding", NULL);
    weft_json_open(j, "added_tokens", '[');
    weft_json_close(j);
    weft_json_text(j, "normalizer", NULL);
}

static void put_bytes(struct weft_json *j, const char *key) {
    weft_json_open(j, key, '{');
    weft_json_text(j, "type", "ByteLevel");
    weft_json_bool(j, "add_prefix_space", false);
    weft_json_bool(j, "trim_offsets", false);
    weft_json_bool(j, "use_regex", false);
    weft_json_close(j);
}

/* Bytes are a byte-pair encoding without merges. */
static void write_bytes(const struct weft_tokenizer *t, struct weft_json *j) {
    open_document(j);
    put_bytes(j, "pre_tokenizer");
    weft_json_text(j, "post_processor", NULL);
    put_bytes(j, "decoder");
    weft_json_open(j, "model", '{');
    weft_json_text(j, "type", "BPE");
    weft_json_text(j, "weft", "byte");
    weft_json_count(j, "vocab_size", t->vocab);
    weft_json_open(j, "vocab", '{');
    for (unsigned i = 0; i < t->size; i++) {
        char text[5] = {0};
        weft_utf8_encode(weft_byte_char(i), text);
        weft_json_count(j, text, i);
    }
    weft_json_close(j);
    weft_json_open(j, "merges", '[');
    weft_json_close(j);
}

/* Characters are words of one character. */
static void write_chars(const struct weft_tokenizer *t, struct weft_json *j) {
    open_document(j);
    weft_json_open(j, "pre_tokenizer", '{');
    weft_json_text(j, "type", "Split");
    weft_json_open(j, "pattern", '{');
    weft_json_text(j, "Regex", "[\\s\\S]");
    weft_json_close(j);
    weft_json_text(j, "behavior", "Isolated");
    weft_json_bool(j, "invert", false);
    weft_json_close(j);
    weft_json_text(j, "post_processor", NULL);
    weft_json_open(j, "decoder", '{');
    weft_json_text(j, "type", "Fuse");
    weft_json_close(j);
    weft_json_open(j, "model", '{');
    weft_json_text(j, "type", "WordLevel");
    weft_json_text(j, "weft", "char");
    weft_json_count(j, "vocab_size", t->vocab);
    weft_json_open(j, "vocab", '{');
    for (size_t i = 0; i < t->size; i++) {
        char text[5] = {0};
        weft_utf8_encode(t->code[i], text);
        weft_json_count(j, text, i);
    }
    weft_json_close(j);
    weft_json_text(j, "unk_token", "<unk>"); // must be there; no text has it
}

void weft_tokenizer_write(const struct weft_tokenizer *t, struct weft_json *j) {
    switch (t->kind) {
    case WEFT_TOKENS_BYTE: write_bytes(t, j); break;
    case WEFT_TOKENS_CHAR: write_chars(t, j); break;
    case WEFT_TOKENS_BPE: weft_bpe_write(t->bpe, j); break;
    }
    while (j->depth > 2) weft_json_close(j);
    weft_json_seal(j); /* in the model: other readers refuse unknown members of the document */
    weft_json_end(j);
}

/* Writes and frees. */
static enum weft_status save(weft_ctx *ctx, const char *dir, const char *name,
                             struct weft_json *j) {
    char *path = weft_text("%s/%s", dir, name);
    const enum weft_status st =
        j->failed || !path
            ? weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory for a tokenizer", dir)
            : weft_write_file(ctx, path, j->data, j->size);
    free(path);
    weft_json_free(j);
    return st;
}

static enum weft_status save_config(weft_ctx *ctx, const char *dir,
                                    const struct weft_tokenizer *t) {
    const bool gpt2 = t->kind == WEFT_TOKENS_BPE && t->end >= 0;
    struct weft_json j = {.pretty = true};
    weft_json_open(&j, NULL, '{');
    weft_json_bool(&j, "add_prefix_space", false);
    if (t->end >= 0) weft_json_text(&j, "bos_token", "<|endoftext|>");
    weft_json_bool(&j, "clean_up_tokenization_spaces", false);
    if (t->end >= 0) weft_json_text(&j, "eos_token", "<|endoftext|>");
    weft_json_text(&j, "tokenizer_class", gpt2 ? "GPT2Tokenizer" : "PreTrainedTokenizerFast");
    if (gpt2) weft_json_text(&j, "unk_token", "<|endoftext|>");
    weft_json_end(&j);
    return save(ctx, dir, "tokenizer_config.json", &j);
}

static enum weft_status save_merges(weft_ctx *ctx, const char *dir, const struct weft_bpe *bpe) {
    size_t size;
    char *path = weft_text("%s/merges.txt", dir), *text = weft_bpe_write_merges(bpe, &size);
    const enum weft_status st =
        path && text ? weft_write_file(ctx, path, text, size)
                     : weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory for a tokenizer", dir);
    free(path);
    free(text);
    return st;
}

enum weft_status weft_tokenizer_save(weft_ctx *ctx, const char *dir,
                                     const struct weft_tokenizer *t) {
    struct weft_json j = {.pretty = true}, vocab = {.pretty = true};
    weft_tokenizer_write(t, &j);
    enum weft_status st = save(ctx, dir, "tokenizer.json", &j);
    if (st == WEFT_OK) st = save_config(ctx, dir, t);
    if (st != WEFT_OK || t->kind != WEFT_TOKENS_BPE) return st;
    weft_bpe_write_vocab(t->bpe, &vocab);
    st = save(ctx, dir, "vocab.json", &vocab);
    return st == WEFT_OK ? save_merges(ctx, dir, t->bpe) : st;
}

/* ---- reading ---- */

static enum weft_status bad_file(weft_ctx *ctx, const char *path, const char *what) {
    return weft_ctx_fail(ctx, WEFT_ERR_FORMAT,
                         "%s: %s; the file is damaged or not a tokenizer that weft knows", path,
                         what);
}

static enum weft_status parse_chars(weft_ctx *ctx, const char *path, const json_t *vocab,
                                    struct weft_tokenizer *t) {
    t->size = json_object_size(vocab);
    if (t->size == 0 || t->size > t->vocab) return bad_file(ctx, path, "vocab has no valid size");
    t->code = calloc(t->size, sizeof *t->code);
    if (!t->code) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory", path);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)vocab, key, value) {
        uint32_t code;
        const size_t n = strlen(key);
        const json_int_t token = json_is_integer(value) ? json_integer_value(value) : -1;
        if (n == 0 || weft_utf8_decode(key, n, &code) != n)
            return bad_file(ctx, path, "an entry of vocab is not one character");
        if (token < 0 || (size_t)token >= t->size || t->code[token] != 0)
            return bad_file(ctx, path, "tokens are not 0, 1, 2, ... in some order");
        t->code[token] = code;
    }
    for (size_t i = 1; i < t->size; i++) {
        if (t->code[i - 1] >= t->code[i])
            return bad_file(ctx, path, "characters are not in the order of their tokens");
    }
    weft_tokenizer_index(t);
    return WEFT_OK;
}

/* "byte" and "char" of ours, also by the types that older files have; "bpe"; NULL. */
static const char *kind_of(const json_t *model) {
    const char *type = json_string_value(json_object_get(model, "type"));
    const char *ours = json_string_value(json_object_get(model, "weft"));
    if (ours) return ours;
    if (!type) return json_object_get(model, "merges") ? "bpe" : NULL;
    return !strcmp(type, "WeftByte")   ? "byte"
           : !strcmp(type, "WeftChar") ? "char"
           : !strcmp(type, "BPE")      ? "bpe"
                                       : NULL;
}

static enum weft_status parse(weft_ctx *ctx, const char *path, const json_t *root,
                              struct weft_tokenizer *t) {
    const json_t *model = json_object_get(root, "model");
    const char *kind = kind_of(model);
    if (!kind) return bad_file(ctx, path, "the type is unknown");
    if (!strcmp(kind, "bpe")) {
        struct weft_bpe *bpe = NULL;
        const enum weft_status st = weft_bpe_parse(ctx, path, root, &bpe);
        return st == WEFT_OK ? weft_tokenizer_of_bpe(ctx, path, bpe, 0, t) : st;
    }
    const json_int_t vocab = json_integer_value(json_object_get(model, "vocab_size"));
    if (vocab < 1 || vocab > WEFT_VOCAB_MAX) return bad_file(ctx, path, "vocab_size is not valid");
    if (!strcmp(kind, "byte")) return weft_tokenizer_bytes(ctx, (size_t)vocab, t);
    if (strcmp(kind, "char") != 0) return bad_file(ctx, path, "the type is unknown");
    *t = (struct weft_tokenizer){.kind = WEFT_TOKENS_CHAR, .vocab = (size_t)vocab, .end = -1};
    return parse_chars(ctx, path, json_object_get(model, "vocab"), t);
}

enum weft_status weft_tokenizer_load(weft_ctx *ctx, const char *path, struct weft_tokenizer *out) {
    json_t *root = NULL;
    struct weft_tokenizer t = {.end = -1};
    enum weft_status st = weft_json_read(ctx, path, FILE_MOST, &root);
    if (st == WEFT_OK) st = parse(ctx, path, root, &t);
    json_decref(root);
    if (st != WEFT_OK) {
        weft_tokenizer_free(&t);
        return st;
    }
    *out = t;
    return WEFT_OK;
}
