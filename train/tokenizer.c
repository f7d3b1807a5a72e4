#include "train/tokenizer.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "train/utf8.h"

#define CODES 0x110000u

static enum weft_status no_memory(weft_ctx *ctx, const char *path) {
    return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory while reading text", path);
}

static enum weft_status not_utf8(weft_ctx *ctx, const char *path, size_t at) {
    return weft_ctx_fail(
        ctx, WEFT_ERR_FORMAT,
        "%s: byte %zu is not valid UTF-8; use --tokenizer byte, or convert the file", path, at);
}

enum weft_status weft_tokenizer_bytes(weft_ctx *ctx, size_t vocab, struct weft_tokenizer *out) {
    if (vocab > WEFT_VOCAB_MAX)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG, "a vocabulary of %zu is above the limit of %d",
                             vocab, WEFT_VOCAB_MAX);
    if (vocab == 0) vocab = 256;
    *out = (struct weft_tokenizer){.size = vocab < 256 ? vocab : 256, .vocab = vocab};
    return WEFT_OK;
}

static void index_ascii(struct weft_tokenizer *t) {
    for (size_t i = 0; i < 128; i++) t->ascii[i] = (uint16_t)t->size;
    for (size_t i = 0; i < t->size && t->code[i] < 128; i++) t->ascii[t->code[i]] = (uint16_t)i;
}

/* Mark every code point of the text in seen, a bit each; count the distinct ones. */
static enum weft_status mark_codes(weft_ctx *ctx, const char *path, const char *text, size_t size,
                                   uint8_t *seen, size_t *count) {
    for (size_t at = 0, n; at < size; at += n) {
        uint32_t code;
        n = weft_utf8_decode(text + at, size - at, &code);
        if (n == 0) return not_utf8(ctx, path, at);
        if (code == 0)
            return weft_ctx_fail(ctx, WEFT_ERR_FORMAT,
                                 "%s: byte %zu is zero: this is no text; use --tokenizer byte",
                                 path, at);
        *count += !(seen[code / 8] >> code % 8 & 1);
        seen[code / 8] |= (uint8_t)(1u << code % 8);
    }
    return WEFT_OK;
}

enum weft_status weft_tokenizer_chars(weft_ctx *ctx, const char *path, const char *text,
                                      size_t size, size_t vocab, struct weft_tokenizer *out) {
    struct weft_tokenizer t = {.chars = true};
    uint8_t *seen = calloc(CODES / 8, 1);
    if (!seen) return no_memory(ctx, path);
    enum weft_status st = mark_codes(ctx, path, text, size, seen, &t.size);
    t.vocab = vocab ? vocab : t.size;
    if (st == WEFT_OK && t.size > t.vocab) {
        st = weft_ctx_fail(ctx, WEFT_ERR_ARG,
                           "%s: has %zu distinct characters, more than --vocab %zu", path, t.size,
                           vocab);
    } else if (st == WEFT_OK && (t.vocab > WEFT_VOCAB_MAX || t.vocab == 0)) {
        st = weft_ctx_fail(ctx, WEFT_ERR_ARG, "%s: a vocabulary of %zu is not between 1 and %d",
                           path, t.vocab, WEFT_VOCAB_MAX);
    }
    if (st == WEFT_OK) {
        t.code = malloc((t.size + 1) * sizeof *t.code);
        if (!t.code) st = no_memory(ctx, path);
    }
    if (st == WEFT_OK) {
        size_t n = 0;
        for (uint32_t c = 0; c < CODES; c++) {
            if (seen[c / 8] >> c % 8 & 1) t.code[n++] = c;
        }
        index_ascii(&t);
        *out = t;
    }
    free(seen);
    return st;
}

enum weft_status weft_tokenizer_copy(weft_ctx *ctx, const struct weft_tokenizer *t,
                                     struct weft_tokenizer *out) {
    struct weft_tokenizer copy = *t;
    if (t->chars) {
        copy.code = malloc((t->size + 1) * sizeof *t->code);
        if (!copy.code) return no_memory(ctx, "tokenizer");
        memcpy(copy.code, t->code, t->size * sizeof *t->code);
    }
    *out = copy;
    return WEFT_OK;
}

void weft_tokenizer_free(struct weft_tokenizer *t) {
    free(t->code);
    *t = (struct weft_tokenizer){0};
}

/* ---- tokens ---- */

/* The token of a code point, or size. */
static size_t find_code(const struct weft_tokenizer *t, uint32_t code) {
    if (code < 128) return t->ascii[code];
    size_t lo = 0, hi = t->size;
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        if (t->code[mid] < code) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < t->size && t->code[lo] == code ? lo : t->size;
}

