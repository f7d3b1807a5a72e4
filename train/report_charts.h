/* The charts of a report: which values of which runs become which lines. */
#ifndef WEFT_TRAIN_REPORT_CHARTS_H
#define WEFT_TRAIN_REPORT_CHARTS_H

#include "train/plot.h"
#include "train/run_data.h"

/* A page being written: its runs, and the series and buffers of the chart in work. */
struct weft_sheet {
    FILE *out;
    struct weft_run_data *const *run;
    size_t runs;
    struct weft_series *series;
    size_t n, cap;
    double **buffer; /* values computed for the chart, freed with it */
    size_t buffers;
    bool failed; /* out of memory: what is written is of no use */
};
void weft_sheet_free(struct weft_sheet *s);

void weft_chart_loss(struct weft_sheet *s);
void weft_chart_grad_norm(struct weft_sheet *s, int columns);
/* A metric over steps, one line a run; unit may be NULL. Nothing is written if no run has it. */
void weft_chart_metric(struct weft_sheet *s, const char *key, const char *title, const char *label,
                       bool zero);
/* Statistics over steps: a chart a run and tensor, a line a layer. All charts of one call have the
 * same y axis. Returns the number of charts. */
size_t weft_chart_layers(struct weft_sheet *s, const char *kind, const char *const *tensors,
                         const char *const *titles, size_t n, const char *label,
                         enum weft_plot_scale scale);
/* Root of the summed squares of a statistic over all tensors of a layer. */
void weft_chart_layer_norm(struct weft_sheet *s, const char *kind, const char *title,
                           const char *label);
/* First and last recorded value of each layer against the layer. */
void weft_chart_profile(struct weft_sheet *s, const char *kind, const char *const *tensors,
                        size_t n, const char *title, const char *label);
/* Parameters without layer: a line a tensor. */
void weft_chart_tensors(struct weft_sheet *s, const char *kind, const char *title,
                        const char *label);
/* All histograms: a heat map a run, tensor and layer. Returns the number of charts. */
size_t weft_chart_histograms(struct weft_sheet *s);

#endif
