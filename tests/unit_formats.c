/* Models in other programs' files: half precision rounds to nearest, shards and llm.c's files come
 * back, GGUF is laid out as its readers expect, and damage of any kind is refused with one line. */
#include <math.h>
#include "tests/support/unit.h"
#include "train/atomic.h"
#include "train/convert.h"
#include "train/gguf.h"
#include "train/weights.h"
#include "weft/half.h"

static const struct weft_shape small = {
    .language = true,
    .gpt2 = {.vocab = 300, .context = 8, .layers = 2, .heads = 2, .width = 32, .act = "gelu_tanh"}};

static weft_model *make_model(const struct weft_shape *shape, uint64_t seed) {
    weft_model *m = NULL;
    assert_int_equal(weft_shape_create(unit_ctx, shape, NULL, &m), WEFT_OK);
    assert_int_equal(weft_model_commit(m), WEFT_OK);
    size_t n;
    struct weft_param_info *p = weft_model_param_list(m, &n);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < weft_param_size(&p[i]); k++)
            p[i].data[k] = (float)unit_random(&seed) * 0x1p-31f - 0.5f;
    free(p);
    return m;
}

/* The same numbers, after rounding those of a. */
static bool same_model(const weft_model *a, const weft_model *b, enum weft_st_dtype dtype) {
    size_t n;
    struct weft_param_info *p = weft_model_param_list(a, &n), *q = weft_model_param_list(b, &n);
    bool same = n > 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < weft_param_size(&p[i]); k++) {
            float x = p[i].data[k];
            if (dtype == WEFT_ST_F16) x = weft_f16_load(weft_f16_round(x));
            if (dtype == WEFT_ST_BF16) x = weft_bf16_load(weft_bf16_round(x));
            same &= x == q[i].data[k];
        }
    free(p);
    free(q);
    return same;
}

/* ---- half precision ---- */

/* The neighbour that is nearest, of two the even one, by search. */
static void half_precision(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        const float f = weft_f16_load((uint16_t)h), b = weft_bf16_load((uint16_t)h);
        assert_int_equal(isnan(f), (h & 0x7fff) > 0x7c00);
        assert_int_equal(isnan(b), (h & 0x7fff) > 0x7f80);
        if (!isnan(f)) assert_int_equal(weft_f16_round(f), h);
        if (!isnan(b)) assert_int_equal(weft_bf16_round(b), h);
        assert_true(isnan(f) ? isnan(weft_f16_load(weft_f16_round(f))) : true);
        assert_true(isnan(b) ? isnan(weft_bf16_load(weft_bf16_round(b))) : true);
        const uint32_t e = h >> 10 & 31, m = h & 1023;
        const double want = e == 31  ? (m ? (double)NAN : (double)INFINITY)
                            : e == 0 ? ldexp(m, -24)
                                     : ldexp(1024 + m, (int)e - 25);
        if (!isnan(f)) assert_true(fabs((double)f) == want && (signbit(f) != 0) == (h >> 15 != 0));
    }
    for (uint32_t h = 0; h < 0x7bff; h++) { // halfway, and just beside it
        const float lo = weft_f16_load((uint16_t)h), hi = weft_f16_load((uint16_t)(h + 1));
        const float mid = lo / 2 + hi / 2;
        assert_int_equal(weft_f16_round(mid), h + (h & 1));
        assert_int_equal(weft_f16_round(nextafterf(mid, 0)), h);
        assert_int_equal(weft_f16_round(nextafterf(mid, 1e9f)), h + 1);
        assert_int_equal(weft_f16_round(-mid), 0x8000 | (h + (h & 1)));
    }
    for (uint32_t h = 0; h < 0x7f7f; h++) {
        const float mid = weft_bits_float(h << 16 | 0x8000);
        assert_int_equal(weft_bf16_round(mid), h + (h & 1));
        assert_int_equal(weft_bf16_round(weft_bits_float(h << 16 | 0x7fff)), h);
        assert_int_equal(weft_bf16_round(weft_bits_float(h << 16 | 0x8001)), h + 1);
    }
    assert_int_equal(weft_f16_round(65519.99f), 0x7bff);
    assert_int_equal(weft_f16_round(65520), 0x7c00);
    assert_int_equal(weft_f16_round(1e30f), 0x7c00);
    assert_int_equal(weft_f16_round(1e-30f), 0);
}

