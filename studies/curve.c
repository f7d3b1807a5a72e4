/* See curve.h. */
#include "studies/curve.h"

#include <math.h>
#include <stdlib.h>
#include "studies/detect.h"
#include "studies/stats.h"

/* Adds a cell's series to the sums; the longest series gives the steps. */
static void add(double *x, double *mean, double *low, double *high, double *count,
                const double *step, const double *value, size_t n) {
    for (size_t i = 0; i < n; i++) {
        x[i] = step[i];
        if (!isfinite(value[i])) continue;
        if (count[i] == 0) low[i] = high[i] = value[i];
        low[i] = fmin(low[i], value[i]);
        high[i] = fmax(high[i], value[i]);
        mean[i] += value[i];
        count[i]++;
    }
}

static struct study_curve average(struct study *s, char part, const char *arm, double n0, double n1,
                                  enum study_kind kind, int layer, const char *tensor,
                                  bool smooth) {
    const struct study_cell *cell[STUDY_MAX_SEEDS];
    const size_t seeds = study_seeds_of(s, part, arm, n0, n1, cell, STUDY_MAX_SEEDS);
    size_t room = 0;
    for (size_t i = 0; i < seeds; i++) {
        const size_t n = study_count(cell[i], kind);
        room = n > room ? n : room;
    }
    double *const x = study_doubles(s, room), *const mean = study_doubles(s, room);
    double *const low = study_doubles(s, room), *const high = study_doubles(s, room);
    double *const count = study_doubles(s, room);
    double *const step = study_doubles(s, room), *const value = study_doubles(s, room);
    size_t longest = 0;
    for (size_t i = 0; i < seeds; i++) {
        const size_t n = study_series(cell[i], kind, layer, tensor, step, value, room);
        if (smooth) {
            double *const e = study_doubles(s, n);
            detect_smooth(value, n, e);
            add(x, mean, low, high, count, step, e, n);
        } else {
            add(x, mean, low, high, count, step, value, n);
        }
        longest = n > longest ? n : longest;
    }
    for (size_t i = 0; i < longest; i++) {
        mean[i] = count[i] > 0 ? mean[i] / count[i] : (double)NAN;
        if (count[i] == 0) low[i] = high[i] = (double)NAN;
    }
    return (struct study_curve){longest, seeds, x, mean, low, high};
}

struct study_curve study_curve_of(struct study *s, char part, const char *arm, double n0, double n1,
                                  enum study_kind kind, int layer, const char *tensor) {
    return average(s, part, arm, n0, n1, kind, layer, tensor, false);
}

struct study_curve study_smooth_of(struct study *s, char part, const char *arm, double n0,
                                   double n1, enum study_kind kind, int layer, const char *tensor) {
    return average(s, part, arm, n0, n1, kind, layer, tensor, true);
}

double *study_losses(struct study *s, const struct study_cell *c, size_t *n) {
    const size_t room = study_count(c, KIND_loss);
    double *const y = study_doubles(s, room);
    *n = study_series(c, KIND_loss, -1, "", NULL, y, room);
    return y;
}

double study_mean_loss(const struct study_cell *c) {
    double sum = 0;
    size_t n = 0;
    if (isfinite(study_value(c, KIND_diverged, -1, "", STUDY_LAST))) return (double)NAN;
    for (size_t i = 0; c != NULL && i < c->records; i++)
        if (c->record[i].kind == KIND_loss) {
            sum += c->record[i].value;
            n++;
        }
    return n > 0 ? sum / (double)n : (double)NAN;
}

double study_steps_to(const struct study_cell *c, double x) {
    const size_t room = study_count(c, KIND_loss);
    double *const loss = malloc((room + 1) * sizeof *loss);
    const size_t n = loss == NULL ? 0 : study_series(c, KIND_loss, -1, "", NULL, loss, room);
    const double at = detect_steps_to(loss, n, x);
    free(loss);
    return at;
}

void study_window_sds(struct study *s, const struct study_cell *const *cell, size_t cells,
                      size_t steps, size_t windows, double *y) {
    const double *loss[STUDY_MAX_SEEDS];
    size_t n[STUDY_MAX_SEEDS];
    for (size_t i = 0; i < cells; i++) loss[i] = study_losses(s, cell[i], &n[i]);
    for (size_t k = 0; k < windows; k++) {
        double mean[STUDY_MAX_SEEDS];
        for (size_t i = 0; i < cells; i++)
            mean[i] =
                n[i] >= steps * (k + 1) ? stats_mean(loss[i] + steps * k, steps) : (double)NAN;
        y[k] = stats_sd(mean, cells);
    }
}

void figure_curve(struct study_figure *f, const char *label, struct figure_color color,
                  enum figure_mark mark, const struct study_curve *c) {
    figure_line(f, &(struct figure_series){.label = label,
                                           .color = color,
                                           .mark = mark,
                                           .n = c->n,
                                           .x = c->x,
                                           .y = c->mean,
                                           .low = c->seeds > 1 ? c->low : NULL,
                                           .high = c->seeds > 1 ? c->high : NULL});
}

struct study_figure *figure_layers(struct study *s, const char *name, const char *title,
                                   const char *axis, const struct study_series_of *what,
                                   int layers) {
    struct study_figure *const f = figure_new(s, name, title);
    f->x = (struct figure_axis){.label = "step", .log = true};
    f->y = (struct figure_axis){.label = axis};
    f->ramp = (struct figure_axis){.label = "layer", .lo = 1, .hi = layers};
    for (int l = 0; l < layers; l++) {
        const struct study_curve c = study_curve_of(s, what->part, what->arm, what->n0, what->n1,
                                                    what->kind, l, what->tensor);
        figure_curve(f, NULL, figure_ramp(l + 1), FIGURE_LINE,
                     &(struct study_curve){.n = c.n, .x = c.x, .mean = c.mean});
    }
    return f;
}
