/* A model inside: its graph, its programs, and the handles the outside world writes and reads. */
#ifndef WEFT_MODELS_MODEL_H
#define WEFT_MODELS_MODEL_H

#include "runtime/graph.h"
#include "weft/model.h"

#define WEFT_PREFILL_TOKENS 512 /* of a run, at most */
#define WEFT_SCORE_TOKENS   64  /* with the logits of each */

struct weft_io { /* handles of one program */
    weft_program *program;
    weft_tensor tokens, inputs; /* one of them */
    weft_tensor targets, values;
    weft_tensor loss, correct;
    weft_tensor logits; /* generation */
    size_t rows;        /* tokens a run takes, generation */
};

struct weft_model {
    weft_ctx *ctx;
    weft_graph *graph;
    bool language; /* gpt2: tokens in, tokens out */
    struct weft_gpt2_config gpt2;
    struct weft_mlp_config mlp;
    struct weft_training training;
    struct weft_io train, eval;
    struct weft_io prefill, decode; /* tokens of one sequence, logits of the last; one token */
    struct weft_io score;    /* like prefill, with the logits of all; no program unless asked for */
    struct weft_io together; /* a token of each sequence; no program where there is but one */
    weft_program *update, *fold;
    size_t classes; /* targets are below it */
    bool committed;
    size_t probe_rows; /* live rows of the last weft_model_grad */
    struct weft_seen { /* what the probes of a step's micro-batches told so far (statistics.c) */
        struct weft_statistic *value;
        size_t count, room;
        double rows; /* samples of them */
        bool closed; /* the step is over: the next micro-batch begins anew */
    } seen;
};

/* Does training.watch hold this word? */
bool weft_model_watches(const weft_model *m, const char *word);

/* What is common to every model: checks the training settings, makes the graph. */
enum weft_status weft_model_begin(weft_ctx *ctx, const struct weft_training *training,
                                  weft_model **out);
/* Adds the update programs, returns the first builder error; frees the model on failure. */
enum weft_status weft_model_end(weft_model *m, weft_model **out);

/* Take in what the probes say after a micro-batch of so many rows. */
void weft_model_look(weft_model *m, size_t rows);

/* An input of a program is this memory of the caller (what names it in messages); fine for an input
 * that the program has not. */
enum weft_status weft_model_borrow(weft_model *m, weft_tensor t, const void *src, const char *what);

#endif
