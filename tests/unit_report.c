/* Reading runs back, charts, the HTML page and the table. */
#include "tests/support/unit.h"

#include <math.h>

#include "train/plot.h"
#include "train/plot_axis.h"
#include "train/report.h"

static void write_text(const char *dir, const char *name, const char *text) {
    char path[300];
    mkdir(dir, 0777);
    snprintf(path, sizeof path, "%s/%s", dir, name);
    unit_put(path, text, strlen(text));
}

static size_t occurrences(const char *text, const char *what) {
    size_t n = 0;
    for (const char *at = text; (at = strstr(at, what)); at += strlen(what)) n++;
    return n;
}

/* The markup of one chart; free it. */
static char *chart(const struct weft_plot *p) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    weft_plot_write(out, p);
    assert_int_equal(fclose(out), 0);
    return text;
}

/* ---- run directories ---- */
static void reads_runs(void **state) {
    (void)state;
    write_text("a", "run.json", "{\"settings\":{\"lr\":0.5,\"steps\":4},\"isa\":\"emu\"}");
    write_text("a", "metrics.jsonl",
               "{\"step\":0,\"loss\":5,\"clipped\":true}\n"
               "{\"step\":1,\"loss\":\"nan\",\"clipped\":false}\n"
               "{\"step\":2,\"loss\":3}\n"
               "{\"step\":1,\"loss\":4,\"val_loss\":4.5}\n" /* resumed: steps 1 and 2 again */
               "{\"step\":2,\"loss\":2}\n"
               "{\"step\":3,\"lo");
    write_text("a", "stats.jsonl",
               "{\"step\":0,\"layer\":0,\"tensor\":\"q\",\"kind\":\"std\",\"value\":0.02}\n"
               "{\"step\":0,\"layer\":1,\"tensor\":\"q\",\"kind\":\"std\",\"value\":0.03}\n"
               "{\"step\":2,\"layer\":0,\"tensor\":\"q\",\"kind\":\"std\",\"value\":0.04}\n"
               "{\"step\":0,\"layer\":0,\"tensor\":\"q\",\"kind\":\"histogram\",\"lo\":-1,\"hi\":1,"
               "\"counts\":[1,2,1]}\n" /* layers that no model has: no loop over all up to them */
               "{\"step\":0,\"layer\":2147483646,\"tensor\":\"q\",\"kind\":\"std\",\"value\":1}\n"
               "{\"step\":0,\"layer\":4294967296,\"tensor\":\"q\",\"kind\":\"std\",\"value\":1}\n");
    struct weft_run_data *run = NULL;
    assert_int_equal(weft_run_data_load(unit_ctx, "a", &run), WEFT_OK);
    assert_string_equal(run->name, "a");
    assert_int_equal(run->bad_lines, 3);
    const struct weft_track *loss = weft_run_metric(run, "loss");
    assert_non_null(loss);
    assert_int_equal(loss->n, 3);
    assert_true(loss->value[0] == 5 && loss->value[1] == 4 && loss->value[2] == 2);
    assert_int_equal(weft_run_metric(run, "val_loss")->n, 1);
    assert_true(weft_run_metric(run, "clipped")->value[0] == 1);
    assert_null(weft_run_metric(run, "step"));
    assert_int_equal(weft_run_layers(run, "std", "q"), 2);
    assert_true(weft_run_stat(run, "std", "q", 0)->value[1] == 0.04);
    assert_int_equal(run->snapshots, 1);
    assert_true(run->snapshot[0].counts[1] == 2);
    assert_true(weft_run_number(run, "lr") == 0.5);
    assert_true(isnan(weft_run_number(run, "isa")) && isnan(weft_run_number(run, "no such key")));
    weft_run_data_free(run);
}

static void refuses_other_directories(void **state) {
    (void)state;
    struct weft_run_data *run = NULL;
    mkdir("nothing", 0777);
    assert_int_equal(weft_run_data_load(unit_ctx, "nothing", &run), WEFT_ERR_IO);
    unit_says("not a run directory");
    assert_int_equal(weft_run_data_load(unit_ctx, "missing", &run), WEFT_ERR_IO);
    const char *dirs[] = {"nothing"};
    assert_int_equal(weft_report_write(unit_ctx, dirs, 1, "x.html"), WEFT_ERR_IO);
    assert_int_equal(access("x.html", F_OK), -1);
    assert_int_equal(weft_report_write(unit_ctx, dirs, 0, "x.html"), WEFT_ERR_ARG);
    assert_int_equal(weft_report_write(unit_ctx, dirs, 17, "x.html"), WEFT_ERR_ARG);
}

