/* What weft sees in a file or folder: its kind, sizes, splits, baselines, and a sample; or tokens
 * made from texts, texts from tokens, a BPE vocabulary from a text. */
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "train/atomic.h"
#include "train/bigram.h"
#include "train/bpe_train.h"
#include "train/feed.h"
#include "train/shards.h"

#define SAMPLE 240 /* tokens shown */
#define SHOWN  8   /* features shown, half of the classes */
#define MOST   256 /* classes counted */
#define ROWS   64

/* A folder with idx files, or a CSV file, is for classifiers; all else has tokens. */
static enum weft_data_kind kind_of(const char *path) {
    static const char *const names[] = {"train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"};
    const size_t n = strlen(path);
    struct stat info;
    if (n > 4 && !strcmp(path + n - 4, ".csv")) return WEFT_DATA_FEATURES;
    for (size_t i = 0; i < 2; i++) {
        char file[4200];
        snprintf(file, sizeof file, "%.4000s/%s", path, names[i]);
        if (stat(file, &info) == 0) return WEFT_DATA_FEATURES;
    }
    return WEFT_DATA_TOKENS;
}

/* Everything both forms of output show. */
struct facts {
    const struct weft_data *data;
    double bigram; /* NaN: none */
    uint64_t per_class[2][MOST];
    struct weft_feed feed;
};

static void count_classes(struct facts *f) {
    const struct weft_data *d = f->data;
    for (int split = 0; d->classes && d->classes <= MOST && split < 2; split++) {
        struct weft_batch batch = {.rows = 0};
        for (uint64_t i = 0; i < d->n[split]; i += batch.rows) {
            const uint64_t left = d->n[split] - i;
            weft_feed_fill(&f->feed, split ? WEFT_SPLIT_VAL : WEFT_SPLIT_TRAIN, i,
                           left < ROWS ? (size_t)left : ROWS, &batch);
            for (size_t r = 0; r < batch.rows; r++) f->per_class[split][batch.targets[r]]++;
        }
    }
}

static const char *class_name(const struct weft_data *d, size_t i, char buf[24]) {
    snprintf(buf, 24, "%zu", i);
    return d->class_names ? d->class_names[i] : buf;
}

static int print_json(const struct facts *f) {
    const struct weft_data *d = f->data;
    struct weft_json j = {.pretty = true};
    char hash[17];
    snprintf(hash, sizeof hash, "%016" PRIx64, d->hash);
    weft_json_open(&j, NULL, '{');
    weft_json_text(&j, "format", d->format);
    weft_json_count(&j, "bytes", d->bytes);
    weft_json_text(&j, "xxh64", hash);
    if (d->kind == WEFT_DATA_TOKENS) {
        weft_json_count(&j, "vocab", d->vocab);
        weft_json_count(&j, "train_tokens", d->tokens[0]);
        weft_json_count(&j, "val_tokens", d->tokens[1]);
        if (isfinite(f->bigram)) weft_json_real(&j, "bigram_loss", f->bigram);
        return cli_json(&j);
    }
    weft_json_count(&j, "features", d->features);
    weft_json_count(&j, "classes", d->classes);
    weft_json_count(&j, "train_samples", d->n[0]);
    weft_json_count(&j, "val_samples", d->n[1]);
    return cli_json(&j);
}

/* The first tokens of a training sample, as text when there is a tokenizer. */
static void print_tokens(const struct weft_data *d, const struct weft_batch *sample) {
    for (size_t i = 0; i < d->seq; i++) {
        char buf[4];
        size_t bytes;
        if (!d->tokenizer) {
            printf("%" PRId32 " ", sample->tokens[i]);
            continue;
        }
        const char *text =
            weft_tokenizer_piece(d->tokenizer, (uint32_t)sample->tokens[i], buf, &bytes);
        for (size_t k = 0; k < bytes; k++)
            putchar(iscntrl((unsigned char)text[k]) && text[k] != '\n' ? '?' : text[k]);
    }
}

static void print_classes(const struct facts *f) {
    const struct weft_data *d = f->data;
    char number[24];
    for (size_t i = 0; i < d->classes && i < MOST; i++) {
        if (i == 2 * SHOWN && d->classes > 2 * SHOWN + 1) {
            printf("%-14s... %zu more\n", "", d->classes - i);
            break;
        }
        printf("%-14s%-10s %8" PRIu64 " %8" PRIu64 "\n", i ? "" : "classes",
               class_name(d, i, number), f->per_class[0][i], f->per_class[1][i]);
    }
}

static void print_sample(struct facts *f) {
    const struct weft_data *d = f->data;
    struct weft_batch sample = {.rows = 0};
    weft_feed_fill(&f->feed, WEFT_SPLIT_TRAIN, 0, 1, &sample);
    if (d->kind == WEFT_DATA_TOKENS) {
        puts("\na training sample:");
        print_tokens(d, &sample);
    } else {
        const size_t from = d->features > 2 * SHOWN ? d->features / 2 : 0;
        printf("\na training sample, from feature %zu on:\n", from + 1);
        for (size_t i = from; i < d->features && i < from + SHOWN; i++)
            printf("%.4g ", (double)sample.inputs[i]);
    }
    putchar('\n');
}

