/* What does each way to draw initial weights give?
 *
 *   a  moments of the samples, bounds, orthogonality; constructions for convolutions
 *   b  signals and gradients through twenty layers; LSUV (Mishkin, Matas 2016)
 *   c  MNIST, 784-128^5-10, each scheme
 *
 * A convolution's weight is (out, 9 in): its fan-in is 9 in. Delta-orthogonal (Xiao et al. 2018):
 * an orthogonal matrix at the centre, 0 elsewhere. ICNR (Aitken et al. 2017): the filters of a 2x2
 * block are equal, so that pixel shuffle starts without a checkerboard. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "studies/curve.h"
#include "studies/draw.h"
#include "studies/look.h"
#include "studies/probe_net.h"
#include "studies/recipe.h"
#include "studies/small_matrix.h"
#include "studies/theory.h"
#include "studies/stats.h"
#include "studies/verdict.h"

#define OUT      256
#define IN       784
#define DEPTH    20
#define WIDTH    256
#define ROWS     64
#define CHANNELS 8 /* of the constructions */
#define SIDE     6
static const struct scheme {
    const char *label, *name;
    double std, gain;
    double var;  /* of the sample, for IN to OUT; 0: by the fans below */
    double kurt; /* 3 normal, 1.8 uniform, 0 orthogonal */
} schemes[] = {
    {"N(0, 0.01²)", "normal", 0.01, 0, 1e-4, 3},
    {"framework default", "lecun-uniform", 0, 0.57735026918962576, 1.0 / (3 * IN), 1.8},
    {"LeCun", "lecun-normal", 0, 0, 1.0 / IN, 3},
    {"Xavier N", "xavier-normal", 0, 0, 2.0 / (IN + OUT), 3},
    {"Xavier U", "xavier-uniform", 0, 0, 2.0 / (IN + OUT), 1.8},
    {"Kaiming in N", "kaiming-normal", 0, 1.4142135623730951, 2.0 / IN, 3},
    {"Kaiming in U", "kaiming-uniform", 0, 1.4142135623730951, 2.0 / IN, 1.8},
    {"Kaiming out N", "kaiming-fanout-normal", 0, 1.4142135623730951, 2.0 / OUT, 3},
    {"Kaiming out U", "kaiming-fanout-uniform", 0, 1.4142135623730951, 2.0 / OUT, 1.8},
    {"orthogonal", "orthogonal", 0, 1.2, 0, 0},
    {"GPT-2", "normal", 0.02, 0, 4e-4, 3},
};
#define SCHEMES (sizeof schemes / sizeof *schemes)
static const char *const acts[] = {"tanh", "sigmoid", "relu"};
static const size_t deep[] = {1, 2, 3, 5}; /* schemes of part b */
#define ACTS 3
#define DEEP 4

static double steps_of(const struct study *s) { return study_pick(s, 2, 300, 300, 300); }

static void grid(struct study *s) {
    for (size_t i = 0; i < SCHEMES; i++) study_add(s, 'a', "sample", 1, 1e7, (double)i, STUDY_ANY);
    study_add(s, 'a', "convolutions", 1, 1e6, STUDY_ANY, STUDY_ANY);
    for (size_t a = 0; a < ACTS; a++)
        for (size_t i = 0; i < DEEP; i++)
            for (size_t seed = 1; seed <= study_seeds(s, 2, 3, 5); seed++) {
                if (a == 0 && i == 0 && seed == 1) s->proof = s->cells;
                study_add(s, 'b', acts[a], seed, 6.0 * WIDTH * WIDTH * DEPTH * ROWS,
                          (double)deep[i], STUDY_ANY);
            }
    study_add(s, 'b', "lsuv", 1, 1e9, STUDY_ANY, STUDY_ANY);
    for (size_t i = 0; i < SCHEMES; i++)
        for (size_t seed = 1; seed <= study_seeds(s, 1, 1, 3); seed++)
            study_add(s, 'c', "train", seed, recipe_mnist_flops(128, 5, steps_of(s)), (double)i,
                      STUDY_ANY);
    s->plain = !study_has(s, 'b');
    if (s->plain) s->proof = s->cells > 0 ? s->cells - 1 : 0;
    s->epochs = recipe_mnist_epochs(steps_of(s));
    study_note(s, "samples", "784 to 256; 3x3 convolution of %d channels", CHANNELS);
    study_note(s, "deep nets", "%d layers of width %d, %d inputs", DEPTH, WIDTH, ROWS);
    study_note(s, "MNIST", "784-128^5-10, ReLU, SGD 0.05, %.0f steps", steps_of(s));
}

