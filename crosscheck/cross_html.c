/* The page: cards, charts over the checks in their order, the losses of a model, and every number.
 */
#include <math.h>
#include <stdlib.h>

#include "crosscheck/crosscheck.h"
#include "train/page.h"
#include "train/plot.h"

enum { WEFT_HUE = 0, ONEDNN_HUE = 3, PACKED_HUE = 4 };

/* ---- charts: a dot for each check, which is a value between two gaps ---- */
struct dots {
    double *x, *y; /* (2 n) */
    size_t n;
};

static bool dots_open(struct dots *d, size_t n) {
    *d = (struct dots){.x = malloc((4 * n + 1) * sizeof *d->x)};
    if (d->x == NULL) return false;
    d->y = d->x + 2 * n;
    return true;
}

static void dot(struct dots *d, double x, double y) {
    d->x[d->n] = d->x[d->n + 1] = x;
    d->y[d->n] = y;
    d->y[d->n + 1] = (double)NAN;
    d->n += 2;
}

typedef double value_fn(const struct weft_cross_check *c, bool onednn);

static const struct weft_cross_error *side(const struct weft_cross_check *c, bool onednn) {
    return onednn ? &c->onednn : &c->weft;
}
static double share(const struct weft_cross_check *c, bool onednn) {
    return onednn && !c->has_onednn ? (double)NAN : side(c, onednn)->share;
}
/* Sums in double are beyond comparison. */
static double rel_l2(const struct weft_cross_check *c, bool onednn) {
    const double e = side(c, onednn)->rel_l2;
    return (onednn && !c->has_onednn) || e < 1e-12 ? (double)NAN : e;
}
/* How many times as long oneDNN takes, operands in cache or not. */
static double ratio(const struct weft_cross_check *c, bool cold) {
    const struct weft_cross_times *const t = cold ? &c->cold : &c->hot;
    return t->weft > 0 && t->onednn > 0 ? t->onednn / t->weft : (double)NAN;
}

static void chart(FILE *out, const struct weft_cross_report *r, const char *title, const char *note,
                  const char *label, const char *const names[2], value_fn *value,
                  const char *limit) {
    static const double one = 1;
    struct dots d[2];
    const bool a = dots_open(&d[0], r->checks), b = dots_open(&d[1], r->checks);
    for (size_t i = 0; a && b && i < r->checks; i++)
        for (size_t k = 0; k < 2; k++) dot(&d[k], (double)(i + 1), value(&r->check[i], k == 1));
    if (a && b) {
        const struct weft_series series[] = {
            {names[0], d[0].x, d[0].y, d[0].n, WEFT_MARK_LINE, {WEFT_COLOR_HUE, WEFT_HUE}},
            {names[1], d[1].x, d[1].y, d[1].n, WEFT_MARK_LINE, {WEFT_COLOR_HUE, ONEDNN_HUE}},
            {limit, &one, &one, 1, WEFT_MARK_RULE, {WEFT_COLOR_INK, 0}}};
        weft_plot_write(out, &(struct weft_plot){.title = title,
                                                 .note = note,
                                                 .x = {.label = "check", .integer = true},
                                                 .y = {.label = label, .scale = WEFT_SCALE_LOG},
                                                 .series = series,
                                                 .count = limit != NULL ? 3 : 2,
                                                 .columns = 3});
    }
    free(d[0].x);
    free(d[1].x);
}

