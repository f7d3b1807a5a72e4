/* A run from options to its last checkpoint.
 *
 *   weft_trainer_check     settings of the run that is resumed, if any; errors of usage
 *   weft_trainer_create    data, model, folder; initial or resumed state
 *   weft_trainer_run       steps, evaluations, statistics, checkpoints
 *
 * Step s (from 0) trains on samples s*B*A .. (s+1)*B*A - 1 of the data's order, with a learning
 * rate and random numbers that are functions of s: nothing else need be remembered to go on from a
 * checkpoint as if nothing had happened. */
#ifndef WEFT_TRAIN_TRAINER_H
#define WEFT_TRAIN_TRAINER_H

#include <signal.h>
#include "train/checkpoint.h"

typedef struct weft_trainer weft_trainer;

struct weft_trainer_io {
    void (*write)(void *user, const char *text); /* for the screen: lines, or a bar that redraws */
    void (*warn)(void *user, const char *text);  /* one line, without its end */
    void *user;
    bool terminal;
    unsigned columns;                    /* of the terminal, 0: 80 */
    const volatile sig_atomic_t *signal; /* not 0: save and stop; may be NULL */
};

/* What can be said before anything is read but run.json: WEFT_ERR_ARG for options that are missing,
 * impossible, or other than those of the run that is resumed, WEFT_ERR_STATE for a run where --out
 * is to be. Completes o from run.json. */
WEFT_NODISCARD enum weft_status weft_trainer_check(weft_ctx *ctx, struct weft_options *o);

/* After weft_trainer_check. o and io must outlive the trainer; o gets the values worked out. */
WEFT_NODISCARD enum weft_status weft_trainer_create(weft_ctx *ctx, struct weft_options *o,
                                                    const struct weft_trainer_io *io,
                                                    weft_trainer **out);
/* Up to the last step, or to a signal: WEFT_OK for both, and a checkpoint is there.
 * WEFT_ERR_NONFINITE, WEFT_ERR_IO, ...: the message says which checkpoint is the last good one. */
WEFT_NODISCARD enum weft_status weft_trainer_run(weft_trainer *t);
/* After weft_trainer_check: there is nothing left to do for the run that is to be resumed. */
bool weft_trainer_is_finished(weft_ctx *ctx, const struct weft_options *o, uint64_t *steps);
void weft_trainer_free(weft_trainer *t);

weft_model *weft_trainer_model(const weft_trainer *t);
const struct weft_run_state *weft_trainer_state(const weft_trainer *t);

#endif
