/* E2: does Kaiming fan-in beat Xavier under ReLU, by how much, and when?
 *
 *   a  Wine, 13-64^h-3        b  MNIST, 784-128^h-10
 *   c  the advice to average fans: sigma^2 = 2/((1-a) n_in + a n_out), signals at initialisation
 *   d  other activations      e  other optimizers
 *
 * Arms of one seed share the standard normal draws and the order of the data: every comparison is
 * paired. "Smaller loss variance" is a claim of the source; it is compared over pairs that both
 * trained, because a net that stalls has a tiny variance. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "studies/curve.h"
#include "studies/detect.h"
#include "studies/pairs.h"
#include "studies/theory.h"
#include "studies/trial.h"
#include "studies/verdict.h"

static const struct arm {
    const char *name, *init;
    double gain;
} arms[] = {
    {"xavier-n", "xavier-normal", 1},
    {"kaiming-n", "kaiming-normal", 1.4142135623730951},
    {"xavier-u", "xavier-uniform", 1},
    {"kaiming-u", "kaiming-uniform", 1.4142135623730951},
    {"fanout-n", "kaiming-fanout-normal", 1.4142135623730951},
    {"default-u", "lecun-uniform", 0.57735026918962576}, /* U(+-1/sqrt n_in) */
};
static const struct task {
    char part;
    double hidden, lr;
    const char *name, *title;
} tasks[] = {
    {'a', 1, 0.05, "curves_wine_h1", "Wine, one hidden layer"},
    {'a', 2, 0.05, "curves_wine_h2", "Wine, two hidden layers"},
    {'a', 10, 0.05, "curves_wine_h10", "Wine, ten hidden layers"},
    {'b', 2, 0.1, "curves_mnist_h2", "MNIST, two hidden layers, lr 0.1"},
    {'b', 20, 0.01, "curves_mnist_h20", "MNIST, twenty hidden layers, lr 0.01"},
    {'b', 20, 0.05, "curves_mnist_h20_lr05", "MNIST, twenty hidden layers, lr 0.05"},
};
#define TASKS (sizeof tasks / sizeof *tasks)
static const char *const acts[] = {"tanh", "sigmoid", "gelu_erf", "selu", "leaky_relu"};
static const char *const variants[] = {"xavier", "he", "exact"}; /* of part d */
static const struct {
    const char *name;
    double lr;
} optims[] = {{"sgd", 0.05}, {"momentum", 0.01}, {"adam", 1e-3}, {"adamw", 1e-3}};
static const double averages[] = {0, 0.25, 0.5, 1};

static size_t arms_of(const struct study *s) {
    return s->set.setting >= STUDY_DEFAULT ? sizeof arms / sizeof *arms : 2;
}
static size_t seeds_of(const struct study *s, char part) {
    return part == 'a'   ? study_seeds(s, 5, 10, 20)
           : part == 'b' ? study_seeds(s, 2, 5, 10)
           : part == 'c' ? study_seeds(s, 2, 5, 10)
                         : study_seeds(s, 1, 2, 5);
}
static uint64_t steps_of(const struct study *s, char part, double hidden) {
    if (part == 'a') return hidden > 5 ? 180 : 45;
    if (part == 'c') return 1;
    return (uint64_t)study_pick(s, 2, 250, 2000, 2000);
}

static double flops_of(const struct study *s, char part, double hidden) {
    const double n = part == 'a' ? 64 : 128, in = part == 'a' ? 13 : 784;
    const double weights = in * n + (hidden - 1) * n * n + 10 * n;
    return 6 * weights * (part == 'a' ? 16 : 128) * (double)steps_of(s, part, hidden);
}

