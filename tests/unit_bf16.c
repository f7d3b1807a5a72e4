/* Models in bf16: gradients beside those of f32, copies that follow the weights, ways to keep
 * weights, memory, and what is refused. */
#include <stdio.h>

#include "tests/support/small_model.h"

#define MAX_PARAMS 64
/* Of |g| of a parameter. A rounding is up to 2^-8 of a value; a few dozen of them in a row, and
 * sums of them, leave about 1%; a wrong factor or a missing term leaves far more. */
#define TOLERANCE 0.04

static size_t count_of(const struct weft_param_info *p) {
    return p->shape[0] * (p->shape[1] == 0 ? 1 : p->shape[1]);
}

static uint32_t next(uint32_t *state) { return *state = *state * 1664525U + 1013904223U; }

struct data {
    int32_t tokens[32], targets[32];
    float inputs[8 * 7], values[8 * 5];
};
static void fill(struct data *d, int32_t classes) {
    uint32_t s = 11;
    for (size_t i = 0; i < 32; i++) {
        d->tokens[i] = (int32_t)(next(&s) >> 8) % 50;
        d->targets[i] = (int32_t)(next(&s) >> 8) % classes;
    }
    for (size_t i = 0; i < 8 * 7; i++) d->inputs[i] = (float)(int32_t)next(&s) * 0x1p-31F;
    for (size_t i = 0; i < 8 * 5; i++) d->values[i] = (float)(int32_t)next(&s) * 0x1p-31F;
}

/* Away from special starts, the same for every model of a shape. */
static void stir(weft_model *m, struct weft_param_info *p, size_t *n) {
    uint32_t s = 3;
    *n = weft_model_params(m, p, MAX_PARAMS);
    for (size_t k = 0; k < *n; k++)
        for (size_t i = 0; i < count_of(&p[k]); i++)
            p[k].data[i] += 0.2F * (float)(int32_t)next(&s) * 0x1p-31F;
}

/* Gradients of two models of one shape, the second in bf16. */
static void compare(weft_model *m[2], const struct weft_batch *b, const char *what) {
    struct weft_param_info p[2][MAX_PARAMS];
    struct weft_loss loss[2];
    size_t n = 0;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(weft_model_commit(m[i]), WEFT_OK);
        assert_int_equal(weft_model_init(m[i], &(struct weft_init){.seed = 3}), WEFT_OK);
        stir(m[i], p[i], &n);
        const struct weft_run run = {.inv_targets = 1.0F / 32, .seed = 1, .statistics = true};
        assert_int_equal(weft_model_grad(m[i], b, &run, &loss[i]), WEFT_OK);
    }
    if (!(fabs(loss[1].sum - loss[0].sum) <= 0.01 * fabs(loss[0].sum)))
        fail_msg("%s: loss %g in bf16, %g in f32", what, loss[1].sum, loss[0].sum);
    for (size_t k = 0; k < n; k++) {
        double error = 0, size = 0;
        for (size_t i = 0; p[0][k].grad != NULL && i < count_of(&p[0][k]); i++) {
            const double want = (double)p[0][k].grad[i], d = (double)p[1][k].grad[i] - want;
            error += d * d;
            size += want * want;
        }
        /* One factor for a whole layer: its gradient is what is left of a long sum. */
        const double most = count_of(&p[0][k]) < 8 ? 5 * TOLERANCE : TOLERANCE;
        if (!(sqrt(error) <= most * sqrt(size) + 1e-6))
            fail_msg("%s: the gradient of %s is off by %g of it", what, p[0][k].name,
                     sqrt(error / size));
    }
    weft_model_free(m[0]);
    weft_model_free(m[1]);
}

static void gradients_of_gpt2(void **state) {
    (void)state;
    static const struct weft_gpt2_config shapes[] = {
        {50, 32, 3, 2, 16},
        {50, 32, 2, 2, 20, .norm = "post", .untied = true},
        {50, 32, 2, 1, 16, .norm = "branch"},
        {50, 32, 2, 2, 16, .rezero = true, .scales = true, .dropout = 0.2},
        {50, 300, 2, 2, 16}, /* two segments of keys */
    };
    weft_ctx *const ctx = context(2);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        static int32_t tokens[600], targets[600];
        uint32_t s = 5;
        const bool longer = shapes[i].context > 32;
        for (size_t j = 0; j < 600; j++) tokens[j] = (int32_t)(next(&s) >> 8) % 50;
        for (size_t j = 0; j < 600; j++) targets[j] = (int32_t)(next(&s) >> 8) % 50;
        struct weft_training t = plain_training;
        t.seq = longer ? 300 : 16;
        t.watch = "all";
        weft_model *m[2];
        for (size_t k = 0; k < 2; k++) {
            t.precision = k == 0 ? NULL : "bf16";
            assert_int_equal(weft_gpt2_create(ctx, &shapes[i], &t, &m[k]), WEFT_OK);
        }
        const struct weft_batch b = {.tokens = tokens, .targets = targets, .rows = 2};
        char what[32];
        snprintf(what, sizeof what, "gpt2 %zu", i);
        compare(m, &b, what);
    }
    weft_ctx_free(ctx);
}

