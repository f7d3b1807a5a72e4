/* What a finished, running or interrupted run has written, read back: run.json, metrics.jsonl,
 * stats.jsonl. Anything may be missing; a line that cannot be read (a run killed in the middle of
 * one) is counted and skipped. After a resume steps may go back: later lines replace earlier ones.
 * Values that are not numbers are NaN. */
#ifndef WEFT_TRAIN_RUN_DATA_H
#define WEFT_TRAIN_RUN_DATA_H

#include <jansson.h>
#include <stdbool.h>
#include "weft/context.h"

#define WEFT_RUN_LAYERS 1024 /* of a model; a line with another layer is unreadable */

/* One value over steps: a key of metrics.jsonl, or a (kind, tensor, layer) of stats.jsonl. */
struct weft_track {
    char *kind;           /* "loss", "weight_std", ... */
    char *tensor;         /* "q", ...; "" for metrics */
    int layer;            /* -1: none */
    double *step, *value; /* (n), step ascending */
    size_t n, cap;
};
struct weft_snapshot { /* a histogram at one step */
    char *tensor;
    int layer;
    double step, lo, hi;
    double *counts; /* (bins) */
    size_t bins;
};
struct weft_run_hashes { /* of all parameters at one step */
    double step;
    char total[17];
    json_t *tensors; /* {"NAME": "16 hex digits"} */
};
struct weft_run_data {
    char *dir, *name; /* name: the last part of the path */
    json_t *settings; /* run.json; an empty object when there is none */
    struct weft_track *metric, *stat;
    size_t metrics, stats;
    struct weft_snapshot *snapshot; /* in file order */
    size_t snapshots;
    struct weft_run_hashes *hash; /* step ascending */
    size_t hashes;
    size_t bad_lines;
    bool bad_settings; /* there is a run.json that is no JSON */
};

/* WEFT_ERR_IO when dir has neither run.json nor metrics.jsonl. */
WEFT_NODISCARD enum weft_status weft_run_data_load(weft_ctx *ctx, const char *dir,
                                                   struct weft_run_data **out);
void weft_run_data_free(struct weft_run_data *run);

/* NULL when the run has no such values. */
const struct weft_track *weft_run_metric(const struct weft_run_data *run, const char *key);
const struct weft_track *weft_run_stat(const struct weft_run_data *run, const char *kind,
                                       const char *tensor, int layer);
/* Layers that have this statistic: largest + 1, 0 when none. */
size_t weft_run_layers(const struct weft_run_data *run, const char *kind, const char *tensor);
/* The first value with this key anywhere in run.json, outer levels first; NULL when absent. */
json_t *weft_run_setting(const struct weft_run_data *run, const char *key);
/* Is that value this text? */
bool weft_run_is(const struct weft_run_data *run, const char *key, const char *text);
/* The same as a number; NAN when absent or not a number. */
double weft_run_number(const struct weft_run_data *run, const char *key);

#endif
