/* Oracles of the activations, in double. act and slope as in kernels/activation.h. */
#ifndef WEFT_REF_ACTIVATION_H
#define WEFT_REF_ACTIVATION_H
#include "kernels/activation.h"
#include "kernels/ref/ref_bound.h"

double ref_act(enum weft_act act, double slope, double z);  /* f(z) */
double ref_dact(enum weft_act act, double slope, double z); /* f'(z) */

/* For error bounds: the largest of the terms that f'(z) is a sum of. */
double ref_dact_scale(enum weft_act act, double slope, double z);

/* Bounds of f(z) and of dy f'(z) + old, in ulp of the result: the measured ones of vec_math.h plus
 * one; for the derivatives, of the larger of the terms they are summed from. Below 2^-121 (2^-119
 * for SiLU, 2^-117 for the derivatives) they are absolute: the tails end where the exponential
 * falls under FLT_MIN. */
double ref_act_bound(enum weft_act act, double slope, double z);
double ref_dact_bound(enum weft_act act, double slope, double z, double dy, double old);

/* The same in an epilogue, where z or dy is itself inside a bound: |f'| < 1.13, SELU's 1.76. */
struct ref_value ref_act_value(enum weft_act act, double slope, struct ref_value z);
struct ref_value ref_dact_value(enum weft_act act, double slope, double z, struct ref_value dy);

#endif
