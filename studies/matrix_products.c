/* Why does a product of matrices explode, and how badly is it conditioned?
 *
 *   a  one product of 100 normal 4x4 matrices
 *   b  many: growth of |M x|, and the exponents of all singular values by QR in log space
 *   c  plain f32 until something is infinite
 *   d  gradients of a perceptron are products of Jacobians
 *   e  what eigenvalues of AB may be, given the singular values of A and B
 *   f  a linear net of 100 layers with sigma^2 = 1
 *
 * Lyapunov exponents of n x n matrices N(0, sigma^2), in nats a step:
 *   mu_k = ln sigma + (ln 2 + psi((n-k+1)/2))/2          (Newman 1986) */
#include <gsl/gsl_sf_psi.h>
#include <math.h>
#include <string.h>
#include "studies/curve.h"
#include "studies/draw.h"
#include "studies/small_matrix.h"
#include "studies/stats.h"
#include "studies/theory.h"
#include "studies/trial.h"
#include "studies/verdict.h"

#define N      4
#define STEPS  100
#define WIDE   64 /* largest n */
#define SHOWN  20 /* runs in the figure of growth */
#define JLAYER 10
#define JWIDTH 32
static const double sigmas[] = {0.3, 0.5, 0.572, 1};
static const double sizes[] = {2, 16, 64};

static size_t repeats(const struct study *s, double n) {
    return (size_t)(n == N ? study_pick(s, 100, 1000, 1000, 1000) : study_pick(s, 5, 50, 50, 50));
}
static size_t overflows(const struct study *s) { return (size_t)study_pick(s, 50, 400, 400, 400); }
static size_t pairs(const struct study *s) { return (size_t)study_pick(s, 500, 10000, 10000, 1e4); }

static double exponent(double n, double k) { return (log(2) + gsl_sf_psi((n - k + 1) / 2)) / 2; }

static void grid(struct study *s) {
    study_add(s, 'a', "product", 1, 1e5, N, 1);
    for (size_t i = 0; i < 4; i++) study_add(s, 'b', "exponents", 1, 2e8, N, sigmas[i]);
    for (size_t i = 0; i < 3; i++) study_add(s, 'b', "exponents", 1, 5e9, sizes[i], 1);
    study_add(s, 'c', "overflow", 1, 1e8, N, 1);
    study_add(s, 'd', "jacobian", 1, 1e7, JWIDTH, STUDY_ANY);
    study_add(s, 'e', "bounds", 1, 1e8, N, 1);
    study_add(s, 'f', "linear-net", 1, 1e8, 64, 1);
    s->plain = true;
    study_note(s, "repeats", "%zu products of 4x4, %zu of other sizes, %zu until overflow",
               repeats(s, N), repeats(s, 2), overflows(s));
}

static void draw(double *m, size_t n, double sigma, uint64_t number) {
    draw_normal_f64(1, DRAW_MATRIX, number * n * n, m, n * n);
    for (size_t i = 0; i < n * n; i++) m[i] *= sigma;
}

/* ---- a ---- */
static void run_product(struct study_run *r) {
    double m[N * N], a[N * N], next[N * N];
    draw(m, N, 1, 0);
    for (int step = 0; step <= STEPS; step++) {
        for (int i = 0; i < N * N && step % STEPS == 0; i++)
            study_put(r, step, i, "M", KIND_value, m[i]);
        draw(a, N, 1, (uint64_t)step + 1);
        matrix_multiply(m, a, next, N, N);
        memcpy(m, next, sizeof m);
    }
}

