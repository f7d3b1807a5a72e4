/* Are the seven update rules what was printed, and can Adam take what momentum cannot?
 *
 *   a  f = theta^2/2 on every ISA against the printed rules; rules that must coincide, bit for bit;
 *      the largest stable rate of SGD and of momentum on a quadratic of condition 100
 *   b  MNIST and a small GPT, each rule at five rates
 *   c  a perceptron of twenty layers whose weights are 1.2 times too large
 *   d  the printed conventions on MNIST, beside the usual ones of b
 *   e  Adam tuned in the order of importance: rate, beta1, eps, beta2
 *
 * The printed conventions ("<rule>_playbook") differ from the usual ones: RMSProp starts at v = 1
 * with eps inside the root, Adam and NAdam add eps to a root that is not corrected. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "studies/adam_tuning.h"
#include "studies/curve.h"
#include "studies/detect.h"
#include "studies/recipe.h"
#include "studies/verdict.h"

#define RATES     5
#define CONDITION 100.0
static const struct rule {
    const char *name, *printed;
    double beta1, beta2;
    double mnist, gpt; /* the middle rate */
    double golden[3];  /* theta after 1, 2, 3 steps from 1, lr 0.1 */
    double path;       /* rate on the quadratic */
} rules[] = {
    {"sgd", "sgd", 0, 0, 0.1, 0.3, {0.9, 0.81, 0.729}, 0.018},
    {"momentum", "momentum_playbook", 0.9, 0, 0.03, 0.1, {0.9, 0.72, 0.486}, 0.005},
    {"nesterov", "nesterov_playbook", 0.9, 0, 0.03, 0.1, {0.81, 0.5751, 0.327321}, 0.005},
    {"rmsprop", "rmsprop_playbook", 0.9, 0.9, 3e-4, 3e-4, {0.9, 0.719132621, 0.481965746}, 0.01},
    {"adam",
     "adam_playbook",
     0.9,
     0.999,
     1e-3,
     3e-3,
     {0.900000032, 0.800412283, 0.701586346},
     0.05},
    {"nadam",
     "nadam_playbook",
     0.9,
     0.999,
     1e-3,
     3e-3,
     {0.81000006, 0.674130054, 0.556829255},
     0.05},
    {"adamw", "adamw", 0.9, 0.999, 1e-3, 3e-3, {0}, 0.05},
};
#define RULES   (sizeof rules / sizeof *rules)
#define PRINTED (RULES - 1) /* AdamW is not among those printed */

/* Pairs whose every bit must be equal. */
static const struct twin {
    const char *name, *with;
    struct weft_optim a, b;
} twins[] = {
    {"momentum-0", "SGD", {.name = "momentum"}, {.name = "sgd"}},
    {"nesterov-0", "SGD", {.name = "nesterov"}, {.name = "sgd"}},
    {"adamw-0", "Adam", {"adamw", 0.9, 0.999, 1e-8}, {"adam", 0.9, 0.999, 1e-8}},
};
#define TWINS (sizeof twins / sizeof *twins)
static const struct {
    const char *rule;
    double threshold; /* lr times the largest curvature */
} limits[] = {{"sgd", 2}, {"momentum", 2 + 2 * 0.9}};
static const double margins[] = {0.98, 1.02};
static const struct {
    const char *rule;
    double lr;
} hard[] = {{"momentum", 0.01}, {"momentum", 0.05}, {"adam", 3e-4}, {"adam", 1e-3}};

static const struct rule *rule_of(const char *name) {
    for (size_t i = 0; i < RULES; i++)
        if (strcmp(rules[i].name, name) == 0 || strcmp(rules[i].printed, name) == 0)
            return &rules[i];
    return NULL;
}

static uint64_t steps_of(const struct study *s, char part) {
    return (uint64_t)(part == 'c' ? study_pick(s, 2, 250, 2000, 2000)
                                  : study_pick(s, 2, 200, 1000, 1000));
}
static double rate(double middle, size_t i) { return middle * pow(10, ((double)i - 2) / 2); }
static size_t seeds_of(const struct study *s) { return study_seeds(s, 1, 1, 3); }

