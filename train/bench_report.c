#include "train/bench_report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "train/bench_data.h"
#include "train/page.h"
#include "train/plot.h"

#define WHOS   12  /* lines of a chart */
#define POINTS 256 /* of a line */

struct line {
    char label[64];
    enum weft_plot_mark mark;
    double x[POINTS], y[POINTS];
    size_t n;
};
struct chart {
    struct line line[WHOS];
    size_t lines;
    double peak;              /* GFLOP/s, from what share of it the rows reached */
    enum weft_plot_mark mark; /* of new lines */
};

static struct line *line_of(struct chart *c, const char *label) {
    for (size_t i = 0; i < c->lines; i++)
        if (strcmp(c->line[i].label, label) == 0) return &c->line[i];
    if (c->lines == WHOS) return NULL;
    struct line *const l = &c->line[c->lines++];
    *l = (struct line){.mark = c->mark};
    snprintf(l->label, sizeof l->label, "%s", label);
    return l;
}

/* Kept ascending in x. */
static void put(struct line *l, double x, double y) {
    if (l == NULL || l->n == POINTS) return;
    size_t i = l->n++;
    for (; i > 0 && l->x[i - 1] > x; i--) {
        l->x[i] = l->x[i - 1];
        l->y[i] = l->y[i - 1];
    }
    l->x[i] = x;
    l->y[i] = y;
}

static void write_chart(FILE *out, const struct chart *c, struct weft_plot *p) {
    struct weft_series s[WHOS + 1];
    size_t n = 0;
    const double none = 0;
    for (size_t i = 0; i < c->lines; i++)
        s[n++] = (struct weft_series){.label = c->line[i].label,
                                      .x = c->line[i].x,
                                      .y = c->line[i].y,
                                      .n = c->line[i].n,
                                      .mark = c->line[i].mark,
                                      .color = {WEFT_COLOR_HUE, i}};
    if (c->peak > 0)
        s[n++] = (struct weft_series){.label = "measured FMA peak",
                                      .x = &none,
                                      .y = &c->peak,
                                      .n = 1,
                                      .mark = WEFT_MARK_RULE,
                                      .color = {WEFT_COLOR_INK, 0}};
    p->series = s;
    p->count = n;
    if (c->lines > 0) weft_plot_write(out, p);
}

/* ---- speed against size ---- */
static void size_chart(FILE *out, const struct weft_bench_data *d, size_t threads) {
    struct chart c = {.mark = WEFT_MARK_DOTS};
    char title[96];
    for (size_t i = 0; i < d->n; i++) {
        const struct weft_bench_case *const b = &d->at[i];
        if (b->m == 0 || b->m != b->n || b->m != b->k || b->threads != threads || b->cold) continue;
        char label[64];
        snprintf(label, sizeof label, "%s%s", b->who,
                 strcmp(b->variant, "packed") ? "" : ", packed");
        put(line_of(&c, label), (double)b->m, b->gflops);
        if (b->share > 0) c.peak = fmax(c.peak, 100 * b->gflops / b->share);
    }
    snprintf(title, sizeof title, "Square products, %zu thread%s", threads, threads > 1 ? "s" : "");
    struct weft_plot p = {.title = title,
                          .note = "the upper edge is what the FMA units can do",
                          .x = {.label = "m = n = k", .scale = WEFT_SCALE_LOG},
                          .y = {.label = "GFLOP/s", .zero = true},
                          .columns = 2};
    write_chart(out, &c, &p);
}

static bool seen_before(const struct weft_bench_data *d, size_t i) {
    for (size_t j = 0; j < i; j++)
        if (d->at[j].threads == d->at[i].threads) return true;
    return false;
}

/* ---- the roofline ---- */
static void roofline(FILE *out, const struct weft_bench_data *d) {
    struct chart c = {.mark = WEFT_MARK_POINTS};
    double slope = 0; /* GB/s: the best that memory gave */
    for (size_t i = 0; i < d->n; i++) {
        const struct weft_bench_case *const b = &d->at[i];
        if (b->gflops <= 0 || b->gbs <= 0) continue;
        char family[32]; /* "gelu" of gelu_tanh_fwd: more colours than eight cannot be told apart */
        snprintf(family, sizeof family, "%.*s", (int)strcspn(b->op, "_"), b->op);
        put(line_of(&c, family), b->gflops / b->gbs, b->gflops);
        if (b->share > 0 && !strcmp(b->binds, "FMA"))
            c.peak = fmax(c.peak, 100 * b->gflops / b->share);
        if (b->share > 0 && b->cold && !strcmp(b->binds, "streams"))
            slope = fmax(slope, 100 * b->gbs / b->share);
    }
    if (slope > 0 && c.peak > 0 && c.lines < WHOS) {
        c.mark = WEFT_MARK_LINE;
        struct line *const roof = line_of(&c, "memory's roof");
        put(roof, 0.02, 0.02 * slope);
        put(roof, c.peak / slope, c.peak);
    }
    struct weft_plot p = {
        .title = "Roofline",
        .note = "each dot a case; left of the knee memory binds, right of it the FMA units",
        .x = {.label = "FLOP per byte that must move", .scale = WEFT_SCALE_LOG},
        .y = {.label = "GFLOP/s", .scale = WEFT_SCALE_LOG},
        .columns = 1};
    write_chart(out, &c, &p);
}

