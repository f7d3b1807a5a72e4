/* Ranges, ticks and labels. Ticks of a linear axis stand at 1, 2 or 5 times a power of ten; large
 * and small values share one factor that is written once above the axis. Log axes label decades,
 * and 2 and 5 between them when there are few. */
#include "train/plot_axis.h"

#include <math.h>
#include <string.h>

enum { LEFT = 50, RIGHT = 14, TOP = 20, BOTTOM = 38, HEIGHT = 216, COLUMN = 440, GAP = 24 };
#define MAX_TICKS 32

struct tick {
    double at;
    char label[32]; /* empty: a grid line only */
};
struct ticks {
    struct tick tick[MAX_TICKS];
    size_t n;
    char factor[32]; /* "×10⁻³", or empty */
};

void weft_plot_extend(struct weft_plot_extent *e, double value) {
    if (!isfinite(value)) return;
    e->lo = fmin(e->lo, value);
    e->hi = fmax(e->hi, value);
    if (value > 0) e->least_positive = fmin(e->least_positive, value);
}

struct weft_plot_line weft_plot_line(const struct weft_plot_axis *axis, struct weft_plot_extent e,
                                     double pad, double from, double to) {
    struct weft_plot_line l = {.from = from, .to = to};
    const bool fixed = axis->lo < axis->hi;
    l.lo = fixed ? axis->lo : e.lo;
    l.hi = fixed ? axis->hi : e.hi;
    if (!(l.lo <= l.hi)) l.lo = 0, l.hi = 1;
    const bool positive = isfinite(e.least_positive) || (fixed && l.lo > 0);
    if (!fixed && axis->scale == WEFT_SCALE_LOG && positive) l.lo = e.least_positive;
    l.log = positive && l.lo > 0 &&
            ((axis->scale == WEFT_SCALE_LOG && l.hi > 4 * l.lo) ||
             (axis->scale == WEFT_SCALE_AUTO && l.hi > 30 * l.lo));
    if (fixed) return l;
    if (l.log) {
        const double margin = pow(l.hi / l.lo, pad);
        l.lo /= margin;
        l.hi *= margin;
        return l;
    }
    const bool zero = axis->zero && l.lo >= 0;
    if (zero) l.lo = 0;
    double margin = (l.hi - l.lo) * pad;
    if (l.hi - l.lo <= 1e-12 * fabs(l.hi)) margin = l.hi == 0 ? 0.5 : fabs(l.hi) * 0.05;
    if (!zero) l.lo -= margin;
    l.hi += margin;
    return l;
}

double weft_plot_place(const struct weft_plot_line *l, double value) {
    if (!isfinite(value) || (l->log && value <= 0)) return (double)NAN;
    const double share =
        l->log ? log(value / l->lo) / log(l->hi / l->lo) : (value - l->lo) / (l->hi - l->lo);
    return l->from + share * (l->to - l->from);
}

/* n as superscript digits. */
static void superscript(char out[static 16], int n) {
    static const char *const digit[10] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
    char plain[8];
    snprintf(plain, sizeof plain, "%d", n < -99 ? -99 : n > 99 ? 99 : n);
    out[0] = 0;
    for (const char *c = plain; *c; c++) strcat(out, *c == '-' ? "⁻" : digit[*c - '0']);
}

static void add_tick(struct ticks *t, double at, const char *label) {
    if (t->n == MAX_TICKS) return;
    t->tick[t->n].at = at;
    snprintf(t->tick[t->n].label, sizeof t->tick[0].label, "%s", label);
    t->n++;
}

/* The exponent of the common factor of an axis whose largest value is this. */
static int factor_of(double largest) {
    if (largest >= 1e4) return 3 * (int)floor(log10(largest) / 3);
    if (largest < 1e-2 && largest > 0) return (int)floor(log10(largest) + 1e-9);
    return 0;
}

static void linear_ticks(struct ticks *t, const struct weft_plot_line *l, int target,
                         bool integer) {
    const double span = (l->hi - l->lo) / target;
    const double base = pow(10, floor(log10(span)));
    double step = span <= base       ? base
                  : span <= 2 * base ? 2 * base
                  : span <= 5 * base ? 5 * base
                                     : 10 * base;
    if (integer && step < 1) step = 1;
    const int exponent = factor_of(fmax(fabs(l->lo), fabs(l->hi)));
    const double factor = pow(10, exponent);
    const int digits = (int)ceil(-log10(step / factor) - 1e-9);
    for (double k = ceil(l->lo / step - 1e-9); k * step <= l->hi + 1e-9 * step; k++) {
        char label[32];
        snprintf(label, sizeof label, "%.*f", digits > 0 ? digits : 0, k * step / factor + 0.0);
        add_tick(t, k * step, label);
    }
    if (exponent == 3)
        snprintf(t->factor, sizeof t->factor, "thousands");
    else if (exponent == 6)
        snprintf(t->factor, sizeof t->factor, "millions");
    else if (exponent) {
        char power[16];
        superscript(power, exponent);
        snprintf(t->factor, sizeof t->factor, "×10%s", power);
    }
}

/* plain: all labels of the axis can be read without exponents, and have none. */
static void log_label(char label[static 32], double mantissa, int exponent, bool plain) {
    if (plain) {
        snprintf(label, 32, "%.4g", mantissa * pow(10, exponent));
        return;
    }
    char power[16];
    superscript(power, exponent);
    if (mantissa == 1)
        snprintf(label, 32, "10%s", power);
    else
        snprintf(label, 32, "%.2g·10%s", mantissa, power);
}

