/* From options to a model that is ready to step. */
#include "train/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "train/atomic.h"
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
                             "%s: there is a run already, or what is left of one: go on with it by "
                             "--resume %s, or choose another --out",
                             o->out, o->out);
    enum weft_status st = weft_run_dir_paths(ctx, o);
    if (st == WEFT_OK && o->resume) st = weft_run_dir_settings(ctx, o->resume, o);
    if (st != WEFT_OK) return st;
    if (!o->data)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                             "--data is missing: the file or folder to train on");
    if (o->init_from && !o->resume) {
        st = weft_loaded_option(ctx, o, WEFT_OPT_init_from);
        if (st == WEFT_OK) st = weft_settings_adopt(ctx, o);
        if (st != WEFT_OK) return st;
    }
    const struct weft_data_needs nothing = {0};
    struct weft_settings s;
    return weft_settings_make(ctx, o, &nothing, &s);
}

bool weft_trainer_is_finished(weft_ctx *ctx, const struct weft_options *o, uint64_t *steps) {
    return o->resume && weft_run_dir_is_finished(ctx, o->resume, steps);
}

/* ---- data and model ---- */

static void warn(weft_trainer *t, const char *fmt, ...) WEFT_FORMAT(2, 3);
static void warn(weft_trainer *t, const char *fmt, ...) {
    char text[WEFT_MESSAGE_MAX + 256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (t->io.warn) t->io.warn(t->io.user, text);
}

/* Options that the data has no use for. */
static void warn_unused(weft_trainer *t) {
    const struct weft_data *d = t->data;
    struct stat info;
    const bool mnist = d->pixels[0] != NULL;
    const bool folder = stat(t->o->data, &info) == 0 && S_ISDIR(info.st_mode);
    const struct {
        enum weft_option_id id;
        bool unused;
        const char *why;
    } list[] = {
        {WEFT_OPT_label, mnist, "MNIST has files of labels"},
        {WEFT_OPT_val_fraction, mnist || (folder && t->o->val_fraction > 0),
         "the folder brings its own validation data"},
        {WEFT_OPT_pixels, d->columns != NULL, "a table has no pixels"},
        {WEFT_OPT_tokenizer, d->kind == WEFT_DATA_TOKENS && !d->tokenizer,
         "the files have tokens, not text"},
    };
    char name[WEFT_OPTION_NAME];
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (list[i].unused && t->o->from[list[i].id] == WEFT_FROM_USER)
            warn(t, "--%s has no effect: %s", weft_option_spell(list[i].id, name), list[i].why);
}

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
    warn_unused(t);
    weft_settings_needs(t->data, &needs);
    st = weft_settings_make(t->ctx, t->o, &needs, &t->s);
    if (st == WEFT_OK) st = weft_settings_resolve(t->ctx, t->o, &t->s);
    t->s.shape.columns = t->data->columns;
    t->step_units = t->s.step_samples * (t->s.shape.language ? t->s.training.seq : 1);
    weft_fit_data(t->data, &t->memory, &t->bigram);
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

/* A checkpoint that cannot be used must not pass for the newest one again. */
static enum weft_status set_aside(weft_trainer *t, uint64_t step, const char *why) {
    char name[WEFT_CHECKPOINT_NAME], more[24] = "";
    char *path = weft_text("%s/%s", t->dir.checkpoints, weft_checkpoint_name(step, name));
    char *aside = NULL;
    for (unsigned i = 2; path; i++) { // beside what an earlier resume has set aside
        aside = weft_text("%s.damaged%s", path, more);
        if (!aside || access(aside, F_OK) != 0) break;
        free(aside);
        snprintf(more, sizeof more, "-%u", i);
    }
    enum weft_status st = aside ? weft_commit_folder(t->ctx, path, aside)
                                : weft_ctx_fail(t->ctx, WEFT_ERR_NOMEM, "%s: out of memory", name);
    if (st == WEFT_OK) warn(t, "%s; the checkpoint is kept as %s", why, aside);
    free(aside);
    free(path);
    return st;
}

/* Is it the checkpoint that fails, rather than the machine? Nothing is written while one is read:
 * an I/O error means a file that is missing or unreadable. */
static bool is_unusable(enum weft_status st) {
    return st == WEFT_ERR_FORMAT || st == WEFT_ERR_SHAPE || st == WEFT_ERR_DTYPE ||
           st == WEFT_ERR_VERSION || st == WEFT_ERR_IO;
}

static enum weft_status resume_from(weft_trainer *t, uint64_t step) {
    char name[WEFT_CHECKPOINT_NAME];
    struct weft_run_state state;
    char *path = weft_text("%s/%s", t->dir.checkpoints, weft_checkpoint_name(step, name));
    if (!path) return weft_ctx_fail(t->ctx, WEFT_ERR_NOMEM, "out of memory");
    enum weft_status st =
        weft_checkpoint_resume(t->ctx, path, t->model, &t->s.shape, t->data->tokenizer, &state);
    if (st == WEFT_OK && (state.step != step || state.seed != t->o->seed))
        st = weft_ctx_fail(t->ctx, WEFT_ERR_FORMAT,
                           "%s: is not the checkpoint of step %" PRIu64 " of this run", path, step);
    if (st == WEFT_OK) {
        t->at = state;
        t->saved = step;
        weft_trainer_say(t, "resume     from %s", path);
    }
    free(path);
    return st;
}

/* The newest of the n checkpoints that can be used; those after it are set aside. When there is
 * none the settings may be wrong rather than all checkpoints: nothing is touched, and training does
 * not silently begin again. */
static enum weft_status resume_newest(weft_trainer *t, const uint64_t *steps, size_t n) {
    char **why = calloc(n, sizeof *why);
    enum weft_status st =
        why ? WEFT_ERR_FORMAT : weft_ctx_fail(t->ctx, WEFT_ERR_NOMEM, "out of memory");
    size_t i = n; // those from here on cannot be used
    while (i > 0 && is_unusable(st)) {
        st = resume_from(t, steps[i - 1]);
        if (is_unusable(st)) why[--i] = strdup(weft_ctx_message(t->ctx));
    }
    if (is_unusable(st)) {
        weft_ctx_fail(t->ctx, st,
                      "%.700s; none of the %zu checkpoints can be used, and all are left as they "
                      "are: restore one, or begin a new run with another --out",
                      why[n - 1] ? why[n - 1] : t->dir.checkpoints, n);
    } else {
        for (size_t k = i; st == WEFT_OK && k < n; k++)
            st = set_aside(t, steps[k], why[k] ? why[k] : "it cannot be used");
    }
    for (size_t k = i; why && k < n; k++) free(why[k]);
    free(why);
    return st;
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

static void warn_unreadable(weft_trainer *t, const struct weft_jsonl *log) {
    if (log->unreadable > 0)
        warn(t, "%s: %zu unreadable line%s left as found", log->path, log->unreadable,
             log->unreadable > 1 ? "s" : "");
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
        if (st == WEFT_OK) // and what was left half done
            st = weft_checkpoint_prune(t->ctx, t->dir.checkpoints, (size_t)t->o->keep,
                                       t->at.best_step > 0 ? t->at.best_step : UINT64_MAX);
    } else if (st == WEFT_OK && t->o->init_from) {
        st = weft_loaded_weights(t->ctx, t->o->init_from, t->model);
    } else if (st == WEFT_OK) {
        st = weft_model_init(t->model, &t->s.init);
    }
    free(steps);
    // run.json before all else: without it, what is there cannot be gone on with
    if (st == WEFT_OK)
        st = weft_run_dir_describe(&t->dir, t->o, &t->s, t->data, weft_model_param_count(t->model),
                                   t->bigram);
    if (st == WEFT_OK)
        st = weft_run_dir_logs(&t->dir, t->saved == UINT64_MAX ? -1 : (int64_t)t->at.step);
    if (st == WEFT_OK) {
        warn_unreadable(t, &t->dir.metrics);
        warn_unreadable(t, &t->dir.stats);
    }
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
