/* The cross-check's own judgement: what is measured, what fails, what takes three seeds; that every
 * op has an oracle; what is written. */
#include <math.h>

#include "crosscheck/cross_walk.h"
#include "tests/support/unit.h"

static void every_op_has_an_oracle(void **state) {
    (void)state;
    static const struct weft_op *const ops[] = {
#define WEFT_OP(name) &weft_op_##name,
#include "runtime/ops.def"
#undef WEFT_OP
    };
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (weft_cross_kernels(ops[i])[0] == 0 && strncmp(ops[i]->name, "matmul", 6) != 0 &&
            strcmp(ops[i]->name, "narrow") != 0 && strcmp(ops[i]->name, "widen") != 0)
            fail_msg("%s has no oracle", ops[i]->name);
}

/* Three values that should be 1, 2, 4, each within 1e-3. */
static struct weft_cross_check judge(const float got[3], double tol) {
    double want[3] = {1, 2, 4}, bounds[3] = {tol, tol, tol};
    float data[3];
    memcpy(data, got, sizeof data);
    const struct weft_cross_output o = {
        .type = WEFT_CROSS_F32, .data = data, .rows = 1, .cols = 3, .want = want, .tol = bounds};
    struct weft_cross_check c = {.output = "y"};
    weft_cross_judge(&c, weft_cross_measure(&o, &c.weft));
    return c;
}

static void errors_are_measured(void **state) {
    (void)state;
    struct weft_cross_check c = judge((const float[]){1, 2.0005f, 4}, 1e-3);
    assert_false(c.failed);
    assert_int_equal(c.weft.col, 1);
    assert_true(fabs(c.weft.share - 0.5) < 1e-3);
    assert_true(fabs(c.weft.rel_l2 - 0.0005 / sqrt(21)) < 1e-7);
    assert_true(fabs(c.weft.max_ulp - 0.0005 * 0x1p22) < 20);
    c = judge((const float[]){1, 2, 4.002f}, 1e-3);
    assert_true(c.failed);
    assert_int_equal(c.weft.outside, 1);
    assert_non_null(strstr(c.reason, "y[0,2] is 4.00"));
    assert_true(judge((const float[]){1, NAN, 4}, 1e-3).failed);
    assert_true(judge((const float[]){1, INFINITY, 4}, 1e-3).failed);
    assert_true(judge((const float[]){1, 2, 4.0000005f}, 0).failed); /* exact */
    assert_false(judge((const float[]){1, 2, 4}, 0).failed);
}

/* A bound beyond the values says nothing. */
static void empty_checks_fail(void **state) {
    (void)state;
    const struct weft_cross_check c = judge((const float[]){1, 2, 4}, 10);
    assert_true(c.failed);
    assert_non_null(strstr(c.reason, "nothing is checked"));
}

/* ---- seeds: a check whose errors are given ---- */
struct story {
    double weft[3], onednn[3]; /* relative error on each seed */
    bool fails[3];
    size_t asked;
};

static enum weft_status tell(struct weft_cross_walk *w, const void *arg, uint64_t seed) {
    struct story *const s = (struct story *)(uintptr_t)arg;
    struct weft_cross_check *const c = weft_cross_append(w);
    assert_non_null(c);
    assert_int_equal(seed, ++s->asked);
    c->has_onednn = true;
    c->weft.rel_l2 = s->weft[seed - 1];
    c->onednn.rel_l2 = s->onednn[seed - 1];
    c->failed = s->fails[seed - 1];
    return WEFT_OK;
}

static bool blamed(struct story s, size_t seeds) {
    struct weft_cross_report r = {.check = NULL};
    struct weft_cross_walk w = {.ctx = unit_ctx, .report = &r};
    assert_int_equal(weft_cross_seeds(&w, tell, &s), WEFT_OK);
    assert_int_equal(r.checks, 1);
    assert_int_equal(s.asked, seeds);
    const bool failed = r.check[0].failed;
    weft_cross_free(&r);
    return failed;
}

