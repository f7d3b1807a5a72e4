/* What is the best learning rate, is it at the edge, and do curves above it go up?
 *
 *   a  GPT, LayerNorm before      b  LayerNorm after
 *   c  the detectors on curves whose verdict is known; a rate of 0
 *   d  a perceptron on MNIST, SGD with momentum
 *
 * A cell is a whole procedure: the sweep, without warmup and clipping, then lr*, 2 lr*, 5 lr* and
 * 10 lr* for longer, with a held-out loss after every step. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "studies/curve.h"
#include "studies/detect.h"
#include "studies/draw.h"
#include "studies/recipe.h"
#include "studies/verdict.h"

#define MAX_RATES 13
#define CANNED    6
#define LENGTH    200 /* of a canned curve */
#define BASE      3.0
static const double above[] = {1, 2, 5, 10};
#define ABOVE 4

struct size {
    size_t rates;
    uint64_t steps, longer;
};
static struct size size_of(const struct study *s) {
    const struct size of[] = {{2, 4, 6}, {9, 200, 500}, {13, 2000, 500}, {13, 2000, 500}};
    return of[s->set.setting];
}
static const struct variant { /* what is swept: part, arm, first rate, names of its figures */
    char part;
    const char *arm;
    double first;
    const char *axis, *above, *early, *norm;
} variants[] = {{'a', "pre", 1e-4, "axis", "above", "early500", "gradnorm"},
                {'b', "post", 1e-4, "axis_post", "above_post", "early500_post", "gradnorm_post"},
                {'d', "mlp", 1e-3, "axis_mlp", "above_mlp", "early500_mlp", "gradnorm_mlp"}};
#define VARIANTS (sizeof variants / sizeof *variants)

static const struct variant *variant_of(char part) {
    size_t i = 0;
    while (variants[i].part != part) i++;
    return &variants[i];
}
static double rate(const struct size *z, char part, size_t i) {
    return variant_of(part)->first * pow(10, 3.0 * (double)i / (double)(z->rates - 1));
}
static double base_of(const struct study *s, char part) { /* loss without knowledge */
    return part == 'd' ? log(10) : s->corpus->h1;
}
static struct trial_spec perceptron(const struct study *s) {
    struct trial_spec spec = recipe_mnist(256, 2);
    spec.how.optim = (struct weft_optim){.name = "momentum", .beta1 = 0.9};
    spec.eval_samples = s->set.setting == STUDY_SMOKE ? 64 : 256;
    return spec;
}
static struct trial_spec model(const struct study *s, char part) {
    if (part == 'd') return perceptron(s);
    struct trial_spec spec = s->set.setting == STUDY_SMOKE   ? recipe_gpt(2, 32, 32, 4)
                             : s->set.setting == STUDY_QUICK ? recipe_gpt(4, 64, 64, 8)
                                                             : recipe_gpt(4, 192, 256, 16);
    if (part == 'b') spec.gpt2.norm = "post";
    spec.how.optim.clip = 0;
    spec.eval_samples = 16;
    return spec;
}

static double flops_of(const struct study *s, char part) {
    const struct size z = size_of(s);
    const struct trial_spec m = model(s, part);
    const double steps = (double)(z.rates * z.steps + ABOVE * z.longer);
    if (part == 'd') return recipe_mnist_flops(256, 2, steps);
    return recipe_gpt_flops(m.gpt2.layers, m.gpt2.width, m.gpt2.context, m.how.batch, steps);
}

static void grid(struct study *s) {
    const struct size z = size_of(s);
    const struct trial_spec m = model(s, 'a');
    for (size_t v = 0; v < VARIANTS; v++)
        for (size_t seed = 1; seed <= study_seeds(s, 1, 1, 2); seed++) {
            const char part = variants[v].part;
            study_add(s, part, variants[v].arm, seed, flops_of(s, part), STUDY_ANY, STUDY_ANY);
        }
    study_add(s, 'c', "detectors", 1, 1e6, STUDY_ANY, STUDY_ANY);
    study_add(s, 'c', "standstill", 1, 1e8, STUDY_ANY, STUDY_ANY);
    s->plain = true;
    s->epochs = recipe_gpt_epochs((double)(z.steps * m.how.batch * m.gpt2.context));
    study_note(s, "model", "GPT(%zu,%zu,%zu), batch %zu, AdamW, no warmup, no clipping",
               m.gpt2.layers, m.gpt2.width, m.gpt2.context, m.how.batch);
    study_note(s, "perceptron", "784-256-256-10, batch 128, SGD with momentum 0.9");
    study_note(s, "rates",
               "%zu from 1e-4 to 0.1 (perceptron 1e-3 to 1), %.0f steps; above the best %.0f",
               z.rates, (double)z.steps, (double)z.longer);
}

