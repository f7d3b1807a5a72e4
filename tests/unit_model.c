/* Models: configurations that cannot be, batches that do not fit, what training and
 * initialisation must not get wrong. (Statistics: unit_model_watch.c.) */
#include "tests/support/small_model.h"

/* Creating must fail with this status and a message that holds both words. */
static void expect_gpt2(struct weft_gpt2_config c, struct weft_training t, enum weft_status st,
                        const char *word, const char *other) {
    weft_ctx *const ctx = context(1);
    weft_model *m = NULL;
    assert_int_equal(weft_gpt2_create(ctx, &c, &t, &m), st);
    assert_null(m);
    assert_non_null(strstr(weft_ctx_message(ctx), word));
    assert_non_null(strstr(weft_ctx_message(ctx), other));
    weft_ctx_free(ctx);
}

static void test_bad_configs(void **state) {
    (void)state;
    struct weft_gpt2_config c = small;
    struct weft_training t = plain_training;
    c.heads = 3;
    expect_gpt2(c, t, WEFT_ERR_SHAPE, "3 heads", "width 16");
    c = small;
    c.layers = 0;
    expect_gpt2(c, t, WEFT_ERR_ARG, "layers", "0");
    c = small;
    c.width = 512;
    expect_gpt2(c, t, WEFT_ERR_SHAPE, "head size 256", "128");
    c = small;
    c.dropout = 1;
    expect_gpt2(c, t, WEFT_ERR_ARG, "dropout", "1");
    c = small;
    c.act = "sine";
    expect_gpt2(c, t, WEFT_ERR_ARG, "activation", "sine");
    t.seq = 33;
    expect_gpt2(small, t, WEFT_ERR_SHAPE, "33", "32");
    t = plain_training;
    t.optim.name = "adamax";
    expect_gpt2(small, t, WEFT_ERR_ARG, "optimizer", "adamax");
    t = plain_training;
    t.accumulate = 3;
    t.grad_groups = 2;
    expect_gpt2(small, t, WEFT_ERR_ARG, "3", "2");
}

static void test_too_large(void **state) {
    (void)state;
    struct weft_gpt2_config c = small;
    c.layers = 100;
    c.width = 12800;
    c.heads = 100;
    weft_ctx *const ctx = context(1);
    weft_model *m = NULL;
    enum weft_status st = weft_gpt2_create(ctx, &c, &plain_training, &m);
    if (st == WEFT_OK) st = weft_model_commit(m);
    assert_int_equal(st, WEFT_ERR_NOMEM);
    assert_non_null(strstr(weft_ctx_message(ctx), "GB"));
    weft_model_free(m);
    weft_ctx_free(ctx);
}

static void test_bad_batches(void **state) {
    (void)state;
    weft_ctx *const ctx = context(1);
    weft_model *m = NULL;
    assert_int_equal(weft_gpt2_create(ctx, &small, &plain_training, &m), WEFT_OK);
    int32_t tokens[32] = {0}, targets[32];
    for (int i = 0; i < 32; i++) targets[i] = i + 1;
    struct weft_batch b = {.tokens = tokens, .targets = targets, .rows = 2};
    const struct weft_run run = {.inv_targets = 1.0F / 32, .lr = 1e-3};
    struct weft_loss loss;
    assert_int_equal(weft_model_grad(m, &b, &run, &loss), WEFT_ERR_STATE); /* not committed */
    assert_int_equal(weft_model_commit(m), WEFT_OK);
    assert_int_equal(weft_model_commit(m), WEFT_ERR_STATE);
    const struct weft_init init = {.seed = 1}, odd = {.name = "magic"};
    assert_int_equal(weft_model_init(m, &odd), WEFT_ERR_ARG);
    assert_int_equal(weft_model_init(m, &init), WEFT_OK);
    assert_int_equal(weft_model_grad(m, &b, &run, &loss), WEFT_OK);
    assert_true(fabs(loss.sum / 32 - log(50)) < 0.2); /* fresh weights know nothing */
    tokens[17] = 50;
    assert_int_equal(weft_model_grad(m, &b, &run, &loss), WEFT_ERR_ARG);
    assert_non_null(strstr(weft_ctx_message(ctx), "element 17 of input tokens is 50"));
    tokens[17] = 0;
    targets[3] = -2;
    assert_int_equal(weft_model_grad(m, &b, &run, &loss), WEFT_ERR_ARG);
    targets[3] = -1;
    assert_int_equal(weft_model_grad(m, &b, &run, &loss), WEFT_OK);
    assert_int_equal(loss.count, 31);
    b.rows = 3;
    assert_int_equal(weft_model_grad(m, &b, &run, &loss), WEFT_ERR_ARG);
    b.rows = 1;
    assert_int_equal(weft_model_grad(m, &b, &run, &loss), WEFT_OK);
    float logits[50];
    assert_int_equal(weft_model_infer(m, tokens, 1, 0, logits), WEFT_ERR_STATE);
    weft_model_free(m);
    weft_ctx_free(ctx);
}

