/* Which symmetries does training keep, and what breaks them?
 *
 *   a  hidden units that start equal (dropout, random output weights, random input weights; and the
 *      net with one unit that they amount to)
 *   b  changes of parameters that change no output
 *   c  regressions have no hidden units: equal and random starts end alike
 *   d  dropout keeps the mean
 *
 * The source's "all elements are equal" holds across hidden units only, and only if the output
 * weights are constant too. */
#include <math.h>
#include <string.h>
#include "studies/curve.h"
#include "studies/draw.h"
#include "studies/recipe.h"
#include "studies/small_matrix.h"
#include "studies/stats.h"
#include "studies/verdict.h"

#define POINTS 256
#define RATE   0.1
#define MANY   4096 /* units behind a mean of dropout's mask */
#define KEEP   0.5
static const char *const arms[] = {"equal", "dropout", "w2-random", "w1-random", "one-unit"};
#define ARMS 5
static const struct change {
    const char *name;
    bool exact; /* bit for bit */
} changes[] = {{"sign flip, tanh", true}, {"rescaling by 2, ReLU", true}, {"2 W_Q and W_K/2", true},
               {"heads permuted", false}, {"LN gain into W", false},      {"softmax shift", false}};
#define CHANGES (sizeof changes / sizeof *changes)
static const char *const starts[] = {"equal", "random"};

static uint64_t steps_of(const struct study *s, char part) {
    return (uint64_t)(part == 'a' ? study_pick(s, 200, 2000, 2000, 2000)
                                  : study_pick(s, 2000, 5000, 5000, 5000));
}

static void grid(struct study *s) {
    for (size_t i = 0; i < ARMS; i++) study_add(s, 'a', arms[i], 1, 1e8, 2, STUDY_ANY);
    study_add(s, 'a', "equal", 1, recipe_mnist_flops(64, 1, 50), 64, STUDY_ANY);
    study_add(s, 'a', "balance", 1, recipe_mnist_flops(64, 1, 1), 64, STUDY_ANY);
    for (size_t i = 0; i < CHANGES; i++) study_add(s, 'b', "change", 1, 1e8, (double)i, STUDY_ANY);
    for (size_t i = 0; i < 2; i++)
        for (int linear = 0; linear < 2; linear++)
            study_add(s, 'c', starts[i], 1, 1e9, linear, STUDY_ANY);
    study_add(s, 'd', "mask", 1, 1e7, STUDY_ANY, STUDY_ANY);
    s->plain = true;
    study_note(s, "hidden units",
               "2-2-1, tanh, weights 0.5, target x₁x₂ on %d normal points, SGD "
               "0.1, %.0f steps; 784-64-10 on MNIST, ReLU",
               POINTS, (double)steps_of(s, 'a'));
    study_note(s, "regressions", "Wine, all samples a step, %.0f steps, L2 1e-3",
               (double)steps_of(s, 'c'));
}

/* ---- a ---- */
static void product(struct trial *t, uint64_t step, struct weft_batch *out) {
    static float x[2 * POINTS], y[POINTS];
    (void)step;
    draw_normal(t->run->cell->seed, DRAW_INPUT, 0, 1, x, 2 * POINTS);
    for (size_t i = 0; i < POINTS; i++) y[i] = x[2 * i] * x[2 * i + 1];
    *out = (struct weft_batch){.inputs = x, .values = y, .rows = POINTS};
}

static void fill_with(struct weft_param_info *p, float value) {
    for (size_t i = 0; i < trial_count(p); i++) p->data[i] = value;
}

static enum weft_status start_equal(struct trial *t) {
    const char *const arm = t->run->cell->arm;
    struct weft_param_info *const w1 = &t->param[0], *const w2 = &t->param[2];
    fill_with(w1, 0.5F);
    fill_with(w2, strcmp(arm, "one-unit") == 0 ? 1 : 0.5F);
    if (strcmp(arm, "w1-random") == 0)
        draw_normal(1, DRAW_MATRIX, 0, 0.5, w1->data, trial_count(w1));
    if (strcmp(arm, "w2-random") == 0)
        draw_normal(1, DRAW_MATRIX, 0, 0.5, w2->data, trial_count(w2));
    return WEFT_OK;
}

