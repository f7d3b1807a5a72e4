/* Multi-layer perceptron: act(x wᵀ + b) for each hidden layer, blocks of one width behind them, a
 * linear output layer, and softmax cross-entropy or squared error.
 *
 *   plain     x <- act(x wᵀ + b)      residual  x <- x + act(x wᵀ + b)
 *   rezero    x <- x + a act(x wᵀ + b)                              (Bachlechner et al. 2020)
 *
 * Parameters are named layers.<i>.weight / .bias, (out, in), and blocks.<i>.weight / .bias / .gain. */
#include <string.h>

#include "models/model.h"

enum block { PLAIN, RESIDUAL, REZERO };
struct net { /* parameters, in file order */
    weft_model *m;
    enum block kind;
    weft_tensor *wb;    /* (layers + 1, 2): weight and bias of hidden layers and output */
    weft_tensor *block; /* (blocks, 3): weight, bias, gain */
};

/* ---- parameters ---- */
static void dense_params(const struct net *n, const char *prefix, size_t i, int layer, size_t out,
                         size_t in, const char *role, weft_tensor wb[2]) {
    weft_graph *const g = n->m->graph;
    struct weft_param_desc d = {.name = weft_graph_format(g, "%s.%zu.weight", prefix, i),
                                .shape = {out, in},
                                .layer = layer,
                                .role = role,
                                .decay = true};
    wb[0] = weft_param(g, &d);
    d = (struct weft_param_desc){.name = weft_graph_format(g, "%s.%zu.bias", prefix, i),
                                 .shape = {out, 0},
                                 .layer = layer,
                                 .role = "bias"};
    wb[1] = weft_param(g, &d);
}

static void make_params(struct net *n) {
    const struct weft_mlp_config *const c = &n->m->mlp;
    weft_graph *const g = n->m->graph;
    size_t in = c->inputs;
    for (size_t l = 0; l < c->layers; l++) {
        dense_params(n, "layers", l, (int)l, c->hidden[l], in, "weight", &n->wb[2 * l]);
        in = c->hidden[l];
    }
    for (size_t b = 0; b < c->blocks; b++) {
        const int layer = (int)(c->layers + b);
        dense_params(n, "blocks", b, layer, in, in, "block", &n->block[3 * b]);
        const struct weft_param_desc gain = {.name = weft_graph_format(g, "blocks.%zu.gain", b),
                                             .shape = {1, 0},
                                             .layer = layer,
                                             .role = "gain"};
        n->block[3 * b + 2] = n->kind == REZERO ? weft_param(g, &gain) : WEFT_NONE;
    }
    dense_params(n, "layers", c->layers, (int)(c->layers + c->blocks), c->outputs, in, "weight",
                 &n->wb[2 * c->layers]);
}

/* ---- programs ---- */
static weft_tensor dense(const struct net *n, weft_program *p, weft_tensor x, const weft_tensor *wb,
                         const char *act, bool train) {
    const weft_tensor y = weft_linear(p, x, wb[0], wb[1], act, WEFT_NONE);
    if (train && weft_model_watches(n->m, "layer")) weft_probe(p, "layer", y);
    if (act == NULL || !train) return y;
    return weft_dropout(p, y, (float)n->m->mlp.dropout, WEFT_NONE);
}

static weft_tensor block(const struct net *n, weft_program *p, weft_tensor x, size_t b,
                         bool train) {
    const weft_tensor *const wb = &n->block[3 * b];
    const weft_tensor y = dense(n, p, x, wb, n->m->mlp.act, train);
    if (n->kind == PLAIN) return y;
    return n->kind == REZERO ? weft_gain(p, y, wb[2], x) : weft_add(p, y, x);
}

static void loss_program(const struct net *n, const char *name, struct weft_io *io, bool train) {
    const struct weft_mlp_config *const c = &n->m->mlp;
    weft_program *const p = weft_program_create(n->m->graph, name, n->m->training.batch);
    if (p == NULL) return;
    io->program = p;
    weft_program_storage(p, n->m->training.precision);
    io->inputs = weft_input_f32(p, "inputs", c->inputs);
    weft_tensor x = io->inputs;
    for (size_t l = 0; l < c->layers; l++) {
        weft_program_layer(p, (int)l);
        x = dense(n, p, x, &n->wb[2 * l], c->act, train);
    }
    for (size_t b = 0; b < c->blocks; b++) {
        weft_program_layer(p, (int)(c->layers + b));
        x = block(n, p, x, b, train);
    }
    weft_program_layer(p, (int)(c->layers + c->blocks));
    x = dense(n, p, x, &n->wb[2 * c->layers], NULL, train);
    weft_program_layer(p, -1);
    if (c->mse || c->inner) {
        io->values = weft_input_f32(p, "values", c->outputs);
        io->loss = c->mse ? weft_mse(p, x, io->values) : weft_inner(p, x, io->values);
    } else {
        io->targets = weft_input_i32(p, "targets", 1);
        io->loss = weft_softmax_xent(p, x, io->targets);
        io->correct = weft_correct(p, io->loss);
        if (train && weft_model_watches(n->m, "logz")) weft_probe(p, "logz", io->loss);
    }
    weft_tensor_keep(n->m->graph, io->loss);
    if (train) weft_backward(p, io->loss);
}

/* ---- creation ---- */
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
    if (c->blocks > 1 << 16)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG, "mlp: %zu blocks, at most %d", c->blocks, 1 << 16);
    return WEFT_OK;
}

static bool parse_block(const char *name, enum block *out) {
    static const char *const names[] = {"plain", "residual", "rezero"};
    *out = PLAIN;
    for (size_t i = 0; name != NULL && i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0) *out = (enum block)i;
    return name == NULL || strcmp(names[*out], name) == 0;
}

enum weft_status weft_mlp_create(weft_ctx *ctx, const struct weft_mlp_config *config,
                                 const struct weft_training *training, weft_model **out) {
    if (ctx == NULL || config == NULL || out == NULL) return WEFT_ERR_NULL;
    static const struct weft_training inference = {.batch = 1};
    struct weft_training t = training != NULL ? *training : inference;
    t.seq = 1;
    enum weft_status st = check_config(ctx, config);
    if (st == WEFT_OK && t.weights != NULL && strcmp(t.weights, "f32") != 0)
        st =
            weft_ctx_fail(ctx, WEFT_ERR_ARG, "mlp: weights are f32: \"%s\" is for gpt2", t.weights);
    weft_model *m = NULL;
    if (st == WEFT_OK) st = weft_model_begin(ctx, &t, &m);
    if (st != WEFT_OK) return st;
    m->mlp = *config;
    m->classes = config->outputs;
    if (m->mlp.act == NULL) m->mlp.act = "relu";
    struct net n = {.m = m};
    if (!parse_block(config->block, &n.kind))
        weft_graph_fail(m->graph, WEFT_ERR_ARG,
                        "mlp: block \"%s\" must be one of plain, residual, rezero", config->block);
    n.wb = weft_graph_alloc(m->graph, 2 * (config->layers + 1) * sizeof *n.wb);
    n.block = weft_graph_alloc(m->graph, (3 * config->blocks + 1) * sizeof *n.block);
    if (n.wb != NULL && n.block != NULL) {
        make_params(&n);
        if (training != NULL && !t.eval_only) loss_program(&n, "train", &m->train, true);
        loss_program(&n, "eval", &m->eval, false);
    }
    return weft_model_end(m, out);
}
