/* Schedules: their ends, their shape, and nothing but the step counts. */
#include <math.h>
#include "tests/support/unit.h"
#include "train/progress.h"
#include "train/schedule.h"

static struct weft_schedule make(const char *name) {
    struct weft_schedule s = {
        .lr = 0.5, .min_fraction = 0.1, .decay_fraction = 0.2, .steps = 1000, .warmup = 20};
    assert_true(weft_schedule_kind_of(name, &s.kind));
    return s;
}

static bool close_to(double a, double b) { return fabs(a - b) <= 1e-12; }

static void warmup_rises(void **state) {
    (void)state;
    static const char *const names[] = {"constant", "linear", "cosine", "wsd"};
    for (int k = 0; k < 4; k++) {
        const struct weft_schedule s = make(names[k]);
        for (uint64_t i = 0; i < 20; i++)
            assert_true(close_to(weft_schedule_lr(&s, i), 0.5 * (double)(i + 1) / 21));
        assert_true(weft_schedule_lr(&s, 20) == 0.5); // exactly
        for (uint64_t i = 21; i < 1500; i++)
            assert_true(weft_schedule_lr(&s, i) <= weft_schedule_lr(&s, i - 1));
        struct weft_schedule none = s;
        none.warmup = 0;
        assert_true(weft_schedule_lr(&none, 0) == 0.5);
    }
}

static void known_values(void **state) {
    (void)state;
    struct weft_schedule s = make("constant");
    assert_true(weft_schedule_lr(&s, 999) == 0.5 && weft_schedule_lr(&s, 5000) == 0.5);
    s = make("linear");
    assert_true(close_to(weft_schedule_lr(&s, 510), 0.275));
    assert_true(close_to(weft_schedule_lr(&s, 1000), 0.05));
    assert_true(close_to(weft_schedule_lr(&s, 9999), 0.05));
    s = make("cosine");
    assert_true(close_to(weft_schedule_lr(&s, 510), 0.275));
    assert_true(close_to(weft_schedule_lr(&s, 265), 0.05 + 0.45 * (0.5 + 0.25 * sqrt(2))));
    assert_true(close_to(weft_schedule_lr(&s, 1000), 0.05));
    assert_true(weft_schedule_lr(&s, 999) > 0.05);
    s = make("wsd");
    assert_true(weft_schedule_lr(&s, 800) == 0.5 && weft_schedule_lr(&s, 801) < 0.5);
    assert_true(close_to(weft_schedule_lr(&s, 900), 0.275));
    assert_true(close_to(weft_schedule_lr(&s, 1000), 0.05));
    s.warmup = 900; // reaches into the fall: that begins after it, without a jump
    assert_true(weft_schedule_lr(&s, 900) == 0.5 && weft_schedule_lr(&s, 901) > 0.49);
    assert_true(close_to(weft_schedule_lr(&s, 1000), 0.05));
}

static void odd_settings(void **state) {
    (void)state;
    enum weft_schedule_kind kind;
    assert_false(weft_schedule_kind_of("cosin", &kind));
    for (int k = 0; k < 4; k++) { // more warmup than steps, no steps, no decay: finite all the same
        for (uint64_t warmup = 0; warmup < 30; warmup += 10) {
            const struct weft_schedule s = {
                .kind = (enum weft_schedule_kind)k, .lr = 1, .steps = 10, .warmup = warmup};
            const struct weft_schedule none = {.kind = (enum weft_schedule_kind)k, .lr = 1};
            for (uint64_t i = 0; i < 40; i++) {
                assert_true(isfinite(weft_schedule_lr(&s, i)));
                assert_true(isfinite(weft_schedule_lr(&none, i)));
            }
        }
    }
}

/* ---- progress ---- */
static char shown[4096];
static void show(void *user, const char *text) {
    (void)user;
    strncat(shown, text, sizeof shown - strlen(shown) - 1);
}

