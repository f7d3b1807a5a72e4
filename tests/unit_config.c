/* Options: defaults, command line, JSON file, precedence, and a clear line for what is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "train/options.h"

#define N_OF(a) ((int)(sizeof(a) / sizeof *(a)))
#define PARSE(o, ...)                                                                              \
    weft_options_parse(o, N_OF(((char *[]){__VA_ARGS__})), (char *[]){__VA_ARGS__}, NULL, NULL)

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void defaults_parse(void **state) {
    (void)state;
    for (unsigned where = 1; where <= WEFT_FOR_DIFF; where *= 2) {
        struct weft_options o;
        weft_options_init(&o, where);
        assert_string_equal(o.message, ""); // every default of the list is a legal value
        weft_options_free(&o);
    }
}

static void values_and_precedence(void **state) {
    (void)state;
    struct weft_options o;
    weft_options_init(&o, WEFT_FOR_GPT2);
    assert_true(o.lr == 6e-4 && o.steps == 2000 && strcmp(o.optimizer, "adamw") == 0);
    assert_false(weft_options_given(&o, WEFT_OPT_lr));
    assert_false(weft_options_has(&o, WEFT_OPT_warmup));
    assert_int_equal(
        PARSE(&o, "--lr", "1e-3", "--val-fraction=0.25", "--activation", "gelu-erf", "--lr=2e-3"),
        WEFT_OK);
    assert_true(o.lr == 2e-3 && o.val_fraction == 0.25);
    assert_string_equal(o.activation, "gelu_erf"); // spelled as in the list
    write_file("unit_config.json", "{\"lr\": 5, \"steps\": 7, \"weight-decay\": 0.5, "
                                   "\"tokenizer\": \"char\"}");
    assert_int_equal(weft_options_load(&o, "unit_config.json", true), WEFT_OK);
    assert_true(o.lr == 2e-3); // the command line is stronger, though it came first
    assert_true(o.steps == 7 && o.weight_decay == 0.5 && strcmp(o.tokenizer, "char") == 0);
    assert_int_equal(PARSE(&o, "--steps", "9"), WEFT_OK);
    assert_int_equal(o.steps, 9);
    char buf[64];
    assert_string_equal(weft_options_text(&o, WEFT_OPT_lr, buf, sizeof buf), "0.002");
    assert_string_equal(weft_options_text(&o, WEFT_OPT_warmup, buf, sizeof buf), "");
    weft_options_free(&o);
    unlink("unit_config.json");
}

static void model_decides_defaults(void **state) {
    (void)state;
    struct weft_options o;
    weft_options_init(&o, WEFT_FOR_MLP);
    assert_string_equal(o.optimizer, "sgd");
    assert_string_equal(o.hidden, "256,128");
    assert_int_not_equal(PARSE(&o, "--layers", "3"), WEFT_OK);
    assert_non_null(strstr(o.message, "--layers does not apply"));
    weft_options_free(&o);
}

static void left_over_words(void **state) {
    (void)state;
    struct weft_options o;
    char *argv[] = {"runs/a", "--out", "x.html", "runs/b", "--", "--odd"};
    const char *rest[6];
    size_t n;
    weft_options_init(&o, WEFT_FOR_REPORT);
    assert_int_equal(weft_options_parse(&o, 6, argv, rest, &n), WEFT_OK);
    assert_int_equal(n, 3);
    assert_string_equal(rest[0], "runs/a");
    assert_string_equal(rest[1], "runs/b");
    assert_string_equal(rest[2], "--odd");
    assert_string_equal(o.out, "x.html");
    assert_int_equal(PARSE(&o, "stray"), WEFT_ERR_ARG);
    weft_options_free(&o);
}

static void bad_command_lines(void **state) {
    (void)state;
    static const struct {
        char *name, *value;
        const char *says;
    } cases[] = {
        {"--lrr", "1", "unknown option --lrr; did you mean --lr?"},
        {"--weigth-decay", "1", "did you mean --weight-decay?"},
        {"--nonsense-at-all", "1", "unknown option --nonsense-at-all (--help"},
        {"--", "word", "'word' is not expected"},
        {"-x", "1", "unknown option -x"},
        {"--lr", "--steps", "--lr needs a value"},
        {"--out", "", "--out is empty, but must be a PATH"},
        {"--resume", "", "--resume is empty, but must be a DIR"},
        {"--lr", "", "--lr is ''"},
        {"--lr", "fast", "--lr is 'fast', but must be a number"},
        {"--lr", "nan", "--lr is 'nan'"},
        {"--lr", "1e-3x", "--lr is '1e-3x'"},
        {"--lr", "-1", "at least 0"},
        {"--dropout", "1.5", "at most 0.95"},
        {"--steps", "1.5", "whole number"},
        {"--steps", "-1", "whole number"},
        {"--steps", " 1", "whole number"},
        {"--steps", "99999999999999999999999", "--steps is"},
        {"--seed", "9007199254740994", "at most 9007199254740992"},
        {"--threads", "0", "at least 1 and at most 1024"},
        {"--threads", "10000", "at least 1 and at most 1024"},
        {"--norm", "middle", "--norm is 'middle', but must be one of: pre|post"},
        {"--norm", "pr", "one of"},
        {"--help=yes", "--help", "--help takes no value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct weft_options o;
        weft_options_init(&o, WEFT_FOR_GPT2);
        assert_int_equal(PARSE(&o, cases[i].name, cases[i].value), WEFT_ERR_ARG);
        if (!strstr(o.message, cases[i].says)) fail_msg("%s: %s", cases[i].name, o.message);
        assert_null(strchr(o.message, '\n'));
        weft_options_free(&o);
    }
}

static void bad_files(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", "line"},
        {"[1]", "a JSON object is expected"},
        {"{\"lr\": 1", "line 1"},
        {"{\"lr\": 1, \"lr\": 2}", "duplicate"},
        {"{\"layrs\": 3}", "unknown key layrs; did you mean layers?"},
        {"{\"lr\": null}", "the value of lr"},
        {"{\"lr\": {}}", "the value of lr"},
        {"{\"lr\": []}", "the value of lr"},
        {"{\"lr\": \"fast\"}", "is 'fast'"},
        {"{\"out\": \"x\"}", "out can be given on the command line only"},
        {"{\"settings\": {\"heads\": 0}}", "--heads is '0'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct weft_options o;
        weft_options_init(&o, WEFT_FOR_GPT2);
        write_file("unit_config.json", cases[i][0]);
        assert_int_not_equal(weft_options_load(&o, "unit_config.json", true), WEFT_OK);
        if (!strstr(o.message, cases[i][1])) fail_msg("%s: %s", cases[i][0], o.message);
        assert_non_null(strstr(o.message, "unit_config.json: "));
        weft_options_free(&o);
    }
    struct weft_options o;
    weft_options_init(&o, WEFT_FOR_GPT2);
    assert_int_equal(weft_options_load(&o, "no/such/file.json", true), WEFT_ERR_IO);
    assert_non_null(strstr(o.message, "no/such/file.json"));
    weft_options_free(&o);
    unlink("unit_config.json");
}

static void lists_in_json(void **state) {
    (void)state;
    struct weft_options o;
    weft_options_init(&o, WEFT_FOR_MLP);
    write_file("unit_config.json", "{\"settings\": {\"hidden\": [64, 32], \"lr\": 1}}");
    assert_int_equal(weft_options_load(&o, "unit_config.json", true), WEFT_OK);
    assert_string_equal(o.hidden, "64,32");
    weft_options_free(&o);
    unlink("unit_config.json");
}

/* What a run worked out is not an option of the next one; nothing beside "settings" is overlooked.
 */
