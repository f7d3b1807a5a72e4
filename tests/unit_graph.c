/* The graph: derivatives of whole programs against finite differences, builder errors, planning. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "runtime/graph.h"
#include "weft/weft.h"

#define MAX_PARAMS 12

struct net { /* a graph under test */
    weft_ctx *ctx;
    weft_graph *g;
    weft_program *p;
    weft_tensor param[MAX_PARAMS];
    size_t params;
    weft_tensor x, tokens, targets, values, loss;
    size_t batch, seq;
};

static void open_net(struct net *n, size_t batch) {
    const struct weft_ctx_options o = {.threads = 2};
    memset(n, 0, sizeof *n);
    assert_int_equal(weft_ctx_create(&o, &n->ctx), WEFT_OK);
    assert_int_equal(weft_graph_create(n->ctx, &n->g), WEFT_OK);
    n->batch = batch;
    n->x = n->tokens = n->targets = n->values = WEFT_NONE;
    n->p = weft_program_create(n->g, "test", batch);
}

static void close_net(struct net *n) {
    weft_graph_free(n->g);
    weft_ctx_free(n->ctx);
}

static weft_tensor param(struct net *n, size_t rows, size_t cols) {
    const struct weft_param_desc d = {.name = "w", .shape = {rows, cols}, .layer = -1, .role = "w"};
    assert_true(n->params < MAX_PARAMS);
    return n->param[n->params++] = weft_param(n->g, &d);
}

/* Smooth pseudo-random numbers in (-1, 1). */
static float noise(size_t i) {
    uint64_t z = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (float)((double)(z >> 11) * 0x1p-52 - 1);
}

static size_t count(const struct net *n, weft_tensor t) {
    return weft_desc_count(weft_desc(n->g, t));
}

static void fill(const struct net *n) {
    for (size_t i = 0; i < n->params; i++) {
        float *const w = weft_tensor_data(n->g, n->param[i]);
        for (size_t j = 0; j < count(n, n->param[i]); j++) w[j] = 0.7F * noise(1000 * i + j);
    }
    const weft_tensor real[2] = {n->x, n->values};
    for (size_t i = 0; i < 2; i++)
        if (real[i] >= 0)
            for (size_t j = 0; j < count(n, real[i]); j++)
                ((float *)weft_tensor_data(n->g, real[i]))[j] = noise(77000 + 1000 * i + j);
    const weft_tensor whole[2] = {n->tokens, n->targets};
    for (size_t i = 0; i < 2; i++)
        if (whole[i] >= 0)
            for (size_t j = 0; j < count(n, whole[i]); j++)
                ((int32_t *)weft_tensor_data(n->g, whole[i]))[j] = (int32_t)((j * 7 + 3 * i) % 5);
}

static double total_loss(const struct net *n, const struct weft_run *run) {
    assert_int_equal(weft_program_run(n->p, run), WEFT_OK);
    const float *const loss = weft_tensor_data(n->g, n->loss);
    double sum = 0;
    for (size_t i = 0; i < count(n, n->loss); i++) sum += (double)loss[i];
    return sum * (double)run->inv_targets;
}

/* <dL/dw, u> against the difference quotient along a random direction u, for each parameter. */
static void check_gradients(struct net *n, weft_tensor loss) {
    n->loss = loss;
    weft_tensor_keep(n->g, loss);
    weft_backward(n->p, loss);
    const enum weft_status st = weft_graph_commit(n->g);
    if (st != WEFT_OK) fail_msg("%s", weft_ctx_message(n->ctx));
    fill(n);
    const struct weft_run run = {.step = 3, .sample = 5, .seed = 7, .inv_targets = 0.125F};
    total_loss(n, &run);
    for (size_t i = 0; i < n->params; i++) {
        const weft_tensor t = n->param[i];
        const size_t c = count(n, t);
        float *const w = weft_tensor_data(n->g, t);
        const float *const dw = weft_tensor_data(n->g, weft_desc(n->g, t)->grad);
        assert_non_null(dw);
        total_loss(n, &run);
        double want = 0, norm = 0;
        for (size_t j = 0; j < c; j++) want += (double)dw[j] * (double)noise(j + 31);
        for (size_t j = 0; j < c; j++) norm += (double)dw[j] * (double)dw[j];
        const float h = 0x1p-7F;
        double side[2];
        for (int s = 0; s < 2; s++) {
            const float step = s == 0 ? h : -h;
            for (size_t j = 0; j < c; j++) w[j] += step * noise(j + 31);
            side[s] = total_loss(n, &run);
            for (size_t j = 0; j < c; j++) w[j] -= step * noise(j + 31);
        }
        const double got = (side[0] - side[1]) / (2 * (double)h);
        if (!(norm > 0) || !(fabs(got - want) <= 4e-3 * (fabs(want) + sqrt(norm)) + 1e-4))
            fail_msg("parameter %zu: gradient %g, differences say %g", i, want, got);
    }
    close_net(n);
}

