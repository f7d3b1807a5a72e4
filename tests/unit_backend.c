/* oneDNN as a backend: gradients of whole models against weft's own kernels, short batches,
 * micro-batches, backends that take turns. What each op computes is the cross-check's business. */
#include <math.h>

#include "models/model.h"
#include "runtime/backend.h"
#include "runtime/onednn/onednn.h"
#include "tests/support/unit.h"

enum { ROWS = 5, SEQ = 12, VOCAB = 31, INPUTS = 9, OUTPUTS = 4 };

struct net {
    weft_ctx *ctx;
    weft_model *m;
    bool language;
    int32_t tokens[ROWS * SEQ], targets[ROWS * SEQ];
    float inputs[ROWS * INPUTS], values[ROWS * OUTPUTS];
};

static const struct weft_optim optim = {
    .name = "adamw", .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1, .clip = 1};

static void finish(struct net *n, enum weft_status st) {
    if (st == WEFT_OK) st = weft_model_commit(n->m);
    if (st == WEFT_OK)
        st = weft_model_init(n->m, &(struct weft_init){.name = "kaiming-normal", .seed = 3});
    if (st != WEFT_OK) fail_msg("%s", weft_ctx_message(n->ctx));
    uint64_t state = 1;
    for (size_t i = 0; i < ROWS * SEQ; i++) {
        n->tokens[i] = (int32_t)(unit_random(&state) % VOCAB);
        n->targets[i] = (int32_t)(unit_random(&state) % (n->language ? VOCAB : OUTPUTS));
        if (i % 7 == 3) n->targets[i] = -1;
    }
    for (size_t i = 0; i < ROWS * INPUTS; i++)
        n->inputs[i] = (float)(unit_random(&state) % 1000) * 1e-3f - 0.5f;
    for (size_t i = 0; i < ROWS * OUTPUTS; i++)
        n->values[i] = (float)(unit_random(&state) % 1000) * 1e-3f;
}

static struct net *open_net(int threads, bool language) {
    struct net *const n = calloc(1, sizeof *n);
    assert_non_null(n);
    assert_int_equal(weft_ctx_create(&(struct weft_ctx_options){.threads = threads}, &n->ctx), 0);
    n->language = language;
    return n;
}

static void close_net(struct net *n) {
    weft_model_free(n->m);
    weft_ctx_free(n->ctx);
    free(n);
}

static struct net *gpt2(int threads, const char *norm, double dropout, const char *act) {
    struct net *const n = open_net(threads, true);
    const struct weft_gpt2_config c = {.vocab = VOCAB,
                                       .context = SEQ,
                                       .layers = 2,
                                       .heads = 2,
                                       .width = 10,
                                       .norm = norm,
                                       .scales = norm != NULL,
                                       .dropout = dropout,
                                       .act = act};
    const struct weft_training t = {.batch = ROWS, .seq = SEQ, .accumulate = 2, .optim = optim};
    finish(n, weft_gpt2_create(n->ctx, &c, &t, &n->m));
    return n;
}

static struct net *mlp(int threads, bool mse, const char *act) {
    struct net *const n = open_net(threads, false);
    const struct weft_mlp_config c = {.inputs = INPUTS,
                                      .outputs = OUTPUTS,
                                      .hidden = {13, 7},
                                      .layers = 2,
                                      .act = act,
                                      .mse = mse};
    const struct weft_training t = {.batch = ROWS, .optim = optim};
    finish(n, weft_mlp_create(n->ctx, &c, &t, &n->m));
    return n;
}

/* The gradients of all parameters, one after the other; the loss before them. */
static float *gradients(struct net *n, const weft_backend *b, size_t rows, bool accumulate,
                        size_t *count) {
    struct weft_param_info p[64];
    struct weft_loss loss;
    const struct weft_batch batch = {.tokens = n->tokens,
                                     .inputs = n->inputs,
                                     .targets = n->targets,
                                     .values = n->values,
                                     .rows = rows};
    const struct weft_run run = {
        .accumulate = accumulate, .inv_targets = 0.02f, .seed = 5, .sample = 9};
    weft_ctx_use_backend(n->ctx, b);
    const enum weft_status st = weft_model_grad(n->m, &batch, &run, &loss);
    if (st != WEFT_OK) fail_msg("%s", weft_ctx_message(n->ctx));
    float *const out = malloc((weft_model_param_count(n->m) + 1) * sizeof *out);
    assert_non_null(out);
    out[0] = (float)loss.sum;
    *count = 1;
    const size_t params = weft_model_params(n->m, p, 64);
    for (size_t i = 0; i < params; i++) {
        const size_t size = p[i].shape[0] * (p[i].shape[1] > 0 ? p[i].shape[1] : 1);
        if (p[i].grad == NULL) continue; /* not in use */
        memcpy(out + *count, p[i].grad, size * sizeof *out);
        *count += size;
    }
    return out;
}

