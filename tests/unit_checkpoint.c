/* Checkpoints: Hugging Face's layout, the same bytes for the same weights, back bit for bit, and no
 * damaged byte that goes unnoticed. */
#include "tests/support/unit.h"
#include <math.h>
#include "train/atomic.h"
#include "train/checkpoint.h"
#include "train/loaded.h"
#include "train/safetensors.h"
#include "train/weights.h"

static const struct weft_shape small = {
    .language = true,
    .gpt2 = {.vocab = 7, .context = 4, .layers = 1, .heads = 2, .width = 4, .act = "gelu_tanh"}};
static const struct weft_training training = {
    .batch = 1, .seq = 4, .optim = {"adamw", 0.9, 0.95, 1e-8, 0.1, 1.0}};
static const struct weft_run_state at = {
    .step = 12, .samples = 24, .seed = 3, .best_step = 10, .best_loss = 1.0 / 3};

/* A model whose parameters and optimizer arrays are all different numbers. */
static weft_model *make_model(const struct weft_shape *shape, uint64_t seed) {
    weft_model *m = NULL;
    assert_int_equal(weft_shape_create(unit_ctx, shape, &training, &m), WEFT_OK);
    assert_int_equal(weft_model_commit(m), WEFT_OK);
    size_t n;
    struct weft_param_info *p = weft_model_param_list(m, &n);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < weft_param_size(&p[i]); k++) {
            p[i].data[k] = (float)unit_random(&seed) * 0x1p-31f - 0.5f;
            p[i].m[k] = (float)unit_random(&seed) * 0x1p-31f;
            p[i].v[k] = (float)unit_random(&seed) * 0x1p-31f;
        }
    free(p);
    return m;
}

static bool same_floats(const float *a, const float *b, size_t n) {
    return memcmp(a, b, n * sizeof *a) == 0;
}

/* moments: compare m and v too */
static bool same_model(const weft_model *a, const weft_model *b, bool moments) {
    size_t n, n_b;
    struct weft_param_info *p = weft_model_param_list(a, &n), *q = weft_model_param_list(b, &n_b);
    bool same = n == n_b;
    for (size_t i = 0; same && i < n; i++) {
        const size_t size = weft_param_size(&p[i]);
        same =
            same_floats(p[i].data, q[i].data, size) &&
            (!moments || (same_floats(p[i].m, q[i].m, size) && same_floats(p[i].v, q[i].v, size)));
    }
    free(p);
    free(q);
    return same;
}

static void save(const weft_model *m, const struct weft_shape *shape, const char *folder) {
    assert_int_equal(weft_make_folder(unit_ctx, folder), WEFT_OK);
    assert_int_equal(weft_checkpoint_save(unit_ctx, folder, m, shape, NULL, &at), WEFT_OK);
}

static void comes_back_bit_for_bit(void **state) {
    (void)state;
    weft_model *a = make_model(&small, 1), *b = make_model(&small, 2);
    struct weft_run_state back;
    save(a, &small, "a");
    assert_false(same_model(a, b, false));
    assert_int_equal(weft_checkpoint_resume(unit_ctx, "a/step-000012", b, &small, NULL, &back),
                     WEFT_OK);
    assert_true(same_model(a, b, true));
    assert_memory_equal(&back, &at, sizeof at);
    assert_int_not_equal(access("a/step-000012.tmp", F_OK), 0);
    weft_model_free(a);
    weft_model_free(b);
}

/* Hugging Face's Conv1D is (in, out): c_attn.weight (C, 3C) tells the two apart. */
static void layout_of_conv1d(void **state) {
    (void)state;
    weft_model *m = make_model(&small, 1);
    weft_st_file *file;
    const struct weft_st_entry *e;
    save(m, &small, "layout");
    assert_int_equal(weft_st_open(unit_ctx, "layout/step-000012/model.safetensors", &file),
                     WEFT_OK);
    assert_int_equal(weft_st_get(unit_ctx, file, "transformer.h.0.attn.c_attn.weight", WEFT_ST_F32,
                                 2, (const size_t[]){4, 12}, &e),
                     WEFT_OK);
    size_t n, found = 0;
    struct weft_param_info *p = weft_model_param_list(m, &n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(p[i].name, "transformer.h.0.attn.c_attn.weight") != 0) continue;
        for (size_t in = 0; in < 4; in++)
            for (size_t out = 0; out < 12; out++, found++) {
                float x;
                memcpy(&x, e->data + sizeof x * (in * 12 + out), sizeof x);
                assert_true(x == p[i].data[out * 4 + in]);
            }
    }
    assert_int_equal(found, 48);
    assert_null(weft_st_find(file, "lm_head.weight")); // tied
    assert_non_null(weft_st_find(file, "transformer.wte.weight"));
    free(p);
    weft_st_close(file);
    weft_model_free(m);
}

