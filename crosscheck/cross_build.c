/* The graphs of the cases. Operands that need a gradient are copies of inputs, which have none. */
#include "crosscheck/cross_cases.h"

#define SHAPE(net, ...) ((net)->shape = weft_graph_format((net)->graph, __VA_ARGS__))
#define SUBJECT(net, ...)                                                                          \
    do {                                                                                           \
        const struct weft_op *const ops[4] = {__VA_ARGS__};                                        \
        for (size_t op = 0; op < 4; op++) (net)->subject[op] = ops[op];                            \
    } while (0)

static weft_program *program(struct weft_cross_net *net, const char *name, size_t batch) {
    return weft_program_create(net->graph, name, batch);
}

static void run(struct weft_cross_net *net, weft_program *p, struct weft_run r) {
    r.inv_targets = r.inv_targets == 0 ? 0.01f : r.inv_targets;
    net->run[net->runs].program = p;
    net->run[net->runs++].run = r;
}

static weft_tensor copy(weft_program *p, const char *name, size_t cols) {
    return weft_activation(p, weft_input_f32(p, name, cols), "none");
}

static weft_tensor matrix(struct weft_cross_net *net, const char *name, size_t out, size_t in) {
    return weft_param(
        net->graph,
        &(struct weft_param_desc){.name = name, .shape = {out, in}, .role = name, .decay = true});
}
static weft_tensor vector(struct weft_cross_net *net, const char *name, size_t n) {
    return weft_param(net->graph,
                      &(struct weft_param_desc){.name = name, .shape = {n}, .role = name});
}

/* Squared error against an input, and the backward pass from there. */
static void finish(struct weft_cross_net *net, weft_program *p, weft_tensor y, size_t cols) {
    weft_backward(p, weft_mse(p, y, weft_input_f32(p, "values", cols)));
    run(net, p, (struct weft_run){.pos = 0});
}

void weft_cross_build_linear(struct weft_cross_net *net, const struct weft_cross_case *c) {
    const size_t m = c->dim[0], in = c->dim[1], out = c->dim[2];
    weft_program *const p = program(net, "linear", m);
    SHAPE(net, "%zux%zu->%zu", m, in, out);
    SUBJECT(net, &weft_op_linear, &weft_op_linear_dx, &weft_op_linear_dw);
    const weft_tensor x = copy(p, "x", in), r = c->dim[3] ? copy(p, "r", out) : WEFT_NONE;
    const weft_tensor w = matrix(net, "w", out, in), b = vector(net, "b", out);
    finish(net, p, weft_linear(p, x, w, b, NULL, r), out);
    if (c->dim[3]) run(net, p, (struct weft_run){.accumulate = true}); /* gradients are added to */
}

/* Two layers, so that act' is part of the product that makes its gradient. */
void weft_cross_build_mlp(struct weft_cross_net *net, const struct weft_cross_case *c) {
    const size_t m = c->dim[0], in = c->dim[1], hidden = c->dim[2], out = c->dim[3];
    weft_program *const p = program(net, "mlp", m);
    SHAPE(net, "%zux%zu->%zu->%zu", m, in, hidden, out);
    SUBJECT(net, &weft_op_linear, &weft_op_linear_dx, &weft_op_linear_dw);
    const weft_tensor w1 = matrix(net, "w1", hidden, in), b1 = vector(net, "b1", hidden);
    const weft_tensor w2 = matrix(net, "w2", out, hidden), b2 = vector(net, "b2", out);
    const weft_tensor h = weft_linear(p, copy(p, "x", in), w1, b1, c->text, WEFT_NONE);
    finish(net, p, weft_linear(p, h, w2, b2, NULL, WEFT_NONE), out);
}

void weft_cross_build_activation(struct weft_cross_net *net, const struct weft_cross_case *c) {
    weft_program *const p = program(net, "activation", c->dim[0]);
    SHAPE(net, "%zux%zu", c->dim[0], c->dim[1]);
    SUBJECT(net, &weft_op_activation, &weft_op_activation_bwd);
    finish(net, p, weft_activation(p, copy(p, "x", c->dim[1]), c->text), c->dim[1]);
}

void weft_cross_build_layernorm(struct weft_cross_net *net, const struct weft_cross_case *c) {
    const size_t cols = c->dim[1];
    weft_program *const p = program(net, "layernorm", c->dim[0]);
    SHAPE(net, "%zux%zu", c->dim[0], cols);
    SUBJECT(net, &weft_op_layernorm, &weft_op_layernorm_bwd);
    const weft_tensor x = copy(p, "x", cols);
    weft_tensor y =
        weft_layernorm(p, x, vector(net, "gain", cols), vector(net, "shift", cols), 1e-5f);
    if (c->dim[2]) y = weft_add(p, y, x);
    finish(net, p, y, cols);
    if (c->dim[2]) run(net, p, (struct weft_run){.accumulate = true}); /* gradients are added to */
}

