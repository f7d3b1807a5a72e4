/* Lines, dots, rules and event ticks; heat maps. */
#include "train/plot.h"

#include <math.h>
#include <stdlib.h>
#include "train/plot_axis.h"

/* ---- paths ---- */
struct pen {
    FILE *out;
    bool down;
};
static void move(struct pen *pen, double x, double y) {
    fprintf(pen->out, "%c%.1f,%.1f", pen->down ? 'L' : 'M', x, y);
    pen->down = true;
}

/* The points of one pixel column, or NaN for a gap: first, least, largest, last, in order. */
struct column {
    size_t at[4], n;
    double x;
};
static void flush_column(struct pen *pen, struct column *c, const struct weft_plot_frame *f,
                         const struct weft_series *s) {
    for (size_t pass = 0; pass < c->n; pass++) { /* four entries at most: order by selection */
        for (size_t i = pass + 1; i < c->n; i++) {
            if (c->at[i] >= c->at[pass]) continue;
            const size_t t = c->at[pass];
            c->at[pass] = c->at[i];
            c->at[i] = t;
        }
        if (pass > 0 && c->at[pass] == c->at[pass - 1]) continue;
        const size_t i = c->at[pass];
        move(pen, weft_plot_place(&f->x, s->x[i]), weft_plot_place(&f->y, s->y[i]));
    }
    c->n = 0;
}

static void line_path(FILE *out, const struct weft_plot_frame *f, const struct weft_series *s) {
    const bool thin = (double)s->n > 3 * f->width;
    struct pen pen = {out, false};
    struct column c = {.n = 0};
    for (size_t i = 0; i < s->n; i++) {
        const double x = weft_plot_place(&f->x, s->x[i]), y = weft_plot_place(&f->y, s->y[i]);
        const bool gap = isnan(x) || isnan(y);
        if (c.n && (gap || !thin || floor(x) != c.x)) flush_column(&pen, &c, f, s);
        if (gap) {
            pen.down = false;
            continue;
        }
        if (c.n == 0) {
            c = (struct column){.at = {i, i, i, i}, .n = 4, .x = floor(x)};
            continue;
        }
        if (s->y[i] < s->y[c.at[1]]) c.at[1] = i;
        if (s->y[i] > s->y[c.at[2]]) c.at[2] = i;
        c.at[3] = i;
    }
    if (c.n) flush_column(&pen, &c, f, s);
}

/* Zero-length strokes with round caps: a dot each, nearly no bytes. Values between two gaps would
 * draw no line, so lines get a dot there too. */
static void dots_path(FILE *out, const struct weft_plot_frame *f, const struct weft_series *s,
                      bool lonely) {
    for (size_t i = 0; i < s->n; i++) {
        const double x = weft_plot_place(&f->x, s->x[i]), y = weft_plot_place(&f->y, s->y[i]);
        if (isnan(x) || isnan(y)) continue;
        if (lonely && ((i > 0 && isfinite(s->y[i - 1])) || (i + 1 < s->n && isfinite(s->y[i + 1]))))
            continue;
        fprintf(out, "M%.1f,%.1fh0", x, y);
    }
}

static void tick_path(FILE *out, const struct weft_plot_frame *f, const struct weft_series *s) {
    double last = -1;
    for (size_t i = 0; i < s->n; i++) {
        const double x = weft_plot_place(&f->x, s->x[i]);
        if (isnan(x) || x - last < 0.5) continue;
        fprintf(out, "M%.1f,%.0fv-7", x, f->height);
        last = x;
    }
}

static void series_path(FILE *out, const char *class, const struct weft_plot_frame *f,
                        const struct weft_series *s,
                        void (*draw)(FILE *, const struct weft_plot_frame *,
                                     const struct weft_series *)) {
    fprintf(out, "<path class=\"%s\" style=\"stroke:var(%s)\"", class,
            weft_plot_color_name(s->color));
    if (s->label) {
        fputs(" data-l=\"", out);
        weft_html_text(out, s->label);
        fputc('"', out);
    }
    fputs(" d=\"", out);
    draw(out, f, s);
    fputs("\"/>\n", out);
}
static void draw_dots(FILE *out, const struct weft_plot_frame *f, const struct weft_series *s) {
    dots_path(out, f, s, false);
}
static void draw_lonely(FILE *out, const struct weft_plot_frame *f, const struct weft_series *s) {
    dots_path(out, f, s, true);
}

static void rule(FILE *out, const struct weft_plot_frame *f, const struct weft_series *s) {
    const double y = s->n ? weft_plot_place(&f->y, s->y[0]) : (double)NAN;
    if (isnan(y) || y < 0 || y > f->height) return;
    fprintf(out, "<path class=\"rule\" style=\"stroke:var(%s)\" d=\"M0,%.1fh%.0f\"/>\n",
            weft_plot_color_name(s->color), y, f->width);
    if (!s->label) return;
    fprintf(out, "<text class=\"rule\" x=\"%.0f\" y=\"%.1f\">", f->width - 5,
            y > 16 ? y - 5 : y + 13);
    weft_html_text(out, s->label);
    fputs("</text>\n", out);
}