static void expect_same_file(const char *a, const char *b) {
    size_t n, m;
    char *x = unit_get(a, &n), *y = unit_get(b, &m);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    free(x);
    free(y);
}

static void same_weights_same_bytes(void **state) {
    (void)state;
    weft_model *a = make_model(&small, 1), *b = make_model(&small, 2);
    save(a, &small, "one");
    assert_int_equal(weft_weights_load(unit_ctx, "one/step-000012", b), WEFT_OK);
    save(b, &small, "deeper/other"); // another path, other moments
    expect_same_file("one/step-000012/model.safetensors",
                     "deeper/other/step-000012/model.safetensors");
    expect_same_file("one/step-000012/config.json", "deeper/other/step-000012/config.json");
    weft_model_free(a);
    weft_model_free(b);
}

/* Whatever bit is wrong: refused with one line, or it was one that means nothing. */
static void every_damage_is_seen(const char *path, const weft_model *good, const char *what) {
    struct weft_run_state back;
    size_t size, refused = 0;
    char *bytes = unit_get(path, &size);
    weft_model *m = make_model(&small, 2);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (char)(bytes[i] ^ (1 << i % 7));
        unit_put(path, bytes, size);
        bytes[i] = (char)(bytes[i] ^ (1 << i % 7));
        const enum weft_status st =
            weft_checkpoint_resume(unit_ctx, "d/step-000012", m, &small, NULL, &back);
        if (st == WEFT_OK) {
            if (!same_model(m, good, true) || memcmp(&back, &at, sizeof at) != 0)
                fail_msg("%s: a change of byte %zu goes unnoticed", what, i);
        } else {
            refused++;
            unit_says("d/step-000012/");
        }
    }
    for (size_t n = 0; n < size; n += 1 + n / 7) {
        unit_put(path, bytes, n);
        assert_int_not_equal(
            weft_checkpoint_resume(unit_ctx, "d/step-000012", m, &small, NULL, &back), WEFT_OK);
        unit_says("d/step-000012/");
    }
    unit_put(path, bytes, size);
    assert_true(refused > size / 2);
    weft_model_free(m);
    free(bytes);
}

static void damaged_files(void **state) {
    (void)state;
    weft_model *good = make_model(&small, 1);
    save(good, &small, "d");
    every_damage_is_seen("d/step-000012/model.safetensors", good, "model.safetensors");
    every_damage_is_seen("d/step-000012/state.safetensors", good, "state.safetensors");
    weft_model_free(good);
}

static void missing_files(void **state) {
    (void)state;
    weft_model *m = make_model(&small, 1);
    struct weft_run_state back;
    static const char *const names[] = {"config.json", "model.safetensors", "state.safetensors"};
    for (size_t i = 0; i < 3; i++) {
        save(m, &small, "gone");
        char path[64];
        snprintf(path, sizeof path, "gone/step-000012/%s", names[i]);
        assert_int_equal(unlink(path), 0);
        assert_int_not_equal(
            weft_checkpoint_resume(unit_ctx, "gone/step-000012", m, &small, NULL, &back), WEFT_OK);
        unit_says(names[i]);
    }
    weft_model_free(m);
}

/* config.json with one line in place of another must be refused with these words. */
static void refuse_config(const char *from, const char *to, const char *words) {
    size_t size;
    struct weft_shape shape;
    char *text = unit_get("c/step-000012/config.json", &size), changed[4096];
    const char *place = strstr(text, from);
    assert_non_null(place);
    snprintf(changed, sizeof changed, "%.*s%s%s", (int)(place - text), text, to,
             place + strlen(from));
    unit_put("changed/config.json", changed, strlen(changed));
    assert_int_not_equal(weft_checkpoint_shape(unit_ctx, "changed", &shape), WEFT_OK);
    unit_says("changed/config.json");
    unit_says(words);
    free(text);
}

static void configurations(void **state) {
    (void)state;
    struct weft_shape back, odd = small;
    odd.gpt2.norm = "post";
    odd.gpt2.untied = true;
    odd.gpt2.dropout = 0.25;
    odd.gpt2.act = "relu";
    weft_model *m = make_model(&odd, 1);
    save(m, &odd, "c");
    assert_int_equal(weft_checkpoint_shape(unit_ctx, "c/step-000012", &back), WEFT_OK);
    assert_true(back.gpt2.untied && back.gpt2.dropout == 0.25);
    assert_string_equal(back.gpt2.norm, "post");
    assert_string_equal(back.gpt2.act, "relu");
    assert_int_equal(weft_make_folder(unit_ctx, "changed"), WEFT_OK);
    refuse_config("\"n_head\": 2", "\"n_head\": 3", "n_head is 3, but must be a divisor");
    refuse_config("\"n_layer\": 1", "\"n_layer\": -1", "n_layer is -1");
    refuse_config("\"n_embd\": 4", "\"n_embd\": \"4\"", "n_embd is \"4\"");
    refuse_config("\"vocab_size\": 7,", "", "vocab_size is missing");
    refuse_config("\"relu\"", "\"swish\"", "activation_function is \"swish\"");
    refuse_config("\"n_inner\": null", "\"n_inner\": 8", "n_inner is 8");
    refuse_config("\"gpt2\"", "\"bert\"", "model_type is \"bert\"");
    refuse_config("\"post\"", "\"mid\"", "weft_norm is \"mid\"");
    refuse_config("{", "[", "line 2");
    weft_model_free(m);
}

