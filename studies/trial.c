/* See trial.h. */
#include "studies/trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "kernels/base/bug.h"
#include "studies/prove.h"
#include "train/evaluate.h"

/* ---- opening ---- */
static enum weft_status make_model(struct trial *t) {
    const struct trial_spec *const s = t->spec;
    weft_ctx *const ctx = t->run->ctx;
    struct weft_training how = s->how;
    enum weft_status st = s->gpt2.layers > 0 ? weft_gpt2_create(ctx, &s->gpt2, &how, &t->model)
                                             : weft_mlp_create(ctx, &s->mlp, &how, &t->model);
    if (st == WEFT_OK) st = weft_model_commit(t->model);
    if (st != WEFT_OK) return st;
    struct weft_init init = s->init;
    if (init.seed == 0) init.seed = t->run->cell->seed;
    st = weft_model_init(t->model, &init);
    t->params = weft_model_params(t->model, NULL, 0);
    t->param = calloc(t->params + 1, sizeof *t->param);
    t->statistics = weft_model_statistics(t->model, NULL, 0);
    t->statistic = calloc(t->statistics + 1, sizeof *t->statistic);
    if (t->param == NULL || t->statistic == NULL)
        return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory for a training");
    weft_model_params(t->model, t->param, t->params);
    return st;
}

static enum weft_status open_data(struct trial *t) {
    const struct trial_spec *const s = t->spec;
    if (s->data == NULL) return WEFT_OK;
    const enum weft_status st =
        study_source_open(t->run->ctx, t->run->s->corpus, s->data, t->run->cell->seed,
                          s->how.seq != 0 ? s->how.seq : s->gpt2.context, &t->source);
    return st == WEFT_OK ? weft_feed_create(t->run->ctx, t->source.data, s->how.batch, &t->feed)
                         : st;
}

enum weft_status trial_open(struct trial *t, struct study_run *r, const struct trial_spec *spec) {
    *t = (struct trial){.run = r, .spec = spec, .user = spec->user, .loss = (double)NAN};
    enum weft_status st = open_data(t);
    if (st == WEFT_OK) st = make_model(t);
    if (st == WEFT_OK && spec->start != NULL) st = spec->start(t);
    return st;
}

void trial_close(struct trial *t) {
    free(t->param);
    free(t->statistic);
    weft_model_free(t->model);
    if (t->feed.data != NULL) weft_feed_free(&t->feed);
    study_source_close(&t->source);
}

/* ---- one step ---- */
static void next_batch(struct trial *t) {
    const size_t rows = t->spec->how.batch;
    if (t->spec->fill != NULL)
        t->spec->fill(t, t->step, &t->batch);
    else
        weft_feed_fill(&t->feed, WEFT_SPLIT_TRAIN, t->step * rows, rows, &t->batch);
}

static size_t targets_of(const struct trial *t) {
    const struct trial_spec *const s = t->spec;
    const size_t seq = s->gpt2.layers == 0 ? 1 : s->how.seq != 0 ? s->how.seq : s->gpt2.context;
    return t->batch.rows * seq;
}

static double rate_of(const struct trial *t) {
    const struct trial_spec *const s = t->spec;
    if (s->rate != NULL) return s->rate(t, t->step + WEFT_BUG(39));
    return s->schedule.lr > 0 ? weft_schedule_lr(&s->schedule, t->step) : s->lr;
}

enum weft_status trial_step(struct trial *t, bool *ok) {
    const struct trial_spec *const s = t->spec;
    struct weft_loss loss = {0};
    next_batch(t);
    t->clip = 0;
    t->how = (struct weft_run){.step = t->step,
                               .sample = t->step * s->how.batch,
                               .seed = t->run->cell->seed,
                               .inv_targets = 1.0F / (float)targets_of(t),
                               .lr = rate_of(t),
                               .statistics = t->due};
    enum weft_status st = weft_model_grad(t->model, &t->batch, &t->how, &loss);
    t->loss = st == WEFT_OK ? loss.sum / (double)loss.count : (double)INFINITY;
    if (st == WEFT_OK && s->grad != NULL) st = s->grad(t);
    t->how.clip = t->clip;
    if (st == WEFT_OK) st = weft_model_update(t->model, &t->how, &t->result);
    *ok = st == WEFT_OK;
    if (st == WEFT_ERR_NONFINITE) {
        t->diverged = true;
        return WEFT_OK;
    }
    if (st == WEFT_OK && t->due) weft_model_statistics(t->model, t->statistic, t->statistics);
    return st;
}

