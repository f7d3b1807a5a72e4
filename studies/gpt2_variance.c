/* E3: how do the standard deviations of W_q, W_k, W_v of twelve layers move in pre-training, and does
 * AdamW's equilibrium explain it?
 *
 *   a  weights that see noise only        b  training        c  histograms (in b, first seed)
 *   d  signal to noise of gradients, effective steps (in b, first seed)
 *   e  without decay                      f  SGD with momentum, Adam with L2
 *   g  b at GPT(12,192,256), batch 8, 2000 steps: between quick and default
 *
 * Yardstick of uncorrelated updates: S = std^2, dS/dt = -2 eta lambda S + eta^2 over the real
 * schedule. It is an assumption about training, a theorem only in part a. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "studies/curve.h"
#include "studies/draw.h"
#include "studies/stats.h"
#include "studies/trial.h"
#include "studies/verdict.h"

#define LAYERS 12
#define STD0   0.02
#define BINS   256
#define SNR    16 /* micro-batches behind a signal-to-noise ratio */
static const char *const slices[] = {"q", "k", "v"};

struct size { /* of a training */
    size_t width, heads, context, batch;
    double lr, decay;
    uint64_t steps, warmup, every;
};

static struct size size_of(const struct study *s, char part) {
    const struct size quick = {64, 2, 64, 8, 2e-3, 0.1, 600, 30, 1};
    const struct size normal = {384, 6, 256, 32, 6e-4, 0.1, 10000, 200, 10};
    const struct size between = {192, 4, 256, 8, 6e-4, 0.1, 2000, 40, 4};
    const struct size paper = {768, 12, 256, 256, 6e-4, 0.1, 50000, 1000, 50};
    struct size z = s->set.setting <= STUDY_QUICK   ? quick
                    : part == 'g'                   ? between
                    : s->set.setting == STUDY_PAPER ? paper
                                                    : normal;
    if (part == 'f' && s->set.setting == STUDY_QUICK) z.steps = 200;
    if (s->set.setting == STUDY_SMOKE) z.steps = 3;
    return z;
}

static size_t noise_weights(const struct study *s) { return study_pick(s, 1, 10, 10, 10) * 20000; }
static uint64_t noise_steps(const struct study *s) {
    return (uint64_t)study_pick(s, 300, 1600, 1600, 1600);
}

static double flops_of(const struct study *s, char part) {
    const struct size z = size_of(s, part);
    return study_gpt_flops(LAYERS, z.width, z.context, 256) *
           (double)(z.batch * z.context * z.steps);
}

/* The part whose training is looked at. */
static char main_part(const struct study *s) { return study_has(s, 'b') ? 'b' : 'g'; }

static void grid(struct study *s) {
    const bool smoke = s->set.setting == STUDY_SMOKE, quick = s->set.setting == STUDY_QUICK;
    const size_t seeds = study_seeds(s, 1, 2, 3);
    for (int i = 0; i < 4; i++)
        study_add(s, 'a', "noise", 1, 1e9, i / 2 ? 0.5 : 0, i % 2 ? 0.999 : 0.95);
    for (size_t seed = 1; seed <= seeds; seed++) {
        if (seed == 1 && study_has(s, 'b')) s->proof = s->cells;
        study_add(s, 'b', "adamw", seed, flops_of(s, 'b'), STUDY_ANY, STUDY_ANY);
    }
    for (size_t seed = 1; seed <= (quick || smoke ? 1 : seeds); seed++) {
        study_add(s, 'e', "no-decay", seed, flops_of(s, 'e'), STUDY_ANY, STUDY_ANY);
        study_add(s, 'f', "momentum", seed, flops_of(s, 'f'), STUDY_ANY, STUDY_ANY);
        study_add(s, 'f', "adam-l2", seed, flops_of(s, 'f'), STUDY_ANY, STUDY_ANY);
    }
    for (size_t seed = 1; seed <= study_seeds(s, 1, 2, 2) && !quick && !smoke; seed++) {
        if (seed == 1 && !study_has(s, 'b')) s->proof = s->cells;
        study_add(s, 'g', "adamw", seed, flops_of(s, 'g'), STUDY_ANY, STUDY_ANY);
    }
    s->plain = strcmp(s->set.parts, "a") == 0;
    const struct size z = size_of(s, main_part(s));
    s->epochs = (double)(z.steps * z.batch * z.context) / (0.9 * 4404412);
    study_note(s, "model", "GPT(%d,%zu,%zu), %zu heads, N(0, 0.02²), projections 0.02/√24", LAYERS,
               z.width, z.context, z.heads);
    study_note(s, "training", "batch %zu, %.0f steps, lr %g, cosine to 10%%, warmup %.0f, AdamW "
                              "0.9/0.95, decay %g, clip 1",
               z.batch, (double)z.steps, z.lr, (double)z.warmup, z.decay);
}

