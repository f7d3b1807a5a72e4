/* Multi-layer perceptron: act(x wᵀ + b) for each hidden layer, a linear output layer, and softmax
 * cross-entropy or squared error. Parameters are named layers.<i>.weight / .bias, (out, in). */
#include "models/model.h"

static weft_tensor dense(weft_model *m, weft_program *p, weft_tensor x, const weft_tensor *wb,
                         const char *act, bool train) {
    const weft_tensor y = weft_linear(p, x, wb[0], wb[1], act, WEFT_NONE);
    if (act == NULL || !train) return y;
    return weft_dropout(p, y, (float)m->mlp.dropout, WEFT_NONE);
}

static void loss_program(weft_model *m, const weft_tensor *wb, const char *name, struct weft_io *io,
                         bool train) {
    const struct weft_mlp_config *const c = &m->mlp;
    weft_program *const p = weft_program_create(m->graph, name, m->training.batch);
    if (p == NULL) return;
    io->program = p;
    io->inputs = weft_input_f32(p, "inputs", c->inputs);
    weft_tensor x = io->inputs;
    for (size_t l = 0; l <= c->layers; l++) {
        weft_program_layer(p, (int)l);
        x = dense(m, p, x, &wb[2 * l], l < c->layers ? c->act : NULL, train);
    }
    weft_program_layer(p, -1);
    if (c->mse) {
        io->values = weft_input_f32(p, "values", c->outputs);
        io->loss = weft_mse(p, x, io->values);
    } else {
        io->targets = weft_input_i32(p, "targets", 1);
        io->loss = weft_softmax_xent(p, x, io->targets);
        io->correct = weft_correct(p, io->loss);
    }
    weft_tensor_keep(m->graph, io->loss);
    if (train) weft_backward(p, io->loss);
}

static enum weft_status check_config(weft_ctx *ctx, const struct weft_mlp_config *c) {
    if (c->layers > WEFT_MLP_MAX_HIDDEN)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG, "mlp: %zu hidden layers, at most %d", c->layers,
                             WEFT_MLP_MAX_HIDDEN);
    if (c->inputs == 0 || c->outputs == 0)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                             "mlp: %zu inputs and %zu outputs: both must be at "
                             "least 1",
                             c->inputs, c->outputs);
    for (size_t l = 0; l < c->layers; l++)
        if (c->hidden[l] < 1 || c->hidden[l] > 1 << 24)
            return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                                 "mlp: hidden layer %zu has width %zu: must be "
                                 "between 1 and %d",
                                 l, c->hidden[l], 1 << 24);
    if (!(c->dropout >= 0 && c->dropout < 1))
        return weft_ctx_fail(ctx, WEFT_ERR_ARG, "mlp: dropout %g must be in [0, 1)", c->dropout);
    return WEFT_OK;
}

enum weft_status weft_mlp_create(weft_ctx *ctx, const struct weft_mlp_config *config,
                                 const struct weft_training *training, weft_model **out) {
    if (ctx == NULL || config == NULL || out == NULL) return WEFT_ERR_NULL;
    static const struct weft_training inference = {.batch = 1};
    struct weft_training t = training != NULL ? *training : inference;
    t.seq = 1;
    enum weft_status st = check_config(ctx, config);
    weft_model *m = NULL;
    if (st == WEFT_OK) st = weft_model_begin(ctx, &t, &m);
    if (st != WEFT_OK) return st;
    m->mlp = *config;
    m->classes = config->outputs;
    if (m->mlp.act == NULL) m->mlp.act = "relu";
    const size_t layers = config->layers + 1;
    weft_tensor *const wb = weft_graph_alloc(m->graph, 2 * layers * sizeof *wb);
    for (size_t l = 0, in = config->inputs; wb != NULL && l < layers; l++) {
        const size_t out_width = l < config->layers ? config->hidden[l] : config->outputs;
        struct weft_param_desc d = {.name = weft_graph_format(m->graph, "layers.%zu.weight", l),
                                    .shape = {out_width, in},
                                    .layer = (int)l,
                                    .role = "weight",
                                    .decay = true};
        wb[2 * l] = weft_param(m->graph, &d);
        d = (struct weft_param_desc){.name = weft_graph_format(m->graph, "layers.%zu.bias", l),
                                     .shape = {out_width, 0},
                                     .layer = (int)l,
                                     .role = "bias"};
        wb[2 * l + 1] = weft_param(m->graph, &d);
        in = out_width;
    }
    if (wb != NULL) {
        if (training != NULL && !t.eval_only) loss_program(m, wb, "train", &m->train, true);
        loss_program(m, wb, "eval", &m->eval, false);
    }
    return weft_model_end(m, out);
}