static void grid(struct study *s) {
    const double b = (double)steps_of(s, 'b'), c = (double)steps_of(s, 'c');
    const bool small = s->set.setting <= STUDY_QUICK, smoke = s->set.setting == STUDY_SMOKE;
    for (size_t i = 0; i < PRINTED; i++) study_add(s, 'a', rules[i].name, 1, 1e6, STUDY_ANY, 0);
    for (size_t i = 0; i < TWINS; i++)
        for (int side = 0; side < 2; side++)
            study_add(s, 'a', twins[i].name, 1, recipe_mnist_flops(64, 1, 20), side, 1);
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < 2; k++) study_add(s, 'a', limits[i].rule, 1, 1e6, margins[k], 2);
    for (size_t i = 0; i < RULES; i++) study_add(s, 'a', rules[i].name, 1, 1e6, rules[i].path, 3);
    for (size_t i = 0; i < RULES; i++)
        for (size_t k = smoke ? 2 : 0; k < (smoke ? 3 : RATES); k++)
            for (size_t seed = 1; seed <= seeds_of(s); seed++) {
                const double gpt = small ? recipe_gpt_flops(4, 64, 64, 8, b)
                                         : recipe_gpt_flops(4, 192, 256, 16, b);
                study_add(s, 'b', rules[i].name, seed, recipe_mnist_flops(256, 2, b),
                          rate(rules[i].mnist, k), 0);
                study_add(s, 'b', rules[i].name, seed, gpt, rate(rules[i].gpt, k), 1);
            }
    for (size_t i = 0; i < sizeof hard / sizeof *hard; i++)
        for (size_t seed = 1; seed <= study_seeds(s, 1, 2, 3); seed++)
            study_add(s, 'c', hard[i].rule, seed, recipe_mnist_flops(128, 20, c), hard[i].lr,
                      STUDY_ANY);
    for (size_t i = 3; i < PRINTED; i++)
        for (size_t k = smoke ? 2 : 0; k < (smoke ? 3 : RATES); k++)
            for (size_t seed = 1; seed <= seeds_of(s); seed++)
                study_add(s, 'd', rules[i].printed, seed, recipe_mnist_flops(256, 2, b),
                          rate(rules[i].mnist, k), 0);
    study_add(s, 'e', "tuning", 1, recipe_mnist_flops(256, 2, TUNING_TRIALS * b), STUDY_ANY,
              STUDY_ANY);
    s->plain = true;
    s->epochs = recipe_mnist_epochs(fmax(b, c));
    study_note(s, "models", "784-256-256-10; GPT(4,%d,%d); 784-128^20-10 with Kaiming × 1.2",
               small ? 64 : 192, small ? 64 : 256);
    study_note(s, "steps", "%.0f; deep perceptron %.0f", b, c);
}

/* ---- a: quadratics ---- */
/* f = (w_0^2 + CONDITION w_1^2)/2; without a batch that matters. */
static void no_batch(struct trial *t, uint64_t step, struct weft_batch *out) {
    static const float zeros[2];
    (void)t, (void)step;
    *out = (struct weft_batch){.inputs = zeros, .values = zeros, .rows = 1};
}
static enum weft_status start_at_one(struct trial *t) {
    t->param[0].data[0] = t->param[0].data[1] = 1;
    return WEFT_OK;
}
static enum weft_status slope(struct trial *t) {
    const float *const w = t->param[0].data;
    t->param[0].grad[0] = w[0];
    t->param[0].grad[1] = (float)CONDITION * w[1];
    t->param[1].grad[0] = 0;
    return WEFT_OK;
}
static enum weft_status put_place(struct trial *t) {
    const char *const tensor = t->user;
    for (int i = 0; i < 2; i++)
        study_put(t->run, (int64_t)t->step, i, tensor, KIND_value, (double)t->param[0].data[i]);
    return WEFT_OK;
}

static struct trial_spec quadratic(const char *rule, const struct rule *r, double lr,
                                   uint64_t steps, const char *tensor) {
    return (struct trial_spec){
        .fill = no_batch,
        .mlp = {.inputs = 2, .outputs = 1, .inner = true},
        .how = {.batch = 1, .optim = {rule, r->beta1, r->beta2, 1e-8}},
        .init = {.name = "zeros"},
        .steps = steps,
        .lr = lr,
        .start = start_at_one,
        .grad = slope,
        .after = put_place,
        .user = (void *)(size_t)tensor,
    };
}