static void twice_the_error_on_three_seeds(void **state) {
    (void)state;
    assert_false(blamed((struct story){.weft = {1e-6}, .onednn = {0.6e-6}}, 1));
    assert_true(blamed((struct story){{3e-6, 3e-6, 3e-6}, {1e-6, 1e-6, 1e-6}}, 3));
    assert_false(blamed((struct story){{3e-6, 3e-6, 1e-6}, {1e-6, 1e-6, 1e-6}}, 3));
    assert_false(blamed((struct story){.weft = {5e-8}, .onednn = {1e-9}}, 1)); /* a rounding */
    assert_true(blamed((struct story){{3e-6, 1e-6, 1e-6}, {1e-6, 1e-6, 1e-6}, {0, 1, 0}}, 3));
    assert_true(blamed((struct story){.weft = {1e-6}, .onednn = {1e-6}, .fails = {1}}, 1));
}

static void who_is_closer(void **state) {
    (void)state;
    struct weft_cross_check c = {.has_onednn = true, .weft.rel_l2 = 1, .onednn.rel_l2 = 2};
    assert_int_equal(weft_cross_closer(&c), WEFT_CROSS_WEFT);
    c.weft.rel_l2 = 4;
    assert_int_equal(weft_cross_closer(&c), WEFT_CROSS_ONEDNN);
    c.weft.rel_l2 = 2.1;
    assert_int_equal(weft_cross_closer(&c), WEFT_CROSS_EQUAL);
    c.has_onednn = false;
    assert_int_equal(weft_cross_closer(&c), WEFT_CROSS_ALONE);
}

/* ---- what is written ---- */
static size_t occurrences(const char *text, const char *what) {
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, what)); at += strlen(what)) n++;
    return n;
}

static void files(void **state) {
    (void)state;
    struct weft_cross_check c[2] = {
        {.op = "a<b",
         .shape = "2x3",
         .node = "a.1",
         .output = "y",
         .kernels = "k",
         .has_onednn = true,
         .weft = {.share = 0.5, .rel_l2 = 1e-7, .got = 1.5, .want = 1, .bound = 1},
         .onednn = {.share = 0.25},
         .hot.weft = 1e-3,
         .hot.onednn = 2e-3},
        {.op = "b",
         .shape = "5",
         .node = "b.2",
         .output = "dx",
         .kernels = "k",
         .backward = true,
         .failed = true,
         .reason = "it is wrong",
         .weft = {.share = 3, .got = 4, .bound = 1}}};
    const struct weft_cross_report r = {
        .check = c, .checks = 2, .failed = 1, .isa = "emu", .onednn = "3.2.0", .threads = 1};
    assert_int_equal(weft_cross_json(unit_ctx, &r, "r.json"), WEFT_OK);
    assert_int_equal(weft_cross_html(unit_ctx, &r, "r.html"), WEFT_OK);
    assert_int_equal(weft_cross_json(unit_ctx, &r, "no/r.json"), WEFT_ERR_IO);
    unit_says("no/r.json");
    char *const json = unit_get("r.json", NULL), *const html = unit_get("r.html", NULL);
    assert_non_null(strstr(json, "\"err_weft\": 0.5"));
    assert_non_null(strstr(json, "\"err_onednn\": 0.25"));
    assert_int_equal(occurrences(json, "\"verdict\": \"pass\""), 1);
    assert_int_equal(occurrences(json, "\"verdict\": \"fail\""), 1);
    assert_non_null(strstr(json, "\"err_onednn\": null"));
    assert_int_equal(occurrences(html, "<figure"), 3);
    assert_int_equal(occurrences(html, "<svg class=\"plot\""), 3);
    assert_non_null(strstr(html, "it is wrong"));
    assert_null(strstr(html, "a<b"));
    assert_null(strstr(html, "nan,"));
    assert_null(strstr(html, "src="));
    free(json), free(html);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_has_an_oracle), cmocka_unit_test(errors_are_measured),
        cmocka_unit_test(empty_checks_fail),      cmocka_unit_test(twice_the_error_on_three_seeds),
        cmocka_unit_test(who_is_closer),          cmocka_unit_test(files),
    };
    return cmocka_run_group_tests(tests, unit_start, unit_stop);
}
