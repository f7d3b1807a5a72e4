/* Random fills: uniform to the bit against the documented mapping, normal within the error of its
 * logarithm, square root and cosine; ranges start anywhere in the stream, also beyond 2^32 blocks;
 * then the first four moments and a Kolmogorov-Smirnov distance of each. */
#include <stdio.h>
#include <stdlib.h>
#include "kernels/ref/ref_random.h"
#include "tests/support/check.h"

static void draw(struct check *c) {
    struct weft_random_args *a = c->user;
    static const uint64_t far[] = {0, 0, 0, (1ull << 34) - 100, (1ull << 40) + 5};
    a->n = check_size(c, 0);
    a->first = far[c->index % 5] + check_range(c, 0, c->index % 2 ? 300 : 0);
    a->seed = c->index * 0x9e3779b97f4a7c15u;
    a->stream = (uint32_t)check_range(c, 0, 100);
    a->lo = c->index % 3 ? -0.25f : 0.0f;
    a->hi = c->index % 3 ? 0.75f : 1.0f;
    a->mean = c->index % 3 ? 0.5f : 0.0f;
    a->std = c->index % 3 ? 0.02f : 1.0f;
    check_out(c, "y", 1, a->n, a->n);
}

static void oracle_uniform(struct check *c) {
    const struct weft_random_args *a = c->user;
    struct check_arg *y = check_arg(c, "y");
    for (size_t i = 0; i < a->n; i++) {
        const double u = ref_uniform(a->seed, a->stream, a->first + i);
        y->want[i] = (double)a->lo + (double)(a->hi - a->lo) * u;
        y->tol[i] = CHECK_EXACT;
    }
}
static void call_uniform(struct check *c, const struct weft_kernels *k) {
    struct weft_random_args a = *(struct weft_random_args *)c->user;
    a.y = check_f32(c, "y");
    k->random_uniform_f32(&a);
}

static void oracle_normal(struct check *c) {
    const struct weft_random_args *a = c->user;
    struct check_arg *y = check_arg(c, "y");
    for (size_t i = 0; i < a->n; i++) {
        const double z = ref_normal(a->seed, a->stream, a->first + i);
        y->want[i] = (double)a->mean + (double)a->std * z;
        y->tol[i] = ref_normal_bound((double)a->mean, (double)a->std, z);
    }
}
static void call_normal(struct check *c, const struct weft_kernels *k) {
    struct weft_random_args a = *(struct weft_random_args *)c->user;
    a.y = check_f32(c, "y");
    k->random_normal_f32(&a);
}

enum { N = 1 << 17 };
static float sample[N];
static int failures;

static void expect(const char *isa, const char *what, double got, double want, double sigma) {
    if (!(fabs(got - want) <= 5 * sigma)) {
        printf("FAIL random %s: %s = %g, want %g +- %g\n", isa, what, got, want, sigma);
        failures++;
    }
}
static int ascending(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Moments E x^k against theirs, and the largest distance of the distribution functions. */
static void statistics(const struct weft_kernels *k, bool normal) {
    const struct weft_random_args a = {.seed = 42,
                                       .stream = 3,
                                       .first = 77,
                                       .n = N,
                                       .lo = 0,
                                       .hi = 1,
                                       .mean = 0,
                                       .std = 1,
                                       .y = sample};
    static const double uniform_moment[9] = {1, 1. / 2, 1. / 3, 1. / 4, 1. / 5,
                                             0, 1. / 7, 0,      1. / 9};
    static const double normal_moment[9] = {1, 0, 1, 0, 3, 0, 15, 0, 105};
    const double *moment = normal ? normal_moment : uniform_moment;
    if (normal)
        k->random_normal_f32(&a);
    else
        k->random_uniform_f32(&a);
    double m[5] = {0}, lag = 0;
    for (size_t i = 0; i < N; i++) {
        double power = 1;
        for (int e = 1; e < 5; e++) m[e] += (power *= (double)sample[i]);
        const double mean = moment[1];
        if (i) lag += ((double)sample[i] - mean) * ((double)sample[i - 1] - mean);
    }
    for (int e = 1; e < 5; e++) {
        const double sigma = sqrt((moment[2 * e] - moment[e] * moment[e]) / N);
        expect(k->isa, normal ? "normal moment" : "uniform moment", m[e] / N, moment[e], sigma);
    }
    const double var = moment[2] - moment[1] * moment[1];
    expect(k->isa, "autocorrelation", lag / N / var, 0, 1 / sqrt(N));
    qsort(sample, N, sizeof *sample, ascending);
    double d = 0;
    for (size_t i = 0; i < N; i++) {
        const double x = (double)sample[i];
        const double cdf = normal ? 0.5 * erfc(-x * sqrt(0.5)) : x;
        d = fmax(d, fabs(cdf - (double)i / N));
    }
    expect(k->isa, "Kolmogorov-Smirnov", d * sqrt(N), 0,
           0.4); /* P(> 2.0) = 7e-4, the seed is fixed */
}

int main(int argc, char **argv) {
    static const struct check_family uniform = {"random_uniform", draw, oracle_uniform,
                                                call_uniform,     100,  0};
    static const struct check_family normal = {"random_normal", draw, oracle_normal,
                                               call_normal,     100,  0};
    const struct check_family *const families[] = {&uniform, &normal};
    const struct weft_kernels *tables[8];
    const size_t n = check_tables(tables);
    for (size_t t = 0; t < n; t++) {
        statistics(tables[t], false);
        statistics(tables[t], true);
    }
    return check_main(argc, argv, families, 2) | (failures != 0);
}
