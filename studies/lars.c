/* What does LARS do when one layer's gradient is out of proportion?
 *
 *   lambda_l = eta |w| / (|g| + beta |w|),  v = m v + gamma_t lambda_l (g + beta w)
 *   gamma_t = gamma_0 (1 - t/T)^2                                   (You, Gitman, Ginsburg 2017)
 *
 * 784-256-128-10; from one step on the gradient of the second layer is 2^20 times too large. With
 * beta = 0 a power of two must change no bit of LARS. Biases stay 0: they have no norm. */
#include <math.h>
#include <string.h>
#include "studies/curve.h"
#include "studies/detect.h"
#include "studies/recipe.h"
#include "studies/verdict.h"

#define TRUST  0.001
#define GAMMA  10.0
#define FACTOR 0x1p20F
#define SCALED 1 /* the layer */
#define LAYERS 3
#define LATE   5 /* steps after which LARS takes over */
static const struct arm {
    const char *name;
    struct weft_optim optim;
    double lr;
} arms[] = {
    {"sgd", {.name = "sgd"}, 0.1},
    {"clip", {.name = "sgd", .clip = 1}, 0.1},
    {"lars", {.name = "lars", .beta1 = 0.9, .trust = TRUST}, GAMMA},
    {"lars-plain", {.name = "lars", .trust = TRUST}, GAMMA},
    {"late", {.name = "sgd"}, 0.1},
};
#define ARMS    (sizeof arms / sizeof *arms)
#define IS_LATE (ARMS - 1)

static uint64_t steps_of(const struct study *s) {
    return (uint64_t)study_pick(s, 20, 400, 400, 400);
}
static uint64_t begin_of(const struct study *s) { return (uint64_t)study_pick(s, 5, 50, 50, 50); }
static uint64_t large_steps(const struct study *s) {
    return (uint64_t)study_pick(s, 2, 40, 400, 400);
}

static void grid(struct study *s) {
    const double flops = recipe_mnist_flops(256, 2, (double)steps_of(s));
    for (size_t a = 0; a < ARMS; a++)
        for (int scaled = a == IS_LATE; scaled < 2; scaled++) {
            if (a == 2 && scaled) s->proof = s->cells;
            study_add(s, 'a', arms[a].name, 1, flops, scaled, STUDY_ANY);
        }
    for (size_t a = 0; a < 3; a += 2)
        study_add(s, 'b', arms[a].name, 1, recipe_mnist_flops(256, 2, (double)large_steps(s) * 32),
                  0, STUDY_ANY);
    if (!study_has(s, 'a')) s->proof = 0;
    s->epochs = recipe_mnist_epochs(fmax((double)steps_of(s), 32 * (double)large_steps(s)));
    study_note(s, "net", "784-256-128-10, ReLU, batch 128 (b: 4096), no biases");
    study_note(s, "steps", "%.0f, from step %.0f on the second layer's gradient × 2^20",
               (double)steps_of(s), (double)begin_of(s));
    study_note(s, "rates", "SGD 0.1; LARS η 0.001, γ 10 (1 - t/T)², momentum 0.9, β 0");
}

/* ---- cells ---- */
static double rate(const struct trial *t, uint64_t step) {
    const double left = 1 - (double)step / (double)t->spec->steps;
    return strcmp(t->spec->how.optim.name, "lars") == 0 ? GAMMA * left * left : 0.1;
}

static enum weft_status disturb(struct trial *t) {
    const bool scaled = t->run->cell->number[0] == 1 && t->step >= begin_of(t->run->s);
    for (int l = 0; l < LAYERS; l++) {
        struct weft_param_info *const w = &t->param[2 * l], *const b = &t->param[2 * l + 1];
        for (size_t i = 0; scaled && l == SCALED && i < trial_count(w); i++) w->grad[i] *= FACTOR;
        memset(b->grad, 0, trial_count(b) * sizeof *b->grad);
    }
    return WEFT_OK;
}

static enum weft_status put_hash(struct trial *t) {
    study_put(t->run, (int64_t)t->step, -1, "hash", KIND_value, trial_hash(t));
    return WEFT_OK;
}

