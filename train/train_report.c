/* What a run tells: the header, lines on the screen, metrics.jsonl, stats.jsonl, samples. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "train/weights.h"
#include "train/writer.h"
#include "train/trainer_inside.h"

#define DIGITS          9   /* of measured numbers in the logs */
#define BINS            64  /* of a histogram */
#define HISTOGRAMS      100 /* most snapshots of a run */
#define SAMPLE_TOKENS   200
#define WORTH_MEASURING 2e11 /* floating-point operations of a run: seconds, on any machine */

void weft_trainer_say(weft_trainer *t, const char *fmt, ...) {
    char text[4096];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    weft_progress_line(&t->progress, text);
}

/* ---- the header ---- */

static void say_model(weft_trainer *t) {
    const struct weft_gpt2_config *c = &t->s.shape.gpt2;
    const struct weft_mlp_config *m = &t->s.shape.mlp;
    const size_t params = weft_model_param_count(t->model);
    if (t->s.shape.language) {
        weft_trainer_say(t,
                         "model      gpt2: %zu layers, %zu heads, width %zu, context %zu, "
                         "vocabulary %zu, %s-norm: %zu parameters",
                         c->layers, c->heads, c->width, c->context, c->vocab, t->o->norm, params);
    } else {
        weft_trainer_say(
            t, "model      mlp: %zu inputs, hidden %s, %zu output%s, %s: %zu parameters", m->inputs,
            t->o->hidden, m->outputs, m->outputs > 1 ? "s" : "", m->act, params);
    }
}

static void say_data(weft_trainer *t) {
    const struct weft_data *d = t->data;
    const bool tokens = d->kind == WEFT_DATA_TOKENS;
    const double passes =
        (double)t->s.steps * (double)t->s.step_samples / (double)d->n[WEFT_SPLIT_TRAIN];
    weft_trainer_say(t, "data       %s (%s): %" PRIu64 " %s to train on, %" PRIu64 " to validate",
                     t->o->data, d->format, tokens ? d->tokens[0] : d->n[0],
                     tokens ? "tokens" : "samples", tokens ? d->tokens[1] : d->n[1]);
    char length[32] = "";
    if (tokens) snprintf(length, sizeof length, " x %zu tokens", t->s.training.seq);
    weft_trainer_say(t,
                     "step       %zu samples%s x %zu micro-batches; %" PRIu64
                     " steps are %.2f passes over the data",
                     t->s.training.batch, length, t->s.training.accumulate, t->s.steps, passes);
    if (d->columns && d->classes == 0 && d->columns->target_scale > 0)
        weft_trainer_say(
            t,
            "target     mean %.6g, standard deviation %.6g: losses are in units of its "
            "square, and 1 is what guessing the mean has",
            d->columns->target_mean, 1 / d->columns->target_scale);
    if (!isnan(t->bigram))
        weft_trainer_say(t, "baseline   a bigram model has validation loss %.4f", t->bigram);
}

static void say_optimizer(weft_trainer *t) {
    const struct weft_optim *a = &t->s.training.optim;
    const bool adam = strstr(a->name, "adam") != NULL;
    char moments[96];
    if (adam)
        snprintf(moments, sizeof moments, "beta %g %g, eps %g", a->beta1, a->beta2, a->eps);
    else
        snprintf(moments, sizeof moments, "momentum %g", a->beta1);
    weft_trainer_say(
        t,
        "optimizer  %s: lr %g, %s after %" PRIu64 " steps of warmup, %s, weight decay %g, clip %g",
        t->o->optimizer, t->o->lr, t->o->schedule, t->s.warmup, moments, a->weight_decay, a->clip);
    weft_trainer_say(t, "random     seed %" PRIu64 ", init %s, dropout %g", t->o->seed, t->o->init,
                     t->o->dropout);
}

static double mib(size_t bytes) { return (double)bytes / 1048576; }

