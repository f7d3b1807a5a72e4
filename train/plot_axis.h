/* Axes of a chart: ranges, scales, ticks and their labels. */
#ifndef WEFT_TRAIN_PLOT_AXIS_H
#define WEFT_TRAIN_PLOT_AXIS_H

#include "train/plot.h"

/* The area between the axes, in pixels from its upper left corner. */
struct weft_plot_line { /* value -> pixel along one axis */
    double lo, hi;      /* range of values, padding included */
    bool log;
    double from, to; /* pixels of lo and hi */
};
struct weft_plot_frame {
    double width, height;
    struct weft_plot_line x, y;
};

/* Extent of the data of one axis; lo > hi when there is none. */
struct weft_plot_extent {
    double lo, hi;
    double least_positive; /* what a log axis starts at; INFINITY when nothing is positive */
};
void weft_plot_extend(struct weft_plot_extent *e, double value);
#define WEFT_PLOT_NO_EXTENT ((struct weft_plot_extent){INFINITY, -INFINITY, INFINITY})

/* Fix range and scale; pad is the share of the range left free at both ends. */
struct weft_plot_line weft_plot_line(const struct weft_plot_axis *axis, struct weft_plot_extent e,
                                     double pad, double from, double to);
/* Pixel of a value; NAN when it has none (not finite; not positive on a log axis). */
double weft_plot_place(const struct weft_plot_line *l, double value);

/* Open <figure>, title, <svg> with both axes, grid and labels, and the inner <svg> of the data area
 * (which clips). The legend goes between weft_plot_caption and weft_plot_open. */
void weft_plot_caption(FILE *out, const char *title, const char *note, int columns);
void weft_plot_open(FILE *out, const struct weft_plot_frame *f, const struct weft_plot_axis *x,
                    const struct weft_plot_axis *y, const char *title);
void weft_plot_close(FILE *out);
/* A frame of the standard height over this many columns of the page. */
struct weft_plot_frame weft_plot_frame(int columns);

#endif
