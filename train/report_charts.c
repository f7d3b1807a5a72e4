#include "train/report_charts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct weft_plot_axis step_axis = {.label = "step", .integer = true};

/* ---- the chart in work ---- */
static void chart_clear(struct weft_sheet *s) {
    for (size_t i = 0; i < s->buffers; i++) free(s->buffer[i]);
    s->buffers = s->n = 0;
}

void weft_sheet_free(struct weft_sheet *s) {
    chart_clear(s);
    free(s->series);
    free(s->buffer);
    s->series = NULL;
    s->buffer = NULL;
    s->cap = 0;
}

static void add_series(struct weft_sheet *s, struct weft_series series) {
    if (s->n == s->cap) {
        const size_t cap = s->cap ? 2 * s->cap : 32;
        struct weft_series *grown = realloc(s->series, cap * sizeof *grown);
        if (!grown) {
            s->failed = true;
            return;
        }
        s->series = grown;
        s->cap = cap;
    }
    s->series[s->n++] = series;
}

/* bytes of memory that live as long as the chart; NULL after noting the failure. */
static void *chart_alloc(struct weft_sheet *s, size_t bytes) {
    double **grown = realloc(s->buffer, (s->buffers + 1) * sizeof *grown);
    if (grown) s->buffer = grown;
    void *memory = grown ? malloc(bytes + 1) : NULL;
    if (memory)
        s->buffer[s->buffers++] = memory;
    else
        s->failed = true;
    return memory;
}

static const char *chart_text(struct weft_sheet *s, const char *a, const char *b) {
    const size_t bytes = strlen(a) + strlen(b) + 1;
    char *text = chart_alloc(s, bytes);
    if (!text) return "";
    snprintf(text, bytes, "%s%s", a, b);
    return text;
}

/* One run of several that diverges must not flatten the others: where lines reach more than
 * OUTLIER times as high as the lowest of them, they are cut off there. 0: nothing is cut. */
#define OUTLIER 30
static double cut_outliers(struct weft_sheet *s) {
    double least = INFINITY, most = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct weft_series *line = &s->series[i];
        double top = 0;
        if (line->mark == WEFT_MARK_RULE || line->mark == WEFT_MARK_TICKS) continue;
        for (size_t k = 0; k < line->n; k++)
            if (isfinite(line->y[k])) top = fmax(top, line->y[k]);
        if (top > 0) least = fmin(least, top);
        most = fmax(most, top);
    }
    const double limit = OUTLIER * least;
    if (s->runs < 2 || !(most > limit)) return 0;
    for (size_t i = 0; i < s->n; i++) {
        struct weft_series *line = &s->series[i];
        if (line->mark == WEFT_MARK_RULE || line->mark == WEFT_MARK_TICKS) continue;
        double *y = chart_alloc(s, line->n * sizeof *y);
        for (size_t k = 0; y && k < line->n; k++)
            y[k] = line->y[k] > limit ? limit : line->y[k]; // NaN stays
        if (y) line->y = y;
    }
    return limit;
}

static void chart_end(struct weft_sheet *s, struct weft_plot plot) {
    char note[160], number[32];
    const double limit = plot.y.zero || plot.y.lo < plot.y.hi ? 0 : cut_outliers(s);
    if (limit > 0) {
        snprintf(note, sizeof note, "%.100s%scut off above %s", plot.note ? plot.note : "",
                 plot.note && *plot.note ? "; " : "", weft_number_text(number, limit));
        plot.note = note;
    }
    plot.series = s->series;
    plot.count = s->n;
    if (!s->failed) weft_plot_write(s->out, &plot);
    chart_clear(s);
}

static struct weft_plot_color hue(size_t index) {
    return (struct weft_plot_color){WEFT_COLOR_HUE, index};
}

static void add_track(struct weft_sheet *s, const char *label, const struct weft_track *t,
                      enum weft_plot_mark mark, struct weft_plot_color color) {
    if (t) add_series(s, (struct weft_series){label, t->step, t->value, t->n, mark, color});
}

/* A horizontal line at value, drawn once however many runs share it. */
static void add_rule(struct weft_sheet *s, const char *what, double value) {
    if (!isfinite(value)) return;
    for (size_t i = 0; i < s->n; i++)
        if (s->series[i].mark == WEFT_MARK_RULE && s->series[i].y[0] == value) return;
    double *y = chart_alloc(s, sizeof *y);
    if (!y) return;
    *y = value;
    char number[48];
    snprintf(number, sizeof number, " %.4g", value);
    add_series(s, (struct weft_series){
                      chart_text(s, what, number), y, y, 1, WEFT_MARK_RULE, {WEFT_COLOR_INK, 0}});
}

