/* How good a trained model is on the validation part of its data, on other data, or at choosing the
 * right one of several endings. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "train/bigram.h"
#include "train/choices.h"
#include "train/compare.h"
#include "train/evaluate.h"
#include "train/loaded.h"
#include "train/progress.h"
#include "train/run_dir.h"

struct job {
    struct weft_options run; /* what the model was trained with */
    struct weft_columns *columns;
    struct weft_data *data;
    struct weft_loaded loaded;
    struct weft_feed feed;
    enum weft_split split;
    struct weft_score score;
    bool compares; /* a format with f32: */
    struct weft_loaded base;
    struct weft_comparison beside;
    double bigram;
    double seconds;
};

/* Do two paths lead to one file or folder? */
static bool same_place(const char *a, const char *b) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* A model of an older version, which did not keep how its table was read, only knows its own. */
static enum weft_status check_columns(const struct cli *c, const struct job *j, bool own) {
    if (own || j->columns || strcmp(j->data->format, "CSV") != 0) return WEFT_OK;
    return weft_ctx_fail(c->ctx, WEFT_ERR_STATE,
                         "%s: its config.json does not say how the table it was trained on was "
                         "read (columns, figures, classes): it can be evaluated on that table "
                         "only, without --data; train it again to use it on %s",
                         c->o.model, c->o.data);
}

/* The validation part of what the model was trained on, or all of other data. */
static enum weft_status open_data(const struct cli *c, const struct weft_shape *shape, size_t seq,
                                  struct job *j) {
    const struct weft_options *o = &c->o, *run = &j->run;
    const bool own = !o->data || (run->data && same_place(o->data, run->data));
    const struct weft_data_options how = {
        .path = o->data ? o->data : run->data,
        .seed = weft_options_given(o, WEFT_OPT_seed) ? o->seed : run->seed,
        .val_fraction = weft_options_given(o, WEFT_OPT_val_fraction) ? o->val_fraction
                        : own                                        ? run->val_fraction
                                                                     : 0,
        .seq = seq,
        .vocab = shape->language ? shape->gpt2.vocab : 0,
        .tokenizer = j->loaded.tokenizer,
        .label = o->label || j->columns ? o->label : run->label,
        .columns = j->columns,
        .regression = shape->mlp.mse,
        .unit_pixels = shape->unit_pixels,
    };
    if (!how.path)
        return weft_ctx_fail(c->ctx, WEFT_ERR_ARG, "--data is missing: what to evaluate on");
    const enum weft_status st = weft_data_open(
        c->ctx, shape->language ? WEFT_DATA_TOKENS : WEFT_DATA_FEATURES, &how, &j->data);
    if (st != WEFT_OK) return st;
    const size_t outputs = j->data->classes > 0 ? j->data->classes : 1;
    if (!shape->language &&
        (j->data->features != shape->mlp.inputs || outputs != shape->mlp.outputs))
        return weft_ctx_fail(c->ctx, WEFT_ERR_SHAPE,
                             "%s has %zu features and %zu outputs, but the model has %zu and %zu",
                             how.path, j->data->features, outputs, shape->mlp.inputs,
                             shape->mlp.outputs);
    return check_columns(c, j, own);
}

/* Where --weights or --kv is given: in that format, and in f32, fed as when it generates. */
static enum weft_status open_models(const struct cli *c, const struct weft_shape *shape,
                                    const struct weft_training *training, struct job *j) {
    const struct weft_options *o = &c->o;
    const struct weft_training format = {.weights = o->weights, .kv = o->kv, .score = true};
    const struct weft_training f32 = {.score = true};
    j->compares = weft_options_given(o, WEFT_OPT_weights) || weft_options_given(o, WEFT_OPT_kv);
    if (!j->compares) return weft_loaded_open(c->ctx, o->model, o->tokenizer, training, &j->loaded);
    if (!shape->language)
        return weft_ctx_fail(c->ctx, WEFT_ERR_ARG,
                             "%s is not a language model: --weights and --kv are for those",
                             o->model);
    const enum weft_status st =
        weft_loaded_open(c->ctx, o->model, o->tokenizer, &format, &j->loaded);
    return st == WEFT_OK ? weft_loaded_open(c->ctx, o->model, o->tokenizer, &f32, &j->base) : st;
}

