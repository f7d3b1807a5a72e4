/* E1: which standard deviation of the initial weights trains? A ReLU perceptron on MNIST, N(0,
 * sigma^2) on every weight, 25 sigmas from 1e-4 to 10, SGD and Adam.
 *
 * Zero biases and shared draws make the network homogeneous: z_l ~ sigma^l exactly. The gradient of
 * each of the three layers goes with sigma^2 while the softmax is uniform, and again once it is
 * one-hot. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "studies/curve.h"
#include "studies/recipe.h"
#include "studies/stats.h"
#include "studies/verdict.h"

#define SIGMAS 25
#define LAYERS 3
#define PART   'a'

static const size_t widths[] = {784, 256, 128, 10};
static const char *const arms[] = {"sgd", "adam"};
#define ARMS 2

static double sigma_of(size_t k) { return pow(10, -4 + 5.0 * (double)k / 24); }

static void grid(struct study *s) {
    const size_t seeds = study_seeds(s, 1, 2, 5);
    const double steps = study_pick(s, 2, 300, 2344, 2344);
    const double flops = 128 * steps * study_mlp_flops(widths, 4);
    for (size_t a = 0; a < ARMS; a++)
        for (size_t k = 0; k < SIGMAS; k++)
            for (size_t seed = 1; seed <= seeds; seed++) {
                if (a == 0 && k == 14 && seed == 1) s->proof = s->cells;
                study_add(s, PART, arms[a], seed, flops, sigma_of(k), STUDY_ANY);
            }
    s->epochs = recipe_mnist_epochs(steps);
    study_note(s, "net", "784-256-128-10, ReLU, batch 128, N(0, σ²) on all weights, biases 0");
    study_note(s, "steps", "%.0f", steps);
    study_note(s, "optimizers", "SGD lr 0.1; Adam lr 1e-3, β 0.9/0.999, no decay");
}

/* ---- a cell ---- */
/* Mean entropy of the softmax over the batch, from the logits that the loss has seen. */
static double softmax_entropy(const struct weft_probe_value *v) {
    double sum = 0;
    for (size_t r = 0; r < v->rows; r++) {
        const float *const x = v->of + r * v->cols;
        double max = (double)x[0], z = 0, weighted = 0;
        for (size_t j = 1; j < v->cols; j++) max = fmax(max, (double)x[j]);
        for (size_t j = 0; j < v->cols; j++) {
            const double e = exp((double)x[j] - max);
            z += e;
            weighted += e * ((double)x[j] - max);
        }
        sum += log(z) - weighted / z;
    }
    return sum / (double)v->rows;
}

static enum weft_status first_step(struct trial *t) {
    struct weft_probe_value v[64];
    if (t->step > 0) return WEFT_OK;
    const size_t n = weft_model_probes(t->model, v, 64);
    for (size_t i = 0; i < n && i < 64; i++)
        if (strcmp(v[i].kind, "logz") == 0 && v[i].of != NULL)
            study_put(t->run, 0, -1, "softmax", KIND_entropy, softmax_entropy(&v[i]));
    return WEFT_OK;
}

static enum weft_status run(struct study_run *r) {
    const bool adam = strcmp(r->cell->arm, "adam") == 0;
    const bool smoke = r->s->set.setting == STUDY_SMOKE;
    const struct trial_spec spec = {
        .data = "mnist",
        .mlp = {.inputs = 784, .hidden = {256, 128}, .layers = 2, .outputs = 10},
        .how =
            {.batch = 128,
             .watch = "layer logz",
             .keep = true,
             .optim = {.name = r->cell->arm, .beta1 = adam ? 0.9 : 0, .beta2 = 0.999, .eps = 1e-8}},
        .init = {.name = "normal", .std = r->cell->number[0]},
        .steps = (uint64_t)study_pick(r->s, 2, 300, 2344, 2344),
        .lr = adam ? 1e-3 : 0.1,
        .every = 10,
        .kinds = "gnorm update_ratio dead z_rms delta_rms",
        .eval_samples = smoke ? 128 : 0,
        .after = first_step,
    };
    return trial_run(r, &spec);
}

