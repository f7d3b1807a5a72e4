/* See corpus.h. */
#include "studies/corpus.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "train/atomic.h"

#define WINE_VALIDATION 0.2 /* 36 of 178 */
#define TEXT_VALIDATION 0.1

static bool is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* path when it is a file, else path/name, to be freed. */
static char *inside(const char *path, const char *name) {
    if (!is_folder(path)) return strdup(path);
    return weft_text("%s/%s", path, name);
}

static enum weft_status hint(weft_ctx *ctx, enum weft_status st) {
    char message[WEFT_MESSAGE_MAX];
    if (st != WEFT_ERR_IO) return st;
    memcpy(message, weft_ctx_message(ctx), sizeof message);
    return weft_ctx_fail(ctx, st, "%.800s: fetch it by ci/data.sh, or say where it is by --data",
                         message);
}

/* ---- a text's entropies ---- */
/* H1 = -sum p(b) ln p(b) over all bytes; H2 the same of pairs minus that of their first. */
static double entropy(const uint32_t *count, size_t n) {
    double sum = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        if (count[i] == 0) continue;
        all += count[i];
        sum += count[i] * log((double)count[i]);
    }
    return all > 0 ? log(all) - sum / all : (double)NAN;
}

static enum weft_status count_text(weft_ctx *ctx, const struct weft_data *data,
                                   struct study_corpus *c) {
    const size_t v = data->vocab;
    if (v > 4096) return WEFT_OK; /* tokens of a large vocabulary: no such lines in the plots */
    uint32_t *const count = calloc(2 * v + v * v, sizeof *count);
    if (count == NULL)
        return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory for a text's statistics");
    uint32_t *const first = count + v, *const pair = count + 2 * v;
    uint32_t before = 0;
    bool has = false;
    for (size_t split = 0; split < 2; split++)
        for (size_t i = 0; i < data->n_runs[split]; i++) {
            const uint8_t *const bytes = data->runs[split][i].tokens;
            const uint16_t *const words = data->runs[split][i].tokens;
            for (uint64_t t = 0; t < data->runs[split][i].n; t++) {
                const uint32_t token = data->width == 1 ? bytes[t] : words[t];
                count[token]++;
                first[before] += has;
                pair[before * v + token] += has;
                before = token;
                has = true;
            }
        }
    c->h1 = entropy(count, v);
    c->h2 = entropy(pair, v * v) - entropy(first, v);
    free(count);
    return WEFT_OK;
}

/* ---- opening ---- */
static void add_hash(struct study_corpus *c, const struct weft_data *data) {
    c->bytes += data->bytes;
    c->hash = weft_hash(&data->hash, sizeof data->hash, c->hash);
}

static enum weft_status find_text(weft_ctx *ctx, struct study_corpus *c) {
    struct weft_data *data = NULL;
    c->text = inside(c->path, "kjv.txt");
    if (c->text != NULL && is_folder(c->path) && access(c->text, F_OK) != 0) {
        char *const shard = weft_text("%s/train.bin", c->path);
        const bool shards = shard != NULL && access(shard, F_OK) == 0;
        free(shard);
        if (shards) strcpy(c->text, c->path); /* shorter than what was there */
    }
    const struct weft_data_options o = {
        .path = c->text, .seed = 1, .val_fraction = TEXT_VALIDATION, .seq = 8};
    if (c->text == NULL) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory");
    enum weft_status st = hint(ctx, weft_data_open(ctx, WEFT_DATA_TOKENS, &o, &data));
    if (st != WEFT_OK) return st;
    c->vocab = data->vocab;
    add_hash(c, data);
    st = count_text(ctx, data, c);
    weft_data_free(data);
    return st;
}

static enum weft_status open_wine(weft_ctx *ctx, const char *path, uint64_t seed,
                                  struct weft_data **out) {
    const struct weft_data_options o = {
        .path = path, .seed = seed, .val_fraction = WINE_VALIDATION};
    return hint(ctx, weft_data_open(ctx, WEFT_DATA_FEATURES, &o, out));
}

static enum weft_status find_wine(weft_ctx *ctx, struct study_corpus *c) {
    struct weft_data *data = NULL;
    c->wine = inside(c->path, "wine_data.csv");
    if (c->wine == NULL) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory");
    const enum weft_status st = open_wine(ctx, c->wine, 1, &data);
    if (st == WEFT_OK) add_hash(c, data);
    weft_data_free(data);
    return st;
}

static enum weft_status find_mnist(weft_ctx *ctx, struct study_corpus *c) {
    const struct weft_data_options o = {.path = c->path, .seed = 1};
    if (!is_folder(c->path))
        return hint(ctx, weft_ctx_fail(ctx, WEFT_ERR_IO,
                                       "%s: is no folder with MNIST's four idx files", c->path));
    const enum weft_status st = hint(ctx, weft_data_open(ctx, WEFT_DATA_FEATURES, &o, &c->mnist));
    if (st == WEFT_OK) add_hash(c, c->mnist);
    return st;
}

enum weft_status study_corpus_open(weft_ctx *ctx, const char *path, const char *needs,
                                   struct study_corpus **out) {
    struct study_corpus *const c = calloc(1, sizeof *c);
    if (c == NULL) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory");
    c->path = path;
    c->h1 = c->h2 = (double)NAN;
    enum weft_status st = WEFT_OK;
    if (needs != NULL && strstr(needs, "mnist") != NULL) st = find_mnist(ctx, c);
    if (st == WEFT_OK && needs != NULL && strstr(needs, "wine") != NULL) st = find_wine(ctx, c);
    if (st == WEFT_OK && needs != NULL && strstr(needs, "text") != NULL) st = find_text(ctx, c);
    if (st == WEFT_OK)
        *out = c;
    else
        study_corpus_free(c);
    return st;
}

void study_corpus_free(struct study_corpus *c) {
    if (c == NULL) return;
    weft_data_free(c->mnist);
    free(c->wine);
    free(c->text);
    free(c);
}

/* ---- one cell's ---- */
enum weft_status study_source_open(weft_ctx *ctx, const struct study_corpus *c, const char *name,
                                   uint64_t seed, size_t seq, struct study_source *out) {
    *out = (struct study_source){0};
    if (strcmp(name, "wine") == 0) return open_wine(ctx, c->wine, seed, &out->data);
    if (strcmp(name, "text") == 0) {
        const struct weft_data_options o = {
            .path = c->text, .seed = seed, .val_fraction = TEXT_VALIDATION, .seq = seq};
        return weft_data_open(ctx, WEFT_DATA_TOKENS, &o, &out->data);
    }
    out->shared = *c->mnist; /* batches are a function of the data and the seed in it */
    out->shared.seed = seed;
    out->data = &out->shared;
    return WEFT_OK;
}

void study_source_close(struct study_source *source) {
    if (source->data != &source->shared) weft_data_free(source->data);
    *source = (struct study_source){0};
}