/* ---- b ---- */
static void run_exponents(struct study_run *r) {
    static double a[WIDE * WIDE], q[WIDE * WIDE], next[WIDE * WIDE], x[WIDE], y[WIDE];
    const size_t n = (size_t)r->cell->number[0], reps = repeats(r->s, r->cell->number[0]);
    const double sigma = r->cell->number[1];
    double growth[1000], sum[WIDE] = {0};
    for (size_t rep = 0; rep < reps && study_step(r, rep, reps, (double)NAN); rep++) {
        double logs[WIDE] = {0}, grown = 0;
        for (size_t i = 0; i < n * n; i++) q[i] = i % (n + 1) == 0;
        for (size_t i = 0; i < n; i++) x[i] = i == 0;
        for (size_t step = 0; step < STEPS; step++) {
            draw(a, n, sigma, rep * STEPS + step);
            matrix_multiply(a, q, next, n, n);
            memcpy(q, next, n * n * sizeof *q);
            matrix_orthonormalise(q, logs, n);
            matrix_multiply(a, x, y, n, 1);
            const double size = matrix_norm(y, n);
            grown += log(size);
            for (size_t i = 0; i < n; i++) x[i] = y[i] / size;
            if (rep < SHOWN && n == N && sigma == 1)
                study_put(r, (int64_t)step + 1, (int)rep, "run", KIND_value, grown / log(10));
            for (size_t k = 0; k < N && rep == 0 && n == N && sigma == 1; k++)
                study_put(r, (int64_t)step + 1, (int)k, "singular", KIND_value, logs[k] / log(10));
        }
        growth[rep] = grown;
        for (size_t k = 0; k < n; k++) {
            sum[k] += logs[k] / STEPS / (double)reps;
        }
    }
    study_put(r, 0, -1, "growth", KIND_mean, stats_mean(growth, reps));
    study_put(r, 0, -1, "growth", KIND_std, stats_sd(growth, reps));
    for (size_t k = 0; k < n; k++) {
        study_put(r, 0, (int)k, "exponent", KIND_mean, sum[k]);
    }
}

/* ---- c ---- */
/* Steps until an entry of the plain product is not finite; worst: largest difference of ln |M| from
 * the same product kept at norm 1. */
static double overflow(uint64_t rep, double *worst) {
    float m[N * N], next[N * N];
    double a[N * N], scaled[N * N], other[N * N], logs = 0;
    draw(a, N, 1, rep * 1000);
    for (int i = 0; i < N * N; i++) {
        m[i] = (float)a[i];
        scaled[i] = (double)m[i];
    }
    for (uint64_t step = 1; step < 1000; step++) {
        double plain = 0;
        draw(a, N, 1, rep * 1000 + step);
        for (int i = 0; i < N * N; i++) a[i] = (double)(float)a[i];
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) {
                float sum = 0;
                for (int k = 0; k < N; k++) sum += m[i * N + k] * (float)a[k * N + j];
                next[i * N + j] = sum;
                plain += (double)sum * (double)sum;
            }
        memcpy(m, next, sizeof m);
        matrix_multiply(scaled, a, other, N, N);
        const double size = matrix_norm(other, N * N);
        logs += log(size);
        for (int i = 0; i < N * N; i++) scaled[i] = other[i] / size;
        if (!isfinite(plain)) return (double)step;
        *worst = stats_worse(*worst, fabs(log(plain) / 2 - logs));
    }
    return (double)NAN;
}

static void run_overflow(struct study_run *r) {
    const size_t reps = overflows(r->s);
    double sum = 0, worst = 0;
    for (size_t rep = 0; rep < reps; rep++) {
        const double at = overflow(rep, &worst);
        if (rep < 50) study_put(r, (int64_t)rep, -1, "step", KIND_value, at);
        sum += at / (double)reps;
    }
    study_put(r, 0, -1, "overflow", KIND_mean, sum);
    study_put(r, 0, -1, "log-space", KIND_value, worst);
}

/* ---- d ---- */
static void one_row(struct trial *t, uint64_t step, struct weft_batch *out) {
    static float x[JWIDTH], v[JWIDTH];
    (void)step;
    draw_normal(t->run->cell->seed, DRAW_INPUT, 0, 1, x, JWIDTH);
    draw_normal(t->run->cell->seed, DRAW_DELTA, 0, 1, v, JWIDTH);
    *out = (struct weft_batch){.inputs = x, .values = v, .rows = 1};
}

