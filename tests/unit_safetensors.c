/* safetensors: what is written reads back, byte for byte the same each time; damaged and hostile
 * files are refused with one line and without a crash. */
#include "tests/support/unit.h"
#include "train/safetensors.h"

static const float weights[6] = {1, -2, 3.5f, 0, 5, -6};
static const double moments[2] = {0.1, 1e300};
static const int64_t step[1] = {-7};
static const uint8_t bytes[3] = {1, 2, 3};

static void fill(void *user, size_t offset, size_t size, void *out) {
    memcpy(out, (const char *)user + offset, size);
}

static const struct weft_st_tensor tensors[] = {
    {.name = "w", .dtype = WEFT_ST_F32, .rank = 2, .shape = {2, 3}, .data = weights},
    {.name = "m",
     .dtype = WEFT_ST_F64,
     .rank = 1,
     .shape = {2},
     .fill = fill,
     .user = (void *)(uintptr_t)moments},
    {.name = "none", .dtype = WEFT_ST_F32, .rank = 2, .shape = {0, 5}, .data = weights},
    {.name = "step", .dtype = WEFT_ST_I64, .rank = 0, .data = step},
    {.name = "b\"\\", .dtype = WEFT_ST_U8, .rank = 1, .shape = {3}, .data = bytes},
};
#define N (sizeof tensors / sizeof *tensors)
static const struct weft_st_meta meta[] = {{"kind", "state"}};

static void write_good(const char *path) {
    assert_int_equal(weft_st_write(unit_ctx, path, tensors, N, meta, 1), WEFT_OK);
}

static void round_trip(void **state) {
    (void)state;
    weft_st_file *f;
    const struct weft_st_entry *e;
    write_good("a.safetensors");
    assert_int_equal(weft_st_open(unit_ctx, "a.safetensors", &f), WEFT_OK);
    assert_int_equal(weft_st_count(f), N);
    assert_string_equal(weft_st_metadata(f, "format"), "pt");
    assert_string_equal(weft_st_metadata(f, "kind"), "state");
    assert_null(weft_st_metadata(f, "other"));
    assert_int_equal(weft_st_get(unit_ctx, f, "w", WEFT_ST_F32, 2, (size_t[]){2, 3}, &e), WEFT_OK);
    assert_memory_equal(e->data, weights, sizeof weights);
    assert_int_equal(weft_st_get(unit_ctx, f, "m", WEFT_ST_F64, 1, (size_t[]){2}, &e), WEFT_OK);
    assert_memory_equal(e->data, moments, sizeof moments);
    assert_int_equal(weft_st_get(unit_ctx, f, "step", WEFT_ST_I64, 0, NULL, &e), WEFT_OK);
    assert_memory_equal(e->data, step, sizeof step);
    e = weft_st_find(f, "none");
    assert_true(e && e->size == 0 && e->shape[1] == 5);
    assert_non_null(weft_st_find(f, "b\"\\"));
    assert_null(weft_st_find(f, "missing"));
    assert_int_equal(weft_st_get(unit_ctx, f, "q", WEFT_ST_F32, 2, (size_t[]){2, 3}, &e),
                     WEFT_ERR_FORMAT);
    unit_says("tensor q is missing");
    assert_int_equal(weft_st_get(unit_ctx, f, "w", WEFT_ST_F32, 2, (size_t[]){3, 2}, &e),
                     WEFT_ERR_SHAPE);
    unit_says("a.safetensors: tensor w has shape (2, 3), but must have (3, 2)");
    assert_int_equal(weft_st_get(unit_ctx, f, "w", WEFT_ST_F64, 2, (size_t[]){2, 3}, &e),
                     WEFT_ERR_DTYPE);
    unit_says("tensor w is F32, but must be F64");
    weft_st_close(f);
}

static void same_bytes_each_time(void **state) {
    (void)state;
    size_t n, m;
    write_good("a.safetensors");
    assert_int_equal(mkdir("other", 0777), 0);
    write_good("other/b.safetensors");
    char *a = unit_get("a.safetensors", &n);
    char *b = unit_get("other/b.safetensors", &m);
    assert_int_equal(n, m);
    assert_memory_equal(a, b, n);
    uint64_t length;
    memcpy(&length, a, 8);
    assert_int_equal(length % 8, 0);
    assert_non_null(
        strstr(a + 8, "\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}"));
    free(a);
    free(b);
}

/* Whatever is done to a file, it is either refused with a message or reads as tensors whose bytes
 * are inside it (a flip in a tensor's name or in metadata can leave a valid file). */
static bool opens(const char *path, const void *data, size_t size) {
    weft_st_file *f;
    unit_put(path, data, size);
    weft_ctx_fail(unit_ctx, WEFT_OK, "no message");
    if (weft_st_open(unit_ctx, path, &f) != WEFT_OK) {
        unit_says(path);
        return false;
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < weft_st_count(f); i++) {
        const struct weft_st_entry *e = weft_st_entry(f, i);
        for (size_t b = 0; b < e->size; b++) sum += e->data[b];
    }
    weft_st_close(f);
    assert_true(sum < UINT64_MAX);
    return true;
}

static void every_truncation_is_refused(void **state) {
    (void)state;
    size_t n;
    write_good("a.safetensors");
    char *a = unit_get("a.safetensors", &n);
    for (size_t i = 0; i < n; i++) assert_false(opens("t.safetensors", a, i));
    char *longer = malloc(n + 1);
    memcpy(longer, a, n);
    longer[n] = 0;
    assert_false(opens("t.safetensors", longer, n + 1));
    unit_says("1 bytes after the last tensor");
    free(longer);
    free(a);
}