/* Three steps of the rule as printed, on every ISA. */
static enum weft_status run_golden(struct study_run *r) {
    const struct rule *const rule = rule_of(r->cell->arm);
    weft_ctx *const own = r->ctx;
    struct weft_cpu_info cpu;
    enum weft_status st = WEFT_OK;
    weft_cpu_query(&cpu);
    for (size_t i = 0; i < 8 && cpu.isas[i] != NULL && st == WEFT_OK; i++) {
        const struct weft_ctx_options o = {.threads = 1, .isa = cpu.isas[i]};
        const struct trial_spec spec = quadratic(rule->printed, rule, 0.1, 3, cpu.isas[i]);
        weft_ctx *ctx = NULL;
        st = weft_ctx_create(&o, &ctx);
        if (st != WEFT_OK) return weft_ctx_fail(own, st, "no context for %s", cpu.isas[i]);
        r->ctx = ctx;
        st = trial_run(r, &spec);
        r->ctx = own;
        if (st != WEFT_OK) weft_ctx_fail(own, st, "%s", weft_ctx_message(ctx));
        weft_ctx_free(ctx);
    }
    return st;
}

static enum weft_status put_hash(struct trial *t) {
    study_put(t->run, (int64_t)t->step, -1, "hash", KIND_value, trial_hash(t));
    return WEFT_OK;
}

static enum weft_status run_twin(struct study_run *r) {
    for (size_t i = 0; i < TWINS; i++) {
        struct trial_spec spec = recipe_mnist(64, 1);
        if (strcmp(twins[i].name, r->cell->arm) != 0) continue;
        spec.how.optim = r->cell->number[0] == 0 ? twins[i].a : twins[i].b;
        spec.steps = 20;
        spec.lr = 0.01;
        spec.eval_samples = TRIAL_NO_EVAL;
        spec.end = put_hash;
        return trial_run(r, &spec);
    }
    return WEFT_ERR_INTERNAL;
}

static enum weft_status run_quadratic(struct study_run *r) {
    const struct rule *const rule = rule_of(r->cell->arm);
    const bool limit = r->cell->number[1] == 2;
    double lr = r->cell->number[0];
    for (size_t i = 0; i < 2 && limit; i++)
        if (strcmp(limits[i].rule, rule->name) == 0)
            lr = r->cell->number[0] * limits[i].threshold / CONDITION;
    const struct trial_spec spec = quadratic(rule->name, rule, lr, limit ? 150 : 60, "w");
    return trial_run(r, &spec);
}

/* ---- b, c: trainings ---- */
static enum weft_status run_training(struct study_run *r) {
    const struct study_cell *const c = r->cell;
    const struct rule *const rule = rule_of(c->arm);
    const bool small = r->s->set.setting <= STUDY_QUICK, gpt = c->part == 'b' && c->number[1] == 1;
    struct trial_spec spec = c->part == 'c' ? recipe_deep(1.2)
                             : !gpt         ? recipe_mnist(256, 2)
                             : small        ? recipe_gpt(4, 64, 64, 8)
                                            : recipe_gpt(4, 192, 256, 16);
    spec.how.optim = (struct weft_optim){
        c->arm, rule->beta1, rule->beta2, 1e-8, strcmp(rule->name, "adamw") == 0 ? 0.1 : 0, 0};
    spec.steps = steps_of(r->s, c->part);
    spec.lr = c->number[0];
    spec.eval_samples = TRIAL_NO_EVAL;
    return trial_run(r, &spec);
}

static enum weft_status run(struct study_run *r) {
    if (r->cell->part == 'e') return tuning_run(r, steps_of(r->s, 'b'));
    if (r->cell->part != 'a') return run_training(r);
    switch ((int)r->cell->number[1]) {
    case 0: return run_golden(r);
    case 1: return run_twin(r);
    default: return run_quadratic(r);
    }
}

/* ---- checks ---- */
static void check_golden(struct study *s) {
    struct check_worst w = {0};
    struct weft_cpu_info cpu;
    weft_cpu_query(&cpu);
    for (size_t i = 0; i < PRINTED && study_has(s, 'a'); i++)
        for (size_t isa = 0; isa < 8 && cpu.isas[isa] != NULL; isa++)
            for (int t = 0; t < 3; t++)
                check_near(&w,
                           study_value(study_find(s, 'a', rules[i].name, STUDY_ANY, 0, 1),
                                       KIND_value, 0, cpu.isas[isa], t) /
                               rules[i].golden[t],
                           1, 2e-7, "%s on %s, step %d", rules[i].name, cpu.isas[isa], t + 1);
    study_check_worst(s, CHECK_ID, 'a', "printed rules on θ²/2, first three steps", &w, NULL);
}

