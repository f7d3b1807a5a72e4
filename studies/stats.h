/* Statistics of studies, exactly as they are defined here; distributions from GSL.
 *
 * - paired t: d_i = a_i - b_i, t = mean/(sd/sqrt n) with n-1, two-sided p, CI95, d_z = mean/sd
 * - Pitman-Morgan, equal variances of pairs: r = corr(a+b, a-b), t = r sqrt((n-2)/(1-r^2)), df n-2
 * - Holm: adjusted p of a family of tests (Holm 1979)
 * - Spearman: Pearson's r of mid-ranks; p over all permutations for n <= 10, else by t
 * - Wilson: 95% interval of a share (Wilson 1927)
 * - slope: least squares y = a + b x with the standard error of b
 * - factorial 2^k design: effect = mean(+) - mean(-), SE from replicates, up to pairs
 *
 * With fewer than STATS_LEAST values a p is NaN: it would be a number without a meaning. */
#ifndef WEFT_STUDIES_STATS_H
#define WEFT_STUDIES_STATS_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

#define STATS_LEAST   5  /* values below which no p is given */
#define STATS_EXACT   10 /* Spearman: the largest n with an exact p */
#define STATS_FACTORS 5

struct stats_test {
    size_t n;
    double mean, sd;  /* of the differences */
    double t, df, p;  /* p: two-sided */
    double low, high; /* CI95 of the mean */
    double size;      /* d_z; Pitman-Morgan and Spearman: the correlation */
};
/* Pairs in which a value is not finite are left out. */
struct stats_test stats_paired(const double *a, const double *b, size_t n);
struct stats_test stats_pitman_morgan(const double *a, const double *b, size_t n);
struct stats_test stats_spearman(const double *x, const double *y, size_t n);
/* Two-sided exact binomial p of `wins` among `n` pairs without ties. */
double stats_sign_test(size_t wins, size_t n);
/* Holm's adjusted p values in place; NaNs are left out of the family. */
void stats_holm(double *p, size_t n);

void stats_wilson(size_t hits, size_t n, double *low, double *high);

struct stats_line {
    size_t n;
    double slope, se, intercept, r2;
};
struct stats_line stats_slope(const double *x, const double *y, size_t n);
/* The same of logarithms; points that are not positive and finite are left out. */
struct stats_line stats_log_slope(const double *x, const double *y, size_t n);

struct stats_effect {
    unsigned factors; /* bit i: factor i takes part */
    double effect, se;
};
/* y[cell * replicates + r], bit i of cell = level of factor i. Main effects and pairs, in the order
 * of their bits; returns how many: k + k(k-1)/2. */
size_t stats_factorial(const double *y, size_t k, size_t replicates, struct stats_effect *out);

/* The larger of two; a NaN stays, where fmax would lose it and a check would pass. */
static inline double stats_worse(double a, double b) { return isnan(a) || a >= b ? a : b; }

double stats_mean(const double *x, size_t n);
double stats_sd(const double *x, size_t n); /* with n-1; NaN below two */
/* Both NaN where a value is. Percentile: the value of rank ceil(share n), share in (0, 1]. */
double stats_median(const double *x, size_t n);
double stats_percentile(const double *x, size_t n, double share);
double stats_quantile_t(double p, double df);

/* The band of a sweep: consecutive grid points around the best (largest) y that are within tol of
 * it; each edge where y crosses best - tol, by interpolation in log x. An edge at the end of the
 * grid is that end. false: no finite y. */
struct stats_band {
    double best, at; /* the largest y, its x */
    double low, high;
    bool open_low, open_high; /* the band reaches the end of the grid */
};
bool stats_find_band(const double *x, const double *y, size_t n, double tol,
                     struct stats_band *out);

#endif