static enum weft_status run(const struct cli *c, struct job *j) {
    enum weft_status st;
    const double start = weft_clock();
    if (!j->compares) {
        st = weft_evaluate(c->ctx, j->loaded.model, &j->feed, j->split, 0, NULL, &j->score);
        j->seconds = weft_clock() - start;
        return st;
    }
    st = weft_compare(c->ctx, j->base.model, j->loaded.model, &j->feed, j->split, &j->beside);
    j->score = j->beside.other;
    j->seconds = j->beside.seconds[1];
    return st;
}

static enum weft_status evaluate(const struct cli *c, struct job *j) {
    struct weft_shape shape;
    enum weft_status st = weft_loaded_shape(c->ctx, c->o.model, &shape);
    if (st != WEFT_OK) return st;
    st = weft_run_dir_of_checkpoint(c->ctx, c->o.model, shape.language, &j->run);
    if (st != WEFT_OK && c->o.data) { // all that it would say is given, or usual
        cli_warn("%s", weft_ctx_message(c->ctx));
        weft_options_init(&j->run, shape.language ? WEFT_FOR_GPT2 : WEFT_FOR_MLP);
        st = WEFT_OK;
    }
    if (st != WEFT_OK) return st;
    const bool own = weft_options_has(&j->run, WEFT_OPT_seq) && j->run.seq <= shape.gpt2.context;
    const struct weft_training training = {
        .batch = weft_options_given(&c->o, WEFT_OPT_batch) ? c->o.batch : j->run.batch,
        .seq = own ? j->run.seq : shape.gpt2.context,
        .eval_only = true,
    };
    st = open_models(c, &shape, &training, j);
    if (st == WEFT_OK && !shape.language)
        st = weft_checkpoint_columns(c->ctx, c->o.model, &shape, &j->columns);
    if (st == WEFT_OK) st = open_data(c, &shape, training.seq, j);
    if (st == WEFT_OK) st = weft_feed_create(c->ctx, j->data, training.batch, &j->feed);
    if (st != WEFT_OK) return st;
    j->split = j->data->n[WEFT_SPLIT_VAL] > 0 ? WEFT_SPLIT_VAL : WEFT_SPLIT_TRAIN;
    j->bigram = weft_bigram_loss(j->data, j->split, NULL);
    return run(c, j);
}

static double bits_per_byte(const struct weft_score *s) {
    return s->loss * (double)s->targets / log(2) / (double)s->bytes;
}

static size_t weight_bytes(weft_model *m) {
    struct weft_memory memory;
    return weft_model_memory(m, &memory) == WEFT_OK ? memory.params : 0;
}

/* The format, and f32 beside it. */
static void json_formats(struct weft_json *out, const struct cli *c, const struct job *j) {
    const struct weft_score *base = &j->beside.base;
    weft_json_text(out, "weights", c->o.weights);
    weft_json_text(out, "kv", c->o.kv);
    weft_json_count(out, "weight_bytes", weight_bytes(j->loaded.model));
    weft_json_real(out, "kl", j->beside.kl);
    weft_json_real(out, "same_likeliest", j->beside.same);
    weft_json_open(out, "f32", '{');
    weft_json_count(out, "weight_bytes", weight_bytes(j->base.model));
    weft_json_real(out, "loss", base->loss);
    weft_json_real(out, "accuracy", base->accuracy);
    weft_json_real(out, "perplexity", exp(base->loss));
    if (base->bytes > 0) weft_json_real(out, "bits_per_byte", bits_per_byte(base));
    weft_json_rounded(out, "tokens_per_s", (double)base->targets / j->beside.seconds[0], 4);
    weft_json_close(out);
}