/* A NaN in a weight stops the run, and the message names where it first shows. */
static void test_nonfinite(void **state) {
    (void)state;
    weft_ctx *const ctx = context(2);
    weft_model *m = NULL;
    assert_int_equal(weft_gpt2_create(ctx, &small, &plain_training, &m), WEFT_OK);
    assert_int_equal(weft_model_commit(m), WEFT_OK);
    const struct weft_init init = {.seed = 1};
    assert_int_equal(weft_model_init(m, &init), WEFT_OK);
    struct weft_param_info p[64];
    const size_t n = weft_model_params(m, p, 64);
    assert_int_equal(weft_model_check_finite(m), WEFT_OK);
    for (size_t i = 0; i < n; i++)
        if (strcmp(p[i].name, "transformer.h.1.mlp.c_fc.weight") == 0) p[i].data[5] = NAN;
    assert_int_equal(weft_model_check_finite(m), WEFT_ERR_NONFINITE);
    assert_non_null(strstr(weft_ctx_message(ctx), "transformer.h.1.mlp.c_fc.weight"));
    const int32_t tokens[32] = {0};
    const struct weft_batch b = {.tokens = tokens, .targets = tokens, .rows = 2};
    const struct weft_run run = {.inv_targets = 1.0F / 32, .lr = 1e-3};
    struct weft_loss loss;
    assert_int_equal(weft_model_grad(m, &b, &run, &loss), WEFT_ERR_NONFINITE);
    assert_non_null(strstr(weft_ctx_message(ctx), "h1.linear"));
    assert_non_null(strstr(weft_ctx_message(ctx), "transformer.h.1.mlp.c_fc.weight"));
    struct weft_step step;
    memset(p[0].grad, 0, sizeof(float));
    p[0].grad[0] = INFINITY;
    const float before = p[3].data[0];
    assert_int_equal(weft_model_update(m, &run, &step), WEFT_ERR_NONFINITE);
    assert_true(p[3].data[0] == before); /* nothing was changed */
    weft_model_free(m);
    weft_ctx_free(ctx);
}

/* Without a norm and with gains at 0 every block is the identity; other places give other losses.
 */