/* ---- numbers over the grid ---- */
static double accuracy(const struct study_cell *c) {
    return study_value(c, KIND_acc, -1, "", STUDY_LAST);
}

struct sweep { /* of one arm */
    double *x, *acc, *low, *high, *loss;
};

static struct sweep sweep_of(struct study *s, const char *arm) {
    struct sweep w = {study_doubles(s, SIGMAS), study_doubles(s, SIGMAS), study_doubles(s, SIGMAS),
                      study_doubles(s, SIGMAS), study_doubles(s, SIGMAS)};
    for (size_t k = 0; k < SIGMAS; k++) {
        const double sigma = w.x[k] = sigma_of(k);
        const struct study_spread acc = study_spread_of(s, PART, arm, sigma, (double)NAN, accuracy);
        w.acc[k] = acc.n == acc.all ? acc.mean : (double)NAN;
        w.low[k] = acc.low;
        w.high[k] = acc.high;
        w.loss[k] = study_spread_of(s, PART, arm, sigma, (double)NAN, study_final_loss).mean;
    }
    return w;
}

/* Edges of the band seed by seed, and their mean. */
static struct stats_band band_of(const struct study *s, const char *arm, size_t *n) {
    struct stats_band mean = {0}, one;
    *n = 0;
    for (uint64_t seed = 1; seed <= STUDY_MAX_SEEDS; seed++) {
        double x[SIGMAS], y[SIGMAS];
        for (size_t k = 0; k < SIGMAS; k++) {
            x[k] = sigma_of(k);
            y[k] = accuracy(study_find(s, PART, arm, x[k], (double)NAN, seed));
        }
        if (!stats_find_band(x, y, SIGMAS, 0.05, &one)) continue;
        (*n)++;
        mean.best += one.best;
        mean.at += log10(one.at);
        mean.low += log10(one.low);
        mean.high += log10(one.high);
    }
    const double m = *n > 0 ? (double)*n : (double)NAN;
    return (struct stats_band){.best = mean.best / m,
                               .at = pow(10, mean.at / m),
                               .low = pow(10, mean.low / m),
                               .high = pow(10, mean.high / m)};
}

/* Root mean square over seeds of a statistic of step 0. */
static double first_rms(const struct study *s, size_t k, enum study_kind kind, int layer) {
    const struct study_cell *cell[STUDY_MAX_SEEDS];
    const size_t n = study_seeds_of(s, PART, "sgd", sigma_of(k), STUDY_ANY, cell, STUDY_MAX_SEEDS);
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += pow(study_value(cell[i], kind, layer, "weight", 0), 2);
    return sqrt(sum / (double)n);
}

/* ---- checks ---- */
static void check_homogeneity(struct study *s) {
    struct check_worst w = {0};
    const size_t ref = SIGMAS / 2;
    for (size_t k = 0; k < SIGMAS; k++)
        for (int l = 0; l < LAYERS; l++) {
            const double got = first_rms(s, k, KIND_z_rms, l) / first_rms(s, ref, KIND_z_rms, l);
            const double want = pow(sigma_of(k) / sigma_of(ref), l + 1);
            check_near(&w, got / want, 1, 1e-4, "layer %d, σ %.3g", l + 1, sigma_of(k));
        }
    study_check_worst(s, CHECK_ID, PART, "rms z_l goes with σ^l", &w, NULL);
}

static void check_signal(struct study *s) {
    struct check_worst w = {0};
    const double seeds =
        (double)study_spread_of(s, PART, "sgd", sigma_of(0), STUDY_ANY, accuracy).all;
    for (size_t k = 0; k < SIGMAS; k++) {
        double want = sqrt(2), tol = 0;
        for (int l = 0; l + 1 < LAYERS; l++) {
            want *= sigma_of(k) * sqrt((double)widths[l] / 2);
            tol += 4 * 1.12 / sqrt((double)widths[l + 1] * seeds);
            check_near(&w, first_rms(s, k, KIND_z_rms, l) / want, 1, tol, "layer %d, σ %.3g", l + 1,
                       sigma_of(k));
        }
    }
    study_check_worst(s, CHECK_TH, PART, "rms of hidden z_l = √2 Π σ √(n/2)", &w, NULL);
}