static void test_linear(void **state) {
    (void)state;
    static const char *const acts[] = {NULL,   "gelu_tanh", "gelu_erf", "tanh",
                                       "silu", "selu",      "sigmoid"};
    for (size_t a = 0; a < sizeof acts / sizeof *acts; a++) {
        struct net n;
        open_net(&n, 6);
        n.x = weft_input_f32(n.p, "x", 7);
        n.values = weft_input_f32(n.p, "y", 3);
        weft_tensor h = weft_linear(n.p, n.x, param(&n, 9, 7), param(&n, 9, 0), acts[a], WEFT_NONE);
        h = weft_linear(n.p, h, param(&n, 9, 9), WEFT_NONE, acts[a], WEFT_NONE);
        h = weft_linear(n.p, h, param(&n, 9, 9), param(&n, 9, 0), NULL, h); /* h read twice */
        h = weft_linear(n.p, h, param(&n, 3, 9), param(&n, 3, 0), NULL, WEFT_NONE);
        check_gradients(&n, weft_mse(n.p, h, n.values));
    }
}

static void test_elementwise(void **state) {
    (void)state;
    struct net n;
    open_net(&n, 5);
    n.x = weft_input_f32(n.p, "x", 6);
    n.targets = weft_input_i32(n.p, "y", 1);
    weft_tensor h = weft_linear(n.p, n.x, param(&n, 8, 6), param(&n, 8, 0), NULL, WEFT_NONE);
    const weft_tensor a = weft_activation(n.p, h, "tanh");
    h = weft_gain(n.p, weft_add(n.p, a, h), param(&n, 1, 0), h);
    h = weft_add(n.p, h, h);
    h = weft_dropout(n.p, h, 0.25F, a);
    h = weft_layernorm(n.p, h, param(&n, 8, 0), param(&n, 8, 0), 1e-5F);
    h = weft_dropout(n.p, h, 0.5F, WEFT_NONE);
    h = weft_linear(n.p, h, param(&n, 5, 8), WEFT_NONE, NULL, WEFT_NONE);
    check_gradients(&n, weft_softmax_xent(n.p, h, n.targets));
}

/* A gain for each group of columns, with and without a residual; a gradient sent back by inner. */
static void test_groups(void **state) {
    (void)state;
    struct net n;
    open_net(&n, 70); /* two blocks of rows */
    n.x = weft_input_f32(n.p, "x", 6);
    n.values = weft_input_f32(n.p, "y", 4);
    weft_tensor h = weft_linear(n.p, n.x, param(&n, 12, 6), WEFT_NONE, "tanh", WEFT_NONE);
    h = weft_gain(n.p, h, param(&n, 3, 0), h);
    h = weft_gain(n.p, h, param(&n, 12, 0), WEFT_NONE);
    h = weft_linear(n.p, h, param(&n, 4, 12), WEFT_NONE, NULL, WEFT_NONE);
    check_gradients(&n, weft_inner(n.p, h, n.values));
    open_net(&n, 2);
    n.x = weft_input_f32(n.p, "x", 6);
    weft_gain(n.p, n.x, param(&n, 4, 0), WEFT_NONE);
    assert_int_equal(weft_graph_commit(n.g), WEFT_ERR_SHAPE);
    close_net(&n);
}