static void test_placements(void **state) {
    (void)state;
    static const char *const norms[] = {"pre", "post", "branch", "none", "none"};
    int32_t tokens[32];
    double sum[5];
    for (int i = 0; i < 32; i++) tokens[i] = i * 7 % 50;
    for (int way = 0; way < 5; way++) {
        weft_ctx *const ctx = context(1);
        struct weft_gpt2_config c = small;
        c.norm = norms[way];
        c.rezero = way == 4;
        c.scales = way == 0;
        weft_model *m = NULL;
        assert_int_equal(weft_gpt2_create(ctx, &c, &plain_training, &m), WEFT_OK);
        assert_int_equal(weft_model_commit(m), WEFT_OK);
        assert_int_equal(weft_model_init(m, &(struct weft_init){.seed = 1}), WEFT_OK);
        const struct weft_batch b = {.tokens = tokens, .targets = tokens, .rows = 2};
        const struct weft_run run = {.inv_targets = 1.0F / 32, .lr = 1e-3};
        struct weft_loss loss;
        struct weft_step step;
        assert_int_equal(weft_model_grad(m, &b, &run, &loss), WEFT_OK);
        struct weft_param_info p[96];
        const size_t n = weft_model_params(m, p, 96);
        for (size_t i = 0; i < n; i++) {
            if (way == 4 && strstr(p[i].name, "attn.gain")) assert_true(p[i].data[0] == 0);
            if (way == 4 && strstr(p[i].name, "attn.gain")) assert_true(p[i].grad[0] != 0);
            if (way == 4 && strstr(p[i].name, "c_proj.weight")) assert_true(p[i].grad[0] == 0);
            if (way == 0 && strstr(p[i].name, "head_scale")) assert_true(p[i].data[5] == 1);
            if (way == 0 && strstr(p[i].name, "head_scale")) assert_true(p[i].grad[5] != 0);
            assert_true(way < 3 || strstr(p[i].name, "ln_") == NULL);
        }
        assert_int_equal(weft_model_update(m, &run, &step), WEFT_OK);
        sum[way] = loss.sum;
        for (int i = 0; i < way; i++) assert_true(sum[i] != loss.sum);
        weft_model_free(m);
        weft_ctx_free(ctx);
    }
    struct weft_gpt2_config c = small;
    c.norm = "middle";
    expect_gpt2(c, plain_training, WEFT_ERR_ARG, "middle", "branch");
}

static void test_init_schemes(void **state) {
    (void)state;
    weft_ctx *const ctx = context(1);
    const struct weft_mlp_config c = {
        .inputs = 300, .outputs = 10, .hidden = {200, 400}, .layers = 2};
    const struct weft_training t = {.batch = 4};
    const struct {
        const char *name;
        double std;
    } want[] = {
        /* of the second layer (400, 200) */
        {"xavier-normal", sqrt(2.0 / 600)},
        {"xavier-uniform", sqrt(2.0 / 600)},
        {"kaiming-normal", sqrt(2.0 / 200)},
        {"kaiming-uniform", sqrt(2.0 / 200)},
        {"kaiming-fanout-normal", sqrt(2.0 / 400)},
        {"kaiming-fanout-uniform", sqrt(2.0 / 400)},
        {"lecun-normal", sqrt(1.0 / 200)},
        {"lecun-uniform", sqrt(1.0 / 200)},
        {"normal", 0.05},
        {"zeros", 0},
        {"orthogonal", sqrt(2.0 / 400)},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        weft_model *m = NULL;
        assert_int_equal(weft_mlp_create(ctx, &c, &t, &m), WEFT_OK);
        assert_int_equal(weft_model_commit(m), WEFT_OK);
        const struct weft_init init = {.name = want[i].name, .std = 0.05, .seed = 9};
        assert_int_equal(weft_model_init(m, &init), WEFT_OK);
        struct weft_param_info p[6];
        assert_int_equal(weft_model_params(m, p, 6), 6);
        double sq = 0, dot = 0;
        for (size_t j = 0; j < 80000; j++) sq += (double)p[2].data[j] * (double)p[2].data[j];
        assert_true(fabs(sqrt(sq / 80000) - want[i].std) <= 0.01 * want[i].std);
        if (strcmp(want[i].name, "orthogonal") == 0) { /* columns 3 and 8 of (400, 200) */
            for (size_t r = 0; r < 400; r++)
                dot += (double)p[2].data[r * 200 + 3] * (double)p[2].data[r * 200 + 8];
            assert_true(fabs(dot) < 1e-5);
        }
        assert_true(p[3].data[0] == 0);
        weft_model_free(m);
    }
    weft_ctx_free(ctx);
}

