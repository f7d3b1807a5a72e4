/* The promise of the same bits, for a whole training run: a tiny GPT-2 and a small MLP give the
 * same parameters after 20 steps for every ISA table this CPU can run, for 1, 2, 3, 5, 7 and 16
 * threads, for work cut coarsely or finely, packed or not, as one big batch or as accumulated
 * micro-batches; and the hash is the one written here.
 * A change of the hash is a change of the numeric contract: say why in the commit. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/check.h"
#include "weft/weft.h"

#define GPT2_HASH UINT64_C(0xc7109af3ee4add73)
#define MLP_HASH  UINT64_C(0x8e9bff477320e3d6)
/* The same in bf16: storage in bf16, arithmetic in f32. */
#define GPT2_BF16_HASH UINT64_C(0x65baf6ceec22bd88)
#define MLP_BF16_HASH  UINT64_C(0xe12fb441be5fb589)
#define STEPS          20

struct setup {
    const char *what;
    size_t batch, accumulate, groups;
    bool mlp;
    const char *norm;
    bool rezero;
    double dropout;
    const char *optimizer;
    size_t seq;
    int steps;
    const char *precision, *weights;
};

static void die(const char *what, weft_ctx *ctx) {
    fprintf(stderr, "%s: %s\n", what, ctx == NULL ? "no context" : weft_ctx_message(ctx));
    exit(1);
}

static uint64_t fnv(uint64_t h, const void *p, size_t n) {
    const unsigned char *const b = p;
    for (size_t i = 0; i < n; i++) h = (h ^ b[i]) * UINT64_C(1099511628211);
    return h;
}

static uint64_t hash_params(const weft_model *m) {
    struct weft_param_info p[64];
    const size_t n = weft_model_params(m, p, 64);
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < n && i < 64; i++)
        h = fnv(h, p[i].data,
                p[i].shape[0] * (p[i].shape[1] == 0 ? 1 : p[i].shape[1]) * sizeof(float));
    return h;
}

static weft_model *make(weft_ctx *ctx, const struct setup *s) {
    const struct weft_training t = {
        .batch = s->batch,
        .seq = s->seq,
        .accumulate = s->accumulate,
        .grad_groups = s->groups,
        .precision = s->precision,
        .optim = {s->optimizer, 0.9, 0.95, 1e-8, 0.1, 1.0, .weights = s->weights},
    };
    weft_model *m = NULL;
    enum weft_status st;
    if (s->mlp) {
        const struct weft_mlp_config c = {.inputs = 29,
                                          .outputs = 10,
                                          .hidden = {37, 18},
                                          .layers = 2,
                                          .act = "gelu_erf",
                                          .dropout = s->dropout};
        st = weft_mlp_create(ctx, &c, &t, &m);
    } else {
        const struct weft_gpt2_config c = {.vocab = 67,
                                           .context = 64,
                                           .layers = 2,
                                           .heads = 3,
                                           .width = 36,
                                           .dropout = s->dropout,
                                           .norm = s->norm,
                                           .rezero = s->rezero,
                                           .scales = s->rezero};
        st = weft_gpt2_create(ctx, &c, &t, &m);
    }
    if (st == WEFT_OK) st = weft_model_commit(m);
    const struct weft_init init = {.seed = 5};
    if (st == WEFT_OK) st = weft_model_init(m, &init);
    if (st != WEFT_OK) die(s->what, ctx);
    return m;
}

/* Deterministic data: sample i of the run. */
static void sample(const struct setup *s, uint64_t i, int32_t *tokens, int32_t *targets, float *x) {
    uint64_t state = i * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (size_t j = 0; j < (s->mlp ? 29 : s->seq + 1); j++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        const unsigned r = (unsigned)(state >> 33);
        if (s->mlp)
            x[j] = (float)(r % 1000) / 500.0F - 1;
        else if (j < s->seq)
            tokens[j] = (int32_t)(r % 67);
        if (!s->mlp && j > 0) targets[j - 1] = r % 13 == 0 ? -1 : (int32_t)(r % 67);
    }
    if (s->mlp) targets[0] = (int32_t)(state >> 40) % 10;
}

