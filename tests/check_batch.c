/* Texts decoded together: each has the bits that it has alone, whatever is beside it and whenever
 * it enters or leaves, for every ISA, number of threads and format; and each gets the tokens that
 * it asks for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/check.h"
#include "weft/weft.h"

#define VOCAB   67
#define CONTEXT 48
#define TEXTS   7
#define LONGEST 90 /* beyond the context: windows move */

static int failures;
static void expect(bool ok, const char *what, const char *isa, int threads) {
    if (ok) return;
    failures++;
    printf("FAILED: batch: %s on %s with %d threads\n", what, isa, threads);
}

static void die(weft_ctx *ctx) {
    fprintf(stderr, "%s\n", weft_ctx_message(ctx));
    exit(1);
}

static struct format { const char *weights, *kv; } format;

static weft_model *make(weft_ctx *ctx, size_t sequences) {
    const struct weft_gpt2_config c = {
        .vocab = VOCAB, .context = CONTEXT, .layers = 2, .heads = 2, .width = 24};
    const struct weft_training t = {
        .sequences = sequences, .weights = format.weights, .kv = format.kv};
    const struct weft_init init = {.name = "normal", .std = 0.3, .seed = 11};
    weft_model *m = NULL;
    if (weft_gpt2_create(ctx, &c, &t, &m) != WEFT_OK || weft_model_commit(m) != WEFT_OK ||
        weft_model_init(m, &init) != WEFT_OK)
        die(ctx);
    return m;
}

/* ---- logits ---- */

/* Prompts of 1, 8, 15, ... tokens, then a few rounds together; then the same alone. */
static void logits(weft_ctx *ctx, weft_model *m, const char *isa, int threads) {
    static float alone[TEXTS][6][VOCAB];
    const float *row;
    int32_t prompt[CONTEXT];
    for (size_t s = 0; s < TEXTS; s++) {
        const size_t n = 1 + 7 * s % 40;
        for (size_t i = 0; i < n; i++) prompt[i] = (int32_t)((i * 13 + s * 29) % VOCAB);
        for (size_t i = 0; i < 6; i++) {
            const struct weft_place at = {s, i == 0 ? 0 : n + i - 1};
            const int32_t next = (int32_t)((s * 31 + i * 7) % VOCAB);
            if (weft_model_prefill(m, i == 0 ? prompt : &next, i == 0 ? n : 1, at, &row) != WEFT_OK)
                die(ctx);
            memcpy(alone[s][i], row, sizeof alone[s][i]);
        }
    }
    for (size_t round = 1; round < 6; round++) { /* again over what is in the cache already */
        struct weft_place at[TEXTS];
        int32_t next[TEXTS];
        size_t n = 0;
        for (size_t k = 0; k < TEXTS; k++) {
            const size_t s = (k * 3 + round) % TEXTS; /* another order each time */
            if (round > 2 && s % 2 == 0) continue;    /* some have left */
            at[n] = (struct weft_place){s, 1 + 7 * s % 40 + round - 1};
            next[n++] = (int32_t)((s * 31 + round * 7) % VOCAB);
        }
        if (weft_model_decode(m, next, at, n, &row) != WEFT_OK) die(ctx);
        for (size_t i = 0; i < n; i++)
            expect(memcmp(row + i * VOCAB, alone[at[i].sequence][round], sizeof alone[0][0]) == 0,
                   "logits differ from those alone", isa, threads);
    }
}

/* ---- texts ---- */
struct text {
    int32_t token[LONGEST];
    size_t n, most;
    bool ended;
};

static bool take(void *user, int32_t token) {
    struct text *const t = user;
    t->token[t->n++] = token;
    return t->n < t->most;
}
static void end(void *user) { ((struct text *)user)->ended = true; }