/* One sample: the gradient of a bias is v' M(L) ... M(l+1) diag(act'). */
static enum weft_status compare_jacobians(struct trial *t) {
    double z[JLAYER + 1][JWIDTH], x[JWIDTH], delta[JWIDTH], back[JWIDTH];
    for (int i = 0; i < JWIDTH; i++) {
        x[i] = (double)t->batch.inputs[i];
        delta[i] = (double)t->batch.values[i];
    }
    for (int l = 0; l <= JLAYER; l++) {
        const float *const w = t->param[2 * l].data, *const b = t->param[2 * l + 1].data;
        for (int o = 0; o < JWIDTH; o++) {
            z[l][o] = (double)b[o];
            for (int i = 0; i < JWIDTH; i++) z[l][o] += (double)w[o * JWIDTH + i] * x[i];
        }
        for (int o = 0; o < JWIDTH; o++) x[o] = theory_act("tanh", z[l][o]);
    }
    for (int l = JLAYER; l >= 0; l--) {
        const float *const grad = t->param[2 * l + 1].grad, *const w = t->param[2 * l].data;
        double far = 0;
        for (int o = 0; o < JWIDTH; o++) {
            if (l < JLAYER) delta[o] *= theory_slope("tanh", z[l][o]);
            far += ((double)grad[o] - delta[o]) * ((double)grad[o] - delta[o]);
        }
        study_put(t->run, 0, l, "jacobian", KIND_deviation, sqrt(far) / matrix_norm(delta, JWIDTH));
        for (int i = 0; i < JWIDTH; i++) {
            back[i] = 0;
            for (int o = 0; o < JWIDTH; o++) back[i] += delta[o] * (double)w[o * JWIDTH + i];
        }
        memcpy(delta, back, sizeof delta);
    }
    return WEFT_OK;
}

static enum weft_status run_jacobian(struct study_run *r) {
    struct trial_spec spec = {
        .fill = one_row,
        .mlp =
            {.inputs = JWIDTH, .outputs = JWIDTH, .layers = JLAYER, .act = "tanh", .inner = true},
        .how = {.batch = 1, .optim = {.name = "sgd"}},
        .init = {.name = "lecun-normal", .gain = 1.5},
        .steps = 1,
        .grad = compare_jacobians,
    };
    for (size_t l = 0; l < JLAYER; l++) spec.mlp.hidden[l] = JWIDTH;
    return trial_run(r, &spec);
}

/* ---- e ---- */
static void run_bounds(struct study_run *r) {
    const double more = 1 + 1e-4;
    double broken = 0, tightest = 0;
    for (size_t i = 0; i < pairs(r->s); i++) {
        double a[N * N], b[N * N], ab[N * N], sa[N], sb[N], sab[N], l[N];
        double left = 1, right = 1;
        draw(a, N, 1, 2 * i);
        draw(b, N, 1, 2 * i + 1);
        matrix_multiply(a, b, ab, N, N);
        matrix_singular_values(a, sa, N);
        matrix_singular_values(b, sb, N);
        matrix_singular_values(ab, sab, N);
        matrix_eigenvalue_sizes(ab, l, N);
        for (int k = 0; k < N; k++) { /* Weyl */
            left *= l[k];
            right *= sa[k] * sb[k];
            broken += !(left <= right * more);
        }
        broken += !(fabs(left / right - 1) <= 1e-4); /* |det AB| = |det A| |det B| */
        broken += !(l[N - 1] * more >= sa[N - 1] * sb[N - 1]);
        broken += !(sab[0] / sab[N - 1] <= more * sa[0] / sa[N - 1] * sb[0] / sb[N - 1]);
        tightest = stats_worse(tightest, l[0] / (sa[0] * sb[0]));
        if (i >= 300) continue;
        study_put(r, (int64_t)i, -1, "eigenvalue", KIND_value, l[0]);
        study_put(r, (int64_t)i, -1, "bound", KIND_value, sa[0] * sb[0]);
    }
    study_put(r, 0, -1, "broken", KIND_value, broken);
    study_put(r, 0, -1, "tightest", KIND_value, tightest);
}