static void grid(struct study *s) {
    for (size_t t = 0; t < TASKS; t++)
        for (size_t a = 0; a < arms_of(s); a++)
            for (size_t seed = 1; seed <= seeds_of(s, tasks[t].part); seed++) {
                if (t == 3 && a == 1 && seed == 1) s->proof = s->cells;
                study_add(s, tasks[t].part, arms[a].name, seed,
                          flops_of(s, tasks[t].part, tasks[t].hidden), tasks[t].hidden,
                          tasks[t].lr);
            }
    study_add(s, 'a', "ratio", 1, 1e6, STUDY_ANY, STUDY_ANY);
    for (size_t i = 0; i < 4; i++)
        for (size_t seed = 1; seed <= seeds_of(s, 'c'); seed++)
            study_add(s, 'c', "average", seed, 1e9, averages[i], (double)NAN);
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        for (size_t v = 0; v < 3; v++)
            for (size_t seed = 1; seed <= seeds_of(s, 'd'); seed++)
                study_add(s, 'd', acts[i], seed, flops_of(s, 'd', 5), (double)v, STUDY_ANY);
    for (size_t i = 0; i < sizeof optims / sizeof *optims; i++)
        for (size_t a = 0; a < 2; a++)
            for (size_t seed = 1; seed <= seeds_of(s, 'e'); seed++)
                study_add(s, 'e', optims[i].name, seed, flops_of(s, 'e', 5), (double)a,
                          (double)NAN);
    if (!study_has(s, 'b')) s->proof = 0;
    s->epochs = 180.0 * 16 / 142;
    study_note(s, "Wine", "13-64^h-3, batch 16, SGD 0.05, 45 steps (h 10: 180), %zu seeds",
               seeds_of(s, 'a'));
    study_note(s, "MNIST", "784-128^h-10, batch 128, %.0f steps, %zu seeds",
               (double)steps_of(s, 'b', 2), seeds_of(s, 'b'));
}

/* ---- cells ---- */
static struct trial_spec perceptron(const struct study_run *r, bool wine, size_t hidden) {
    struct trial_spec spec = {
        .data = wine ? "wine" : "mnist",
        .mlp = {.inputs = wine ? 13 : 784, .outputs = wine ? 3 : 10, .layers = hidden},
        .how = {.batch = wine ? 16 : 128, .watch = "layer", .optim = {.name = "sgd"}},
        .steps = steps_of(r->s, r->cell->part, (double)hidden),
        .every = 25,
        .kinds = "z_rms x_rms delta_rms",
        .eval_samples = r->s->set.setting == STUDY_SMOKE && !wine ? 128 : 0,
    };
    for (size_t l = 0; l < hidden; l++) spec.mlp.hidden[l] = wine ? 64 : 128;
    return spec;
}

static enum weft_status run_arm(struct study_run *r) {
    const struct study_cell *const c = r->cell;
    struct trial_spec spec = perceptron(r, c->part == 'a', (size_t)c->number[0]);
    for (size_t a = 0; a < sizeof arms / sizeof *arms; a++)
        if (strcmp(arms[a].name, c->arm) == 0)
            spec.init = (struct weft_init){.name = arms[a].init, .gain = arms[a].gain};
    spec.lr = c->number[1];
    return trial_run(r, &spec);
}

/* W_K / W_X of shared draws, in ulp of the ratio, for the three shapes of 13-64-64-3. */
static enum weft_status run_ratio(struct study_run *r) {
    struct trial t[2];
    enum weft_status st = WEFT_OK;
    size_t open = 0;
    for (; open < 2 && st == WEFT_OK; open++) {
        struct trial_spec spec = perceptron(r, true, 2);
        spec.init = (struct weft_init){.name = arms[open].init, .gain = arms[open].gain};
        st = trial_open(&t[open], r, &spec);
    }
    for (int l = 0; l < 3 && st == WEFT_OK; l++) {
        const struct weft_param_info *const x = &t[0].param[2 * l], *const k = &t[1].param[2 * l];
        const double in = (double)x->shape[1], out = (double)x->shape[0];
        const double want = sqrt((in + out) / in), ulp = want < 2 ? 0x1p-23 : 0x1p-22;
        double worst = 0;
        for (size_t i = 0; i < trial_count(x); i++)
            worst = stats_worse(worst, fabs((double)k->data[i] / (double)x->data[i] - want) / ulp);
        study_put(r, 0, l, "ratio", KIND_value, worst);
    }
    for (size_t i = 0; i < open; i++) trial_close(&t[i]);
    return st;
}

static enum weft_status average_fans(struct trial *t) {
    const double a = t->run->cell->number[0];
    for (size_t i = 0; i < t->params; i += 2) {
        const double out = (double)t->param[i].shape[0], in = (double)t->param[i].shape[1];
        trial_scale(&t->param[i], 0, t->param[i].shape[0], sqrt(2 / ((1 - a) * in + a * out)));
    }
    return WEFT_OK;
}

static enum weft_status run_average(struct study_run *r) {
    struct trial_spec spec = perceptron(r, false, 4);
    const size_t widths[] = {1024, 32, 1024, 32};
    memcpy(spec.mlp.hidden, widths, sizeof widths);
    spec.init = (struct weft_init){.name = "normal", .std = 1};
    spec.start = average_fans;
    spec.eval_samples = TRIAL_NO_EVAL;
    return trial_run(r, &spec);
}

