/* The graph's builders and runs called wrongly: a status and one line that says what, never a
 * crash; and whatever the caller's floating-point environment, the same numbers. */
#include <math.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif
#include "tests/support/unit.h"
#include "weft/weft.h"

struct net {
    weft_graph *g;
    weft_program *p;
    weft_tensor x, tokens, w;
};

/* x (4, 8) and tokens (4, 6), w (5, 8) */
static struct net open_net(weft_ctx *ctx) {
    struct net n;
    assert_int_equal(weft_graph_create(ctx, &n.g), WEFT_OK);
    n.p = weft_program_create(n.g, "test", 4);
    n.x = weft_input_f32(n.p, "x", 8);
    n.tokens = weft_input_i32(n.p, "tokens", 6);
    const struct weft_param_desc w = {.name = "w", .shape = {5, 8}, .layer = -1, .role = "w"};
    n.w = weft_param(n.g, &w);
    return n;
}

static void expect(struct net *n, enum weft_status want, const char *words) {
    assert_int_equal(weft_graph_commit(n->g), want);
    if (want != WEFT_OK) unit_says(words);
    weft_graph_free(n->g);
}

static void handles_that_are_none(void **state) {
    (void)state;
    const weft_tensor bad[] = {WEFT_NONE, 99, -7};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct net n = open_net(unit_ctx);
        weft_activation(n.p, bad[i], "relu");
        expect(&n, WEFT_ERR_ARG, "activation: an operand is no tensor");
        n = open_net(unit_ctx);
        weft_last_row(n.p, bad[i]);
        expect(&n, WEFT_ERR_ARG, "last_row");
        n = open_net(unit_ctx);
        weft_linear(n.p, n.x, bad[i], WEFT_NONE, NULL, WEFT_NONE);
        expect(&n, WEFT_ERR_ARG, "linear");
        n = open_net(unit_ctx);
        weft_attention(n.p, bad[i], 2, 0);
        expect(&n, WEFT_ERR_ARG, "attention");
        n = open_net(unit_ctx);
        weft_embedding(n.p, n.tokens, bad[i], WEFT_NONE);
        expect(&n, WEFT_ERR_ARG, "embedding");
        n = open_net(unit_ctx);
        weft_layernorm(n.p, bad[i], WEFT_NONE, WEFT_NONE, 1e-5F);
        expect(&n, WEFT_ERR_ARG, "layernorm");
        n = open_net(unit_ctx);
        weft_head_xent(n.p, n.x, n.w, bad[i]);
        expect(&n, WEFT_ERR_ARG, "head");
    }
}

static void operands_of_the_wrong_kind(void **state) {
    (void)state;
    struct net n = open_net(unit_ctx);
    weft_linear(n.p, n.tokens, n.w, WEFT_NONE, NULL, WEFT_NONE);
    expect(&n, WEFT_ERR_DTYPE, "tokens holds i32, not f32");
    n = open_net(unit_ctx);
    weft_softmax_xent(n.p, n.x, n.x);
    expect(&n, WEFT_ERR_DTYPE, "x holds f32, not i32");
    n = open_net(unit_ctx);
    weft_program *const other = weft_program_create(n.g, "other", 2);
    weft_linear(other, n.x, n.w, WEFT_NONE, NULL, WEFT_NONE);
    expect(&n, WEFT_ERR_ARG, "belongs to program test, not other");
    n = open_net(unit_ctx);
    weft_gain(n.p, n.x, n.x, WEFT_NONE);
    expect(&n, WEFT_ERR_SHAPE, "one parameter");
    n = open_net(unit_ctx);
    const struct weft_param_desc sliced = {
        .name = "s", .shape = {6, 2}, .role = "s", .slices = {{"a", 0, 4}, {"b", 4, 4}}};
    weft_param(n.g, &sliced);
    expect(&n, WEFT_ERR_SHAPE, "slice b");
}

static void in_the_wrong_order(void **state) {
    (void)state;
    struct weft_memory memory;
    struct net n = open_net(unit_ctx);
    const weft_tensor y = weft_linear(n.p, n.x, n.w, WEFT_NONE, NULL, WEFT_NONE);
    assert_int_equal(weft_program_timing(n.p, true), WEFT_ERR_STATE);
    assert_int_equal(weft_graph_memory(n.g, &memory), WEFT_OK);
    weft_activation(n.p, y, "relu");
    expect(&n, WEFT_ERR_STATE, "already planned");

    n = open_net(unit_ctx);
    const weft_tensor logits = weft_linear(n.p, n.x, n.w, WEFT_NONE, NULL, WEFT_NONE);
    const weft_tensor targets = weft_input_i32(n.p, "targets", 1);
    const weft_tensor loss = weft_softmax_xent(n.p, logits, targets);
    weft_backward(n.p, loss);
    weft_backward(n.p, loss);
    expect(&n, WEFT_ERR_STATE, "a backward pass already");

    n = open_net(unit_ctx);
    const struct weft_optim sgd = {.name = "sgd"};
    const weft_tensor z = weft_linear(n.p, n.x, n.w, WEFT_NONE, NULL, WEFT_NONE);
    const weft_tensor t = weft_input_i32(n.p, "targets", 1);
    weft_backward(n.p, weft_softmax_xent(n.p, z, t));
    weft_program *const update = weft_program_create(n.g, "update", 1);
    weft_optimizer(update, &sgd);
    weft_optimizer(update, &sgd);
    expect(&n, WEFT_ERR_STATE, "an optimizer already");
}

