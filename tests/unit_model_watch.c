/* What models tell about themselves: statistics, probes, histograms. */
#include "tests/support/small_model.h"

static double statistic(const struct weft_statistic *s, size_t n, int layer, const char *tensor,
                        const char *kind) {
    for (size_t i = 0; i < n; i++)
        if (s[i].layer == layer && strcmp(s[i].tensor, tensor) == 0 && strcmp(s[i].kind, kind) == 0)
            return s[i].value;
    fail_msg("no statistic %d %s %s", layer, tensor, kind);
    return NAN;
}

static const struct weft_param_info *named(const struct weft_param_info *p, size_t n,
                                           const char *name) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(p[i].name, name) == 0) return &p[i];
    fail_msg("no parameter %s", name);
    return NULL;
}

static void near(double got, double want) {
    if (!(fabs(got - want) <= 1e-6 * fabs(want))) fail_msg("%.9g, want %.9g", got, want);
}

/* Every statistic of k of layer 1, rows 16 to 31 of c_attn.weight, from old and new weights. */
static void expect_key(const struct weft_statistic *s, size_t n, const float *old, const float *w,
                       const float *g) {
    enum { N = 256 };
    double sum = 0, sq = 0, w2 = 0, dw2 = 0, g2 = 0, top = 0;
    for (size_t j = 0; j < N; j++) {
        const double step = (double)w[j] - (double)old[j];
        sum += (double)w[j];
        w2 += (double)w[j] * (double)w[j];
        dw2 += step * step;
        g2 += (double)g[j] * (double)g[j];
        top = fmax(top, fabs((double)w[j]));
    }
    for (size_t j = 0; j < N; j++) sq += pow((double)w[j] - sum / N, 2);
    near(statistic(s, n, 1, "k", "mean"), sum / N);
    near(statistic(s, n, 1, "k", "std"), sqrt(sq / N));
    near(statistic(s, n, 1, "k", "absmax"), top);
    near(statistic(s, n, 1, "k", "gnorm"), sqrt(g2));
    near(statistic(s, n, 1, "k", "update_ratio"), sqrt(dw2 / w2));
}

static void expect_histogram(weft_model *m, const struct weft_param_info *p) {
    enum { BINS = 20 };
    const size_t n = p->shape[0] * p->shape[1];
    uint64_t bins[BINS], want[BINS] = {0};
    double lo, hi, sum = 0, sq = 0;
    assert_int_equal(weft_model_histogram(m, p->name, BINS, bins, &lo, &hi), WEFT_OK);
    for (size_t i = 0; i < n; i++) sum += (double)p->data[i];
    for (size_t i = 0; i < n; i++) sq += pow((double)p->data[i] - sum / (double)n, 2);
    near(hi - lo, 8 * sqrt(sq / (double)n));
    near(hi + lo, 2 * sum / (double)n);
    for (size_t i = 0; i < n; i++) {
        const double at = ((double)p->data[i] - lo) / (hi - lo) * BINS;
        if (at >= 0 && at < BINS) want[(size_t)at]++;
    }
    assert_memory_equal(bins, want, sizeof want);
    assert_int_equal(weft_model_histogram(m, "nothing", BINS, bins, &lo, &hi), WEFT_ERR_ARG);
}

