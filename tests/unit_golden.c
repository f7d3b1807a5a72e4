/* Against PyTorch: a small GPT-2 (gradients, then ten AdamW steps) and every optimizer on an MLP.
 * The files are written by make_golden.py: values in f64, and how far PyTorch's own f32 is from
 * them. Ours may be four times as far in every tensor, or 16 roundings of its largest value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

#define U 0x1p-24

/* ---- reading: the golden files only, so every surprise ends the test ---- */
struct golden {
    char *bytes;
    json_t *header;
    const char *data;
};
struct values {
    const char *raw;
    const char *type; /* "F32", "F64", "I32" */
    size_t n;
};

static struct golden golden_open(const char *file) {
    const char *const source = getenv("WEFT_SOURCE");
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/golden/%s", source ? source : ".", file);
    FILE *const f = fopen(path, "rb");
    if (!f) fail_msg("%s cannot be opened (set WEFT_SOURCE)", path);
    fseek(f, 0, SEEK_END);
    const size_t size = (size_t)ftell(f);
    rewind(f);
    struct golden g = {.bytes = malloc(size)};
    assert_non_null(g.bytes);
    assert_int_equal(fread(g.bytes, 1, size, f), size);
    fclose(f);
    uint64_t n;
    memcpy(&n, g.bytes, sizeof n);
    g.header = json_loadb(g.bytes + 8, n, 0, NULL);
    assert_non_null(g.header);
    g.data = g.bytes + 8 + n;
    return g;
}

static void golden_close(struct golden *g) {
    json_decref(g->header);
    free(g->bytes);
}

static struct values golden_get(const struct golden *g, const char *prefix, const char *name) {
    char key[256];
    snprintf(key, sizeof key, "%s%s", prefix, name);
    const json_t *const t = json_object_get(g->header, key);
    if (!t) fail_msg("no tensor %s", key);
    const json_t *const at = json_object_get(t, "data_offsets");
    const size_t from = (size_t)json_integer_value(json_array_get(at, 0));
    const size_t to = (size_t)json_integer_value(json_array_get(at, 1));
    struct values v = {.raw = g->data + from,
                       .type = json_string_value(json_object_get(t, "dtype"))};
    v.n = (to - from) / (strcmp(v.type, "F64") == 0 ? 8 : 4);
    return v;
}

static double value(const struct values *v, size_t i) {
    float f;
    double d;
    int32_t k;
    if (strcmp(v->type, "F64") == 0) return memcpy(&d, v->raw + 8 * i, 8), d;
    if (strcmp(v->type, "F32") == 0) return memcpy(&f, v->raw + 4 * i, 4), (double)f;
    return memcpy(&k, v->raw + 4 * i, 4), (double)k;
}

/* ---- parameters: files hold Conv1D weights as (in, out) ---- */
static size_t file_index(const struct weft_param_info *p, size_t i) {
    if (!p->transposed || p->shape[1] == 0) return i;
    return i % p->shape[1] * p->shape[0] + i / p->shape[1];
}

static size_t param_size(const struct weft_param_info *p) {
    return p->shape[0] * (p->shape[1] ? p->shape[1] : 1);
}

static void load(weft_model *m, const struct golden *g) {
    struct weft_param_info p[64];
    const size_t n = weft_model_params(m, p, 64);
    assert_in_range(n, 1, 64);
    for (size_t k = 0; k < n; k++) {
        const struct values v = golden_get(g, "init/", p[k].name);
        assert_int_equal(v.n, param_size(&p[k]));
        for (size_t i = 0; i < v.n; i++) p[k].data[i] = (float)value(&v, file_index(&p[k], i));
    }
}

static double bound_of(const struct golden *g, const char *key, const struct values *want) {
    const struct values err = golden_get(g, "err/", key);
    double largest = 0;
    for (size_t i = 0; i < want->n; i++) largest = fmax(largest, fabs(value(want, i)));
    return fmax(4 * value(&err, 0), 16 * U * largest);
}

/* A key's bias has a gradient of 0 but for rounding, of which AdamW makes steps of any size up to
 * the learning rate: it may be anywhere that ten steps can reach. */
static bool is_key_bias(const struct weft_param_info *p, size_t i) {
    const char *const tail = strstr(p->name, "c_attn.bias");
    return tail && i / (p->shape[0] / 3) == 1;
}

