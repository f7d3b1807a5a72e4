/* What the optimizer sweep leaves behind for the model layer (op_optim.c). */
#ifndef WEFT_RUNTIME_OPTIM_H
#define WEFT_RUNTIME_OPTIM_H

#include "runtime/graph.h"

struct weft_optim_result {
    double norm;        /* of all gradients, before clipping */
    double scale;       /* the factor they were multiplied by; 0 and nothing done when not finite */
    uint64_t nonfinite; /* gradients that are NaN or Inf */
};
/* Of the last run of the program that holds the optimizer. */
void weft_optim_result(const weft_program *p, struct weft_optim_result *out);

/* Statistics of one parameter, or of one slice of it, gathered by a run with run->statistics. */
struct weft_segment_stats {
    int layer;
    const char *tensor; /* slice name, else the parameter's role */
    bool matrix;        /* two dimensions: not a bias or a gain */
    size_t count;
    double w_sum, w_sumsq, w_absmax; /* weights after the step */
    double g_sumsq, g_absmax;        /* gradients before clipping */
    double d_sumsq;                  /* change of the weights */
};
/* Segment i in parameter order; false past the last one. */
bool weft_optim_segment(const weft_program *p, size_t i, struct weft_segment_stats *out);

#endif