static struct weft_init init_of(const struct study_cell *c) {
    const struct scheme *const z = &schemes[(size_t)c->number[0]];
    return (struct weft_init){.name = z->name, .std = z->std, .gain = z->gain};
}

/* ---- a ---- */
/* Largest entry of |W W' / g^2 - 1| (fewer rows than columns), in double. */
static double far_from_orthogonal(const struct weft_param_info *w, double gain) {
    const size_t rows = w->shape[0], cols = w->shape[1];
    double worst = 0;
    for (size_t a = 0; a < rows; a++)
        for (size_t b = 0; b <= a; b++) {
            double dot = 0;
            for (size_t i = 0; i < cols; i++)
                dot += (double)w->data[a * cols + i] * (double)w->data[b * cols + i];
            worst = stats_worse(worst, fabs(dot / (gain * gain) - (a == b)));
        }
    return worst;
}

static enum weft_status run_sample(struct study_run *r) {
    const struct scheme *const z = &schemes[(size_t)r->cell->number[0]];
    const struct trial_spec spec = {
        .fill = NULL,
        .mlp = {.inputs = IN, .outputs = OUT, .inner = true},
        .how = {.batch = 1, .optim = {.name = "sgd"}},
        .init = init_of(r->cell),
    };
    struct trial t;
    const enum weft_status st = trial_open(&t, r, &spec);
    if (st == WEFT_OK) {
        double sum = 0, most = 0;
        const size_t n = trial_count(&t.param[0]);
        for (size_t i = 0; i < n; i++) {
            const double x = (double)t.param[0].data[i];
            sum += x * x;
            most = stats_worse(most, fabs(x));
        }
        study_put(r, 0, -1, "variance", KIND_value, sum / (double)n);
        study_put(r, 0, -1, "absmax", KIND_value, most);
        if (z->kurt == 0)
            study_put(r, 0, -1, "orthogonal", KIND_deviation,
                      far_from_orthogonal(&t.param[0], z->gain));
    }
    trial_close(&t);
    return st;
}

/* y (channels) of a 3x3 convolution of x (SIDE, SIDE, channels), edges wrapped, at (i, j). */
static void convolve(const double *k, const double *x, size_t i, size_t j, size_t out, double *y) {
    for (size_t o = 0; o < out; o++) {
        y[o] = 0;
        for (size_t a = 0; a < 3; a++)
            for (size_t b = 0; b < 3; b++) {
                const size_t row = (i + a + SIDE - 1) % SIDE, col = (j + b + SIDE - 1) % SIDE;
                for (size_t c = 0; c < CHANNELS; c++)
                    y[o] += k[((o * 3 + a) * 3 + b) * CHANNELS + c] *
                            x[(row * SIDE + col) * CHANNELS + c];
            }
    }
}

static void run_convolutions(struct study_run *r) {
    static double x[SIDE * SIDE * CHANNELS], k[4 * CHANNELS * 9 * CHANNELS];
    double q[CHANNELS * CHANNELS], logs[CHANNELS] = {0}, y[4 * CHANNELS];
    double in = 0, out = 0, uneven = 0;
    draw_normal_f64(1, DRAW_INPUT, 0, x, SIDE * SIDE * CHANNELS);
    draw_normal_f64(1, DRAW_MATRIX, 0, q, CHANNELS * CHANNELS);
    matrix_orthonormalise(q, logs, CHANNELS);
    for (size_t o = 0; o < CHANNELS; o++)
        memcpy(k + ((o * 3 + 1) * 3 + 1) * CHANNELS, q + o * CHANNELS, CHANNELS * sizeof *q);
    for (size_t p = 0; p < SIDE * SIDE; p++) {
        convolve(k, x, p / SIDE, p % SIDE, CHANNELS, y);
        in += pow(matrix_norm(x + p * CHANNELS, CHANNELS), 2);
        out += pow(matrix_norm(y, CHANNELS), 2);
    }
    study_put(r, 0, -1, "delta", KIND_deviation, fabs(sqrt(out / in) - 1));
    /* output channel 4 c + s goes to pixel s of a block of channel c */
    for (size_t o = 0; o < 4 * CHANNELS; o++)
        draw_normal_f64(1, DRAW_CHOICE, o / 4 * 9 * CHANNELS, k + o * 9 * CHANNELS, 9 * CHANNELS);
    for (size_t p = 0; p < SIDE * SIDE; p++) {
        convolve(k, x, p / SIDE, p % SIDE, 4 * CHANNELS, y);
        for (size_t o = 0; o < 4 * CHANNELS; o++)
            uneven = stats_worse(uneven, fabs(y[o] - y[o / 4 * 4]));
    }
    study_put(r, 0, -1, "icnr", KIND_deviation, uneven);
}

