/* Series of records over steps, averaged over the seeds of an arm. */
#ifndef WEFT_STUDIES_CURVE_H
#define WEFT_STUDIES_CURVE_H

#include "studies/figure.h"

struct study_curve {
    size_t n, seeds;
    const double *x, *mean, *low, *high; /* over the seeds that got so far */
};
/* Of all cells with these (study_seeds_of). */
struct study_curve study_curve_of(struct study *s, char part, const char *arm, double n0, double n1,
                                  enum study_kind kind, int layer, const char *tensor);
/* The same, smoothed: the moving average of detect.h, seed by seed. */
struct study_curve study_smooth_of(struct study *s, char part, const char *arm, double n0,
                                   double n1, enum study_kind kind, int layer, const char *tensor);
/* The values of one cell as the study's memory; *n of them. */
double *study_losses(struct study *s, const struct study_cell *c, size_t *n);

/* Mean loss over all steps; NaN: it diverged, or there is none. */
double study_mean_loss(const struct study_cell *c);
/* The first step at which the smoothed loss is at most x; infinity: none. */
double study_steps_to(const struct study_cell *c, double x);
/* sd over cells of the loss averaged in windows of so many steps, y: (windows). */
void study_window_sds(struct study *s, const struct study_cell *const *cell, size_t cells,
                      size_t steps, size_t windows, double *y);

/* A line with a shade from least to largest, when there are several seeds. */
void figure_curve(struct study_figure *f, const char *label, struct figure_color color,
                  enum figure_mark mark, const struct study_curve *c);

/* A figure with one line a layer, shallow to deep, over the logarithm of the step: means over the
 * seeds of an arm. */
struct study_series_of {
    char part;
    const char *arm;
    double n0, n1;
    enum study_kind kind;
    const char *tensor;
};
struct study_figure *figure_layers(struct study *s, const char *name, const char *title,
                                   const char *axis, const struct study_series_of *what,
                                   int layers);

#endif