static int print_json(const struct cli *c, const struct job *j) {
    struct weft_json out = {.pretty = true};
    weft_json_open(&out, NULL, '{');
    if (j->compares) json_formats(&out, c, j);
    weft_json_text(&out, "split", j->split == WEFT_SPLIT_VAL ? "validation" : "all");
    weft_json_real(&out, "loss", j->score.loss);
    if (!j->loaded.shape.mlp.mse) weft_json_real(&out, "accuracy", j->score.accuracy);
    if (j->loaded.shape.language) weft_json_real(&out, "perplexity", exp(j->score.loss));
    if (j->score.bytes > 0) weft_json_real(&out, "bits_per_byte", bits_per_byte(&j->score));
    if (!isnan(j->bigram)) weft_json_real(&out, "bigram_loss", j->bigram);
    weft_json_count(&out, "samples", j->score.samples);
    weft_json_count(&out, "targets", j->score.targets);
    if (j->loaded.shape.language)
        weft_json_rounded(&out, "tokens_per_s", (double)j->score.targets / j->seconds, 4);
    return cli_json(&out);
}

static void print_pair(const char *label, const char *form, double other, double base) {
    char text[2][32];
    snprintf(text[0], sizeof text[0], form, other);
    snprintf(text[1], sizeof text[1], form, base);
    printf("%-16s%-14s%s\n", label, text[0], text[1]);
}

/* A column for the format, and one for f32. */
static void print_formats(const struct cli *c, const struct job *j) {
    const struct weft_score *other = &j->beside.other, *base = &j->beside.base;
    const double log_2 = log(2), mib = 1.0 / (1 << 20);
    char name[32];
    snprintf(name, sizeof name, "%s%s", c->o.weights, strcmp(c->o.kv, "f32") ? ", kv bf16" : "");
    printf("%-16s%-14s%s\n", "weights", name, "f32");
    print_pair("MiB", "%.1f", mib * (double)weight_bytes(j->loaded.model),
               mib * (double)weight_bytes(j->base.model));
    print_pair("loss", "%.6f", other->loss, base->loss);
    print_pair("bits a token", "%.5f", other->loss / log_2, base->loss / log_2);
    print_pair("perplexity", "%.6g", exp(other->loss), exp(base->loss));
    if (base->bytes > 0)
        print_pair("bits per byte", "%.5f", bits_per_byte(other), bits_per_byte(base));
    print_pair("accuracy, %", "%.2f", 100 * other->accuracy, 100 * base->accuracy);
    print_pair("tokens/s", "%.0f", (double)other->targets / j->beside.seconds[1],
               (double)base->targets / j->beside.seconds[0]);
    printf("%-16s%.3g nats a token from f32; the same likeliest token %.2f%% of the time\n",
           "KL divergence", j->beside.kl, 100 * j->beside.same);
}

static void print_table(const struct cli *c, const struct job *j) {
    const bool language = j->loaded.shape.language;
    const double loss = j->score.loss;
    printf("%-16s%s, %" PRIu64 " samples", "data",
           j->split == WEFT_SPLIT_VAL ? "validation part" : "all of it", j->score.samples);
    if (language) printf(", %" PRIu64 " tokens", j->score.targets);
    if (j->compares) {
        putchar('\n');
        print_formats(c, j);
        return;
    }
    printf("\n%-16s%.4f", "loss", loss);
    if (language) printf("  (%.3f bits a token, perplexity %.4g)", loss / log(2), exp(loss));
    putchar('\n');
    if (j->score.bytes > 0) printf("%-16s%.4f\n", "bits per byte", bits_per_byte(&j->score));
    if (!j->loaded.shape.mlp.mse) printf("%-16s%.2f%%\n", "accuracy", 100 * j->score.accuracy);
    if (!isnan(j->bigram))
        printf("%-16s%.4f%s\n", "bigram model", j->bigram,
               j->split == WEFT_SPLIT_VAL ? "" : "  (counted on the same data)");
    if (language) printf("%-16s%.0f tokens/s\n", "speed", (double)j->score.targets / j->seconds);
}

/* ---- questions ---- */