static void derived_in_json(void **state) {
    (void)state;
    for (int derived = 0; derived < 2; derived++) {
        struct weft_options o;
        weft_options_init(&o, WEFT_FOR_GPT2);
        write_file("unit_config.json", "{\"model\": \"gpt2\", \"settings\": {\"warmup\": 8, "
                                       "\"lr\": 1}, \"derived\": [\"warmup\"]}");
        assert_int_equal(weft_options_load(&o, "unit_config.json", derived), WEFT_OK);
        assert_true(o.lr == 1 && o.from[WEFT_OPT_lr] == WEFT_FROM_CONFIG);
        assert_int_equal(o.from[WEFT_OPT_warmup], derived ? WEFT_FROM_DERIVED : WEFT_FROM_NOTHING);
        write_file("unit_config.json", "{\"settings\": {\"lr\": 1}, \"layrs\": 3}");
        assert_int_equal(weft_options_load(&o, "unit_config.json", derived), WEFT_ERR_ARG);
        assert_non_null(strstr(o.message, "layrs"));
        weft_options_free(&o);
    }
    unlink("unit_config.json");
}

static void what_is_written_reads_back(void **state) {
    (void)state;
    struct weft_options a, b;
    weft_options_init(&a, WEFT_FOR_GPT2);
    assert_int_equal(PARSE(&a, "--lr", "0.1234567890123456", "--data", "a \"b\"\\\n\x01\xc3\xa9",
                           "--out", "x", "--seed", "9007199254740992"),
                     WEFT_OK);
    struct weft_json j = {.pretty = true};
    weft_json_open(&j, NULL, '{');
    weft_json_open(&j, "settings", '{');
    weft_options_write(&a, &j);
    weft_json_end(&j);
    assert_false(j.failed);
    assert_null(strstr(j.data, "\"out\""));
    write_file("unit_config.json", j.data);
    weft_json_free(&j);
    weft_options_init(&b, WEFT_FOR_GPT2);
    assert_int_equal(weft_options_load(&b, "unit_config.json", true), WEFT_OK);
    assert_true(b.lr == a.lr && b.seed == a.seed);
    assert_string_equal(b.data, a.data);
    weft_options_free(&a);
    weft_options_free(&b);
    unlink("unit_config.json");
}