static enum weft_status run(struct study_run *r) {
    const struct study_cell *const c = r->cell;
    if (strcmp(c->arm, "ratio") == 0) return run_ratio(r);
    if (c->part == 'a' || c->part == 'b') return run_arm(r);
    if (c->part == 'c') return run_average(r);
    struct trial_spec spec = perceptron(r, false, 5);
    if (c->part == 'd') {
        const size_t v = (size_t)c->number[0];
        spec.mlp.act = c->arm;
        spec.lr = 0.05;
        spec.init = (struct weft_init){.name = v == 0 ? "xavier-normal" : "lecun-normal",
                                       .gain = v == 0   ? 1
                                               : v == 1 ? sqrt(2)
                                                        : sqrt(1 / theory_c(c->arm, 1))};
        return trial_run(r, &spec);
    }
    const struct arm *const arm = &arms[(size_t)c->number[0]];
    const bool adam = strncmp(c->arm, "adam", 4) == 0;
    spec.init = (struct weft_init){.name = arm->init, .gain = arm->gain};
    spec.how.optim = (struct weft_optim){.name = c->arm,
                                         .beta1 = 0.9,
                                         .beta2 = 0.999,
                                         .eps = 1e-8,
                                         .weight_decay = strcmp(c->arm, "adamw") == 0 ? 0.1 : 0};
    if (!adam) spec.how.optim.beta2 = 0;
    for (size_t i = 0; i < sizeof optims / sizeof *optims; i++)
        if (strcmp(optims[i].name, c->arm) == 0) spec.lr = optims[i].lr;
    return trial_run(r, &spec);
}

/* ---- pairs ---- */
static double accuracy(const struct study_cell *c) {
    return study_value(c, KIND_acc, -1, "", STUDY_LAST);
}
/* Until half of a guess's loss. */
static double steps_to_half(const struct study_cell *c) {
    return study_steps_to(c, log(c->part == 'a' ? 3 : 10) / 2);
}

/* a: Xavier, b: Kaiming. */
static struct study_pairs pairs_of(const struct study *s, const struct task *t,
                                   double (*value)(const struct study_cell *c)) {
    return study_pairs_of(s, t->part, "xavier-n", "kaiming-n", t->hidden, t->lr, value);
}

static bool ran(const struct study *s, const struct task *t) { return study_has(s, t->part); }

/* ---- checks ---- */
static void check_ratio(struct study *s) {
    const struct study_cell *const c = study_find(s, 'a', "ratio", STUDY_ANY, STUDY_ANY, 0);
    double worst = 0;
    for (int l = 0; l < 3; l++)
        worst = stats_worse(worst, study_value(c, KIND_value, l, "ratio", STUDY_LAST));
    study_check(s, CHECK_ID, 'a', "W_K/W_X = √((n_in+n_out)/n_in), deviation in ulp",
                c == NULL ? (double)NAN : worst, 0, 2, NULL);
}

/* Factor of E[x^2] a square layer, from the first square layer to the last, geometric over seeds.
 */
static void check_square(struct study *s) {
    struct check_worst w = {0};
    const double seeds = (double)seeds_of(s, 'b');
    for (size_t a = 0; a < 2; a++) {
        double sum = 0;
        for (uint64_t seed = 1; study_has(s, 'b') && seed <= seeds_of(s, 'b'); seed++) {
            const struct study_cell *const c = study_find(s, 'b', arms[a].name, 20, 0.01, seed);
            sum += 2 *
                   log(study_value(c, KIND_x_rms, 19, "weight", 0) /
                       study_value(c, KIND_x_rms, 0, "weight", 0)) /
                   19 / seeds;
        }
        if (study_has(s, 'b'))
            check_near(&w, exp(sum) / (a == 0 ? 0.5 : 1), 1, 4 * sqrt(5 / (128 * 19 * seeds)), "%s",
                       arms[a].name);
    }
    study_check_worst(s, CHECK_TH, 'b', "E[x²] a square layer: Kaiming 1, Xavier ½", &w, NULL);
}