/* ---- f ---- */
static enum weft_status run_linear_net(struct study_run *r) {
    const struct trial_spec spec = {
        .data = "mnist",
        .mlp = {.inputs = 784,
                .outputs = 10,
                .hidden = {64},
                .layers = 1,
                .blocks = 99,
                .act = "none"},
        .how = {.batch = 32, .optim = {.name = "sgd"}},
        .init = {.name = "normal", .std = 1},
        .steps = 5,
        .lr = 0.01,
        .eval_samples = TRIAL_NO_EVAL,
    };
    return trial_run(r, &spec);
}

static enum weft_status run(struct study_run *r) {
    switch (r->cell->part) {
    case 'a': run_product(r); return WEFT_OK;
    case 'b': run_exponents(r); return WEFT_OK;
    case 'c': run_overflow(r); return WEFT_OK;
    case 'd': return run_jacobian(r);
    case 'e': run_bounds(r); return WEFT_OK;
    default: return run_linear_net(r);
    }
}

/* ---- checks ---- */
static const struct study_cell *cell_of(const struct study *s, double n, double sigma) {
    return study_find(s, 'b', "exponents", n, sigma, 1);
}
/* Of the only cell of a part. */
static double single(const struct study *s, char part, const char *what, enum study_kind kind) {
    return study_value(study_find(s, part, NULL, part == 'f' ? 64 : N, 1, 1), kind, -1, what,
                       STUDY_LAST);
}

/* sd of 100 steps of ln|A x|: 100 psi'(n/2)/4 is its variance. */
static void check_growth(struct study *s) {
    struct check_worst w = {0};
    const struct study_cell *const c = cell_of(s, N, 1);
    const double mean = STEPS * exponent(N, 1), sd = sqrt(STEPS * gsl_sf_psi_1(N / 2.0) / 4);
    const double reps = (double)repeats(s, N);
    if (study_has(s, 'b')) {
        check_near(&w, study_value(c, KIND_mean, -1, "growth", 0), mean, 4 * sd / sqrt(reps),
                   "mean ln growth of |Mx|");
        check_near(&w, study_value(c, KIND_std, -1, "growth", 0), sd,
                   sd * fmax(0.1, 4 / sqrt(2 * reps)), "its standard deviation");
    }
    study_check_worst(s, CHECK_TH, 'b', "growth of |Mx| over 100 steps: 55.80, sd 4.02", &w, NULL);
}

static void check_exponents(struct study *s) {
    struct check_worst w = {0};
    for (size_t i = 0; i < s->cells; i++) {
        const struct study_cell *const c = &s->cell[i];
        for (int k = 0; c->part == 'b' && k < (int)c->number[0]; k++)
            check_near(&w, study_value(c, KIND_mean, k, "exponent", 0),
                       exponent(c->number[0], k + 1) + log(c->number[1]),
                       4 * sqrt(gsl_sf_psi_1((c->number[0] - k) / 2) / 4 / STEPS /
                                (double)repeats(s, c->number[0])),
                       "n %g, σ %g, exponent %d", c->number[0], c->number[1], k + 1);
    }
    study_check_worst(s, CHECK_TH, 'b', "Lyapunov exponents, QR in log space", &w, NULL);
}

/* Where the rate of growth crosses zero: the line through the four sigmas. */
static double crossing(struct study *s) {
    double x[4], y[4];
    for (size_t i = 0; i < 4; i++) {
        x[i] = log(sigmas[i]);
        y[i] = study_value(cell_of(s, N, sigmas[i]), KIND_mean, -1, "growth", 0);
    }
    const struct stats_line l = stats_slope(x, y, 4);
    return exp(-l.intercept / l.slope);
}