static void loss_charts(FILE *out, const struct weft_cross_report *r) {
    static const double limit = WEFT_CROSS_DIVERGENCE;
    double x[WEFT_CROSS_STEPS], off[WEFT_CROSS_STEPS];
    for (size_t s = 0; s < r->steps; s++) {
        x[s] = (double)(s + 1);
        off[s] = fabs(r->loss[1][s] - r->loss[0][s]) / r->loss[0][s];
    }
    const struct weft_series loss[] = {
        {"weft", x, r->loss[0], r->steps, WEFT_MARK_LINE, {WEFT_COLOR_HUE, WEFT_HUE}},
        {"oneDNN", x, r->loss[1], r->steps, WEFT_MARK_DASHED, {WEFT_COLOR_HUE, ONEDNN_HUE}}};
    const struct weft_series drift[] = {
        {"difference", x, off, r->steps, WEFT_MARK_DOTS, {WEFT_COLOR_HUE, PACKED_HUE}},
        {"limit", x, &limit, 1, WEFT_MARK_RULE, {WEFT_COLOR_INK, 0}}};
    fputs("<h2>Training on both</h2><p class=\"lead\">The same model, the same data, a step at a "
          "time; rounding errors grow as they do between any two libraries.</p><div "
          "class=\"grid\">\n",
          out);
    weft_plot_write(out, &(struct weft_plot){.title = "Loss",
                                             .x = {.label = "step", .integer = true},
                                             .y = {.label = "mean loss"},
                                             .series = loss,
                                             .count = 2,
                                             .columns = 1});
    weft_plot_write(
        out, &(struct weft_plot){.title = "Divergence of the losses",
                                 .note = "relative; equal losses are left out",
                                 .x = {.label = "step", .integer = true},
                                 .y = {.label = "|difference| / loss", .scale = WEFT_SCALE_LOG},
                                 .series = drift,
                                 .count = 2,
                                 .columns = 2});
    fputs("</div>\n", out);
}

/* ---- numbers ---- */
static void card(FILE *out, const char *label, const char *value, const char *note) {
    fprintf(out, "<div><span>%s</span><b>%s</b><small>%s</small></div>\n", label, value, note);
}

static void cards(FILE *out, const struct weft_cross_report *r) {
    char a[64], b[64];
    size_t closer[4] = {0};
    for (size_t i = 0; i < r->checks; i++) closer[weft_cross_closer(&r->check[i])]++;
    fputs("<div class=\"cards\">\n", out);
    snprintf(a, sizeof a, "%zu", r->checks);
    card(out, "checks", a, "in f32, against the double oracles");
    snprintf(a, sizeof a, "%zu", r->failed);
    card(out, "failed", a, r->failed == 0 ? "every element inside its bound" : "see the table");
    snprintf(a, sizeof a, "%zu : %zu", closer[WEFT_CROSS_WEFT], closer[WEFT_CROSS_ONEDNN]);
    snprintf(b, sizeof b, "weft : oneDNN; %zu equal, %zu without oneDNN", closer[WEFT_CROSS_EQUAL],
             closer[WEFT_CROSS_ALONE]);
    card(out, "closer to the truth", a, b);
    snprintf(a, sizeof a, "oneDNN %s", r->onednn);
    snprintf(b, sizeof b, "weft %s, %s, %d thread%s", weft_version(), r->isa, r->threads,
             r->threads > 1 ? "s" : "");
    card(out, "versions", a, b);
    if (r->model != NULL)
        card(out, "first node outside of its bound", r->first != NULL ? r->first : "none",
             r->model);
    fputs("</div>\n", out);
}

static void error_cells(FILE *out, const struct weft_cross_error *e, bool there) {
    if (!there) {
        fputs("<td class=\"first\" colspan=\"4\">has no such op</td>", out);
        return;
    }
    fprintf(out, "<td class=\"first\">%.2g</td><td>%.2g</td><td>%.2g</td><td>[%zu, %zu]</td>",
            e->max_ulp, e->rel_l2, e->share, e->row, e->col);
}

static void time_cells(FILE *out, const struct weft_cross_check *c) {
    const struct weft_cross_times *const times[2] = {&c->hot, &c->cold};
    for (size_t i = 0; i < 8; i++) {
        const struct weft_cross_times *const t = times[i / 4];
        const double way[4] = {t->weft, t->onednn, t->weft_packed, t->onednn_packed};
        fputs(i % 4 == 0 ? "<td class=\"first\">" : "<td>", out);
        if (way[i % 4] > 0) fprintf(out, way[i % 4] < 1e-4 ? "%.3g" : "%.0f", 1e6 * way[i % 4]);
        fputs("</td>", out);
    }
}