/* One unit with twice the output weight is two units: half the rate below, twice above. */
static enum weft_status rates_of_one(struct trial *t) {
    static const float by[] = {0.5F, 0.5F, 2, 1};
    for (size_t p = 0; p < 4 && strcmp(t->run->cell->arm, "one-unit") == 0; p++)
        for (size_t i = 0; i < trial_count(&t->param[p]); i++) t->param[p].grad[i] *= by[p];
    return WEFT_OK;
}

/* Singular values of W1 (2, 2) above 1e-6 of the largest. */
static double rank_of(const struct weft_param_info *w) {
    double m[4], size[2];
    for (size_t i = 0; i < 4; i++) m[i] = (double)w->data[i];
    matrix_singular_values(m, size, 2);
    return (size[0] > 0) + (size[1] > 1e-6 * size[0]);
}

/* Largest |w_i - w_j| over hidden units. */
static enum weft_status put_distance(struct trial *t) {
    const struct weft_param_info *const w = &t->param[0];
    const size_t cols = w->shape[1];
    double most = 0;
    if (t->step > 10 && t->step % 20 != 0) return WEFT_OK;
    for (size_t r = 1; r < w->shape[0]; r++) {
        double sum = 0;
        for (size_t i = 0; i < cols; i++)
            sum += pow((double)w->data[r * cols + i] - (double)w->data[i], 2);
        most = stats_worse(most, sqrt(sum));
    }
    study_put(t->run, (int64_t)t->step + 1, -1, "distance", KIND_value, most);
    if (cols == 2 && w->shape[0] == 2)
        study_put(t->run, (int64_t)t->step + 1, -1, "rank", KIND_value, rank_of(w));
    return WEFT_OK;
}

static enum weft_status put_evaluation(struct trial *t) { /* without dropout */
    struct weft_loss loss;
    const enum weft_status st = weft_model_eval(t->model, &t->batch, &loss);
    if (st == WEFT_OK)
        study_put(t->run, (int64_t)t->step, -1, "evaluation", KIND_value,
                  loss.sum / (double)loss.count);
    return st;
}

static enum weft_status run_units(struct study_run *r) {
    const char *const arm = r->cell->arm;
    struct trial_spec spec = {
        .fill = product,
        .mlp = {.inputs = 2, .hidden = {2}, .layers = 1, .outputs = 1, .act = "tanh", .mse = true},
        .how = {.batch = POINTS, .optim = {.name = "sgd"}},
        .init = {.name = "zeros"},
        .steps = steps_of(r->s, 'a'),
        .lr = RATE,
        .start = start_equal,
        .grad = rates_of_one,
        .after = put_distance,
        .end = put_evaluation,
    };
    if (r->cell->number[0] == 64) {
        spec = recipe_mnist(64, 1);
        spec.steps = 50;
        spec.lr = 0.01;
        spec.eval_samples = TRIAL_NO_EVAL;
        spec.start = start_equal;
        spec.after = put_distance;
    }
    if (strcmp(arm, "dropout") == 0) spec.mlp.dropout = 0.5;
    if (strcmp(arm, "one-unit") == 0) spec.mlp.hidden[0] = 1;
    return trial_run(r, &spec);
}

/* A ReLU unit's |w_in|^2 + b^2 - |w_out|^2, and what a step must add to it. */
static double unit_of(const float *const x[4], size_t unit, size_t units, double *size) {
    double in = (double)x[1][unit] * (double)x[1][unit], out = 0;
    for (size_t i = 0; i < 784; i++) in += pow((double)x[0][unit * 784 + i], 2);
    for (size_t o = 0; o < 10; o++) out += pow((double)x[2][o * units + unit], 2);
    *size = in + out;
    return in - out;
}