/* ---- folders ---- */

static void folders_of_all_kinds(void **state) {
    (void)state;
    weft_model *a = make_model(&small, 1), *b = make_model(&small, 2);
    static const enum weft_st_dtype dtypes[] = {WEFT_ST_F32, WEFT_ST_F16, WEFT_ST_BF16};
    for (size_t i = 0; i < 6; i++) {
        char dir[16];
        snprintf(dir, sizeof dir, "folder%zu", i);
        const struct weft_saving how = {.dtype = dtypes[i / 2], .shard_bytes = i % 2 ? 20000 : 0};
        assert_int_equal(weft_make_folder(unit_ctx, dir), WEFT_OK);
        assert_int_equal(weft_weights_save(unit_ctx, dir, a, &small, NULL, &how), WEFT_OK);
        char *index = weft_text("%s/model.safetensors.index.json", dir);
        assert_int_equal(access(index, F_OK) == 0, i % 2);
        free(index);
        assert_false(same_model(a, b, how.dtype));
        assert_int_equal(weft_weights_load(unit_ctx, dir, b), WEFT_OK);
        assert_true(same_model(a, b, how.dtype));
        assert_int_equal(weft_model_init(b, &(struct weft_init){.name = "zeros"}), WEFT_OK);
    }
    weft_model_free(a);
    weft_model_free(b);
}

static void hostile_indexes(void **state) {
    (void)state;
    weft_model *m = make_model(&small, 1);
    const struct weft_saving how = {.shard_bytes = 40000};
    assert_int_equal(weft_make_folder(unit_ctx, "index"), WEFT_OK);
    assert_int_equal(weft_weights_save(unit_ctx, "index", m, &small, NULL, &how), WEFT_OK);
    static const char *const cases[][2] = {
        {"", "is empty"},
        {"[]", "no weight_map"},
        {"{\"weight_map\":{}}", "no weight_map"},
        {"{\"weight_map\":{\"a\":1}}", "the file of a is not a text"},
        {"{\"weight_map\":{\"a\":\"../model.safetensors\"}}",
         "is not the name of a file beside it"},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "is not the name of a file beside it"},
        {"{\"weight_map\":{\"a\":\"\"}}", "is not the name of a file beside it"},
        {"{\"weight_map\":{\"a\":\".\"}}", "is not the name of a file beside it"},
        {"{\"weight_map\":{\"a\":\"none.safetensors\"}}", "none.safetensors: cannot be opened"},
        {"{\"weight_map\":{\"a\":\"model.safetensors.index.json\"}}",
         "model.safetensors.index.json: "}, // itself
        {"{\"weight_map\":{\"a\":\"model-00001-of-00004.safetensors\"}}", "has no tensor a"},
        {"{\"weight_map\":{\"transformer.wte.weight\":\"model-00001-of-00004.safetensors\"}}",
         "lists 1 tensors"},
    };
    const char *first = "index/model-00001-of-00004.safetensors";
    for (size_t i = 1; access(first, F_OK) != 0 && i < 9; i++) { // whatever number of them there is
        char *name = weft_text("index/model-00001-of-%05zu.safetensors", i);
        if (access(name, F_OK) == 0) assert_int_equal(rename(name, first), 0);
        free(name);
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unit_put("index/model.safetensors.index.json", cases[i][0], strlen(cases[i][0]));
        assert_int_not_equal(weft_weights_load(unit_ctx, "index", m), WEFT_OK);
        unit_says(cases[i][1]);
    }
    assert_int_equal(weft_make_folder(unit_ctx, "pickle"), WEFT_OK);
    unit_put("pickle/pytorch_model.bin", "x", 1);
    assert_int_equal(weft_weights_load(unit_ctx, "pickle", m), WEFT_ERR_FORMAT);
    unit_says("pytorch_model.bin, which is a program");
    weft_model_free(m);
}

