/* Where do sigmoids lose the gradient?
 *
 *   a  sigmoid and its slope over [-8, 7.9], through the real kernels
 *   b  gradients through layers at initialisation: n sigma^2 = 1 over twenty layers, and the factor
 *      of one layer against the standard deviation of its pre-activations
 *   c  MNIST with one, five and ten hidden layers, sigmoid against ReLU
 *
 * Factor a layer of the rms of gradients: sqrt(n sigma^2 d(q)). */
#include <math.h>
#include <string.h>
#include "studies/curve.h"
#include "studies/pipe.h"
#include "studies/probe_net.h"
#include "studies/recipe.h"
#include "studies/stats.h"
#include "studies/theory.h"
#include "studies/verdict.h"

#define POINTS 160
#define WIDTH  256
#define ROWS   64
#define DEPTH  20
static const char *const acts[] = {"sigmoid", "tanh", "relu"};
static const double stds[] = {0.1, 0.3, 1, 3, 10};
static const double depths[] = {1, 5, 10};
#define ACTS   3
#define STDS   5
#define DEPTHS 3

static size_t seeds_of(const struct study *s) { return study_seeds(s, 1, 3, 10); }
static double steps_of(const struct study *s) { return study_pick(s, 2, 300, 300, 300); }

static void grid(struct study *s) {
    const double flops = 6.0 * WIDTH * WIDTH * ROWS;
    study_add(s, 'a', "sigmoid", 1, 1e4, STUDY_ANY, STUDY_ANY);
    for (size_t a = 0; a < ACTS; a++)
        for (size_t seed = 1; seed <= seeds_of(s); seed++) {
            if (a == 0 && seed == 1) s->proof = s->cells;
            study_add(s, 'b', acts[a], seed, DEPTH * flops, DEPTH, 1);
            for (size_t i = 0; i < STDS; i++) study_add(s, 'b', acts[a], seed, flops, 1, stds[i]);
        }
    for (size_t a = 0; a < ACTS; a += 2)
        for (size_t i = 0; i < DEPTHS; i++)
            for (size_t seed = 1; seed <= study_seeds(s, 1, 2, 3); seed++) {
                if (!study_has(s, 'b')) s->proof = s->cells;
                study_add(s, 'c', acts[a], seed,
                          recipe_mnist_flops(128, (size_t)depths[i], steps_of(s)), depths[i],
                          STUDY_ANY);
            }
    s->plain = !study_has(s, 'b');
    s->epochs = recipe_mnist_epochs(steps_of(s));
    study_note(s, "at initialisation", "width %d, %d inputs, %zu seeds, nσ² = 1", WIDTH, ROWS,
               seeds_of(s));
    study_note(s, "MNIST",
               "784-128^h-10, batch 128, SGD 0.1, LeCun for sigmoid, Kaiming for ReLU, "
               "%.0f steps",
               steps_of(s));
}

/* ---- cells ---- */
static double point(size_t i) { return -8 + 0.1 * (double)i; }

static enum weft_status run_curve(struct study_run *r) {
    struct pipe p;
    enum weft_status st = pipe_open(r->ctx, "sigmoid", POINTS, &p);
    if (st != WEFT_OK) return st;
    for (size_t i = 0; i < POINTS; i++) p.z[i] = (float)point(i);
    st = pipe_run(&p);
    for (size_t i = 0; i < POINTS && st == WEFT_OK; i++) {
        study_put(r, (int64_t)i, -1, "sigmoid", KIND_value, (double)p.y[i]);
        study_put(r, (int64_t)i, -1, "gradient", KIND_value, (double)p.dz[i]);
    }
    pipe_close(&p);
    return st;
}

static enum weft_status run_net(struct study_run *r) {
    const size_t layers = (size_t)r->cell->number[0];
    struct trial_spec spec = probe_net_spec(r->cell->arm, ROWS, "lecun-normal", 0);
    spec.init.gain = 1;
    spec.mlp.inputs = spec.mlp.outputs = WIDTH;
    spec.mlp.layers = layers;
    for (size_t l = 0; l < layers; l++) spec.mlp.hidden[l] = WIDTH;
    return probe_net_run(r, &spec, r->cell->number[1]);
}

static enum weft_status run(struct study_run *r) {
    if (r->cell->part == 'a') return run_curve(r);
    if (r->cell->part == 'b') return run_net(r);
    struct trial_spec spec = recipe_mnist(128, (size_t)r->cell->number[0]);
    spec.mlp.act = r->cell->arm;
    if (strcmp(r->cell->arm, "sigmoid") == 0) spec.init = (struct weft_init){"lecun-normal"};
    spec.steps = (uint64_t)steps_of(r->s);
    spec.lr = 0.1;
    spec.eval_samples = TRIAL_NO_EVAL;
    return trial_run(r, &spec);
}