static enum weft_status run_balance(struct study_run *r) {
    struct trial_spec spec = recipe_mnist(64, 1);
    struct trial t;
    double before[64], want[64], size[64], worst = 0;
    bool ok = true;
    spec.lr = 1;
    enum weft_status st = trial_open(&t, r, &spec);
    for (size_t u = 0; u < 64 && st == WEFT_OK; u++) {
        const float *const w[] = {t.param[0].data, t.param[1].data, t.param[2].data, NULL};
        before[u] = unit_of(w, u, 64, &size[u]);
    }
    if (st == WEFT_OK) st = trial_step(&t, &ok);
    for (size_t u = 0; u < 64 && st == WEFT_OK && ok; u++) {
        const float *const g[] = {t.param[0].grad, t.param[1].grad, t.param[2].grad, NULL};
        const float *const w[] = {t.param[0].data, t.param[1].data, t.param[2].data, NULL};
        double now;
        want[u] = unit_of(g, u, 64, &size[u]);
        now = unit_of(w, u, 64, &(double){0});
        if (size[u] > 1e-4) /* the gradient of a dead unit is 0 */
            worst = stats_worse(worst, fabs(now - before[u] - want[u]) / size[u]);
    }
    trial_close(&t);
    if (st == WEFT_OK && ok) study_put(r, 0, -1, "balance", KIND_deviation, worst);
    return st;
}

/* ---- b ---- */
static void scale_rows(struct trial *t, const char *name, size_t row, size_t rows, double by) {
    trial_scale(trial_param(t, name), row, rows, by);
}
static void scale_column(struct weft_param_info *p, size_t col, double by) {
    for (size_t r = 0; r < p->shape[0]; r++)
        p->data[r * p->shape[1] + col] = (float)((double)p->data[r * p->shape[1] + col] * by);
}
static void swap(float *a, float *b, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const float x = a[i];
        a[i] = b[i];
        b[i] = x;
    }
}

#define QKV "transformer.h.0.attn.c_attn"
static void swap_heads(struct trial *t) {
    struct weft_param_info *const w = trial_param(t, QKV ".weight"), *const b = trial_param(
                                                                         t, QKV ".bias");
    struct weft_param_info *const o = trial_param(t, "transformer.h.0.attn.c_proj.weight");
    const size_t c = w->shape[1], size = c / t->spec->gpt2.heads;
    for (size_t k = 0; k < 3; k++) {
        swap(w->data + k * c * c, w->data + k * c * c + size * c, size * c);
        swap(b->data + k * c, b->data + k * c + size, size);
    }
    for (size_t r = 0; r < c; r++) swap(o->data + r * c, o->data + r * c + size, size);
}

static void change_model(struct trial *t, size_t which) {
    const double by = which == 0 ? -1 : 2;
    const size_t c = t->spec->gpt2.width;
    switch (which) {
    case 0:
    case 1: /* one unit */
        trial_scale(&t->param[0], 3, 1, by);
        t->param[1].data[3] = (float)((double)t->param[1].data[3] * by);
        scale_column(&t->param[2], 3, 1 / by);
        break;
    case 2:
        scale_rows(t, QKV ".weight", 0, c, 2);
        scale_rows(t, QKV ".bias", 0, c, 2);
        scale_rows(t, QKV ".weight", c, c, 0.5);
        scale_rows(t, QKV ".bias", c, c, 0.5);
        break;
    case 3: swap_heads(t); break;
    case 4:
        for (size_t i = 0; i < c; i++) {
            const double gain = 1 + 0.5 * sin((double)i);
            scale_rows(t, "transformer.h.0.ln_1.weight", i, 1, gain);
            scale_column(trial_param(t, QKV ".weight"), i, 1 / gain);
        }
        break;
    default:
        for (size_t i = 0; i < 10; i++) t->param[3].data[i] += 3;
    }
}