/* Which multiples of a power of ten get a label depends on how many decades there are to fill. */
static void log_ticks(struct ticks *t, const struct weft_plot_line *l, int target) {
    static const struct {
        double mantissa, most; /* labelled when there are at most so many decades */
    } mark[] = {{1, INFINITY}, {1.5, 0.9}, {2, 2}, {3, 0.9}, {4, 0.9}, {5, 2}, {7, 0.9}};
    const double decades = log10(l->hi / l->lo);
    const int stride = decades > target ? (int)ceil(decades / target) : 1;
    const bool plain = l->lo >= 1e-3 && l->hi < 1e4;
    for (int e = (int)floor(log10(l->lo)); e <= (int)ceil(log10(l->hi)); e++) {
        for (size_t i = 0; i < sizeof mark / sizeof *mark; i++) {
            const double at = mark[i].mantissa * pow(10, e);
            if (at < l->lo || at > l->hi || decades > mark[i].most || e % stride) continue;
            char label[32];
            log_label(label, mark[i].mantissa, e, plain);
            add_tick(t, at, label);
        }
    }
}

static struct ticks ticks_of(const struct weft_plot_line *l, int target, bool integer) {
    struct ticks t = {.n = 0};
    if (l->log)
        log_ticks(&t, l, target);
    else
        linear_ticks(&t, l, target, integer);
    return t;
}

struct weft_plot_frame weft_plot_frame(int columns) {
    if (columns < 1) columns = 1;
    const double width = COLUMN * columns + GAP * (columns - 1) - LEFT - RIGHT;
    return (struct weft_plot_frame){.width = width, .height = HEIGHT};
}

void weft_plot_caption(FILE *out, const char *title, const char *note, int columns) {
    fprintf(out, "<figure class=\"w%d\"><figcaption><b>", columns < 1 ? 1 : columns);
    weft_html_text(out, title);
    fputs("</b>", out);
    if (note) {
        fputs(" <span>", out);
        weft_html_text(out, note);
        fputs("</span>", out);
    }
    fputs("</figcaption>\n", out);
}

static void x_axis(FILE *out, const struct weft_plot_frame *f, const struct weft_plot_axis *axis) {
    const struct ticks t = ticks_of(&f->x, f->width > 600 ? 10 : 5, axis->integer);
    fputs("<g class=\"x\">", out);
    for (size_t i = 0; i < t.n; i++) {
        const double x = LEFT + weft_plot_place(&f->x, t.tick[i].at);
        fprintf(out, "<path d=\"M%.1f,%dv%.0f\"/>", x, TOP, f->height);
        if (t.tick[i].label[0])
            fprintf(out, "<text x=\"%.1f\" y=\"%.0f\">%s</text>", x, TOP + f->height + 15,
                    t.tick[i].label);
    }
    fprintf(out, "<text class=\"name\" x=\"%.1f\" y=\"%.0f\">", LEFT + f->width / 2,
            TOP + f->height + 32);
    weft_html_text(out, axis->label);
    if (t.factor[0]) fprintf(out, " (%s)", t.factor);
    fputs("</text></g>\n", out);
}

static void y_axis(FILE *out, const struct weft_plot_frame *f, const struct weft_plot_axis *axis) {
    const struct ticks t = ticks_of(&f->y, 5, axis->integer);
    fputs("<g class=\"y\">", out);
    for (size_t i = 0; i < t.n; i++) {
        const double y = TOP + weft_plot_place(&f->y, t.tick[i].at);
        fprintf(out, "<path d=\"M%d,%.1fh%.0f\"/>", LEFT, y, f->width);
        if (t.tick[i].label[0])
            fprintf(out, "<text x=\"%d\" y=\"%.1f\">%s</text>", LEFT - 6, y + 4, t.tick[i].label);
    }
    fprintf(out, "<text class=\"name\" x=\"%d\" y=\"11\">", 2);
    weft_html_text(out, axis->label);
    if (t.factor[0]) fprintf(out, " (%s)", t.factor);
    fputs("</text></g>\n", out);
}

void weft_plot_open(FILE *out, const struct weft_plot_frame *f, const struct weft_plot_axis *x,
                    const struct weft_plot_axis *y, const char *title) {
    fprintf(out, "<svg class=\"plot\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"",
            LEFT + f->width + RIGHT, TOP + f->height + BOTTOM);
    weft_html_text(out, title);
    fputs("\">\n", out);
    x_axis(out, f, x);
    y_axis(out, f, y);
    fprintf(out,
            "<rect class=\"frame\" x=\"%d\" y=\"%d\" width=\"%.0f\" height=\"%.0f\"/>\n"
            "<svg class=\"area\" x=\"%d\" y=\"%d\" width=\"%.0f\" height=\"%.0f\""
            " data-x=\"%.9g %.9g %d\" data-y=\"%.9g %.9g %d\" data-name=\"",
            LEFT, TOP, f->width, f->height, LEFT, TOP, f->width, f->height, f->x.lo, f->x.hi,
            f->x.log, f->y.lo, f->y.hi, f->y.log);
    weft_html_text(out, x->label);
    fputs("\">\n", out);
}

void weft_plot_close(FILE *out) { fputs("</svg></svg></figure>\n", out); }
