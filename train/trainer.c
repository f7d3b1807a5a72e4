/* From options to a model that is ready to step. */
#include "train/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "train/atomic.h"
#include "train/bigram.h"
#include "train/loaded.h"
#include "train/trainer_inside.h"

/* ---- options ---- */

/* Do two paths mean one folder? */
static bool same_folder(const char *a, const char *b) {
    char *x = realpath(a, NULL), *y = realpath(b, NULL);
    const bool same = strcmp(x ? x : a, y ? y : b) == 0;
    free(x);
    free(y);
    return same;
}

enum weft_status weft_trainer_check(weft_ctx *ctx, struct weft_options *o) {
    if (!o->out && !o->resume)
        return weft_ctx_fail(
            ctx, WEFT_ERR_ARG,
            "--out is missing: the folder for the results, as in --out runs/first");
    if (o->out && o->resume && !same_folder(o->out, o->resume))
        return weft_ctx_fail(
            ctx, WEFT_ERR_ARG,
            "--resume %s goes on in that folder; --out %s is another one: leave it "
            "out",
            o->resume, o->out);
    if (!o->resume && weft_run_dir_is_taken(o->out))
        return weft_ctx_fail(ctx, WEFT_ERR_STATE,
                             "%s: there is a run already: go on with it by --resume %s, or choose "
                             "another --out",
                             o->out, o->out);
    if (o->resume) {
        const enum weft_status st = weft_run_dir_settings(ctx, o->resume, o);
        if (st != WEFT_OK) return st;
    }
    if (!o->data)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                             "--data is missing: the file or folder to train on");
    if (o->init_from && !o->resume) {
        const enum weft_status st = weft_settings_adopt(ctx, o);
        if (st != WEFT_OK) return st;
    }
    const struct weft_data_needs nothing = {0};
    struct weft_settings s;
    return weft_settings_make(ctx, o, &nothing, &s);
}

/* ---- data and model ---- */

static enum weft_status open_data(weft_trainer *t) {
    const struct weft_data_needs nothing = {0};
    struct weft_data_options how;
    struct weft_data_needs needs;
    struct weft_settings s;
    enum weft_status st = weft_settings_make(t->ctx, t->o, &nothing, &s);
    if (st != WEFT_OK) return st;
    weft_settings_data(t->o, &s, &how);
    st = weft_data_open(t->ctx, s.shape.language ? WEFT_DATA_TOKENS : WEFT_DATA_FEATURES, &how,
                        &t->data);
    if (st != WEFT_OK) return st;
    weft_settings_needs(t->data, &needs);
    st = weft_settings_make(t->ctx, t->o, &needs, &t->s);
    if (st == WEFT_OK) st = weft_settings_resolve(t->ctx, t->o, &t->s);
    t->step_units = t->s.step_samples * (t->s.shape.language ? t->s.training.seq : 1);
    t->bigram = weft_bigram_loss(t->data, WEFT_SPLIT_VAL);
    return st;
}

static enum weft_status make_model(weft_trainer *t) {
    struct weft_memory memory;
    enum weft_status st = weft_shape_create(t->ctx, &t->s.shape, &t->s.training, &t->model);
    if (st == WEFT_OK) st = weft_model_memory(t->model, &memory);
    if (st != WEFT_OK) return st;
    weft_trainer_header(t, &memory);
    st = weft_model_commit(t->model);
    if (st == WEFT_OK) st = weft_feed_create(t->ctx, t->data, t->s.training.batch, &t->feed);
    if (st != WEFT_OK) return st;
    t->statistics = weft_model_statistics(t->model, NULL, 0);
    t->statistic = calloc(t->statistics + 1, sizeof *t->statistic);
    return t->statistic ? WEFT_OK
                        : weft_ctx_fail(t->ctx, WEFT_ERR_NOMEM, "out of memory for statistics");
}

static void make_schedule(weft_trainer *t) {
    t->schedule = (struct weft_schedule){.lr = t->o->lr,
                                         .min_fraction = t->o->min_lr_fraction,
                                         .decay_fraction = t->o->decay_fraction,
                                         .steps = t->s.steps,
                                         .warmup = t->s.warmup};
    // the option table allows only names that there are
    if (!weft_schedule_kind_of(t->o->schedule, &t->schedule.kind))
        t->schedule.kind = WEFT_SCHEDULE_CONSTANT;
}

/* ---- where to begin ---- */