static void plain_lines(void **state) {
    (void)state;
    struct weft_progress p = {
        .write = show, .first = 100, .total = 200, .every = 10, .unit = "tok/s"};
    struct weft_progress_state s = {
        .loss = 3.25, .lr = 6e-4, .grad_norm = 1.5, .rate = 12345, .more = "mfu 31%"};
    shown[0] = '\0';
    weft_progress_start(&p, 50);
    for (s.step = 101; s.step <= 120; s.step++)
        weft_progress_step(&p, &s, 50 + (double)s.step - 100);
    assert_string_equal(
        shown, "step 101/200  loss 3.2500  lr 0.0006  grad 1.5  12.3k tok/s  mfu 31%  eta 1m39s\n"
               "step 110/200  loss 3.2500  lr 0.0006  grad 1.5  12.3k tok/s  mfu 31%  eta 1m30s\n"
               "step 120/200  loss 3.2500  lr 0.0006  grad 1.5  12.3k tok/s  mfu 31%  eta 1m20s\n");
    shown[0] = '\0';
    weft_progress_line(&p, "val loss 3.1");
    weft_progress_end(&p);
    assert_string_equal(shown, "val loss 3.1\n");
    p.write = NULL; // silent
    weft_progress_step(&p, &s, 60);
    weft_progress_line(&p, "x");
}

static void bar(void **state) {
    (void)state;
    struct weft_progress p = {
        .write = show, .terminal = true, .total = 4, .unit = "tok/s", .columns = 40};
    struct weft_progress_state s = {.step = 1, .loss = 3.25, .rate = 999};
    shown[0] = '\0';
    weft_progress_start(&p, 0);
    weft_progress_step(&p, &s, 1);
    assert_string_equal(shown, "\r[#......]  25% 1/4  loss 3.2500  eta 3s\x1b[K");
    s.step = 2;
    weft_progress_step(&p, &s, 1.05); // too soon
    assert_int_equal(strlen(shown), 43); // 39 columns of 40
    shown[0] = '\0';
    weft_progress_line(&p, "saved");
    assert_string_equal(shown, "\r\x1b[Ksaved\n");
    shown[0] = '\0';
    s.step = 4;
    weft_progress_step(&p, &s, 1.06); // the last one is always drawn
    assert_non_null(strstr(shown, "[#######] 100% 4/4"));
    s.more = "MFU 31% bound 40%";
    for (p.columns = 0; p.columns < 200; p.columns += 10) { // what fits, and always the time left
        const unsigned columns = p.columns ? p.columns : 80;
        shown[0] = '\0';
        weft_progress_step(&p, &s, 1.06);
        assert_true(strlen(shown) <= columns - 1 + 4); // and \r, ESC [ K
        assert_int_equal(strstr(shown, "eta 0s") != NULL, columns >= 30);
        assert_int_equal(strstr(shown, "MFU 31%") != NULL, columns >= 60);
        assert_int_equal(strstr(shown, "[####################]") != NULL, columns >= 90);
    }
}

static void short_texts(void **state) {
    (void)state;
    char buf[WEFT_SHORT_TEXT];
    assert_string_equal(weft_short_number(7, buf), "7");
    assert_string_equal(weft_short_number(999.4, buf), "999");
    assert_string_equal(weft_short_number(999.6, buf), "1.0k");
    assert_string_equal(weft_short_number(123456, buf), "123k");
    assert_string_equal(weft_short_number(1.5e9, buf), "1.5G");
    assert_string_equal(weft_short_number(NAN, buf), "nan");
    assert_string_equal(weft_short_time(59.4, buf), "59s");
    assert_string_equal(weft_short_time(59.6, buf), "1m00s");
    assert_string_equal(weft_short_time(7500, buf), "2h05m");
    assert_string_equal(weft_short_time(273600, buf), "3d04h");
    assert_string_equal(weft_short_time(NAN, buf), "?");
    assert_string_equal(weft_short_time(-1, buf), "?");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warmup_rises), cmocka_unit_test(known_values),
        cmocka_unit_test(odd_settings), cmocka_unit_test(plain_lines),
        cmocka_unit_test(bar),          cmocka_unit_test(short_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