/* ---- metrics ---- */
/* Mean over the w entries on both sides, fewer near the ends so that the window stays centred.
 * Values that are not finite stay gaps and do not enter. */
static const double *smooth(struct weft_sheet *s, const struct weft_track *t, size_t w) {
    double *y = chart_alloc(s, (3 * t->n + 2) * sizeof *y);
    if (!y) return NULL;
    double *sum = y + t->n, *count = sum + t->n + 1; /* of the entries before i */
    sum[0] = count[0] = 0;
    for (size_t i = 0; i < t->n; i++) {
        const bool valid = isfinite(t->value[i]);
        sum[i + 1] = sum[i] + (valid ? t->value[i] : 0);
        count[i + 1] = count[i] + valid;
    }
    for (size_t i = 0; i < t->n; i++) {
        size_t reach = i < w ? i : w;
        if (t->n - 1 - i < reach) reach = t->n - 1 - i;
        const size_t from = i - reach, to = i + reach + 1;
        y[i] =
            isfinite(t->value[i]) ? (sum[to] - sum[from]) / (count[to] - count[from]) : (double)NAN;
    }
    return y;
}

void weft_chart_loss(struct weft_sheet *s) {
    const bool one = s->runs == 1;
    size_t reach = 0, mse = 0;
    for (size_t r = 0; r < s->runs; r++) {
        const struct weft_track *t = weft_run_metric(s->run[r], "loss");
        mse += weft_run_is(s->run[r], "loss", "mse");
        if (t && t->n / 120 > reach) reach = t->n / 120;
    }
    for (size_t r = 0; r < s->runs; r++) {
        const struct weft_track *t = weft_run_metric(s->run[r], "loss");
        if (!t) continue;
        const double *y = reach ? smooth(s, t, reach) : t->value;
        if (reach) add_track(s, NULL, t, WEFT_MARK_FAINT, hue(r));
        const char *label = one ? "training" : s->run[r]->name;
        if (y) add_series(s, (struct weft_series){label, t->step, y, t->n, WEFT_MARK_LINE, hue(r)});
    }
    for (size_t r = 0; r < s->runs; r++) {
        const struct weft_track *t = weft_run_metric(s->run[r], "val_loss");
        const char *label = one ? "validation" : chart_text(s, s->run[r]->name, ", validation");
        add_track(s, label, t, WEFT_MARK_DOTS, hue(one ? 1 : r));
        add_rule(s, "bigram model", weft_run_number(s->run[r], "bigram_loss"));
    }
    char note[80] = "";
    if (reach) snprintf(note, sizeof note, "training: mean of %zu steps", 2 * reach + 1);
    chart_end(s,
              (struct weft_plot){.title = "Loss",
                                 .note = note,
                                 .x = step_axis,
                                 .columns = 2,
                                 .y = {mse == s->runs ? "squared error, in variances of the target"
                                       : mse > 0      ? "loss"
                                                      : "cross-entropy, nats",
                                       WEFT_SCALE_LOG}});
}

/* Steps whose gradient was clipped, as a list of x. */
static void add_clipped(struct weft_sheet *s, const struct weft_track *clipped, const char *label,
                        struct weft_plot_color color) {
    double *x = clipped ? chart_alloc(s, clipped->n * sizeof *x) : NULL;
    size_t n = 0;
    for (size_t i = 0; x && i < clipped->n; i++)
        if (clipped->value[i] > 0) x[n++] = clipped->step[i];
    if (n) add_series(s, (struct weft_series){label, x, x, n, WEFT_MARK_TICKS, color});
}

void weft_chart_grad_norm(struct weft_sheet *s, int columns) {
    const bool one = s->runs == 1;
    char note[64] = "before clipping";
    for (size_t r = 0; r < s->runs; r++) {
        const struct weft_track *t = weft_run_metric(s->run[r], "grad_norm");
        const struct weft_track *clipped = weft_run_metric(s->run[r], "clipped");
        add_track(s, one ? "gradient norm" : s->run[r]->name, t, WEFT_MARK_LINE, hue(r));
        add_clipped(s, clipped, one ? "clipped step" : NULL, hue(one ? 1 : r));
        double count = 0;
        for (size_t i = 0; clipped && i < clipped->n; i++) count += clipped->value[i] > 0;
        if (one && clipped)
            snprintf(note, sizeof note, "%.0f of %zu steps clipped", count, clipped->n);
        const double clip = weft_run_number(s->run[r], "clip");
        if (clip > 0) add_rule(s, "clip", clip);
    }
    chart_end(s, (struct weft_plot){.title = "Gradient norm",
                                    .note = note,
                                    .x = step_axis,
                                    .y = {"global L2 norm", WEFT_SCALE_LOG},
                                    .columns = columns});
}