/* ---- cells ---- */
/* lr*: the rate with the lowest validation loss among those that are feasible. */
static size_t best_of(const struct size *z, const struct detect_curve *curve, const double *val) {
    const struct detect_sweep d = detect_best(curve, val, z->rates);
    return d.best;
}

static enum weft_status run_sweep(struct study_run *r) {
    const struct size z = size_of(r->s);
    struct trial_spec spec = model(r->s, r->cell->part);
    struct detect_curve curve[MAX_RATES];
    double val[MAX_RATES];
    struct trial_trace trace = {.loss = calloc(z.steps, sizeof(double))};
    enum weft_status st = trace.loss == NULL ? WEFT_ERR_NOMEM : WEFT_OK;
    spec.steps = z.steps;
    for (size_t i = 0; i < z.rates && st == WEFT_OK && !r->stopped; i++) {
        spec.lr = rate(&z, r->cell->part, i);
        st = trial_trace(r, &spec, "sweep", (int)i, &trace);
        curve[i] = detect_look(trace.loss, trace.n, z.steps, base_of(r->s, r->cell->part));
        val[i] = trace.val;
        if (r->mode == STUDY_TWIN) break;
    }
    free(trace.loss);
    trace.loss = NULL;
    if (st == WEFT_ERR_NOMEM) weft_ctx_fail(r->ctx, st, "out of memory for a sweep");
    if (st != WEFT_OK || r->mode == STUDY_TWIN || r->stopped) return st;
    size_t best = best_of(&z, curve, val);
    if (best == z.rates) /* none is feasible: the one that ends lowest */
        for (size_t i = best = 0; i < z.rates; i++) best = val[i] < val[best] ? i : best;
    spec.steps = z.longer;
    spec.eval_every = 1;
    for (size_t i = 0; i < ABOVE && st == WEFT_OK && !r->stopped; i++) {
        spec.lr = above[i] * rate(&z, r->cell->part, best);
        st = trial_trace(r, &spec, "above", (int)i, &trace);
    }
    return st;
}

/* Six curves whose verdicts are plain to see. */
static void canned(size_t which, double *y) {
    for (size_t t = 0; t < LENGTH; t++) {
        const double x = (double)t / LENGTH, falling = 1 + 2 * exp(-4 * x);
        const double noise = 2 * draw_uniform(1, DRAW_NOISE, t) - 1;
        y[t] = which == 0   ? falling
               : which == 1 ? falling + (t == 100 ? 30 : 0)
               : which == 2 ? (t < 120 ? falling : (double)NAN)
               : which == 3 ? BASE
               : which == 4 ? falling + 0.2 * noise
                            : falling + (x > 0.7 ? 6 * (x - 0.7) : 0);
    }
}

static void run_detectors(struct study_run *r) {
    for (size_t i = 0; i < CANNED; i++) {
        double y[LENGTH];
        canned(i, y);
        const struct detect_curve d = detect_look(y, LENGTH, LENGTH, BASE);
        study_put(r, 0, (int)i, "feasible", KIND_value, d.feasible);
        study_put(r, 0, (int)i, "rising", KIND_value, d.rising);
        study_put(r, 0, (int)i, "early", KIND_value, d.rising && d.early);
    }
}

static enum weft_status put_hash(struct trial *t) {
    study_put(t->run, (int64_t)t->step, -1, "hash", KIND_value, trial_hash(t));
    return WEFT_OK;
}

static enum weft_status run_standstill(struct study_run *r) {
    struct trial_spec spec = recipe_gpt(2, 32, 32, 4);
    spec.steps = 3;
    spec.eval_samples = TRIAL_NO_EVAL;
    spec.start = spec.end = put_hash;
    return trial_run(r, &spec);
}

static enum weft_status run(struct study_run *r) {
    if (r->cell->part != 'c') return run_sweep(r);
    if (strcmp(r->cell->arm, "standstill") == 0) return run_standstill(r);
    run_detectors(r);
    return WEFT_OK;
}

/* ---- numbers ---- */
struct sweep {
    double x[MAX_RATES], val[MAX_RATES];
    struct detect_curve curve[MAX_RATES];
    struct detect_sweep best;
};

static struct detect_curve look(struct study *s, const struct study_cell *c, const char *what,
                                int number, uint64_t planned, double *room) {
    const size_t n = study_series(c, KIND_loss, number, what, NULL, room, (size_t)planned);
    return detect_look(room, n, (size_t)planned, base_of(s, c == NULL ? 'a' : c->part));
}