static void print_table(struct facts *f) {
    const struct weft_data *d = f->data;
    const bool tokens = d->kind == WEFT_DATA_TOKENS;
    const uint64_t *n = tokens ? d->tokens : d->n;
    char size[32];
    printf("%-14s%s, %s, xxh64 %016" PRIx64 "\n", "data", d->format, cli_bytes(size, d->bytes),
           d->hash);
    printf("%-14s%zu\n", tokens ? "vocabulary" : "features", tokens ? d->vocab : d->features);
    printf("%-14s%" PRIu64 " training, %" PRIu64 " validation\n", tokens ? "tokens" : "samples",
           n[0], n[1]);
    print_classes(f);
    if (isfinite(f->bigram))
        printf("%-14s%.4f nats on validation: what a bigram model reaches\n", "baseline",
               f->bigram);
    print_sample(f);
}

static int show(struct cli *c) {
    const struct weft_data_options options = {
        .path = c->rest[0],
        .seed = c->o.seed,
        .val_fraction = c->o.val_fraction,
        .seq = SAMPLE,
        .vocab = weft_options_has(&c->o, WEFT_OPT_vocab) ? c->o.vocab : 0,
        .tokens = c->o.tokenizer,
        .label = c->o.label,
    };
    struct weft_data *data = NULL;
    struct facts f = {.bigram = (double)NAN};
    enum weft_status st = weft_data_open(c->ctx, kind_of(c->rest[0]), &options, &data);
    if (st == WEFT_OK) st = weft_feed_create(c->ctx, data, ROWS, &f.feed);
    int code = cli_end(c, st);
    if (code == CLI_OK) {
        f.data = data;
        f.bigram = weft_bigram_loss(data, WEFT_SPLIT_VAL);
        count_classes(&f);
        if (c->o.json)
            code = print_json(&f);
        else
            print_table(&f);
    }
    weft_feed_free(&f.feed);
    weft_data_free(data);
    return code;
}

/* ---- data tokenize, detokenize, train-bpe ---- */

/* Token data as it is, not yet in samples. */
static enum weft_status open_tokens(struct cli *c, double val_fraction, struct weft_data **out) {
    const struct weft_data_options options = {
        .path = c->rest[1],
        .val_fraction = val_fraction,
        .seq = 1,
        .tokens = c->o.tokenizer,
    };
    return weft_data_open(c->ctx, WEFT_DATA_TOKENS, &options, out);
}

static int tokenize(struct cli *c) {
    struct weft_data *data = NULL;
    enum weft_status st = open_tokens(c, c->o.val_fraction, &data);
    if (st == WEFT_OK)
        st = weft_shards_write(c->ctx, data, c->o.out, strcmp(c->o.token_format, "llm.c") == 0,
                               c->o.shard_tokens);
    if (st == WEFT_OK)
        printf("%" PRIu64 " training and %" PRIu64 " validation tokens of %zu, in %s\n",
               data->tokens[0], data->tokens[1], data->vocab, c->o.out);
    weft_data_free(data);
    return cli_end(c, st);
}

static int detokenize(struct cli *c) {
    struct weft_data *data = NULL;
    enum weft_status st = open_tokens(c, c->o.val_fraction, &data);
    if (st == WEFT_OK) st = weft_shards_text(c->ctx, data, c->o.out);
    weft_data_free(data);
    return cli_end(c, st);
}

static int train_bpe(struct cli *c) {
    struct weft_file file = {.size = 0};
    struct weft_bpe *bpe = NULL;
    struct weft_tokenizer t = {.end = -1};
    enum weft_status st = weft_file_open(c->ctx, c->rest[1], &file);
    const struct weft_bpe_training how = {
        .path = c->rest[1],
        .text = (const char *)file.data,
        .size = file.size,
        .vocab = weft_options_has(&c->o, WEFT_OPT_vocab) ? c->o.vocab : 50257,
        .min_count = c->o.min_count,
        .lines = !c->o.whole_text,
    };
    if (st == WEFT_OK) st = weft_bpe_train(c->ctx, &how, &bpe);
    if (st == WEFT_OK) st = weft_tokenizer_of_bpe(c->ctx, how.path, bpe, 0, &t);
    if (st == WEFT_OK) st = weft_make_folder(c->ctx, c->o.out);
    if (st == WEFT_OK) st = weft_tokenizer_save(c->ctx, c->o.out, &t);
    if (st == WEFT_OK)
        printf("%zu tokens, %zu of them merges, in %s\n", t.size, t.bpe->parts.merges, c->o.out);
    weft_tokenizer_free(&t);
    weft_file_close(&file);
    return cli_end(c, st);
}

int cmd_data(struct cli *c) {
    static const struct {
        const char *name;
        int (*run)(struct cli *);
    } verbs[] = {{"tokenize", tokenize}, {"detokenize", detokenize}, {"train-bpe", train_bpe}};
    if (c->count == 1) return show(c);
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(c->rest[0], verbs[i].name) != 0) continue;
        if (!c->o.out) return cli_usage(c, "--out is missing: where the result goes");
        return verbs[i].run(c);
    }
    return cli_usage(c, "'%s' is none of tokenize, detokenize, train-bpe", c->rest[0]);
}