/* ---- b ---- */
static enum weft_status histograms(struct trial *t) {
    static const int shown[] = {0, 4, 9, 14, 18};
    struct weft_probe_value v[256];
    const size_t n = weft_model_probes(t->model, v, 256);
    for (size_t i = 0; i < n && i < 256 && t->run->cell->seed == 1; i++)
        for (size_t k = 0; k < 5 && v[i].of != NULL; k++) {
            const bool x = strcmp(v[i].kind, "x_rms") == 0;
            const bool delta = strcmp(v[i].kind, "delta_rms") == 0;
            char tensor[16];
            if (v[i].layer != shown[k] || (!x && !delta)) continue;
            snprintf(tensor, sizeof tensor, "%s%d", x ? "x" : "d", v[i].layer);
            look_histogram(t->run, 0, tensor, v[i].of, v[i].rows * v[i].cols,
                           x ? 1 : 4 * fmax(v[i].value, 1e-30));
        }
    return WEFT_OK;
}

static struct trial_spec deep_net(const char *act) {
    struct trial_spec spec = probe_net_spec(act, ROWS, "lecun-normal", 0);
    spec.mlp.inputs = spec.mlp.outputs = WIDTH;
    spec.mlp.layers = DEPTH - 1;
    for (size_t l = 0; l + 1 < DEPTH; l++) spec.mlp.hidden[l] = WIDTH;
    return spec;
}

static enum weft_status run_deep(struct study_run *r) {
    struct trial_spec spec = deep_net(r->cell->arm);
    spec.init = init_of(r->cell);
    spec.how.keep = true;
    spec.after = histograms;
    return probe_net_run(r, &spec, 1);
}

/* Layer by layer: forward, divide the weights by the std of the output, until it is 1. */
static enum weft_status unit_variance(struct trial *t) {
    enum weft_status st = WEFT_OK;
    bool ok = true;
    double most = 0, worst = 0;
    t->due = true;
    for (int l = 0; l < DEPTH && st == WEFT_OK; l++) {
        double std = 0;
        int tries = 0;
        for (; tries <= 10 && st == WEFT_OK; tries++) {
            st = trial_step(t, &ok);
            std = trial_statistic(t, l, "weight", "z_rms");
            if (fabs(std - 1) < 0.1) break;
            trial_scale(&t->param[2 * l], 0, WIDTH, 1 / std);
        }
        most = fmax(most, tries);
        worst = stats_worse(worst, fabs(std - 1));
    }
    study_put(t->run, 0, -1, "tries", KIND_value, most);
    study_put(t->run, 0, -1, "lsuv", KIND_deviation, worst);
    return st;
}

static enum weft_status run_lsuv(struct study_run *r) {
    struct trial_spec spec = deep_net("tanh");
    spec.init = (struct weft_init){.name = "orthogonal", .gain = 3};
    spec.after = unit_variance;
    return probe_net_run(r, &spec, 1);
}

static enum weft_status run(struct study_run *r) {
    const char *const arm = r->cell->arm;
    if (strcmp(arm, "sample") == 0) return run_sample(r);
    if (strcmp(arm, "lsuv") == 0) return run_lsuv(r);
    if (r->cell->part == 'b') return run_deep(r);
    if (r->cell->part == 'a') {
        run_convolutions(r);
        return WEFT_OK;
    }
    struct trial_spec spec = recipe_mnist(128, 5);
    spec.init = init_of(r->cell);
    spec.steps = (uint64_t)steps_of(r->s);
    spec.lr = 0.05;
    spec.eval_samples = r->s->set.setting == STUDY_SMOKE ? 128 : 0;
    return trial_run(r, &spec);
}

