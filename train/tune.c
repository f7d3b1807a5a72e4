/* Coordinate descent: one setting after the other, a few values each, in turns. A value replaces
 * the best one only when it is clearly faster, because machines are noisy. */
#include "train/tune.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "train/progress.h"

#define ROUNDS  7
#define SLICE   4e-3 /* seconds that a load runs in a round, at least */
#define CLEARLY 0.98
#define VALUES  6
#define LOADS   3

/* What is timed: steps of a small net, or one product. */
struct load {
    weft_model *net;
    weft_matmul *product;
    float *x; /* inputs of the net; operands of the product */
    int32_t target[64];
    struct weft_batch batch;
    struct weft_matmul_operands operands;
    double best;
};

struct shape {
    size_t size[4]; /* nets: widths, 0 at the end; products: m, n, k */
    size_t batch;   /* 0: a product */
};

static const struct setting {
    const char *name;
    size_t value[VALUES];
    struct shape load[LOADS];
} settings[] = {
    {"grain_ns",
     {2000, 4000, 8000, 16000, 32000},
     {{{13, 64, 64, 3}, 16}, {{784, 46, 10}, 64}, {{784, 256, 128, 10}, 32}}},
    {"pack_from",
     {32 << 10, 96 << 10, 384 << 10, 1536 << 10},
     {{{64, 256, 256}, 0}, {{64, 768, 768}, 0}, {{256, 784, 256}, 0}}},
    {"packed_max", {4 << 20, 16 << 20, 64 << 20}, {{{2048, 256, 1024}, 0}, {{1024, 256, 3072}, 0}}},
};
#define SETTINGS (sizeof settings / sizeof *settings)

static void fill(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = (float)(i * 2654435761U % 2048) / 1024 - 1;
}

static enum weft_status open_net(weft_ctx *ctx, const struct shape *s, struct load *l) {
    struct weft_mlp_config c = {.inputs = s->size[0]};
    size_t n = 1;
    for (; n + 1 < 4 && s->size[n + 1] != 0; n++) c.hidden[c.layers++] = s->size[n];
    c.outputs = s->size[n];
    const struct weft_training how = {.batch = s->batch, .optim = {"momentum", .beta1 = 0.9}};
    enum weft_status st = weft_mlp_create(ctx, &c, &how, &l->net);
    if (st == WEFT_OK) st = weft_model_commit(l->net);
    if (st == WEFT_OK) st = weft_model_init(l->net, &(struct weft_init){.name = "kaiming-normal"});
    if (st != WEFT_OK) return st;
    l->x = malloc(s->batch * c.inputs * sizeof *l->x);
    if (l->x == NULL) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory");
    fill(l->x, s->batch * c.inputs);
    for (size_t i = 0; i < s->batch; i++) l->target[i] = (int32_t)(i % c.outputs);
    l->batch = (struct weft_batch){.inputs = l->x, .targets = l->target, .rows = s->batch};
    return WEFT_OK;
}

static enum weft_status open_product(weft_ctx *ctx, const struct shape *s, struct load *l) {
    const size_t m = s->size[0], n = s->size[1], k = s->size[2];
    const struct weft_matmul_shape shape = {.m = m, .n = n, .k = k, .b_trans = true};
    const enum weft_status st = weft_matmul_create(ctx, &shape, &l->product);
    if (st != WEFT_OK) return st;
    l->x = malloc((m * k + n * k + m * n) * sizeof *l->x);
    if (l->x == NULL) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory");
    fill(l->x, m * k + n * k);
    l->operands =
        (struct weft_matmul_operands){.a = l->x, .b = l->x + m * k, .c = l->x + m * k + n * k};
    return WEFT_OK;
}

static enum weft_status run_once(struct load *l) {
    if (l->product != NULL) return weft_matmul_run(l->product, &l->operands);
    const struct weft_run run = {.inv_targets = 1.0F / (float)l->batch.rows, .lr = 1e-4};
    struct weft_loss loss;
    struct weft_step step;
    const enum weft_status st = weft_model_grad(l->net, &l->batch, &run, &loss);
    return st == WEFT_OK ? weft_model_update(l->net, &run, &step) : st;
}

/* Seconds of one run, the mean of a slice; the best of all rounds is kept. */
static enum weft_status time_slice(struct load *l) {
    const double start = weft_clock();
    double now = start;
    for (int n = 1; now - start < SLICE; n++) {
        const enum weft_status st = run_once(l);
        if (st != WEFT_OK) return st;
        now = weft_clock();
        if (now - start >= SLICE) l->best = fmin(l->best, (now - start) / n);
    }
    return WEFT_OK;
}

struct candidate {
    weft_ctx *ctx;
    struct load load[LOADS];
};