/* ---- a: noise ---- */
static void no_batch(struct trial *t, uint64_t step, struct weft_batch *out) {
    static const float zeros[1000];
    (void)t, (void)step;
    *out = (struct weft_batch){.inputs = zeros, .values = zeros, .rows = 1};
}

static enum weft_status noise(struct trial *t) {
    struct weft_param_info *const p = &t->param[0];
    draw_normal(t->run->cell->seed, DRAW_NOISE, t->step * trial_count(p), 1, p->grad,
                trial_count(p));
    return WEFT_OK;
}

static enum weft_status run_noise(struct study_run *r) {
    const struct trial_spec spec = {
        .fill = no_batch,
        .mlp = {.inputs = 200, .outputs = noise_weights(r->s) / 200, .inner = true},
        .how = {.batch = 1,
                .watch = "weights",
                .optim = {"adamw", 0.9, r->cell->number[1], 1e-8, r->cell->number[0]}},
        .init = {.name = "normal", .std = STD0},
        .steps = noise_steps(r->s),
        .lr = 2e-3,
        .every = 20,
        .kinds = "std norm update_ratio",
        .grad = noise,
    };
    return trial_run(r, &spec);
}

/* ---- c: histograms ---- */
static bool wants_histogram(const struct trial *t, uint64_t step) {
    static const uint64_t quick[] = {0, 30, 100, 600}, normal[] = {0, 100, 1000, 10000};
    const uint64_t *const at = t->run->s->set.setting <= STUDY_QUICK ? quick : normal;
    for (size_t i = 0; i < 4; i++)
        if (at[i] == step || (i == 3 && step == t->spec->steps)) return true;
    return false;
}

