/* See stats.h. */
#include "studies/stats.h"

#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

double stats_mean(const double *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    return n > 0 ? sum / (double)n : (double)NAN;
}

static double squares(const double *x, size_t n, double mean) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (x[i] - mean) * (x[i] - mean);
    return sum;
}

double stats_sd(const double *x, size_t n) {
    return n > 1 ? sqrt(squares(x, n, stats_mean(x, n)) / (double)(n - 1)) : (double)NAN;
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* NULL where a value is NaN, which has no rank. */
static double *sorted(const double *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (isnan(x[i])) return NULL;
    double *const s = malloc((n + 1) * sizeof *s);
    if (s == NULL) return NULL;
    memcpy(s, x, n * sizeof *s);
    qsort(s, n, sizeof *s, ascending);
    return s;
}

double stats_median(const double *x, size_t n) {
    double *const s = n > 0 ? sorted(x, n) : NULL;
    const double m = s == NULL ? (double)NAN : (s[(n - 1) / 2] + s[n / 2]) / 2;
    free(s);
    return m;
}

double stats_percentile(const double *x, size_t n, double share) {
    double *const s = n > 0 ? sorted(x, n) : NULL;
    const double rank = ceil(share * (double)n);
    const double v = s == NULL ? (double)NAN
                               : s[rank < 1           ? 0
                                   : rank > (double)n ? n - 1
                                                      : (size_t)rank - 1];
    free(s);
    return v;
}

double stats_quantile_t(double p, double df) { return gsl_cdf_tdist_Pinv(p, df); }

static double two_sided(double t, double df) { return 2 * gsl_cdf_tdist_Q(fabs(t), df); }

/* ---- pairs ---- */
static size_t finite_pairs(const double *a, const double *b, size_t n, double *x, double *y) {
    size_t m = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(a[i]) || !isfinite(b[i])) continue;
        x[m] = a[i];
        y[m++] = b[i];
    }
    return m;
}

static double correlation(const double *x, const double *y, size_t n) {
    const double mx = stats_mean(x, n), my = stats_mean(y, n);
    double xy = 0;
    for (size_t i = 0; i < n; i++) xy += (x[i] - mx) * (y[i] - my);
    return xy / sqrt(squares(x, n, mx) * squares(y, n, my));
}

static const struct stats_test no_test = {.mean = (double)NAN,
                                          .sd = (double)NAN,
                                          .t = (double)NAN,
                                          .df = (double)NAN,
                                          .p = (double)NAN,
                                          .low = (double)NAN,
                                          .high = (double)NAN,
                                          .size = (double)NAN};

struct stats_test stats_paired(const double *a, const double *b, size_t n) {
    struct stats_test r = no_test;
    double *const x = malloc((2 * n + 1) * sizeof *x);
    if (x == NULL) return r;
    r.n = finite_pairs(a, b, n, x, x + n);
    for (size_t i = 0; i < r.n; i++) x[i] -= x[n + i];
    r.mean = stats_mean(x, r.n);
    r.sd = stats_sd(x, r.n);
    free(x);
    if (r.n < 2) return r;
    const double se = r.sd / sqrt((double)r.n);
    r.df = (double)(r.n - 1);
    r.t = r.mean / se;
    r.size = r.mean / r.sd;
    r.low = r.mean - stats_quantile_t(0.975, r.df) * se;
    r.high = r.mean + stats_quantile_t(0.975, r.df) * se;
    if (r.n >= STATS_LEAST) r.p = two_sided(r.t, r.df);
    return r;
}

/* t and p of a correlation over n pairs. */
static void test_correlation(struct stats_test *r) {
    r->df = (double)r->n - 2;
    if (r->n < 3) return;
    r->t = r->size * sqrt(r->df / ((1 - r->size) * (1 + r->size)));
    if (r->n >= STATS_LEAST) r->p = two_sided(r->t, r->df);
}

