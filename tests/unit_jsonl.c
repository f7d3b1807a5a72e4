/* Lines of metrics: written whole, cut back to a step, broken ends dropped. */
#include "tests/support/unit.h"
#include "train/jsonl.h"

static void put_line(struct weft_jsonl *f, uint64_t step, double loss) {
    struct weft_json *j = weft_jsonl_begin(f);
    weft_json_count(j, "step", step);
    weft_json_real(j, "loss", loss);
    assert_int_equal(weft_jsonl_end(f), WEFT_OK);
}

static void expect(const char *path, const char *want) {
    char *text = unit_get(path, NULL);
    assert_string_equal(text, want);
    free(text);
}

static void lines_are_appended(void **state) {
    (void)state;
    struct weft_jsonl f;
    assert_int_equal(weft_jsonl_open(unit_ctx, "m", &f), WEFT_OK);
    put_line(&f, 1, 0.1);
    weft_jsonl_close(&f);
    assert_int_equal(weft_jsonl_open(unit_ctx, "m", &f), WEFT_OK);
    put_line(&f, 2, 1.0 / 3);
    put_line(&f, 3, -1e308 * 10);
    assert_int_equal(weft_jsonl_sync(&f), WEFT_OK);
    weft_jsonl_close(&f);
    expect("m", "{\"step\":1,\"loss\":0.1}\n{\"step\":2,\"loss\":0.3333333333333333}\n"
                "{\"step\":3,\"loss\":\"-inf\"}\n");
}

/* n: how many lines of what is left are no records */
static void cut(const char *text, int64_t step, const char *want, size_t n) {
    size_t unreadable;
    unit_put("c", text, strlen(text));
    assert_int_equal(weft_jsonl_cut(unit_ctx, "c", step, &unreadable), WEFT_OK);
    expect("c", want);
    assert_int_equal(unreadable, n);
}

static void cut_back(void **state) {
    (void)state;
#define A "{\"step\":1,\"x\":\"\\n\"}\n"
#define B "{\"step\": 2}\n"
#define C "{\"x\":[],\"step\":2}\n"
#define D "{\"step\":3}\n"
    cut(A B C D, 9, A B C D, 0);
    cut(A B C D, 3, A B C D, 0);
    cut(A B C D, 2, A B C, 0);
    cut(A B C D, 1, A, 0);
    cut(A B C D, 0, "", 0);
    cut(A B C D, -1, "", 0);
    cut(A B "{\"st", 9, A B, 0);                         // killed in the middle of a line
    cut(A B "{\"step\":3}", 9, A B "{\"step\":3}\n", 0); // complete, but for its end
    cut(A B "{\"step\":3}", 2, A B, 0);
    cut("", 9, "", 0);
    // what cannot be read costs nothing that can
    cut(A "nonsense\n" B, 9, A "nonsense\n" B, 1);
    cut(A "nonsense\n" B D, 2, A "nonsense\n" B, 1);
    cut(A "{\"loss\":1}\n" B D "\"\n" C, 2, A "{\"loss\":1}\n" B "\"\n" C, 2);
    cut(A "\n" B, 9, A "\n" B, 0);
    cut(A "nonsense\n" B, -1, "", 0);
    size_t n;
    assert_int_equal(weft_jsonl_cut(unit_ctx, "no such file", 3, &n), WEFT_OK);
    assert_int_equal(weft_jsonl_cut(unit_ctx, ".", 3, &n), WEFT_ERR_IO);
}

static void a_full_disk_is_named(void **state) {
    (void)state;
    struct weft_jsonl f;
    assert_int_equal(weft_jsonl_open(unit_ctx, "/dev/full", &f), WEFT_OK);
    weft_json_count(weft_jsonl_begin(&f), "step", 1);
    assert_int_equal(weft_jsonl_end(&f), WEFT_ERR_IO);
    unit_says("/dev/full: cannot be written: No space left");
    weft_jsonl_close(&f);
    assert_int_equal(weft_jsonl_open(unit_ctx, "no/such/m", &f), WEFT_ERR_IO);
    unit_says("no/such/m");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_appended),
        cmocka_unit_test(cut_back),
        cmocka_unit_test(a_full_disk_is_named),
    };
    return cmocka_run_group_tests(tests, unit_start, unit_stop);
}