static void check_rest(struct study *s) {
    struct check_worst overflow_at = {0}, jacobian = {0}, logs = {0}, zero = {0};
    const struct study_cell *const d = study_find(s, 'd', "jacobian", JWIDTH, STUDY_ANY, 1);
    const double reps = (double)overflows(s);
    if (study_has(s, 'b')) check_near(&zero, crossing(s), 0.5724, 0.01, "σ without growth");
    study_check_worst(s, CHECK_TH, 'b', "zero growth of 4x4 at σ = 0.572", &zero, NULL);
    check_near(&overflow_at, single(s, 'c', "overflow", KIND_mean), 157.7, 2 + 4 * 9.3 / sqrt(reps),
               "mean step");
    study_check_worst(s, CHECK_TH, 'c', "f32 overflows after about 158 factors", &overflow_at,
                      NULL);
    check_near(&logs, single(s, 'c', "log-space", KIND_value), 0, 1e-4, "|Δ ln norm|");
    study_check_worst(s, CHECK_ID, 'c', "log-space norm is the plain norm while finite", &logs,
                      NULL);
    for (int l = 0; d != NULL && l <= JLAYER; l++)
        check_near(&jacobian, study_value(d, KIND_deviation, l, "jacobian", 0), 0, 1e-4, "layer %d",
                   l + 1);
    study_check_worst(s, CHECK_ID, 'd', "backprop is the product of Jacobians", &jacobian, NULL);
    study_check(s, CHECK_ID, 'e', "bounds on eigenvalues of AB: violations",
                single(s, 'e', "broken", KIND_value), 0, 0, NULL);
    study_remark(s, "%zu pairs; |λ|max comes to %.3f of its bound at most", pairs(s),
                 single(s, 'e', "tightest", KIND_value));
    study_check(s, CHECK_RP, 'f', "linear net of 100 layers, σ² = 1: step at which it diverges",
                isnan(single(s, 'f', "", KIND_diverged))
                    ? (double)NAN
                    : (double)study_count(study_find(s, 'f', NULL, 64, 1, 1), KIND_loss),
                0, 0, NULL);
}

/* ---- figures ---- */
static void draw_growth(struct study *s) {
    struct study_figure *const f =
        figure_xy(s, "growth", "Norm of M x: twenty runs, theory with two standard deviations",
                  "step", "log10 |M x|");
    const struct study_cell *const c = cell_of(s, N, 1);
    double *const x = study_doubles(s, STEPS), *const mean = study_doubles(s, STEPS);
    double *const low = study_doubles(s, STEPS), *const high = study_doubles(s, STEPS);
    for (size_t i = 0; i < STEPS; i++) {
        const double t = (double)i + 1, sd = 2 * sqrt(t * gsl_sf_psi_1(N / 2.0) / 4) / log(10);
        x[i] = t;
        mean[i] = t * exponent(N, 1) / log(10);
        low[i] = mean[i] - sd;
        high[i] = mean[i] + sd;
    }
    for (int run = 0; run < SHOWN; run++) {
        double *const y = study_doubles(s, STEPS);
        const size_t n = study_series(c, KIND_value, run, "run", NULL, y, STEPS);
        figure_curve(f, run == 0 ? "measured" : NULL, figure_hue(0), FIGURE_LINE,
                     &(struct study_curve){.n = n, .x = x, .mean = y});
    }
    figure_curve(f, "theory", figure_hue(1), FIGURE_DASHED,
                 &(struct study_curve){STEPS, 2, x, mean, low, high});
}