static void test_statistics(void **state) {
    (void)state;
    weft_ctx *const ctx = context(2);
    weft_model *m = NULL;
    assert_int_equal(weft_gpt2_create(ctx, &small, &plain_training, &m), WEFT_OK);
    assert_int_equal(weft_model_commit(m), WEFT_OK);
    const struct weft_init init = {.seed = 1};
    assert_int_equal(weft_model_init(m, &init), WEFT_OK);
    int32_t tokens[32];
    for (int i = 0; i < 32; i++) tokens[i] = i;
    const struct weft_batch b = {.tokens = tokens, .targets = tokens, .rows = 2};
    const struct weft_run run = {.inv_targets = 1.0F / 32, .lr = 1e-3, .statistics = true};
    struct weft_loss loss;
    struct weft_step step;
    assert_int_equal(weft_model_grad(m, &b, &run, &loss), WEFT_OK);
    struct weft_param_info p[64];
    const size_t params = weft_model_params(m, p, 64);
    double total = 0;
    for (size_t i = 0; i < params; i++) {
        const size_t n = p[i].shape[0] * (p[i].shape[1] == 0 ? 1 : p[i].shape[1]);
        for (size_t j = 0; j < n; j++) total += (double)p[i].grad[j] * (double)p[i].grad[j];
    }
    const struct weft_param_info *const attn =
        named(p, params, "transformer.h.1.attn.c_attn.weight");
    float old[256];
    memcpy(old, attn->data + 256, sizeof old);
    assert_int_equal(weft_model_update(m, &run, &step), WEFT_OK);
    assert_true(fabs(step.grad_norm - sqrt(total)) <= 1e-6 * step.grad_norm);
    static struct weft_statistic s[512];
    const size_t n = weft_model_statistics(m, s, 512);
    assert_true(n > 100 && n <= 512);
    expect_key(s, n, old, attn->data + 256, attn->grad + 256);
    assert_true(statistic(s, n, 2, "v", "gnorm") > 0);
    assert_true(statistic(s, n, 0, "mlp_fc", "update_ratio") > 0);
    assert_true(statistic(s, n, 0, "resid", "std") > 0);
    assert_true(statistic(s, n, 2, "attn", "logit_max") > 0);
    expect_histogram(m, named(p, params, "transformer.wte.weight"));
    weft_model_free(m);
    weft_ctx_free(ctx);
}

/* Being watched changes no bit of a training, whatever the threads; heads make up their slice. */
static void test_watch(void **state) {
    (void)state;
    static float plain[16 * 48];
    static struct weft_statistic s[2048];
    int32_t tokens[32];
    for (int i = 0; i < 32; i++) tokens[i] = i * 7 % 50;
    for (int way = 0; way < 3; way++) {
        weft_ctx *const ctx = context(way == 2 ? 3 : 1);
        struct weft_training t = plain_training;
        t.watch = way > 0 ? "all" : NULL;
        t.keep = way == 2;
        weft_model *m = NULL;
        assert_int_equal(weft_gpt2_create(ctx, &small, &t, &m), WEFT_OK);
        assert_int_equal(weft_model_commit(m), WEFT_OK);
        assert_int_equal(weft_model_init(m, &(struct weft_init){.seed = 1}), WEFT_OK);
        struct weft_param_info p[64];
        const size_t params = weft_model_params(m, p, 64);
        for (uint64_t step = 0; step < 3; step++) {
            const struct weft_batch b = {.tokens = tokens, .targets = tokens, .rows = 2};
            const struct weft_run run = {
                .step = step, .inv_targets = 1.0F / 32, .lr = 1e-2, .statistics = true};
            struct weft_loss loss;
            struct weft_step out;
            assert_int_equal(weft_model_grad(m, &b, &run, &loss), WEFT_OK);
            assert_int_equal(weft_model_update(m, &run, &out), WEFT_OK);
        }
        for (size_t i = 0; i < params; i++) {
            if (strcmp(p[i].name, "transformer.h.1.attn.c_attn.weight") != 0) continue;
            if (way == 0) memcpy(plain, p[i].data, sizeof plain);
            assert_memory_equal(plain, p[i].data, sizeof plain);
        }
        const size_t n = weft_model_statistics(m, s, 2048);
        if (way > 0) {
            const double a = statistic(s, n, 1, "q.0", "norm"),
                         b = statistic(s, n, 1, "q.1", "norm");
            const double q = statistic(s, n, 1, "q", "norm");
            assert_true(fabs(sqrt(a * a + b * b) - q) < 1e-9);
            assert_true(statistic(s, n, 2, "attn", "entropy") > 0.9);
            assert_true(statistic(s, n, 0, "mlp_fc", "z_rms") > 0);
            assert_true(statistic(s, n, 0, "mlp_proj", "swallowed") < 0.5);
            assert_true(statistic(s, n, -1, "loss", "logz") > 0);
            assert_true(statistic(s, n, 1, "resid_mid", "rms") >=
                        statistic(s, n, 1, "resid_mid", "std"));
        }
        weft_model_free(m);
        weft_ctx_free(ctx);
    }
}