static void numbers_are_shortest(void **state) {
    (void)state;
    static const struct {
        double x;
        const char *text;
    } cases[] = {{0.1, "0.1"},           {1, "1"},
                 {1e-8, "1e-08"},        {1.0 / 3, "0.3333333333333333"},
                 {-0.0, "-0"},           {5e-324, "4.94065645841247e-324"},
                 {1e300 * 1e300, "inf"}, {0.1 + 0.2, "0.30000000000000004"}};
    char buf[WEFT_REAL_TEXT];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(weft_real_text(cases[i].x, buf), cases[i].text);
    struct weft_json j = {0};
    weft_json_open(&j, NULL, '[');
    weft_json_real(&j, NULL, -1e300 * 1e300);
    weft_json_text(&j, NULL, "bad \xff byte");
    weft_json_text(&j, NULL, NULL);
    weft_json_bool(&j, NULL, true);
    weft_json_int(&j, NULL, -3);
    weft_json_end(&j);
    assert_string_equal(j.data, "[\"-inf\",\"bad \\ufffd byte\",null,true,-3]");
    weft_json_free(&j);
}

static void help_line(void *user, const char *text) {
    assert_true(strlen(text) <= 100);
    if (strstr(text, "--weight-decay X")) ++*(int *)user;
    assert_null(strchr(text, '\n'));
}

static void help_lists_options(void **state) {
    (void)state;
    int seen = 0;
    weft_options_help(WEFT_FOR_GPT2, help_line, &seen);
    assert_int_equal(seen, 1);
    weft_options_help(WEFT_FOR_INFO, help_line, &seen);
    assert_int_equal(seen, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_parse),
        cmocka_unit_test(values_and_precedence),
        cmocka_unit_test(model_decides_defaults),
        cmocka_unit_test(left_over_words),
        cmocka_unit_test(bad_command_lines),
        cmocka_unit_test(bad_files),
        cmocka_unit_test(lists_in_json),
        cmocka_unit_test(derived_in_json),
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(numbers_are_shortest),
        cmocka_unit_test(help_lists_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