/* GFLOP/s of what the model's products are made of. */
static double peak(const weft_trainer *t) {
    const struct weft_limits *const l = &t->meter.limits;
    return strcmp(t->o->precision, "bf16") == 0 ? l->bf16_gflops : l->fma_gflops;
}

static void say_machine(weft_trainer *t, const struct weft_memory *m) {
    weft_trainer_say(t,
                     "memory     %.1f MiB: parameters %.1f%s, gradients %.1f, optimizer %.1f, "
                     "activations %.1f, other %.1f, data %.1f",
                     mib(weft_fit_total(&t->memory, m)), mib(m->params + m->copies),
                     m->copies > 0 ? " with their bf16 copies" : "", mib(m->grads), mib(m->optim),
                     mib(m->activations), mib(m->state + m->scratch), mib(t->memory.data));
    const struct weft_limits *l = &t->meter.limits;
    char limits[96] = "";
    if (t->meter.bound > 0)
        snprintf(limits, sizeof limits, "; %.0f GFLOP/s, %.1f GB/s: a step takes at least %.3g ms",
                 peak(t), l->triad_gbs, 1e3 * t->meter.bound);
    const char *const bound = weft_ctx_cpus(t->ctx) != NULL ? " (bound)" : "";
    weft_trainer_say(t, "machine    %s, %d thread%s%s, %s%s", weft_ctx_isa(t->ctx),
                     weft_ctx_threads(t->ctx), weft_ctx_threads(t->ctx) > 1 ? "s" : "", bound,
                     strcmp(weft_ctx_backend(t->ctx), "native") ? "on oneDNN" : "own kernels",
                     limits);
}

/* Before the model has its memory, and with no more than that, so that the peak stays as planned. */
static void measure(weft_trainer *t, size_t memory) {
    const struct weft_limits any = {1, 1, 1, 1};
    weft_model_work(t->model, &any, &t->meter.flops, &t->meter.bound);
    t->meter.bound = 0;
    if (t->meter.flops * (double)t->s.steps < WORTH_MEASURING) return;
    if (weft_limits_measure(t->ctx, memory, &t->meter.limits) != WEFT_OK) return;
    weft_model_work(t->model, &t->meter.limits, &t->meter.flops, &t->meter.bound);
}

/* What is computed in bf16, and what it costs or gains here. */
static void say_precision(weft_trainer *t) {
    const char *const weights = t->o->bf16_weights;
    double ratio;
    char text[256];
    if (strcmp(t->o->precision, "bf16") != 0) return;
    const char *const isa = weft_ctx_isa(t->ctx);
    snprintf(text, sizeof text,
             "products by the CPU's dot products (--isa %.*s has the bits of every other CPU)",
             weft_isa_portable(isa), isa);
    weft_trainer_say(t, "precision  bf16, %s; %s",
                     weft_ctx_bf16_dots(t->ctx) ? text : "arithmetic in f32",
                     strcmp(weights, "master") == 0 ? "master weights in f32"
                                                    : "weights hold numbers of bf16 only");
    if (strcmp(weights, "master") != 0)
        weft_trainer_say(t, "           rounded after each step: %s", weights);
    if (weft_bf16_speed(t->ctx, &ratio) != WEFT_OK) return;
    weft_trainer_say(t, "           a product takes %.2f times as long as in f32 on this CPU",
                     1 / ratio);
    if (ratio >= 1 || !t->io.warn) return;
    snprintf(text, sizeof text,
             "bf16 is slower than f32 on this CPU: its products run at %.2f times the speed (weft "
             "converts to f32; nothing here multiplies bf16). It saves memory, not time",
             ratio);
    t->io.warn(t->io.user, text);
}