static void add(weft_ctx *ctx, weft_generator *g, size_t s, struct text *t) {
    int32_t prompt[60];
    const size_t n = 1 + 11 * s % 60, tokens = 10 + 17 * s % 80;
    for (size_t i = 0; i < n; i++) prompt[i] = (int32_t)((i * 5 + s * 3) % VOCAB);
    const struct weft_request r = {.prompt = prompt,
                                   .prompt_tokens = n,
                                   .tokens = tokens,
                                   .sampling = {.temperature = s % 3 == 0 ? 0 : 0.9,
                                                .top_k = s % 2 ? 20 : 0,
                                                .min_p = 0.01,
                                                .repetition_penalty = s % 4 == 1 ? 1.3 : 0,
                                                .seed = s},
                                   .token = take,
                                   .end = end,
                                   .user = t};
    *t = (struct text){.most = s == 5 ? 4 : LONGEST}; /* one wants no more after four */
    if (weft_generate_add(g, &r) != WEFT_OK) die(ctx);
    memset(prompt, 0xff, sizeof prompt); /* it was copied */
}

static void texts(weft_ctx *ctx, weft_model *m, struct text want[TEXTS], bool first,
                  const char *isa, int threads) {
    static struct text got[TEXTS];
    weft_generator *g;
    size_t left = 1;
    if (weft_generate_create(m, 61, &g) != WEFT_OK) die(ctx);
    for (size_t s = 0; s < TEXTS; s += 2) add(ctx, g, s, &got[s]);
    for (size_t step = 0; left > 0; step++) { /* the others come while these run */
        if (step % 9 == 4 && step / 9 < TEXTS / 2)
            add(ctx, g, 2 * (step / 9) + 1, &got[2 * (step / 9) + 1]);
        if (weft_generate_step(g, &left) != WEFT_OK) die(ctx);
        if (left == 0 && step / 9 < TEXTS / 2) left = 1;
    }
    for (size_t s = 0; s < TEXTS; s++) {
        const size_t n = s == 5 ? 4 : 10 + 17 * s % 80;
        expect(got[s].ended && got[s].n == n, "a text has another length", isa, threads);
        for (size_t i = 0; i < got[s].n; i++)
            expect(got[s].token[i] >= 0 && got[s].token[i] < 61, "a token of the padding", isa,
                   threads);
        if (!first)
            expect(memcmp(got[s].token, want[s].token, sizeof want[s].token) == 0, "a text differs",
                   isa, threads);
    }
    if (first) memcpy(want, got, sizeof got);
    weft_generate_free(g);
}

static void check(const struct weft_kernels *table, int threads, size_t sequences,
                  struct text want[TEXTS], bool first) {
    const struct weft_ctx_options o = {.threads = threads, .isa = table->isa};
    weft_ctx *ctx = NULL;
    if (weft_ctx_create(&o, &ctx) != WEFT_OK) exit(1);
    for (; sequences <= TEXTS; sequences += 3) {
        weft_model *const m = make(ctx, sequences);
        if (sequences == TEXTS) logits(ctx, m, table->isa, threads);
        texts(ctx, m, want, first, table->isa, threads);
        first = false;
        weft_model_free(m);
    }
    weft_ctx_free(ctx);
}

int main(void) {
    static const struct format formats[] = {{NULL, NULL},       {"bf16", "bf16"},   {"int8", NULL},
                                            {"int8-g64", NULL}, {"int8-g32", NULL}, {"int4", NULL}};
    setenv("WEFT_TUNE", "grain_ns=1", 1); /* or such small phases would stay on one thread */
    static struct text want[TEXTS];
    const struct weft_kernels *table[8];
    const size_t tables = check_tables(table);
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++) {
        format = formats[f];
        for (size_t t = 0; t < tables; t++) {
            const bool own = check_own_bits(table[t], format.weights, format.kv);
            for (int threads = 1; threads <= 3; threads += 2)
                if (f == 0 || own ||
                    (t == 0) == (threads == 1)) /* 1, 4, 7 sequences; of other formats 7 */
                    check(table[t], threads, f == 0 ? 1 : TEXTS, want,
                          (t == 0 || own) && threads == 1);
        }
    }
    printf("batched generation: %zu ISAs, %d differences\n", tables, failures);
    return failures != 0;
}