/* The loss of one batch before and after the change; the rate is 0. */
static enum weft_status run_change(struct study_run *r) {
    const size_t which = (size_t)r->cell->number[0];
    struct trial_spec spec =
        which >= 2 && which < 5 ? recipe_gpt(2, 64, 32, 4) : recipe_mnist(64, 1);
    struct trial t;
    bool ok = true;
    if (which == 0) spec.mlp.act = "tanh";
    enum weft_status st = trial_open(&t, r, &spec);
    for (int after = 0; after < 2 && st == WEFT_OK && ok; after++) {
        if (after) change_model(&t, which);
        t.step = 0;
        st = trial_step(&t, &ok);
        study_put(r, after, -1, "loss", KIND_value, t.loss);
    }
    trial_close(&t);
    return st;
}

/* ---- c ---- */
static void class_number(struct trial *t, uint64_t step, struct weft_batch *out) {
    static float y[256];
    const size_t rows = t->spec->how.batch;
    weft_feed_fill(&t->feed, WEFT_SPLIT_TRAIN, step * rows, rows, out);
    for (size_t i = 0; i < rows; i++) y[i] = (float)out->targets[i];
    out->values = y;
}

static enum weft_status start_constant(struct trial *t) {
    if (strcmp(t->run->cell->arm, "equal") == 0) fill_with(&t->param[0], 0.1F);
    return WEFT_OK;
}

static enum weft_status run_regression(struct study_run *r) {
    const bool linear = r->cell->number[0] == 1;
    struct trial_spec spec = {
        .data = "wine",
        .mlp = {.inputs = 13, .outputs = linear ? 1 : 3, .mse = linear},
        .how = {.batch = 142, .optim = {.name = "sgd", .weight_decay = 1e-3}},
        .init = {.name = "normal", .std = 0.5},
        .steps = steps_of(r->s, 'c'),
        .lr = RATE,
        .start = start_constant,
        .eval_samples = TRIAL_NO_EVAL,
    };
    if (linear) spec.fill = class_number;
    return trial_run(r, &spec);
}

/* ---- d ---- */
static void ones(struct trial *t, uint64_t step, struct weft_batch *out) {
    static float one[64];
    (void)step;
    for (size_t i = 0; i < 64; i++) one[i] = 1;
    *out = (struct weft_batch){.inputs = one, .values = one, .rows = t->spec->how.batch};
}
static enum weft_status
start_mean(struct trial *t) { /* the output is the mean of the hidden units */
    fill_with(&t->param[0], 1);
    fill_with(&t->param[2], 1.0F / MANY);
    return WEFT_OK;
}

static enum weft_status run_mask(struct study_run *r) {
    const struct trial_spec spec = {
        .fill = ones,
        .mlp = {.inputs = 1,
                .hidden = {MANY},
                .layers = 1,
                .outputs = 1,
                .dropout = 1 - KEEP,
                .inner = true},
        .how = {.batch = 64, .optim = {.name = "sgd"}},
        .init = {.name = "zeros"},
        .steps = 1,
        .start = start_mean,
        .after = put_evaluation,
    };
    return trial_run(r, &spec);
}

static enum weft_status run(struct study_run *r) {
    if (strcmp(r->cell->arm, "balance") == 0) return run_balance(r);
    switch (r->cell->part) {
    case 'a': return run_units(r);
    case 'b': return run_change(r);
    case 'c': return run_regression(r);
    default: return run_mask(r);
    }
}

/* ---- checks ---- */
static const struct study_cell *units(const struct study *s, const char *arm, double n) {
    return study_find(s, 'a', arm, n, STUDY_ANY, 1);
}
static double distance(const struct study *s, const char *arm, int64_t step) {
    return study_value(units(s, arm, 2), KIND_value, -1, "distance", step);
}