static void draw_series(FILE *out, const struct weft_plot_frame *f, const struct weft_series *s) {
    switch (s->mark) {
    case WEFT_MARK_RULE: rule(out, f, s); return;
    case WEFT_MARK_TICKS: series_path(out, "tick", f, s, tick_path); return;
    case WEFT_MARK_FAINT: series_path(out, "faint", f, s, line_path); return;
    case WEFT_MARK_DASHED: series_path(out, "line dash", f, s, line_path); break;
    case WEFT_MARK_POINTS:
    case WEFT_MARK_DOTS:
        if (s->mark == WEFT_MARK_DOTS) series_path(out, "line", f, s, line_path);
        series_path(out, "dots", f,
                    &(struct weft_series){.x = s->x, .y = s->y, .n = s->n, .color = s->color},
                    draw_dots);
        return;
    case WEFT_MARK_LINE: series_path(out, "line", f, s, line_path); break;
    }
    series_path(out, "dots", f,
                &(struct weft_series){.x = s->x, .y = s->y, .n = s->n, .color = s->color},
                draw_lonely);
}

/* ---- legend ---- */
static void depth_bar(FILE *out, const char *label, const char *first, const char *last,
                      const char *variable, int from, int to) {
    fputs("<span class=\"key\">", out);
    weft_html_text(out, label);
    fprintf(out, " %s <i class=\"bar\">", first);
    for (int i = from; i < to; i++)
        fprintf(out, "<i style=\"background:var(%s%d)\"></i>", variable, i);
    fprintf(out, "</i> %s</span>\n", last);
}

static void legend(FILE *out, const struct weft_plot *p) {
    size_t named = 0;
    for (size_t i = 0; i < p->count; i++)
        named += p->series[i].label && p->series[i].mark != WEFT_MARK_RULE &&
                 p->series[i].color.kind != WEFT_COLOR_DEPTH;
    const bool depth = p->depth_label && p->depths > 1;
    if (named < 2 && !depth) return; /* the title says it */
    fputs("<div class=\"legend\">", out);
    if (depth) {
        char last[24];
        snprintf(last, sizeof last, "%zu", p->depths - 1);
        depth_bar(out, p->depth_label, "0", last, "--d", 0, WEFT_PLOT_DEPTHS);
    }
    for (size_t i = 0; i < p->count; i++) {
        const struct weft_series *s = &p->series[i];
        if (!s->label || s->mark == WEFT_MARK_RULE || s->color.kind == WEFT_COLOR_DEPTH) continue;
        static const char *const class[] = {"", "f", "d", "o", "t", "o", ""};
        fprintf(out, "<span class=\"key\"><i class=\"chip %s\" style=\"--k:var(%s)\"></i>",
                class[s->mark], weft_plot_color_name(s->color));
        weft_html_text(out, s->label);
        fputs("</span>\n", out);
    }
    fputs("</div>\n", out);
}

static void no_data(FILE *out) { fputs("<p class=\"empty\">no data</p></figure>\n", out); }

void weft_plot_write(FILE *out, const struct weft_plot *p) {
    struct weft_plot_extent ex = WEFT_PLOT_NO_EXTENT, ey = WEFT_PLOT_NO_EXTENT;
    bool drawable = false;
    for (size_t i = 0; i < p->count; i++) {
        const struct weft_series *s = &p->series[i];
        for (size_t j = 0; j < s->n; j++) {
            if (s->mark != WEFT_MARK_RULE && (s->mark == WEFT_MARK_TICKS || isfinite(s->y[j])))
                weft_plot_extend(&ex, s->x[j]);
            if (s->mark != WEFT_MARK_TICKS) weft_plot_extend(&ey, s->y[j]);
            if (s->mark != WEFT_MARK_RULE && s->mark != WEFT_MARK_TICKS)
                drawable |= isfinite(s->y[j]);
        }
    }
    weft_plot_caption(out, p->title, p->note, p->columns);
    if (!drawable) {
        no_data(out);
        return;
    }
    legend(out, p);
    struct weft_plot_frame f = weft_plot_frame(p->columns);
    f.x = weft_plot_line(&p->x, ex, p->x.integer ? 0.02 : 0, 0, f.width);
    f.y = weft_plot_line(&p->y, ey, 0.05, f.height, 0);
    weft_plot_open(out, &f, &p->x, &p->y, p->title);
    for (size_t i = 0; i < p->count; i++)
        if (p->series[i].mark != WEFT_MARK_RULE) draw_series(out, &f, &p->series[i]);
    for (size_t i = 0; i < p->count; i++) /* last, so that no line hides their labels */
        if (p->series[i].mark == WEFT_MARK_RULE) draw_series(out, &f, &p->series[i]);
    weft_plot_close(out);
}

