/* A small model: one step node by node, weft and oneDNN from the same inputs, then a training of 50
 * steps on each. The two trainings may drift apart, as any two libraries' do, but not far. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "crosscheck/cross_walk.h"
#include "models/model.h"

enum { MICRO_BATCHES = 2, ROWS = 4, SEQ = 32, VOCAB = 96, INPUTS = 20, CLASSES = 5 };

static const struct {
    const char *name;
    bool language;
} models[] = {{"gpt2-tiny", true}, {"mlp-tiny", false}};
#define MODELS (sizeof models / sizeof *models)

const char *weft_cross_model_name(size_t i) { return i < MODELS ? models[i].name : NULL; }

static enum weft_status find(weft_ctx *ctx, const char *name, bool *language) {
    for (size_t i = 0; i < MODELS; i++) {
        if (strcmp(models[i].name, name) != 0) continue;
        *language = models[i].language;
        return WEFT_OK;
    }
    return weft_ctx_fail(ctx, WEFT_ERR_ARG, "no model is called '%s': there are %s and %s", name,
                         models[0].name, models[1].name);
}

static enum weft_status create(weft_ctx *ctx, bool language, uint64_t seed, weft_model **out) {
    const struct weft_gpt2_config gpt2 = {
        .vocab = VOCAB, .context = SEQ, .layers = 2, .heads = 3, .width = 48};
    const struct weft_mlp_config mlp = {
        .inputs = INPUTS, .hidden = {64, 33}, .layers = 2, .outputs = CLASSES};
    const struct weft_training how = {.batch = language ? ROWS : ROWS * SEQ,
                                      .seq = SEQ,
                                      .accumulate = MICRO_BATCHES,
                                      .optim = {.name = "adamw",
                                                .beta1 = 0.9,
                                                .beta2 = 0.95,
                                                .eps = 1e-8,
                                                .weight_decay = 0.1,
                                                .clip = 1}};
    enum weft_status st =
        language ? weft_gpt2_create(ctx, &gpt2, &how, out) : weft_mlp_create(ctx, &mlp, &how, out);
    if (st == WEFT_OK) st = weft_model_commit(*out);
    const struct weft_init init = {.name = language ? "gpt2" : "kaiming-normal", .seed = seed};
    return st == WEFT_OK ? weft_model_init(*out, &init) : st;
}

/* ---- data: something that can be learned ---- */
struct data {
    int32_t token[ROWS * SEQ], target[ROWS * SEQ];
    float input[ROWS * SEQ * INPUTS];
};

/* Of token t comes 5t + 1, or one time in five anything. */
static void fill_text(struct data *d, uint64_t *state) {
    for (size_t r = 0; r < ROWS; r++) {
        int32_t t = (int32_t)weft_cross_below(state, VOCAB);
        for (size_t i = r * SEQ; i < (r + 1) * SEQ; i++) {
            d->token[i] = t;
            t = weft_cross_below(state, 5) == 0 ? (int32_t)weft_cross_below(state, VOCAB)
                                                : (5 * t + 1) % VOCAB;
            d->target[i] = t;
        }
    }
}

/* The class is the largest of the first inputs. */
static void fill_points(struct data *d, uint64_t *state) {
    for (size_t i = 0; i < ROWS * SEQ * INPUTS; i++) d->input[i] = weft_cross_normal(state);
    for (size_t r = 0; r < ROWS * SEQ; r++) {
        const float *const x = d->input + r * INPUTS;
        d->target[r] = 0;
        for (int32_t k = 1; k < CLASSES; k++)
            if (x[k] > x[d->target[r]]) d->target[r] = k;
    }
}

static void fill(struct data *d, bool language, uint64_t seed) {
    uint64_t state = seed;
    if (language)
        fill_text(d, &state);
    else
        fill_points(d, &state);
}

static struct weft_run run_of(uint64_t step, size_t micro) {
    return (struct weft_run){.step = step,
                             .accumulate = micro > 0,
                             .inv_targets = 1.0f / (MICRO_BATCHES * ROWS * SEQ),
                             .lr = 3e-3};
}

/* ---- one step, node by node ---- */
struct walker {
    struct weft_cross_walk *w;
    size_t done, nodes;
};

static bool every(const void *arg, const struct weft_node *n) {
    struct walker *const k = (struct walker *)(uintptr_t)arg;
    const struct weft_cross_options *const o = k->w->options;
    if (o->next != NULL) o->next(o->user, n->name, k->done, k->nodes);
    k->done++;
    return true;
}

static void put_in(const weft_model *m, const struct data *d) {
    const struct weft_io *const io = &m->train;
    if (io->tokens >= 0 && m->language)
        memcpy(weft_tensor_data(m->graph, io->tokens), d->token, sizeof d->token);
    if (!m->language) memcpy(weft_tensor_data(m->graph, io->inputs), d->input, sizeof d->input);
    memcpy(weft_tensor_data(m->graph, io->targets), d->target, sizeof d->target);
}

