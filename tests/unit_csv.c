/* CSV: headers, quoting, labels, standardising, split; garbage is refused with its line. */
#include <math.h>
#include "tests/support/unit.h"
#include "train/csv.h"
#include "train/data.h"

static struct weft_data *open_csv(const char *text, struct weft_data_options o,
                                  enum weft_status want) {
    struct weft_data *data = NULL;
    unit_put("t.csv", text, strlen(text));
    o.path = "t.csv";
    const enum weft_status st = weft_data_open(unit_ctx, WEFT_DATA_FEATURES, &o, &data);
    if (st != want) fail_msg("%s: %s", text, weft_ctx_message(unit_ctx));
    return data;
}

static void fields(void **state) {
    (void)state;
    static const char text[] =
        "\xef\xbb\xbf a , \"b,\"\"q\"\"\nx\" ,c\r\n\r\n\n1,,\" 3 \"\r\nlast,\"\",";
    struct weft_csv csv;
    assert_int_equal(weft_csv_open(unit_ctx, "x", text, sizeof text - 1, &csv), WEFT_OK);
    assert_int_equal(weft_csv_next(&csv), WEFT_OK);
    assert_int_equal(csv.n, 3);
    assert_string_equal(csv.field[0], "a");
    assert_string_equal(csv.field[1], "b,\"q\"\nx");
    assert_string_equal(csv.field[2], "c");
    assert_int_equal(weft_csv_next(&csv), WEFT_OK);
    assert_true(csv.n == 3 && csv.line == 5);
    assert_string_equal(csv.field[1], "");
    assert_string_equal(csv.field[2], " 3 ");
    assert_int_equal(weft_csv_next(&csv), WEFT_OK);
    assert_int_equal(csv.n, 3);
    assert_string_equal(csv.field[2], "");
    assert_int_equal(weft_csv_next(&csv), WEFT_OK);
    assert_int_equal(csv.n, 0);
    assert_int_equal(weft_csv_next(&csv), WEFT_OK);
    assert_int_equal(csv.n, 0);
    weft_csv_close(&csv);
}

static void classes(void **state) {
    (void)state;
    const struct weft_data_options o = {0};
    struct weft_data *data =
        open_csv("a,b,kind\n1,10,cat\n2,20,dog\n3,60,ant\n2,30,dog\n", o, WEFT_OK);
    assert_true(data->classes == 3 && data->features == 2 && data->n[0] == 4 && data->n[1] == 0);
    assert_string_equal(data->class_names[0], "ant");
    assert_string_equal(data->class_names[2], "dog");
    float x[8];
    int32_t y[4];
    assert_int_equal(
        weft_data_batch(data, WEFT_SPLIT_TRAIN, 0, 4, &(struct weft_samples){.x = x, .targets = y}),
        4);
    double sum[2] = {0}, squares[2] = {0};
    for (int i = 0; i < 8; i++) {
        sum[i % 2] += x[i];
        squares[i % 2] += (double)x[i] * x[i];
    }
    for (int c = 0; c < 2; c++) assert_true(fabs(sum[c]) < 1e-5 && fabs(squares[c] - 4) < 1e-5);
    for (int i = 0; i < 4; i++) { // labels stay with their rows
        const double b = x[2 * i + 1] / data->columns->scale[1] + data->columns->mean[1];
        assert_int_equal(y[i], fabs(b - 10) < 1e-3 ? 1 : fabs(b - 60) < 1e-3 ? 0 : 2);
    }
    weft_data_free(data);
    // whole numbers are ordered by value, whatever their spelling
    data = open_csv("1;10\n1;9\n2;-1\n3;9.0\n3;010\n", o, WEFT_OK);
    assert_int_equal(data->classes, 3);
    assert_string_equal(data->class_names[0], "-1");
    assert_int_equal(data->labels[0][0], 2);
    assert_int_equal(data->labels[0][1], data->labels[0][3]);
    assert_int_equal(data->labels[0][0], data->labels[0][4]);
    weft_data_free(data);
}

