/* Charts as inline SVG: lines over steps, profiles over depth, heat maps of histograms.
 *
 * A chart is an HTML <figure>: title, legend, <svg>. Colours are CSS variables which the page
 * defines for light and dark (weft_plot_style), so that one file serves both. Coordinates are
 * written with a tenth of a pixel; a series longer than the chart is wide is thinned to the first,
 * least, largest and last value of each pixel column, so no spike is lost. Values that are not
 * finite (on log axes: not positive) are gaps. */
#ifndef WEFT_TRAIN_PLOT_H
#define WEFT_TRAIN_PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define WEFT_PLOT_HUES   8  /* categorical colours: runs, or q, k, v */
#define WEFT_PLOT_DEPTHS 24 /* shades of the scale that stands for depth or time */
#define WEFT_PLOT_HEAT   12 /* levels of a heat map above "nothing" */

enum weft_plot_scale {
    WEFT_SCALE_LINEAR,
    WEFT_SCALE_LOG,
    WEFT_SCALE_AUTO, /* log when all values are positive and span more than a factor of 30 */
};
struct weft_plot_axis {
    const char *label; /* with its unit */
    enum weft_plot_scale scale;
    double lo, hi; /* fixed range when lo < hi, else from the data */
    bool zero;     /* a linear axis starts at 0 */
    bool integer;  /* no ticks between whole numbers */
};

enum weft_plot_mark {
    WEFT_MARK_LINE,
    WEFT_MARK_FAINT, /* raw data behind a smoothed line */
    WEFT_MARK_DASHED,
    WEFT_MARK_DOTS,  /* line with a dot at each point */
    WEFT_MARK_TICKS, /* a short tick on the lower edge at each x: events */
    WEFT_MARK_POINTS, /* dots alone */
    WEFT_MARK_RULE,  /* a horizontal line across the chart at y[0] */
};
struct weft_plot_color {
    enum { WEFT_COLOR_HUE, WEFT_COLOR_DEPTH, WEFT_COLOR_INK } kind;
    size_t index; /* hue: any number, taken modulo WEFT_PLOT_HUES; depth: < WEFT_PLOT_DEPTHS */
};
struct weft_series {
    const char *label;   /* NULL: not in the legend */
    const double *x, *y; /* (n), x ascending */
    size_t n;
    enum weft_plot_mark mark;
    struct weft_plot_color color;
};

struct weft_plot {
    const char *title;
    const char *note; /* one line under the title, or NULL */
    struct weft_plot_axis x, y;
    const struct weft_series *series;
    size_t count;
    const char *depth_label; /* NULL: no scale of depth in the legend; else "layer" */
    size_t depths;           /* layers the scale stands for */
    int columns;             /* width in columns of the page, 1 to 3 */
};
/* Write one chart. A chart without a single drawable point says "no data". */
void weft_plot_write(FILE *out, const struct weft_plot *p);

/* Histograms over time: column i has bins counts over [lo[i], hi[i]] and stands at x[i]; shade is
 * density relative to the densest cell. */
struct weft_heat {
    const char *title, *note, *x_label, *y_label;
    const double *x, *lo, *hi;   /* (columns), x ascending */
    const double *const *counts; /* (columns)(bins) */
    size_t columns, bins;
};
void weft_heat_write(FILE *out, const struct weft_heat *h);

/* Shade of layer `layer` of `layers`. */
struct weft_plot_color weft_plot_depth(size_t layer, size_t layers);
/* The CSS variable of a colour, e.g. "--d7" (in a static table). */
const char *weft_plot_color_name(struct weft_plot_color color);
/* Category i on a light page, "#1d6fb8". Returns buf. */
const char *weft_plot_hex(size_t i, char buf[8]);
/* The variables of all colours, light and dark; the style sheet of charts, which has them too; the
 * script of charts. */
void weft_plot_colors(FILE *out);
void weft_plot_style(FILE *out);
void weft_plot_script(FILE *out);

/* Text with <, >, &, " escaped. */
void weft_html_text(FILE *out, const char *text);
/* A number for people: 4 significant digits, k/M/G from 10,000 up, exponents below 1e-3. */
const char *weft_number_text(char buf[32], double value);

#endif
