/* Text on its way out: valid UTF-8 at every call, nothing from a stop string on, and nothing lost,
 * however the bytes come. */
#include "tests/support/unit.h"
#include "train/text_out.h"
#include "train/utf8.h"

struct sink {
    char text[4096];
    size_t n, calls, most; /* most: calls that are wanted */
};

static bool put(void *user, const char *text, size_t size) {
    struct sink *s = user;
    uint32_t code;
    for (size_t at = 0, n; at < size; at += n) {
        n = weft_utf8_decode(text + at, size - at, &code);
        assert_true(n > 0);
    }
    assert_true(size > 0 && s->n + size < sizeof s->text);
    memcpy(s->text + s->n, text, size);
    s->n += size;
    s->text[s->n] = '\0';
    return ++s->calls < s->most;
}

/* Push a text in pieces of `step` bytes. Returns whether a stop string ended it. */
static bool push(struct sink *s, const char *text, size_t size, size_t step,
                 const char *const *stop, size_t stops) {
    *s = (struct sink){.most = SIZE_MAX};
    struct weft_text_out o = {.put = put, .user = s, .stop = stop, .stops = stops};
    bool more = true;
    for (size_t i = 0; more && i < size; i += step)
        more = weft_text_push(&o, text + i, size - i < step ? size - i : step);
    assert_int_equal(more, !o.stopped);
    weft_text_end(&o);
    return o.stopped;
}

static void valid_text_is_passed_on(void **state) {
    (void)state;
    const char *text = "na\xc3\xafve \xe4\xb8\xad\xe6\x96\x87 \xf0\x9f\x8d\xb5\n";
    for (size_t step = 1; step < 20; step++) {
        struct sink s;
        assert_false(push(&s, text, strlen(text), step, NULL, 0));
        assert_string_equal(s.text, text);
    }
}

/* What Python's bytes.decode(errors="replace") makes of them. */
static void bad_bytes_are_replaced(void **state) {
    (void)state;
#define R "\xef\xbf\xbd"
    static const char *const cases[][2] = {
        {"\xff", R},
        {"a\x80z", "a" R "z"},
        {"\xe2\x82", R},
        {"\xe2\x82"
         "A",
         R "A"},
        {"\xf0\x9f\x8d", R},
        {"\xf0\x9f\x8d\x8d\x8d", "\xf0\x9f\x8d\x8d" R},
        {"\xc0\xaf", R R},
        {"\xe0\x80\x80", R R R},
        {"\xed\xa0\x80", R R R},
        {"\xf4\x90\x80\x80", R R R R},
        {"\xf0\x9f\xff", R R},
        {"\xc3\xc3\xa9", R "\xc3\xa9"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t step = 1; step < 6; step++) {
            struct sink s;
            push(&s, cases[i][0], strlen(cases[i][0]), step, NULL, 0);
            assert_string_equal(s.text, cases[i][1]);
        }
}

static void random_bytes(void **state) {
    (void)state;
    uint64_t seed = 3;
    for (int i = 0; i < 2000; i++) {
        char text[64];
        struct sink once, pieces;
        const size_t n = unit_random(&seed) % sizeof text;
        for (size_t k = 0; k < n; k++)
            text[k] = (char)(unit_random(&seed) % 3 ? 0x80 + unit_random(&seed) % 0x80 : 'a');
        push(&once, text, n, 64, NULL, 0); // put checks that it is valid
        push(&pieces, text, n, 1 + unit_random(&seed) % 5, NULL, 0);
        assert_string_equal(once.text, pieces.text);
    }
}

static void stop_strings_end_a_text(void **state) {
    (void)state;
    static const char *const stops[] = {"User:", "\n\n", "END", "\xc3\xa9!"};
    static const struct {
        const char *text, *want;
        bool stopped;
    } cases[] = {
        {"hello\n\nworld", "hello", true},
        {"hello\nworld", "hello\nworld", false},
        {"ENENDEND", "EN", true},
        {"a UseUser: b", "a Use", true},
        {"User:", "", true},
        {"Use", "Use", false},
        {"caf\xc3\xa9 caf\xc3\xa9!", "caf\xc3\xa9 caf", true},
        {"x\nUser:END", "x\n", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t step = 1; step < 14; step++) {
            struct sink s;
            assert_int_equal(push(&s, cases[i].text, strlen(cases[i].text), step, stops, 4),
                             cases[i].stopped);
            assert_string_equal(s.text, cases[i].want);
        }
}

/* As soon as it can: a text that no stop string begins with is not held back. */
static void nothing_waits_for_nothing(void **state) {
    (void)state;
    static const char *const stops[] = {"abc"};
    struct sink s = {.most = SIZE_MAX};
    struct weft_text_out o = {.put = put, .user = &s, .stop = stops, .stops = 1};
    assert_true(weft_text_push(&o, "xx", 2));
    assert_string_equal(s.text, "xx");
    assert_true(weft_text_push(&o, "ab", 2));
    assert_string_equal(s.text, "xx");
    assert_true(weft_text_push(&o, "ab", 2));
    assert_string_equal(s.text, "xxab");
    assert_true(weft_text_push(&o, "d\xc3", 2));
    assert_string_equal(s.text, "xxababd");
    assert_true(weft_text_push(&o, "\xa9", 1));
    assert_string_equal(s.text, "xxababd\xc3\xa9");
    s.most = s.calls + 1; // enough after one more
    assert_false(weft_text_push(&o, "q", 1));
    assert_false(weft_text_push(&o, "q", 1));
    assert_true(o.closed && !o.stopped);
    weft_text_end(&o);
    assert_string_equal(s.text, "xxababd\xc3\xa9q");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_text_is_passed_on),
        cmocka_unit_test(bad_bytes_are_replaced),
        cmocka_unit_test(random_bytes),
        cmocka_unit_test(stop_strings_end_a_text),
        cmocka_unit_test(nothing_waits_for_nothing),
    };
    return cmocka_run_group_tests(tests, unit_start, unit_stop);
}