static enum weft_status encode_chars(weft_ctx *ctx, const struct weft_tokenizer *t,
                                     const char *path, const char *text, size_t size,
                                     uint16_t *tokens, size_t *count) {
    size_t n = 0;
    for (size_t at = 0, length; at < size; at += length) {
        uint32_t code;
        length = weft_utf8_decode(text + at, size - at, &code);
        if (length == 0) return not_utf8(ctx, path, at);
        const size_t token = find_code(t, code);
        if (token == t->size)
            return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                                 "%s: character U+%04" PRIX32
                                 " at byte %zu is not among the %zu of "
                                 "the tokenizer",
                                 path, code, at, t->size);
        tokens[n++] = (uint16_t)token;
    }
    *count = n;
    return WEFT_OK;
}

static enum weft_status encode_bytes(weft_ctx *ctx, const struct weft_tokenizer *t,
                                     const char *path, const char *text, size_t size,
                                     uint16_t *tokens, size_t *count) {
    for (size_t i = 0; i < size; i++) {
        const unsigned char byte = (unsigned char)text[i];
        if (byte >= t->size)
            return weft_ctx_fail(ctx, WEFT_ERR_ARG, "%s: byte %zu is %u, not below --vocab %zu",
                                 path, i, byte, t->vocab);
        tokens[i] = byte;
    }
    *count = size;
    return WEFT_OK;
}

enum weft_status weft_tokenizer_encode(weft_ctx *ctx, const struct weft_tokenizer *t,
                                       const char *path, const char *text, size_t size,
                                       uint16_t **tokens, size_t *n) {
    uint16_t *out = malloc((size + 1) * sizeof *out);
    if (!out) return no_memory(ctx, path);
    const enum weft_status st = t->chars ? encode_chars(ctx, t, path, text, size, out, n)
                                         : encode_bytes(ctx, t, path, text, size, out, n);
    if (st != WEFT_OK) {
        free(out);
        return st;
    }
    *tokens = out;
    return WEFT_OK;
}

size_t weft_tokenizer_decode(const struct weft_tokenizer *t, uint32_t token, char out[4]) {
    if (token >= t->size) return 0;
    if (t->chars) return weft_utf8_encode(t->code[token], out);
    out[0] = (char)token;
    return 1;
}

/* ---- tokenizer.json ---- */

void weft_tokenizer_write(const struct weft_tokenizer *t, struct weft_json *j) {
    j->pretty = true;
    weft_json_open(j, NULL, '{');
    weft_json_text(j, "version", "1.0");
    weft_json_open(j, "model", '{');
    weft_json_text(j, "type", t->chars ? "WeftChar" : "WeftByte");
    weft_json_count(j, "vocab_size", t->vocab);
    if (t->chars) {
        weft_json_open(j, "vocab", '{');
        for (size_t i = 0; i < t->size; i++) {
            char text[5] = {0};
            weft_utf8_encode(t->code[i], text);
            weft_json_count(j, text, i);
        }
    }
    weft_json_end(j);
}

static enum weft_status bad_file(weft_ctx *ctx, const char *path, const char *what) {
    return weft_ctx_fail(ctx, WEFT_ERR_FORMAT,
                         "%s: %s; the file is damaged or not a tokenizer of weft", path, what);
}

static enum weft_status parse_chars(weft_ctx *ctx, const char *path, const json_t *vocab,
                                    struct weft_tokenizer *t) {
    t->size = json_object_size(vocab);
    if (t->size == 0 || t->size > t->vocab) return bad_file(ctx, path, "vocab has no valid size");
    t->code = calloc(t->size, sizeof *t->code);
    if (!t->code) return no_memory(ctx, path);
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
    index_ascii(t);
    return WEFT_OK;
}

static enum weft_status parse(weft_ctx *ctx, const char *path, const json_t *root,
                              struct weft_tokenizer *t) {
    const json_t *model = json_object_get(root, "model");
    const char *type = json_string_value(json_object_get(model, "type"));
    const json_int_t vocab = json_integer_value(json_object_get(model, "vocab_size"));
    if (vocab < 1 || vocab > WEFT_VOCAB_MAX) return bad_file(ctx, path, "vocab_size is not valid");
    if (type && strcmp(type, "WeftByte") == 0) return weft_tokenizer_bytes(ctx, (size_t)vocab, t);
    if (!type || strcmp(type, "WeftChar") != 0) return bad_file(ctx, path, "the type is unknown");
    t->chars = true;
    t->vocab = (size_t)vocab;
    return parse_chars(ctx, path, json_object_get(model, "vocab"), t);
}

enum weft_status weft_tokenizer_load(weft_ctx *ctx, const char *path, struct weft_tokenizer *out) {
    json_error_t error;
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return weft_ctx_fail(ctx, error.line < 0 ? WEFT_ERR_IO : WEFT_ERR_FORMAT, "%s: %s", path,
                             error.text);
    struct weft_tokenizer t = {0};
    const enum weft_status st = parse(ctx, path, root, &t);
    json_decref(root);
    if (st != WEFT_OK) {
        weft_tokenizer_free(&t);
        return st;
    }
    *out = t;
    return WEFT_OK;
}