void weft_trainer_header(weft_trainer *t, const struct weft_memory *memory) {
    t->progress = (struct weft_progress){
        .write = t->io.write,
        .user = t->io.user,
        .terminal = t->io.terminal,
        .columns = t->io.columns,
        .every = t->o->log_every,
        .unit = t->s.shape.language ? "tok/s" : "samples/s",
    };
    measure(t, memory->total);
    say_model(t);
    say_data(t);
    say_optimizer(t);
    say_precision(t);
    say_machine(t, memory);
}

/* ---- the screen ---- */

void weft_trainer_progress(weft_trainer *t, const struct weft_step_result *r) {
    struct weft_meter *m = &t->meter;
    m->seconds += r->seconds;
    m->all += r->seconds;
    m->steps++;
    m->rate = (double)m->steps * (double)t->step_units / m->seconds;
    if (!t->io.write) return;
    const bool line = t->at.step % t->o->log_every == 0 || t->at.step == t->s.steps;
    if (line && m->bound > 0) {
        const double seconds = m->seconds / (double)m->steps;
        snprintf(m->more, sizeof m->more, "MFU %.0f%% bound %.0f%%",
                 100 * m->flops / (seconds * 1e9 * peak(t)), 100 * m->bound / seconds);
    }
    const struct weft_progress_state state = {
        .step = t->at.step,
        .loss = r->loss,
        .lr = r->lr,
        .grad_norm = r->step.grad_norm,
        .rate = m->rate,
        .more = *m->more ? m->more : NULL,
    };
    weft_progress_step(&t->progress, &state, weft_clock());
    if (!line) return;
    m->seconds = 0;
    m->steps = 0;
}

void weft_trainer_say_score(weft_trainer *t, const struct weft_score *score, bool best) {
    char more[96] = "";
    if (!t->s.shape.language && !t->s.shape.mlp.mse)
        snprintf(more, sizeof more, "  accuracy %.2f%%", 100 * score->accuracy);
    else if (!isnan(t->bigram))
        snprintf(more, sizeof more, "  (bigram %.4f)", t->bigram);
    weft_trainer_say(t, "step %" PRIu64 "  validation loss %.4f%s%s", t->at.step, score->loss, more,
                     best ? "  best" : "");
}

struct sample {
    char text[SAMPLE_TOKENS * 12 + 1];
    size_t size;
};

/* Bytes that would move a terminal's cursor become question marks. */
static bool put_sample(void *user, const char *text, size_t size) {
    struct sample *s = user;
    for (size_t i = 0; i < size && s->size + 1 < sizeof s->text; i++) {
        const unsigned char c = (unsigned char)text[i];
        s->text[s->size++] = (c < ' ' && c != '\n' && c != '\t') || c == 0x7f ? '?' : text[i];
    }
    return true;
}

enum weft_status weft_trainer_sample(weft_trainer *t) {
    struct sample sample = {.size = 0};
    weft_writer *w = NULL;
    const struct weft_writing how = {
        .model = t->model, .vocab = t->s.shape.gpt2.vocab, .tokenizer = t->data->tokenizer};
    const struct weft_prompt prompt = {
        .text = "",
        .tokens = SAMPLE_TOKENS,
        .sampling = {.temperature = 0.8, .seed = t->at.seed + t->at.step},
        .put = put_sample,
        .user = &sample,
    };
    enum weft_status st = weft_writer_create(t->ctx, &how, &w);
    if (st == WEFT_OK) st = weft_writer_add(w, "the sample", &prompt, NULL);
    if (st == WEFT_OK) st = weft_writer_run(w);
    weft_writer_free(w);
    if (st != WEFT_OK) return st;
    sample.text[sample.size] = '\0';
    weft_trainer_say(t, "--- sample at step %" PRIu64 "\n%s\n---", t->at.step, sample.text);
    return WEFT_OK;
}

/* ---- metrics.jsonl, stats.jsonl ---- */