static void test_transformer(void **state) {
    (void)state;
    struct net n;
    open_net(&n, 2);
    n.tokens = weft_input_i32(n.p, "tokens", 9);
    n.targets = weft_input_i32(n.p, "targets", 9);
    const weft_tensor wte = param(&n, 5, 8);
    weft_tensor x = weft_embedding(n.p, n.tokens, wte, param(&n, 9, 8));
    weft_tensor h = weft_layernorm(n.p, x, param(&n, 8, 0), param(&n, 8, 0), 1e-5F);
    h = weft_linear(n.p, h, param(&n, 24, 8), param(&n, 24, 0), NULL, WEFT_NONE);
    h = weft_attention(n.p, h, 2, 0);
    x = weft_linear(n.p, h, param(&n, 8, 8), param(&n, 8, 0), NULL, x);
    check_gradients(&n, weft_head_xent(n.p, x, wte, n.targets));
}

static void test_errors(void **state) {
    (void)state;
    struct net n;
    open_net(&n, 4);
    n.x = weft_input_f32(n.p, "x", 6);
    const weft_tensor y = weft_linear(n.p, n.x, param(&n, 8, 7), WEFT_NONE, NULL, WEFT_NONE);
    assert_int_equal(y, WEFT_NONE);
    weft_linear(n.p, y, WEFT_NONE, WEFT_NONE, "nonsense", WEFT_NONE); /* the first error stays */
    assert_int_equal(weft_graph_commit(n.g), WEFT_ERR_SHAPE);
    assert_non_null(strstr(weft_ctx_message(n.ctx), "(4, 6)"));
    assert_non_null(strstr(weft_ctx_message(n.ctx), "(8, 7)"));
    close_net(&n);
    open_net(&n, 4);
    n.x = weft_input_f32(n.p, "x", 6);
    weft_activation(n.p, n.x, "swoosh");
    assert_int_equal(weft_graph_commit(n.g), WEFT_ERR_ARG);
    assert_non_null(strstr(weft_ctx_message(n.ctx), "swoosh"));
    const struct weft_run run = {.rows = 9};
    assert_int_equal(weft_program_run(n.p, &run), WEFT_ERR_STATE);
    close_net(&n);
}

/* No two activations that are alive at the same time may overlap. */
static void test_plan(void **state) {
    (void)state;
    struct net n;
    open_net(&n, 16);
    n.x = weft_input_f32(n.p, "x", 40);
    n.values = weft_input_f32(n.p, "y", 3);
    weft_tensor h = n.x;
    for (size_t l = 0; l < 5; l++)
        h = weft_linear(n.p, h, param(&n, 30 + l, l == 0 ? 40 : 29 + l), param(&n, 30 + l, 0),
                        "gelu_erf", WEFT_NONE);
    h = weft_linear(n.p, h, param(&n, 3, 34), WEFT_NONE, NULL, WEFT_NONE);
    weft_backward(n.p, weft_mse(n.p, h, n.values));
    struct weft_memory m;
    assert_int_equal(weft_graph_memory(n.g, &m), WEFT_OK);
    assert_int_equal(m.total, m.params + m.grads + m.optim + m.state + m.activations + m.scratch);
    size_t sum = 0;
    for (size_t i = 0; i < n.g->tensors; i++) {
        const struct weft_tensor_desc *const a = &n.g->tensor[i];
        if ((a->kind != WEFT_ACT && a->kind != WEFT_INPUT) || a->first == SIZE_MAX) continue;
        sum += 4 * weft_desc_count(a);
        for (size_t j = 0; j < i; j++) {
            const struct weft_tensor_desc *const b = &n.g->tensor[j];
            if ((b->kind != WEFT_ACT && b->kind != WEFT_INPUT) || b->first == SIZE_MAX) continue;
            const bool together = a->first <= b->last && b->first <= a->last;
            const bool overlap = a->offset < b->offset + 4 * weft_desc_count(b) &&
                                 b->offset < a->offset + 4 * weft_desc_count(a);
            assert_false(together && overlap);
        }
    }
    assert_true(m.activations < sum); /* memory is shared at all */
    close_net(&n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),      cmocka_unit_test(test_elementwise),
        cmocka_unit_test(test_transformer), cmocka_unit_test(test_errors),
        cmocka_unit_test(test_plan),        cmocka_unit_test(test_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