/* ---- checks ---- */
static double of_sample(const struct study *s, size_t i, const char *what, enum study_kind kind) {
    return study_value(study_find(s, 'a', "sample", (double)i, STUDY_ANY, 1), kind, -1, what, 0);
}

static void check_samples(struct study *s) {
    struct check_worst moments = {0}, bounds = {0}, orthogonal = {0};
    for (size_t i = 0; i < SCHEMES && study_has(s, 'a'); i++) {
        const struct scheme *const z = &schemes[i];
        if (z->kurt == 0) {
            check_near(&orthogonal, of_sample(s, i, "orthogonal", KIND_deviation), 0, 1e-5,
                       "W Wᵀ/g²");
            continue;
        }
        check_near(&moments, of_sample(s, i, "variance", KIND_value) / z->var, 1,
                   5 * sqrt((z->kurt - 1) / (IN * OUT)), "%s", z->label);
        if (z->kurt < 2) /* uniform: within its bound, and close to it */
            check_near(&bounds, of_sample(s, i, "absmax", KIND_value) / sqrt(3 * z->var), 0.9995,
                       0.0005001, "%s", z->label);
    }
    study_check_worst(s, CHECK_TH, 'a', "variance of samples", &moments, NULL);
    study_check_worst(s, CHECK_TH, 'a', "uniform draws reach their bound and not beyond", &bounds,
                      NULL);
    study_check_worst(s, CHECK_ID, 'a', "orthogonal: W Wᵀ = g²", &orthogonal, NULL);
}

static void check_constructions(struct study *s) {
    struct check_worst lsuv = {0}, conv = {0};
    const struct study_cell *const c = study_find(s, 'b', "lsuv", STUDY_ANY, STUDY_ANY, 1);
    const struct study_cell *const k = study_find(s, 'a', "convolutions", STUDY_ANY, STUDY_ANY, 1);
    if (c != NULL) check_near(&lsuv, study_value(c, KIND_deviation, -1, "lsuv", 0), 0, 0.1, "std");
    study_check_worst(s, CHECK_ID, 'b', "LSUV: every layer's output has std 1 in ten iterations",
                      &lsuv, NULL);
    study_remark(s, "most iterations of a layer: %.0f", study_value(c, KIND_value, -1, "tries", 0));
    if (k != NULL) {
        check_near(&conv, study_value(k, KIND_deviation, -1, "icnr", 0), 0, 1e-300, "ICNR");
        check_near(&conv, study_value(k, KIND_deviation, -1, "delta", 0), 0, 1e-5,
                   "norm behind delta-orthogonal");
    }
    study_check_worst(s, CHECK_ID, 'a',
                      "ICNR: blocks are constant; delta-orthogonal keeps the norm", &conv, NULL);
}

/* The framework's default has n Var = 1/3: gradients lose a factor 3 a layer where tanh is linear.
 */
static void check_default(struct study *s) {
    struct check_worst w = {0};
    const struct study_cell *cell[STUDY_MAX_SEEDS];
    const size_t n = study_seeds_of(s, 'b', "tanh", 1, STUDY_ANY, cell, STUDY_MAX_SEEDS);
    for (int l = 4; l + 4 < DEPTH && n > 0; l += 4) {
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += 2 * log(study_value(cell[i], KIND_delta_rms, l, "weight", 0) /
                           study_value(cell[i], KIND_delta_rms, l + 3, "weight", 0));
        const double z = study_value(cell[0], KIND_z_rms, l, "weight", 0);
        if (z * z < 0.05)
            check_near(&w, exp(sum / (double)n / 3), 1.0 / 3, 0.1 / 3, "layers %d to %d", l + 4,
                       l + 1);
    }
    study_check_worst(s, CHECK_TH, 'b',
                      "framework default, tanh: gradient variance falls to 1/3 a "
                      "layer",
                      &w, NULL);
}

static double accuracy(const struct study_cell *c) {
    return study_value(c, KIND_acc, -1, "", STUDY_LAST);
}

