/* Generation: a token's logits are the same bits whether it is fed alone or within a prompt, for
 * every ISA, number of threads and format of weights and cache, and they give the loss that
 * evaluation reports. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/check.h"
#include "weft/weft.h"

#define VOCAB   61
#define CONTEXT 150
#define TOKENS  149

static void die(weft_ctx *ctx) {
    fprintf(stderr, "%s\n", weft_ctx_message(ctx));
    exit(1);
}

struct format {
    const char *weights, *kv;
};

/* batch 0: for generation only; else it evaluates too, and trains when it can */
static weft_model *make(weft_ctx *ctx, size_t batch, const struct format *f) {
    const struct weft_gpt2_config c = {
        .vocab = VOCAB, .context = CONTEXT, .layers = 2, .heads = 2, .width = 40};
    const struct weft_training t = {.batch = batch,
                                    .seq = TOKENS,
                                    .generate = true,
                                    .eval_only = f->weights != NULL,
                                    .score = true,
                                    .weights = f->weights,
                                    .kv = f->kv};
    const struct weft_init init = {.name = "normal", .std = 0.3, .seed = 11};
    weft_model *m = NULL;
    if (weft_gpt2_create(ctx, &c, &t, &m) != WEFT_OK || weft_model_commit(m) != WEFT_OK ||
        weft_model_init(m, &init) != WEFT_OK)
        die(ctx);
    return m;
}

/* Logits of every position that ends a piece; pieces of `step` tokens. */
static void feed(weft_ctx *ctx, weft_model *m, const int32_t *tokens, size_t step, float *logits) {
    for (size_t i = 0; i < TOKENS; i += step) {
        const size_t n = TOKENS - i < step ? TOKENS - i : step;
        if (weft_model_infer(m, tokens + i, n, i, logits + (i + n - 1) * VOCAB) != WEFT_OK)
            die(ctx);
    }
}

static int failures;
static void expect(bool ok, const char *what, const char *isa, int threads) {
    if (ok) return;
    failures++;
    printf("FAILED: generation: %s differs on %s with %d threads\n", what, isa, threads);
}

/* Mean cross-entropy of the tokens 1.. under the logits, in double. */
static double loss_of(const float *logits, const int32_t *tokens) {
    double sum = 0;
    for (size_t i = 0; i + 1 < TOKENS; i++) {
        const float *const x = logits + i * VOCAB;
        double max = -INFINITY, z = 0;
        for (size_t j = 0; j < VOCAB; j++)
            if ((double)x[j] > max) max = (double)x[j];
        for (size_t j = 0; j < VOCAB; j++) z += exp((double)x[j] - max);
        sum += max + log(z) - (double)x[tokens[i + 1]];
    }
    return sum;
}

/* Pieces from which the logits of every token come. */
static void score(weft_ctx *ctx, weft_model *m, const int32_t *tokens, float *logits) {
    const size_t most = weft_model_score_rows(m);
    const float *rows;
    for (size_t i = 0; i < TOKENS; i += most) {
        const size_t n = TOKENS - i < most ? TOKENS - i : most;
        if (weft_model_score(m, tokens + i, n, (struct weft_place){.pos = i}, &rows) != WEFT_OK)
            die(ctx);
        memcpy(logits + i * VOCAB, rows, n * VOCAB * sizeof *logits);
    }
}

/* The cache in bf16 takes part in generation only: the loss is near. */
static void eval(weft_ctx *ctx, weft_model *m, const int32_t *tokens, const float *want, bool half,
                 const char *isa) {
    int32_t targets[TOKENS];
    struct weft_loss loss;
    for (size_t i = 0; i < TOKENS; i++) targets[i] = i + 1 < TOKENS ? tokens[i + 1] : -1;
    const struct weft_batch b = {.tokens = tokens, .targets = targets, .rows = 1};
    if (weft_model_eval(m, &b, &loss) != WEFT_OK) die(ctx);
    expect(fabs(loss.sum - loss_of(want, tokens)) <= (half ? 1e-2 : 1e-4) * loss.sum,
           "loss of eval", isa, 1);
}