static struct trial_spec spec_of(const struct study_run *r, const struct arm *arm) {
    struct trial_spec spec = recipe_mnist(256, 2);
    spec.mlp.hidden[1] = 128;
    spec.how.optim = arm->optim;
    spec.how.watch = "weights";
    spec.steps = steps_of(r->s);
    spec.rate = rate;
    spec.every = 1;
    spec.kinds = "gnorm norm update_ratio";
    spec.eval_samples = TRIAL_NO_EVAL;
    spec.grad = disturb;
    spec.end = put_hash;
    return spec;
}

/* SGD until some steps after the disturbance has begun, then LARS from its weights. */
static enum weft_status hand_over(struct trial *t) {
    struct weft_param_info *const from = t->user;
    for (size_t i = 0; i < t->params; i++)
        memcpy(t->param[i].data, from[i].data, trial_count(&from[i]) * sizeof(float));
    return WEFT_OK;
}

static enum weft_status run_late(struct study_run *r) {
    struct trial_spec spec = spec_of(r, &arms[IS_LATE]);
    struct trial sgd;
    bool ok = true;
    enum weft_status st = trial_open(&sgd, r, &spec);
    while (st == WEFT_OK && ok && sgd.step < begin_of(r->s) + LATE) {
        st = trial_step(&sgd, &ok);
        if (st == WEFT_OK && ok) study_put(r, (int64_t)sgd.step, -1, "sgd", KIND_value, sgd.loss);
        sgd.step++;
    }
    spec.how.optim = arms[2].optim;
    spec.start = hand_over;
    spec.user = sgd.param;
    if (st == WEFT_OK) st = trial_run(r, &spec);
    trial_close(&sgd);
    return st;
}

static enum weft_status run(struct study_run *r) {
    size_t a = 0;
    while (strcmp(arms[a].name, r->cell->arm) != 0) a++;
    if (a == IS_LATE) return run_late(r);
    struct trial_spec spec = spec_of(r, &arms[a]);
    if (r->cell->part == 'b') {
        spec.how.batch = 4096;
        spec.steps = large_steps(r->s);
    }
    return trial_run(r, &spec);
}

/* ---- checks ---- */
static const struct study_cell *cell(const struct study *s, const char *arm, int scaled) {
    return study_find(s, 'a', arm, scaled, STUDY_ANY, 1);
}

static struct detect_curve look(struct study *s, const struct study_cell *c) {
    size_t n;
    const double *const loss = study_losses(s, c, &n);
    return detect_look(loss, n, (size_t)steps_of(s), log(10));
}

static void check_bits(struct study *s) {
    const double x = study_value(cell(s, "lars", 0), KIND_value, -1, "hash", STUDY_LAST);
    const double y = study_value(cell(s, "lars", 1), KIND_value, -1, "hash", STUDY_LAST);
    study_check(s, CHECK_ID, 'a', "β = 0: parameters of LARS with and without the factor differ",
                isnan(x) || isnan(y) ? (double)NAN : x != y, 0, 0, NULL);
}

/* |dw|/|w| before the step, from the norms after each step and the update over the norm after. */
static void check_step(struct study *s) {
    struct check_worst w = {0};
    const struct study_cell *const c = cell(s, "lars-plain", 1);
    for (int64_t t = 1; c != NULL && t < (int64_t)steps_of(s) / 2; t++)
        for (int l = 0; l < LAYERS; l++) {
            const double left = 1 - (double)t / (double)steps_of(s);
            const double moved = study_value(c, KIND_update_ratio, l, "weight", t) *
                                 study_value(c, KIND_norm, l, "weight", t);
            const double before = study_value(c, KIND_norm, l, "weight", t - 1);
            check_near(&w, moved / before / (GAMMA * left * left * TRUST), 1, 1e-5,
                       "layer %d, step %d", l + 1, (int)t);
        }
    study_check_worst(s, CHECK_ID, 'a', "without momentum ‖Δw‖/‖w‖ = γη in every layer", &w, NULL);
}

static void check_clip(struct study *s) {
    const int64_t at = (int64_t)begin_of(s);
    double least = (double)INFINITY;
    for (int l = 0; l < LAYERS; l++) {
        const double plain = study_value(cell(s, "clip", 0), KIND_update_ratio, l, "weight", at);
        const double with = study_value(cell(s, "clip", 1), KIND_update_ratio, l, "weight", at);
        if (l != SCALED) least = fmin(least, isnan(plain / with) ? -1 : plain / with);
    }
    study_check(s, CHECK_TH, 'a', "global clipping: steps of the other layers shrink by",
                least < 0 ? (double)NAN : least, 1024, (double)INFINITY, NULL);
}

