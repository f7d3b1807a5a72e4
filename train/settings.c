#include "train/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_MAX 128 /* of the attention kernels */

/* The value of an option that was given overrides what a preset says. */
static void override(const struct weft_options *o, enum weft_option_id id, uint64_t value,
                     bool preset, size_t *field) {
    if (weft_options_given(o, id) || (!preset && weft_options_has(o, id))) *field = value;
}

static enum weft_status gpt2_shape(weft_ctx *ctx, const struct weft_options *o,
                                   const struct weft_data_needs *needs,
                                   struct weft_gpt2_config *c) {
    const bool preset = weft_options_has(o, WEFT_OPT_preset);
    c->vocab = needs->vocab > 0 ? needs->vocab : 256; // bytes, when there is nothing to look at
    if (preset && !weft_gpt2_preset(o->preset, c))
        return weft_ctx_fail(ctx, WEFT_ERR_ARG, "--preset %s is not known", o->preset);
    override(o, WEFT_OPT_vocab, o->vocab, preset, &c->vocab);
    override(o, WEFT_OPT_layers, o->layers, preset, &c->layers);
    override(o, WEFT_OPT_heads, o->heads, preset, &c->heads);
    override(o, WEFT_OPT_width, o->width, preset, &c->width);
    override(o, WEFT_OPT_context, o->context, preset, &c->context);
    c->norm = strcmp(o->norm, "post") == 0 ? "post" : "pre";
    c->dropout = o->dropout;
    c->act = o->activation;
    c->norm_eps = o->norm_eps;
    c->untied = o->untied;
    if (c->vocab < needs->vocab)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                             "--vocab %zu is too small: the data has tokens up to %zu", c->vocab,
                             needs->vocab - 1);
    if (c->width % c->heads != 0)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                             "--heads %zu does not divide --width %zu: choose a width that is a "
                             "multiple of the heads",
                             c->heads, c->width);
    if (c->width / c->heads > HEAD_MAX)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                             "--heads %zu of --width %zu are %zu wide, above %d: take more heads",
                             c->heads, c->width, c->width / c->heads, HEAD_MAX);
    if (weft_options_has(o, WEFT_OPT_seq) && o->seq > c->context)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                             "--seq %" PRIu64 " is beyond --context %zu: a sample cannot be longer "
                             "than the positions the model has",
                             o->seq, c->context);
    return WEFT_OK;
}

/* "256,128"; empty: no hidden layer */
static enum weft_status parse_hidden(weft_ctx *ctx, const char *text, struct weft_mlp_config *c) {
    for (const char *at = text; *at;) {
        char *end;
        errno = 0;
        const unsigned long long width = *at >= '0' && *at <= '9' ? strtoull(at, &end, 10) : 0;
        if (width < 1 || width > 1 << 24 || (*end != ',' && *end != '\0') ||
            (*end == ',' && end[1] == '\0'))
            return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                                 "--hidden is '%s', but must be widths between commas, as in "
                                 "--hidden 256,128",
                                 text);
        if (c->layers == WEFT_MLP_MAX_HIDDEN)
            return weft_ctx_fail(ctx, WEFT_ERR_ARG, "--hidden has more than %d layers",
                                 WEFT_MLP_MAX_HIDDEN);
        c->hidden[c->layers++] = (size_t)width;
        at = *end == ',' ? end + 1 : end;
    }
    return WEFT_OK;
}

static enum weft_status mlp_shape(weft_ctx *ctx, const struct weft_options *o,
                                  const struct weft_data_needs *needs, struct weft_mlp_config *c) {
    c->inputs = needs->inputs > 0 ? needs->inputs : 784; // MNIST, when there is nothing to look at
    c->outputs = needs->outputs > 0 ? needs->outputs : 10;
    c->act = o->activation;
    c->dropout = o->dropout;
    c->mse = strcmp(o->loss, "mse") == 0;
    return parse_hidden(ctx, o->hidden, c);
}