/* A file of another writer: no checksums, no prefix, masks, the tied head once more. */
static void foreign_files_load(void **state) {
    (void)state;
    weft_model *a = make_model(&small, 1), *b = make_model(&small, 2);
    weft_st_file *file;
    save(a, &small, "f");
    assert_int_equal(weft_st_open(unit_ctx, "f/step-000012/model.safetensors", &file), WEFT_OK);
    const size_t n = weft_st_count(file);
    struct weft_st_tensor *t = calloc(n + 2, sizeof *t);
    for (size_t i = 0; i < n; i++) {
        const struct weft_st_entry *e = weft_st_entry(file, i);
        t[i] = (struct weft_st_tensor){.name = e->name + strlen("transformer."),
                                       .dtype = e->dtype,
                                       .rank = e->rank,
                                       .shape = {e->shape[0], e->shape[1]},
                                       .data = e->data};
    }
    const float mask[16] = {1};
    t[n] = (struct weft_st_tensor){.name = "h.0.attn.bias",
                                   .dtype = WEFT_ST_F32,
                                   .rank = 4,
                                   .shape = {1, 1, 4, 4},
                                   .data = mask};
    t[n + 1] = t[0]; // wte
    t[n + 1].name = "lm_head.weight";
    assert_int_equal(weft_make_folder(unit_ctx, "foreign"), WEFT_OK);
    assert_int_equal(weft_st_write(unit_ctx, "foreign/model.safetensors", t, n + 2, NULL, 0),
                     WEFT_OK);
    assert_int_equal(weft_weights_load(unit_ctx, "foreign", b), WEFT_OK);
    assert_true(same_model(a, b, false));
    t[n].name = "h.1.ln_1.bias"; // of a deeper model
    assert_int_equal(weft_st_write(unit_ctx, "foreign/model.safetensors", t, n + 2, NULL, 0),
                     WEFT_OK);
    assert_int_equal(weft_weights_load(unit_ctx, "foreign", b), WEFT_ERR_FORMAT);
    unit_says("h.1.ln_1.bias is not part of the model");
    free(t);
    weft_st_close(file);
    weft_model_free(a);
    weft_model_free(b);
}

static void perceptrons(void **state) {
    (void)state;
    const struct weft_shape shape = {
        .mlp = {.inputs = 3, .outputs = 2, .hidden = {5, 4}, .layers = 2, .act = "tanh"},
        .unit_pixels = true};
    weft_model *a = make_model(&shape, 1);
    struct weft_loaded l;
    save(a, &shape, "mlp");
    assert_int_equal(weft_loaded_open(unit_ctx, "mlp/step-000012", NULL, &training, &l), WEFT_OK);
    assert_true(same_model(a, l.model, false));
    assert_true(l.shape.unit_pixels && l.shape.mlp.layers == 2 && l.shape.mlp.hidden[1] == 4);
    assert_string_equal(l.shape.mlp.act, "tanh");
    weft_loaded_close(&l);
    weft_model_free(a);
}

/* No room: the earlier checkpoint stays, the half-written one goes. */
static void failing_save(void **state) {
    (void)state;
    weft_model *m = make_model(&small, 1);
    save(m, &small, "full");
    assert_int_equal(weft_make_folder(unit_ctx, "full/step-000013.tmp"), WEFT_OK);
    struct weft_run_state next = at;
    next.step = 13;
    unit_put("full/step-000013", "", 0); // a file where the folder should go
    assert_int_not_equal(weft_checkpoint_save(unit_ctx, "full", m, &small, NULL, &next), WEFT_OK);
    unit_says("full/step-000013");
    assert_int_not_equal(access("full/step-000013.tmp", F_OK), 0);
    assert_int_equal(weft_weights_load(unit_ctx, "full/step-000012", m), WEFT_OK);
    weft_model_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_bit_for_bit),
        cmocka_unit_test(layout_of_conv1d),
        cmocka_unit_test(same_weights_same_bytes),
        cmocka_unit_test(damaged_files),
        cmocka_unit_test(missing_files),
        cmocka_unit_test(configurations),
        cmocka_unit_test(foreign_files_load),
        cmocka_unit_test(perceptrons),
        cmocka_unit_test(failing_save),
    };
    return cmocka_run_group_tests(tests, unit_start, unit_stop);
}