static void test_context(void **state) {
    (void)state;
    char message[WEFT_MESSAGE_MAX];
    weft_ctx *ctx = NULL;
    struct weft_ctx_options o = {.threads = 10000, .message = message};
    assert_int_equal(weft_ctx_create(&o, &ctx), WEFT_ERR_ARG);
    assert_non_null(strstr(message, "1024"));
    o = (struct weft_ctx_options){.isa = "sse9", .message = message};
    assert_int_equal(weft_ctx_create(&o, &ctx), WEFT_ERR_ISA);
    assert_non_null(strstr(message, "emu"));
    assert_null(ctx);
    assert_string_equal(weft_status_text(WEFT_ERR_NOMEM), "out of memory");
}

/* The mean squared error of every sample, whatever the signs of the weights. */
static void test_mse_loss(void **state) {
    (void)state;
    enum { ROWS = 7, IN = 3, OUT = 2 };
    weft_ctx *const ctx = context(2);
    weft_model *m = NULL;
    const struct weft_mlp_config c = {.inputs = IN, .outputs = OUT, .mse = true};
    const struct weft_training t = {.batch = ROWS, .optim = {"sgd"}};
    assert_int_equal(weft_mlp_create(ctx, &c, &t, &m), WEFT_OK);
    assert_int_equal(weft_model_commit(m), WEFT_OK);
    assert_int_equal(weft_model_init(m, &(struct weft_init){.name = "normal", .std = 1, .seed = 3}),
                     WEFT_OK);
    float x[ROWS * IN], y[ROWS * OUT];
    for (int i = 0; i < ROWS * IN; i++) x[i] = (float)(i % 5) - 2;
    for (int i = 0; i < ROWS * OUT; i++) y[i] = (float)(i % 3) - 1;
    struct weft_param_info p[2];
    assert_int_equal(weft_model_params(m, p, 2), 2);
    double want = 0;
    for (int r = 0; r < ROWS; r++)
        for (int j = 0; j < OUT; j++) {
            double z = (double)p[1].data[j];
            for (int i = 0; i < IN; i++) z += (double)(x[r * IN + i] * p[0].data[j * IN + i]);
            want += (z - (double)y[r * OUT + j]) * (z - (double)y[r * OUT + j]) / OUT;
        }
    const struct weft_batch b = {.inputs = x, .values = y, .rows = ROWS};
    const struct weft_run run = {.inv_targets = 1.0f / ROWS, .lr = 0.1};
    struct weft_loss loss;
    assert_int_equal(weft_model_grad(m, &b, &run, &loss), WEFT_OK);
    assert_int_equal(loss.count, ROWS);
    assert_int_equal(loss.correct, 0);
    assert_true(fabs(loss.sum - want) < 1e-5 * want);
    assert_int_equal(weft_model_eval(m, &b, &loss), WEFT_OK);
    assert_true(loss.count == ROWS && fabs(loss.sum - want) < 1e-5 * want);
    weft_model_free(m);
    weft_ctx_free(ctx);
}