static struct weft_optim optimizer_of(const struct weft_options *o) {
    const char *name = o->optimizer;
    const bool adam = strstr(name, "adam") != NULL;
    // plain gradient descent with a momentum is the rule of that name
    if (strcmp(name, "sgd") == 0 && o->momentum > 0) name = "momentum";
    return (struct weft_optim){
        .name = name,
        .beta1 = adam ? o->beta1 : o->momentum,
        .beta2 = o->beta2,
        .eps = o->eps,
        .weight_decay = o->weight_decay,
        .clip = o->clip,
        .weights = o->bf16_weights,
    };
}

/* Which of --steps and --epochs counts: the one from the stronger source. */
static bool by_epochs(const struct weft_options *o) {
    return o->from[WEFT_OPT_epochs] > o->from[WEFT_OPT_steps];
}

static enum weft_status check_warmup(weft_ctx *ctx, uint64_t warmup, uint64_t steps) {
    return warmup <= steps
               ? WEFT_OK
               : weft_ctx_fail(ctx, WEFT_ERR_ARG,
                               "--warmup %" PRIu64 " is more than the %" PRIu64 " steps of the run",
                               warmup, steps);
}

static enum weft_status count_steps(weft_ctx *ctx, const struct weft_options *o, uint64_t samples,
                                    struct weft_settings *s) {
    const bool epochs = by_epochs(o);
    const double a_pass = (double)samples / (double)s->step_samples; // steps of an epoch
    if (epochs) {
        const double steps = o->epochs * a_pass;
        if (!(steps < 0x1p53))
            return weft_ctx_fail(ctx, WEFT_ERR_ARG, "--epochs %g are too many steps", o->epochs);
        s->steps = (uint64_t)steps + (steps > (double)(uint64_t)steps);
    } else {
        s->steps = o->steps;
    }
    s->warmup = weft_options_has(o, WEFT_OPT_warmup) ? o->warmup : s->steps / 50;
    s->eval_every = o->eval_every;
    if (!weft_options_has(o, WEFT_OPT_eval_every))
        s->eval_every = a_pass < 1 ? 1 : (uint64_t)(a_pass + 0.5);
    return check_warmup(ctx, s->warmup, s->steps);
}

static enum weft_status check_precision(weft_ctx *ctx, const struct weft_options *o) {
    const bool half = o->precision && strcmp(o->precision, "bf16") == 0;
    if (!half && o->bf16_weights && strcmp(o->bf16_weights, "master") != 0)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                             "--bf16-weights %s is for --precision bf16: add that, or leave it out",
                             o->bf16_weights);
    if (half && o->backend && strcmp(o->backend, "onednn") == 0)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                             "--precision bf16 is computed by weft's own kernels: leave out "
                             "--backend onednn, or train in f32");
    return WEFT_OK;
}

enum weft_status weft_settings_make(weft_ctx *ctx, const struct weft_options *o,
                                    const struct weft_data_needs *needs,
                                    struct weft_settings *out) {
    struct weft_settings s = {
        .shape.language = o->where & WEFT_FOR_GPT2,
        .shape.unit_pixels = o->pixels && strcmp(o->pixels, "unit") == 0,
        .init = {.name = o->init, .std = o->init_std, .seed = o->seed},
        .training = {.batch = o->batch,
                     .accumulate = o->accumulate,
                     .grad_groups = o->grad_groups,
                     .precision = o->precision,
                     .optim = optimizer_of(o)},
        .step_samples = o->batch * o->accumulate,
    };
    enum weft_status st = check_precision(ctx, o);
    if (st == WEFT_OK)
        st = s.shape.language ? gpt2_shape(ctx, o, needs, &s.shape.gpt2)
                              : mlp_shape(ctx, o, needs, &s.shape.mlp);
    if (st != WEFT_OK) return st;
    if (o->grad_groups > o->accumulate || o->accumulate % o->grad_groups != 0)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                             "--grad-groups %" PRIu64 " does not divide --accumulate %" PRIu64,
                             o->grad_groups, o->accumulate);
    if (weft_options_given(o, WEFT_OPT_epochs) &&
        o->from[WEFT_OPT_epochs] == o->from[WEFT_OPT_steps])
        return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                             "--steps and --epochs are both given: choose one of them");
    const size_t layers = s.shape.language ? s.shape.gpt2.layers : s.shape.mlp.layers + 1;
    if (o->histogram_layer >= layers)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                             "--histogram-layer %" PRIu64 " is not below the model's %zu layers",
                             o->histogram_layer, layers);
    if (!by_epochs(o) && weft_options_has(o, WEFT_OPT_warmup)) { // before there is any data
        const enum weft_status warm = check_warmup(ctx, o->warmup, o->steps);
        if (warm != WEFT_OK) return warm;
    }
    if (s.shape.language) {
        s.training.seq = weft_options_has(o, WEFT_OPT_seq) ? o->seq : s.shape.gpt2.context;
        s.training.generate = o->sample_every > 0;
    }
    if (needs->samples > 0) {
        const enum weft_status counted = count_steps(ctx, o, needs->samples, &s);
        if (counted != WEFT_OK) return counted;
    }
    *out = s;
    return WEFT_OK;
}