/* Tensors of other types and shapes than they must have. */
static void wrong_tensors(void **state) {
    (void)state;
    weft_model *m = make_model(&small, 1);
    static float zeros[300 * 32];
    struct weft_st_tensor t = {.name = "transformer.wte.weight",
                               .dtype = WEFT_ST_I32,
                               .rank = 2,
                               .shape = {300, 32},
                               .data = zeros};
    assert_int_equal(weft_make_folder(unit_ctx, "wrong"), WEFT_OK);
    assert_int_equal(weft_st_write(unit_ctx, "wrong/model.safetensors", &t, 1, NULL, 0), WEFT_OK);
    assert_int_equal(weft_weights_load(unit_ctx, "wrong", m), WEFT_ERR_DTYPE);
    unit_says("tensor transformer.wte.weight is I32, but must be F32");
    t.dtype = WEFT_ST_F32;
    t.shape[0] = 299;
    assert_int_equal(weft_st_write(unit_ctx, "wrong/model.safetensors", &t, 1, NULL, 0), WEFT_OK);
    assert_int_equal(weft_weights_load(unit_ctx, "wrong", m), WEFT_ERR_SHAPE);
    unit_says("has shape (299, 32), but must have (300, 32)");
    t.shape[0] = 300;
    t.name = "wte.weight";
    assert_int_equal(weft_st_write(unit_ctx, "wrong/model.safetensors", &t, 1, NULL, 0), WEFT_OK);
    assert_int_equal(weft_weights_load(unit_ctx, "wrong", m), WEFT_ERR_FORMAT);
    unit_says("tensor transformer.wpe.weight is missing");
    zeros[77] = NAN;
    assert_int_equal(weft_st_write(unit_ctx, "wrong/model.safetensors", &t, 1, NULL, 0), WEFT_OK);
    assert_int_equal(weft_weights_load(unit_ctx, "wrong", m), WEFT_ERR_FORMAT);
    unit_says("tensor wte.weight has a NaN or Inf");
    zeros[77] = 0;
    weft_model_free(m);
}

/* ---- llm.c ---- */

static void convert(const weft_model *m, const char *to, const char *dtype) {
    const struct weft_loaded from = {.shape = small, .model = (weft_model *)(uintptr_t)m};
    const struct weft_conversion how = {.to = to, .dtype = dtype};
    assert_int_equal(weft_convert(unit_ctx, &from, &how), WEFT_OK);
}

static void files_of_llmc(void **state) {
    (void)state;
    weft_model *m = make_model(&small, 3);
    struct weft_loaded back;
    convert(m, "m.bin", "f32");
    assert_int_equal(weft_loaded_open(unit_ctx, "m.bin", NULL, NULL, &back), WEFT_OK);
    assert_true(same_model(m, back.model, WEFT_ST_F32));
    weft_loaded_close(&back);
    convert(m, "h.bin", "bf16");
    assert_int_equal(weft_loaded_open(unit_ctx, "h.bin", NULL, NULL, &back), WEFT_OK);
    assert_true(same_model(m, back.model, WEFT_ST_BF16));
    weft_loaded_close(&back);
    weft_model_free(m);
}