static void check_training(struct study *s) {
    const struct detect_curve sgd = look(s, cell(s, "sgd", 1)), lars = look(s, cell(s, "lars", 1));
    const bool here = study_has(s, 'a');
    const double after = (double)sgd.first_rise - (double)begin_of(s);
    study_check(s, CHECK_EF, 'a', "SGD fails, steps after the factor appears",
                here ? (sgd.feasible && !sgd.rising ? 1e9 : after) : (double)NAN, 0, 5, NULL);
    study_check(s, CHECK_EF, 'a', "LARS trains on (1: feasible)",
                here ? (double)lars.feasible : (double)NAN, 1, 1, NULL);
    const struct study_cell *const late = cell(s, "late", 1);
    study_check(s, CHECK_RP, 'a', "LARS from five steps after the factor: final loss",
                study_final_loss(late), 0, 0, NULL);
    study_remark(s, "loss of SGD before it: %.3g",
                 study_value(late, KIND_value, -1, "sgd", STUDY_LAST));
    study_check(s, CHECK_RP, 'b', "batch 4096: final loss of LARS minus SGD",
                study_final_loss(study_find(s, 'b', "lars", 0, STUDY_ANY, 1)) -
                    study_final_loss(study_find(s, 'b', "sgd", 0, STUDY_ANY, 1)),
                0, 0, NULL);
    study_answer(
        s,
        "One layer's gradient × 2^20 ends SGD within %.0f steps and freezes the other "
        "layers under global clipping; LARS ends at a loss of %.3f, bit for bit as without "
        "the factor.",
        after, study_final_loss(cell(s, "lars", 1)));
}

/* ---- figures ---- */
static void draw_loss(struct study *s) {
    struct study_figure *const f =
        figure_xy(s, "loss", "Training loss, second layer's gradient × 2^20 from the line on",
                  "step", "training loss");
    f->y.lo = 0;
    f->y.hi = 4;
    figure_mark_x(f, (double)begin_of(s), (double)begin_of(s), "× 2^20");
    for (size_t a = 0; a < ARMS; a++) {
        const struct study_curve c =
            study_curve_of(s, 'a', arms[a].name, 1, STUDY_ANY, KIND_loss, -1, "");
        figure_curve(f, arms[a].name, figure_hue(a), FIGURE_LINE, &c);
    }
}

/* A figure over steps of one kind, or of a ratio of two, of the layers of an arm. */
static void draw_layers(struct study *s, const char *name, const char *title, const char *axis,
                        const char *arm, enum study_kind kind, enum study_kind below) {
    struct study_figure *const f = figure_xy(s, name, title, "step", axis);
    const size_t room = (size_t)steps_of(s);
    f->y.log = true;
    for (int l = 0; l < LAYERS; l++) {
        double *const x = study_doubles(s, room), *const y = study_doubles(s, room);
        double *const z = study_doubles(s, room);
        const size_t n = study_series(cell(s, arm, 1), kind, l, "weight", x, y, room);
        if (study_series(cell(s, arm, 1), below, l, "weight", NULL, z, room) == n && below != kind)
            for (size_t i = 0; i < n; i++) y[i] /= z[i];
        figure_curve(f, study_text(s, "layer %d", l + 1), figure_hue((size_t)l), FIGURE_LINE,
                     &(struct study_curve){.n = n, .x = x, .mean = y});
    }
}

static void judge(struct study *s) {
    check_bits(s);
    check_step(s);
    check_clip(s);
    check_training(s);
    if (!study_has(s, 'a')) return;
    draw_layers(s, "ratio", "LARS: norm of weights over norm of gradients", "‖w‖/‖g‖", "lars",
                KIND_norm, KIND_gnorm);
    draw_loss(s);
    draw_layers(s, "step_size", "SGD with clipping: what a step changes", "‖Δw‖/‖w‖", "clip",
                KIND_update_ratio, KIND_update_ratio);
}

const struct weft_study study_lars = {
    .name = "lars",
    .question = "What does LARS do when one layer's gradient is out of proportion?",
    .source = "Dive into Deep Learning 5.4, exercise 4; You, Gitman, Ginsburg 2017 "
              "(arXiv 1708.03888)",
    .parts = "ab",
    .part = {"one gradient × 2^20", "batch 4096"},
    .numbers = {"scaled"},
    .data = "mnist",
    .grid = grid,
    .run = run,
    .judge = judge,
};