void weft_cross_build_add(struct weft_cross_net *net, const struct weft_cross_case *c) {
    weft_program *const p = program(net, "add", c->dim[0]);
    SHAPE(net, "%zux%zu", c->dim[0], c->dim[1]);
    SUBJECT(net, &weft_op_add);
    const weft_tensor a = copy(p, "a", c->dim[1]), b = copy(p, "b", c->dim[1]);
    finish(net, p, weft_add(p, weft_add(p, a, b), b), c->dim[1]);
}

void weft_cross_build_gain(struct weft_cross_net *net, const struct weft_cross_case *c) {
    weft_program *const p = program(net, "gain", c->dim[0]);
    SHAPE(net, "%zux%zu/%zu", c->dim[0], c->dim[1], c->dim[2]);
    SUBJECT(net, &weft_op_gain, &weft_op_gain_bwd);
    const weft_tensor f = copy(p, "f", c->dim[1]), r = copy(p, "r", c->dim[1]);
    finish(net, p, weft_gain(p, f, vector(net, "gain", c->dim[2]), r), c->dim[1]);
}

void weft_cross_build_dropout(struct weft_cross_net *net, const struct weft_cross_case *c) {
    weft_program *const p = program(net, "dropout", c->dim[0]);
    SHAPE(net, "%zux%zu", c->dim[0], c->dim[1]);
    SUBJECT(net, &weft_op_dropout, &weft_op_dropout_bwd);
    const weft_tensor x = copy(p, "x", c->dim[1]);
    const weft_tensor r = c->dim[2] ? copy(p, "r", c->dim[1]) : WEFT_NONE;
    weft_backward(p,
                  weft_mse(p, weft_dropout(p, x, 0.3f, r), weft_input_f32(p, "values", c->dim[1])));
    run(net, p, (struct weft_run){.step = 3, .sample = 40, .seed = 5});
}

void weft_cross_build_mse(struct weft_cross_net *net, const struct weft_cross_case *c) {
    weft_program *const p = program(net, "mse", c->dim[0]);
    SHAPE(net, "%zux%zu", c->dim[0], c->dim[1]);
    SUBJECT(net, &weft_op_mse);
    finish(net, p, copy(p, "x", c->dim[1]), c->dim[1]);
}

void weft_cross_build_inner(struct weft_cross_net *net, const struct weft_cross_case *c) {
    weft_program *const p = program(net, "inner", c->dim[0]);
    SHAPE(net, "%zux%zu", c->dim[0], c->dim[1]);
    SUBJECT(net, &weft_op_inner);
    weft_backward(p, weft_inner(p, copy(p, "x", c->dim[1]), weft_input_f32(p, "g", c->dim[1])));
    run(net, p, (struct weft_run){.pos = 0});
}

void weft_cross_build_xent(struct weft_cross_net *net, const struct weft_cross_case *c) {
    weft_program *const p = program(net, "xent", c->dim[0]);
    SHAPE(net, "%zux%zu", c->dim[0], c->dim[1]);
    SUBJECT(net, &weft_op_softmax_xent);
    net->classes = c->dim[1];
    weft_backward(p,
                  weft_softmax_xent(p, copy(p, "x", c->dim[1]), weft_input_i32(p, "targets", 1)));
    run(net, p, (struct weft_run){.pos = 0});
}

/* ---- language: token and position embeddings, something, and a head ---- */
struct language {
    weft_program *p;
    weft_tensor tokens, x;
};

static struct language language(struct weft_cross_net *net, size_t batch, size_t t, size_t width,
                                size_t vocab) {
    struct language l = {.p = program(net, "language", batch)};
    net->classes = vocab;
    l.tokens = weft_input_i32(l.p, "tokens", t);
    l.x = weft_embedding(l.p, l.tokens, matrix(net, "wte", vocab, width),
                         matrix(net, "wpe", t, width));
    return l;
}

static void predict(struct weft_cross_net *net, const struct language *l, weft_tensor x, size_t t,
                    size_t width, size_t vocab) {
    const weft_tensor w = matrix(net, "head", vocab, width);
    weft_backward(l->p, weft_head_xent(l->p, x, w, weft_input_i32(l->p, "targets", t)));
}

