/* Token files: uint16, little-endian, either bare (nanoGPT) or after a header of 256 int32 (llm.c:
 * magic, version, number of tokens). One file, whose tail is kept for validation, or a folder of
 * shards that have "train" or "val" in their names, taken in the order of their names. */
#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "train/atomic.h"
#include "train/data.h"

#define HEADER      1024u
#define MAGIC_GPT2  20240520u
#define MAGIC_LLAMA 20240801u

static uint32_t word(const struct weft_file *file, size_t i) {
    const uint8_t *b = file->data + 4 * i;
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* Where the tokens of a mapped file are. */
static enum weft_status find_tokens(weft_ctx *ctx, const char *path, const struct weft_file *file,
                                    const char **format, struct weft_token_run *run) {
    const uint32_t magic = file->size >= 4 ? word(file, 0) : 0;
    size_t start = 0;
    *format = "raw tokens";
    if (magic == MAGIC_LLAMA)
        return weft_ctx_fail(ctx, WEFT_ERR_VERSION,
                             "%s: has 32-bit tokens (Llama 3); weft reads 16-bit ones", path);
    if (magic == MAGIC_GPT2) {
        *format = "llm.c shards";
        if (file->size < HEADER)
            return weft_ctx_fail(ctx, WEFT_ERR_FORMAT, "%s: ends inside its header of %u bytes",
                                 path, HEADER);
        if (word(file, 1) != 1)
            return weft_ctx_fail(ctx, WEFT_ERR_VERSION,
                                 "%s: is version %" PRIu32 " of the format; weft reads version 1",
                                 path, word(file, 1));
        start = HEADER;
        const uint64_t says = word(file, 2), has = (file->size - HEADER) / 2;
        if (says != has || file->size % 2)
            return weft_ctx_fail(ctx, WEFT_ERR_FORMAT,
                                 "%s: the header says %" PRIu64 " tokens, but there are %" PRIu64
                                 "; the file is truncated or damaged",
                                 path, says, has);
    }
    if (file->size % 2 || file->size == start)
        return weft_ctx_fail(ctx, WEFT_ERR_FORMAT,
                             "%s: %zu bytes are not a whole, positive number of 16-bit tokens",
                             path, file->size - start);
    *run = (struct weft_token_run){.tokens = file->data + start, .n = (file->size - start) / 2};
    return WEFT_OK;
}

static enum weft_status check_tokens(weft_ctx *ctx, const char *path,
                                     const struct weft_token_run *run, size_t vocab,
                                     size_t *largest) {
    const uint16_t *tokens = run->tokens; // starts on an even byte of a mapped page
    for (uint64_t i = 0; i < run->n; i++) {
        if (tokens[i] <= *largest) continue;
        *largest = tokens[i];
        if (vocab > 0 && tokens[i] >= vocab)
            return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                                 "%s: token %u at position %" PRIu64 " is not below the vocabulary "
                                 "(%zu); raise --vocab",
                                 path, tokens[i], i, vocab);
    }
    return WEFT_OK;
}

/* Open one file and add its tokens to a split; val > 0 gives that share of its tail to validation.
 */
static enum weft_status add_file(weft_ctx *ctx, const struct weft_data_options *o, const char *path,
                                 enum weft_split split, double val, size_t *largest,
                                 struct weft_data *data) {
    struct weft_file *files = realloc(data->files, (data->n_files + 1) * sizeof *files);
    if (!files) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory", path);
    data->files = files;
    struct weft_file *file = &files[data->n_files];
    enum weft_status st = weft_file_open(ctx, path, file);
    if (st != WEFT_OK) return st;
    data->n_files++;
    data->bytes += file->size;
    data->hash = weft_hash(file->data, file->size, data->hash);
    struct weft_token_run run = {0};
    st = find_tokens(ctx, path, file, &data->format, &run);
    if (st == WEFT_OK) st = check_tokens(ctx, path, &run, o->vocab, largest);
    if (st != WEFT_OK) return st;
    const uint64_t tail = (uint64_t)((double)run.n * val), head = run.n - tail;
    st = weft_data_add_run(ctx, data, split, run.tokens, head);
    if (st == WEFT_OK && val > 0)
        st =
            weft_data_add_run(ctx, data, WEFT_SPLIT_VAL, (const uint16_t *)run.tokens + head, tail);
    return st;
}

static int is_shard(const struct dirent *entry) {
    const char *dot = strrchr(entry->d_name, '.');
    return dot && strcmp(dot, ".bin") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name); // not alphasort: that one asks the locale
}

static enum weft_status add_shards(weft_ctx *ctx, const struct weft_data_options *o,
                                   struct dirent **entries, size_t n, size_t *largest,
                                   struct weft_data *data) {
    enum weft_status st = WEFT_OK;
    for (size_t i = 0; st == WEFT_OK && i < n; i++) {
        const bool val = strstr(entries[i]->d_name, "val") != NULL;
        if (!val && !strstr(entries[i]->d_name, "train")) continue; // e.g. test shards
        if (val && o->val_fraction == 0) continue;
        char *path = weft_text("%s/%s", o->path, entries[i]->d_name);
        st = path
                 ? add_file(ctx, o, path, val ? WEFT_SPLIT_VAL : WEFT_SPLIT_TRAIN, 0, largest, data)
                 : weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory", o->path);
        free(path);
    }
    if (st == WEFT_OK && data->n_runs[WEFT_SPLIT_TRAIN] == 0)
        return weft_ctx_fail(ctx, WEFT_ERR_IO, "%s: has no .bin file with \"train\" in its name",
                             o->path);
    if (st == WEFT_OK && data->n_runs[WEFT_SPLIT_VAL] == 0 && o->val_fraction > 0)
        return weft_ctx_fail(ctx, WEFT_ERR_IO,
                             "%s: has no .bin file with \"val\" in its name; --val-fraction 0 "
                             "trains without validation",
                             o->path);
    return st;
}

enum weft_status weft_data_bin(weft_ctx *ctx, const struct weft_data_options *o,
                               struct weft_data *data) {
    size_t largest = 0;
    struct dirent **entries = NULL;
    enum weft_status st;
    data->width = 2;
    const int n = scandir(o->path, &entries, is_shard, by_bytes);
    if (n >= 0) {
        st = add_shards(ctx, o, entries, (size_t)n, &largest, data);
        for (int i = 0; i < n; i++) free(entries[i]);
        free(entries);
    } else {
        st = add_file(ctx, o, o->path, WEFT_SPLIT_TRAIN, o->val_fraction, &largest, data);
    }
    if (st == WEFT_OK) st = weft_data_tokenizer(ctx, o, NULL, data);
    if (st == WEFT_OK && data->tokenizer && data->tokenizer->size <= largest)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                             "%s: has token %zu, but the tokenizer %s ends at %zu: the files were "
                             "made with another one",
                             o->path, largest, o->tokens ? o->tokens : "of the model",
                             data->tokenizer->size - 1);
    data->vocab = o->vocab ? o->vocab : data->tokenizer ? data->tokenizer->vocab : largest + 1;
    return st == WEFT_OK ? weft_data_cut_windows(ctx, o, data) : st;
}