static enum weft_status resolve_one(weft_ctx *ctx, struct weft_options *o, enum weft_option_id id,
                                    uint64_t value) {
    char text[32];
    if (weft_options_given(o, id)) return WEFT_OK;
    snprintf(text, sizeof text, "%" PRIu64, value);
    const enum weft_status st = weft_options_set(o, id, text, WEFT_FROM_DERIVED);
    return st == WEFT_OK ? st : weft_ctx_fail(ctx, st, "%s", o->message);
}

enum weft_status weft_settings_resolve(weft_ctx *ctx, struct weft_options *o,
                                       const struct weft_settings *s) {
    const struct weft_gpt2_config *c = &s->shape.gpt2;
    const struct {
        enum weft_option_id id;
        uint64_t value;
    } list[] = {
        {WEFT_OPT_warmup, s->warmup},   {WEFT_OPT_eval_every, s->eval_every},
        {WEFT_OPT_vocab, c->vocab},     {WEFT_OPT_layers, c->layers},
        {WEFT_OPT_heads, c->heads},     {WEFT_OPT_width, c->width},
        {WEFT_OPT_context, c->context}, {WEFT_OPT_seq, s->training.seq},
    };
    const size_t n = s->shape.language ? sizeof list / sizeof *list : 2;
    enum weft_status st = WEFT_OK;
    for (size_t i = 0; st == WEFT_OK && i < n; i++)
        st = resolve_one(ctx, o, list[i].id, list[i].value);
    o->from[by_epochs(o) ? WEFT_OPT_steps : WEFT_OPT_epochs] = WEFT_FROM_NOTHING;
    return st;
}

void weft_settings_data(const struct weft_options *o, const struct weft_settings *s,
                        struct weft_data_options *out) {
    const bool vocab = weft_options_has(o, WEFT_OPT_vocab) || weft_options_has(o, WEFT_OPT_preset);
    *out = (struct weft_data_options){
        .path = o->data,
        .seed = o->seed,
        .val_fraction = o->val_fraction,
        .seq = s->training.seq,
        .vocab = s->shape.language && vocab ? s->shape.gpt2.vocab : 0,
        .tokens = o->tokenizer,
        .label = o->label,
        .regression = s->shape.mlp.mse,
        .unit_pixels = s->shape.unit_pixels,
    };
}

void weft_settings_needs(const struct weft_data *data, struct weft_data_needs *out) {
    *out = (struct weft_data_needs){
        .vocab = data->vocab,
        .inputs = data->features,
        .outputs = data->classes > 0 ? data->classes : 1,
        .samples = data->n[WEFT_SPLIT_TRAIN],
    };
}

enum weft_status weft_shape_create(weft_ctx *ctx, const struct weft_shape *shape,
                                   const struct weft_training *training, weft_model **out) {
    return shape->language ? weft_gpt2_create(ctx, &shape->gpt2, training, out)
                           : weft_mlp_create(ctx, &shape->mlp, training, out);
}