static void damaged_files_of_llmc(void **state) {
    (void)state;
    weft_model *m = make_model(&small, 3);
    struct weft_loaded back;
    size_t size;
    convert(m, "m.bin", "bf16");
    char *good = unit_get("m.bin", &size);
    static const struct {
        size_t field;
        uint32_t value;
        const char *message;
    } cases[] = {
        {0, 0xc6d73401, "big-endian"},
        {0, 7, "not a model of llm.c"},
        {1, 4, "version 4"},
        {1, 3, "but its header asks for"},
        {2, 0, "number 2 of the header is 0"},
        {3, 0xffffffff, "number 3"},
        {4, 70000, "number 4"},
        {5, 0x7fffffff, "number 5"},
        {6, 64, "but its header asks for"},
        {7, 299, "padded to 299, which is less"},
        {7, 512, "but its header asks for"},
        {5, 3, "heads"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t old;
        memcpy(&old, good + 4 * cases[i].field, 4);
        memcpy(good + 4 * cases[i].field, &cases[i].value, 4);
        unit_put("bad.bin", good, size);
        assert_int_not_equal(weft_loaded_open(unit_ctx, "bad.bin", NULL, NULL, &back), WEFT_OK);
        unit_says(cases[i].message);
        memcpy(good + 4 * cases[i].field, &old, 4);
    }
    for (size_t n = 0; n < size; n += 1 + n / 3) {
        unit_put("bad.bin", good, n);
        assert_int_not_equal(weft_loaded_open(unit_ctx, "bad.bin", NULL, NULL, &back), WEFT_OK);
    }
    good[1024 + 2 * 50] = (char)0x80; // a NaN
    good[1024 + 2 * 50 + 1] = 0x7f;
    good[1024 + 2 * 50] = (char)0xc0;
    unit_put("bad.bin", good, size);
    assert_int_equal(weft_loaded_open(unit_ctx, "bad.bin", NULL, NULL, &back), WEFT_ERR_FORMAT);
    unit_says("transformer.wte.weight has a NaN or Inf");
    free(good);
    weft_model_free(m);
}

static void what_a_format_cannot_say(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct weft_shape shape = small;
        shape.gpt2.untied = i == 0;
        if (i == 1) shape.gpt2.norm = "post";
        if (i == 2) shape.gpt2.act = "relu";
        if (i == 3) shape.gpt2.norm_eps = 1e-6;
        weft_model *m = make_model(&shape, 1);
        const struct weft_loaded from = {.shape = shape, .model = m};
        struct weft_conversion how = {.to = "x.bin", .dtype = "f32"};
        assert_int_equal(weft_convert(unit_ctx, &from, &how), WEFT_ERR_FORMAT);
        unit_says("which llm.c's format cannot say");
        assert_int_not_equal(access("x.bin", F_OK), 0);
        how.to = "x.gguf";
        const bool bad = i == 1 || i == 2;
        assert_int_equal(weft_convert(unit_ctx, &from, &how), bad ? WEFT_ERR_FORMAT : WEFT_OK);
        how.dtype = "q4";
        if (!bad) assert_int_equal(weft_convert(unit_ctx, &from, &how), WEFT_ERR_ARG);
        weft_model_free(m);
    }
}

/* ---- GGUF ---- */

struct cursor {
    const unsigned char *at, *end;
};

static uint64_t number(struct cursor *c, size_t bytes) {
    uint64_t x = 0;
    assert_true((size_t)(c->end - c->at) >= bytes);
    for (size_t i = bytes; i-- > 0;) x = x << 8 | c->at[i];
    c->at += bytes;
    return x;
}

static void text(struct cursor *c, char *out, size_t size) {
    const uint64_t n = number(c, 8);
    assert_true(n < size && n <= (uint64_t)(c->end - c->at));
    memcpy(out, c->at, n);
    out[n] = '\0';
    c->at += n;
}

static void skip_value(struct cursor *c, uint64_t type) {
    static const size_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    char buf[256];
    if (type == 8) {
        text(c, buf, sizeof buf);
    } else if (type == 9) {
        const uint64_t item = number(c, 4), n = number(c, 8);
        for (uint64_t i = 0; i < n; i++) skip_value(c, item);
    } else {
        assert_true(type < 13);
        number(c, sizes[type]);
    }
}