/* ---- records ---- */
static bool in_list(const char *list, const char *word) {
    const size_t n = strlen(word);
    for (const char *p = list; p != NULL && (p = strstr(p, word)) != NULL; p += n)
        if ((p == list || p[-1] == ' ') && (p[n] == 0 || p[n] == ' ')) return true;
    return false;
}

static void record_statistics(const struct trial *t) {
    for (size_t i = 0; i < t->statistics; i++) {
        const struct weft_statistic *const v = &t->statistic[i];
        enum study_kind kind;
        if (in_list(t->spec->kinds, v->kind) && study_kind_named(v->kind, &kind) &&
            (t->spec->tensors == NULL || in_list(t->spec->tensors, v->tensor)))
            study_put(t->run, (int64_t)t->step, v->layer, v->tensor, kind, v->value);
    }
}

bool trial_decades(uint64_t step) {
    if (step < 4) return true;
    for (double x = 1; x < 1e18; x *= 10)
        for (int i = 0; i < 8; i++)
            if ((uint64_t)(x * pow(10, i / 8.0) + 0.5) == step) return true;
    return false;
}

static bool is_due(const struct trial *t) {
    const struct trial_spec *const s = t->spec;
    if (s->kinds == NULL) return false;
    if (t->step == 0 || t->step + 1 == s->steps) return true;
    return s->decades ? trial_decades(t->step) : s->every > 0 && t->step % s->every == 0;
}

double trial_statistic(const struct trial *t, int layer, const char *tensor, const char *kind) {
    for (size_t i = 0; i < t->statistics; i++) {
        const struct weft_statistic *const v = &t->statistic[i];
        if (v->layer == layer && strcmp(v->tensor, tensor) == 0 && strcmp(v->kind, kind) == 0)
            return v->value;
    }
    return (double)NAN;
}

enum weft_status trial_score(struct trial *t, double *loss, double *accuracy) {
    struct weft_score score = {0};
    const uint64_t samples = t->spec->eval_samples;
    *loss = (double)INFINITY;
    *accuracy = (double)NAN;
    const enum weft_status st =
        weft_evaluate(t->run->ctx, t->model, &t->feed, WEFT_SPLIT_VAL, samples, NULL, &score);
    if (st == WEFT_ERR_NONFINITE) return WEFT_OK;
    if (st != WEFT_OK) return st;
    *loss = score.loss;
    *accuracy = score.accuracy;
    return WEFT_OK;
}

static enum weft_status record_score(struct trial *t) {
    double loss, accuracy;
    if (t->spec->data == NULL || t->spec->eval_samples == TRIAL_NO_EVAL) return WEFT_OK;
    const enum weft_status st = trial_score(t, &loss, &accuracy);
    if (st != WEFT_OK) return st;
    study_put(t->run, (int64_t)t->step, -1, "", KIND_val_loss, loss);
    if (!isnan(accuracy)) study_put(t->run, (int64_t)t->step, -1, "", KIND_acc, accuracy);
    return WEFT_OK;
}

/* ---- all steps ---- */
/* What follows a step that went well; t->step is its number. */
static enum weft_status after_step(struct trial *t) {
    const struct trial_spec *const s = t->spec;
    const int64_t step = (int64_t)t->step;
    study_put(t->run, step, -1, "", KIND_loss, t->loss);
    if (s->norms || (t->due && in_list(s->kinds, "gnorm")))
        study_put(t->run, step, -1, "", KIND_gnorm, t->result.grad_norm);
    if (s->norms && t->result.scale != 1)
        study_put(t->run, step, -1, "", KIND_clip, t->result.scale);
    if (t->due) record_statistics(t);
    enum weft_status st = s->after != NULL ? s->after(t) : WEFT_OK;
    t->step++;
    if (st == WEFT_OK && s->eval_every > 0 && t->step % s->eval_every == 0 && t->step < s->steps)
        st = record_score(t);
    return st;
}