static void compare(weft_model *m, const struct golden *g, const char *prefix, bool grads) {
    struct weft_param_info p[64];
    const size_t n = weft_model_params(m, p, 64);
    for (size_t k = 0; k < n; k++) {
        char key[256];
        snprintf(key, sizeof key, "%s%s", prefix, p[k].name);
        const struct values want = golden_get(g, "", key);
        const double bound = bound_of(g, key, &want);
        assert_int_equal(want.n, param_size(&p[k]));
        for (size_t i = 0; i < want.n; i++) {
            const float *const all = grads ? p[k].grad : p[k].data;
            const double got = all ? (double)all[i] : 0; /* what no program uses has no gradient */
            const double truth = value(&want, file_index(&p[k], i));
            const double tol = !grads && is_key_bias(&p[k], i) ? 0.1 : bound;
            if (!(fabs(got - truth) <= tol))
                fail_msg("%s[%zu] is %.9g, PyTorch has %.9g, bound %.3g", key, i, got, truth, tol);
        }
    }
}

static void compare_number(const struct golden *g, const char *key, size_t i, double got) {
    const struct values want = golden_get(g, "", key);
    const double bound = bound_of(g, key, &want);
    if (!(fabs(got - value(&want, i)) <= bound))
        fail_msg("%s of step %zu is %.9g, PyTorch has %.9g, bound %.3g", key, i, got,
                 value(&want, i), bound);
}

static weft_ctx *context(void) {
    weft_ctx *ctx = NULL;
    assert_int_equal(weft_ctx_create(NULL, &ctx), WEFT_OK);
    return ctx;
}

static void must(weft_ctx *ctx, enum weft_status st) {
    if (st != WEFT_OK) fail_msg("%s: %s", weft_status_text(st), weft_ctx_message(ctx));
}

/* ---- GPT-2 ---- */
enum { BATCH = 2, SEQ = 16, STEPS = 10 };

static weft_model *gpt2_create(weft_ctx *ctx, const struct golden *g, const char *norm) {
    const struct values h = golden_get(g, "", "hyper");
    const struct weft_gpt2_config config = {.vocab = 65,
                                            .context = SEQ,
                                            .layers = 2,
                                            .heads = (size_t)value(&h, 5),
                                            .width = 32,
                                            .norm = norm};
    const struct weft_training training = {.batch = BATCH,
                                           .seq = SEQ,
                                           .optim = {.name = "adamw",
                                                     .beta1 = value(&h, 0),
                                                     .beta2 = value(&h, 1),
                                                     .eps = value(&h, 2),
                                                     .weight_decay = value(&h, 3),
                                                     .clip = value(&h, 4)}};
    weft_model *m = NULL;
    must(ctx, weft_gpt2_create(ctx, &config, &training, &m));
    must(ctx, weft_model_commit(m));
    load(m, g);
    return m;
}

/* The batches are start's, what must come out is g's. */
static void gpt2_gradient(weft_ctx *ctx, weft_model *m, const struct golden *start,
                          const struct golden *g, size_t step, const struct weft_run *run) {
    const struct values t = golden_get(start, "", "tokens");
    int32_t tokens[BATCH * SEQ];
    int32_t targets[BATCH * SEQ];
    for (size_t i = 0; i < BATCH * SEQ; i++) {
        const size_t at = (step * BATCH + i / SEQ) * (SEQ + 1) + i % SEQ;
        tokens[i] = (int32_t)value(&t, at);
        targets[i] = (int32_t)value(&t, at + 1);
    }
    const struct weft_batch batch = {.tokens = tokens, .targets = targets, .rows = BATCH};
    struct weft_loss loss = {0};
    must(ctx, weft_model_grad(m, &batch, run, &loss));
    assert_int_equal(loss.count, BATCH * SEQ);
    compare_number(g, "losses", step, loss.sum / (BATCH * SEQ));
}