/* Groups of one micro-batch: the gradient is the micro-batches' gradients, folded by hand. */
static void test_gradient_groups(void **state) {
    (void)state;
    enum { PARTS = 3, MOST = 64 };
    weft_ctx *const ctx = context(2);
    struct weft_training alone = plain_training, grouped = plain_training;
    grouped.accumulate = grouped.grad_groups = PARTS;
    weft_model *a = NULL, *g = NULL;
    assert_int_equal(weft_gpt2_create(ctx, &small, &alone, &a), WEFT_OK);
    assert_int_equal(weft_gpt2_create(ctx, &small, &grouped, &g), WEFT_OK);
    assert_int_equal(weft_model_commit(a), WEFT_OK);
    assert_int_equal(weft_model_commit(g), WEFT_OK);
    const struct weft_init init = {.name = "gpt2", .seed = 2};
    assert_int_equal(weft_model_init(a, &init), WEFT_OK);
    assert_int_equal(weft_model_init(g, &init), WEFT_OK);
    struct weft_param_info pa[MOST], pg[MOST];
    const size_t params = weft_model_params(a, pa, MOST);
    assert_int_equal(weft_model_params(g, pg, MOST), params);
    float *sum[MOST];
    for (size_t i = 0; i < params; i++)
        sum[i] = calloc(pa[i].shape[0] * (pa[i].shape[1] ? pa[i].shape[1] : 1), sizeof(float));
    for (int part = 0; part < PARTS; part++) {
        int32_t tokens[32], targets[32];
        for (int i = 0; i < 32; i++) tokens[i] = (i * 7 + part) % 50, targets[i] = (i + part) % 50;
        const struct weft_batch b = {.tokens = tokens, .targets = targets, .rows = 2};
        const struct weft_run run = {.sample = (uint64_t)(2 * part), .inv_targets = 1.0f / 96};
        struct weft_loss loss;
        assert_int_equal(weft_model_grad(a, &b, &run, &loss), WEFT_OK);
        assert_int_equal(weft_model_grad(g, &b, &run, &loss), WEFT_OK);
        assert_int_equal(weft_model_fold(g, part == 0), WEFT_OK);
        for (size_t i = 0; i < params; i++)
            for (size_t j = 0; j < pa[i].shape[0] * (pa[i].shape[1] ? pa[i].shape[1] : 1); j++)
                sum[i][j] += pa[i].grad[j];
    }
    for (size_t i = 0; i < params; i++) {
        assert_memory_equal(sum[i], pg[i].grad,
                            pa[i].shape[0] * (pa[i].shape[1] ? pa[i].shape[1] : 1) * sizeof(float));
        free(sum[i]);
    }
    weft_model_free(a);
    weft_model_free(g);
    weft_ctx_free(ctx);
}

static double first_residual_std(weft_model *m) {
    struct weft_statistic s[512];
    const size_t n = weft_model_statistics(m, s, 512);
    for (size_t i = 0; i < n && i < 512; i++)
        if (s[i].layer == 0 && !strcmp(s[i].tensor, "resid") && !strcmp(s[i].kind, "std"))
            return s[i].value;
    return 0;
}

/* Dropout with probability p keeps the mean of the embedding and divides its variance by 1 - p. */
static void test_embedding_dropout(void **state) {
    (void)state;
    double std[2];
    for (int i = 0; i < 2; i++) {
        weft_ctx *const ctx = context(1);
        weft_model *m = NULL;
        struct weft_gpt2_config c = small;
        c.width = 128;
        c.dropout = i == 0 ? 0 : 0.5;
        assert_int_equal(weft_gpt2_create(ctx, &c, &plain_training, &m), WEFT_OK);
        assert_int_equal(weft_model_commit(m), WEFT_OK);
        assert_int_equal(weft_model_init(m, &(struct weft_init){.name = "gpt2", .seed = 1}),
                         WEFT_OK);
        int32_t tokens[32];
        for (int j = 0; j < 32; j++) tokens[j] = j;
        const struct weft_batch b = {.tokens = tokens, .targets = tokens, .rows = 2};
        const struct weft_run run = {.inv_targets = 1.0f / 32, .statistics = true};
        struct weft_loss loss;
        assert_int_equal(weft_model_grad(m, &b, &run, &loss), WEFT_OK);
        std[i] = first_residual_std(m);
        weft_model_free(m);
        weft_ctx_free(ctx);
    }
    assert_true(fabs(std[1] / std[0] - sqrt(2)) < 0.08); /* 4096 values: 4 standard errors */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_configs),     cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_bad_batches),     cmocka_unit_test(test_nonfinite),
        cmocka_unit_test(test_placements),      cmocka_unit_test(test_init_schemes),
        cmocka_unit_test(test_context),         cmocka_unit_test(test_mse_loss),
        cmocka_unit_test(test_gradient_groups), cmocka_unit_test(test_embedding_dropout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