static struct sweep sweep_of(struct study *s, const struct study_cell *c) {
    const struct size z = size_of(s);
    double *const room = study_doubles(s, (size_t)z.steps);
    struct sweep w = {.best = {.best = z.rates}};
    for (size_t i = 0; i < z.rates; i++) {
        w.x[i] = rate(&z, c == NULL ? 'a' : c->part, i);
        w.val[i] = study_value(c, KIND_val_loss, (int)i, "sweep", STUDY_LAST);
        w.curve[i] = look(s, c, "sweep", (int)i, z.steps, room);
    }
    w.best = detect_best(w.curve, w.val, z.rates);
    return w;
}

static const struct study_cell *cell(const struct study *s, char part) {
    return study_find(s, part, NULL, STUDY_ANY, STUDY_ANY, 1);
}

/* ---- checks ---- */
static void check_detectors(struct study *s) {
    static const struct {
        const char *name;
        int feasible, rising, early;
    } want[CANNED] = {{"monotone", 1, 0, 0}, {"spike", 1, 1, 0}, {"NaN", 0, 1, 0},
                      {"plateau", 0, 0, 0},  {"noise", 1, 0, 0}, {"late rise", 1, 1, 0}};
    const struct study_cell *const c = study_find(s, 'c', "detectors", STUDY_ANY, STUDY_ANY, 1);
    struct check_worst w = {0};
    for (int i = 0; i < CANNED && c != NULL; i++) {
        const int got[] = {want[i].feasible, want[i].rising, want[i].early};
        static const char *const what[] = {"feasible", "rising", "early"};
        for (size_t k = 0; k < 3; k++)
            check_near(&w, study_value(c, KIND_value, i, what[k], 0), got[k], 0.5, "%s, %s",
                       want[i].name, what[k]);
    }
    study_check_worst(s, CHECK_ID, 'c', "detectors on six curves", &w, NULL);
    const struct study_cell *const still =
        study_find(s, 'c', "standstill", STUDY_ANY, STUDY_ANY, 1);
    const double a = study_value(still, KIND_value, -1, "hash", 0);
    const double b = study_value(still, KIND_value, -1, "hash", STUDY_LAST);
    study_check(s, CHECK_ID, 'c', "rate 0: parameters differ after three steps",
                isnan(a - b) ? (double)NAN : a != b, 0, 0, NULL);
}

/* What lies above lr*. */
struct summit {
    struct sweep sweep;
    struct detect_curve high; /* at 10 lr* */
    bool found;
    double at; /* lr* */
};
static struct summit summit_of(struct study *s, char part) {
    const struct size z = size_of(s);
    struct summit m = {.sweep = sweep_of(s, cell(s, part)), .at = (double)NAN};
    m.high =
        look(s, cell(s, part), "above", ABOVE - 1, z.longer, study_doubles(s, (size_t)z.longer));
    m.found = m.sweep.best.best < z.rates;
    if (m.found) m.at = m.sweep.x[m.sweep.best.best];
    return m;
}

static void check_above(struct study *s, char part) {
    const struct summit m = summit_of(s, part);
    const bool unstable = (m.sweep.best.has_edge && m.sweep.best.edge) || m.high.rising;
    study_check(s, CHECK_EF, part,
                part == 'd' ? "perceptron: lr* is at the edge, or 10 lr* rises or fails"
                            : "lr* is at the edge, or 10 lr* rises or fails",
                m.found ? (double)(unstable || !m.high.feasible) : (double)NAN, 1, 1,
                "\"unstable\" workloads [src]");
    study_remark(s, "lr* %.3g; 10 lr* first rises at step %.0f, %s", m.at,
                 (double)m.high.first_rise, m.high.early ? "early" : "in mid-training");
}

static void answer(struct study *s) {
    const char part = study_has(s, 'a') ? 'a' : 'd';
    const struct summit m = summit_of(s, part);
    study_check(s, CHECK_RP, 'a', "best rate", m.at, 0, 0,
                "4e-3, infeasible from 1.5e-2 on, of an unnamed model [F]");
    study_sum(s, "lr*", m.at);
    if (cell(s, 'd') != NULL) study_sum(s, "lr* of the perceptron", summit_of(s, 'd').at);
    study_answer(s,
                 "The best of the grid is %.2g; the next rate above it %s, and ten times that rate "
                 "%s.",
                 m.at,
                 !m.sweep.best.has_edge ? "is not in the grid"
                 : m.sweep.best.edge    ? "rises or fails"
                                        : "trains too",
                 m.high.feasible ? m.high.rising ? "rises on its way" : "trains" : "fails");
}