/* ---- numbers ---- */
static const struct study_cell *curve_cell(const struct study *s) {
    return study_find(s, 'a', "sigmoid", STUDY_ANY, STUDY_ANY, 1);
}

/* ln of the mean square gradient in layer l over that of the output, over seeds. */
static double log_square(const struct study *s, const char *act, double depth, double std, int l) {
    const struct study_cell *cell[STUDY_MAX_SEEDS];
    const size_t n = study_seeds_of(s, 'b', act, depth, std, cell, STUDY_MAX_SEEDS);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += 2 * log(study_value(cell[i], KIND_delta_rms, l, "weight", 0) /
                       study_value(cell[i], KIND_delta_rms, -1, "output", 0));
    return n > 0 ? sum / (double)n : (double)NAN;
}

/* What theory says about it: the product of d(q) of the layers above, nσ² = 1. */
static double log_theory(const char *act, size_t depth, double std, size_t l) {
    double q = std * std, sum = 0;
    for (size_t k = 0; k < depth; k++) {
        if (k >= l) sum += log(theory_d(act, q));
        q *= theory_c(act, q);
    }
    return sum;
}

/* ---- checks ---- */
static void check_curve(struct study *s) {
    struct check_worst w = {0};
    const struct study_cell *const c = curve_cell(s);
    for (size_t i = 0; i < POINTS && c != NULL; i++) {
        const double y = study_value(c, KIND_value, -1, "sigmoid", (int64_t)i);
        const double d = study_value(c, KIND_value, -1, "gradient", (int64_t)i);
        check_near(&w, d, y * (1 - y), 1e-6, "slope is y(1-y) at %.1f", point(i));
        check_near(&w, d, 0.25, i == 80 ? 1e-6 : 0.25, "slope is at most 1/4, at %.1f", point(i));
        if (i > 0)
            check_near(&w, y + study_value(c, KIND_value, -1, "sigmoid", (int64_t)(POINTS - i)), 1,
                       1e-6, "y(x) + y(-x) at %.1f", point(i));
    }
    if (c != NULL)
        check_near(&w, study_value(c, KIND_value, -1, "gradient", 0), 3.3523767e-4, 1e-9,
                   "slope at -8");
    study_check_worst(s, CHECK_ID, 'a', "sigmoid and its slope: 1/4 at 0, 3.352e-4 at -8", &w,
                      NULL);
}

static void check_depth(struct study *s) {
    struct check_worst w = {0};
    const double cells = (double)(WIDTH * seeds_of(s));
    for (size_t a = 0; a < ACTS && study_has(s, 'b'); a++) {
        for (int l = DEPTH - 10; l < DEPTH; l++) {
            const double kurt = theory_moments_at(acts[a], 1).kurt_d + 2;
            check_near(&w, log_square(s, acts[a], DEPTH, 1, l),
                       log_theory(acts[a], DEPTH, 1, (size_t)l),
                       6 * sqrt(kurt * (DEPTH - l) / cells), "%s, %d layers below the output",
                       acts[a], DEPTH - l);
        }
        for (size_t i = 0; i < STDS; i++) {
            const double kurt = theory_moments_at(acts[a], stds[i] * stds[i]).kurt_d + 2;
            check_near(&w, log_square(s, acts[a], 1, stds[i], 0),
                       log_theory(acts[a], 1, stds[i], 0), 6 * sqrt(kurt / cells), "%s at std %g",
                       acts[a], stds[i]);
        }
    }
    study_check_worst(s, CHECK_TH, 'b', "factor a layer is √(nσ² d(q)), ln of its square", &w,
                      NULL);
}

/* NaN: a seed has diverged. */
static double final_of(const struct study *s, const char *act, double depth) {
    const struct study_spread l = study_spread_of(s, 'c', act, depth, STUDY_ANY, study_final_loss);
    return l.n == l.all ? l.mean : (double)NAN;
}

static void check_training(struct study *s) {
    double most = -(double)INFINITY; /* of ReLU minus sigmoid; NaN: one has diverged */
    for (size_t i = 1; i < DEPTHS; i++)
        most =
            stats_worse(most, final_of(s, "relu", depths[i]) - final_of(s, "sigmoid", depths[i]));
    study_check(s, CHECK_EF, 'c', "loss of sigmoid minus ReLU, five and ten layers: the smaller",
                study_has(s, 'c') ? -most : (double)NAN, 1e-9, (double)INFINITY,
                "\"ReLUs mitigate vanishing gradients\" [src]");
}

