/* Weights for inference in other formats than f32: what is refused, that a bf16 file loses nothing
 * on its way, and how far the logits of each format are from those of f32. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "tests/support/unit.h"
#include "train/compare.h"
#include "weft/weft.h"

#define TOKENS 24
static const struct weft_gpt2_config net = {
    .vocab = 97, .context = 32, .layers = 2, .heads = 2, .width = 72};

static weft_model *make(const char *weights, const char *kv) {
    const struct weft_training how = {.weights = weights, .kv = kv, .score = true};
    weft_model *m = NULL;
    assert_int_equal(weft_gpt2_create(unit_ctx, &net, &how, &m), WEFT_OK);
    assert_int_equal(weft_model_commit(m), WEFT_OK);
    return m;
}

static bool put(void *user, const void *bytes, size_t size) {
    return fwrite(bytes, 1, size, user) == size;
}

/* A model of random weights as a file of llm.c. */
static void write_file(const char *path, bool bf16) {
    const struct weft_init init = {.name = "normal", .std = 0.2, .seed = 5};
    weft_model *const m = make(NULL, NULL);
    FILE *const f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(weft_model_init(m, &init), WEFT_OK);
    assert_int_equal(weft_gpt2_file_write(m, bf16, put, f), WEFT_OK);
    fclose(f);
    weft_model_free(m);
}

/* Its logits (TOKENS, vocab). */
static void logits_of(const char *path, const char *weights, const char *kv, float *out) {
    int32_t token[TOKENS];
    const float *rows;
    weft_model *const m = make(weights, kv);
    for (size_t i = 0; i < TOKENS; i++) token[i] = (int32_t)((i * 37 + i * i) % net.vocab);
    assert_int_equal(weft_gpt2_file_read(path, m), WEFT_OK);
    assert_int_equal(weft_model_score(m, token, TOKENS, (struct weft_place){0}, &rows), WEFT_OK);
    memcpy(out, rows, TOKENS * net.vocab * sizeof *out);
    weft_model_free(m);
}

static void unknown_formats_are_refused(void **state) {
    (void)state;
    weft_model *m = NULL;
    const struct weft_training bad[] = {{.weights = "int3"}, {.kv = "int8"}};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(weft_gpt2_create(unit_ctx, &net, &bad[i], &m), WEFT_ERR_ARG);
        unit_says(i == 0 ? "unknown format of weights \"int3\"" : "KV cache in \"int8\"");
    }
    const struct weft_training trains = {.batch = 1, .seq = 8, .weights = "bf16"};
    assert_int_equal(weft_gpt2_create(unit_ctx, &net, &trains, &m), WEFT_ERR_ARG);
    unit_says("weights in bf16 are for evaluation and generation");
    const struct weft_mlp_config mlp = {.inputs = 2, .outputs = 2};
    const struct weft_training eval = {.batch = 1, .eval_only = true, .weights = "int8"};
    assert_int_equal(weft_mlp_create(unit_ctx, &mlp, &eval, &m), WEFT_ERR_ARG);
    unit_says("mlp: weights are f32");
    assert_null(m);
    assert_string_equal(weft_weights_name(0), "f32");
    assert_null(weft_weights_name(6));
}

static void they_have_no_gradient(void **state) {
    (void)state;
    weft_graph *g;
    assert_int_equal(weft_graph_create(unit_ctx, &g), WEFT_OK);
    weft_program *const p = weft_program_create(g, "test", 2);
    const struct weft_param_desc d = {.name = "w", .shape = {5, 8}, .role = "w", .format = "int8"};
    const weft_tensor x = weft_input_f32(p, "x", 8), t = weft_input_i32(p, "t", 1);
    const weft_tensor y = weft_linear(p, x, weft_param(g, &d), WEFT_NONE, NULL, WEFT_NONE);
    weft_backward(p, weft_softmax_xent(p, y, t));
    assert_int_equal(weft_graph_commit(g), WEFT_ERR_DTYPE);
    unit_says("parameter w is kept as int8, for inference: it has no gradient");
    weft_graph_free(g);
}

/* ---- filling ---- */
struct values {
    float bad;      /* instead of one value */
    size_t at, end; /* rows from here on do not come */
};

static bool read_values(void *user, size_t row, size_t rows, float *values) {
    const struct values *const v = user;
    if (row + rows > v->end) return false;
    for (size_t i = 0; i < rows * net.width; i++) values[i] = 0.5F;
    if (v->at >= row && v->at < row + rows) values[(v->at - row) * net.width] = v->bad;
    return true;
}