static void table_row(FILE *out, const struct weft_cross_check *c, size_t number, bool times) {
    fprintf(out, "<tr%s><td>%zu", c->failed ? " class=\"differs\"" : "", number);
    const char *const texts[] = {c->op, c->shape, c->backward ? "bwd" : "fwd", c->node, c->output};
    for (size_t i = 0; i < 5; i++) {
        fputs("</td><td>", out);
        weft_html_text(out, texts[i]);
    }
    fputs("</td>", out);
    error_cells(out, &c->weft, true);
    error_cells(out, &c->onednn, c->has_onednn);
    fprintf(out, "<td>%s</td>", c->has_onednn ? weft_cross_verdict_text(weft_cross_closer(c)) : "");
    if (times) time_cells(out, c);
    fputs(c->failed ? "<td><b>FAIL</b> " : "<td>pass", out);
    weft_html_text(out, c->reason);
    fputs("</td></tr>\n", out);
}

static void table(FILE *out, const struct weft_cross_report *r) {
    static const char times_head[] = "<th class=\"first\">weft</th><th>oneDNN</th>"
                                     "<th>weft packed</th><th>oneDNN packed</th>";
    const bool times = r->model == NULL;
    fputs("<h2>Every check</h2><p class=\"lead\">Share: of its bound, by the worst element, whose "
          "row and column follow.",
          out);
    if (times)
        fputs(" Times in µs, of the whole node; packed: the weight laid out beforehand as the "
              "library likes it.",
              out);
    fputs("</p><div class=\"wide\"><table class=\"numbers\">\n<tr><th colspan=\"6\"></th>"
          "<th class=\"first\" colspan=\"4\">weft</th><th class=\"first\" colspan=\"4\">oneDNN"
          "</th><th></th>",
          out);
    if (times)
        fputs("<th class=\"first\" colspan=\"4\">operands in cache</th>"
              "<th class=\"first\" colspan=\"4\">operands in memory</th>",
              out);
    fputs("<th></th></tr>\n<tr><th></th><th>op</th><th>shape</th><th></th><th>node</th>"
          "<th>output</th>",
          out);
    for (size_t i = 0; i < 2; i++)
        fputs("<th class=\"first\">max ulp</th><th>rel L2</th><th>share</th><th>at</th>", out);
    fprintf(out, "<th>closer</th>%s%s<th>verdict</th></tr>\n", times ? times_head : "",
            times ? times_head : "");
    for (size_t i = 0; i < r->checks; i++) table_row(out, &r->check[i], i + 1, times);
    fputs("</table></div>\n", out);
}

static void write_page(FILE *out, const struct weft_cross_report *r) {
    static const char *const sides[2] = {"weft", "oneDNN"};
    static const char *const caches[2] = {"operands in cache", "operands in memory"};
    char title[64] = "cross-check against oneDNN";
    if (r->model != NULL)
        snprintf(title, sizeof title, "cross-check of %s against oneDNN", r->model);
    weft_page_begin(out, title);
    cards(out, r);
    if (r->steps > 0) loss_charts(out, r);
    fputs(
        "<h2>Errors</h2><p class=\"lead\">Checks are numbered as in the table below. No error, no "
        "dot; of equal ones oneDNN's is on top.</p><div class=\"grid\">\n",
        out);
    chart(out, r, "Share of the bound", "the worst element of each check; above 1 is outside",
          "error / bound", sides, share, "bound");
    chart(out, r, "Relative error", "root of the summed squares", "|got - want| / |want|", sides,
          rel_l2, NULL);
    fputs("</div>\n", out);
    if (r->model == NULL) {
        fputs("<h2>Time</h2><div class=\"grid\">\n", out);
        chart(out, r, "oneDNN's time over weft's", "above 1: weft is faster", "ratio", caches,
              ratio, "equal");
        fputs("</div>\n", out);
    }
    table(out, r);
    weft_page_end(out, "Written by weft crosscheck.");
}

enum weft_status weft_cross_html(weft_ctx *ctx, const struct weft_cross_report *r,
                                 const char *path) {
    struct weft_page page;
    const enum weft_status st = weft_page_open(ctx, &page);
    if (st != WEFT_OK) return st;
    write_page(page.out, r);
    return weft_page_commit(ctx, &page, path);
}
