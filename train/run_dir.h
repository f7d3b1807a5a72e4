/* A run's folder: run.json, metrics.jsonl, stats.jsonl, checkpoints/. One process at a time. */
#ifndef WEFT_TRAIN_RUN_DIR_H
#define WEFT_TRAIN_RUN_DIR_H

#include "train/checkpoint.h"
#include "train/jsonl.h"
#include "train/options.h"

struct weft_run_dir {
    weft_ctx *ctx;
    char *path, *checkpoints;
    bool made; /* the folder was not there */
    int lock;  /* a descriptor of the folder, locked */
    struct weft_jsonl metrics, stats;
};

/* Is a run in this folder already, or anything that is left of one? */
bool weft_run_dir_is_taken(const char *path);
/* Makes the folder when it is not there. WEFT_ERR_STATE while another process trains into it. */
WEFT_NODISCARD enum weft_status weft_run_dir_open(weft_ctx *ctx, const char *path,
                                                  struct weft_run_dir *out);
/* Cut metrics and statistics back to a step and open them; -1 empties them. */
WEFT_NODISCARD enum weft_status weft_run_dir_logs(struct weft_run_dir *run, int64_t last_step);
/* Fine on a zeroed one. A folder that was made and is still empty goes. */
void weft_run_dir_close(struct weft_run_dir *run);

/* Make the paths among the options absolute: a run is gone on with from anywhere. */
WEFT_NODISCARD enum weft_status weft_run_dir_paths(weft_ctx *ctx, struct weft_options *o);
/* Write run.json: the settings, and the facts beside them. bigram: its validation loss, or NaN. */
WEFT_NODISCARD enum weft_status weft_run_dir_describe(const struct weft_run_dir *run,
                                                      const struct weft_options *o,
                                                      const struct weft_settings *s,
                                                      const struct weft_data *data,
                                                      size_t parameters, double bigram);

/* Take the settings of the run in path into o: what was not given comes from its run.json, what was
 * given must say the same (but for what changes no result: threads, isa, how often to print and to
 * save). Nothing happens when there is no run. WEFT_ERR_ARG names the conflict, WEFT_ERR_STATE is
 * for a run without run.json. */
WEFT_NODISCARD enum weft_status weft_run_dir_settings(weft_ctx *ctx, const char *path,
                                                      struct weft_options *o);
/* Is the run's last step done, and its checkpoint whole? Nothing is changed, and no data needed. */
bool weft_run_dir_is_finished(weft_ctx *ctx, const char *path, uint64_t *steps);

/* The table beside `isa` that has bf16's portable bits, as so many of its first characters: tables with
 * dot products are called after theirs, avx512bf16 after avx512. */
int weft_isa_portable(const char *isa);
/* The settings that the run of a checkpoint was trained with, defaults where it is no longer in its
 * run's folder. Free with weft_options_free. */
WEFT_NODISCARD enum weft_status weft_run_dir_of_checkpoint(weft_ctx *ctx, const char *checkpoint,
                                                           bool language, struct weft_options *out);
/* The data must be what the run in path began with. Fine when there is no run.json. */
WEFT_NODISCARD enum weft_status weft_run_dir_check_data(const struct weft_run_dir *run,
                                                        const struct weft_data *data);

#endif
