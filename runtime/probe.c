/* Values that a program's probes stand for, read after a run. */
#include "runtime/probe.h"

#include <math.h>
#include <string.h>

/* Root mean square over rows of the standard deviation that LayerNorm measured: 1/rstd^2 - eps. */
static double residual_std(const float *rstd, size_t rows, float eps) {
    double sum = 0;
    for (size_t r = 0; r < rows; r++) {
        const double var = 1.0 / ((double)rstd[r] * (double)rstd[r]) - (double)eps;
        sum += var > 0 ? var : 0;
    }
    return rows == 0 ? 0 : sqrt(sum / (double)rows);
}

static double maximum(const float *x, size_t n) {
    double m = -INFINITY;
    for (size_t i = 0; i < n; i++) m = (double)x[i] > m ? (double)x[i] : m;
    return m;
}

void weft_probe_read(const weft_program *p, size_t i, size_t rows, struct weft_probe_value *out) {
    const struct weft_probe_desc *const d = &p->probe[i];
    const struct weft_tensor_desc *const t = weft_desc(p->graph, d->t);
    const size_t live = t->batched && rows != 0 ? rows : t->shape[0];
    const size_t n = live * t->shape[1] * t->shape[2];
    const bool std = strcmp(d->kind, "std") == 0;
    out->kind = d->kind;
    out->layer = d->layer;
    out->value = std ? residual_std(t->data, n, d->eps) : maximum(t->data, n);
}