static int print_answers(const struct cli *c, const struct weft_answers *a, double seconds) {
    const double n = (double)a->questions, rate = (double)a->tokens / seconds;
    if (c->o.json) {
        struct weft_json out = {.pretty = true};
        weft_json_open(&out, NULL, '{');
        weft_json_count(&out, "questions", a->questions);
        weft_json_real(&out, "accuracy", (double)a->right / n);
        weft_json_real(&out, "accuracy_mean", (double)a->right_mean / n);
        weft_json_rounded(&out, "tokens_per_s", rate, 4);
        return cli_json(&out);
    }
    printf("%-16s%" PRIu64
           "\n%-16s%.2f%% by the mean loss of an ending, %.2f%% by its sum\n%-16s%.0f "
           "tokens/s\n",
           "questions", a->questions, "accuracy", 100 * (double)a->right_mean / n,
           100 * (double)a->right / n, "speed", rate);
    return CLI_OK;
}

/* The model is made for the longest question: more would be computed and thrown away. */
static int ask(struct cli *c) {
    struct weft_questions q = {.n = 0};
    struct weft_tokenizer *tokenizer = NULL;
    struct weft_loaded l = {.model = NULL};
    struct weft_answers answers;
    struct weft_shape shape;
    double start = 0;
    enum weft_status st = weft_loaded_shape(c->ctx, c->o.model, &shape);
    if (st == WEFT_OK && !shape.language)
        st = weft_ctx_fail(c->ctx, WEFT_ERR_ARG, "%s is not a language model", c->o.model);
    if (st == WEFT_OK)
        st =
            weft_loaded_tokenizer(c->ctx, c->o.model, c->o.tokenizer, shape.gpt2.vocab, &tokenizer);
    if (st == WEFT_OK && !tokenizer)
        st = weft_ctx_fail(c->ctx, WEFT_ERR_ARG, "%s has no tokenizer: give --tokenizer",
                           c->o.model);
    if (st == WEFT_OK)
        st = weft_questions_open(c->ctx, c->o.endings, tokenizer, shape.gpt2.context, &q);
    const struct weft_training training = {
        .batch = weft_options_given(&c->o, WEFT_OPT_batch) ? c->o.batch : 4,
        .seq = q.longest - 1,
        .eval_only = true,
        .weights = c->o.weights,
    };
    if (st == WEFT_OK) st = weft_loaded_open(c->ctx, c->o.model, c->o.tokenizer, &training, &l);
    if (st == WEFT_OK) {
        start = weft_clock();
        st = weft_questions_ask(c->ctx, l.model, training.batch, training.seq, &q, &answers);
    }
    const int code =
        st == WEFT_OK ? print_answers(c, &answers, weft_clock() - start) : cli_end(c, st);
    if (tokenizer) weft_tokenizer_free(tokenizer);
    free(tokenizer);
    weft_questions_close(&q);
    weft_loaded_close(&l);
    return code;
}

int cmd_eval(struct cli *c) {
    if (!c->o.model)
        return cli_usage(
            c, "--model is missing: a run, or one of its checkpoints, as in --model runs/x");
    enum weft_status st = weft_loaded_option(c->ctx, &c->o, WEFT_OPT_model);
    if (st != WEFT_OK) return cli_end(c, st);
    if (c->o.endings && weft_options_given(&c->o, WEFT_OPT_kv))
        return cli_usage(c, "--kv has no meaning for --endings, which are read at once");
    if (c->o.endings) return ask(c);
    struct job j = {.split = WEFT_SPLIT_VAL};
    st = evaluate(c, &j);
    int code = cli_end(c, st);
    if (code == CLI_OK && c->o.json)
        code = print_json(c, &j);
    else if (code == CLI_OK)
        print_table(c, &j);
    weft_feed_free(&j.feed);
    weft_data_free(j.data);
    weft_columns_free(j.columns);
    weft_loaded_close(&j.loaded);
    weft_loaded_close(&j.base);
    weft_options_free(&j.run);
    return code;
}