static void train_step(weft_ctx *ctx, weft_model *m, const struct setup *s, int step) {
    static int32_t tokens[64 * 64], targets[64 * 64];
    static float x[64 * 29];
    const size_t cols = s->mlp ? 1 : s->seq, micro = s->accumulate == 0 ? 1 : s->accumulate;
    const size_t groups = s->groups == 0 ? 1 : s->groups, total = s->batch * micro;
    size_t valid = 0;
    for (size_t i = 0; i < total; i++) {
        sample(s, (uint64_t)step * total + i, tokens, targets, x);
        for (size_t j = 0; j < cols; j++) valid += targets[j] >= 0;
    }
    struct weft_run run = {.step = (uint64_t)step,
                           .seed = 3,
                           .inv_targets = 1.0F / (float)valid,
                           .lr = 0.01 / (1 + step),
                           .statistics = step % 3 == 0};
    for (size_t u = 0; u < micro; u++) {
        run.sample = (uint64_t)step * total + u * s->batch;
        run.accumulate = u % (micro / groups) != 0;
        for (size_t i = 0; i < s->batch; i++)
            sample(s, run.sample + i, tokens + i * cols, targets + i * cols, x + i * 29);
        const struct weft_batch b = {
            .tokens = tokens, .targets = targets, .inputs = x, .rows = s->batch};
        struct weft_loss loss;
        if (weft_model_grad(m, &b, &run, &loss) != WEFT_OK) die(s->what, ctx);
        if ((u + 1) % (micro / groups) == 0 &&
            weft_model_fold(m, u + 1 == micro / groups) != WEFT_OK)
            die(s->what, ctx);
    }
    struct weft_step out;
    if (weft_model_update(m, &run, &out) != WEFT_OK) die(s->what, ctx);
}

/* How work is cut: such small phases would stay on one thread without the first. */
static const char *const tunings[] = {
    "grain_ns=1",
    "grain_ns=1,fma_mflops=100,l2=1,pack_from=1,packed_max=1",
    "grain_ns=1,fma_mflops=1,pack_from=1",
    "grain_ns=1,fma_mflops=100000000,l2=1000000000,pack_from=1000000000",
    "grain_ns=1000000000",
};
#define TUNINGS (sizeof tunings / sizeof *tunings)

static uint64_t train_tuned(const char *isa, int threads, const struct setup *s,
                            const char *tuning) {
    char message[WEFT_MESSAGE_MAX];
    const struct weft_ctx_options o = {
        .threads = threads, .isa = isa, .tuning = tuning, .message = message};
    weft_ctx *ctx = NULL;
    if (weft_ctx_create(&o, &ctx) != WEFT_OK) die(message, NULL);
    weft_model *const m = make(ctx, s);
    const uint64_t before = hash_params(m);
    for (int step = 0; step < s->steps; step++) train_step(ctx, m, s, step);
    const uint64_t h = hash_params(m);
    if (h == before) die("training changed nothing", ctx);
    weft_model_free(m);
    weft_ctx_free(ctx);
    return h;
}

static uint64_t train(const char *isa, int threads, const struct setup *s) {
    return train_tuned(isa, threads, s, tunings[0]);
}

static int failures;
static void expect(uint64_t got, uint64_t want, const char *what, const char *isa, int threads) {
    if (got == want) return;
    failures++;
    printf("FAIL training: %s on %s with %d threads: hash %016" PRIx64 ", expected %016" PRIx64
           "\n",
           what, isa, threads, got, want);
}

/* Every ISA and thread count, and ways of cutting in turn, against one run; returns its hash. An
 * ISA with dot products has bits of its own in bf16. */
static uint64_t everywhere(const struct setup *s) {
    static const int threads[] = {1, 2, 3, 5, 7, 16};
    const size_t counts = sizeof threads / sizeof *threads;
    const struct weft_kernels *table[8];
    const size_t tables = check_tables(table);
    uint64_t common = 0;
    for (size_t i = 0; i < tables; i++) {
        const bool own = s->precision != NULL && table[i]->bf16_word == 2;
        const uint64_t want = i == 0 || own ? train(table[i]->isa, 1, s) : common;
        if (i == 0) common = want;
        for (size_t t = 0; t < counts; t++)
            expect(train_tuned(table[i]->isa, threads[t], s, tunings[(i * counts + t) % TUNINGS]),
                   want, s->what, table[i]->isa, threads[t]);
        if (own) printf("%-28s %016" PRIx64 "  %s\n", s->what, want, table[i]->isa);
    }
    printf("%-28s %016" PRIx64 "  %zu ISAs x %zu thread counts\n", s->what, common, tables, counts);
    return common;
}