static void gradients_of_mlp(void **state) {
    (void)state;
    static const struct weft_mlp_config shapes[] = {
        {.inputs = 7, .outputs = 5, .hidden = {12, 9}, .layers = 2, .act = "gelu_erf"},
        {.inputs = 7, .outputs = 40, .hidden = {12}, .layers = 1, .act = "silu", .dropout = 0.2},
        {.inputs = 7, .outputs = 5, .hidden = {12}, .layers = 1, .act = "tanh", .mse = true},
        {.inputs = 7, .outputs = 5, .hidden = {8}, .layers = 1, .blocks = 2, .block = "residual"},
        {.inputs = 7, .outputs = 5, .hidden = {8}, .layers = 1, .blocks = 2, .block = "rezero"},
        {.inputs = 7, .outputs = 5},
    };
    weft_ctx *const ctx = context(1);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct data d;
        fill(&d, (int32_t)shapes[i].outputs);
        struct weft_training t = {.batch = 8, .watch = "all", .optim = plain_training.optim};
        weft_model *m[2];
        for (size_t k = 0; k < 2; k++) {
            t.precision = k == 0 ? "f32" : "bf16";
            assert_int_equal(weft_mlp_create(ctx, &shapes[i], &t, &m[k]), WEFT_OK);
        }
        const struct weft_batch b = {
            .inputs = d.inputs, .targets = d.targets, .values = d.values, .rows = 8};
        char what[32];
        snprintf(what, sizeof what, "mlp %zu", i);
        compare(m, &b, what);
    }
    weft_ctx_free(ctx);
}

static weft_model *trained(weft_ctx *ctx, const char *weights, int steps, struct weft_batch *b,
                           struct data *d) {
    struct weft_training t = plain_training;
    struct weft_loss loss;
    struct weft_step step;
    weft_model *m;
    t.precision = "bf16";
    t.optim.weights = weights;
    fill(d, 50);
    *b = (struct weft_batch){.tokens = d->tokens, .targets = d->targets, .rows = 2};
    assert_int_equal(weft_gpt2_create(ctx, &small, &t, &m), WEFT_OK);
    assert_int_equal(weft_model_commit(m), WEFT_OK);
    assert_int_equal(weft_model_init(m, &(struct weft_init){.seed = 3}), WEFT_OK);
    for (int i = 0; i < steps; i++) {
        const struct weft_run run = {
            .step = (uint64_t)i, .inv_targets = 1.0F / 32, .lr = 1e-2, .statistics = true};
        assert_int_equal(weft_model_grad(m, b, &run, &loss), WEFT_OK);
        assert_int_equal(weft_model_update(m, &run, &step), WEFT_OK);
    }
    return m;
}

static double eval(weft_model *m, const struct weft_batch *b) {
    struct weft_loss loss;
    assert_int_equal(weft_model_eval(m, b, &loss), WEFT_OK);
    return loss.sum;
}

/* After updates, and after weights were written by the caller: what the model reads is what the
 * parameters are. */
static void copies_follow(void **state) {
    (void)state;
    struct weft_param_info p[MAX_PARAMS];
    struct weft_batch b;
    struct data d;
    weft_ctx *const ctx = context(1);
    weft_model *const m = trained(ctx, NULL, 3, &b, &d);
    const double after = eval(m, &b);
    const size_t n = weft_model_params(m, p, MAX_PARAMS); /* copies them all anew */
    assert_true(eval(m, &b) == after);
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < count_of(&p[k]); i++) p[k].data[i] *= 1.5F;
    weft_model_params(m, p, MAX_PARAMS);
    assert_true(fabs(eval(m, &b) - after) > 1e-3 * after);
    weft_model_free(m);
    weft_ctx_free(ctx);
}

static double statistic(weft_model *m, const char *kind) {
    static struct weft_statistic s[4096];
    const size_t n = weft_model_statistics(m, s, 4096);
    double sum = 0;
    size_t found = 0;
    for (size_t i = 0; i < n && i < 4096; i++)
        if (strcmp(s[i].kind, kind) == 0) sum += s[i].value, found++;
    assert_true(found > 0);
    return sum / (double)found;
}