static void warn(weft_trainer *t, const char *fmt, ...) WEFT_FORMAT(2, 3);
static void warn(weft_trainer *t, const char *fmt, ...) {
    char text[WEFT_MESSAGE_MAX + 256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (t->io.warn) t->io.warn(t->io.user, text);
}

/* A checkpoint that cannot be used must not pass for the newest one again. */
static enum weft_status set_aside(weft_trainer *t, const char *path) {
    char *aside = weft_text("%s.damaged", path);
    if (!aside) return weft_ctx_fail(t->ctx, WEFT_ERR_NOMEM, "%s: out of memory", path);
    warn(t, "%s; it is kept as %s, and the one before it is tried", weft_ctx_message(t->ctx),
         aside);
    enum weft_status st = weft_remove_folder(t->ctx, aside);
    if (st == WEFT_OK) st = weft_commit_folder(t->ctx, path, aside);
    free(aside);
    return st;
}

static bool is_damage(enum weft_status st) {
    return st == WEFT_ERR_FORMAT || st == WEFT_ERR_SHAPE || st == WEFT_ERR_DTYPE ||
           st == WEFT_ERR_VERSION;
}

/* The newest valid checkpoint of the n in steps; all damaged: an error, rather than training that
 * silently begins again. */
static enum weft_status resume_newest(weft_trainer *t, const uint64_t *steps, size_t n) {
    enum weft_status st = WEFT_OK;
    for (size_t i = n; st == WEFT_OK && i-- > 0;) {
        char name[WEFT_CHECKPOINT_NAME];
        struct weft_run_state state;
        char *path = weft_text("%s/%s", t->dir.checkpoints, weft_checkpoint_name(steps[i], name));
        if (!path) return weft_ctx_fail(t->ctx, WEFT_ERR_NOMEM, "out of memory");
        st =
            weft_checkpoint_resume(t->ctx, path, t->model, &t->s.shape, t->data->tokenizer, &state);
        if (st == WEFT_OK && (state.step != steps[i] || state.seed != t->o->seed))
            st = weft_ctx_fail(t->ctx, WEFT_ERR_FORMAT,
                               "%s: is not the checkpoint of step %" PRIu64 " of this run", path,
                               steps[i]);
        if (st == WEFT_OK) {
            t->at = state;
            t->saved = state.step;
            weft_trainer_say(t, "resume     from %s", path);
            free(path);
            return WEFT_OK;
        }
        if (is_damage(st)) st = set_aside(t, path);
        free(path);
    }
    return st != WEFT_OK ? st
                         : weft_ctx_fail(t->ctx, WEFT_ERR_FORMAT,
                                         "%s: none of the %zu checkpoints can be used (see the "
                                         "warnings); begin a new run with another --out",
                                         t->dir.checkpoints, n);
}

/* Links left behind by a checkpoint that was set aside. */
static enum weft_status repair_links(weft_trainer *t) {
    static const char *const names[] = {"last", "best"};
    const uint64_t steps[] = {t->at.step, t->at.best_step};
    enum weft_status st = WEFT_OK;
    for (size_t i = 0; st == WEFT_OK && i < 2; i++) {
        char name[WEFT_CHECKPOINT_NAME];
        char *link = weft_text("%s/%s", t->dir.checkpoints, names[i]);
        if (!link) return weft_ctx_fail(t->ctx, WEFT_ERR_NOMEM, "out of memory");
        if (steps[i] > 0)
            st = weft_replace_link(t->ctx, link, weft_checkpoint_name(steps[i], name));
        free(link);
    }
    return st;
}

static enum weft_status begin(weft_trainer *t) {
    uint64_t *steps = NULL;
    size_t n = 0;
    t->at = (struct weft_run_state){.seed = t->o->seed, .best_loss = INFINITY};
    t->saved = UINT64_MAX;
    enum weft_status st = WEFT_OK;
    if (t->o->resume) {
        st = weft_run_dir_check_data(&t->dir, t->data);
        if (st == WEFT_OK) st = weft_checkpoint_list(t->ctx, t->dir.checkpoints, &steps, &n);
        if (st == WEFT_OK && n == 0)
            weft_trainer_say(t, "resume     %s has no checkpoint yet: starting at step 0",
                             t->dir.path);
    }
    if (st == WEFT_OK && n > 0) {
        st = resume_newest(t, steps, n);
        if (st == WEFT_OK) st = repair_links(t);
    } else if (st == WEFT_OK && t->o->init_from) {
        st = weft_loaded_weights(t->ctx, t->o->init_from, t->model);
    } else if (st == WEFT_OK) {
        st = weft_model_init(t->model, &t->s.init);
    }
    free(steps);
    if (st == WEFT_OK)
        st = weft_run_dir_logs(&t->dir, t->saved == UINT64_MAX ? -1 : (int64_t)t->at.step);
    if (st == WEFT_OK)
        st = weft_run_dir_describe(&t->dir, t->o, &t->s, t->data, weft_model_param_count(t->model),
                                   t->bigram);
    return st;
}

/* ---- all of it ---- */

enum weft_status weft_trainer_create(weft_ctx *ctx, struct weft_options *o,
                                     const struct weft_trainer_io *io, weft_trainer **out) {
    weft_trainer *t = calloc(1, sizeof *t);
    if (!t) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory");
    t->ctx = ctx;
    t->o = o;
    t->io = *io;
    const char *path = o->resume ? o->resume : o->out;
    enum weft_status st = open_data(t);
    if (st == WEFT_OK) {
        make_schedule(t);
        st = weft_run_dir_open(ctx, path, &t->dir);
    }
    if (st == WEFT_OK) st = make_model(t);
    if (st == WEFT_OK) st = begin(t);
    if (st != WEFT_OK) {
        weft_trainer_free(t);
        return st;
    }
    *out = t;
    return WEFT_OK;
}

void weft_trainer_free(weft_trainer *t) {
    if (!t) return;
    weft_run_dir_close(&t->dir);
    weft_feed_free(&t->feed);
    weft_model_free(t->model);
    weft_data_free(t->data);
    free(t->statistic);
    free(t);
}

weft_model *weft_trainer_model(const weft_trainer *t) { return t->model; }
const struct weft_run_state *weft_trainer_state(const weft_trainer *t) { return &t->at; }