/* log10(max/min) over hidden layers of the mean square over seeds. */
static double imbalance(const struct study *s, double a, enum study_kind kind) {
    double low = (double)INFINITY, high = 0;
    for (int l = 0; l < 4; l++) {
        double sum = 0;
        for (uint64_t seed = 1; seed <= seeds_of(s, 'c'); seed++)
            sum += pow(study_value(study_find(s, 'c', "average", a, STUDY_ANY, seed), kind, l,
                                   "weight", 0),
                       2);
        low = fmin(low, sum);
        high = fmax(high, sum);
    }
    return log10(high / low);
}

static void check_average(struct study *s) {
    struct check_worst w = {0};
    const double seeds = (double)seeds_of(s, 'c');
    const double tol = 4 * sqrt(2 * (5.0 / 1024 + 5.0 / 32) / seeds) / log(10);
    if (study_has(s, 'c')) {
        check_near(&w, imbalance(s, 0, KIND_x_rms), 0, tol, "forward at a = 0");
        check_near(&w, imbalance(s, 1, KIND_delta_rms), 0, tol, "backward at a = 1");
    }
    study_check_worst(s, CHECK_TH, 'c', "fan-in balances forward, fan-out backward, decades", &w,
                      NULL);
}

/* p of "Xavier minus Kaiming > 0", two-sided; 1: the other direction, or a net has diverged. */
static double p_of(const struct study_pairs *q) {
    const struct stats_test test = study_paired(q);
    return test.n == q->n && test.mean > 0 ? test.p : isnan(test.p) ? test.p : 1;
}

static void check_losses(struct study *s) {
    double holm[TASKS], worst = -1;
    for (size_t t = 0; t < TASKS; t++) {
        const struct study_pairs q = pairs_of(s, &tasks[t], study_mean_loss);
        holm[t] = ran(s, &tasks[t]) ? p_of(&q) : (double)NAN;
    }
    stats_holm(holm, TASKS);
    for (size_t t = 0; t < TASKS; t++) /* two hidden layers on MNIST: no claim */
        if (ran(s, &tasks[t]) && (tasks[t].hidden != 2 || tasks[t].part == 'a'))
            worst = stats_worse(worst, holm[t]);
    study_check(s, CHECK_EF, 'a', "Xavier minus Kaiming, mean training loss > 0: largest Holm p",
                worst < 0 ? (double)NAN : worst, 0, 0.01,
                "\"p < 0.05, smaller loss\"; no n, data, size or p [src]");
    for (size_t t = 0; t < TASKS; t++) {
        const struct study_pairs q = pairs_of(s, &tasks[t], study_mean_loss);
        if (ran(s, &tasks[t]))
            study_remark(s, "%s: %.3f vs %.3f, t %.1f, Holm p %.2g", tasks[t].title,
                         stats_mean(q.a, q.n), stats_mean(q.b, q.n), study_paired(&q).t, holm[t]);
    }
}

/* The same pairs by other numbers: final loss, accuracy, who is first at half of a guess's loss. */
static void report_pairs(struct study *s) {
    double first = 0, all = 0;
    char text[TASKS][200];
    for (size_t t = 0; t < TASKS; t++) {
        if (!ran(s, &tasks[t])) continue;
        const struct study_pairs loss = pairs_of(s, &tasks[t], study_final_loss);
        const struct study_pairs acc = pairs_of(s, &tasks[t], accuracy);
        struct study_pairs steps = pairs_of(s, &tasks[t], steps_to_half);
        const struct stats_test l = study_paired(&loss), a = study_paired(&acc);
        size_t n;
        const size_t xavier = study_pairs_wins(&steps, &n);
        snprintf(text[t], sizeof text[t],
                 "%s: final loss %+.3f (p %.2g), accuracy %+.3f (p %.2g), Kaiming first in "
                 "%zu of %zu (sign test p %.2g)",
                 tasks[t].title, l.mean, l.p, a.mean, a.p, n - xavier, n,
                 stats_sign_test(xavier, n));
        first += 2 * (n - xavier) > n;
        all++;
    }
    study_check(s, CHECK_RP, 'a', "share of tasks where Kaiming is first at half a guess's loss",
                first / all, 0, 0, "\"accelerates convergence\" [src]");
    for (size_t t = 0; t < TASKS; t++)
        if (ran(s, &tasks[t])) study_remark(s, "%s", text[t]);
}

/* Mean loss of the twelve steps before step 250, which the statement is about. */
static double early_loss(const struct study_cell *c) {
    double loss[250];
    const size_t n = study_series(c, KIND_loss, -1, "", NULL, loss, 250);
    return n == 250 ? stats_mean(loss + 238, 12) : (double)NAN;
}