static void check_twins(struct study *s) {
    for (size_t i = 0; i < TWINS; i++) {
        const struct study_cell *const a = study_find(s, 'a', twins[i].name, 0, 1, 1);
        const struct study_cell *const b = study_find(s, 'a', twins[i].name, 1, 1, 1);
        const double x = study_value(a, KIND_value, -1, "hash", STUDY_LAST);
        const double y = study_value(b, KIND_value, -1, "hash", STUDY_LAST);
        study_check(s, CHECK_ID, 'a',
                    study_text(s, "%s without its own part is %s, bit for bit: parameters differ",
                               twins[i].a.name, twins[i].with),
                    isnan(x) || isnan(y) ? (double)NAN : x != y, 0, 0, NULL);
    }
}

static void check_limits(struct study *s) {
    size_t wrong = 0, n = 0;
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < 2 && study_has(s, 'a'); k++, n++) {
            const struct study_cell *const c = study_find(s, 'a', limits[i].rule, margins[k], 2, 1);
            const double w = study_value(c, KIND_value, 1, "w", STUDY_LAST);
            const bool grew =
                !(fabs(w) < 1) || isfinite(study_value(c, KIND_diverged, -1, "", STUDY_LAST));
            wrong += grew != (margins[k] > 1) || isnan(w);
        }
    study_check(s, CHECK_TH, 'a',
                "quadratic: runs on the wrong side of η = 2/λ (SGD), (2+2γ)/λ (momentum)",
                n > 0 ? (double)wrong : (double)NAN, 0, 0, NULL);
    study_remark(s, "each at 0.98 and 1.02 of the threshold, λ = 100, γ = 0.9");
}

static double best_loss(struct study *s, const struct rule *r, int gpt, double *lr) {
    double best = (double)INFINITY;
    for (size_t k = 0; k < RATES; k++) {
        const double at = rate(gpt ? r->gpt : r->mnist, k);
        const struct study_spread l = study_spread_of(s, 'b', r->name, at, gpt, study_final_loss);
        if (l.n < l.all || !(l.mean < best)) continue;
        best = l.mean;
        *lr = at;
    }
    return best;
}

static void check_hard(struct study *s) {
    double good[2] = {(double)NAN, (double)NAN};
    char text[300] = "";
    for (size_t i = 0; i < 4; i++) {
        const struct study_spread l =
            study_spread_of(s, 'c', hard[i].rule, hard[i].lr, STUDY_ANY, study_final_loss);
        double *const best = &good[i / 2];
        const double loss = l.all > 0 && l.n < l.all ? (double)INFINITY : l.mean;
        *best = isnan(*best) ? loss : fmin(*best, loss);
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s %g: %.3g", i ? ", " : "",
                 hard[i].rule, hard[i].lr, loss);
    }
    const double line = 0.98 * log(10);
    study_check(s, CHECK_EF, 'c',
                "Adam trains the badly initialised net, momentum does not: margin",
                fmin(line - good[1], fmin(good[0], 1e3) - line), 0, (double)INFINITY, NULL);
    study_remark(s, "final loss (inf: diverged): %s; guessing has %.3f", text, log(10));
}

static void report_conventions(struct study *s) {
    double most = (double)NAN;
    char text[300] = "";
    for (size_t i = 3; i < PRINTED; i++) {
        double printed = (double)NAN, usual = (double)NAN;
        for (size_t k = 0; k < RATES; k++) {
            const double at = rate(rules[i].mnist, k);
            printed = fmin(printed,
                           study_spread_of(s, 'd', rules[i].printed, at, 0, study_final_loss).mean);
            usual =
                fmin(usual, study_spread_of(s, 'b', rules[i].name, at, 0, study_final_loss).mean);
        }
        if (!(fabs(printed - usual) <= most)) most = fabs(printed - usual);
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s: %.3f as printed, %.3f",
                 *text ? "; " : "", rules[i].name, printed, usual);
    }
    study_check(s, CHECK_RP, 'd', "best losses on MNIST, printed and usual rules: largest gap",
                most, 0, 0, NULL);
    study_remark(s, "%s", text);
}

