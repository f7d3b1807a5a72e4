/* Passes of their own over weights and gradients, at a few steps of a training: histograms, the
 * signal-to-noise ratio of gradients, how far a step moves what a layer computes. Costly, so they
 * are hooks of a study and no by-product of kernels. */
#ifndef WEFT_STUDIES_LOOK_H
#define WEFT_STUDIES_LOOK_H

#include "studies/trial.h"

#define LOOK_BINS 256
/* Records count (layer: the bin; 0 and LOOK_BINS + 1 are what lies beyond), mean, std, kurt of x
 * (n) under the name `tensor`: bins of equal width over [-half, half]. */
void look_histogram(struct study_run *r, uint64_t step, const char *tensor, const float *x,
                    size_t n, double half);
/* The density in each bin of such records; x, y: (LOOK_BINS). false: there are none. */
bool look_density(const struct study_cell *c, uint64_t step, const char *tensor, double half,
                  double *x, double *y);
/* The density of N(0, std^2) at x, (LOOK_BINS) both. */
void look_normal(double std, const double *x, double *y);

#define LOOK_SNR 16 /* micro-batches behind a ratio */
/* For each of the given parameters, from LOOK_SNR batches that no step has seen:
 *   (|mean g|^2 - tr/K)/tr,  tr = sum |g_k - mean g|^2/(K-1)
 * Records it as value of `tensor` under the parameter's layer; the gradients are garbage after. */
WEFT_NODISCARD enum weft_status look_signal(struct trial *t, struct weft_param_info *const *param,
                                            size_t n, const char *tensor);

/* |dW x|/|W x| of the first n rows of a matrix (n, n), over some rows x of what its layer norm
 * (gamma, beta) made of `stream`; before: these rows before the step. */
double look_effective(const struct weft_param_info *w, const float *before,
                      const struct weft_probe_value *stream, const float *gamma, const float *beta);

#endif