static void which_column_is_the_label(void **state) {
    (void)state;
    const char *with = "id,class,v\n1,x,2\n2,y,3\n3,x,4\n", *without = "1,x,2\n2,y,3\n3,x,4\n";
    static const struct {
        const char *label;
        size_t classes;
    } cases[] = {{"class", 2}, {"2", 2}, {"v", 3}};
    for (size_t i = 0; i < 3; i++) {
        struct weft_data *data = NULL;
        if (i == 2) { // then "class" is a feature, and it is no number
            open_csv(with, (struct weft_data_options){.label = "v"}, WEFT_ERR_FORMAT);
            unit_says("t.csv: line 2, column 2 class: 'x' is not a finite number");
            continue;
        }
        data = open_csv(with, (struct weft_data_options){.label = cases[i].label}, WEFT_OK);
        assert_true(data->classes == cases[i].classes && data->n[0] == 3);
        weft_data_free(data);
    }
    struct weft_data *data = open_csv(without, (struct weft_data_options){.label = "2"}, WEFT_OK);
    assert_int_equal(data->n[0], 3); // the first line is a row
    weft_data_free(data);
    // only the label's name is a word: it is a header when the name is given
    data = open_csv("1,2,y\n4,5,a\n6,7,b\n", (struct weft_data_options){.label = "y"}, WEFT_OK);
    assert_int_equal(data->n[0], 2);
    weft_data_free(data);
    data = open_csv("1,2,y\n4,5,a\n6,7,b\n", (struct weft_data_options){0}, WEFT_OK);
    assert_int_equal(data->n[0], 3);
    weft_data_free(data);
    open_csv(with, (struct weft_data_options){.label = "klass"}, WEFT_ERR_ARG);
    unit_says("t.csv: has no column 'klass' for --label");
    open_csv(with, (struct weft_data_options){.label = "4"}, WEFT_ERR_ARG);
    open_csv(with, (struct weft_data_options){.label = "0"}, WEFT_ERR_ARG);
}

static void scikit_learn(void **state) {
    (void)state;
    struct weft_data *data = open_csv("4,2,red,white\n1,2,0\n3,4,1\n5,6,0\n7,9,1\n",
                                      (struct weft_data_options){0}, WEFT_OK);
    assert_true(data->n[0] == 4 && data->features == 2 && data->classes == 2);
    assert_string_equal(data->class_names[1], "white");
    weft_data_free(data);
}

/* What cannot be standardised, and what must not become a header. */
static void figures(void **state) {
    (void)state;
    struct weft_data *data =
        open_csv("0.1,1e200,a\n0.1,2e200,b\n0.1,6e200,a\n", (struct weft_data_options){0}, WEFT_OK);
    float x[6];
    int32_t y[3];
    weft_data_batch(data, WEFT_SPLIT_TRAIN, 0, 3, &(struct weft_samples){.x = x, .targets = y});
    double squares = 0;
    for (int i = 0; i < 3; i++) {
        assert_true(x[2 * i] == 0); // a constant, though 0.1 has rounding
        squares += (double)x[2 * i + 1] * x[2 * i + 1];
    }
    assert_true(fabs(squares - 3) < 1e-5);
    weft_data_free(data);
    open_csv("1e308,a\n-1e308,b\n", (struct weft_data_options){0}, WEFT_ERR_FORMAT);
    unit_says("t.csv: column 1: its numbers are too large, or too near each other");
    open_csv("1,,a\n2,3,b\n", (struct weft_data_options){0}, WEFT_ERR_FORMAT);
    unit_says("t.csv: line 1, column 2: '' is not a finite number");
    open_csv("1,NA,a\n2,3,b\n", (struct weft_data_options){0}, WEFT_ERR_FORMAT);
    open_csv("x,\xe9,y\n1,2,0\n2,3,1\n", (struct weft_data_options){0}, WEFT_ERR_FORMAT);
    unit_says("not UTF-8");
}

static void split_by_seed(void **state) {
    (void)state;
    char text[4096] = "x,y\n";
    for (int i = 0; i < 100; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%d,%d\n", i, i % 2);
    uint64_t previous = UINT64_MAX;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct weft_data *data =
            open_csv(text, (struct weft_data_options){.seed = seed, .val_fraction = 0.2}, WEFT_OK);
        assert_true(data->n[0] == 80 && data->n[1] == 20);
        bool seen[100] = {false};
        uint64_t sum = 0;
        for (uint64_t i = 0; i < 100; i++) { // each row is in one of the two, once
            float x;
            int32_t y;
            const struct weft_samples out = {.x = &x, .targets = &y};
            weft_data_batch(data, i < 80 ? WEFT_SPLIT_TRAIN : WEFT_SPLIT_VAL, i < 80 ? i : i - 80,
                            1, &out);
            const long row = lround(x / data->columns->scale[0] + data->columns->mean[0]);
            assert_true(row >= 0 && row < 100 && !seen[row] && y == row % 2);
            seen[row] = true;
            if (i >= 80) sum += (uint64_t)row * (uint64_t)row;
        }
        assert_true(sum != previous);
        previous = sum;
        weft_data_free(data);
    }
    open_csv("1,0\n2,1\n3,0\n", (struct weft_data_options){.val_fraction = 0.1}, WEFT_ERR_ARG);
    unit_says("3 rows are too few for --val-fraction 0.1");
}

