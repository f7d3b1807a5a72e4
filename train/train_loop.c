/* Steps, and what happens between them. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "train/atomic.h"
#include "train/trainer_inside.h"

#define FLUSH_AFTER 0.25 /* seconds that lines of the logs may wait */

/* Is something due that happens every so many steps (0: never)? */
static bool is_due(uint64_t step, uint64_t every) { return every > 0 && step % every == 0; }

/* ---- one step ---- */

static enum weft_status micro_batches(weft_trainer *t, struct weft_run *run, double *loss) {
    const struct weft_training *how = &t->s.training;
    const size_t group = how->accumulate / how->grad_groups;
    double sum = 0;
    uint64_t count = 0;
    for (size_t i = 0; i < how->accumulate; i++) {
        struct weft_batch batch;
        struct weft_loss part;
        run->sample = t->at.samples + i * how->batch;
        run->accumulate = i % group != 0;
        weft_feed_fill(&t->feed, WEFT_SPLIT_TRAIN, run->sample, how->batch, &batch);
        enum weft_status st = weft_model_grad(t->model, &batch, run, &part);
        if (st == WEFT_OK && how->grad_groups > 1 && (i + 1) % group == 0)
            st = weft_model_fold(t->model, i + 1 == group);
        if (st != WEFT_OK) return st;
        sum += part.sum;
        count += part.count;
    }
    *loss = sum / (double)count;
    return WEFT_OK;
}

/* The first and the last step, and every so many between. */
static bool wants_statistics(const weft_trainer *t) {
    const uint64_t step = t->at.step + 1;
    return t->o->stats_every > 0 &&
           (step == 1 || step == t->s.steps || step % t->o->stats_every == 0);
}

/* A loss beyond its limit, before the weights follow it. */
static enum weft_status check_loss(weft_trainer *t, const struct weft_run *run, double loss) {
    double value = 0;
    if (!(t->o->loss_limit > 0) || loss <= t->o->loss_limit) return WEFT_OK;
    const char *const node = weft_model_largest_node(t->model, run, &value);
    return weft_ctx_fail(
        t->ctx, WEFT_ERR_NONFINITE,
        "the loss %.4g at step %" PRIu64
        " is above --loss-limit %g: training has diverged; the largest value, %.3g, "
        "is made by node %s: lower the learning rate or check the data",
        loss, run->step + 1, t->o->loss_limit, value, node ? node : "unknown");
}

static enum weft_status check_gradient(weft_trainer *t, const struct weft_run *run, double norm) {
    double value = 0;
    if (!(t->o->grad_limit > 0) || norm <= t->o->grad_limit) return WEFT_OK;
    const char *const name = weft_model_largest_gradient(t->model, &value);
    return weft_ctx_fail(
        t->ctx, WEFT_ERR_NONFINITE,
        "the gradient's norm %.4g at step %" PRIu64
        " is above --grad-limit %g: training has diverged; the largest part, %.3g, is "
        "that of %s: lower the learning rate or check the data",
        norm, run->step + 1, t->o->grad_limit, value, name ? name : "nothing");
}

static enum weft_status one_step(weft_trainer *t, struct weft_step_result *out) {
    const double start = weft_clock();
    struct weft_run run = {
        .step = t->at.step,
        .seed = t->at.seed,
        .inv_targets = 1.0f / (float)t->step_units, // every target of a training sample is valid
        .lr = weft_schedule_lr(&t->schedule, t->at.step),
        .statistics = wants_statistics(t),
    };
    struct weft_step_result r = {.lr = run.lr, .statistics = run.statistics};
    enum weft_status st = micro_batches(t, &run, &r.loss);
    if (st == WEFT_OK) st = check_loss(t, &run, r.loss);
    if (st == WEFT_OK) st = weft_model_update(t->model, &run, &r.step);
    if (st == WEFT_OK) st = check_gradient(t, &run, r.step.grad_norm);
    if (st != WEFT_OK) return st;
    if (run.statistics) weft_model_statistics(t->model, t->statistic, t->statistics);
    t->at.step++;
    t->at.samples += t->s.step_samples;
    r.seconds = weft_clock() - start;
    *out = r;
    return WEFT_OK;
}

