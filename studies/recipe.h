/* The standard trainings of studies, to be varied. */
#ifndef WEFT_STUDIES_RECIPE_H
#define WEFT_STUDIES_RECIPE_H

#include "studies/trial.h"

/* GPT(layers, width, context) on the bytes of the text: LayerNorm first, tied head, N(0, 0.02^2)
 * with projections 0.02/sqrt(2 layers), AdamW 0.9/0.95, decay 0.1, clip 1. Heads of 32 below width
 * 192, of 48 there, of 64 above. */
struct trial_spec recipe_gpt(size_t layers, size_t width, size_t context, size_t batch);
/* FLOPs of a training with it. */
double recipe_gpt_flops(size_t layers, size_t width, size_t context, size_t batch, double steps);

/* Passes over the reference text of a training with so many tokens. */
double recipe_gpt_epochs(double tokens);

/* 784-hidden^layers-10 on MNIST: ReLU, batch 128, SGD, Kaiming. */
struct trial_spec recipe_mnist(size_t hidden, size_t layers);
/* 784-128^20-10 with momentum 0.9, the weights `gain` times those of Kaiming: at 1.2 signals grow
 * 38 times from end to end, and high rates diverge. */
#define RECIPE_DEEP 20
struct trial_spec recipe_deep(double gain);
double recipe_mnist_flops(size_t hidden, size_t layers, double steps);
double recipe_mnist_epochs(double steps);

#endif