static void sizes_beyond_addresses(void **state) {
    (void)state;
    struct net n = open_net(unit_ctx);
    for (int i = 0; i < 17; i++) {
        const struct weft_param_desc huge = {
            .name = "huge", .shape = {(size_t)1 << 20, (size_t)1 << 20}, .role = "w"};
        weft_param(n.g, &huge);
    }
    expect(&n, WEFT_ERR_SHAPE, "more memory than can be addressed");
}

static void integers_out_of_range(void **state) {
    (void)state;
    struct net n = open_net(unit_ctx);
    const struct weft_param_desc wpe = {.name = "wpe", .shape = {8, 8}, .layer = -1, .role = "wpe"};
    const weft_tensor positions = weft_param(n.g, &wpe);
    weft_tensor_keep(n.g, weft_embedding(n.p, n.tokens, n.w, positions));
    assert_int_equal(weft_graph_commit(n.g), WEFT_OK);
    int32_t *const token = weft_tensor_data(n.g, n.tokens);
    struct weft_run run = {.pos = 2};
    assert_int_equal(weft_program_run(n.p, &run), WEFT_OK);
    run.pos = 3;
    assert_int_equal(weft_program_run(n.p, &run), WEFT_ERR_ARG);
    unit_says("position 3");
    run.pos = 0;
    const int32_t bad[] = {5, -1, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < 4; i++) {
        token[23] = bad[i];
        assert_int_equal(weft_program_run(n.p, &run), WEFT_ERR_ARG);
        unit_says("element 23 of input tokens");
        run.rows = 3; /* rows that are not live are not looked at */
        assert_int_equal(weft_program_run(n.p, &run), WEFT_OK);
        run.rows = 0;
    }
    weft_graph_free(n.g);
}

static void null_pointers(void **state) {
    (void)state;
    const struct weft_run run = {0};
    struct weft_memory memory;
    struct weft_gpt2_config c;
    double flops, seconds;
    assert_int_equal(weft_program_run(NULL, &run), WEFT_ERR_NULL);
    assert_int_equal(weft_program_timing(NULL, true), WEFT_ERR_NULL);
    assert_int_equal(weft_model_memory(NULL, &memory), WEFT_ERR_NULL);
    assert_int_equal(weft_model_commit(NULL), WEFT_ERR_NULL);
    assert_int_equal(weft_model_timing(NULL, true), WEFT_ERR_NULL);
    assert_false(weft_gpt2_preset(NULL, &c));
    assert_false(weft_gpt2_preset("gpt2-124m", NULL));
    assert_string_equal(weft_ctx_message(NULL), "");
    weft_model_work(NULL, NULL, &flops, &seconds);
    assert_true(flops == 0 && seconds == 0);
}

/* d/d gain of sum (gain f)²/2 is gain sum f²; f is an input and has no gradient. A step of SGD
 * shows it; the phases without tasks before it must not let anything run ahead. */
static void gain_of_an_input(void **state) {
    (void)state;
    const struct weft_ctx_options o = {.threads = 3};
    weft_ctx *ctx;
    assert_int_equal(weft_ctx_create(&o, &ctx), WEFT_OK);
    struct net n = open_net(ctx);
    const struct weft_param_desc one = {.name = "gain", .shape = {1}, .layer = -1, .role = "gain"};
    const weft_tensor gain = weft_param(n.g, &one);
    const weft_tensor y = weft_gain(n.p, n.x, gain, WEFT_NONE);
    const weft_tensor zero = weft_input_f32(n.p, "zero", 8);
    weft_backward(n.p, weft_mse(n.p, y, zero));
    weft_program *const update = weft_program_create(n.g, "update", 1);
    weft_optimizer(update, &(struct weft_optim){.name = "sgd"});
    assert_int_equal(weft_graph_commit(n.g), WEFT_OK);
    float *const x = weft_tensor_data(n.g, n.x), *const s = weft_tensor_data(n.g, gain);
    double squares = 0;
    for (int i = 0; i < 32; i++) {
        x[i] = (float)(i % 7) - 3;
        squares += (double)(x[i] * x[i]);
    }
    *s = 0.5F;
    const struct weft_run run = {.inv_targets = 0.25F, .lr = 0.125};
    assert_int_equal(weft_program_run(n.p, &run), WEFT_OK);
    assert_int_equal(weft_program_run(update, &run), WEFT_OK);
    /* the loss is the mean over 8 columns, times 1/4: d = 2 gain sum f² / 32 */
    assert_true(fabs((double)*s - (0.5 - 0.125 * 2 * 0.5 * squares / 32)) < 1e-6);
    weft_graph_free(n.g);
    weft_ctx_free(ctx);
}

