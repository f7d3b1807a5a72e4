#include "train/data.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "train/shuffle.h"

enum { STREAM_OFFSET = 1, STREAM_ORDER = 2 }; /* numbers above: epochs, of the order */

static bool ends_with(const char *text, const char *end) {
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* What files may take together: the rest of the machine is for the model. */
static size_t file_room(void) {
    const size_t quarter = weft_memory_available() / 4, most = (size_t)1 << 30;
    return quarter > 0 && quarter < most ? quarter : most;
}

enum weft_data_kind weft_data_kind_of(const char *path) {
    static const char *const tables[] = {".csv", ".tsv", ".data"};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (ends_with(path, tables[i])) return WEFT_DATA_FEATURES;
    return weft_data_is_mnist(path) ? WEFT_DATA_FEATURES : WEFT_DATA_TOKENS;
}

enum weft_status weft_data_open(weft_ctx *ctx, enum weft_data_kind kind,
                                const struct weft_data_options *options, struct weft_data **out) {
    struct weft_data *data = calloc(1, sizeof *data);
    if (!data) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory while reading data");
    data->kind = kind;
    data->seed = options->seed;
    data->seq = options->seq;
    data->room = file_room();
    struct stat info;
    const bool folder = stat(options->path, &info) == 0 && S_ISDIR(info.st_mode);
    enum weft_status st;
    if (kind == WEFT_DATA_FEATURES) {
        st = folder ? weft_data_mnist(ctx, options, data) : weft_data_csv(ctx, options, data);
    } else if (folder || ends_with(options->path, ".bin")) {
        st = weft_data_bin(ctx, options, data);
    } else {
        st = weft_data_text(ctx, options, data);
    }
    if (st != WEFT_OK) {
        weft_data_free(data);
        return st;
    }
    *out = data;
    return WEFT_OK;
}

enum weft_status weft_data_add_file(weft_ctx *ctx, struct weft_data *data, const char *path,
                                    const struct weft_file **out) {
    struct weft_file *files = realloc(data->files, (data->n_files + 1) * sizeof *files);
    if (!files) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory", path);
    data->files = files;
    struct weft_file *file = &files[data->n_files];
    const enum weft_status st = weft_file_load(ctx, path, data->room, file);
    if (st != WEFT_OK) return st;
    data->n_files++;
    if (file->owned) data->room -= file->size;
    data->bytes += file->size;
    data->hash = weft_hash(file->data, file->size, data->hash);
    *out = file;
    return WEFT_OK;
}

enum weft_status weft_data_check(weft_ctx *ctx, const struct weft_data *data) {
    enum weft_status st = WEFT_OK;
    for (size_t i = 0; st == WEFT_OK && i < data->n_files; i++)
        st = weft_file_check(ctx, &data->files[i]);
    return st;
}

size_t weft_data_memory(const struct weft_data *data) {
    const uint64_t rows = data->n[WEFT_SPLIT_TRAIN] + data->n[WEFT_SPLIT_VAL];
    size_t bytes = data->encoded_bytes;
    for (size_t i = 0; i < data->n_files; i++)
        if (data->files[i].owned) bytes += data->files[i].size;
    if (data->kind == WEFT_DATA_TOKENS) return bytes;
    bytes += (size_t)rows * data->features * (data->x ? sizeof *data->x : sizeof *data->pixels[0]);
    bytes += (size_t)rows * (data->y ? sizeof *data->y : sizeof *data->labels[0]);
    return data->rows ? bytes + (size_t)rows * sizeof *data->rows : bytes;
}

void weft_data_free(struct weft_data *data) {
    if (!data) return;
    for (size_t i = 0; i < 2; i++) {
        free(data->runs[i]);
        free(data->pixels[i]);
        free(data->labels[i]);
    }
    for (size_t i = 0; i < data->n_files; i++) weft_file_close(&data->files[i]);
    free(data->files);
    if (data->tokenizer) weft_tokenizer_free(data->tokenizer);
    free(data->tokenizer);
    free(data->encoded);
    weft_texts_free(data->class_names, data->classes);
    weft_columns_free(data->columns);
    free(data->x);
    free(data->y);
    free(data->rows);
    free(data);
}

/* ---- token windows ---- */

enum weft_status weft_data_add_run(weft_ctx *ctx, struct weft_data *data, enum weft_split split,
                                   const void *tokens, uint64_t n) {
    const size_t count = data->n_runs[split];
    struct weft_token_run *runs = realloc(data->runs[split], (count + 1) * sizeof *runs);
    if (!runs) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory while reading data");
    runs[count] = (struct weft_token_run){.tokens = tokens, .n = n};
    data->runs[split] = runs;
    data->n_runs[split] = count + 1;
    data->tokens[split] += n;
    return WEFT_OK;
}

/* A window is seq tokens and the one after them. In training, whatever the epoch's offset (below
 * seq, and below n - windows*seq) no window may leave the run. */
static uint64_t windows_of(uint64_t n, uint64_t seq, enum weft_split split) {
    if (n < seq + 1) return 0;
    if (split == WEFT_SPLIT_VAL) return (n - 1) / seq;
    return n >= 2 * seq ? (n - seq) / seq : 1;
}

static enum weft_status too_few(weft_ctx *ctx, const struct weft_data_options *o,
                                const struct weft_data *data, enum weft_split split) {
    const bool train = split == WEFT_SPLIT_TRAIN;
    return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                         "%s: the %s part has %" PRIu64
                         " token%s, too few for samples of %zu and the "
                         "token after; use more text, a smaller --seq%s",
                         o->path, train ? "training" : "validation", data->tokens[split],
                         data->tokens[split] == 1 ? "" : "s", o->seq,
                         train ? "" : ", or another --val-fraction (0: no validation)");
}

