/* A node on both sides: expectation, results, errors, times. */
#ifndef WEFT_CROSSCHECK_WALK_H
#define WEFT_CROSSCHECK_WALK_H

#include "crosscheck/crosscheck.h"
#include "crosscheck/oracle.h"
#include "runtime/backend.h"

struct weft_cross_walk {
    weft_ctx *ctx;
    struct weft_cross_report *report; /* checks are appended */
    const struct weft_cross_options *options;
    const struct weft_backend *backend;
    const char *op, *shape; /* of the case */
    bool times;
    float *flush; /* larger than the caches hold */
    size_t flush_count;
};

/* The node's checks are appended to the report, and its outputs are weft's afterwards. */
enum weft_status weft_cross_node(struct weft_cross_walk *w, weft_program *p,
                                 const struct weft_run *run, size_t node);
/* A whole program, in order: the nodes for which `subject` says so are checked, the others run. */
enum weft_status weft_cross_program(struct weft_cross_walk *w, weft_program *p,
                                    const struct weft_run *run,
                                    bool (*subject)(const void *arg, const struct weft_node *n),
                                    const void *arg);

/* The error of what an output holds now. false: no element has a bound below its typical value. */
bool weft_cross_measure(const struct weft_cross_output *o, struct weft_cross_error *e);

/* Appends a zeroed check; NULL after recording WEFT_ERR_NOMEM. */
struct weft_cross_check *weft_cross_append(struct weft_cross_walk *w);
/* What can be told from one seed: bounds. worse: more than twice oneDNN's error. */
void weft_cross_judge(struct weft_cross_check *c, bool sharp);
bool weft_cross_worse(const struct weft_cross_check *c);

/* Run make(w, arg, seed) on one seed or, where weft is worse than oneDNN, on three. Each appends
 * the same checks; those of the first seed stay, with what the others found wrong. */
#define WEFT_CROSS_SEEDS 3
typedef enum weft_status weft_cross_make(struct weft_cross_walk *w, const void *arg, uint64_t seed);
enum weft_status weft_cross_seeds(struct weft_cross_walk *w, weft_cross_make *make,
                                  const void *arg);

/* The cases of op by op, and a model node by node (cross_cases.c, cross_model.c). */
enum weft_status weft_cross_cases(struct weft_cross_walk *w);
weft_cross_make weft_cross_random, weft_cross_matmul; /* cases that are no graph */
enum weft_status weft_cross_model(struct weft_cross_walk *w);

/* A value of N(0, 1), and one below n; state is any seed. */
float weft_cross_normal(uint64_t *state);
size_t weft_cross_below(uint64_t *state, size_t n);
/* Parameters and inputs of a graph: weights N(0, 1/in), everything else N(0, 1) (gains about 1);
 * tokens below `classes`, and one target in eight -1. */
void weft_cross_fill(weft_graph *g, size_t classes, uint64_t seed);

#endif
