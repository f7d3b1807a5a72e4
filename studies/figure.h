/* Figures of a study: NAME.csv with every number, and NAME.svg drawn by gnuplot, 640 x 400.
 *
 *   struct study_figure *f = figure_new(s, "band", "Accuracy and initial std");
 *   f->x = (struct figure_axis){.label = "sigma", .log = true};
 *   f->y = (struct figure_axis){.label = "test accuracy"};
 *   figure_line(f, &(struct figure_series){.label = "SGD", .color = figure_hue(0), .n = n,
 *                                          .x = x, .y = y, .low = least, .high = most});
 *   figure_rule(f, 0.9, "published [src]");
 *
 * The arrays must live as long as the study (study_doubles). The same arm takes the same hue in all
 * figures of a study. Values that are not finite (on log axes: not positive) are gaps. What was
 * published is a dotted grey line with its tag. */
#ifndef WEFT_STUDIES_FIGURE_H
#define WEFT_STUDIES_FIGURE_H

#include "studies/study.h"

enum figure_mark {
    FIGURE_LINE,
    FIGURE_DASHED,
    FIGURE_DOTTED,
    FIGURE_DOTS,
    FIGURE_POINTS,
    FIGURE_BARS
};

struct figure_axis {
    const char *label;
    bool log;
    double lo, hi; /* fixed when lo < hi */
};
struct figure_color {
    enum { FIGURE_HUE, FIGURE_RAMP, FIGURE_GREY } kind;
    double at; /* hue: its number; ramp: value on the scale */
};
static inline struct figure_color figure_hue(size_t i) {
    return (struct figure_color){FIGURE_HUE, (double)i};
}
static inline struct figure_color figure_ramp(double value) {
    return (struct figure_color){FIGURE_RAMP, value};
}
static inline struct figure_color figure_grey(void) {
    return (struct figure_color){FIGURE_GREY, 0};
}

struct figure_series {
    const char *label; /* NULL: not in the legend */
    enum figure_mark mark;
    struct figure_color color;
    bool right; /* on the right axis */
    size_t n;
    const double *x, *y;
    const double *low, *high; /* a shade; NULL: none */
};

struct study_figure {
    struct study *s;
    const char *name, *title;
    struct figure_axis x, y, right, ramp; /* right and ramp: where a label is set */
    struct figure_series *series;
    size_t count;
    struct figure_region {
        double lo, hi; /* lo == hi: a line */
        bool vertical;
        const char *label;
    } * region;
    size_t regions;
    /* a heat map: nx columns at x, ny rows at y, value (ny, nx) */
    size_t nx, ny;
    const double *heat_x, *heat_y, *heat;
    bool heat_log;
};

/* Wanted: only while its part ran. name and title are kept. */
struct study_figure *figure_new(struct study *s, const char *name, const char *title);
/* The same with names for both axes. */
struct study_figure *figure_xy(struct study *s, const char *name, const char *title, const char *x,
                               const char *y);
void figure_line(struct study_figure *f, const struct figure_series *series);
void figure_rule(struct study_figure *f, double y, const char *label); /* published value */
void figure_mark_x(struct study_figure *f, double lo, double hi, const char *label);
void figure_heat(struct study_figure *f, size_t nx, const double *x, size_t ny, const double *y,
                 const double *value, bool log_scale);

/* Write all: the CSV files, and the pictures when there is a gnuplot. *drawn: there was. */
WEFT_NODISCARD enum weft_status figure_write_all(struct study *s, bool *drawn);

#endif
