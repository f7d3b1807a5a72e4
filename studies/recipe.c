/* See recipe.h. */
#include "studies/recipe.h"

#include <math.h>

#define MNIST_BATCH 128
#define MNIST_SIZE  60000
#define TEXT_SIZE   (0.9 * 4404412) /* bytes that are trained on */

static size_t heads_of(size_t width) { return width / (width < 192 ? 32 : width == 192 ? 48 : 64); }

struct trial_spec recipe_gpt(size_t layers, size_t width, size_t context, size_t batch) {
    return (struct trial_spec){
        .data = "text",
        .gpt2 = {.vocab = 256,
                 .context = context,
                 .layers = layers,
                 .heads = heads_of(width),
                 .width = width},
        .how = {.batch = batch,
                .seq = context,
                .optim = {.name = "adamw",
                          .beta1 = 0.9,
                          .beta2 = 0.95,
                          .eps = 1e-8,
                          .weight_decay = 0.1,
                          .clip = 1}},
        .init = {.name = "gpt2", .std = 0.02},
    };
}

double recipe_gpt_flops(size_t layers, size_t width, size_t context, size_t batch, double steps) {
    return study_gpt_flops(layers, width, context, 256) * (double)(batch * context) * steps;
}

struct trial_spec recipe_mnist(size_t hidden, size_t layers) {
    struct trial_spec spec = {
        .data = "mnist",
        .mlp = {.inputs = 784, .outputs = 10, .layers = layers},
        .how = {.batch = MNIST_BATCH, .optim = {.name = "sgd"}},
        .init = {.name = "kaiming-normal"},
    };
    for (size_t l = 0; l < layers; l++) spec.mlp.hidden[l] = hidden;
    return spec;
}

struct trial_spec recipe_deep(double gain) {
    struct trial_spec spec = recipe_mnist(128, RECIPE_DEEP);
    spec.how.optim = (struct weft_optim){.name = "momentum", .beta1 = 0.9};
    spec.init.gain = gain * sqrt(2);
    return spec;
}

double recipe_mnist_flops(size_t hidden, size_t layers, double steps) {
    const double n = (double)hidden;
    return 6 * (784 * n + ((double)layers - 1) * n * n + 10 * n) * MNIST_BATCH * steps;
}

double recipe_gpt_epochs(double tokens) { return tokens / TEXT_SIZE; }
double recipe_mnist_epochs(double steps) { return steps * MNIST_BATCH / MNIST_SIZE; }