static void near(const float *got, const float *want, size_t n) {
    double scale = 0;
    for (size_t i = 1; i < n; i++) scale = fmax(scale, fabs((double)want[i]));
    assert_true(scale > 0);
    for (size_t i = 0; i < n; i++) {
        const double tol = 2e-6 * (i == 0 ? fabs((double)want[0]) : scale);
        if (!(fabs((double)got[i] - (double)want[i]) <= tol))
            fail_msg("gradient %zu is %.9g, weft's own %.9g", i, (double)got[i], (double)want[i]);
    }
}

static void agree(struct net *n) {
    const size_t rows[] = {ROWS, 2, 3};
    for (size_t i = 0; i < 3; i++)
        for (int accumulate = 0; accumulate < 2; accumulate++) {
            size_t count;
            float *before = gradients(n, NULL, ROWS, false, &count);
            float *const want = gradients(n, NULL, rows[i], accumulate, &count);
            free(before);
            before = gradients(n, NULL, ROWS, false, &count);
            float *const got = gradients(n, weft_onednn(), rows[i], accumulate, &count);
            near(got, want, count);
            free(before), free(got), free(want);
        }
    close_net(n);
}

static void skip_without(void) {
    if (weft_onednn() == NULL) skip();
}

static void language_models(void **state) {
    (void)state;
    skip_without();
    agree(gpt2(2, NULL, 0, "gelu_tanh"));
    agree(gpt2(1, "post", 0.2, "gelu_erf"));
}

static void perceptrons(void **state) {
    (void)state;
    static const char *const acts[] = {"relu",      "leaky_relu", "tanh", "sigmoid",
                                       "gelu_tanh", "silu",       "selu"};
    skip_without();
    for (size_t i = 0; i < 7; i++) agree(mlp(1 + (int)i % 2, i % 2, acts[i]));
}

/* Prepared for other rows and back: the same bits; and weft's own are untouched by turns. */
static void turns_change_nothing(void **state) {
    (void)state;
    skip_without();
    struct net *const n = gpt2(2, NULL, 0, "gelu_tanh");
    size_t count;
    float *const own = gradients(n, NULL, ROWS, false, &count);
    float *const first = gradients(n, weft_onednn(), ROWS, false, &count);
    free(gradients(n, weft_onednn(), 1, false, &count));
    float *const again = gradients(n, weft_onednn(), ROWS, false, &count);
    float *const own_again = gradients(n, NULL, ROWS, false, &count);
    assert_memory_equal(again, first, count * sizeof *first);
    assert_memory_equal(own_again, own, count * sizeof *own);
    assert_memory_not_equal(first, own, count * sizeof *own); /* somebody else computed it */
    free(own), free(first), free(again), free(own_again);
    close_net(n);
}

static void names_and_times(void **state) {
    (void)state;
    assert_string_equal(weft_ctx_backend(unit_ctx), "native");
    skip_without();
    struct net *const n = mlp(1, false, "relu");
    struct weft_node_time t[64];
    size_t count;
    assert_int_equal(weft_model_timing(n->m, true), WEFT_OK);
    free(gradients(n, weft_onednn(), ROWS, false, &count));
    assert_string_equal(weft_ctx_backend(n->ctx), "onednn");
    const size_t nodes = weft_program_times(n->m->train.program, t, 64);
    assert_true(nodes > 6 && nodes <= 64);
    for (size_t i = 0; i < nodes; i++) assert_true(t[i].seconds > 0);
    close_net(n);
}

static void nan_is_found(void **state) {
    (void)state;
    skip_without();
    struct net *const n = mlp(1, false, "tanh"); /* oneDNN's ReLU makes 0 of a NaN */
    struct weft_loss loss;
    n->inputs[3] = NAN;
    weft_ctx_use_backend(n->ctx, weft_onednn());
    const struct weft_batch batch = {
        .inputs = n->inputs, .targets = n->targets, .values = n->values, .rows = ROWS};
    const struct weft_run run = {.inv_targets = 1};
    assert_int_equal(weft_model_grad(n->m, &batch, &run, &loss), WEFT_ERR_NONFINITE);
    assert_non_null(strstr(weft_ctx_message(n->ctx), "h0.linear.0"));
    close_net(n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(language_models),      cmocka_unit_test(perceptrons),
        cmocka_unit_test(turns_change_nothing), cmocka_unit_test(names_and_times),
        cmocka_unit_test(nan_is_found),
    };
    return cmocka_run_group_tests(tests, unit_start, unit_stop);
}