static void check(const struct weft_kernels *table, int threads, const struct format *f,
                  float *want, bool first) {
    static const size_t pieces[] = {149, 64, 65, 7};
    static float got[TOKENS * VOCAB];
    const size_t size = sizeof got;
    const struct weft_ctx_options o = {.threads = threads, .isa = table->isa};
    int32_t tokens[TOKENS];
    for (size_t i = 0; i < TOKENS; i++) tokens[i] = (int32_t)((i * i * 31 + 7 * i) % VOCAB);
    weft_ctx *ctx = NULL;
    if (weft_ctx_create(&o, &ctx) != WEFT_OK) exit(1);
    weft_model *const m = make(ctx, first ? 1 : 0, f);
    feed(ctx, m, tokens, 1, got);
    if (first) {
        memcpy(want, got, size);
        eval(ctx, m, tokens, want, f->kv != NULL, table->isa);
    }
    expect(memcmp(got, want, size) == 0, "token by token", table->isa, threads);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        memcpy(got, want, size); /* only the ends of pieces are written */
        feed(ctx, m, tokens, pieces[i], got);
        expect(memcmp(got, want, size) == 0, "in pieces", table->isa, threads);
    }
    score(ctx, m, tokens, got);
    expect(memcmp(got, want, size) == 0, "all logits", table->isa, threads);
    weft_model_free(m);
    weft_ctx_free(ctx);
}

/* A prompt of several runs at once, and in pieces. */
static void long_prompt(const struct weft_kernels *table) {
    enum { CONTEXT_2 = 1100, VOCAB_2 = 31 };
    const struct weft_ctx_options o = {.threads = 2, .isa = table->isa};
    const struct weft_gpt2_config c = {
        .vocab = VOCAB_2, .context = CONTEXT_2, .layers = 1, .heads = 2, .width = 16};
    const struct weft_training t = {.generate = true, .weights = "bf16"};
    const struct weft_init init = {.name = "normal", .std = 0.3, .seed = 3};
    float whole[VOCAB_2], pieces[VOCAB_2];
    int32_t tokens[CONTEXT_2];
    for (size_t i = 0; i < CONTEXT_2; i++) tokens[i] = (int32_t)((i * i + 3 * i) % VOCAB_2);
    weft_ctx *ctx = NULL;
    weft_model *m = NULL;
    if (weft_ctx_create(&o, &ctx) != WEFT_OK) exit(1);
    if (weft_gpt2_create(ctx, &c, &t, &m) != WEFT_OK || weft_model_commit(m) != WEFT_OK ||
        weft_model_init(m, &init) != WEFT_OK ||
        weft_model_infer(m, tokens, CONTEXT_2, 0, whole) != WEFT_OK)
        die(ctx);
    for (size_t i = 0; i < CONTEXT_2; i += 100)
        if (weft_model_infer(m, tokens + i, 100, i, pieces) != WEFT_OK) die(ctx);
    expect(memcmp(whole, pieces, sizeof whole) == 0, "a long prompt", table->isa, 2);
    weft_model_free(m);
    weft_ctx_free(ctx);
}

int main(void) {
    static const struct format formats[] = {{NULL, NULL},       {"f32", NULL},      {"bf16", NULL},
                                            {"int8", "bf16"},   {"int8-g64", NULL},
                                            {"int8-g32", NULL}, {"int4", "bf16"}};
    static float want[TOKENS * VOCAB];
    setenv("WEFT_TUNE", "grain_ns=1", 1); /* or such small phases would stay on one thread */
    const struct weft_kernels *table[8];
    const size_t tables = check_tables(table);
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++)
        for (size_t t = 0; t < tables; t++) {
            const bool own = check_own_bits(table[t], formats[f].weights, formats[f].kv);
            const bool same = f == 1; /* f32 in blocks has the bits of training's */
            for (int threads = 1; threads <= 3; threads += 2)
                check(table[t], threads, &formats[f], want,
                      !same && (t == 0 || own) && threads == 1);
        }
    for (size_t t = 0; t < tables; t++) long_prompt(table[t]);
    printf("generation: %zu ISAs, %d differences\n", tables, failures);
    return failures != 0;
}
