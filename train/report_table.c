/* How far Q, K and V moved, as text. */
#include <math.h>
#include <string.h>
#include "train/report.h"

static void cell(FILE *out, const struct weft_track *t) {
    if (!t) {
        fprintf(out, "  %23s", "-");
        return;
    }
    const double first = t->value[0], last = t->value[t->n - 1];
    fprintf(out, "  %7.5f %7.5f %+6.1f%%", first, last, 100 * (last / first - 1));
}

enum weft_status weft_report_table(weft_ctx *ctx, const char *dir, FILE *out) {
    static const char *const tensor[] = {"q", "k", "v"};
    struct weft_run_data *run = NULL;
    enum weft_status st = weft_run_data_load(ctx, dir, &run);
    if (st != WEFT_OK) return st;
    const size_t layers = weft_run_layers(run, "std", "q");
    const struct weft_track *q = weft_run_stat(run, "std", "q", 0);
    if (layers == 0 || !q) {
        weft_run_data_free(run);
        return weft_ctx_fail(ctx, WEFT_ERR_STATE,
                             "%s has no statistics of Q, K and V: they are recorded by "
                             "weft train gpt2 with --stats-every above 0",
                             dir);
    }
    fprintf(out, "Standard deviation of the weights at step %.0f, at step %.0f, and the change\n\n",
            q->step[0], q->step[q->n - 1]);
    fprintf(out, "layer  %-23s  %-23s  %s\n", "Q", "K", "V");
    for (size_t l = 0; l < layers; l++) {
        fprintf(out, "%5zu", l);
        for (size_t i = 0; i < 3; i++) cell(out, weft_run_stat(run, "std", tensor[i], (int)l));
        fputc('\n', out);
    }
    weft_run_data_free(run);
    return WEFT_OK;
}