struct stats_test stats_pitman_morgan(const double *a, const double *b, size_t n) {
    struct stats_test r = no_test;
    double *const x = malloc((2 * n + 1) * sizeof *x);
    if (x == NULL) return r;
    r.n = finite_pairs(a, b, n, x, x + n);
    for (size_t i = 0; i < r.n; i++) {
        const double sum = x[i] + x[n + i];
        x[n + i] = x[i] - x[n + i];
        x[i] = sum;
    }
    r.size = r.n > 2 ? correlation(x, x + n, r.n) : (double)NAN;
    free(x);
    test_correlation(&r);
    return r;
}

double stats_sign_test(size_t wins, size_t n) {
    if (n < STATS_LEAST || wins > n) return (double)NAN;
    const unsigned least = (unsigned)(wins < n - wins ? wins : n - wins);
    const double p = 2 * gsl_cdf_binomial_P(least, 0.5, (unsigned)n);
    return p < 1 ? p : 1;
}

void stats_holm(double *p, size_t n) {
    size_t *const order = malloc((n + 1) * sizeof *order);
    size_t m = 0;
    for (size_t i = 0; order != NULL && i < n; i++) {
        if (isnan(p[i])) continue;
        size_t at = m++;
        for (; at > 0 && p[order[at - 1]] > p[i]; at--) order[at] = order[at - 1];
        order[at] = i;
    }
    double least = 0;
    for (size_t i = 0; i < m; i++) {
        double q = p[order[i]] * (double)(m - i);
        if (q > 1) q = 1;
        if (q > least) least = q;
        p[order[i]] = least;
    }
    free(order);
}

/* ---- ranks ---- */
static void mid_ranks(const double *x, size_t n, double *rank) {
    for (size_t i = 0; i < n; i++) {
        size_t less = 0, equal = 0;
        for (size_t j = 0; j < n; j++) {
            less += x[j] < x[i];
            equal += x[j] == x[i];
        }
        rank[i] = (double)less + (double)(equal + 1) / 2;
    }
}

/* Share of all n! orders of y whose |correlation| with x is at least r (Heap's algorithm). */
static double permutation_p(const double *x, double *y, size_t n, double r) {
    size_t c[STATS_EXACT] = {0}, all = 0, as_far = 0;
    const double far = fabs(r) * (1 - 1e-12);
    for (size_t i = 0;;) {
        if (i == 0) {
            all++;
            as_far += fabs(correlation(x, y, n)) >= far;
            i = 1;
        }
        if (i == n) break;
        if (c[i] < i) {
            const size_t k = i % 2 == 0 ? 0 : c[i];
            const double swap = y[k];
            y[k] = y[i];
            y[i] = swap;
            c[i]++;
            i = 0;
        } else {
            c[i++] = 0;
        }
    }
    return (double)as_far / (double)all;
}

struct stats_test stats_spearman(const double *x, const double *y, size_t n) {
    struct stats_test r = no_test;
    double *const room = calloc(4 * n + 1, sizeof *room);
    if (room == NULL) return r;
    double *const rx = room + 2 * n, *const ry = room + 3 * n;
    r.n = finite_pairs(x, y, n, room, room + n);
    mid_ranks(room, r.n, rx);
    mid_ranks(room + n, r.n, ry);
    if (r.n > 2) r.size = correlation(rx, ry, r.n);
    test_correlation(&r);
    if (r.n >= STATS_LEAST && r.n <= STATS_EXACT && isfinite(r.size))
        r.p = permutation_p(rx, ry, r.n, r.size);
    free(room);
    return r;
}

/* ---- shares, lines, designs ---- */
void stats_wilson(size_t hits, size_t n, double *low, double *high) {
    const double z = gsl_cdf_ugaussian_Pinv(0.975), m = (double)n;
    const double share = n > 0 ? (double)hits / m : (double)NAN;
    const double scale = 1 / (1 + z * z / m);
    const double centre = scale * (share + z * z / (2 * m));
    const double half = scale * z * sqrt(share * (1 - share) / m + z * z / (4 * m * m));
    *low = centre - half;
    *high = centre + half;
}

