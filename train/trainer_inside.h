/* A trainer inside; trainer.c makes it, train_loop.c steps, train_report.c tells about it. */
#ifndef WEFT_TRAIN_TRAINER_INSIDE_H
#define WEFT_TRAIN_TRAINER_INSIDE_H

#include "train/evaluate.h"
#include "train/fit.h"
#include "train/progress.h"
#include "train/run_dir.h"
#include "train/schedule.h"
#include "train/trainer.h"

struct weft_meter {            /* what log lines and the final summary tell */
    double seconds;            /* in steps, since the last log line */
    uint64_t steps;            /* of these */
    double all;                /* seconds in all steps of this process */
    double flops, bound;       /* of a step: floating-point operations, least seconds; 0: unknown */
    struct weft_limits limits; /* measured; 0: not */
    double rate;               /* tokens or samples a second, over the last lines */
    char more[64];             /* how near the limits, at the last line; empty: unknown */
};

struct weft_step_result {
    double loss, lr, seconds;
    struct weft_step step;
    bool statistics; /* were gathered */
};

struct weft_trainer {
    weft_ctx *ctx;
    struct weft_options *o;
    struct weft_trainer_io io;
    struct weft_settings s;
    struct weft_data *data;
    weft_model *model;
    struct weft_run_dir dir;
    struct weft_feed feed;
    struct weft_schedule schedule;
    struct weft_run_state at;
    uint64_t step_units;              /* tokens, or samples, of a step */
    uint64_t saved;                   /* step of the newest checkpoint; UINT64_MAX: none yet */
    struct weft_fit_data memory;      /* besides the model's */
    double bigram;                    /* its loss on the validation samples; NaN: none */
    double flushed;                   /* when the logs were, by weft_clock */
    struct weft_statistic *statistic; /* (statistics) room for what the model tells */
    size_t statistics;
    struct weft_meter meter;
    struct weft_progress progress;
};

/* ---- train_report.c ---- */
/* A line on the screen, above the bar. */
void weft_trainer_say(weft_trainer *t, const char *fmt, ...) WEFT_FORMAT(2, 3);
/* What is going to be trained; measures the machine when the run is long enough to be worth it. */
void weft_trainer_header(weft_trainer *t, const struct weft_memory *memory);
void weft_trainer_progress(weft_trainer *t, const struct weft_step_result *r);
void weft_trainer_say_score(weft_trainer *t, const struct weft_score *score, bool best);
/* The line of a step; r NULL: only its score, which comes late. */
WEFT_NODISCARD enum weft_status weft_trainer_metrics(weft_trainer *t,
                                                     const struct weft_step_result *r,
                                                     const struct weft_score *score);
WEFT_NODISCARD enum weft_status weft_trainer_statistics(weft_trainer *t);
/* A text by the model, on the screen. */
WEFT_NODISCARD enum weft_status weft_trainer_sample(weft_trainer *t);

#endif
