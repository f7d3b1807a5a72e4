#include "train/tokenizer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "train/atomic.h"
#include "train/bpe_files.h"
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
    *out = (struct weft_tokenizer){
        .kind = WEFT_TOKENS_BYTE, .size = vocab < 256 ? vocab : 256, .vocab = vocab, .end = -1};
    return WEFT_OK;
}

void weft_tokenizer_index(struct weft_tokenizer *t) {
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
    struct weft_tokenizer t = {.kind = WEFT_TOKENS_CHAR, .end = -1};
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
        weft_tokenizer_index(&t);
        *out = t;
    }
    free(seen);
    return st;
}

enum weft_status weft_tokenizer_copy(weft_ctx *ctx, const struct weft_tokenizer *t,
                                     struct weft_tokenizer *out) {
    struct weft_tokenizer copy = *t;
    if (t->kind == WEFT_TOKENS_BPE) weft_bpe_share(copy.bpe);
    if (t->kind == WEFT_TOKENS_CHAR) {
        copy.code = malloc((t->size + 1) * sizeof *t->code);
        if (!copy.code) return no_memory(ctx, "tokenizer");
        memcpy(copy.code, t->code, t->size * sizeof *t->code);
    }
    *out = copy;
    return WEFT_OK;
}

void weft_tokenizer_free(struct weft_tokenizer *t) {
    weft_bpe_free(t->bpe);
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
    enum weft_status st = WEFT_ERR_INTERNAL;
    if (!out) return no_memory(ctx, path);
    switch (t->kind) {
    case WEFT_TOKENS_BYTE: st = encode_bytes(ctx, t, path, text, size, out, n); break;
    case WEFT_TOKENS_CHAR: st = encode_chars(ctx, t, path, text, size, out, n); break;
    case WEFT_TOKENS_BPE: st = weft_bpe_encode(ctx, t->bpe, text, size, true, out, n); break;
    }
    if (st != WEFT_OK) {
        free(out);
        return st;
    }
    *tokens = out;
    return WEFT_OK;
}

const char *weft_tokenizer_piece(const struct weft_tokenizer *t, uint32_t token, char buf[4],
                                 size_t *size) {
    if (t->kind == WEFT_TOKENS_BPE) return weft_bpe_piece(t->bpe, token, size);
    *size = 0;
    if (token >= t->size) return buf;
    if (t->kind == WEFT_TOKENS_CHAR) {
        *size = weft_utf8_encode(t->code[token], buf);
    } else {
        buf[0] = (char)token;
        *size = 1;
    }
    return buf;
}

bool weft_tokenizer_same(const struct weft_tokenizer *a, const struct weft_tokenizer *b) {
    if (a->kind != b->kind || a->size != b->size || a->vocab != b->vocab) return false;
    if (a->kind == WEFT_TOKENS_CHAR)
        return memcmp(a->code, b->code, a->size * sizeof *a->code) == 0;
    if (a->kind == WEFT_TOKENS_BYTE || a->bpe == b->bpe) return true;
    const struct weft_bpe_parts *p = &a->bpe->parts, *q = &b->bpe->parts;
    return p->merges == q->merges && p->specials == q->specials &&
           memcmp(p->start, q->start, (p->size + 1) * sizeof *p->start) == 0 &&
           memcmp(p->text, q->text, p->start[p->size]) == 0 &&
           (p->merges == 0 || memcmp(p->merge, q->merge, p->merges * sizeof *p->merge) == 0) &&
           memcmp(p->special, q->special, p->specials * sizeof *p->special) == 0;
}

/* ---- BPE files ---- */

enum weft_status weft_tokenizer_of_bpe(weft_ctx *ctx, const char *path, struct weft_bpe *bpe,
                                       size_t vocab, struct weft_tokenizer *out) {
    const size_t size = bpe->parts.size;
    if (vocab == 0) vocab = size;
    if (vocab < size || vocab > WEFT_VOCAB_MAX) {
        weft_bpe_free(bpe);
        return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                             "%s: has %zu tokens; a vocabulary of %zu is not between that and %d",
                             path, size, vocab, WEFT_VOCAB_MAX);
    }
    *out = (struct weft_tokenizer){.kind = WEFT_TOKENS_BPE,
                                   .size = size,
                                   .vocab = vocab,
                                   .bpe = bpe,
                                   .end = weft_bpe_special(bpe, "<|endoftext|>")};
    return WEFT_OK;
}

/* The first of the names that is in the folder, to be freed; NULL: none. */
static char *find_file(const char *dir, const char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++) {
        char *path = weft_text("%s/%s", dir, names[i]);
        if (path && access(path, F_OK) == 0) return path;
        free(path);
    }
    return NULL;
}

static enum weft_status open_folder(weft_ctx *ctx, const char *dir, struct weft_tokenizer *out) {
    static const char *const all[] = {"tokenizer.json"};
    static const char *const vocabs[] = {"vocab.json", "encoder.json"};
    static const char *const merges[] = {"merges.txt", "vocab.bpe"};
    char *whole = find_file(dir, all, 1);
    char *vocab = find_file(dir, vocabs, 2), *merge = find_file(dir, merges, 2);
    struct weft_bpe *bpe = NULL;
    enum weft_status st;
    if (whole) {
        st = weft_tokenizer_load(ctx, whole, out);
    } else if (vocab && merge) {
        st = weft_bpe_load(ctx, vocab, merge, &bpe);
        if (st == WEFT_OK) st = weft_tokenizer_of_bpe(ctx, vocab, bpe, 0, out);
    } else {
        st = weft_ctx_fail(ctx, WEFT_ERR_IO,
                           "%s: has neither tokenizer.json nor vocab.json with merges.txt", dir);
    }
    free(whole);
    free(vocab);
    free(merge);
    return st;
}

enum weft_status weft_tokenizer_open(weft_ctx *ctx, const char *path, size_t vocab,
                                     struct weft_tokenizer *out) {
    struct stat info;
    if (stat(path, &info) != 0)
        return weft_ctx_fail(
            ctx, WEFT_ERR_IO,
            "%s: %s; a tokenizer is byte, char, or the path of tokenizer.json or of "
            "a folder with it, or with vocab.json and merges.txt",
            path, strerror(errno));
    struct weft_tokenizer t;
    enum weft_status st =
        S_ISDIR(info.st_mode) ? open_folder(ctx, path, &t) : weft_tokenizer_load(ctx, path, &t);
    if (st == WEFT_OK && vocab > 0 && (vocab < t.size || vocab > WEFT_VOCAB_MAX)) {
        st = weft_ctx_fail(ctx, WEFT_ERR_ARG,
                           "%s: has %zu tokens; a vocabulary of %zu is not between that and %d",
                           path, t.size, vocab, WEFT_VOCAB_MAX);
        weft_tokenizer_free(&t);
    }
    if (st != WEFT_OK) return st;
    if (vocab > 0) t.vocab = vocab;
    *out = t;
    return WEFT_OK;
}