/* Blocks of a perceptron: without gain the output is that of the net without blocks. */
static void test_blocks(void **state) {
    (void)state;
    static const char *const kinds[] = {"rezero", "residual", "plain"};
    float x[4 * 6];
    const int32_t y[4] = {0, 1, 2, 1};
    double first = 0;
    for (int i = 0; i < 24; i++) x[i] = (float)(i * 5 % 7) - 3;
    for (int way = 0; way < 4; way++) {
        weft_ctx *const ctx = context(1);
        struct weft_mlp_config c = {.inputs = 6, .outputs = 3, .hidden = {8}, .layers = 1};
        const struct weft_training t = {.batch = 4, .watch = "layer", .optim = {.name = "sgd"}};
        c.blocks = way == 0 ? 0 : 70;
        c.block = way == 0 ? NULL : kinds[way - 1];
        weft_model *m = NULL;
        assert_int_equal(weft_mlp_create(ctx, &c, &t, &m), WEFT_OK);
        assert_int_equal(weft_model_commit(m), WEFT_OK);
        assert_int_equal(weft_model_init(m, &(struct weft_init){.name = "lecun-normal", .seed = 1}),
                         WEFT_OK);
        struct weft_param_info p[300];
        const size_t n = weft_model_params(m, p, 300);
        const struct weft_param_info *const out = &p[n - 2];
        for (int i = 0; i < 24; i++) out->data[i] = (float)(i * 3 % 5) - 2;
        const struct weft_batch b = {.inputs = x, .targets = y, .rows = 4};
        const struct weft_run run = {.inv_targets = 0.25F, .lr = 0.1, .statistics = true};
        struct weft_loss loss;
        assert_int_equal(weft_model_grad(m, &b, &run, &loss), WEFT_OK);
        if (way == 0) first = loss.sum;
        assert_true((loss.sum == first) == (way <= 1));
        static struct weft_statistic s[4096];
        const size_t k = weft_model_statistics(m, s, 4096);
        if (way > 1) assert_true(statistic(s, k, 40, "block", "delta_rms") > 0);
        weft_model_free(m);
        weft_ctx_free(ctx);
    }
}

/* What the probes of two micro-batches tell is what those of one batch of both tell. */
static void test_probes_of_micro_batches(void **state) {
    (void)state;
    enum { MOST = 256 };
    static struct weft_statistic one[MOST], two[MOST];
    size_t n[2];
    for (size_t parts = 1; parts <= 2; parts++) {
        weft_ctx *const ctx = context(1);
        weft_model *m = NULL;
        struct weft_training t = plain_training;
        t.batch = 4 / parts;
        t.accumulate = parts;
        assert_int_equal(weft_gpt2_create(ctx, &small, &t, &m), WEFT_OK);
        assert_int_equal(weft_model_commit(m), WEFT_OK);
        assert_int_equal(weft_model_init(m, &(struct weft_init){.name = "gpt2", .seed = 1}),
                         WEFT_OK);
        int32_t tokens[64];
        for (int i = 0; i < 64; i++) tokens[i] = (i * i + 3 * i) % 50;
        for (uint64_t step = 0; step < 2; step++) { /* the second must not remember the first */
            struct weft_loss loss;
            struct weft_step done;
            struct weft_run run = {
                .step = step, .inv_targets = 1.0f / 64, .lr = 0.01, .statistics = true};
            for (size_t p = 0; p < parts; p++) {
                const struct weft_batch b = {.tokens = tokens + p * 64 / parts,
                                             .targets = tokens + p * 64 / parts,
                                             .rows = t.batch};
                run.accumulate = p > 0;
                assert_int_equal(weft_model_grad(m, &b, &run, &loss), WEFT_OK);
            }
            assert_int_equal(weft_model_update(m, &run, &done), WEFT_OK);
        }
        n[parts - 1] = weft_model_statistics(m, parts == 1 ? one : two, MOST);
        weft_model_free(m);
        weft_ctx_free(ctx);
    }
    size_t probes = 0;
    assert_true(n[0] == n[1] && n[0] <= MOST);
    for (size_t i = 0; i < n[0]; i++) {
        assert_string_equal(one[i].kind, two[i].kind);
        assert_true(fabs(one[i].value - two[i].value) <= 1e-4 * fabs(one[i].value) + 1e-7);
        probes += !strcmp(one[i].kind, "logit_max");
    }
    assert_int_equal(probes, small.layers);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_watch),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_probes_of_micro_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