static void check_stall(struct study *s) {
    const struct study_spread x = study_spread_of(s, 'b', "xavier-n", 20, 0.01, early_loss);
    const struct study_spread k = study_spread_of(s, 'b', "kaiming-n", 20, 0.01, early_loss);
    const bool whole = x.n == x.all && k.n == k.all;
    study_check(s, CHECK_EF, 'b', "MNIST h 20, step 250: Xavier > 2.2 and Kaiming < 1, margin",
                whole ? fmin(x.mean - 2.2, 1 - k.mean) : (double)NAN, 0, (double)INFINITY, NULL);
    study_remark(s, "Xavier %.3f, Kaiming %.3f", x.mean, k.mean);
}

static void report_variance(struct study *s) {
    char text[400] = "";
    double ratio = (double)NAN;
    for (size_t t = 0; t < TASKS; t++) {
        struct study_pairs q = pairs_of(s, &tasks[t], study_final_loss);
        study_pairs_below(&q, 0.98 * log(tasks[t].part == 'a' ? 3 : 10)); /* both trained */
        if (!ran(s, &tasks[t]) || q.n < 3) continue;
        const struct stats_test pm = stats_pitman_morgan(q.a, q.b, q.n);
        ratio = stats_sd(q.b, q.n) / stats_sd(q.a, q.n);
        const size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%s: %.2f (n %zu, Pitman-Morgan p %.2g)",
                 used ? "; " : "", tasks[t].title, ratio, q.n, pm.p);
    }
    study_check(s, CHECK_RP, 'a', "sd of final loss, Kaiming over Xavier, pairs that both trained",
                ratio, 0, 0, "\"smaller loss variance\" [src]");
    study_remark(s, "%s", text);
}

/* ---- figures ---- */
static void draw_curves(struct study *s, const struct task *t) {
    struct study_figure *const f = figure_new(s, t->name, t->title);
    f->x = (struct figure_axis){.label = "step"};
    f->y =
        (struct figure_axis){.label = "training loss", .lo = 0, .hi = t->part == 'a' ? 1.4 : 2.6};
    for (size_t a = 0; a < arms_of(s); a++) {
        const struct study_curve c =
            study_curve_of(s, t->part, arms[a].name, t->hidden, t->lr, KIND_loss, -1, "");
        figure_curve(f, arms[a].name, figure_hue(a), FIGURE_LINE, &c);
    }
}

static void draw_pairs(struct study *s) {
    struct study_figure *const f = figure_new(
        s, "pairs", "Mean training loss, one point a seed: above the line Xavier is worse");
    f->x = (struct figure_axis){.label = "Kaiming"};
    f->y = (struct figure_axis){.label = "Xavier"};
    static const double diagonal[] = {0, 2.4};
    for (size_t t = 0; t < TASKS; t++) {
        const struct study_pairs q = pairs_of(s, &tasks[t], study_mean_loss);
        double *const x = study_doubles(s, q.n), *const y = study_doubles(s, q.n);
        memcpy(x, q.b, q.n * sizeof *x);
        memcpy(y, q.a, q.n * sizeof *y);
        if (ran(s, &tasks[t]))
            figure_curve(f, tasks[t].title, figure_hue(t), FIGURE_POINTS,
                         &(struct study_curve){.n = q.n, .x = x, .mean = y});
    }
    figure_curve(f, NULL, figure_grey(), FIGURE_DOTTED,
                 &(struct study_curve){.n = 2, .x = diagonal, .mean = diagonal});
}

static void draw_depth(struct study *s) {
    struct study_figure *const f =
        figure_new(s, "depth", "Signal at initialisation, MNIST, twenty hidden layers");
    f->x = (struct figure_axis){.label = "layer"};
    f->y = (struct figure_axis){.label = "E[x²]", .log = true};
    for (size_t a = 0; a < arms_of(s); a++) {
        double *const x = study_doubles(s, 20), *const y = study_doubles(s, 20);
        for (int l = 0; l < 20; l++) {
            x[l] = l + 1;
            y[l] = pow(study_value(study_find(s, 'b', arms[a].name, 20, 0.01, 1), KIND_x_rms, l,
                                   "weight", 0),
                       2);
        }
        figure_curve(f, arms[a].name, figure_hue(a), FIGURE_DOTS,
                     &(struct study_curve){.n = 20, .x = x, .mean = y});
    }
}