/* ---- figures ---- */
static void draw_axis(struct study *s, char part) {
    const struct size z = size_of(s);
    struct study_figure *const f =
        figure_xy(s, variant_of(part)->axis, "Final validation loss against the rate",
                  "learning rate", "validation loss");
    const struct sweep w = sweep_of(s, cell(s, part));
    double *const x = study_doubles(s, z.rates), *const y = study_doubles(s, z.rates);
    double *const bad = study_doubles(s, z.rates);
    f->x.log = true;
    f->y.lo = part == 'd' ? 0 : 1.5;
    f->y.hi = part == 'd' ? 3 : 5;
    figure_rule(f, base_of(s, part), part == 'd' ? "guessing" : "entropy of a byte");
    for (size_t i = 0; i < z.rates; i++) {
        x[i] = w.x[i];
        y[i] = w.curve[i].feasible ? w.val[i] : (double)NAN;
        bad[i] = w.curve[i].feasible ? (double)NAN : f->y.hi - 0.1;
    }
    figure_curve(f, "feasible", figure_hue(0), FIGURE_DOTS,
                 &(struct study_curve){.n = z.rates, .x = x, .mean = y});
    figure_curve(f, "infeasible", figure_hue(1), FIGURE_POINTS,
                 &(struct study_curve){.n = z.rates, .x = x, .mean = bad});
}

static void draw_above(struct study *s, char part, const char *name, const char *title,
                       enum study_kind kind, const char *axis) {
    const size_t room = (size_t)size_of(s).longer + 1;
    struct study_figure *const f = figure_xy(s, name, title, "step", axis);
    f->y.log = kind == KIND_gnorm;
    if (kind == KIND_loss) f->y.hi = part == 'd' ? 4 : 6;
    for (int i = 0; i < ABOVE; i++) {
        double *const x = study_doubles(s, room), *const y = study_doubles(s, room);
        const size_t n = study_series(cell(s, part), kind, i, "above", x, y, room);
        figure_curve(f, study_text(s, "%.0f lr*", above[i]), figure_hue((size_t)i), FIGURE_LINE,
                     &(struct study_curve){.n = n, .x = x, .mean = y});
    }
}

/* The held-out loss at 2 lr*: every step, and what a sparse schedule shows. */
static void draw_early(struct study *s, char part) {
    const size_t room = (size_t)size_of(s).longer + 1;
    struct study_figure *const f = figure_xy(s, variant_of(part)->early,
                                             "Twice the best rate, evaluated every "
                                             "step and every hundredth",
                                             "step", "held-out loss");
    double *const x = study_doubles(s, room), *const y = study_doubles(s, room);
    double *const sx = study_doubles(s, room), *const sy = study_doubles(s, room);
    const size_t n = study_series(cell(s, part), KIND_val_loss, 1, "above", x, y, room);
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        if (fmod(x[i], 100) == 0) {
            sx[m] = x[i];
            sy[m++] = y[i];
        }
    figure_curve(f, "every step", figure_hue(0), FIGURE_LINE,
                 &(struct study_curve){.n = n, .x = x, .mean = y});
    figure_curve(f, "every hundredth", figure_hue(1), FIGURE_DOTS,
                 &(struct study_curve){.n = m, .x = sx, .mean = sy});
}

static void judge(struct study *s) {
    check_detectors(s);
    check_above(s, 'a');
    check_above(s, 'd');
    answer(s);
    for (size_t v = 0; v < VARIANTS; v++) {
        const struct variant *const k = &variants[v];
        if (cell(s, k->part) == NULL) continue;
        draw_axis(s, k->part);
        draw_above(s, k->part, k->above, "Training loss at and above the best rate", KIND_loss,
                   "training loss");
        draw_early(s, k->part);
        draw_above(s, k->part, k->norm, "Norm of the gradient at and above the best rate",
                   KIND_gnorm, "‖g‖");
    }
}

const struct weft_study study_lr_sweep = {
    .name = "lr-sweep",
    .question = "What is the best learning rate, is it at the edge of stability, and do curves "
                "above it go up?",
    .source = "Deep Learning Tuning Playbook, \"identifying unstable workloads\", Fig. 7",
    .parts = "abcd",
    .part = {"sweep and above", "the same with LayerNorm after (not in --quick)",
             "detectors, a rate of 0", "a perceptron on MNIST"},
    .slow = "b",
    .data = "text mnist",
    .language = true,
    .grid = grid,
    .run = run,
    .judge = judge,
};