void weft_cross_build_attention(struct weft_cross_net *net, const struct weft_cross_case *c) {
    const size_t t = c->dim[1], heads = c->dim[2], width = heads * c->dim[3];
    struct language l = language(net, c->dim[0], t, width, 60);
    SHAPE(net, "%zux%zux%zux%zu", c->dim[0], t, heads, c->dim[3]);
    SUBJECT(net, &weft_op_attention, &weft_op_attention_bwd);
    const weft_tensor norm = weft_layernorm(l.p, l.x, vector(net, "gain", width), WEFT_NONE, 1e-5f);
    const weft_tensor qkv =
        weft_linear(l.p, norm, matrix(net, "qkv", 3 * width, width), WEFT_NONE, NULL, WEFT_NONE);
    predict(net, &l, weft_attention(l.p, qkv, heads, (float)c->dim[4] / 10), t, width, 60);
    run(net, l.p, (struct weft_run){.step = 3, .sample = 40, .seed = 5});
}

static void build_language(struct weft_cross_net *net, const struct weft_cross_case *c,
                           struct language *l) {
    *l = language(net, c->dim[0], c->dim[1], c->dim[2], c->dim[3]);
    SHAPE(net, "%zux%zux%zu, %zu", c->dim[0], c->dim[1], c->dim[2], c->dim[3]);
    predict(net, l, l->x, c->dim[1], c->dim[2], c->dim[3]);
}

void weft_cross_build_embedding(struct weft_cross_net *net, const struct weft_cross_case *c) {
    struct language l;
    build_language(net, c, &l);
    SUBJECT(net, &weft_op_embedding, &weft_op_embedding_dw);
    run(net, l.p, (struct weft_run){.pos = 0});
}

void weft_cross_build_head(struct weft_cross_net *net, const struct weft_cross_case *c) {
    struct language l;
    build_language(net, c, &l);
    SUBJECT(net, &weft_op_head_xent);
    run(net, l.p, (struct weft_run){.pos = 0});
    run(net, l.p, (struct weft_run){.accumulate = true}); /* dw is added to */
}

/* Two micro-batches, each a group of its own: sums of gradients. */
void weft_cross_build_fold(struct weft_cross_net *net, const struct weft_cross_case *c) {
    struct language l;
    weft_graph_accumulate(net->graph, 2, 2);
    build_language(net, c, &l);
    SUBJECT(net, &weft_op_grad_fold, &weft_op_embedding_fold, &weft_op_embedding_dw);
    weft_program *const fold = program(net, "fold", 1);
    weft_grad_fold(fold);
    for (size_t i = 0; i < 2; i++) {
        run(net, l.p, (struct weft_run){.pos = 0});
        run(net, fold, (struct weft_run){.accumulate = i > 0});
    }
}

/* A prompt, then one more token. */
void weft_cross_build_generation(struct weft_cross_net *net, const struct weft_cross_case *c) {
    const size_t n = c->dim[0], heads = c->dim[1], hs = c->dim[2], width = heads * hs;
    const weft_tensor k = weft_kv_cache(net->graph, 1, heads, hs, n + 1);
    const weft_tensor v = weft_kv_cache(net->graph, 1, heads, hs, n + 1);
    weft_program *const p = program(net, "generate", n);
    SHAPE(net, "%zux%zux%zu", n, heads, hs);
    SUBJECT(net, &weft_op_attention_kv, &weft_op_last_row, &weft_op_embedding);
    net->classes = 60;
    const weft_tensor x =
        weft_embedding_kv(p, weft_input_i32(p, "tokens", 1), matrix(net, "wte", 60, width),
                          matrix(net, "wpe", n + 1, width));
    const weft_tensor qkv =
        weft_linear(p, x, matrix(net, "qkv", 3 * width, width), WEFT_NONE, NULL, WEFT_NONE);
    weft_last_row(p, weft_attention_kv(p, qkv, k, v, heads, n + 1));
    run(net, p, (struct weft_run){.pos = 0});
    run(net, p, (struct weft_run){.pos = n, .rows = 1});
}

void weft_cross_build_optimizer(struct weft_cross_net *net, const struct weft_cross_case *c) {
    const size_t in = c->dim[0], out = c->dim[1];
    weft_program *const p = program(net, "train", 32);
    SHAPE(net, "%zu", in * out + out);
    SUBJECT(net, &weft_op_agc, &weft_op_gradnorm, &weft_op_optimizer);
    const weft_tensor w = matrix(net, "w", out, in), b = vector(net, "b", out);
    finish(net, p, weft_linear(p, copy(p, "x", in), w, b, NULL, WEFT_NONE), out);
    weft_program *const update = program(net, "update", 1);
    weft_optimizer(update, &(struct weft_optim){.name = c->text,
                                                .beta1 = 0.9,
                                                .beta2 = 0.95,
                                                .eps = 1e-8,
                                                .weight_decay = 0.1,
                                                .clip = 0.01,
                                                .agc = c->dim[2] > 0 ? 0.01 : 0});
    for (uint64_t step = 0; step < 3; step++)
        run(net, update, (struct weft_run){.step = step, .lr = 1e-2, .statistics = true});
}