static void close_candidate(struct candidate *c) {
    for (size_t i = 0; i < LOADS; i++) {
        weft_model_free(c->load[i].net);
        weft_matmul_free(c->load[i].product);
        free(c->load[i].x);
    }
    weft_ctx_free(c->ctx);
}

static enum weft_status open_candidate(weft_ctx *ctx, const struct setting *s, const char *before,
                                       size_t value, struct candidate *c) {
    char text[WEFT_TUNE_TEXT], message[WEFT_MESSAGE_MAX];
    snprintf(text, sizeof text, "%s%s%s=%zu", before, *before ? "," : "", s->name, value);
    const struct weft_ctx_options o = {.threads = weft_ctx_threads(ctx),
                                       .cpus = weft_ctx_cpus(ctx),
                                       .cpu_count = (size_t)weft_ctx_threads(ctx),
                                       .isa = weft_ctx_isa(ctx),
                                       .tuning = text,
                                       .message = message};
    enum weft_status st = weft_ctx_create(&o, &c->ctx);
    if (st != WEFT_OK) return weft_ctx_fail(ctx, st, "%s", message);
    for (size_t i = 0; st == WEFT_OK && i < LOADS && s->load[i].size[0] != 0; i++) {
        c->load[i].best = INFINITY;
        st = s->load[i].batch != 0 ? open_net(c->ctx, &s->load[i], &c->load[i])
                                   : open_product(c->ctx, &s->load[i], &c->load[i]);
    }
    return st == WEFT_OK ? st : weft_ctx_fail(ctx, st, "%s", weft_ctx_message(c->ctx));
}

/* Geometric mean over the loads of a's time over b's. */
static double ratio_of(const struct candidate *a, const struct candidate *b) {
    double sum = 0;
    int n = 0;
    for (size_t i = 0; i < LOADS; i++) {
        if (a->load[i].net == NULL && a->load[i].product == NULL) continue;
        sum += log(a->load[i].best / b->load[i].best);
        n++;
    }
    return exp(sum / n);
}

static enum weft_status time_all(weft_ctx *ctx, struct candidate *c, size_t n) {
    for (int round = 0; round < ROUNDS; round++)
        for (size_t v = 0; v < n; v++)
            for (size_t i = 0; i < LOADS; i++) {
                struct load *const l = &c[v].load[i];
                if (l->net == NULL && l->product == NULL) continue;
                const enum weft_status st = time_slice(l);
                if (st != WEFT_OK) return weft_ctx_fail(ctx, st, "%s", weft_ctx_message(c[v].ctx));
            }
    return WEFT_OK;
}

static size_t default_of(const char *name) {
#define WEFT_DEFAULT(field, value, what)                                                           \
    if (strcmp(name, #field) == 0) return value;
    WEFT_TUNING_LIST(WEFT_DEFAULT)
#undef WEFT_DEFAULT
    return 0;
}

static enum weft_status tune_one(weft_ctx *ctx, const struct setting *s,
                                 void (*tried)(void *, const struct weft_tune_trial *), void *user,
                                 char *text) {
    struct candidate c[VALUES] = {0};
    size_t n = 0, usual = 0;
    enum weft_status st = WEFT_OK;
    for (; st == WEFT_OK && n < VALUES && s->value[n] != 0; n++) {
        if (s->value[n] == default_of(s->name)) usual = n;
        st = open_candidate(ctx, s, text, s->value[n], &c[n]);
    }
    if (st == WEFT_OK) st = time_all(ctx, c, n);
    size_t best = usual;
    for (size_t v = 0; st == WEFT_OK && v < n; v++)
        if (ratio_of(&c[v], &c[usual]) < CLEARLY && ratio_of(&c[v], &c[best]) < 1) best = v;
    for (size_t v = 0; st == WEFT_OK && v < n; v++)
        tried(user, &(struct weft_tune_trial){.name = s->name,
                                              .value = s->value[v],
                                              .ratio = ratio_of(&c[v], &c[usual]),
                                              .kept = v == best});
    if (st == WEFT_OK && best != usual)
        snprintf(text + strlen(text), WEFT_TUNE_TEXT - strlen(text), "%s%s=%zu", *text ? "," : "",
                 s->name, s->value[best]);
    for (size_t v = 0; v < n; v++) close_candidate(&c[v]);
    return st;
}

enum weft_status weft_tune(weft_ctx *ctx, void (*tried)(void *, const struct weft_tune_trial *),
                           void *user, char out[WEFT_TUNE_TEXT]) {
    enum weft_status st = WEFT_OK;
    out[0] = 0;
    for (size_t i = 0; st == WEFT_OK && i < SETTINGS; i++)
        st = tune_one(ctx, &settings[i], tried, user, out);
    return st;
}