static void draw_fan(struct study *s) {
    struct study_figure *const f =
        figure_new(s, "fan", "Imbalance of 784-1024-32-1024-32-10 at initialisation");
    static const char *const names[] = {"forward, E[x²]", "backward, E[δ²]"};
    f->x = (struct figure_axis){.label = "a: 0 fan-in, 1 fan-out"};
    f->y = (struct figure_axis){.label = "log10(max/min) over layers"};
    for (size_t i = 0; i < 2; i++) {
        double *const y = study_doubles(s, 4);
        for (size_t k = 0; k < 4; k++)
            y[k] = imbalance(s, averages[k], i == 0 ? KIND_x_rms : KIND_delta_rms);
        figure_curve(f, names[i], figure_hue(i), FIGURE_DOTS,
                     &(struct study_curve){.n = 4, .x = averages, .mean = y});
    }
}

static void draw_variance(struct study *s) {
    struct study_figure *const f =
        figure_xy(s, "variance", "Standard deviation over seeds of the loss in windows of 50 steps",
                  "step", "sd of the loss");
    const size_t windows = (size_t)steps_of(s, 'b', 2) / 50;
    double *const x = study_doubles(s, windows);
    f->y.log = true;
    for (size_t k = 0; k < windows; k++) x[k] = 50 * (double)k + 25;
    for (size_t t = 3; t < TASKS; t++)
        for (size_t a = 0; a < 2; a++) {
            double *const y = study_doubles(s, windows);
            const struct study_cell *cell[STUDY_MAX_SEEDS];
            const size_t seeds = study_seeds_of(s, 'b', arms[a].name, tasks[t].hidden, tasks[t].lr,
                                                cell, STUDY_MAX_SEEDS);
            study_window_sds(s, cell, seeds, 50, windows, y);
            figure_curve(
                f, study_text(s, "%s, h %.0f, lr %g", arms[a].name, tasks[t].hidden, tasks[t].lr),
                figure_hue(t - 3), a == 0 ? FIGURE_DASHED : FIGURE_DOTS,
                &(struct study_curve){.n = windows, .x = x, .mean = y});
        }
}

static void sum_up(struct study *s, char part, const char *arm, size_t n0, const char *init) {
    study_sum(s, study_text(s, "%s, %s: final loss", arm, init),
              study_spread_of(s, part, arm, (double)n0, STUDY_ANY, study_final_loss).mean);
}

static void report_others(struct study *s) {
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        for (size_t v = 0; v < 3 && study_has(s, 'd'); v++) sum_up(s, 'd', acts[i], v, variants[v]);
    for (size_t i = 0; i < sizeof optims / sizeof *optims; i++)
        for (size_t a = 0; a < 2 && study_has(s, 'e'); a++)
            sum_up(s, 'e', optims[i].name, a, arms[a].name);
}

static void judge(struct study *s) {
    const struct task *const deep = &tasks[2], *const flat = &tasks[3];
    check_ratio(s);
    check_square(s);
    check_average(s);
    check_losses(s);
    check_stall(s);
    report_variance(s);
    report_pairs(s);
    report_others(s);
    for (size_t t = 0; t < TASKS; t++)
        if (ran(s, &tasks[t])) draw_curves(s, &tasks[t]);
    draw_pairs(s);
    if (study_has(s, 'b')) draw_depth(s);
    if (study_has(s, 'c')) draw_fan(s);
    if (study_has(s, 'b')) draw_variance(s);
    const struct study_pairs a = pairs_of(s, deep, study_mean_loss),
                             b = pairs_of(s, flat, study_mean_loss);
    study_answer(
        s,
        "Kaiming fan-in trains faster the deeper the net is: mean loss %.2f against Xavier's %.2f "
        "on Wine with ten hidden layers, but %.3f against %.3f on MNIST with two.",
        stats_mean(a.b, a.n), stats_mean(a.a, a.n), stats_mean(b.b, b.n), stats_mean(b.a, b.n));
}

const struct weft_study study_xavier_kaiming = {
    .name = "xavier-kaiming",
    .question = "Does Kaiming fan-in beat Xavier under ReLU, by how much, and when?",
    .source = "Han 2025 (arXiv 2510.09423), contribution 3; Dive into Deep Learning 5.4",
    .parts = "abcde",
    .part = {"Wine", "MNIST", "averages of fans", "other activations", "other optimizers"},
    .numbers = {"setting", "lr"},
    .data = "mnist wine",
    .grid = grid,
    .run = run,
    .judge = judge,
};