static void regression(void **state) {
    (void)state;
    const struct weft_data_options o = {.regression = true};
    struct weft_data *data = open_csv("a,c,price\n1,5,100.5\n2,5,200.5\n3,5,300.5\n", o, WEFT_OK);
    assert_int_equal(data->classes, 0);
    float x[6], y[3];
    weft_data_batch(data, WEFT_SPLIT_TRAIN, 0, 3, &(struct weft_samples){.x = x, .values = y});
    for (int i = 0; i < 3; i++) {
        assert_true(x[2 * i + 1] == 0); // a constant column
        assert_true(fabs((x[2 * i] / data->columns->scale[0] + data->columns->mean[0]) * 100 + 0.5 -
                         (y[i] / data->columns->target_scale + data->columns->target_mean)) < 1e-3);
    }
    weft_data_free(data);
    open_csv("a,b\n1,x\n2,3\n", o, WEFT_ERR_FORMAT);
    unit_says("t.csv: row 1: the label 'x' is not a number");
    open_csv("a,b\n1,1.5\n2,3\n", (struct weft_data_options){0}, WEFT_ERR_ARG);
    unit_says("--loss mse");
}

static void bad_files(void **state) {
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "t.csv: is empty"},
        {"\n\n\n", "t.csv: is empty"},
        {"a\n1\n2\n", "t.csv: line 1 has one column"},
        {"a,b\n1,2\n", "t.csv: has 1 rows"},
        {"a,b\n", "t.csv: has 0 rows"},
        {"a,b\n1,2\n3\n", "t.csv: line 3 has 1 fields, but the first one has 2"},
        {"a,b\n1,2\n3,4,5\n", "t.csv: line 3 has 3 fields"},
        {"a,b\n1,2\n\nx,4\n", "t.csv: line 4, column 1 a: 'x' is not a finite number"},
        {"1,2\n,4\n", "t.csv: line 2, column 1: '' is not a finite number"},
        {"1,2\nnan,4\n", "'nan' is not a finite number"},
        {"1,2\n1e999,4\n", "'1e999' is not"},
        {"1,2\n3,\n", "t.csv: line 2: the label is empty"},
        {"1,2\n3,2\n", "all labels are '2'"},
        {"1,\"2\n3,4\n", "t.csv: line 1: a quote is opened but never closed"},
        {"1,\"2\"x\n3,4\n", "t.csv: line 1: there is text after a closing quote"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct weft_data *data = NULL;
        const struct weft_data_options o = {.path = "t.csv"};
        unit_put("t.csv", cases[i].text, strlen(cases[i].text));
        assert_int_not_equal(weft_data_open(unit_ctx, WEFT_DATA_FEATURES, &o, &data), WEFT_OK);
        unit_says(cases[i].says);
    }
    struct weft_data *data;
    unit_put("t.csv", "1,2\n3\0,4\n", 9);
    assert_int_equal(weft_data_open(unit_ctx, WEFT_DATA_FEATURES,
                                    &(struct weft_data_options){.path = "t.csv"}, &data),
                     WEFT_ERR_FORMAT);
    unit_says("line 2: has a zero byte");
}

static void garbage_is_survived(void **state) {
    (void)state;
    uint64_t seed = 5;
    for (int round = 0; round < 4000; round++) {
        char text[64];
        const size_t n = unit_random(&seed) % sizeof text;
        for (size_t i = 0; i < n; i++)
            text[i] = ",,\"\"\n\n\r 1203.ex-;\t\0a"[unit_random(&seed) % 21];
        unit_put("t.csv", text, n);
        struct weft_data *data = NULL;
        const struct weft_data_options o = {
            .path = "t.csv", .val_fraction = round % 2 ? 0.3 : 0, .regression = round % 3 == 0};
        if (weft_data_open(unit_ctx, WEFT_DATA_FEATURES, &o, &data) != WEFT_OK) {
            unit_says("t.csv: ");
            continue;
        }
        float x[64], y;
        int32_t target;
        weft_data_batch(data, WEFT_SPLIT_TRAIN, unit_random(&seed), 1,
                        &(struct weft_samples){.x = x, .targets = &target, .values = &y});
        weft_data_free(data);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields),
        cmocka_unit_test(classes),
        cmocka_unit_test(which_column_is_the_label),
        cmocka_unit_test(scikit_learn),
        cmocka_unit_test(figures),
        cmocka_unit_test(split_by_seed),
        cmocka_unit_test(regression),
        cmocka_unit_test(bad_files),
        cmocka_unit_test(garbage_is_survived),
    };
    return cmocka_run_group_tests(tests, unit_start, unit_stop);
}