static void check_units(struct study *s) {
    double apart = 0, seen = 0;
    struct check_worst one = {0}, balance = {0};
    for (size_t k = 0; k < 2; k++) {
        const struct study_cell *const c = units(s, "equal", k ? 64 : 2);
        for (size_t i = 0; c != NULL && i < c->records; i++)
            if (c->record[i].kind == KIND_value && strcmp(c->record[i].tensor, "distance") == 0) {
                apart = stats_worse(apart, c->record[i].value);
                seen++;
            }
    }
    study_check(s, CHECK_ID, 'a', "constant start: largest distance of two units, all steps",
                seen > 0 ? apart : (double)NAN, 0, 0, NULL);
    for (int64_t t = 0; t < 200 && study_has(s, 'a'); t++) {
        const double two = study_value(units(s, "equal", 2), KIND_loss, -1, "", t);
        check_near(&one, study_value(units(s, "one-unit", 2), KIND_loss, -1, "", t) / two, 1, 1e-4,
                   "step %d", (int)t);
    }
    study_check_worst(s, CHECK_TH, 'a', "two equal units are one with twice the output weight",
                      &one, NULL);
    const double broken = -stats_worse(-distance(s, "dropout", 5), -distance(s, "w2-random", 1));
    study_check(s, CHECK_ID, 'a', "dropout by step 5, random W2 by step 1: smaller distance",
                broken, 1e-30, (double)INFINITY, NULL);
    check_near(&balance, study_value(units(s, "balance", 64), KIND_deviation, -1, "balance", 0), 0,
               1e-4, "worst unit");
    study_check_worst(s, CHECK_ID, 'a',
                      "a step adds η²(‖g_in‖²+g_b²−‖g_out‖²) to ‖w_in‖²+b²−‖w_out‖²", &balance,
                      NULL);
}

static void check_rank(struct study *s) {
    struct check_worst w = {0};
    for (size_t i = 0; i < 4 && study_has(s, 'a'); i++)
        check_near(&w, study_value(units(s, arms[i], 2), KIND_value, -1, "rank", STUDY_LAST),
                   i == 0 ? 1 : 2, 0.5, "%s", arms[i]);
    study_check_worst(s, CHECK_ID, 'a', "rank of W1 at the end: 1 from a constant start, else 2",
                      &w, NULL);
}

static void check_changes(struct study *s) {
    struct check_worst w[2] = {{0}, {0}};
    for (size_t i = 0; i < CHANGES && study_has(s, 'b'); i++) {
        const struct study_cell *const c = study_find(s, 'b', "change", (double)i, STUDY_ANY, 1);
        const double a = study_value(c, KIND_value, -1, "loss", 0);
        const double b = study_value(c, KIND_value, -1, "loss", 1);
        check_near(&w[changes[i].exact], b / a, 1, changes[i].exact ? 1e-300 : 1e-5, "%s",
                   changes[i].name);
    }
    study_check_worst(s, CHECK_ID, 'b', "changes by powers of two keep the loss bit for bit", &w[1],
                      NULL);
    study_check_worst(s, CHECK_ID, 'b', "the other changes keep it to rounding", &w[0], NULL);
}