static void test_gpt2(void **state) {
    (void)state;
    struct golden g = golden_open("gpt2.safetensors");
    weft_ctx *const ctx = context();
    weft_model *const m = gpt2_create(ctx, &g, "pre");
    const struct values lr = golden_get(&g, "", "lr");
    for (size_t step = 0; step < STEPS; step++) {
        const struct weft_run run = {
            .step = step, .inv_targets = 1.0F / (BATCH * SEQ), .lr = value(&lr, step)};
        gpt2_gradient(ctx, m, &g, &g, step, &run);
        if (step == 0) compare(m, &g, "grad/", true);
        struct weft_step taken = {0};
        must(ctx, weft_model_update(m, &run, &taken));
        compare_number(&g, "grad_norms", step, taken.grad_norm);
        if (step == 0) compare(m, &g, "step1/", false);
    }
    compare(m, &g, "step10/", false);
    weft_model_free(m);
    weft_ctx_free(ctx);
    golden_close(&g);
}

/* Post-norm from the same start, on the same batches. */
static void test_gpt2_post(void **state) {
    (void)state;
    struct golden start = golden_open("gpt2.safetensors"), g = golden_open("gpt2_post.safetensors");
    weft_ctx *const ctx = context();
    weft_model *const m = gpt2_create(ctx, &start, "post");
    const struct values lr = golden_get(&start, "", "lr");
    for (size_t step = 0; step < STEPS; step++) {
        const struct weft_run run = {
            .step = step, .inv_targets = 1.0F / (BATCH * SEQ), .lr = value(&lr, step)};
        gpt2_gradient(ctx, m, &start, &g, step, &run);
        if (step == 0) compare(m, &g, "grad/", true);
        struct weft_step taken = {0};
        must(ctx, weft_model_update(m, &run, &taken));
        compare_number(&g, "grad_norms", step, taken.grad_norm);
    }
    weft_model_free(m);
    weft_ctx_free(ctx);
    golden_close(&g);
    golden_close(&start);
}

/* ---- optimizers ---- */
enum { ROWS = 16, INPUTS = 6 };

static void optimizer(weft_ctx *ctx, const struct golden *g, const char *kind) {
    char key[64];
    snprintf(key, sizeof key, "%s/hyper", kind);
    const struct values h = golden_get(g, "", key);
    const struct weft_mlp_config config = {
        .inputs = INPUTS, .outputs = 3, .hidden = {9}, .layers = 1, .act = "tanh"};
    const struct weft_training training = {.batch = ROWS,
                                           .optim = {.name = kind,
                                                     .beta1 = value(&h, 1),
                                                     .beta2 = value(&h, 2),
                                                     .eps = value(&h, 3),
                                                     .weight_decay = value(&h, 4)}};
    weft_model *m = NULL;
    must(ctx, weft_mlp_create(ctx, &config, &training, &m));
    must(ctx, weft_model_commit(m));
    load(m, g);
    const struct values x = golden_get(g, "", "inputs");
    const struct values t = golden_get(g, "", "targets");
    float inputs[ROWS * INPUTS];
    int32_t targets[ROWS];
    for (size_t i = 0; i < ROWS * INPUTS; i++) inputs[i] = (float)value(&x, i);
    for (size_t i = 0; i < ROWS; i++) targets[i] = (int32_t)value(&t, i);
    const struct weft_batch batch = {.inputs = inputs, .targets = targets, .rows = ROWS};
    snprintf(key, sizeof key, "%s/losses", kind);
    for (size_t step = 0; step < STEPS; step++) {
        const struct weft_run run = {.step = step, .inv_targets = 1.0F / ROWS, .lr = value(&h, 0)};
        struct weft_loss loss = {0};
        struct weft_step taken = {0};
        must(ctx, weft_model_grad(m, &batch, &run, &loss));
        compare_number(g, key, step, loss.sum / ROWS);
        must(ctx, weft_model_update(m, &run, &taken));
    }
    snprintf(key, sizeof key, "%s/final/", kind);
    compare(m, g, key, false);
    weft_model_free(m);
}

static void test_optimizers(void **state) {
    (void)state;
    static const char *const kinds[] = {"sgd",  "momentum", "nesterov", "rmsprop",
                                        "adam", "adamw",    "nadam"};
    struct golden g = golden_open("optim.safetensors");
    weft_ctx *const ctx = context();
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) optimizer(ctx, &g, kinds[i]);
    weft_ctx_free(ctx);
    golden_close(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gpt2),
                                       cmocka_unit_test(test_gpt2_post),
                                       cmocka_unit_test(test_optimizers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