/* The largest error of a tensor, against its parameter. */
static double error_of(const unsigned char *data, uint64_t type, const struct weft_param_info *p) {
    double worst = 0;
    for (size_t i = 0; i < weft_param_size(p); i++) {
        uint16_t h;
        float x;
        if (type == 0) {
            memcpy(&x, data + 4 * i, 4);
        } else if (type == 8) {
            const unsigned char *block = data + i / 32 * 34;
            memcpy(&h, block, 2);
            x = weft_f16_load(h) * (float)(signed char)block[2 + i % 32];
        } else {
            memcpy(&h, data + 2 * i, 2);
            x = type == 1 ? weft_f16_load(h) : weft_bf16_load(h);
        }
        const double e = fabs((double)x - (double)p->data[i]);
        worst = !(e <= worst) ? e : worst;
    }
    return worst;
}

static void layout_of_gguf(void **state) {
    (void)state;
    static const struct {
        const char *dtype;
        double bound; /* of numbers in -0.5..0.5 */
    } types[] = {{"f32", 0},
                 {"f16", 0x1p-12 * 0.5001},
                 {"bf16", 0x1p-9 * 0.5001},
                 {"q8_0", 0.5 / 127 / 2 * 1.13}};
    static const char *const order[] = {"token_embd.weight", "position_embd.weight",
                                        "blk.0.attn_norm.weight"};
    weft_model *m = make_model(&small, 4);
    size_t n, size;
    struct weft_param_info *p = weft_model_param_list(m, &n);
    for (size_t t = 0; t < 4; t++) {
        convert(m, "m.gguf", types[t].dtype);
        unsigned char *file = (unsigned char *)unit_get("m.gguf", &size);
        struct cursor c = {file, file + size};
        char name[256];
        uint64_t type[64], offset[64];
        assert_int_equal(number(&c, 4), 0x46554747); // GGUF
        assert_int_equal(number(&c, 4), 3);
        assert_int_equal(number(&c, 8), n);
        for (uint64_t keys = number(&c, 8); keys > 0; keys--) {
            text(&c, name, sizeof name);
            skip_value(&c, number(&c, 4));
        }
        for (size_t i = 0; i < n; i++) {
            text(&c, name, sizeof name);
            if (i < 3) assert_string_equal(name, order[i]);
            const uint64_t rank = number(&c, 4);
            assert_int_equal(rank, p[i].shape[1] > 0 ? 2 : 1);
            if (rank == 2) assert_int_equal(number(&c, 8), p[i].shape[1]);
            assert_int_equal(number(&c, 8), p[i].shape[0]);
            type[i] = number(&c, 4);
            offset[i] = number(&c, 8);
            assert_int_equal(offset[i] % 32, 0);
        }
        const size_t start = ((size_t)(c.at - file) + 31) / 32 * 32;
        for (size_t i = 0; i < n; i++)
            assert_true(error_of(file + start + offset[i], type[i], &p[i]) <=
                        (type[i] == 0 ? 0 : types[t].bound));
        static const uint64_t numbers[] = {0, 1, 30, 8};
        assert_true(type[0] == numbers[t] && type[1] == 0 && type[2] == 0);
        assert_int_equal(size % 32, 0);
        free(file);
    }
    free(p);
    weft_model_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_precision),
        cmocka_unit_test(folders_of_all_kinds),
        cmocka_unit_test(hostile_indexes),
        cmocka_unit_test(wrong_tensors),
        cmocka_unit_test(files_of_llmc),
        cmocka_unit_test(damaged_files_of_llmc),
        cmocka_unit_test(what_a_format_cannot_say),
        cmocka_unit_test(layout_of_gguf),
    };
    return cmocka_run_group_tests(tests, unit_start, unit_stop);
}