void weft_chart_metric(struct weft_sheet *s, const char *key, const char *title, const char *label,
                       bool zero) {
    for (size_t r = 0; r < s->runs; r++) {
        const struct weft_track *t = weft_run_metric(s->run[r], key);
        const bool sparse = t && t->n < 64;
        add_track(s, s->runs == 1 ? key : s->run[r]->name, t,
                  sparse ? WEFT_MARK_DOTS : WEFT_MARK_LINE, hue(r));
    }
    if (s->n == 0) return;
    chart_end(s, (struct weft_plot){.title = title, .x = step_axis, .y = {label, .zero = zero}});
}

/* ---- statistics ---- */
struct range {
    double lo, hi;
};
static void widen(struct range *range, const struct weft_track *t, bool positive) {
    for (size_t i = 0; t && i < t->n; i++) {
        if (!isfinite(t->value[i]) || (positive && t->value[i] <= 0)) continue;
        range->lo = fmin(range->lo, t->value[i]);
        range->hi = fmax(range->hi, t->value[i]);
    }
}

/* A shared axis with a margin of 4% on both ends. */
static struct weft_plot_axis shared_axis(const char *label, enum weft_plot_scale scale,
                                         struct range v) {
    struct weft_plot_axis axis = {.label = label, .scale = scale};
    if (!(v.lo < v.hi)) return axis;
    const bool log =
        v.lo > 0 && (scale == WEFT_SCALE_LOG || (scale == WEFT_SCALE_AUTO && v.hi > 30 * v.lo));
    const double margin = log ? pow(v.hi / v.lo, 0.04) : 0.04 * (v.hi - v.lo);
    axis.lo = log ? v.lo / margin : v.lo - margin;
    axis.hi = log ? v.hi * margin : v.hi + margin;
    if (!log) axis.scale = WEFT_SCALE_LINEAR;
    return axis;
}

static const char *layer_label(struct weft_sheet *s, size_t layer) {
    char number[24];
    snprintf(number, sizeof number, "%zu", layer);
    return chart_text(s, "layer ", number);
}

/* Mean over the layers at each step of the first one: what runs are compared by. */
static void add_layer_mean(struct weft_sheet *s, size_t run, const char *kind, const char *tensor) {
    const size_t layers = weft_run_layers(s->run[run], kind, tensor);
    const struct weft_track *first = weft_run_stat(s->run[run], kind, tensor, 0);
    double *mean = layers && first ? chart_alloc(s, first->n * sizeof *mean) : NULL;
    if (!mean) return;
    for (size_t k = 0; k < first->n; k++) {
        double sum = 0;
        size_t n = 0;
        for (size_t l = 0; l < layers; l++) {
            const struct weft_track *t = weft_run_stat(s->run[run], kind, tensor, (int)l);
            if (!t || k >= t->n) continue;
            sum += t->value[k];
            n++;
        }
        mean[k] = sum / (double)n;
    }
    add_series(s, (struct weft_series){s->run[run]->name, first->step, mean, first->n,
                                       WEFT_MARK_LINE, hue(run)});
}

/* Charts with the lines of all runs, a tensor each. */
static void overlay_layers(struct weft_sheet *s, const char *kind, const char *const *tensors,
                           const char *const *titles, size_t n, const char *label,
                           enum weft_plot_scale scale) {
    for (size_t i = 0; i < n; i++) {
        for (size_t r = 0; r < s->runs; r++) add_layer_mean(s, r, kind, tensors[i]);
        if (s->n == 0) continue;
        chart_end(s, (struct weft_plot){.title = titles[i],
                                        .note = "all runs: mean of the layers",
                                        .x = step_axis,
                                        .y = {.label = label, .scale = scale}});
    }
}

/* The values of one run over all these tensors and layers. */
static struct range range_of(const struct weft_run_data *run, const char *kind,
                             const char *const *tensors, size_t n, bool positive) {
    struct range range = {INFINITY, -INFINITY};
    for (size_t i = 0; i < n; i++)
        for (size_t l = 0; l < weft_run_layers(run, kind, tensors[i]); l++)
            widen(&range, weft_run_stat(run, kind, tensors[i], (int)l), positive);
    return range;
}