static void check_slopes(struct study *s) {
    struct check_worst w = {0};
    for (int l = 0; l < LAYERS; l++)
        for (int side = 0; side < 2; side++) {
            double x[SIGMAS], y[SIGMAS];
            size_t n = 0;
            for (size_t k = 0; k < SIGMAS; k++) {
                const double logits = first_rms(s, k, KIND_z_rms, LAYERS - 1);
                if (side == 0 ? !(logits < 0.1) : !(logits > 100)) continue;
                x[n] = sigma_of(k);
                y[n++] = first_rms(s, k, KIND_gnorm, l);
            }
            check_near(&w, n > 2 ? stats_log_slope(x, y, n).slope : (double)NAN, LAYERS - 1, 0.05,
                       "layer %d, logits %s", l + 1, side == 0 ? "< 0.1" : "> 100");
        }
    study_check_worst(s, CHECK_TH, PART, "slope of log ‖g_l‖ on log σ", &w, NULL);
}

static void check_bands(struct study *s) {
    static const char published[] = "\"σ ∈ [1e-2, 1e-1]\" [src], no definition";
    size_t n, m;
    const struct stats_band sgd = band_of(s, "sgd", &n), adam = band_of(s, "adam", &m);
    const double gain1 = 1 / cbrt(sqrt(392.0 * 128 * 64));
    const double outside = n == 0 ? (double)NAN : gain1 < sgd.low || gain1 > sgd.high;
    study_check(s, CHECK_EF, PART, "gain-1 σ is outside the SGD band", outside, 0, 0, NULL);
    study_remark(s, "gain 1 at σ %.4f, band %.4f to %.4f", gain1, sgd.low, sgd.high);
    const double far = fmax(fabs(log10(sgd.low) + 2), fabs(log10(sgd.high) + 1));
    study_check(s, CHECK_EF, PART, "SGD band edges from [1e-2, 1e-1], decades", far, 0, 0.5,
                published);
    study_remark(s, "band of 5 points of accuracy: %.4f to %.4f, best %.4f at %.4f", sgd.low,
                 sgd.high, sgd.best, sgd.at);
    study_sum(s, "sgd best accuracy", sgd.best);
    study_sum(s, "sgd best σ", sgd.at);
    study_sum(s, "sgd band low", sgd.low);
    study_sum(s, "sgd band high", sgd.high);
    study_sum(s, "adam best accuracy", adam.best);
    study_sum(s, "adam band low", adam.low);
    study_sum(s, "adam band high", adam.high);
    study_answer(
        s,
        "SGD trains to within 5 points of its best (%.1f%% at σ %.3g) from σ %.2g to %.2g, Adam "
        "from %.2g to %.2g: the band depends on the optimizer.",
        100 * sgd.best, sgd.at, sgd.low, sgd.high, adam.low, adam.high);
}

/* ---- figures ---- */
static void draw_band(struct study *s) {
    struct study_figure *const f =
        figure_new(s, "band", "Test accuracy (lines) and final training loss (dashed)");
    static const char *const names[] = {"SGD, accuracy", "Adam, accuracy"};
    static const char *const losses[] = {"SGD, loss", "Adam, loss"};
    f->x = (struct figure_axis){.label = "initial σ", .log = true};
    f->y = (struct figure_axis){.label = "test accuracy", .lo = 0, .hi = 1};
    f->right = (struct figure_axis){.label = "final training loss", .lo = 0, .hi = 3};
    figure_mark_x(f, 1e-2, 1e-1, "published band [src]");
    for (size_t a = 0; a < ARMS; a++) {
        const struct sweep w = sweep_of(s, arms[a]);
        figure_line(f, &(struct figure_series){.label = names[a],
                                               .color = figure_hue(a),
                                               .mark = FIGURE_DOTS,
                                               .n = SIGMAS,
                                               .x = w.x,
                                               .y = w.acc,
                                               .low = w.low,
                                               .high = w.high});
        figure_line(f, &(struct figure_series){.label = losses[a],
                                               .color = figure_hue(a),
                                               .mark = FIGURE_DASHED,
                                               .right = true,
                                               .n = SIGMAS,
                                               .x = w.x,
                                               .y = w.loss});
    }
}