enum weft_status weft_trainer_metrics(weft_trainer *t, const struct weft_step_result *r,
                                      const struct weft_score *score) {
    struct weft_json *j = weft_jsonl_begin(&t->dir.metrics);
    weft_json_count(j, "step", t->at.step);
    if (r) {
        weft_json_rounded(j, "loss", r->loss, DIGITS);
        weft_json_rounded(j, "lr", r->lr, DIGITS);
        weft_json_rounded(j, "grad_norm", r->step.grad_norm, DIGITS);
        weft_json_bool(j, "clipped", r->step.scale < 1);
        weft_json_rounded(j, "tokens_per_s", (double)t->step_units / r->seconds, 6);
        weft_json_rounded(j, "step_ms", 1e3 * r->seconds, 6);
    }
    if (score) weft_json_rounded(j, "val_loss", score->loss, DIGITS);
    if (score && !t->s.shape.language && !t->s.shape.mlp.mse)
        weft_json_rounded(j, "val_accuracy", score->accuracy, DIGITS);
    const uint64_t every = t->o->hash_every;
    if (r && every > 0 && (t->at.step % every == 0 || t->at.step == t->s.steps)) {
        const enum weft_status st = weft_weights_hash(t->ctx, t->model, j);
        if (st != WEFT_OK) return st;
    }
    return weft_jsonl_end(&t->dir.metrics);
}

static struct weft_json *begin_statistic(weft_trainer *t, int layer, const char *tensor,
                                         const char *kind) {
    struct weft_json *j = weft_jsonl_begin(&t->dir.stats);
    weft_json_count(j, "step", t->at.step);
    weft_json_int(j, "layer", layer);
    weft_json_text(j, "tensor", tensor);
    weft_json_text(j, "kind", kind);
    return j;
}

static enum weft_status put_histogram(weft_trainer *t, const struct weft_param_info *p) {
    uint64_t counts[BINS];
    double lo, hi;
    const enum weft_status st = weft_model_histogram(t->model, p->name, BINS, counts, &lo, &hi);
    if (st != WEFT_OK) return st;
    struct weft_json *j = begin_statistic(t, p->layer, p->role, "histogram");
    weft_json_rounded(j, "lo", lo, DIGITS);
    weft_json_rounded(j, "hi", hi, DIGITS);
    weft_json_open(j, "counts", '[');
    for (size_t i = 0; i < BINS; i++) weft_json_count(j, NULL, counts[i]);
    weft_json_close(j);
    return weft_jsonl_end(&t->dir.stats);
}

/* At most HISTOGRAMS of the steps with statistics: they cost a pass over the weights. */
static bool wants_histograms(const weft_trainer *t) {
    const uint64_t step = t->at.step, every = t->o->stats_every;
    if (step == 1 || step == t->s.steps) return true;
    const double share = (double)HISTOGRAMS / (double)t->s.steps;
    const double before = step > every ? (double)(step - every) : 0;
    return floor((double)step * share) > floor(before * share);
}

static enum weft_status put_histograms(weft_trainer *t) {
    size_t n;
    struct weft_param_info *params = weft_model_param_list(t->model, &n);
    if (!params) return weft_ctx_fail(t->ctx, WEFT_ERR_NOMEM, "out of memory for statistics");
    enum weft_status st = WEFT_OK;
    for (size_t i = 0; st == WEFT_OK && i < n; i++)
        if (params[i].shape[1] > 0 && params[i].layer == (int)t->o->histogram_layer)
            st = put_histogram(t, &params[i]);
    free(params);
    return st;
}

enum weft_status weft_trainer_statistics(weft_trainer *t) {
    enum weft_status st = WEFT_OK;
    for (size_t i = 0; st == WEFT_OK && i < t->statistics; i++) {
        const struct weft_statistic *s = &t->statistic[i];
        weft_json_rounded(begin_statistic(t, s->layer, s->tensor, s->kind), "value", s->value,
                          DIGITS);
        st = weft_jsonl_end(&t->dir.stats);
    }
    return st == WEFT_OK && wants_histograms(t) ? put_histograms(t) : st;
}