size_t weft_chart_layers(struct weft_sheet *s, const char *kind, const char *const *tensors,
                         const char *const *titles, size_t n, const char *label,
                         enum weft_plot_scale scale) {
    struct range range = {INFINITY, -INFINITY};
    double least = INFINITY; /* of the runs' largest values: a run far above has its own axis */
    size_t charts = 0;
    if (s->runs > 1) overlay_layers(s, kind, tensors, titles, n, label, scale);
    for (size_t r = 0; r < s->runs; r++) {
        const double hi = range_of(s->run[r], kind, tensors, n, scale != WEFT_SCALE_LINEAR).hi;
        if (hi > 0) least = fmin(least, hi);
    }
    for (size_t r = 0; r < s->runs; r++) {
        const struct range own = range_of(s->run[r], kind, tensors, n, scale != WEFT_SCALE_LINEAR);
        if (own.hi > OUTLIER * least) continue;
        range.lo = fmin(range.lo, own.lo);
        range.hi = fmax(range.hi, own.hi);
    }
    for (size_t r = 0; r < s->runs; r++) {
        const struct range own = range_of(s->run[r], kind, tensors, n, scale != WEFT_SCALE_LINEAR);
        const struct weft_plot_axis axis =
            shared_axis(label, scale, own.hi > OUTLIER * least ? own : range);
        for (size_t i = 0; i < n; i++) {
            const size_t layers = weft_run_layers(s->run[r], kind, tensors[i]);
            if (!layers) continue;
            for (size_t l = 0; l < layers; l++)
                add_track(s, layer_label(s, l), weft_run_stat(s->run[r], kind, tensors[i], (int)l),
                          WEFT_MARK_LINE, weft_plot_depth(l, layers));
            const char *note = s->runs > 1 ? s->run[r]->name : NULL;
            chart_end(s, (struct weft_plot){.title = titles[i],
                                            .note = note,
                                            .x = step_axis,
                                            .y = axis,
                                            .depth_label = "layer",
                                            .depths = layers});
            charts++;
        }
    }
    return charts;
}

/* sqrt(sum over tensors of value²) of one layer, on the steps of the first of them. */
static bool add_layer_norm(struct weft_sheet *s, const struct weft_run_data *run, const char *kind,
                           size_t layer, size_t layers) {
    const struct weft_track *first = NULL;
    double *sum = NULL;
    for (size_t i = 0; i < run->stats; i++) {
        const struct weft_track *t = &run->stat[i];
        if (t->layer != (int)layer || strcmp(t->kind, kind)) continue;
        if (!first) {
            first = t;
            sum = chart_alloc(s, t->n * sizeof *sum);
            if (!sum) return false;
            memset(sum, 0, t->n * sizeof *sum);
        }
        for (size_t k = 0; k < first->n && k < t->n; k++) sum[k] += t->value[k] * t->value[k];
    }
    if (!first) return false;
    for (size_t k = 0; k < first->n; k++) sum[k] = sqrt(sum[k]);
    add_series(s, (struct weft_series){layer_label(s, layer), first->step, sum, first->n,
                                       WEFT_MARK_LINE, weft_plot_depth(layer, layers)});
    return true;
}

void weft_chart_layer_norm(struct weft_sheet *s, const char *kind, const char *title,
                           const char *label) {
    for (size_t r = 0; r < s->runs; r++) {
        size_t layers = 0;
        for (size_t i = 0; i < s->run[r]->stats; i++) {
            const struct weft_track *t = &s->run[r]->stat[i];
            if (t->layer >= (int)layers && !strcmp(t->kind, kind)) layers = (size_t)t->layer + 1;
        }
        size_t lines = 0;
        for (size_t l = 0; l < layers; l++) lines += add_layer_norm(s, s->run[r], kind, l, layers);
        if (!lines) continue;
        const char *note = s->runs > 1 ? s->run[r]->name : "all tensors of a layer";
        chart_end(s, (struct weft_plot){.title = title,
                                        .note = note,
                                        .x = step_axis,
                                        .y = {label, WEFT_SCALE_LOG},
                                        .depth_label = "layer",
                                        .depths = layers});
    }
}

/* The first (or last) finite value of each layer against the layer's number. */
static void add_profile(struct weft_sheet *s, const struct weft_run_data *run, const char *kind,
                        const char *tensor, bool last, const char *label,
                        struct weft_plot_color color) {
    const size_t layers = weft_run_layers(run, kind, tensor);
    double *x = layers ? chart_alloc(s, 2 * layers * sizeof *x) : NULL;
    if (!x) return;
    double *y = x + layers;
    for (size_t l = 0; l < layers; l++) {
        const struct weft_track *t = weft_run_stat(run, kind, tensor, (int)l);
        x[l] = (double)l;
        y[l] = t ? t->value[last ? t->n - 1 : 0] : (double)NAN;
    }
    add_series(s, (struct weft_series){label, x, y, layers,
                                       last ? WEFT_MARK_DOTS : WEFT_MARK_DASHED, color});
}