/* ---- checkpoints ---- */

static enum weft_status link_to(weft_trainer *t, const char *link, uint64_t step) {
    char name[WEFT_CHECKPOINT_NAME];
    char *path = weft_text("%s/%s", t->dir.checkpoints, link);
    const enum weft_status st =
        path ? weft_replace_link(t->ctx, path, weft_checkpoint_name(step, name))
             : weft_ctx_fail(t->ctx, WEFT_ERR_NOMEM, "out of memory");
    free(path);
    return st;
}

static enum weft_status save(weft_trainer *t) {
    if (t->saved == t->at.step) return WEFT_OK;
    enum weft_status st = weft_model_check_finite(t->model); // what is kept may be gone on from
    if (st == WEFT_OK) st = weft_data_check(t->ctx, t->data);
    // then the logs: they must hold all steps that the checkpoint has done
    if (st == WEFT_OK) st = weft_jsonl_sync(&t->dir.metrics);
    if (st == WEFT_OK) st = weft_jsonl_sync(&t->dir.stats);
    if (st == WEFT_OK)
        st = weft_checkpoint_save(t->ctx, t->dir.checkpoints, t->model, &t->s.shape,
                                  t->data->tokenizer, &t->at);
    if (st != WEFT_OK) return st;
    t->saved = t->at.step;
    if (t->at.best_step == t->at.step) st = link_to(t, "best", t->at.step);
    if (st == WEFT_OK) st = link_to(t, "last", t->at.step);
    if (st == WEFT_OK)
        st = weft_checkpoint_prune(t->ctx, t->dir.checkpoints, (size_t)t->o->keep,
                                   t->at.best_step > 0 ? t->at.best_step : UINT64_MAX);
    return st;
}

/* ---- between steps ---- */

static bool is_stopped(const weft_trainer *t) { return t->io.signal && *t->io.signal != 0; }

/* A signal in the middle leaves it to whoever goes on from the checkpoint. */
static enum weft_status evaluate(weft_trainer *t, struct weft_score *score) {
    const uint64_t all = t->data->n[WEFT_SPLIT_VAL], most = t->o->eval_samples;
    enum weft_status st = weft_data_check(t->ctx, t->data);
    if (st == WEFT_OK)
        st = weft_evaluate(t->ctx, t->model, &t->feed, WEFT_SPLIT_VAL, most, t->io.signal, score);
    if (st != WEFT_OK) return st;
    t->at.unjudged = score->samples < (most > 0 && most < all ? most : all);
    if (t->at.unjudged) return WEFT_OK;
    const bool best = score->loss < t->at.best_loss;
    if (best) {
        t->at.best_loss = score->loss;
        t->at.best_step = t->at.step;
    }
    weft_trainer_say_score(t, score, best);
    return WEFT_OK;
}

static enum weft_status flush_logs(weft_trainer *t) {
    const double now = weft_clock();
    if (now - t->flushed < FLUSH_AFTER) return WEFT_OK;
    t->flushed = now;
    const enum weft_status st = weft_jsonl_flush(&t->dir.metrics);
    return st == WEFT_OK ? weft_jsonl_flush(&t->dir.stats) : st;
}

/* Everything that follows a step. */
static enum weft_status after_step(weft_trainer *t, const struct weft_step_result *r) {
    const bool last = t->at.step == t->s.steps;
    const bool judged =
        t->data->n[WEFT_SPLIT_VAL] > 0 && (last || is_due(t->at.step, t->s.eval_every));
    struct weft_score score;
    enum weft_status st = WEFT_OK;
    weft_trainer_progress(t, r);
    if (judged) st = evaluate(t, &score);
    if (st == WEFT_OK) st = weft_trainer_metrics(t, r, judged && !t->at.unjudged ? &score : NULL);
    if (st == WEFT_OK && r->statistics) st = weft_trainer_statistics(t);
    if (st == WEFT_OK && is_due(t->at.step, t->o->sample_every)) st = weft_trainer_sample(t);
    if (st == WEFT_OK &&
        (last || is_due(t->at.step, t->o->save_every) || (judged && t->at.best_step == t->at.step)))
        st = save(t);
    return st == WEFT_OK ? flush_logs(t) : st;
}

