/* One training: model, data, steps, records. What most cells of most studies are.
 *
 *   const struct trial_spec spec = {
 *       .data = "mnist",
 *       .mlp = {.inputs = 784, .hidden = {256, 128}, .layers = 2, .outputs = 10},
 *       .how = {.batch = 128, .optim = {.name = "sgd"}},
 *       .init = {.name = "normal", .std = sigma},
 *       .steps = 300, .lr = 0.1, .every = 10, .kinds = "gnorm update_ratio dead"};
 *   return trial_run(r, &spec);
 *
 * Records the loss of every step, the statistics named in kinds at the steps that are due, and at
 * the end val_loss and acc. A loss or gradient that is not finite ends the training: that is a
 * result (diverged, at its step), no error. Step s trains on samples s*batch.. of the order that
 * the cell's seed gives; arms of one seed see the same samples and the same standard normal draws.
 */
#ifndef WEFT_STUDIES_TRIAL_H
#define WEFT_STUDIES_TRIAL_H

#include "studies/corpus.h"
#include "studies/study.h"
#include "train/feed.h"
#include "train/schedule.h"

struct trial;
struct trial_spec {
    const char *data; /* "mnist", "wine", "text"; NULL: fill makes the batches */
    void (*fill)(struct trial *t, uint64_t step, struct weft_batch *out);
    struct weft_mlp_config mlp;
    struct weft_gpt2_config gpt2; /* layers > 0: this one */
    struct weft_training how;
    struct weft_init init; /* its seed: 0 is the cell's */
    uint64_t steps;
    double lr;
    struct weft_schedule schedule;                        /* with an lr: instead of lr */
    double (*rate)(const struct trial *t, uint64_t step); /* instead of both; NULL: none */
    uint64_t every;        /* steps between statistics; 0: only those of first and last step */
    bool decades;          /* 8 steps a decade instead */
    bool norms;            /* record the gradient's norm and the clip factor of every step */
    const char *kinds;     /* statistics to record, by name; NULL: none */
    const char *tensors;   /* only of these tensors; NULL: of all */
    uint64_t eval_every;   /* steps between evaluations; 0: at the end only */
    uint64_t eval_samples; /* 0: all; TRIAL_NO_EVAL: none */
    /* Hooks; NULL: none. An error ends the study. */
    enum weft_status (*start)(struct trial *t); /* weights are drawn */
    enum weft_status (*grad)(struct trial *t);  /* gradients are there, and may be changed */
    enum weft_status (*after)(struct trial *t); /* the step is done */
    enum weft_status (*end)(struct trial *t);   /* all steps are done, or it diverged */
    void *user;
};
#define TRIAL_NO_EVAL UINT64_MAX

struct trial {
    struct study_run *run;
    const struct trial_spec *spec;
    weft_model *model;
    struct study_source source;
    struct weft_feed feed; /* with data */
    struct weft_param_info *param;
    size_t params;
    struct weft_statistic *statistic; /* of this step, when due */
    size_t statistics;
    uint64_t step;
    bool due, diverged;
    double loss, clip; /* clip: threshold of this step's norm; set by grad; 0: that of how.optim */
    struct weft_batch batch;
    struct weft_run how; /* of this step */
    struct weft_step result;
    void *user;
};

WEFT_NODISCARD enum weft_status trial_run(struct study_run *r, const struct trial_spec *spec);

/* The parameter of this name; NULL: none. */
struct weft_param_info *trial_param(struct trial *t, const char *name);
static inline size_t trial_count(const struct weft_param_info *p) {
    return p->shape[0] * (p->shape[1] == 0 ? 1 : p->shape[1]);
}
/* x *= factor over a range of rows of a matrix. */
void trial_scale(struct weft_param_info *p, size_t row, size_t rows, double factor);
/* A number that two trainings share only if all their parameters have the same bits (but for a
 * chance of 2^-48). */
double trial_hash(const struct trial *t);
/* Is step due at 8 a decade (0, 1, 2, 3, 4, 6, 8, 10, 13, ...)? */
bool trial_decades(uint64_t step);
/* A value of the last statistics; NaN: none. */
double trial_statistic(const struct trial *t, int layer, const char *tensor, const char *kind);

/* ---- the steps of trial_run, for studies with a loop of their own ---- */
WEFT_NODISCARD enum weft_status trial_open(struct trial *t, struct study_run *r,
                                           const struct trial_spec *spec);
/* Forward, backward, update; *ok false: it diverged. */
WEFT_NODISCARD enum weft_status trial_step(struct trial *t, bool *ok);
WEFT_NODISCARD enum weft_status trial_score(struct trial *t, double *loss, double *accuracy);
void trial_close(struct trial *t);

/* A whole training as one of several in a cell: records loss and gnorm of every step, and lr, under
 * the name `tensor` and `number` as their layer, and val_loss as often as eval_every says and at
 * the end (not in a twin). */
struct trial_trace {
    double *loss, *gnorm; /* (steps), for the caller; NULL: not wanted */
    size_t n;             /* steps that went well */
    double val;           /* infinity when it diverged */
};
WEFT_NODISCARD enum weft_status trial_trace(struct study_run *r, const struct trial_spec *spec,
                                            const char *tensor, int number,
                                            struct trial_trace *out);

#endif