static void what_no_format_can_keep(void **state) {
    (void)state;
    static const char *const names[] = {"f32", "bf16", "int8", "int8-g64", "int8-g32", "int4"};
    for (size_t f = 0; f < sizeof names / sizeof *names; f++) {
        weft_model *const m = make(names[f], NULL);
        struct values v = {.bad = 1, .at = 96, .end = 97};
        const struct weft_source s = {.read = read_values, .user = &v};
        assert_int_equal(weft_model_fill(m, 0, &s), WEFT_OK);
        v.bad = (float)NAN;
        assert_int_equal(weft_model_fill(m, 0, &s), WEFT_ERR_NONFINITE);
        unit_says("transformer.wte.weight has a NaN or Inf");
        v = (struct values){.bad = -(float)INFINITY, .at = 3, .end = 97};
        assert_int_equal(weft_model_fill(m, 0, &s), WEFT_ERR_NONFINITE);
        v = (struct values){.at = 97, .end = 96};
        assert_int_equal(weft_model_fill(m, 0, &s), WEFT_ERR_IO);
        assert_int_equal(weft_model_fill(m, 1000, &s), WEFT_ERR_ARG);
        weft_model_free(m);
    }
}

/* ---- quality ---- */
static double divergence(const float *base, const float *other) {
    double kl = 0, loss[2];
    for (size_t i = 0; i < TOKENS; i++) {
        const double here =
            weft_divergence(base + i * net.vocab, other + i * net.vocab, net.vocab, i, loss);
        assert_true(here >= 0);
        kl += here / TOKENS;
    }
    return kl;
}

/* The order of the products is the same, and so are the numbers: bit for bit. Dot products round
 * what they multiply. */
static void bf16_files_lose_nothing(void **state) {
    (void)state;
    static float want[TOKENS * 97], got[TOKENS * 97];
    write_file("half.bin", true);
    logits_of("half.bin", "f32", NULL, want);
    logits_of("half.bin", "bf16", NULL, got);
    if (weft_ctx_bf16_dots(unit_ctx)) {
        assert_true(divergence(want, got) > 1e-9 && divergence(want, got) < 1e-3);
        const struct weft_ctx_options o = {.isa = "avx512"};
        weft_ctx *const all = unit_ctx;
        assert_int_equal(weft_ctx_create(&o, &unit_ctx), WEFT_OK);
        logits_of("half.bin", "bf16", NULL, got);
        weft_ctx_free(unit_ctx);
        unit_ctx = all;
    }
    assert_memory_equal(want, got, sizeof want);
}

/* Halving the step quarters the divergence: 7 steps instead of 127 are 300 times as far. */
static void formats_by_divergence(void **state) {
    (void)state;
    static const struct {
        const char *weights, *kv;
        double least, most;
    } formats[] = {
        {"f32", NULL, 0, 0},        {"f32", "bf16", 1e-12, 1e-3},   {"bf16", NULL, 1e-9, 1e-3},
        {"int8", NULL, 1e-8, 3e-3}, {"int8-g64", NULL, 1e-8, 3e-3}, {"int8-g32", NULL, 1e-8, 3e-3},
        {"int4", NULL, 1e-4, 1}};
    static float base[TOKENS * 97], other[TOKENS * 97];
    double kl[7];
    write_file("m.bin", false);
    logits_of("m.bin", NULL, NULL, base);
    for (size_t i = 0; i < 7; i++) {
        logits_of("m.bin", formats[i].weights, formats[i].kv, other);
        kl[i] = divergence(base, other);
        if (!(kl[i] >= formats[i].least && kl[i] <= formats[i].most))
            fail_msg("%s: divergence %g", formats[i].weights, kl[i]);
    }
    assert_true(kl[6] > 20 * kl[3]);
}

static void divergence_of_known_numbers(void **state) {
    (void)state;
    const float a[] = {0, (float)log(3)}, b[] = {5, 5};
    double loss[2];
    const double want = 0.25 * log(0.25 / 0.5) + 0.75 * log(0.75 / 0.5);
    assert_true(fabs(weft_divergence(a, b, 2, 0, loss) - want) < 1e-7);
    assert_true(fabs(loss[0] - log(4)) < 1e-7 && fabs(loss[1] - log(2)) < 1e-12);
    assert_true(weft_divergence(a, a, 2, 1, loss) == 0 && loss[0] == loss[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_formats_are_refused),
        cmocka_unit_test(they_have_no_gradient),
        cmocka_unit_test(what_no_format_can_keep),
        cmocka_unit_test(bf16_files_lose_nothing),
        cmocka_unit_test(formats_by_divergence),
        cmocka_unit_test(divergence_of_known_numbers),
    };
    return cmocka_run_group_tests(tests, unit_start, unit_stop);
}
