/* Op by op: every op of runtime/ops.def, over shapes of GPT-2 and of MLPs, odd ones and small ones.
 */
#include "crosscheck/cross_cases.h"

#include <stdio.h>
#include <string.h>

#define LINEAR(name, ...)                                                                          \
    { "linear" name, NULL, weft_cross_build_linear, __VA_ARGS__ }
#define MLP(act, ...)                                                                              \
    { "linear+" act, act, weft_cross_build_mlp, __VA_ARGS__ }
#define ACT(act, ...)                                                                              \
    { act, act, weft_cross_build_activation, __VA_ARGS__ }
#define CASE(name, how, ...)                                                                       \
    { name, NULL, weft_cross_build_##how, __VA_ARGS__ }
#define OPTIMIZER(rule, ...)                                                                       \
    { "optimizer " rule, rule, weft_cross_build_optimizer, __VA_ARGS__ }

static const struct weft_cross_case cases[] = {
    LINEAR("", {64, 768, 768}, true),
    LINEAR("", {1, 768, 2304}, true),
    LINEAR("", {33, 65, 129}, true),
    LINEAR("", {256, 768, 2304}),
    LINEAR("", {256, 768, 3072}),
    LINEAR("", {256, 3072, 768}),
    LINEAR("", {128, 784, 256}),
    LINEAR("", {128, 256, 128}),
    LINEAR("", {128, 128, 10}),
    LINEAR("", {512, 512, 512}),
    LINEAR("", {31, 1023, 257}),
    LINEAR("+residual", {64, 256, 256, 1}, true),
    LINEAR("+residual", {256, 768, 768, 1}),
    MLP("gelu_tanh", {64, 192, 768, 192}, true),
    MLP("gelu_tanh", {256, 768, 3072, 768}),
    MLP("relu", {64, 784, 128, 10}, true),
    MLP("leaky_relu", {64, 64, 97, 33}, true),
    MLP("gelu_erf", {64, 64, 97, 33}, true),
    MLP("tanh", {64, 64, 97, 33}, true),
    MLP("sigmoid", {64, 64, 97, 33}, true),
    MLP("silu", {64, 64, 97, 33}, true),
    MLP("selu", {64, 64, 97, 33}, true),
    ACT("gelu_tanh", {33, 1021}, true),
    ACT("gelu_erf", {33, 1021}, true),
    ACT("relu", {33, 1021}, true),
    ACT("leaky_relu", {33, 1021}, true),
    ACT("tanh", {33, 1021}, true),
    ACT("sigmoid", {33, 1021}, true),
    ACT("silu", {33, 1021}, true),
    ACT("selu", {33, 1021}, true),
    ACT("gelu_tanh", {1024, 3072}),
    CASE("layernorm", layernorm, {64, 768}, true),
    CASE("layernorm", layernorm, {130, 33}, true),
    CASE("layernorm+residual", layernorm, {65, 769, 1}, true),
    CASE("layernorm", layernorm, {1024, 768}),
    CASE("layernorm", layernorm, {64, 1600}),
    CASE("attention", attention, {2, 128, 2, 64}, true),
    CASE("attention", attention, {1, 65, 3, 20}, true),
    CASE("attention", attention, {1, 300, 2, 32}, true),
    CASE("attention+dropout", attention, {2, 130, 2, 16, 2}, true),
    CASE("attention", attention, {4, 64, 12, 64}),
    CASE("attention", attention, {1, 1024, 4, 64}),
    CASE("softmax_xent", xent, {64, 1000}, true),
    CASE("softmax_xent", xent, {128, 10}, true),
    CASE("softmax_xent", xent, {64, 50257}),
    CASE("head_xent", head, {2, 64, 64, 999}, true),
    CASE("head_xent", head, {3, 100, 48, 257}, true),
    CASE("head_xent", head, {1, 64, 256, 50257}),
    CASE("mse", mse, {64, 33}, true),
    CASE("inner", inner, {64, 33}, true),
    CASE("add", add, {65, 769}, true),
    CASE("gain", gain, {130, 257, 1}, true),
    CASE("gain", gain, {130, 258, 3}, true),
    CASE("dropout", dropout, {64, 257}, true),
    CASE("dropout+residual", dropout, {64, 257, 1}, true),
    CASE("embedding", embedding, {2, 64, 96, 500}, true),
    CASE("embedding", embedding, {4, 256, 768, 5000}),
    CASE("generation", generation, {100, 3, 32}, true),
    CASE("generation", generation, {255, 12, 64}),
    CASE("fold", fold, {2, 33, 40, 77}, true),
    OPTIMIZER("sgd", {200, 100}, true),
    OPTIMIZER("momentum", {200, 100}, true),
    OPTIMIZER("nesterov", {200, 100}, true),
    OPTIMIZER("rmsprop", {200, 100}, true),
    OPTIMIZER("adam", {200, 100}, true),
    OPTIMIZER("adamw", {200, 100}, true),
    OPTIMIZER("nadam", {200, 100}, true),
    OPTIMIZER("lars", {200, 100}, true),
    OPTIMIZER("signsgd", {200, 100}, true),
    {"agc", "sgd", weft_cross_build_optimizer, {200, 100, 1}, true},
    {.op = "matmul", .make = weft_cross_matmul, .quick = true},
    {.op = "random", .make = weft_cross_random, .quick = true},
    OPTIMIZER("adamw", {768, 2304}),
};
#define CASES (sizeof cases / sizeof *cases)

static bool is_subject(const void *arg, const struct weft_node *n) {
    const struct weft_cross_net *const net = arg;
    if (n->op == &weft_op_activation && n->attr.act == WEFT_ACT_NONE) return false;
    for (size_t i = 0; i < 4 && net->subject[i] != NULL; i++)
        if (net->subject[i] == n->op) return true;
    return false;
}

static enum weft_status make(struct weft_cross_walk *w, const void *arg, uint64_t seed) {
    const struct weft_cross_case *const c = arg;
    if (c->make != NULL) return c->make(w, NULL, seed);
    struct weft_cross_net net = {.classes = 1};
    enum weft_status st = weft_graph_create(w->ctx, &net.graph);
    if (st != WEFT_OK) return st;
    c->build(&net, c);
    st = weft_graph_commit(net.graph);
    if (st == WEFT_OK) weft_cross_fill(net.graph, net.classes, seed);
    w->op = c->op;
    w->shape = net.shape;
    for (size_t i = 0; st == WEFT_OK && i < net.runs; i++)
        st = weft_cross_program(w, net.run[i].program, &net.run[i].run, is_subject, &net);
    weft_graph_free(net.graph);
    return st;
}

/* Is one of the names between commas part of this one? No names: yes. */
static bool is_chosen(const char *ops, const char *name) {
    for (const char *at = ops; at != NULL && *at != 0;) {
        const size_t n = strcspn(at, ",");
        for (const char *p = name; n > 0 && strlen(p) >= n; p++)
            if (strncmp(p, at, n) == 0) return true;
        at += n + (at[n] == ',');
    }
    return ops == NULL;
}

/* All names, each once. */
static void list_names(char *out, size_t n) {
    out[0] = 0;
    for (size_t i = 0; i < CASES; i++) {
        size_t same = 0;
        while (strcmp(cases[same].op, cases[i].op) != 0) same++;
        const size_t used = strlen(out);
        if (same == i) snprintf(out + used, n - used, "%s%s", used ? ", " : "", cases[i].op);
    }
}

/* Each name must choose something. */
static enum weft_status check_names(weft_ctx *ctx, const char *ops) {
    for (const char *at = ops; at != NULL && *at != 0;) {
        char word[64], known[800];
        const size_t n = strcspn(at, ",");
        snprintf(word, sizeof word, "%.*s", (int)(n < sizeof word ? n : sizeof word - 1), at);
        bool found = false;
        for (size_t i = 0; n > 0 && i < CASES; i++) found |= is_chosen(word, cases[i].op);
        list_names(known, sizeof known);
        if (!found)
            return weft_ctx_fail(ctx, WEFT_ERR_ARG, "--ops: nothing is called '%s'; there are %s",
                                 word, known);
        at += n + (at[n] == ',');
    }
    return WEFT_OK;
}

static bool wanted(const struct weft_cross_options *o, const struct weft_cross_case *c) {
    return (c->quick || !o->quick) && is_chosen(o->ops, c->op);
}

enum weft_status weft_cross_cases(struct weft_cross_walk *w) {
    const struct weft_cross_options *const o = w->options;
    enum weft_status st = check_names(w->ctx, o->ops);
    size_t n = 0, done = 0;
    for (size_t i = 0; i < CASES; i++) n += wanted(o, &cases[i]);
    for (size_t i = 0; st == WEFT_OK && i < CASES; i++) {
        if (!wanted(o, &cases[i])) continue;
        const size_t before = w->report->checks;
        if (o->next != NULL) o->next(o->user, cases[i].op, done++, n);
        st = weft_cross_seeds(w, make, &cases[i]);
        for (size_t k = before; st == WEFT_OK && o->done != NULL && k < w->report->checks; k++)
            o->done(o->user, &w->report->check[k]);
    }
    return st;
}