/* ---- charts ---- */
static void scales(void **state) {
    (void)state;
    struct weft_plot_extent e = WEFT_PLOT_NO_EXTENT;
    weft_plot_extend(&e, 1);
    weft_plot_extend(&e, (double)NAN);
    weft_plot_extend(&e, 100);
    struct weft_plot_line l = weft_plot_line(&(struct weft_plot_axis){.label = ""}, e, 0, 0, 99);
    assert_false(l.log);
    assert_true(weft_plot_place(&l, 1) == 0 && weft_plot_place(&l, 100) == 99);
    l = weft_plot_line(&(struct weft_plot_axis){.scale = WEFT_SCALE_AUTO}, e, 0, 200, 0);
    assert_true(l.log); /* a factor of 100 */
    assert_true(fabs(weft_plot_place(&l, 10) - 100) < 1e-9);
    assert_true(isnan(weft_plot_place(&l, 0)) && isnan(weft_plot_place(&l, (double)INFINITY)));
    l = weft_plot_line(&(struct weft_plot_axis){.zero = true}, e, 0.1, 0, 1);
    assert_true(l.lo == 0 && l.hi > 100);
    weft_plot_extend(&e, 0); /* a log axis starts at the least positive value */
    l = weft_plot_line(&(struct weft_plot_axis){.scale = WEFT_SCALE_LOG}, e, 0, 0, 1);
    assert_true(l.log && l.lo == 1);
}

static void gaps_split_lines(void **state) {
    (void)state;
    const double x[] = {0, 1, 2, 3, 4, 5}, y[] = {1, 2, (double)NAN, (double)INFINITY, 3, 4};
    const struct weft_series s = {"a <b>", x, y, 6, WEFT_MARK_LINE, {WEFT_COLOR_HUE, 0}};
    const struct weft_plot p = {
        .title = "<script>&\"", .x = {"x"}, .y = {"y"}, .series = &s, .count = 1};
    char *text = chart(&p);
    const char *path = strstr(text, "data-l=\"a &lt;b&gt;\" d=\"");
    assert_non_null(path);
    char d[200] = "";
    sscanf(strstr(path, " d=\"") + 4, "%199[^\"]", d);
    assert_int_equal(occurrences(d, "M"), 2);
    assert_int_equal(occurrences(d, "L"), 2);
    assert_null(strstr(text, "<script>"));
    assert_null(strstr(d, "nan"));
    free(text);
}

static void thinning_keeps_spikes(void **state) {
    (void)state;
    enum { N = 50000 };
    double *x = malloc(2 * N * sizeof *x), *y = x + N;
    assert_non_null(x);
    for (size_t i = 0; i < N; i++) {
        x[i] = (double)i;
        y[i] = i == 31234 ? 9 : i == 40001 ? -9 : sin((double)i);
    }
    const struct weft_series s = {"s", x, y, N, WEFT_MARK_LINE, {WEFT_COLOR_HUE, 0}};
    const struct weft_plot p = {
        .title = "t", .x = {"x"}, .series = &s, .count = 1, .y = {"y", WEFT_SCALE_LINEAR, -10, 10}};
    char *text = chart(&p);
    assert_true(strlen(text) < 30000);
    double top = INFINITY, bottom = -INFINITY, last = 0, height = weft_plot_frame(1).height;
    for (const char *at = strstr(text, "data-l") + 12; *at && *at != '/'; at++) {
        double px, py;
        if ((*at != 'M' && *at != 'L') || sscanf(at + 1, "%lf,%lf", &px, &py) != 2) continue;
        assert_true(px >= last); /* never back in time */
        last = px;
        top = fmin(top, py);
        bottom = fmax(bottom, py);
    }
    assert_true(fabs(top - height * 0.05) < 0.1 && fabs(bottom - height * 0.95) < 0.1);
    free(text);
    free(x);
}

static void nothing_to_draw(void **state) {
    (void)state;
    const double x = 0, y = (double)NAN;
    const struct weft_series s = {"s", &x, &y, 1, WEFT_MARK_LINE, {WEFT_COLOR_HUE, 0}};
    const struct weft_plot p = {.title = "t", .x = {"x"}, .y = {"y"}, .series = &s, .count = 1};
    char *text = chart(&p);
    assert_non_null(strstr(text, "no data"));
    assert_null(strstr(text, "<svg"));
    free(text);
}