static void draw_spectrum(struct study *s) {
    struct study_figure *const f =
        figure_xy(s, "spectrum", "Singular values of one product, and (dashed) the exponents",
                  "step", "log10 of singular value");
    for (int k = 0; k < N; k++) {
        double *const x = study_doubles(s, STEPS), *const y = study_doubles(s, STEPS);
        double *const want = study_doubles(s, STEPS);
        const size_t n = study_series(cell_of(s, N, 1), KIND_value, k, "singular", x, y, STEPS);
        for (size_t i = 0; i < n; i++) want[i] = x[i] * exponent(N, k + 1) / log(10);
        figure_curve(f, study_text(s, "σ_%d", k + 1), figure_hue((size_t)k), FIGURE_LINE,
                     &(struct study_curve){.n = n, .x = x, .mean = y});
        figure_curve(f, NULL, figure_hue((size_t)k), FIGURE_DASHED,
                     &(struct study_curve){.n = n, .x = x, .mean = want});
    }
}

static void draw_sigma(struct study *s) {
    struct study_figure *const f =
        figure_xy(s, "sigma", "Rate of growth against σ (theory dashed)", "σ", "nats a step");
    double *const y = study_doubles(s, 4), *const want = study_doubles(s, 4);
    f->x.log = true;
    for (size_t i = 0; i < 4; i++) {
        y[i] = study_value(cell_of(s, N, sigmas[i]), KIND_mean, -1, "growth", 0) / STEPS;
        want[i] = exponent(N, 1) + log(sigmas[i]);
    }
    figure_curve(f, "measured", figure_hue(0), FIGURE_DOTS,
                 &(struct study_curve){.n = 4, .x = sigmas, .mean = y});
    figure_curve(f, "theory", figure_hue(0), FIGURE_DASHED,
                 &(struct study_curve){.n = 4, .x = sigmas, .mean = want});
    figure_rule(f, 0, "neither grows nor falls");
}

static void draw_bounds(struct study *s) {
    struct study_figure *const f = figure_xy(
        s, "bounds", "Largest eigenvalue of AB against its bound", "σ₁(A) σ₁(B)", "|λ|max(AB)");
    const struct study_cell *const c = study_find(s, 'e', "bounds", N, 1, 1);
    double *const x = study_doubles(s, 300), *const y = study_doubles(s, 300);
    static const double line[] = {0, 30};
    const size_t n = study_series(c, KIND_value, -1, "bound", NULL, x, 300);
    study_series(c, KIND_value, -1, "eigenvalue", NULL, y, 300);
    figure_curve(f, "pairs", figure_hue(0), FIGURE_POINTS,
                 &(struct study_curve){.n = n, .x = x, .mean = y});
    figure_curve(f, "bound", figure_grey(), FIGURE_DOTTED,
                 &(struct study_curve){.n = 2, .x = line, .mean = line});
}

static void judge(struct study *s) {
    const double mean = STEPS * exponent(N, 1);
    const double condition = STEPS * (exponent(N, 1) - exponent(N, N));
    check_growth(s);
    check_exponents(s);
    check_rest(s);
    if (study_has(s, 'b')) {
        draw_growth(s);
        draw_spectrum(s);
        draw_sigma(s);
    }
    if (study_has(s, 'e')) draw_bounds(s);
    study_answer(s,
                 "Each 4x4 factor multiplies a vector by e^%.3f on average, so 100 of them make "
                 "10^%.1f; singular values drift apart to a condition of 10^%.1f, and growth only "
                 "stops at σ = %.3f.",
                 mean / STEPS, mean / log(10), condition / log(10), exp(-exponent(N, 1)));
}

const struct weft_study study_matrix_products = {
    .name = "matrix-products",
    .question = "Why does a product of random matrices explode, and how badly is it conditioned?",
    .source = "Dive into Deep Learning 5.4.1 and its exercise 3; exponents after Newman 1986",
    .parts = "abcdef",
    .part = {"one product", "many products", "f32 until overflow", "Jacobians of a perceptron",
             "bounds on eigenvalues", "a linear net of 100 layers"},
    .numbers = {"n", "sigma"},
    .data = "mnist",
    .grid = grid,
    .run = run,
    .judge = judge,
};