/* The promise holds for bf16 too, whatever is kept of the weights. */
static void in_bf16(const struct setup *gpt2, const struct setup *mlp, const struct setup *big) {
    struct setup s = *gpt2;
    s.what = "gpt2 in bf16";
    s.precision = "bf16";
    expect(everywhere(&s), GPT2_BF16_HASH, "gpt2 in bf16 against the stored hash", "all", 0);
    s.what = "gpt2 in bf16, stochastic, dropout";
    s.weights = "stochastic";
    s.dropout = 0.1;
    s.steps = 3;
    everywhere(&s);
    s = *mlp;
    s.what = "mlp in bf16";
    s.precision = "bf16";
    expect(everywhere(&s), MLP_BF16_HASH, "mlp in bf16 against the stored hash", "all", 0);
    s = *big;
    s.what = "gpt2 in bf16, batch 16";
    s.precision = "bf16";
    s.groups = 1;
    const struct weft_kernels *table[8];
    const size_t tables = check_tables(table);
    for (size_t i = 0; i < tables; i++) { /* the best of those with and without dot products */
        const size_t word = table[i]->bf16_word;
        if (i + 1 < tables && table[i + 1]->bf16_word == word) continue;
        s.batch = 16;
        s.accumulate = 1;
        const uint64_t whole = train(table[i]->isa, 2, &s);
        s.batch = 4 * word; /* 256 tokens, or 512: a whole chunk */
        s.accumulate = 4 / word;
        expect(train(table[i]->isa, 1, &s), whole, "micro-batches against one batch in bf16",
               table[i]->isa, 1);
    }
}

int main(void) {
    const struct setup gpt2 = {
        .what = "gpt2", .batch = 3, .seq = 21, .optimizer = "adamw", .steps = STEPS};
    const struct setup mlp = {.what = "mlp",
                              .batch = 13,
                              .mlp = true,
                              .optimizer = "momentum",
                              .dropout = 0.2,
                              .steps = STEPS};
    struct setup other = gpt2;
    expect(everywhere(&gpt2), GPT2_HASH, "gpt2 against the stored hash", "all", 0);
    expect(everywhere(&mlp), MLP_HASH, "mlp against the stored hash", "all", 0);
    other.what = "gpt2, post-norm and dropout";
    other.norm = "post";
    other.dropout = 0.1;
    other.steps = 3;
    everywhere(&other);
    /* 16 samples of 64 tokens: one batch, four micro-batches, two groups of two. */
    struct setup big = {.what = "gpt2, batch 16",
                        .batch = 16,
                        .seq = 64,
                        .optimizer = "adamw",
                        .dropout = 0.1,
                        .steps = 3};
    const char *const best = "";
    const uint64_t whole = train(NULL, 2, &big);
    big.batch = 4;
    big.accumulate = 4;
    expect(train(NULL, 1, &big), whole, "4 micro-batches against one batch", best, 1);
    big.groups = 2;
    const uint64_t grouped = train(NULL, 1, &big);
    expect(train(NULL, 3, &big), grouped, "2 gradient groups", best, 3);
    big.groups = 4; /* each micro-batch by itself: another order of sums, the same anywhere */
    expect(train(NULL, 2, &big), train(NULL, 7, &big), "4 gradient groups", best, 2);
    struct setup half = big;
    big.groups = 0;
    big.norm = "none"; /* gains sum over the batch too */
    big.rezero = true;
    const uint64_t gained = train(NULL, 3, &big);
    big.batch = 16;
    big.accumulate = 0;
    expect(train(NULL, 1, &big), gained, "4 micro-batches of a rezero net", best, 1);
    in_bf16(&gpt2, &mlp, &half);
    if (failures != 0) printf("%d differences\n", failures);
    return failures != 0;
}