static void numbers(void **state) {
    (void)state;
    char b[32];
    assert_string_equal(weft_number_text(b, 1.23456), "1.235");
    assert_string_equal(weft_number_text(b, 124439808), "124.4M");
    assert_string_equal(weft_number_text(b, 50257), "50.26k");
    assert_string_equal(weft_number_text(b, (double)NAN), "NaN");
}

/* ---- the page ---- */
static void write_run(const char *name, double lr, int steps) {
    char *metrics = calloc(1, 1 << 18), *stats = calloc(1, 1 << 20), settings[200];
    assert_true(metrics && stats);
    size_t m = 0, s = 0;
    for (int t = 0; t < steps; t++) {
        m += (size_t)sprintf(metrics + m,
                             "{\"step\":%d,\"loss\":%g,\"lr\":%g,\"grad_norm\":%g,\"clipped\":%s,"
                             "\"tokens_per_s\":900,\"step_ms\":5%s}\n",
                             t, 2 + 3.0 / (t + 1), lr, 1.0 / (t + 1), t < 3 ? "true" : "false",
                             t % 10 == 9 ? ",\"val_loss\":2.5" : "");
        for (int layer = 0; layer < 3 && t % 5 == 0; layer++) {
            for (const char *q = "qkv"; *q; q++)
                s += (size_t)sprintf(stats + s,
                                     "{\"step\":%d,\"layer\":%d,\"tensor\":\"%c\",\"kind\":\"std\","
                                     "\"value\":%g}\n",
                                     t, layer, *q,
                                     0.02 * (1 + lr * t * (layer + 1)) + (*q == 'v') * 0.01);
        }
    }
    strcpy(stats + s, "{\"step\":0,\"layer\":1,\"tensor\":\"q\",\"kind\":\"histogram\",\"lo\":-1,"
                      "\"hi\":1,\"counts\":[0,5,9,5,0]}\n");
    sprintf(settings, "{\"settings\":{\"lr\":%g,\"layers\":3,\"clip\":1},\"bigram_loss\":2.75}",
            lr);
    write_text(name, "run.json", settings);
    write_text(name, "metrics.jsonl", metrics);
    write_text(name, "stats.jsonl", stats);
    free(metrics);
    free(stats);
}

static void page_of_one_run(void **state) {
    (void)state;
    write_run("one & only", 0.01, 100);
    const char *dirs[] = {"one & only"};
    assert_int_equal(weft_report_write(unit_ctx, dirs, 1, "one.html"), WEFT_OK);
    char *text = unit_get("one.html", NULL);
    assert_int_equal(occurrences(text, "<figure"), occurrences(text, "</figure>"));
    assert_int_equal(occurrences(text, "<svg"), occurrences(text, "</svg>"));
    assert_true(occurrences(text, "class=\"plot\"") >=
                7); /* loss lr norm speed q k v profile heat */
    assert_non_null(strstr(text, "one &amp; only"));
    assert_non_null(strstr(text, "bigram model 2.75"));
    assert_non_null(strstr(text, "3 of 100 steps clipped"));
    assert_non_null(strstr(text, "q, layer 1"));
    assert_null(strstr(text, "src="));
    assert_null(strstr(text, "href="));
    assert_null(strstr(text, "nan,"));
    assert_null(strstr(text, "inf,"));
    /* Q, K and V share their axis, so that they can be compared. */
    char axis[3][100];
    const char *const titles[] = {"Query weights", "Key weights", "Value weights"};
    for (int i = 0; i < 3; i++)
        assert_int_equal(sscanf(strstr(strstr(text, titles[i]), "data-y=\""), "%99[^>]", axis[i]),
                         1);
    assert_string_equal(axis[0], axis[1]);
    assert_string_equal(axis[1], axis[2]);
    free(text);
}