static enum weft_status step(struct weft_cross_walk *w, const void *arg, uint64_t seed) {
    const bool language = *(const bool *)arg;
    weft_model *m = NULL;
    struct data *const d = malloc(sizeof *d);
    enum weft_status st = d != NULL ? create(w->ctx, language, seed, &m)
                                    : weft_ctx_fail(w->ctx, WEFT_ERR_NOMEM, "out of memory");
    struct walker k = {.w = w};
    if (st == WEFT_OK) k.nodes = MICRO_BATCHES * m->train.program->nodes + m->update->nodes;
    for (size_t i = 0; st == WEFT_OK && i < MICRO_BATCHES; i++) {
        const struct weft_run run = run_of(0, i);
        fill(d, language, seed * 100 + i);
        put_in(m, d);
        st = weft_cross_program(w, m->train.program, &run, every, &k);
    }
    const struct weft_run run = run_of(0, 0);
    if (st == WEFT_OK) st = weft_cross_program(w, m->update, &run, every, &k);
    weft_model_free(m);
    free(d);
    return st;
}

/* ---- a training on one side ---- */
static enum weft_status train_step(weft_model *m, bool language, struct data *d, uint64_t s,
                                   double *mean) {
    struct weft_step ignored;
    double sum = 0;
    for (size_t i = 0; i < MICRO_BATCHES; i++) {
        const struct weft_run run = run_of(s, i);
        struct weft_loss loss = {0};
        fill(d, language, 1000 + s * MICRO_BATCHES + i);
        const struct weft_batch batch = {.tokens = d->token,
                                         .inputs = d->input,
                                         .targets = d->target,
                                         .rows = language ? ROWS : ROWS * SEQ};
        const enum weft_status st = weft_model_grad(m, &batch, &run, &loss);
        if (st != WEFT_OK) return st;
        sum += loss.sum;
    }
    *mean = sum / (MICRO_BATCHES * ROWS * SEQ);
    const struct weft_run run = run_of(s, 0);
    return weft_model_update(m, &run, &ignored);
}

/* steps: how many were done; fewer than all when a loss or gradient is not finite. */
static enum weft_status train(struct weft_cross_walk *w, bool language,
                              const struct weft_backend *backend, double *losses, size_t *steps) {
    const struct weft_cross_options *const o = w->options;
    weft_model *m = NULL;
    struct data *const d = malloc(sizeof *d);
    enum weft_status st = d != NULL ? create(w->ctx, language, 1, &m)
                                    : weft_ctx_fail(w->ctx, WEFT_ERR_NOMEM, "out of memory");
    weft_ctx_use_backend(w->ctx, backend);
    *steps = 0;
    while (st == WEFT_OK && *steps < WEFT_CROSS_STEPS) {
        if (o->next != NULL)
            o->next(o->user, backend != NULL ? "training on oneDNN" : "training on weft", *steps,
                    WEFT_CROSS_STEPS);
        st = train_step(m, language, d, *steps, &losses[*steps]);
        *steps += st == WEFT_OK;
    }
    weft_ctx_use_backend(w->ctx, NULL);
    weft_model_free(m);
    free(d);
    return st == WEFT_ERR_NONFINITE ? WEFT_OK : st;
}

static void compare(struct weft_cross_report *r, const size_t steps[2]) {
    r->steps = steps[0] < steps[1] ? steps[0] : steps[1];
    for (size_t s = 0; s < r->steps; s++) {
        const double off = fabs(r->loss[1][s] - r->loss[0][s]) / r->loss[0][s];
        if (!(off <= r->divergence)) r->divergence = off;
    }
    if (r->steps < WEFT_CROSS_STEPS) r->divergence = INFINITY;
}

enum weft_status weft_cross_model(struct weft_cross_walk *w) {
    struct weft_cross_report *const r = w->report;
    const struct weft_cross_options *const o = w->options;
    size_t steps[2];
    bool language = false;
    enum weft_status st = find(w->ctx, o->model, &language);
    if (st == WEFT_OK) st = weft_cross_seeds(w, step, &language);
    for (size_t i = 0; st == WEFT_OK && i < r->checks; i++) {
        if (o->done != NULL) o->done(o->user, &r->check[i]);
        if (r->first == NULL && r->check[i].failed) r->first = r->check[i].node;
    }
    if (st == WEFT_OK) st = train(w, language, NULL, r->loss[0], &steps[0]);
    if (st == WEFT_OK) st = train(w, language, w->backend, r->loss[1], &steps[1]);
    if (st == WEFT_OK) compare(r, steps);
    return st;
}
