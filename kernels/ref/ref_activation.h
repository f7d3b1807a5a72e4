/* Oracles of the activations, in double. act and slope as in kernels/activation.h. */
#ifndef WEFT_REF_ACTIVATION_H
#define WEFT_REF_ACTIVATION_H
#include "kernels/activation.h"

double ref_act(enum weft_act act, double slope, double z);  /* f(z) */
double ref_dact(enum weft_act act, double slope, double z); /* f'(z) */

/* For error bounds: the largest of the terms that f'(z) is a sum of. */
double ref_dact_scale(enum weft_act act, double slope, double z);

#endif