/* ---- heat maps ---- */
/* Level of a density relative to the largest; the square root shows the tails. */
static int heat_level(double density, double most) {
    const int level = (int)ceil(sqrt(density / most) * WEFT_PLOT_HEAT - 1e-9);
    return level < 0 ? 0 : level > WEFT_PLOT_HEAT ? WEFT_PLOT_HEAT : level;
}

/* Densities of every column, (columns)(bins); NULL when memory is short or nothing is counted. */
static double *densities(const struct weft_heat *h, double *most) {
    double *d = calloc(h->columns * h->bins + 1, sizeof *d);
    *most = 0;
    if (!d) return NULL;
    for (size_t c = 0; c < h->columns; c++) {
        double total = 0;
        const double width = (h->hi[c] - h->lo[c]) / (double)h->bins;
        for (size_t b = 0; b < h->bins; b++) total += h->counts[c][b];
        if (!(total > 0) || !(width > 0)) continue;
        for (size_t b = 0; b < h->bins; b++) {
            d[c * h->bins + b] = h->counts[c][b] / total / width;
            *most = fmax(*most, d[c * h->bins + b]);
        }
    }
    if (*most > 0) return d;
    free(d);
    return NULL;
}

/* One path a level: the vertical runs of bins of that level in each column. */
static void heat_path(FILE *out, const struct weft_plot_frame *f, const struct weft_heat *h,
                      const double *density, double most, int level, const double *edge) {
    fprintf(out, "<path class=\"heat\" style=\"fill:var(--h%d)\" d=\"", level - 1);
    for (size_t c = 0; c < h->columns; c++) {
        const double *d = density + c * h->bins;
        for (size_t b = 0, end; b < h->bins; b = end) {
            end = b + 1;
            if (heat_level(d[b], most) != level) continue;
            while (end < h->bins && heat_level(d[end], most) == level) end++;
            const double width = (h->hi[c] - h->lo[c]) / (double)h->bins;
            const double y1 = weft_plot_place(&f->y, h->lo[c] + width * (double)b);
            const double y0 = weft_plot_place(&f->y, h->lo[c] + width * (double)end);
            fprintf(out, "M%.1f,%.1fH%.1fV%.1fH%.1fz", edge[c], y0, edge[c + 1], y1, edge[c]);
        }
    }
    fputs("\"/>\n", out);
}

void weft_heat_write(FILE *out, const struct weft_heat *h) {
    double most;
    double *density = h->columns && h->bins ? densities(h, &most) : NULL;
    double *edge = malloc((h->columns + 1) * sizeof *edge);
    weft_plot_caption(out, h->title, h->note, 1);
    if (!density || !edge) {
        no_data(out);
    } else {
        struct weft_plot_extent ey = WEFT_PLOT_NO_EXTENT, ex = WEFT_PLOT_NO_EXTENT;
        for (size_t c = 0; c < h->columns; c++) {
            weft_plot_extend(&ey, h->lo[c]);
            weft_plot_extend(&ey, h->hi[c]);
        }
        const double first = h->x[0], last = h->x[h->columns - 1];
        weft_plot_extend(&ex, first);
        weft_plot_extend(&ex, last > first ? last : first + 1);
        fputs("<div class=\"legend\">", out);
        depth_bar(out, "density", "0", "max", "--h", 0, WEFT_PLOT_HEAT);
        fputs("</div>\n", out);
        const struct weft_plot_axis x = {.label = h->x_label}, y = {.label = h->y_label};
        struct weft_plot_frame f = weft_plot_frame(1);
        f.x = weft_plot_line(&x, ex, 0, 0, f.width);
        f.y = weft_plot_line(&y, ey, 0, f.height, 0);
        for (size_t c = 0; c <= h->columns; c++)
            edge[c] = c == 0            ? 0
                      : c == h->columns ? f.width
                                        : weft_plot_place(&f.x, (h->x[c - 1] + h->x[c]) / 2);
        weft_plot_open(out, &f, &x, &y, h->title);
        for (int level = 1; level <= WEFT_PLOT_HEAT; level++)
            heat_path(out, &f, h, density, most, level, edge);
        weft_plot_close(out);
    }
    free(edge);
    free(density);
}

/* ---- words ---- */
void weft_html_text(FILE *out, const char *text) {
    for (const char *c = text; c && *c; c++) {
        switch (*c) {
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        case '&': fputs("&amp;", out); break;
        case '"': fputs("&quot;", out); break;
        default:
            if ((unsigned char)*c >= 0x20 || *c == '\n' || *c == '\t') fputc(*c, out);
        }
    }
}

const char *weft_number_text(char buf[32], double value) {
    const double size = fabs(value);
    if (!isfinite(value))
        snprintf(buf, 32, "%s", isnan(value) ? "NaN" : value > 0 ? "Inf" : "-Inf");
    else if (size >= 1e9)
        snprintf(buf, 32, "%.4gG", value / 1e9);
    else if (size >= 1e6)
        snprintf(buf, 32, "%.4gM", value / 1e6);
    else if (size >= 1e4)
        snprintf(buf, 32, "%.4gk", value / 1e3);
    else
        snprintf(buf, 32, "%.4g", value);
    return buf;
}
