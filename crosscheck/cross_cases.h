/* A case of op by op: a small graph in which some ops are looked at. */
#ifndef WEFT_CROSSCHECK_CASES_H
#define WEFT_CROSSCHECK_CASES_H

#include "crosscheck/cross_walk.h"

#define WEFT_CROSS_RUNS 4
struct weft_cross_net {
    weft_graph *graph;
    size_t classes; /* tokens and targets are below */
    const char *shape;
    const struct weft_op *subject[4]; /* the ops that are looked at, NULL after the last */
    struct {
        weft_program *program;
        struct weft_run run;
    } run[WEFT_CROSS_RUNS]; /* in this order */
    size_t runs;
};

struct weft_cross_case {
    const char *op;   /* "linear+gelu_tanh" */
    const char *text; /* an activation, an optimizer, or NULL */
    void (*build)(struct weft_cross_net *net, const struct weft_cross_case *c);
    size_t dim[5];
    bool quick;            /* with --quick too */
    weft_cross_make *make; /* instead of a graph */
};

/* Builders, cross_build.c. dim in the order of their comments. */
typedef void weft_cross_build(struct weft_cross_net *net, const struct weft_cross_case *c);
weft_cross_build weft_cross_build_linear;     /* rows, in, out, residual */
weft_cross_build weft_cross_build_mlp;        /* rows, in, hidden, out; text: activation */
weft_cross_build weft_cross_build_activation; /* rows, cols; text */
weft_cross_build weft_cross_build_layernorm;  /* rows, cols, residual: dx is added to */
weft_cross_build weft_cross_build_add;        /* rows, cols */
weft_cross_build weft_cross_build_gain;       /* rows, cols, groups */
weft_cross_build weft_cross_build_dropout;    /* rows, cols, residual */
weft_cross_build weft_cross_build_mse;        /* rows, cols */
weft_cross_build weft_cross_build_inner;      /* rows, cols */
weft_cross_build weft_cross_build_xent;       /* rows, classes */
weft_cross_build
    weft_cross_build_attention; /* batch, positions, heads, head size, tenths dropped */
weft_cross_build weft_cross_build_embedding;  /* batch, positions, width, vocabulary */
weft_cross_build weft_cross_build_head;       /* batch, positions, width, vocabulary */
weft_cross_build weft_cross_build_generation; /* tokens, heads, head size */
weft_cross_build weft_cross_build_optimizer;  /* in, out, clip rows; text: its name */
weft_cross_build weft_cross_build_fold;       /* batch, positions, width, vocabulary */

#endif