static void draw_first(struct study *s, const char *name, const char *title, const char *axis,
                       enum study_kind kind) {
    struct study_figure *const f = figure_new(s, name, title);
    f->x = (struct figure_axis){.label = "initial σ", .log = true};
    f->y = (struct figure_axis){.label = axis, .log = true};
    for (int l = 0; l < LAYERS; l++) {
        double *const x = study_doubles(s, SIGMAS), *const y = study_doubles(s, SIGMAS);
        for (size_t k = 0; k < SIGMAS; k++) {
            x[k] = sigma_of(k);
            y[k] = first_rms(s, k, kind, l);
        }
        figure_curve(f, study_text(s, "layer %d", l + 1), figure_hue((size_t)l), FIGURE_DOTS,
                     &(struct study_curve){.n = SIGMAS, .x = x, .mean = y});
    }
}

static void draw_curves(struct study *s) {
    struct study_figure *const f = figure_new(s, "curves", "Training loss, SGD, first seed");
    f->x = (struct figure_axis){.label = "step"};
    f->y = (struct figure_axis){.label = "training loss", .lo = 0, .hi = 3};
    f->ramp = (struct figure_axis){.label = "σ", .log = true, .lo = 1e-4, .hi = 10};
    for (size_t k = 0; k < SIGMAS; k++) {
        const struct study_cell *const c = study_find(s, PART, "sgd", sigma_of(k), STUDY_ANY, 1);
        const size_t n = study_count(c, KIND_loss);
        double *const x = study_doubles(s, n), *const y = study_doubles(s, n);
        study_series(c, KIND_loss, -1, "", x, y, n);
        figure_curve(f, NULL, figure_ramp(sigma_of(k)), FIGURE_LINE,
                     &(struct study_curve){.n = n, .x = x, .mean = y});
    }
}

static void draw_map(struct study *s) {
    const size_t steps =
        study_count(study_find(s, PART, "sgd", sigma_of(14), (double)NAN, 1), KIND_loss);
    const size_t n = steps / 10 + (steps % 10 != 0), every = 10;
    struct study_figure *const f =
        figure_new(s, "map", "Norm of the gradient over steps and σ, SGD, first seed");
    double *const x = study_doubles(s, n), *const y = study_doubles(s, SIGMAS);
    double *const z = study_doubles(s, n * SIGMAS);
    f->x = (struct figure_axis){.label = "step"};
    f->y = (struct figure_axis){.label = "initial σ", .log = true};
    f->ramp.label = "‖g‖";
    for (size_t k = 0; k < SIGMAS; k++) {
        const struct study_cell *const c = study_find(s, PART, "sgd", sigma_of(k), STUDY_ANY, 1);
        y[k] = sigma_of(k);
        for (size_t i = 0; i < n; i++) {
            x[i] = (double)(i * every);
            z[k * n + i] = study_value(c, KIND_gnorm, -1, "", (int64_t)(i * every));
        }
    }
    figure_heat(f, n, x, SIGMAS, y, z, true);
}

static void judge(struct study *s) {
    check_homogeneity(s);
    check_signal(s);
    check_slopes(s);
    check_bands(s);
    draw_band(s);
    draw_first(s, "signal", "Signal at initialisation: rms of z", "rms z_l", KIND_z_rms);
    draw_first(s, "gradient", "Gradient at initialisation", "‖g_l‖", KIND_gnorm);
    draw_curves(s);
    draw_map(s);
}

const struct weft_study study_std_sweep = {
    .name = "std-sweep",
    .question = "Which initial standard deviation trains, and where do activations and gradients "
                "vanish or explode?",
    .source =
        "Han 2025 (arXiv 2510.09423), contribution 2: 25 standard deviations, log-spaced; sizes, "
        "optimizer and rates are choices of ours",
    .parts = "a",
    .part = {"25 σ from 1e-4 to 10, SGD and Adam"},
    .numbers = {"sigma"},
    .data = "mnist",
    .grid = grid,
    .run = run,
    .judge = judge,
};
