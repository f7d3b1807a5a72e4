/* The optimizer behind weft_optimizer(): its rules by name (optim_rule.c), and what a run of the
 * update program leaves behind for the model layer (op_optim.c). */
#ifndef WEFT_RUNTIME_OPTIM_H
#define WEFT_RUNTIME_OPTIM_H

#include "runtime/graph.h"

/* ---- rules ---- */
struct weft_optim_kind {
    const char *name;
    enum weft_optim_rule rule;
    bool decoupled; /* decay shrinks the weight itself instead of entering the gradient */
    bool playbook;  /* the tuning playbook's constants instead of PyTorch's */
    bool lars;      /* each parameter's step is scaled by its norms: weft_optim_trust */
};
/* NULL: no such optimizer. weft_optim_kind_at lists them, NULL past the last. */
const struct weft_optim_kind *weft_optim_find(const char *name);
const struct weft_optim_kind *weft_optim_kind_at(size_t i);

/* Every scalar of kernels/optim.h for one step (from 0): step size lr, gradients times scale.
 * decay: the parameter decays by o->weight_decay. Pointers, n and stats are left zero. */
struct weft_optim_args weft_optim_scalars(const struct weft_optim_kind *kind,
                                          const struct weft_optim *o, double lr, uint64_t step,
                                          double scale, bool decay);

/* LARS: the factor of a parameter's clip and l2, trust |w|/(scale |g| + decay |w|), 1 where a norm
 * is 0; in double, rounded once, so that a gradient times a power of two makes the same step. */
double weft_optim_trust(const struct weft_optim *o, double scale, double w_norm, double g_norm,
                        bool decay);

/* How weights are kept in a training in bf16: "master", "nearest", "stochastic", "kahan"; NULL is
 * master. Negative: no such way. */
int weft_weights_find(const char *name);

/* ---- results ---- */
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
    const char *tensor; /* slice name, else the parameter's role; "q.0" of a part */
    const char *whole;  /* the slice it is a part of, or NULL */
    bool matrix;        /* two dimensions: not a bias or a gain */
    size_t count;
    double w_sum, w_sumsq, w_absmax; /* weights after the step */
    double g_sumsq, g_absmax;        /* gradients before clipping */
    double d_sumsq;                  /* change of the weights */
    double wg_sum;                   /* weights before the step times gradients */
    double rate_sum;                 /* 1/(sqrt v + eps): step per unit of m; 0 without v */
    bool half; /* training in bf16: the next four are known (kernels/optim.h) */
    double moves, lost, decay_want, decay_done;
    bool decays; /* the weight itself does */
};
/* Segment i in parameter order; false past the last one. */
bool weft_optim_segment(const weft_program *p, size_t i, struct weft_segment_stats *out);
/* a <- both together. */
void weft_optim_join(struct weft_segment_stats *a, const struct weft_segment_stats *b);

/* Append the node of adaptive clipping; attr->optim.agc > 0 (op_agc.c). */
void weft_agc(weft_program *p, const struct weft_attr *attr);
/* Add what embedding gradients gathered over several micro-batches (op_embedding.c). */
void weft_embedding_fold(weft_program *p);

#endif