static enum weft_status all_steps(struct trial *t) {
    const uint64_t steps = t->spec->steps;
    const uint64_t last =
        t->run->mode == STUDY_TWIN && steps > STUDY_TWIN_STEPS ? STUDY_TWIN_STEPS : steps;
    enum weft_status st = WEFT_OK;
    bool ok = true;
    while (st == WEFT_OK && ok && t->step < last) {
        t->due = is_due(t);
        st = trial_step(t, &ok);
        if (st == WEFT_OK && ok) st = after_step(t);
        if (!study_step(t->run, t->step, last, t->loss)) return st;
    }
    if (st != WEFT_OK || last < steps) return st;
    if (t->diverged)
        study_put(t->run, (int64_t)t->step, -1, "", KIND_diverged, 1);
    else
        st = record_score(t);
    return st == WEFT_OK && t->spec->end != NULL ? t->spec->end(t) : st;
}

enum weft_status trial_run(struct study_run *r, const struct trial_spec *spec) {
    if (r->mode == STUDY_PROVE) return prove_statistics(r, spec);
    if (r->mode == STUDY_COST) return prove_cost(r, spec);
    struct trial t;
    enum weft_status st = trial_open(&t, r, spec);
    if (st == WEFT_OK) st = all_steps(&t);
    trial_close(&t);
    return st;
}

/* ---- one of several ---- */
static enum weft_status trace_score(struct trial *t, const char *tensor, int number,
                                    struct trial_trace *out) {
    double accuracy;
    if (t->spec->eval_samples == TRIAL_NO_EVAL || t->run->mode == STUDY_TWIN) return WEFT_OK;
    const enum weft_status st = trial_score(t, &out->val, &accuracy);
    if (st == WEFT_OK) study_put(t->run, (int64_t)t->step, number, tensor, KIND_val_loss, out->val);
    return st;
}

static enum weft_status trace_steps(struct trial *t, const char *tensor, int number,
                                    struct trial_trace *out) {
    const struct trial_spec *const s = t->spec;
    const bool twin = t->run->mode == STUDY_TWIN && s->steps > STUDY_TWIN_STEPS;
    const uint64_t last = twin ? STUDY_TWIN_STEPS : s->steps;
    enum weft_status st = WEFT_OK;
    bool ok = true;
    while (st == WEFT_OK && t->step < last) {
        st = trial_step(t, &ok);
        if (st != WEFT_OK || !ok || !study_step(t->run, t->step, last, t->loss)) break;
        study_put(t->run, (int64_t)t->step, number, tensor, KIND_loss, t->loss);
        study_put(t->run, (int64_t)t->step, number, tensor, KIND_gnorm, t->result.grad_norm);
        study_put(t->run, (int64_t)t->step, number, tensor, KIND_lr, t->how.lr);
        if (out->loss != NULL) out->loss[out->n] = t->loss;
        if (out->gnorm != NULL) out->gnorm[out->n] = t->result.grad_norm;
        out->n++;
        t->step++;
        if (s->eval_every > 0 && t->step % s->eval_every == 0 && t->step < last)
            st = trace_score(t, tensor, number, out);
    }
    if (!ok) study_put(t->run, (int64_t)t->step, number, tensor, KIND_diverged, 1);
    return st == WEFT_OK && ok && !t->run->stopped ? trace_score(t, tensor, number, out) : st;
}

enum weft_status trial_trace(struct study_run *r, const struct trial_spec *spec, const char *tensor,
                             int number, struct trial_trace *out) {
    struct trial t;
    out->n = 0;
    out->val = (double)INFINITY;
    enum weft_status st = trial_open(&t, r, spec);
    if (st == WEFT_OK) st = trace_steps(&t, tensor, number, out);
    trial_close(&t);
    return st;
}

/* ---- parameters ---- */
struct weft_param_info *trial_param(struct trial *t, const char *name) {
    for (size_t i = 0; i < t->params; i++)
        if (strcmp(t->param[i].name, name) == 0) return &t->param[i];
    return NULL;
}

void trial_scale(struct weft_param_info *p, size_t row, size_t rows, double factor) {
    const size_t cols = p->shape[1] == 0 ? 1 : p->shape[1];
    for (size_t i = row * cols; i < (row + rows) * cols; i++)
        p->data[i] = (float)((double)p->data[i] * factor);
}

double trial_hash(const struct trial *t) {
    uint64_t h =
        0xcbf29ce484222325; /* FNV-1a by words, folded to the 48 bits that a double holds */
    for (size_t p = 0; p < t->params; p++)
        for (size_t i = 0; i < trial_count(&t->param[p]); i++) {
            uint32_t bits;
            memcpy(&bits, &t->param[p].data[i], sizeof bits);
            h = (h ^ bits) * 0x100000001b3;
        }
    return (double)((h >> 48 ^ h) & 0xffffffffffff);
}