/* ---- figures ---- */
static void draw_paths(struct study *s) {
    struct study_figure *const f =
        figure_new(s, "quadratic", "Sixty steps on a quadratic of condition 100");
    f->x = (struct figure_axis){.label = "w_0, curvature 1", .lo = -0.6, .hi = 1.1};
    f->y = (struct figure_axis){.label = "w_1, curvature 100", .lo = -1.1, .hi = 1.1};
    for (size_t i = 0; i < RULES; i++) {
        const struct study_cell *const c = study_find(s, 'a', rules[i].name, rules[i].path, 3, 1);
        double *const x = study_doubles(s, 61), *const y = study_doubles(s, 61);
        x[0] = y[0] = 1;
        const size_t n = study_series(c, KIND_value, 0, "w", NULL, x + 1, 60);
        study_series(c, KIND_value, 1, "w", NULL, y + 1, 60);
        figure_curve(f, rules[i].name, figure_hue(i), FIGURE_DOTS,
                     &(struct study_curve){.n = n + 1, .x = x, .mean = y});
    }
}

static void draw_training(struct study *s, int gpt) {
    const char *const model = gpt ? "gpt" : "mnist";
    struct study_figure *const f = figure_new(s, study_text(s, "loss_%s", model),
                                              gpt ? "Small GPT: training loss at the best rate"
                                                  : "MNIST: training loss at the best rate");
    f->x = (struct figure_axis){.label = "step"};
    f->y = (struct figure_axis){.label = "training loss"};
    for (size_t i = 0; i < RULES; i++) {
        double lr = (double)NAN;
        best_loss(s, &rules[i], gpt, &lr);
        if (isnan(lr)) continue;
        const struct study_curve c =
            study_smooth_of(s, 'b', rules[i].name, lr, gpt, KIND_loss, -1, "");
        figure_curve(f, study_text(s, "%s %.2g", rules[i].name, lr), figure_hue(i), FIGURE_LINE,
                     &c);
    }
}

static void draw_rates(struct study *s) {
    struct study_figure *const f =
        figure_new(s, "lr_curves", "Final training loss against the rate (MNIST dashed)");
    f->x = (struct figure_axis){.label = "learning rate", .log = true};
    f->y = (struct figure_axis){.label = "final training loss", .lo = 0, .hi = 4};
    for (size_t i = 0; i < RULES; i++)
        for (int gpt = 0; gpt < 2; gpt++) {
            double *const x = study_doubles(s, RATES), *const y = study_doubles(s, RATES);
            for (size_t k = 0; k < RATES; k++) {
                x[k] = rate(gpt ? rules[i].gpt : rules[i].mnist, k);
                y[k] = study_spread_of(s, 'b', rules[i].name, x[k], gpt, study_final_loss).mean;
            }
            figure_curve(f, gpt ? rules[i].name : NULL, figure_hue(i),
                         gpt ? FIGURE_LINE : FIGURE_DASHED,
                         &(struct study_curve){.n = RATES, .x = x, .mean = y});
        }
}

static void judge(struct study *s) {
    char text[400] = "";
    check_golden(s);
    check_twins(s);
    check_limits(s);
    check_hard(s);
    report_conventions(s);
    tuning_report(s, 'e');
    for (size_t i = 0; i < RULES; i++)
        for (int gpt = 0; gpt < 2 && study_has(s, 'b'); gpt++) {
            double lr = (double)NAN;
            const double loss = best_loss(s, &rules[i], gpt, &lr);
            study_sum(s, study_text(s, "%s, %s: best loss", rules[i].name, gpt ? "GPT" : "MNIST"),
                      loss);
            if (gpt)
                snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s %.2f",
                         i ? ", " : "", rules[i].name, loss);
        }
    if (study_has(s, 'a')) draw_paths(s);
    if (study_has(s, 'e')) tuning_draw(s, 'e');
    for (int gpt = 0; gpt < 2 && study_has(s, 'b'); gpt++) draw_training(s, gpt);
    if (study_has(s, 'b')) draw_rates(s);
    study_answer(s, "The rules are as printed on every instruction set%s%s.",
                 *text ? "; best loss of the small GPT: " : "", text);
}

const struct weft_study study_optimizers = {
    .name = "optimizers",
    .question = "Are the seven update rules implemented as printed, and can Adam take what "
                "momentum cannot?",
    .source = "Deep Learning Tuning Playbook, update rules; rates and sizes are choices of ours",
    .parts = "abcde",
    .part = {"rules on quadratics, on every ISA", "MNIST and a small GPT at five rates each",
             "a deep perceptron with weights 1.2 times too large", "printed conventions on MNIST",
             "Adam tuned"},
    .numbers = {"lr", "kind"},
    .data = "mnist text",
    .language = true,
    .grid = grid,
    .run = run,
    .judge = judge,
};