/* The evaluation that the last process has left. */
static enum weft_status judge_late(weft_trainer *t) {
    struct weft_score score;
    enum weft_status st = evaluate(t, &score);
    if (st != WEFT_OK || t->at.unjudged) return st;
    st = weft_trainer_metrics(t, NULL, &score);
    t->saved = UINT64_MAX; // it still says that there is one to do
    return st == WEFT_OK ? save(t) : st;
}

/* ---- ends ---- */

/* Where the newest checkpoint is, for messages. */
static void checkpoint_text(const weft_trainer *t, const char *what, char *buf, size_t size) {
    char name[WEFT_CHECKPOINT_NAME];
    if (t->saved == UINT64_MAX)
        snprintf(buf, size, "no checkpoint was written yet");
    else
        snprintf(buf, size, "%s %s/%s", what, t->dir.checkpoints,
                 weft_checkpoint_name(t->saved, name));
}

/* Training cannot go on. Adds to the message where it may be resumed. Nothing is saved: the logs
 * may lack steps now, and weights may be NaN; the last checkpoint is whole. */
static enum weft_status give_up(weft_trainer *t, enum weft_status why) {
    char message[WEFT_MESSAGE_MAX], where[512];
    snprintf(message, sizeof message, "%s", weft_ctx_message(t->ctx));
    weft_progress_end(&t->progress);
    const bool follows = why == WEFT_ERR_NONFINITE && t->saved == t->at.step;
    checkpoint_text(t,
                    follows ? "to go on from an earlier checkpoint move away the one it comes from,"
                            : "the last good checkpoint is",
                    where, sizeof where);
    return weft_ctx_fail(t->ctx, why, "%s; %s", message, where);
}

static void say_end(weft_trainer *t, uint64_t done, double seconds) {
    char time[WEFT_SHORT_TEXT], where[512];
    checkpoint_text(t, "checkpoint", where, sizeof where);
    weft_progress_end(&t->progress);
    if (t->at.step < t->s.steps || t->at.unjudged) {
        weft_trainer_say(t,
                         "stopped at step %" PRIu64 " of %" PRIu64
                         " by a signal; all is saved; go on with --resume %s",
                         t->at.step, t->s.steps, t->dir.path);
    } else {
        weft_trainer_say(t, "done: %" PRIu64 " steps in %s, %.4g ms each", done,
                         weft_short_time(seconds, time),
                         done > 0 ? 1e3 * t->meter.all / (double)done : 0);
    }
    if (t->at.best_step > 0)
        weft_trainer_say(t, "best validation loss %.4f at step %" PRIu64, t->at.best_loss,
                         t->at.best_step);
    weft_trainer_say(t, "%s", where);
}

enum weft_status weft_trainer_run(weft_trainer *t) {
    const uint64_t first = t->at.step;
    const double start = t->flushed = weft_clock();
    enum weft_status st = WEFT_OK;
    t->progress.first = first;
    t->progress.total = t->s.steps;
    weft_progress_start(&t->progress, start);
    if (t->at.unjudged) st = judge_late(t);
    while (st == WEFT_OK && t->at.step < t->s.steps && !is_stopped(t)) {
        struct weft_step_result r;
        st = one_step(t, &r);
        if (st == WEFT_OK) st = after_step(t, &r);
    }
    if (st == WEFT_OK) st = save(t);
    if (st != WEFT_OK) return give_up(t, st);
    say_end(t, t->at.step - first, weft_clock() - start);
    return WEFT_OK;
}