static void qkv_of_an_input(void **state) {
    (void)state;
    struct net n = open_net(unit_ctx);
    const weft_tensor qkv = weft_input_f32(n.p, "qkv", 24);
    const weft_tensor y = weft_attention(n.p, qkv, 2, 0);
    const weft_tensor z = weft_linear(n.p, y, n.w, WEFT_NONE, NULL, WEFT_NONE);
    const weft_tensor targets = weft_input_i32(n.p, "targets", 1);
    weft_backward(n.p, weft_softmax_xent(n.p, z, targets));
    assert_int_equal(weft_graph_commit(n.g), WEFT_OK);
    const struct weft_run run = {.inv_targets = 1};
    assert_int_equal(weft_program_run(n.p, &run), WEFT_OK);
    weft_graph_free(n.g);
}

static void tuning_is_read(void **state) {
    (void)state;
    char message[WEFT_MESSAGE_MAX];
    struct weft_ctx_options o = {.threads = 1, .tuning = "grain_ns=77,l2=4096", .message = message};
    weft_ctx *ctx;
    assert_int_equal(weft_ctx_create(&o, &ctx), WEFT_OK);
    const struct weft_tuning t = weft_ctx_tuning(ctx);
    assert_int_equal(t.grain_ns, 77);
    assert_int_equal(t.l2, 4096);
    assert_int_equal(t.packed_max, 16 << 20);
    assert_true(t.fma_mflops > 0); /* detected */
    weft_ctx_free(ctx);
    static const char *const bad[] = {"grain", "grain_ns=", "grain_ns=x", "l2=1;l2=2", "l2=-1",
                                      "=4",    "l3=1",      ",",          "l2=99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        o.tuning = bad[i];
        assert_int_equal(weft_ctx_create(&o, &ctx), WEFT_ERR_ARG);
        assert_non_null(strstr(message, "grain_ns, fma_mflops, l2, pack_from, packed_max"));
    }
}

/* Denormal results, with the caller's thread set to flush them: no thread does. */
static void caller_flushes_denormals(void **state) {
    (void)state;
#if defined(__x86_64__)
    const struct weft_ctx_options o = {.threads = 2};
    weft_ctx *ctx;
    assert_int_equal(weft_ctx_create(&o, &ctx), WEFT_OK);
    weft_graph *g;
    assert_int_equal(weft_graph_create(ctx, &g), WEFT_OK);
    weft_program *const p = weft_program_create(g, "test", 512);
    const weft_tensor x = weft_input_f32(p, "x", 64), y = weft_input_f32(p, "y", 64);
    const weft_tensor sum = weft_add(p, x, y);
    weft_tensor_keep(g, sum);
    assert_int_equal(weft_graph_commit(g), WEFT_OK);
    float *const a = weft_tensor_data(g, x), *const b = weft_tensor_data(g, y);
    for (int i = 0; i < 512 * 64; i++) a[i] = 0x1.8p-126F, b[i] = -0x1p-126F;
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | 0x8040); /* FTZ, DAZ */
    const struct weft_run run = {0};
    const enum weft_status st = weft_program_run(p, &run);
    const unsigned after = _mm_getcsr();
    _mm_setcsr(before);
    assert_int_equal(st, WEFT_OK);
    assert_int_equal(after & 0xffc0, (before | 0x8040) & 0xffc0); /* the caller's is restored */
    const uint32_t *const bits = weft_tensor_data(g, sum);
    for (int i = 0; i < 512 * 64; i++) assert_int_equal(bits[i], 0x00400000); /* 2^-127 */
    weft_graph_free(g);
    weft_ctx_free(ctx);
#endif
}

/* Any range of a stream alone is what it is in the whole; mean and variance of 40,000 numbers within
 * five standard errors. */
static void normal_numbers(void **state) {
    enum { N = 40000 };
    static float all[N], part[300];
    double sum = 0, square = 0;
    weft_random_normal(*state, 7, 5, 0, 2, all, N);
    weft_random_normal(*state, 7, 5, 1001, 2, part, 300);
    assert_memory_equal(all + 1001, part, sizeof part);
    weft_random_normal(*state, 7, 6, 1001, 2, part, 300);
    assert_memory_not_equal(all + 1001, part, sizeof part);
    for (size_t i = 0; i < N; i++) {
        sum += (double)all[i] / 2;
        square += (double)all[i] / 2 * (double)all[i] / 2;
    }
    assert_true(sum / N > -0.025 && sum / N < 0.025);
    assert_true(square / N > 1 - 0.0354 && square / N < 1 + 0.0354); /* 5 sqrt(2 / N) */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handles_that_are_none),    cmocka_unit_test(operands_of_the_wrong_kind),
        cmocka_unit_test(in_the_wrong_order),       cmocka_unit_test(sizes_beyond_addresses),
        cmocka_unit_test(integers_out_of_range),    cmocka_unit_test(null_pointers),
        cmocka_unit_test(gain_of_an_input),         cmocka_unit_test(qkv_of_an_input),
        cmocka_unit_test(tuning_is_read),           cmocka_unit_test(normal_numbers),
        cmocka_unit_test(caller_flushes_denormals),
    };
    return cmocka_run_group_tests(tests, unit_start, unit_stop);
}
