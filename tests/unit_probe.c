/* Probes: what kernels leave behind about the values that pass, against plain recomputations; the same
 * numbers for any number of threads, and nothing without run->statistics. */
#include <math.h>
#include <string.h>
#include "kernels/ref/ref_activation.h"
#include "tests/support/unit.h"
#include "weft/weft.h"

enum { ROWS = 70, IN = 9, MID = 37, OUT = 5 };

struct net {
    weft_ctx *ctx;
    weft_graph *g;
    weft_program *p;
    weft_tensor w[4], x, y, loss;
};

static float noise(size_t i) { return (float)sin(12.9898 * (double)(i + 1)); }

static void build(struct net *n, int threads, bool keep) {
    const size_t shape[4][2] = {{MID, IN}, {MID, MID}, {MID, MID}, {OUT, MID}};
    assert_int_equal(weft_ctx_create(&(struct weft_ctx_options){.threads = threads}, &n->ctx), 0);
    assert_int_equal(weft_graph_create(n->ctx, &n->g), 0);
    if (keep) weft_graph_keep_probed(n->g);
    for (size_t i = 0; i < 4; i++)
        n->w[i] = weft_param(n->g, &(struct weft_param_desc){.name = "w",
                                                             .shape = {shape[i][0], shape[i][1]},
                                                             .layer = -1,
                                                             .role = "w"});
    n->p = weft_program_create(n->g, "train", ROWS);
    n->x = weft_input_f32(n->p, "x", IN);
    n->y = weft_input_i32(n->p, "y", 1);
    weft_program_layer(n->p, 0);
    weft_tensor h = weft_linear(n->p, n->x, n->w[0], WEFT_NONE, "relu", WEFT_NONE);
    weft_probe(n->p, "layer", h);
    weft_program_layer(n->p, 1);
    const weft_tensor f = weft_linear(n->p, h, n->w[1], WEFT_NONE, "tanh", WEFT_NONE);
    weft_probe(n->p, "layer", f);
    h = weft_add(n->p, f, h); /* two readers: the derivative of tanh is a node of its own */
    weft_program_layer(n->p, 2);
    h = weft_linear(n->p, h, n->w[2], WEFT_NONE, NULL, h);
    weft_probe(n->p, "layer", h);
    weft_program_layer(n->p, 3);
    h = weft_linear(n->p, h, n->w[3], WEFT_NONE, NULL, WEFT_NONE);
    weft_probe(n->p, "layer", h);
    n->loss = weft_softmax_xent(n->p, h, n->y);
    weft_probe(n->p, "logz", n->loss);
    weft_backward(n->p, n->loss);
    assert_int_equal(weft_graph_commit(n->g), WEFT_OK);
    for (size_t k = 0; k < 4; k++)
        for (size_t i = 0; i < shape[k][0] * shape[k][1]; i++)
            ((float *)weft_tensor_data(n->g, n->w[k]))[i] = noise(i + 1000 * k) * 0.3F;
    for (size_t i = 0; i < ROWS * IN; i++) ((float *)weft_tensor_data(n->g, n->x))[i] = noise(3 * i);
    for (size_t i = 0; i < ROWS; i++)
        ((int32_t *)weft_tensor_data(n->g, n->y))[i] = i % 7 == 6 ? -1 : (int32_t)(i % OUT);
}

static void destroy(struct net *n) {
    weft_graph_free(n->g);
    weft_ctx_free(n->ctx);
}

static void run(struct net *n, bool statistics) {
    const struct weft_run r = {.inv_targets = 1.0F / ROWS, .statistics = statistics};
    assert_int_equal(weft_program_run(n->p, &r), WEFT_OK);
}

static const struct weft_probe_value *find(const struct weft_probe_value *v, size_t n, int layer,
                                           const char *kind) {
    for (size_t i = 0; i < n; i++)
        if (v[i].layer == layer && strcmp(v[i].kind, kind) == 0) return &v[i];
    return NULL;
}

static void near(double got, double want) {
    if (!(fabs(got - want) <= 1e-6 * fabs(want) + 1e-9)) fail_msg("%.9g, want %.9g", got, want);
}

