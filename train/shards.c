#include "train/shards.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "train/atomic.h"

#define HEADER 1024
#define MAGIC  20240520u
#define CHUNK  32768 /* tokens */

/* Where tokens come from: the runs of a split, one after the other. */
struct cursor {
    const struct weft_data *data;
    enum weft_split split;
    size_t run;
    uint64_t at;
};

/* The next tokens, as many as there are and at most n. */
static size_t take(struct cursor *c, uint16_t *to, size_t n) {
    size_t got = 0;
    while (got < n && c->run < c->data->n_runs[c->split]) {
        const struct weft_token_run *run = &c->data->runs[c->split][c->run];
        const uint8_t *bytes = run->tokens;
        const uint16_t *words = run->tokens;
        for (; got < n && c->at < run->n; c->at++)
            to[got++] = c->data->width == 1 ? bytes[c->at] : words[c->at];
        if (c->at < run->n) break;
        c->run++;
        c->at = 0;
    }
    return got;
}

static void put_header(struct weft_out *out, uint64_t n) {
    unsigned char header[HEADER] = {0};
    const uint32_t field[3] = {MAGIC, 1, (uint32_t)n};
    for (size_t i = 0; i < sizeof field; i++)
        header[i] = (unsigned char)(field[i / 4] >> 8 * (i % 4));
    weft_out_write(out, header, sizeof header);
}

static enum weft_status write_file(weft_ctx *ctx, const char *path, struct cursor *c, uint64_t n,
                                   bool llmc) {
    struct weft_out out;
    uint16_t *chunk = malloc(CHUNK * sizeof *chunk);
    if (!chunk) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory", path);
    enum weft_status st = weft_out_open(ctx, path, &out);
    if (st == WEFT_OK) {
        if (llmc) put_header(&out, n);
        for (uint64_t left = n; left > 0;) {
            const size_t got = take(c, chunk, left < CHUNK ? (size_t)left : CHUNK);
            weft_out_write(&out, chunk, got * sizeof *chunk);
            left -= got;
        }
        st = weft_out_commit(&out);
    }
    free(chunk);
    return st;
}

static enum weft_status write_split(weft_ctx *ctx, const struct weft_data *data,
                                    enum weft_split split, const char *dir, bool llmc,
                                    uint64_t shard_tokens) {
    const char *what = split == WEFT_SPLIT_VAL ? "val" : "train";
    struct cursor c = {.data = data, .split = split};
    uint64_t number = split == WEFT_SPLIT_VAL ? 0 : 1; // as llm.c numbers its own
    enum weft_status st = WEFT_OK;
    for (uint64_t left = data->tokens[split]; st == WEFT_OK && left > 0; number++) {
        const uint64_t n = llmc && shard_tokens < left ? shard_tokens : left;
        char *path = llmc ? weft_text("%s/weft_%s_%06" PRIu64 ".bin", dir, what, number)
                          : weft_text("%s/%s.bin", dir, what);
        st = path ? write_file(ctx, path, &c, n, llmc)
                  : weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory", dir);
        free(path);
        left -= n;
    }
    return st;
}

enum weft_status weft_shards_write(weft_ctx *ctx, const struct weft_data *data, const char *dir,
                                   bool llmc, uint64_t shard_tokens) {
    if (shard_tokens == 0 || shard_tokens > INT32_MAX) shard_tokens = INT32_MAX;
    enum weft_status st = weft_make_folder(ctx, dir);
    if (st == WEFT_OK) st = write_split(ctx, data, WEFT_SPLIT_TRAIN, dir, llmc, shard_tokens);
    if (st == WEFT_OK) st = write_split(ctx, data, WEFT_SPLIT_VAL, dir, llmc, shard_tokens);
    if (st == WEFT_OK && data->tokenizer) st = weft_tokenizer_save(ctx, dir, data->tokenizer);
    return st;
}

enum weft_status weft_shards_text(weft_ctx *ctx, const struct weft_data *data, const char *path) {
    struct weft_out out;
    if (!data->tokenizer)
        return weft_ctx_fail(ctx, WEFT_ERR_STATE,
                             "the files do not say whose tokens they have: give --tokenizer");
    enum weft_status st = weft_out_open(ctx, path, &out);
    if (st != WEFT_OK) return st;
    char text[1 << 16];
    size_t held = 0;
    for (enum weft_split s = WEFT_SPLIT_TRAIN; s <= WEFT_SPLIT_VAL; s++) {
        struct cursor c = {.data = data, .split = s};
        uint16_t token[1024];
        for (size_t n; (n = take(&c, token, 1024)) > 0;)
            for (size_t i = 0; i < n; i++) {
                char buf[4];
                size_t size;
                const char *piece = weft_tokenizer_piece(data->tokenizer, token[i], buf, &size);
                if (size > sizeof text - held) {
                    weft_out_write(&out, text, held);
                    held = 0;
                }
                memcpy(text + held, piece, size); // a token has at most 65535 bytes
                held += size;
            }
    }
    weft_out_write(&out, text, held);
    return weft_out_commit(&out);
}