struct stats_line stats_slope(const double *x, const double *y, size_t n) {
    struct stats_line r = {.n = n,
                           .slope = (double)NAN,
                           .se = (double)NAN,
                           .intercept = (double)NAN,
                           .r2 = (double)NAN};
    if (n < 2) return r;
    const double mx = stats_mean(x, n), my = stats_mean(y, n), xx = squares(x, n, mx);
    double xy = 0, rest = 0;
    for (size_t i = 0; i < n; i++) xy += (x[i] - mx) * (y[i] - my);
    r.slope = xy / xx;
    r.intercept = my - r.slope * mx;
    for (size_t i = 0; i < n; i++) {
        const double e = y[i] - r.intercept - r.slope * x[i];
        rest += e * e;
    }
    if (n > 2) r.se = sqrt(rest / (double)(n - 2) / xx);
    r.r2 = 1 - rest / squares(y, n, my);
    return r;
}

struct stats_line stats_log_slope(const double *x, const double *y, size_t n) {
    double *const room = calloc(2 * n + 1, sizeof *room);
    size_t m = 0;
    for (size_t i = 0; room != NULL && i < n; i++) {
        if (!(x[i] > 0 && y[i] > 0 && isfinite(x[i]) && isfinite(y[i]))) continue;
        room[m] = log(x[i]);
        room[n + m++] = log(y[i]);
    }
    const struct stats_line r =
        room == NULL ? stats_slope(x, y, 0) : stats_slope(room, room + n, m);
    free(room);
    return r;
}

/* Sign of a contrast in a cell: the product of its factors' levels. */
static double contrast(unsigned factors, size_t cell) {
    double sign = 1;
    for (unsigned i = 0; factors >> i != 0; i++)
        if (factors >> i & 1) sign *= (cell >> i & 1) ? 1 : -1;
    return sign;
}

size_t stats_factorial(const double *y, size_t k, size_t replicates, struct stats_effect *out) {
    const size_t cells = (size_t)1 << k;
    const double m = (double)replicates;
    double within = 0; /* pooled variance inside cells */
    for (size_t c = 0; c < cells; c++)
        within +=
            squares(y + c * replicates, replicates, stats_mean(y + c * replicates, replicates));
    within = replicates > 1 ? within / ((double)cells * (m - 1)) : (double)NAN;
    size_t n = 0;
    for (size_t order = 1; order <= 2; order++)
        for (unsigned f = 1; f < cells; f++) {
            size_t bits = 0;
            for (unsigned i = 0; i < k; i++) bits += f >> i & 1;
            if (bits != order) continue;
            double sum = 0;
            for (size_t c = 0; c < cells; c++)
                sum += contrast(f, c) * stats_mean(y + c * replicates, replicates);
            out[n++] = (struct stats_effect){.factors = f,
                                             .effect = 2 * sum / (double)cells,
                                             .se = 2 * sqrt(within / ((double)cells * m))};
        }
    return n;
}

/* ---- band of a sweep ---- */
/* x where y, from inside (i) to outside (j), falls to the threshold; an outside that is not finite
 * counts as infinitely low: the edge is halfway. */
static double crossing(const double *x, const double *y, size_t i, size_t j, double threshold) {
    const double part = isfinite(y[j]) ? (y[i] - threshold) / (y[i] - y[j]) : 0.5;
    return exp(log(x[i]) + part * (log(x[j]) - log(x[i])));
}

bool stats_find_band(const double *x, const double *y, size_t n, double tol,
                     struct stats_band *out) {
    size_t best = n;
    for (size_t i = 0; i < n; i++)
        if (isfinite(y[i]) && (best == n || y[i] > y[best])) best = i;
    if (best == n) return false;
    const double threshold = y[best] - tol;
    size_t lo = best, hi = best;
    while (lo > 0 && y[lo - 1] >= threshold) lo--;
    while (hi + 1 < n && y[hi + 1] >= threshold) hi++;
    *out =
        (struct stats_band){.best = y[best],
                            .at = x[best],
                            .open_low = lo == 0,
                            .open_high = hi + 1 == n,
                            .low = lo == 0 ? x[0] : crossing(x, y, lo, lo - 1, threshold),
                            .high = hi + 1 == n ? x[n - 1] : crossing(x, y, hi, hi + 1, threshold)};
    return true;
}