static void report(struct study *s) {
    size_t best = 0, worst = 0;
    double score[SCHEMES];
    study_check(s, CHECK_RP, 'a', "n_in Var of the framework default",
                IN * of_sample(s, 1, "variance", KIND_value), 0, 0, "1/3 by its formula");
    for (size_t i = 0; i < SCHEMES; i++) {
        score[i] = study_spread_of(s, 'c', "train", (double)i, STUDY_ANY, accuracy).mean;
        study_remark(s, "%s %.3f", schemes[i].label, IN * of_sample(s, i, "variance", KIND_value));
        study_sum(s, study_text(s, "%s: accuracy", schemes[i].label), score[i]);
        if (score[i] > score[best] || isnan(score[best])) best = i;
        if (score[i] < score[worst] || isnan(score[worst])) worst = i;
    }
    study_answer(s,
                 "All samples have the variance of their formula; after %.0f steps on MNIST with "
                 "five hidden layers %s is best (%.1f%%) and %s worst (%.1f%%).",
                 steps_of(s), schemes[best].label, 100 * score[best], schemes[worst].label,
                 100 * score[worst]);
}

/* ---- figures ---- */
static void draw_histograms(struct study *s, bool x) {
    static const int shown[] = {0, 4, 9, 14, 18};
    struct study_figure *const f =
        figure_xy(s, x ? "act_hist" : "grad_hist",
                  x ? "tanh, framework default: activations by layer"
                    : "tanh, Xavier: gradients by layer, each in its own scale",
                  x ? "activation" : "gradient / (4 rms)", "density");
    const struct study_cell *const c = study_find(s, 'b', "tanh", x ? 1 : 3, STUDY_ANY, 1);
    f->y.log = true;
    for (size_t k = 0; k < 5; k++) {
        double *const at = study_doubles(s, LOOK_BINS), *const y = study_doubles(s, LOOK_BINS);
        if (!look_density(c, 0, study_text(s, "%s%d", x ? "x" : "d", shown[k]), 1, at, y)) continue;
        figure_curve(f, study_text(s, "layer %d", shown[k] + 1), figure_hue(k), FIGURE_LINE,
                     &(struct study_curve){.n = LOOK_BINS, .x = at, .mean = y});
    }
}

static void draw_depth(struct study *s) {
    struct study_figure *const f =
        figure_xy(s, "std_vs_layer", "tanh: rms of activations (gradients dashed)", "layer", "rms");
    f->y.log = true;
    for (size_t i = 0; i < DEEP; i++)
        for (int grad = 0; grad < 2; grad++) {
            const struct study_cell *const c =
                study_find(s, 'b', "tanh", (double)deep[i], STUDY_ANY, 1);
            double *const x = study_doubles(s, DEPTH), *const y = study_doubles(s, DEPTH);
            const double out = study_value(c, KIND_delta_rms, -1, "output", 0);
            for (int l = 0; l + 1 < DEPTH; l++) {
                x[l] = l + 1;
                y[l] = study_value(c, grad ? KIND_delta_rms : KIND_x_rms, l, "weight", 0) /
                       (grad ? out : 1);
            }
            figure_curve(f, grad ? NULL : schemes[deep[i]].label, figure_hue(i),
                         grad ? FIGURE_DASHED : FIGURE_LINE,
                         &(struct study_curve){.n = DEPTH - 1, .x = x, .mean = y});
        }
}

static void draw_training(struct study *s) {
    struct study_figure *const f =
        figure_xy(s, "train", "MNIST, five hidden layers", "step", "training loss");
    f->y.lo = 0;
    f->y.hi = 2.6;
    for (size_t i = 0; i < SCHEMES; i++) {
        const struct study_curve c =
            study_smooth_of(s, 'c', "train", (double)i, STUDY_ANY, KIND_loss, -1, "");
        figure_curve(f, schemes[i].label, figure_hue(i), FIGURE_LINE, &c);
    }
}

static void judge(struct study *s) {
    check_samples(s);
    check_constructions(s);
    check_default(s);
    report(s);
    if (study_has(s, 'b')) {
        draw_histograms(s, true);
        draw_histograms(s, false);
        draw_depth(s);
    }
    if (study_has(s, 'c')) draw_training(s);
}

const struct weft_study study_init_zoo = {
    .name = "init-zoo",
    .question = "What does each way to draw initial weights give, by its moments and in training?",
    .source = "Dive into Deep Learning 5.4.2; Han 2025 (arXiv 2510.09423), background",
    .parts = "abc",
    .part = {"samples and constructions", "signals through twenty layers, LSUV", "MNIST"},
    .numbers = {"scheme"},
    .data = "mnist",
    .grid = grid,
    .run = run,
    .judge = judge,
};