/* ---- a step by op, as bars ---- */
static void bar(FILE *out, const json_t *op, double all) {
    const double ms = json_number_value(json_object_get(op, "ms"));
    const double least = json_number_value(json_object_get(op, "least_ms"));
    char number[32];
    fputs("<tr><th>", out);
    weft_html_text(out, json_string_value(json_object_get(op, "name")));
    fprintf(
        out,
        "</th><td style=\"width:60%%\"><div style=\"position:relative;height:1.1em;width:%.2f%%;"
        "background:color-mix(in srgb,var(--c0) 35%%,transparent)\"><div style=\"height:100%%;"
        "width:%.2f%%;background:var(--c0)\"></div></div></td><td>%s ms</td><td>%.0f%%</td></tr>\n",
        100 * ms / all, ms > 0 ? fmin(100, 100 * least / ms) : 0, weft_number_text(number, ms),
        ms > 0 ? 100 * least / ms : 0);
}

static void profile(FILE *out, const json_t *p) {
    const json_t *const ops = json_object_get(p, "ops");
    double most = 0;
    size_t i;
    json_t *op;
    char title[128];
    json_array_foreach(ops, i, op) most = fmax(most, json_number_value(json_object_get(op, "ms")));
    snprintf(title, sizeof title, "One step of %s", json_string_value(json_object_get(p, "model")));
    weft_page_section(out, title, json_string_value(json_object_get(p, "verdict")));
    fputs(
        "</div><div class=\"wide\"><table style=\"width:100%\"><tr><th>op</th><th>time; dark: what "
        "the limits allow</th><th></th><th>of its bound</th></tr>\n",
        out);
    json_array_foreach(ops, i, op) bar(out, op, most > 0 ? most : 1);
    fputs("</table>", out);
    weft_page_section_end(out);
}

/* ---- every case ---- */
static void rows(FILE *out, const struct weft_bench_data *d) {
    weft_page_section(out, "All cases", NULL);
    fputs("</div><div class=\"wide\"><table "
          "class=\"numbers\"><tr><th>case</th><th>best</th><th>median</th>"
          "<th>GFLOP/s</th><th>GB/s</th><th>of the limit</th></tr>\n",
          out);
    for (size_t i = 0; i < d->n; i++) {
        const struct weft_bench_case *const b = &d->at[i];
        char name[256]; /* every case goes by the clock on the wall: no need to say so */
        const char *const clock = strstr(b->name, "/real_time");
        snprintf(name, sizeof name, "%.*s",
                 (int)(clock != NULL ? (size_t)(clock - b->name) : strlen(b->name)), b->name);
        fputs("<tr><td>", out);
        weft_html_text(out, name);
        fprintf(out,
                "</td><td>%.4g ms</td><td>%.4g ms</td><td>%.4g</td><td>%.4g</td><td>%.1f%% "
                "%s</td></tr>\n",
                1e3 * b->seconds[0], 1e3 * weft_bench_median(b), b->gflops, b->gbs, b->share,
                b->binds);
    }
    fputs("</table>", out);
    weft_page_section_end(out);
}

static void write_page(FILE *out, const struct weft_bench_data *d) {
    const char *const cpu = weft_bench_context(d, "cpu"), *const built =
                                                              weft_bench_context(d, "weft");
    weft_page_begin(out, "Speed of weft");
    fputs("<p class=\"lead\">", out);
    weft_html_text(out, cpu ? cpu : "");
    if (built) fputs("; weft ", out);
    weft_html_text(out, built ? built : "");
    fputs("</p>\n", out);
    if (d->n > 0) {
        weft_page_section(out, "Products and limits", "The fastest of all repetitions.");
        for (size_t i = 0; i < d->n; i++)
            if (!seen_before(d, i)) size_chart(out, d, d->at[i].threads);
        roofline(out, d);
        weft_page_section_end(out);
    }
    for (size_t i = 0; i < d->profiles; i++) profile(out, d->profile[i]);
    if (d->n > 0) rows(out, d);
    weft_page_end(out, "Written by weft bench report.");
}

enum weft_status weft_bench_report(weft_ctx *ctx, const char *const *files, size_t n,
                                   const char *path) {
    struct weft_bench_data d;
    struct weft_page page;
    enum weft_status st = weft_bench_data_load(ctx, files, n, &d);
    if (st != WEFT_OK) return st;
    st = weft_page_open(ctx, &page);
    if (st == WEFT_OK) {
        write_page(page.out, &d);
        st = weft_page_commit(ctx, &page, path);
    }
    weft_bench_data_free(&d);
    return st;
}
