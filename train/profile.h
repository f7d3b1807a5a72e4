/* Where the time of a training step goes: every node's work, the least time that the machine's
 * limits allow it, and what it took; by op, by block, and against the wall clock. */
#ifndef WEFT_TRAIN_PROFILE_H
#define WEFT_TRAIN_PROFILE_H

#include "train/json_out.h"
#include "weft/model.h"

struct weft_profile_options {
    const char *model; /* a preset of GPT-2, or "mlp-784-256-128-10" */
    size_t batch, seq; /* 0: 4 and 64 for GPT-2, 128 for MLPs; a seq of 0 is at most the context */
    size_t steps;      /* that are measured, >= 1, after one that is not */
    const char *precision; /* "f32", "bf16" */
};

struct weft_profile_row {
    char name[48];
    size_t nodes;
    double flops, bytes;     /* executed; that must move */
    double least, seconds;   /* sum over nodes of what the limits allow; measured */
    double least_compute;    /* of that, if arithmetic alone counted */
    bool compute;            /* most of `least` is arithmetic, not memory */
};
#define WEFT_PROFILE_ROWS 128
struct weft_profile {
    char model[64];
    size_t batch, seq, params;
    size_t units; /* tokens, or samples, of a step */
    const char *unit;
    struct weft_limits limits;
    double peak; /* GFLOP/s of what the model's products are made of */
    double best, median, mean; /* seconds of a step */
    double least, model_flops; /* of a step */
    double explained;          /* seconds in nodes, mean */
    size_t peak_bytes;         /* of the process */
    double joules;             /* a step, where the machine tells; else 0 */
    struct weft_profile_row op[WEFT_PROFILE_ROWS], block[WEFT_PROFILE_ROWS];
    size_t ops, blocks;
    struct weft_span *span; /* (spans) of the last step */
    size_t spans;
};

/* Builds the model with random weights and data, and steps. WEFT_ERR_ARG for a model that there is
 * not. Free the result. */
WEFT_NODISCARD enum weft_status weft_profile_run(weft_ctx *ctx, const struct weft_profile_options *o,
                                                 struct weft_profile *out);
void weft_profile_free(struct weft_profile *p);

/* One sentence: what binds the step, and what costs most beyond its limit. */
const char *weft_profile_verdict(const struct weft_profile *p, char *buf, size_t size);
void weft_profile_json(const struct weft_profile *p, struct weft_json *j);
/* The last step for chrome://tracing or ui.perfetto.dev: a row a thread. */
void weft_profile_trace(const struct weft_profile *p, struct weft_json *j);

#endif