/* ---- figures ---- */
static void draw_curve(struct study *s) {
    struct study_figure *const f = figure_xy(s, "sigmoid", "Sigmoid and its gradient", "x", "y");
    static const char *const names[] = {"sigmoid", "gradient"};
    double *const x = study_doubles(s, POINTS);
    for (size_t i = 0; i < POINTS; i++) x[i] = point(i);
    for (size_t i = 0; i < 2; i++) {
        double *const y = study_doubles(s, POINTS);
        const size_t n = study_series(curve_cell(s), KIND_value, -1, names[i], NULL, y, POINTS);
        figure_curve(f, names[i], figure_hue(i), i == 0 ? FIGURE_LINE : FIGURE_DASHED,
                     &(struct study_curve){.n = n, .x = x, .mean = y});
    }
}

static void draw_layers(struct study *s) {
    struct study_figure *const f =
        figure_xy(s, "grad_vs_layer", "Gradient at initialisation, nσ² = 1 (theory dashed)",
                  "layer", "rms δ_l, output 1");
    f->y.log = true;
    for (size_t a = 0; a < ACTS; a++) {
        double *const x = study_doubles(s, DEPTH), *const y = study_doubles(s, DEPTH);
        double *const want = study_doubles(s, DEPTH);
        for (size_t l = 0; l < DEPTH; l++) {
            x[l] = (double)l + 1;
            y[l] = exp(log_square(s, acts[a], DEPTH, 1, (int)l) / 2);
            want[l] = exp(log_theory(acts[a], DEPTH, 1, l) / 2);
        }
        figure_curve(f, acts[a], figure_hue(a), FIGURE_LINE,
                     &(struct study_curve){.n = DEPTH, .x = x, .mean = y});
        figure_curve(f, NULL, figure_hue(a), FIGURE_DASHED,
                     &(struct study_curve){.n = DEPTH, .x = x, .mean = want});
    }
}

static void draw_goldilocks(struct study *s) {
    struct study_figure *const f =
        figure_xy(s, "goldilocks", "Gradient factor of a layer, nσ² = 1 (theory dashed)",
                  "std of the pre-activation", "factor");
    f->x.log = f->y.log = true;
    for (size_t a = 0; a < ACTS; a++) {
        double *const y = study_doubles(s, STDS), *const want = study_doubles(s, STDS);
        for (size_t i = 0; i < STDS; i++) {
            y[i] = exp(log_square(s, acts[a], 1, stds[i], 0) / 2);
            want[i] = exp(log_theory(acts[a], 1, stds[i], 0) / 2);
        }
        figure_curve(f, acts[a], figure_hue(a), FIGURE_POINTS,
                     &(struct study_curve){.n = STDS, .x = stds, .mean = y});
        figure_curve(f, NULL, figure_hue(a), FIGURE_DASHED,
                     &(struct study_curve){.n = STDS, .x = stds, .mean = want});
    }
}

static void draw_training(struct study *s) {
    struct study_figure *const f =
        figure_xy(s, "train", "MNIST: training loss (sigmoid dashed)", "step", "training loss");
    for (size_t a = 0; a < ACTS; a += 2)
        for (size_t i = 0; i < DEPTHS; i++) {
            const struct study_curve c =
                study_smooth_of(s, 'c', acts[a], depths[i], STUDY_ANY, KIND_loss, -1, "");
            figure_curve(f, study_text(s, "%s, %.0f hidden", acts[a], depths[i]), figure_hue(i),
                         a == 0 ? FIGURE_DASHED : FIGURE_LINE, &c);
        }
}

static void judge(struct study *s) {
    check_curve(s);
    check_depth(s);
    check_training(s);
    if (study_has(s, 'a')) draw_curve(s);
    if (study_has(s, 'b')) draw_layers(s);
    if (study_has(s, 'b')) draw_goldilocks(s);
    if (study_has(s, 'c')) draw_training(s);
    study_answer(
        s,
        "A sigmoid passes at most a quarter of the gradient; at nσ² = 1 a layer keeps %.3f "
        "of its rms, ten layers %.1e.",
        exp(log_theory("sigmoid", DEPTH, 1, DEPTH - 1) / 2),
        exp(log_theory("sigmoid", DEPTH, 1, DEPTH - 10) / 2));
}

const struct weft_study study_sigmoid_saturation = {
    .name = "sigmoid-saturation",
    .question = "Where do sigmoids lose the gradient, and what does a layer of them keep?",
    .source = "Dive into Deep Learning 5.4.1.1",
    .parts = "abc",
    .part = {"sigmoid and its slope", "gradients at initialisation", "MNIST, sigmoid against ReLU"},
    .numbers = {"hidden", "std"},
    .data = "mnist",
    .grid = grid,
    .run = run,
    .judge = judge,
};
