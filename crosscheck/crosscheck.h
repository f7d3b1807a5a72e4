/* weft against oneDNN, and both against the double oracles.
 *
 * A check is one output of one node: the error of weft and that of oneDNN on the same inputs, each
 * element held to the bound of its oracle. weft fails where an element is outside of its bound, or
 * where its relative error is more than twice oneDNN's on three seeds (and more than a rounding of
 * each element: nothing can be better than that). What oneDNN has not is checked all the same. */
#ifndef WEFT_CROSSCHECK_H
#define WEFT_CROSSCHECK_H

#include <stdio.h>
#include "weft/context.h"

/* How far a result is from the truth. */
struct weft_cross_error {
    double share;    /* of its bound that the worst element takes: above 1 is outside */
    double max_ulp;  /* largest error in units in the last place of the true value */
    double rel_l2;   /* |got - want| / |want|; of a mean: / the spread of its terms */
    size_t row, col; /* the worst element */
    double got, want, bound;
    size_t outside; /* elements */
};

/* Seconds of the whole node; 0: not measured. Packed: weights laid out beforehand as each likes. */
struct weft_cross_times {
    double weft, onednn, weft_packed, onednn_packed;
};

struct weft_cross_check {
    char op[40], shape[48], node[48];
    const char *output, *kernels; /* "dx"; the kernels that make it */
    bool backward;
    bool has_onednn; /* false: oneDNN lacks the op, weft runs alone */
    struct weft_cross_error weft, onednn;
    struct weft_cross_times hot, cold; /* on the first check of a node */
    bool failed;
    char reason[160]; /* when it failed */
};

#define WEFT_CROSS_STEPS      50
#define WEFT_CROSS_DIVERGENCE 1e-4 /* limit: rounding errors, and 50 steps to grow in */
struct weft_cross_report {
    struct weft_cross_check *check;
    size_t checks, room, failed;
    bool quick;
    const char *model; /* NULL: op by op */
    /* of a model */
    const char *first;                /* name of the first node outside of its bound, or NULL */
    double loss[2][WEFT_CROSS_STEPS]; /* by weft, by oneDNN */
    size_t steps;      /* that both have done with finite numbers: all, or something is wrong */
    double divergence; /* largest relative difference of the two; above the limit: failed */
    double seconds;
    int threads;
    const char *isa;
    char onednn[32]; /* its version */
};

struct weft_cross_options {
    bool quick;
    const char *ops;   /* "layernorm,gelu": cases with one of these in their name; NULL: all */
    const char *model; /* "gpt2-tiny", "mlp-tiny": step by step instead of op by op; NULL */
    /* A check is made (and stays where it is until the next call); what is next, of how much. */
    void (*done)(void *user, const struct weft_cross_check *c);
    void (*next)(void *user, const char *what, size_t i, size_t n);
    void *user;
};

/* WEFT_ERR_ARG for an unknown op or model, naming those there are; WEFT_ERR_STATE without oneDNN. A
 * failed check is no error. Free in any case. */
WEFT_NODISCARD enum weft_status weft_cross_run(weft_ctx *ctx, const struct weft_cross_options *o,
                                               struct weft_cross_report *out);
void weft_cross_free(struct weft_cross_report *r);

/* The models by name, NULL past the last. */
const char *weft_cross_model_name(size_t i);

/* ---- what came of it ---- */
enum weft_cross_verdict { WEFT_CROSS_WEFT, WEFT_CROSS_ONEDNN, WEFT_CROSS_EQUAL, WEFT_CROSS_ALONE };
/* Who is closer to the truth, by rel_l2; within a tenth: equal. */
enum weft_cross_verdict weft_cross_closer(const struct weft_cross_check *c);
const char *weft_cross_verdict_text(enum weft_cross_verdict v);

void weft_cross_table_head(FILE *out);
void weft_cross_table_row(FILE *out, const struct weft_cross_check *c);
void weft_cross_table_end(FILE *out, const struct weft_cross_report *r);
WEFT_NODISCARD enum weft_status weft_cross_json(weft_ctx *ctx, const struct weft_cross_report *r,
                                                const char *path);
WEFT_NODISCARD enum weft_status weft_cross_html(weft_ctx *ctx, const struct weft_cross_report *r,
                                                const char *path);

#endif
