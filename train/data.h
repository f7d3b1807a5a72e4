/* Training data: samples of tokens (texts, token files) or of features (MNIST, CSV), split into
 * training and validation, in an order that depends on the seed and the sample's number alone.
 *
 * Training sample i is number i % n of epoch i / n; each epoch is its own permutation. Token data
 * is cut into windows of seq tokens that do not overlap; an epoch shifts all of them by its own
 * random offset. Validation samples are fixed and in order. */
#ifndef WEFT_TRAIN_DATA_H
#define WEFT_TRAIN_DATA_H

#include <stddef.h>
#include <stdint.h>
#include "train/file_map.h"
#include "train/tokenizer.h"
#include "weft/context.h"

enum weft_data_kind { WEFT_DATA_TOKENS, WEFT_DATA_FEATURES };
enum weft_split { WEFT_SPLIT_TRAIN, WEFT_SPLIT_VAL };

struct weft_data_options {
    const char *path;
    uint64_t seed;
    double
        val_fraction; /* of texts, token files and CSV; folders bring their own validation data */
    /* tokens */
    size_t seq;                             /* tokens of a sample */
    size_t vocab;                           /* 0: what the data needs */
    const char *tokens;                     /* "byte", "char", or a tokenizer's path; NULL: byte */
    const struct weft_tokenizer *tokenizer; /* use this one (evaluating a model), or NULL */
    /* features */
    const char *label; /* CSV: name of the column, or its number from 1; NULL: the last */
    bool regression;   /* CSV: the label is a number to predict */
    bool unit_pixels;  /* MNIST: x / 255 instead of (x / 255 - 0.1307) / 0.3081 */
};

/* Where a batch is put; what a kind does not have may be NULL. */
struct weft_samples {
    int32_t *tokens;  /* tokens: (rows, seq) */
    int32_t *targets; /* tokens: (rows, seq), the next token; classes: (rows) */
    float *x;         /* features: (rows, features) */
    float *values;    /* regression: (rows, 1) */
};

struct weft_token_run { /* a file, or a part of one */
    const void *tokens; /* (n) of width bytes, little-endian */
    uint64_t n;
    uint64_t windows; /* that it is cut into */
};

struct weft_data {
    enum weft_data_kind kind;
    const char *format; /* "text", "llm.c shards", "raw tokens", "MNIST", "CSV" */
    uint64_t n[2];      /* samples: of a training epoch, of validation (0: none) */
    uint64_t seed;
    uint64_t bytes, hash; /* of all files together: xxHash64 */
    /* tokens */
    size_t seq, vocab;
    uint64_t tokens[2];
    unsigned width; /* bytes of a token in memory, 1 or 2 */
    size_t n_runs[2];
    struct weft_token_run *runs[2];
    struct weft_tokenizer *tokenizer; /* NULL: the files have tokens, and whose is not known */
    /* features */
    size_t features, classes;         /* classes is 0 for regression */
    char **class_names;               /* (classes), or NULL: 0, 1, 2, ... */
    double *mean, *scale;             /* CSV: x = (raw - mean) * scale, (features) */
    double target_mean, target_scale; /* regression: value = (raw - mean) * scale */
    uint8_t *pixels[2];               /* MNIST: (n, features) */
    float pixel_scale, pixel_shift;   /* MNIST: x = pixel * scale - shift */
    float *x;           /* CSV: (rows, features), standardised */
    float *y;           /* CSV, regression: (rows) */
    int32_t *labels[2]; /* classes: MNIST (n) each; CSV labels[0]: (rows) */
    uint64_t *rows;     /* CSV: rows of validation, then of training */
    /* memory */
    struct weft_file *files;
    size_t n_files;
    uint16_t *encoded;
};

/* Tokens: a .bin file or folder of them, else a text. Features: a folder with MNIST, else a CSV
 * file. Everything is checked here: errors name file and position, line, or column. */
WEFT_NODISCARD enum weft_status weft_data_open(weft_ctx *ctx, enum weft_data_kind kind,
                                               const struct weft_data_options *options,
                                               struct weft_data **out);
void weft_data_free(struct weft_data *data);

/* Samples first, first+1, ... into out; the number of them: rows, or fewer at the end of the
 * validation samples. A pure function of (data, seed, first). */
size_t weft_data_batch(const struct weft_data *data, enum weft_split split, uint64_t first,
                       size_t rows, const struct weft_samples *out);

/* ---- the readers, each in its own file; they fill a zeroed data, whose owner frees it ---- */
enum weft_status weft_data_text(weft_ctx *ctx, const struct weft_data_options *o,
                                struct weft_data *data);
enum weft_status weft_data_bin(weft_ctx *ctx, const struct weft_data_options *o,
                               struct weft_data *data);
enum weft_status weft_data_mnist(weft_ctx *ctx, const struct weft_data_options *o,
                                 struct weft_data *data);
enum weft_status weft_data_csv(weft_ctx *ctx, const struct weft_data_options *o,
                               struct weft_data *data);
/* Add a run of tokens to a split; WEFT_ERR_NOMEM. */
enum weft_status weft_data_add_run(weft_ctx *ctx, struct weft_data *data, enum weft_split split,
                                   const void *tokens, uint64_t n);
/* data->tokenizer as the options say; a text that is given serves for its characters (path names
 * it). Nothing when there is no text and no tokenizer of token files is named. */
enum weft_status weft_data_tokenizer(weft_ctx *ctx, const struct weft_data_options *o,
                                     const struct weft_file *text, struct weft_data *data);
/* Cut the runs into windows, once all are there; errors when there are too few tokens. */
enum weft_status weft_data_cut_windows(weft_ctx *ctx, const struct weft_data_options *o,
                                       struct weft_data *data);

#endif