static void check_rest(struct study *s) {
    struct check_worst mean = {0}, ends = {0};
    const struct study_cell *const c = study_find(s, 'd', "mask", STUDY_ANY, STUDY_ANY, 1);
    if (c != NULL) {
        check_near(&mean, study_value(c, KIND_loss, -1, "", 0), 1,
                   5 * sqrt((1 - KEEP) / KEEP / (64.0 * MANY)), "mean of mask / (1-p)");
        check_near(&mean, study_value(c, KIND_value, -1, "evaluation", 0), 1, 1e-6, "evaluation");
    }
    study_check_worst(s, CHECK_ID, 'd', "dropout keeps the mean; evaluation is the identity", &mean,
                      NULL);
    for (int linear = 0; linear < 2 && study_has(s, 'c'); linear++)
        check_near(&ends, study_final_loss(study_find(s, 'c', "equal", linear, STUDY_ANY, 1)),
                   study_final_loss(study_find(s, 'c', "random", linear, STUDY_ANY, 1)), 1e-3,
                   "%s regression", linear ? "linear" : "softmax");
    study_check_worst(s, CHECK_TH, 'c', "regressions: equal and random starts end alike", &ends,
                      NULL);
    const double drop =
        study_value(units(s, "dropout", 2), KIND_value, -1, "evaluation", STUDY_LAST);
    const double one =
        study_value(units(s, "one-unit", 2), KIND_value, -1, "evaluation", STUDY_LAST);
    study_check(s, CHECK_EF, 'a', "loss with dropout (evaluated) minus loss of one unit",
                drop - one, -(double)INFINITY, -1e-9, NULL);
    study_remark(s, "dropout %.4f, one unit %.4f, random W1 %.4f", drop, one,
                 study_value(units(s, "w1-random", 2), KIND_value, -1, "evaluation", STUDY_LAST));
    study_answer(s,
                 "Units that start equal stay equal to the last bit unless dropout or the output "
                 "weights tell them apart; after %.0f steps dropout has a loss of %.4f, one unit "
                 "%.4f.",
                 (double)steps_of(s, 'a'), drop, one);
}

/* ---- figures ---- */
static void draw_distance(struct study *s) {
    struct study_figure *const f = figure_xy(
        s, "distance", "Distance of the two hidden units (0 drawn at 1e-12)", "step", "‖w₁ − w₂‖");
    f->y.log = true;
    for (size_t a = 0; a + 1 < ARMS; a++) {
        const size_t room = study_count(units(s, arms[a], 2), KIND_value);
        double *const x = study_doubles(s, room), *const y = study_doubles(s, room);
        const size_t n = study_series(units(s, arms[a], 2), KIND_value, -1, "distance", x, y, room);
        for (size_t i = 0; i < n; i++) y[i] = fmax(y[i], 1e-12);
        figure_curve(f, arms[a], figure_hue(a), FIGURE_LINE,
                     &(struct study_curve){.n = n, .x = x, .mean = y});
    }
}

static void draw_losses(struct study *s) {
    struct study_figure *const f = figure_xy(s, "loss", "Loss on x₁x₂", "step", "training loss");
    for (size_t a = 0; a < ARMS; a++) {
        const struct study_curve c =
            study_smooth_of(s, 'a', arms[a], 2, STUDY_ANY, KIND_loss, -1, "");
        figure_curve(f, arms[a], figure_hue(a), FIGURE_LINE, &c);
    }
}

static void draw_regressions(struct study *s) {
    struct study_figure *const f =
        figure_xy(s, "regression", "Regressions on Wine (random start dashed)", "step", "loss");
    f->x.log = f->y.log = true;
    for (size_t i = 0; i < 2; i++)
        for (int linear = 0; linear < 2; linear++) {
            const struct study_curve c =
                study_curve_of(s, 'c', starts[i], linear, STUDY_ANY, KIND_loss, -1, "");
            figure_curve(f,
                         i > 0    ? NULL
                         : linear ? "linear"
                                  : "softmax",
                         figure_hue((size_t)linear), i > 0 ? FIGURE_DASHED : FIGURE_LINE, &c);
        }
}

static void judge(struct study *s) {
    check_units(s);
    check_changes(s);
    check_rest(s);
    check_rank(s);
    if (study_has(s, 'a')) draw_distance(s);
    if (study_has(s, 'a')) draw_losses(s);
    if (study_has(s, 'c')) draw_regressions(s);
}

const struct weft_study study_symmetry = {
    .name = "symmetry",
    .question = "Which symmetries does training keep, and what breaks them?",
    .source = "Dive into Deep Learning 5.4.1.3, exercises 1 and 2",
    .parts = "abcd",
    .part = {"hidden units that start equal", "changes that change no output",
             "regressions from equal and random starts", "dropout"},
    .numbers = {"which"},
    .data = "mnist wine text",
    .grid = grid,
    .run = run,
    .judge = judge,
};