static double rms(const struct weft_probe_value *v) {
    double sum = 0;
    for (size_t i = 0; i < v->rows * v->cols; i++) sum += (double)v->of[i] * (double)v->of[i];
    return sqrt(sum / (double)(v->rows * v->cols));
}

static void values(void **state) {
    (void)state;
    struct net n;
    struct weft_probe_value v[64];
    build(&n, 1, true);
    run(&n, true);
    const size_t count = weft_program_probes(n.p, 0, v, 64);
    static const char *const kinds[] = {"z_rms", "x_rms", "delta_rms"};
    size_t seen = 0;
    for (int layer = 0; layer < 4; layer++)
        for (size_t k = 0; k < 3; k++) {
            const struct weft_probe_value *const p = find(v, count, layer, kinds[k]);
            if (p == NULL || p->of == NULL) continue;
            assert_true(p->value > 0);
            near(p->value, rms(p));
            seen++;
        }
    assert_int_equal(seen, 10); /* z of the residual layer is nowhere, its delta has several writers */
    const struct weft_probe_value *const dead = find(v, count, 0, "dead");
    size_t off = 0;
    for (size_t i = 0; i < dead->rows * dead->cols; i++) off += dead->of[i] <= 0;
    near(dead->value, (double)off / (ROWS * MID));
    assert_true(dead->value > 0.2 && dead->value < 0.8);
    assert_non_null(find(v, count, 2, "swallowed"));
    assert_null(find(v, count, 2, "delta_rms"));
    const struct weft_probe_value *const logz = find(v, count, 3, "logz");
    double sum = 0, valid = 0;
    for (size_t r = 0; r < ROWS; r++) {
        double z = 0;
        if (r % 7 == 6) continue;
        for (size_t j = 0; j < OUT; j++) z += exp((double)logz->of[r * OUT + j]);
        sum += log(z);
        valid++;
    }
    near(logz->value, sum / valid);
    destroy(&n);
}

static void threads_agree(void **state) {
    (void)state;
    static const int teams[] = {1, 2, 3, 7};
    struct weft_probe_value want[64], got[64];
    size_t count = 0;
    for (size_t t = 0; t < 4; t++) {
        struct net n;
        build(&n, teams[t], t == 2);
        run(&n, true);
        count = weft_program_probes(n.p, 0, t == 0 ? want : got, 64);
        for (size_t i = 0; t > 0 && i < count; i++) assert_true(got[i].value == want[i].value);
        destroy(&n);
    }
    assert_true(count > 15);
}

/* Statistics change no gradient, and without them nothing is measured. */
static void asked_for(void **state) {
    (void)state;
    struct net n;
    struct weft_probe_value v[64];
    build(&n, 2, false);
    run(&n, false);
    size_t count = weft_program_probes(n.p, 0, v, 64);
    assert_true(find(v, count, 0, "x_rms")->value == 0);
    float plain[ROWS];
    assert_null(find(v, count, 0, "x_rms")->of);
    const float *const loss = weft_tensor_data(n.g, n.loss);
    memcpy(plain, loss, ROWS * sizeof *plain);
    run(&n, true);
    assert_memory_equal(plain, loss, ROWS * sizeof *plain);
    count = weft_program_probes(n.p, 0, v, 64);
    assert_true(find(v, count, 0, "x_rms")->value > 0);
    destroy(&n);
}

static void errors(void **state) {
    (void)state;
    struct net n;
    assert_int_equal(weft_ctx_create(&(struct weft_ctx_options){.threads = 1}, &n.ctx), 0);
    for (int way = 0; way < 2; way++) {
        assert_int_equal(weft_graph_create(n.ctx, &n.g), 0);
        n.p = weft_program_create(n.g, "p", 2);
        const weft_tensor x = weft_input_f32(n.p, "x", 3);
        weft_probe(n.p, way == 0 ? "warmth" : "layer", x);
        assert_int_equal(weft_graph_commit(n.g), WEFT_ERR_ARG);
        assert_non_null(strstr(weft_ctx_message(n.ctx), way == 0 ? "warmth" : "linear"));
        weft_graph_free(n.g);
    }
    weft_ctx_free(n.ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(threads_agree),
        cmocka_unit_test(asked_for),
        cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