static void page_of_two_runs(void **state) {
    (void)state;
    write_run("slow", 0.001, 40);
    write_run("fast", 0.01, 60);
    const char *dirs[] = {"slow", "fast"};
    assert_int_equal(weft_report_write(unit_ctx, dirs, 2, "two.html"), WEFT_OK);
    char *text = unit_get("two.html", NULL);
    assert_int_equal(occurrences(text, "<b>Loss</b>"), 1);          /* overlaid */
    assert_int_equal(occurrences(text, "<b>Query weights</b>"), 3); /* overlaid, side by side */
    assert_int_equal(occurrences(text, "all runs: mean of the layers"), 3);
    assert_null(strstr(text, "cut off above"));
    assert_int_equal(occurrences(text, "bigram model 2.75</text>"), 1);
    assert_non_null(strstr(text, "<tr class=\"differs\"><th>settings.lr"));
    assert_null(strstr(text, "<tr class=\"differs\"><th>settings.layers"));
    free(text);
}

/* A perceptron that diverged beside one that did not, both in folders of one name. */
static void page_of_perceptrons(void **state) {
    (void)state;
    mkdir("p1", 0777);
    mkdir("p2", 0777);
    static const char settings[] = "{\"model\":\"mlp\",\"total_steps\":9,\"settings\":{\"loss\":"
                                   "\"mse\",\"hidden\":\"32,16\",\"optimizer\":\"sgd\"}}";
    write_text("p1/run", "run.json", settings);
    write_text("p2/run", "run.json", "{\"model\"");
    write_text("p1/run", "metrics.jsonl",
               "{\"step\":1,\"loss\":2,\"tokens_per_s\":9}\n{\"step\":9,\"loss\":1}\n");
    write_text("p2/run", "metrics.jsonl",
               "{\"step\":1,\"loss\":3000}\n{\"step\":2,\"loss\":\"nan\"}\n");
    const char *dirs[] = {"p1/run", "p2/run"};
    assert_int_equal(weft_report_write(unit_ctx, dirs, 1, "p.html"), WEFT_OK);
    char *text = unit_get("p.html", NULL);
    assert_non_null(strstr(text, "hidden 32,16, sgd"));
    assert_non_null(strstr(text, "squared error"));
    assert_non_null(strstr(text, "samples per second"));
    assert_null(strstr(text, "nats"));
    assert_null(strstr(text, "not finished"));
    free(text);
    write_text("p2/run", "run.json", "{\"total_steps\":9}");
    assert_int_equal(weft_report_write(unit_ctx, dirs, 2, "p.html"), WEFT_OK);
    text = unit_get("p.html", NULL);
    assert_non_null(strstr(text, "<h1>p1/run, p2/run</h1>"));
    assert_non_null(strstr(text, "of 9: diverged"));
    assert_non_null(strstr(text, "cut off above 60"));
    free(text);
    write_text("p2/run", "run.json", "{\"model\"");
    assert_int_equal(weft_report_write(unit_ctx, dirs, 2, "p.html"), WEFT_OK);
    text = unit_get("p.html", NULL);
    assert_non_null(strstr(text, "run.json of p2/run cannot be read"));
    free(text);
}

static void page_of_empty_run(void **state) {
    (void)state;
    write_text("empty", "metrics.jsonl", "");
    const char *dirs[] = {"empty"};
    assert_int_equal(weft_report_write(unit_ctx, dirs, 1, "empty.html"), WEFT_OK);
    assert_int_equal(weft_report_write(unit_ctx, dirs, 1, "no/such/dir.html"), WEFT_ERR_IO);
    unit_says("no/such/dir.html");
    assert_int_equal(weft_report_table(unit_ctx, "empty", stdout), WEFT_ERR_STATE);
}

static void table(void **state) {
    (void)state;
    write_run("table", 0.01, 11);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    assert_int_equal(weft_report_table(unit_ctx, "table", out), WEFT_OK);
    fclose(out);
    assert_non_null(strstr(text, "step 0, at step 10"));
    assert_non_null(strstr(text, "    2  0.02000 0.02600  +30.0%  0.02000 0.02600  +30.0%  "
                                 "0.03000 0.03600  +20.0%\n"));
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_runs),
        cmocka_unit_test(refuses_other_directories),
        cmocka_unit_test(scales),
        cmocka_unit_test(gaps_split_lines),
        cmocka_unit_test(numbers),
        cmocka_unit_test(thinning_keeps_spikes),
        cmocka_unit_test(nothing_to_draw),
        cmocka_unit_test(page_of_one_run),
        cmocka_unit_test(page_of_two_runs),
        cmocka_unit_test(page_of_perceptrons),
        cmocka_unit_test(page_of_empty_run),
        cmocka_unit_test(table),
    };
    return cmocka_run_group_tests(tests, unit_start, unit_stop);
}