static void every_bit_flip_is_survived(void **state) {
    (void)state;
    size_t n, opened = 0;
    write_good("a.safetensors");
    char *a = unit_get("a.safetensors", &n);
    uint64_t header;
    memcpy(&header, a, 8);
    for (size_t i = 0; i < 8 * n; i++) {
        a[i / 8] = (char)(a[i / 8] ^ 1 << i % 8);
        const bool ok = opens("t.safetensors", a, n);
        if (i / 8 < 8 || i / 8 >= 8 + header) assert_false(ok); // lengths, and every bit of data
        opened += ok;
        a[i / 8] = (char)(a[i / 8] ^ 1 << i % 8);
    }
    assert_true(opened < 2 * n); // a few: names of keys and tensors
    free(a);
}

static void random_garbage_is_survived(void **state) {
    (void)state;
    uint64_t seed = 1;
    size_t n;
    write_good("a.safetensors");
    char *a = unit_get("a.safetensors", &n);
    char *b = malloc(n);
    for (int round = 0; round < 2000; round++) {
        memcpy(b, a, n);
        for (uint32_t k = unit_random(&seed) % 6 + 1; k > 0; k--) {
            const size_t at = 8 + unit_random(&seed) % (n - 8);
            b[at] = round % 2 ? "0123456789{}[]\",:-e"[unit_random(&seed) % 19]
                              : (char)unit_random(&seed);
        }
        opens("t.safetensors", b, n);
    }
    free(a);
    free(b);
}

/* A file from a header text and some bytes of data. */
static bool opens_header(const char *header, size_t data) {
    const uint64_t length = strlen(header);
    char *file = calloc(1, 8 + length + data + 1);
    memcpy(file, &length, 8);
    memcpy(file + 8, header, length);
    const bool ok = opens("h.safetensors", file, 8 + length + data);
    free(file);
    return ok;
}

static void foreign_files_load(void **state) {
    (void)state;
    assert_true(opens_header("{}", 0));
    assert_true(
        opens_header("{\"a\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[0,6]}}", 6));
    assert_true(opens_header("{\"b\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[4,8]},"
                             "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}   ",
                             8));
    assert_true(opens_header("{\"__metadata__\":{\"format\":\"pt\"}}", 0));
}

static void hostile_headers_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *header, *says;
    } cases[] = {
        {"", "header: "},
        {"[]", "the header is not an object"},
        {"{\"a\":1}", "tensor a has no dtype"},
        {"{\"__metadata__\":1}", "__metadata__ is not an object"},
        {"{\"a\":{\"dtype\":\"F31\",\"shape\":[2],\"data_offsets\":[0,8]}}", "unknown dtype F31"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", "does not fit"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,12]}}", "ends at byte 12"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", "a hole of 4 bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
         "4 bytes after the last"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
         "tensor b overlaps"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
         "duplicate"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,8]}}", "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8.0]}}", "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", "not a size"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", "has no shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}",
         "9 dimensions"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,4294967297],"
         "\"data_offsets\":[0,8]}}",
         "does not fit"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,2],\"data_offsets\":[0,8]}}",
         "does not fit"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807,0],\"data_offsets\":[0,8]}}",
         "does not fit"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_false(opens_header(cases[i].header, 8));
        unit_says(cases[i].says);
    }
    char deep[20000];
    memset(deep, '[', sizeof deep);
    deep[sizeof deep - 1] = '\0';
    assert_false(opens_header(deep, 0));
    const uint64_t huge = UINT64_MAX - 4;
    assert_false(opens("h.safetensors", &huge, 8));
    unit_says("does not fit");
    weft_st_file *f;
    assert_int_equal(weft_st_open(unit_ctx, "no-such-file", &f), WEFT_ERR_IO);
    assert_int_equal(weft_st_open(unit_ctx, ".", &f), WEFT_ERR_IO);
}

static void damage_is_named(void **state) {
    (void)state;
    size_t n;
    write_good("a.safetensors");
    char *a = unit_get("a.safetensors", &n);
    a[n - 1] = (char)(a[n - 1] ^ 4);
    assert_false(opens("t.safetensors", a, n));
    unit_says("t.safetensors: the checksum of tensor b\"\\ is wrong");
    free(a);
}

static void a_full_disk_leaves_the_old_file(void **state) {
    (void)state;
    write_good("a.safetensors");
    assert_int_equal(weft_st_write(unit_ctx, "no/folder/a.safetensors", tensors, N, NULL, 0),
                     WEFT_ERR_IO);
    unit_says("no/folder/a.safetensors");
    assert_int_equal(symlink("/dev/full", "full.tmp"), 0); // the temporary name of "full"
    assert_int_equal(weft_st_write(unit_ctx, "full", tensors, N, NULL, 0), WEFT_ERR_IO);
    unit_says("full: cannot be written: No space left on device; free some space");
    assert_int_not_equal(access("full", F_OK), 0);
    assert_int_equal(access("a.safetensors", F_OK), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(same_bytes_each_time),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_bit_flip_is_survived),
        cmocka_unit_test(random_garbage_is_survived),
        cmocka_unit_test(foreign_files_load),
        cmocka_unit_test(hostile_headers_are_refused),
        cmocka_unit_test(damage_is_named),
        cmocka_unit_test(a_full_disk_leaves_the_old_file),
    };
    return cmocka_run_group_tests(tests, unit_start, unit_stop);
}