enum weft_status weft_data_cut_windows(weft_ctx *ctx, const struct weft_data_options *o,
                                       struct weft_data *data) {
    if (o->seq == 0) return weft_ctx_fail(ctx, WEFT_ERR_ARG, "samples of 0 tokens teach nothing");
    for (enum weft_split s = WEFT_SPLIT_TRAIN; s <= WEFT_SPLIT_VAL; s++) {
        for (size_t i = 0; i < data->n_runs[s]; i++) {
            data->runs[s][i].windows = windows_of(data->runs[s][i].n, o->seq, s);
            data->n[s] += data->runs[s][i].windows;
        }
        if (data->n[s] == 0 && (s == WEFT_SPLIT_TRAIN || data->n_runs[s] > 0))
            return too_few(ctx, o, data, s);
    }
    return WEFT_OK;
}

static void put_window(const struct weft_data *data, enum weft_split split, uint64_t epoch,
                       uint64_t window, size_t row, const struct weft_samples *out) {
    const struct weft_token_run *run = data->runs[split];
    for (; window >= run->windows; run++) window -= run->windows;
    const uint64_t seq = data->seq;
    uint64_t at = window * seq;
    if (split == WEFT_SPLIT_TRAIN) {
        const uint64_t slack = run->n - run->windows * seq;
        const uint64_t number = (uint64_t)(run - data->runs[split]);
        at += weft_mix(weft_mix(data->seed, STREAM_OFFSET, number), 0, epoch) %
              (slack < seq ? slack : seq);
    }
    int32_t *tokens = out->tokens + row * seq, *targets = out->targets + row * seq;
    const uint8_t *bytes = run->tokens;
    const uint16_t *words = run->tokens;
    for (size_t t = 0; t < seq; t++) {
        tokens[t] = data->width == 1 ? bytes[at + t] : words[at + t];
        targets[t] = data->width == 1 ? bytes[at + t + 1] : words[at + t + 1];
    }
}

/* ---- features ---- */

static void put_features(const struct weft_data *data, enum weft_split split, uint64_t sample,
                         size_t row, const struct weft_samples *out) {
    const size_t n = data->features;
    float *x = out->x + row * n;
    const int32_t *labels = data->labels[split];
    if (data->pixels[0]) {
        const uint8_t *pixels = data->pixels[split] + sample * n;
        for (size_t i = 0; i < n; i++)
            x[i] = (float)pixels[i] * data->pixel_scale - data->pixel_shift;
    } else {
        sample = data->rows[split == WEFT_SPLIT_VAL ? sample : data->n[WEFT_SPLIT_VAL] + sample];
        labels = data->labels[0];
        memcpy(x, data->x + sample * n, n * sizeof *x);
    }
    if (labels) {
        out->targets[row] = labels[sample];
    } else {
        out->values[row] = data->y[sample];
    }
}

size_t weft_data_batch(const struct weft_data *data, enum weft_split split, uint64_t first,
                       size_t rows, const struct weft_samples *out) {
    const uint64_t n = data->n[split];
    for (size_t row = 0; row < rows; row++) {
        uint64_t sample = first + row, epoch = 0;
        if (split == WEFT_SPLIT_TRAIN) {
            epoch = sample / n;
            sample = weft_shuffle(data->seed, STREAM_ORDER + epoch, sample % n, n);
        } else if (sample >= n) {
            return row;
        }
        if (data->kind == WEFT_DATA_TOKENS) {
            put_window(data, split, epoch, sample, row, out);
        } else {
            put_features(data, split, sample, row, out);
        }
    }
    return rows;
}