/* 256 bins over +-8 initial standard deviations, what lies beyond, and moments. */
static void histogram(struct trial *t, uint64_t step, int layer, size_t slice) {
    char name[64], tensor[16];
    double count[BINS + 2] = {0}, m[5] = {0};
    snprintf(name, sizeof name, "transformer.h.%d.attn.c_attn.weight", layer);
    snprintf(tensor, sizeof tensor, "%s.h%d", slices[slice], layer);
    const struct weft_param_info *const p = trial_param(t, name);
    const size_t n = p->shape[1] * p->shape[1];
    const float *const w = p->data + slice * n;
    for (size_t i = 0; i < n; i++) {
        const double at = ((double)w[i] / (8 * STD0) + 1) / 2 * BINS;
        count[at < 0 ? 0 : at >= BINS ? BINS + 1 : (size_t)at + 1]++;
        m[1] += (double)w[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++)
        for (int k = 2; k <= 4; k++) m[k] += pow((double)w[i] - m[1], k) / (double)n;
    for (int i = 0; i < BINS + 2; i++)
        if (count[i] > 0) study_put(t->run, (int64_t)step, i, tensor, KIND_count, count[i]);
    study_put(t->run, (int64_t)step, -1, tensor, KIND_mean, m[1]);
    study_put(t->run, (int64_t)step, -1, tensor, KIND_std, sqrt(m[2]));
    study_put(t->run, (int64_t)step, -1, tensor, KIND_kurt, m[4] / (m[2] * m[2]));
}

static void histograms(struct trial *t, uint64_t step) {
    static const int layers[] = {0, 5, LAYERS - 1};
    const struct study_run *const r = t->run;
    if (r->cell->seed != 1 || r->cell->part == 'f' || !wants_histogram(t, step)) return;
    for (size_t l = 0; l < 3; l++)
        for (size_t k = 0; k < 3; k++) histogram(t, step, layers[l], k);
}

static enum weft_status at_start(struct trial *t) {
    histograms(t, 0);
    return WEFT_OK;
}

/* ---- d: signal to noise, effective step ---- */
static struct weft_param_info *attention_weight(struct trial *t, int layer) {
    char name[64];
    snprintf(name, sizeof name, "transformer.h.%d.attn.c_attn.weight", layer);
    return trial_param(t, name);
}

/* Ten steps, log-spaced. */
static bool wants_signal(const struct trial *t) {
    if (t->run->cell->seed != 1 || strchr("bg", t->run->cell->part) == NULL) return false;
    for (int i = 0; i < 10; i++)
        if (t->step == (uint64_t)(pow((double)t->spec->steps, i / 9.0) + 0.5) - 1) return true;
    return false;
}

/* (|mean g|^2 - tr/K)/tr, tr = sum |g_k - mean g|^2/(K-1), of W_qkv of each layer. */
static enum weft_status signal_to_noise(struct trial *t) {
    const size_t rows = t->spec->how.batch, n = trial_count(attention_weight(t, 0));
    double *const mean = calloc(LAYERS * n, sizeof *mean), square[LAYERS] = {0};
    enum weft_status st = mean == NULL ? WEFT_ERR_NOMEM : WEFT_OK;
    for (uint64_t k = 0; k < SNR && st == WEFT_OK; k++) {
        struct weft_batch batch;
        struct weft_loss loss;
        struct weft_run run = t->how;
        run.statistics = false;
        weft_feed_fill(&t->feed, WEFT_SPLIT_TRAIN, (t->spec->steps + t->step * SNR + k) * rows, rows,
                       &batch);
        st = weft_model_grad(t->model, &batch, &run, &loss);
        for (int l = 0; l < LAYERS && st == WEFT_OK; l++) {
            const float *const g = attention_weight(t, l)->grad;
            for (size_t i = 0; i < n; i++) {
                mean[(size_t)l * n + i] += (double)g[i] / SNR;
                square[l] += (double)g[i] * (double)g[i];
            }
        }
    }
    for (int l = 0; l < LAYERS && st == WEFT_OK; l++) {
        double m2 = 0;
        for (size_t i = 0; i < n; i++) m2 += pow(mean[(size_t)l * n + i], 2);
        const double trace = (square[l] - SNR * m2) / (SNR - 1);
        study_put(t->run, (int64_t)t->step, l, "snr", KIND_value, (m2 - trace / SNR) / trace);
    }
    free(mean);
    return st == WEFT_ERR_NONFINITE ? WEFT_OK : st;
}

/* |dW x| / |W x| of W_q over some rows of what the layer saw; before: its weights before the step. */
static double effective_step(struct trial *t, int layer, const float *before,
                             const struct weft_probe_value *stream) {
    char name[64];
    const struct weft_param_info *const w = attention_weight(t, layer);
    snprintf(name, sizeof name, "transformer.h.%d.ln_1.weight", layer);
    const float *const gamma = trial_param(t, name)->data;
    snprintf(name, sizeof name, "transformer.h.%d.ln_1.bias", layer);
    const float *const beta = trial_param(t, name)->data;
    const size_t c = stream->cols, rows = stream->rows < 16 ? stream->rows : 16;
    double moved = 0, all = 0, x[2048];
    for (size_t r = 0; r < rows && c <= 2048; r++) {
        const float *const in = stream->of + r * c;
        double mean = 0, var = 0;
        for (size_t i = 0; i < c; i++) mean += (double)in[i] / (double)c;
        for (size_t i = 0; i < c; i++) var += pow((double)in[i] - mean, 2) / (double)c;
        for (size_t i = 0; i < c; i++)
            x[i] = ((double)in[i] - mean) / sqrt(var + 1e-5) * (double)gamma[i] + (double)beta[i];
        for (size_t o = 0; o < c; o++) {
            double old = 0, new = 0;
            for (size_t i = 0; i < c; i++) {
                old += (double)before[o * c + i] * x[i];
                new += (double)w->data[o * c + i] * x[i];
            }
            moved += (new - old) * (new - old);
            all += old * old;
        }
    }
    return sqrt(moved / all);
}

static enum weft_status remember_weights(struct trial *t) {
    float *const copy = t->user;
    if (!wants_signal(t)) return WEFT_OK;
    for (int l = 0; l < LAYERS; l++) {
        const struct weft_param_info *const w = attention_weight(t, l);
        const size_t n = w->shape[1] * w->shape[1]; /* W_q: the first third of the rows */
        memcpy(copy + (size_t)l * n, w->data, n * sizeof *copy);
    }
    return WEFT_OK;
}

static void effective_steps(struct trial *t) {
    struct weft_probe_value v[256];
    const size_t n = weft_model_probes(t->model, v, 256), width = t->spec->gpt2.width;
    bool seen[LAYERS] = {false};
    for (size_t i = 0; i < n && i < 256; i++) { /* the first norm of a layer is ln_1 */
        const int l = v[i].layer;
        if (l < 0 || strcmp(v[i].kind, "std") != 0 || seen[l] || v[i].of == NULL) continue;
        seen[l] = true;
        study_put(t->run, (int64_t)t->step, l, "effective", KIND_value,
                  effective_step(t, l, (const float *)t->user + (size_t)l * width * width, &v[i]));
    }
}

/* ---- b, e, f, g: training ---- */
static void record_decade(struct trial *t) {
    static const char *const kinds = "mean absmax gnorm update_ratio norm rms logit_max entropy";
    for (size_t i = 0; i < t->statistics; i++) {
        const struct weft_statistic *const v = &t->statistic[i];
        enum study_kind kind;
        const bool head = strchr(v->tensor, '.') != NULL;
        const bool wanted = strchr("qkv", v->tensor[0]) != NULL || strcmp(v->tensor, "attn") == 0 ||
                            strncmp(v->tensor, "resid", 5) == 0;
        const bool listed = strstr(kinds, v->kind) != NULL || (head && strcmp(v->kind, "std") == 0);
        if (wanted && listed && study_kind_named(v->kind, &kind))
            study_put(t->run, (int64_t)t->step, v->layer, v->tensor, kind, v->value);
    }
}

static enum weft_status after(struct trial *t) {
    enum weft_status st = WEFT_OK;
    if (t->due && trial_decades(t->step)) record_decade(t);
    if (wants_signal(t)) {
        effective_steps(t);
        if (t->run->mode == STUDY_RUN) st = signal_to_noise(t);
    }
    histograms(t, t->step + 1);
    return st;
}

static enum weft_status run(struct study_run *r) {
    const struct study_cell *const c = r->cell;
    const struct size z = size_of(r->s, c->part);
    if (c->part == 'a') return run_noise(r);
    struct trial_spec spec = {
        .data = "text",
        .gpt2 = {.vocab = 256, .context = z.context, .layers = LAYERS, .heads = z.heads, .width = z.width},
        .how = {.batch = z.batch,
                .seq = z.context,
                .watch = "weights heads stream entropy",
                .keep = true,
                .optim = {"adamw", 0.9, 0.95, 1e-8, z.decay, 1}},
        .init = {.name = "gpt2", .std = STD0},
        .steps = z.steps,
        .schedule = {.kind = WEFT_SCHEDULE_COSINE,
                     .lr = z.lr,
                     .min_fraction = 0.1,
                     .steps = z.steps,
                     .warmup = z.warmup},
        .every = z.every,
        .kinds = "std",
        .tensors = "q k v",
        .eval_samples = r->s->set.setting == STUDY_SMOKE ? 8 : 256,
        .start = at_start,
        .grad = remember_weights,
        .after = after,
    };
    if (strcmp(c->arm, "no-decay") == 0) spec.how.optim.weight_decay = 0;
    if (strcmp(c->arm, "adam-l2") == 0) spec.how.optim.name = "adam";
    if (strcmp(c->arm, "momentum") == 0) {
        spec.how.optim = (struct weft_optim){"momentum", .beta1 = 0.9, .clip = 1};
        spec.schedule.lr = 0.3;
    }
    spec.user = malloc(LAYERS * z.width * z.width * sizeof(float));
    if (spec.user == NULL) return weft_ctx_fail(r->ctx, WEFT_ERR_NOMEM, "out of memory");
    const enum weft_status st = trial_run(r, &spec);
    free(spec.user);
    return st;
}