void weft_chart_profile(struct weft_sheet *s, const char *kind, const char *const *tensors,
                        size_t n, const char *title, const char *label) {
    const struct weft_plot_axis x = {.label = "layer", .integer = true};
    for (size_t i = 0; i < n; i++) {
        for (size_t r = 0; r < s->runs; r++) {
            const size_t index = s->runs > 1 ? r : i;
            const char *name = s->runs > 1 ? s->run[r]->name : tensors[i];
            add_profile(s, s->run[r], kind, tensors[i], false, NULL, hue(index));
            add_profile(s, s->run[r], kind, tensors[i], true, name, hue(index));
        }
        if (s->runs == 1 && i + 1 < n) continue; /* one run: all tensors in one chart */
        if (s->n == 0) continue;
        const char *full =
            s->runs > 1 ? chart_text(s, title, chart_text(s, ": ", tensors[i])) : title;
        chart_end(s, (struct weft_plot){.title = full,
                                        .note = "dashed: first, solid: last",
                                        .x = x,
                                        .y = {label},
                                        .columns = s->runs > 1 ? 1 : 2});
    }
}

void weft_chart_tensors(struct weft_sheet *s, const char *kind, const char *title,
                        const char *label) {
    for (size_t r = 0; r < s->runs; r++) {
        size_t index = 0;
        for (size_t i = 0; i < s->run[r]->stats; i++) {
            const struct weft_track *t = &s->run[r]->stat[i];
            if (t->layer < 0 && !strcmp(t->kind, kind) && strncmp(t->tensor, "resid", 5))
                add_track(s, t->tensor, t, WEFT_MARK_LINE, hue(index++));
        }
        if (s->n == 0) continue;
        chart_end(s, (struct weft_plot){.title = title,
                                        .x = step_axis,
                                        .y = {label},
                                        .note = s->runs > 1 ? s->run[r]->name : NULL});
    }
}

/* ---- histograms ---- */
#define HEAT_COLUMNS 160

/* The snapshots of one tensor as one heat map, thinned to HEAT_COLUMNS columns. */
static void heat_of(struct weft_sheet *s, const struct weft_run_data *run,
                    const struct weft_snapshot *like) {
    size_t found = 0;
    for (size_t i = 0; i < run->snapshots; i++)
        found += run->snapshot[i].layer == like->layer && run->snapshot[i].bins == like->bins &&
                 !strcmp(run->snapshot[i].tensor, like->tensor);
    const size_t columns = found < HEAT_COLUMNS ? found : HEAT_COLUMNS;
    double *x = chart_alloc(s, 3 * columns * sizeof *x);
    const double **counts = chart_alloc(s, columns * sizeof *counts);
    if (!x || !counts) return;
    double *lo = x + columns, *hi = lo + columns;
    for (size_t i = 0, seen = 0, c = 0; i < run->snapshots && c < columns; i++) {
        const struct weft_snapshot *h = &run->snapshot[i];
        if (h->layer != like->layer || h->bins != like->bins || strcmp(h->tensor, like->tensor))
            continue;
        if (seen++ * columns / found < c) continue;
        x[c] = h->step;
        lo[c] = h->lo;
        hi[c] = h->hi;
        counts[c++] = h->counts;
    }
    char title[96];
    if (like->layer >= 0)
        snprintf(title, sizeof title, "%.40s, layer %d", like->tensor, like->layer);
    else
        snprintf(title, sizeof title, "%.40s", like->tensor);
    const struct weft_heat heat = {.title = title,
                                   .x_label = "step",
                                   .y_label = "weight",
                                   .x = x,
                                   .lo = lo,
                                   .hi = hi,
                                   .counts = counts,
                                   .columns = columns,
                                   .bins = like->bins,
                                   .note = s->runs > 1 ? run->name : NULL};
    weft_heat_write(s->out, &heat);
}

size_t weft_chart_histograms(struct weft_sheet *s) {
    size_t charts = 0;
    for (size_t r = 0; r < s->runs; r++) {
        const struct weft_run_data *run = s->run[r];
        for (size_t i = 0; i < run->snapshots; i++) {
            size_t before = 0; /* the first of its tensor stands for all */
            while (before < i && (run->snapshot[before].layer != run->snapshot[i].layer ||
                                  strcmp(run->snapshot[before].tensor, run->snapshot[i].tensor)))
                before++;
            if (before < i) continue;
            heat_of(s, run, &run->snapshot[i]);
            chart_clear(s);
            charts++;
        }
    }
    return charts;
}