static void ways_to_keep_weights(void **state) {
    (void)state;
    static const char *const ways[] = {"master", "nearest", "stochastic", "kahan"};
    weft_ctx *const ctx = context(1);
    for (size_t w = 0; w < 4; w++) {
        struct weft_param_info p[MAX_PARAMS];
        struct weft_batch b;
        struct data d;
        weft_model *const m = trained(ctx, ways[w], 5, &b, &d);
        const size_t n = weft_model_params(m, p, MAX_PARAMS);
        size_t wide = 0;
        for (size_t k = 0; k < n; k++) {
            assert_true((p[k].c != NULL) == (w == 3));
            for (size_t i = 0; i < count_of(&p[k]); i++) {
                uint32_t bits;
                memcpy(&bits, &p[k].data[i], sizeof bits);
                wide += (bits & 0xffffu) != 0;
            }
        }
        if ((wide != 0) != (w == 0))
            fail_msg("weights %s: %zu numbers that bf16 does not have", ways[w], wide);
        const double lost = statistic(m, "bf16_lost"), decay = statistic(m, "decay_effect");
        assert_true(lost >= 0 && lost < 1);
        assert_true(w == 3 ? lost < 1e-3 : lost > 1e-3);
        assert_true(isfinite(decay) && (w != 3 || fabs(decay - 1) < 0.05));
        weft_model_free(m);
    }
    weft_ctx_free(ctx);
}

static void memory_is_planned(void **state) {
    (void)state;
    weft_ctx *const ctx = context(1);
    struct weft_memory memory[2];
    for (size_t k = 0; k < 2; k++) {
        struct weft_training t = plain_training;
        weft_model *m;
        t.precision = k == 0 ? "f32" : "bf16";
        assert_int_equal(weft_gpt2_create(ctx, &small, &t, &m), WEFT_OK);
        assert_int_equal(weft_model_memory(m, &memory[k]), WEFT_OK);
        weft_model_free(m);
    }
    assert_int_equal(memory[0].copies, 0);
    assert_int_equal(memory[1].copies, (memory[1].params / 2 + 63) / 64 * 64);
    assert_true(memory[1].activations < memory[0].activations);
    weft_ctx_free(ctx);
}

static void refused(void **state) {
    (void)state;
    weft_ctx *const ctx = context(1);
    struct weft_training t = plain_training;
    weft_model *m;
    t.precision = "fp8";
    assert_int_equal(weft_gpt2_create(ctx, &small, &t, &m), WEFT_ERR_ARG);
    assert_non_null(strstr(weft_ctx_message(ctx), "fp8"));
    t.precision = "f32";
    t.optim.weights = "kahan";
    assert_int_equal(weft_gpt2_create(ctx, &small, &t, &m), WEFT_ERR_ARG);
    assert_non_null(strstr(weft_ctx_message(ctx), "kahan"));
    t.precision = "bf16";
    t.optim.weights = "randomly";
    assert_int_equal(weft_gpt2_create(ctx, &small, &t, &m), WEFT_ERR_ARG);
    assert_non_null(strstr(weft_ctx_message(ctx), "randomly"));
    const struct weft_mlp_config inner = {.inputs = 2, .outputs = 2, .inner = true};
    t = (struct weft_training){.batch = 1, .precision = "bf16"};
    assert_int_equal(weft_mlp_create(ctx, &inner, &t, &m), WEFT_ERR_DTYPE);
    weft_ctx_free(ctx);
}

/* Messages of a training that diverges. */
static void the_largest_is_named(void **state) {
    (void)state;
    struct weft_batch b;
    struct data d;
    double value = 0, norm = 0;
    weft_ctx *const ctx = context(1);
    weft_model *const m = trained(ctx, NULL, 1, &b, &d);
    const char *const gradient = weft_model_largest_gradient(m, &norm);
    assert_non_null(gradient);
    assert_true(norm > 0);
    const struct weft_run run = {.inv_targets = 1.0F / 32};
    const char *const node = weft_model_largest_node(m, &run, &value);
    assert_non_null(node);
    assert_true(value > 0 && isfinite(value));
    weft_model_free(m);
    weft_ctx_free(ctx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_gpt2),    cmocka_unit_test(gradients_of_mlp),
        cmocka_unit_test(copies_follow),        cmocka_unit_test(ways_to_keep_weights),
        cmocka_unit_test(memory_is_planned),    cmocka_unit_test(refused),
        cmocka_unit_test(the_largest_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
