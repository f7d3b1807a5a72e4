/* See detect.h. */
#include "studies/detect.h"

#include <math.h>
#include <stdlib.h>
#include "studies/stats.h"

#define HALF_LIFE 10.0
#define FLOOR     0.05
#define TAIL      0.05

void detect_smooth(const double *loss, size_t n, double *out) {
    const double keep = exp2(-1 / HALF_LIFE);
    double e = n > 0 ? loss[0] : 0;
    for (size_t i = 0; i < n; i++) {
        e = isfinite(loss[i]) ? keep * e + (1 - keep) * loss[i] : (double)INFINITY;
        out[i] = e;
    }
}

double detect_steps_to(const double *loss, size_t n, double x) {
    double *const e = malloc((n + 1) * sizeof *e);
    double at = (double)INFINITY;
    if (e != NULL) detect_smooth(loss, n, e);
    for (size_t i = n; e != NULL && i-- > 0;)
        if (e[i] <= x) at = (double)i;
    free(e);
    return at;
}

/* How far a curve may stand above its lowest point without rising. */
static double threshold(const double *loss, const double *e, size_t n) {
    double *const d = malloc((n + 1) * sizeof *d);
    size_t m = 0;
    for (size_t i = 0; d != NULL && i < n; i++)
        if (isfinite(loss[i]) && isfinite(e[i])) d[m++] = loss[i] - e[i];
    const double middle = m > 0 ? stats_median(d, m) : 0;
    for (size_t i = 0; i < m; i++) d[i] = fabs(d[i] - middle);
    const double noise = m > 0 ? 3 * 1.4826 * stats_median(d, m) : 0;
    free(d);
    return noise > FLOOR ? noise : FLOOR;
}

static size_t first_rise(const double *loss, size_t n) {
    double *const e = malloc((n + 1) * sizeof *e);
    if (e == NULL) return n;
    detect_smooth(loss, n, e);
    const double limit = threshold(loss, e, n);
    double least = (double)INFINITY;
    size_t at = 0;
    for (; at < n; at++) {
        if (e[at] < least) least = e[at];
        if (!(e[at] - least <= limit)) break;
    }
    free(e);
    return at;
}

struct detect_curve detect_look(const double *loss, size_t n, size_t planned, double base) {
    struct detect_curve r = {.first_rise = first_rise(loss, n), .end = (double)INFINITY};
    r.rising = r.first_rise < planned; /* a loss that is missing was not finite */
    r.early = r.rising && (double)r.first_rise < TAIL * (double)planned;
    bool whole = n > 0 && n == planned;
    for (size_t i = 0; i < n; i++) whole &= isfinite(loss[i]) != 0;
    if (!whole) return r;
    const size_t tail = (size_t)ceil(TAIL * (double)n);
    r.end = stats_mean(loss + n - tail, tail);
    r.feasible = r.end < 0.98 * fmin(loss[0], base);
    return r;
}

struct detect_sweep detect_best(const struct detect_curve *curve, const double *val, size_t n) {
    struct detect_sweep r = {.best = n};
    for (size_t i = 0; i < n; i++)
        if (curve[i].feasible && isfinite(val[i]) && (r.best == n || val[i] < val[r.best]))
            r.best = i;
    r.has_edge = r.best + 1 < n;
    r.edge = r.has_edge && (!curve[r.best + 1].feasible || curve[r.best + 1].rising);
    return r;
}
