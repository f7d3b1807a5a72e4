/* Do residual scaling and initial stds by layer remove the effect of depth?
 *
 *   a  at initialisation: residual factor 1, 1/sqrt L, 1/sqrt(2L), 0 and depth
 *   b  the std of all projections into the stream
 *   c  trained: 0.02 everywhere ("base"), each slice with the std that a run before has reached
 *      ("probe"), learned scalars ("learned", not in --quick), 1/sqrt L, 1/sqrt(2L)
 *
 * Variance of a perceptron branch at initialisation: 4 d sigma^2 s^2 q c(q), q = d sigma^2. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "studies/curve.h"
#include "studies/detect.h"
#include "studies/pairs.h"
#include "studies/recipe.h"
#include "studies/stats.h"
#include "studies/theory.h"
#include "studies/verdict.h"

#define LAYERS 12
#define STD    0.02
#define WIDTH  256 /* of part a */
static const char *const factors[] = {"one", "1/sqrt(L)", "1/sqrt(2L)", "zero"};
static const double depths[] = {3, 6, 12, 24, 48};
static const double stds[] = {0.002, 0.0063, 0.02, 0.063, 0.2};
static const char *const arms[] = {"base", "probe", "1/sqrt(L)", "1/sqrt(2L)", "learned"};
static const char *const slices[] = {"q", "k", "v"};

static size_t depths_of(const struct study *s) { return s->set.setting == STUDY_SMOKE ? 3 : 5; }
static size_t arms_of(const struct study *s) { return s->set.setting == STUDY_QUICK ? 4 : 5; }
static size_t rows_of(const struct study *s) { return (size_t)study_pick(s, 2, 8, 16, 16); }
static uint64_t steps_of(const struct study *s) {
    return (uint64_t)study_pick(s, 3, 300, 3000, 3000);
}
static struct trial_spec model(const struct study *s) {
    return s->set.setting == STUDY_SMOKE   ? recipe_gpt(LAYERS, 32, 32, 2)
           : s->set.setting == STUDY_QUICK ? recipe_gpt(LAYERS, 64, 64, 8)
                                           : recipe_gpt(LAYERS, 192, 256, 16);
}

static double factor_of(const char *name, size_t layers) {
    return strcmp(name, "1/sqrt(L)") == 0    ? 1 / sqrt((double)layers)
           : strcmp(name, "1/sqrt(2L)") == 0 ? 1 / sqrt(2 * (double)layers)
           : strcmp(name, "zero") == 0       ? 0
                                             : 1;
}

static void grid(struct study *s) {
    const struct trial_spec m = model(s);
    const double flops =
        recipe_gpt_flops(LAYERS, m.gpt2.width, m.gpt2.context, m.how.batch, (double)steps_of(s));
    const bool all = s->set.setting != STUDY_SMOKE;
    for (size_t f = 0; f < 4; f++)
        for (size_t d = 0; d < depths_of(s); d++)
            study_add(s, 'a', factors[f], 1,
                      recipe_gpt_flops((size_t)depths[d], WIDTH, 64, rows_of(s), 1), depths[d],
                      STUDY_ANY);
    for (size_t i = 0; i < 5 && all; i++)
        for (size_t seed = 1; seed <= study_seeds(s, 1, 2, 3); seed++)
            study_add(s, 'b', "projection", seed, flops, stds[i], STUDY_ANY);
    for (size_t a = 0; a < arms_of(s); a++)
        for (size_t seed = 1; seed <= study_seeds(s, 1, 2, 3); seed++) {
            if (a == 0 && seed == 1) s->proof = s->cells;
            study_add(s, 'c', arms[a], seed, a == 1 ? 2 * flops : flops, STUDY_ANY, STUDY_ANY);
        }
    if (!study_has(s, 'c')) s->proof = 0;
    s->epochs = recipe_gpt_epochs((double)(steps_of(s) * m.how.batch * m.gpt2.context));
    study_note(s, "at initialisation", "GPT(L,%d,64), one batch of %zu, std 0.02", WIDTH,
               rows_of(s));
    study_note(s, "trained", "GPT(12,%zu,%zu), batch %zu, AdamW 2e-3, warmup 10%%, %.0f steps",
               m.gpt2.width, m.gpt2.context, m.how.batch, (double)steps_of(s));
}

/* ---- cells ---- */
static bool is_projection(const struct weft_param_info *p) {
    return strcmp(p->role, "attn_proj") == 0 || strcmp(p->role, "mlp_proj") == 0;
}

/* All matrices N(0, STD^2), projections times the arm's factor, or of the cell's std. */
static enum weft_status scale_projections(struct trial *t) {
    const struct study_cell *const c = t->run->cell;
    const double by = c->part == 'b' ? c->number[0] / STD : factor_of(c->arm, t->spec->gpt2.layers);
    for (size_t i = 0; i < t->params; i++)
        if (is_projection(&t->param[i])) trial_scale(&t->param[i], 0, t->param[i].shape[0], by);
    return WEFT_OK;
}

static enum weft_status run_first(struct study_run *r) {
    struct trial_spec spec = recipe_gpt((size_t)r->cell->number[0], WIDTH, 64, rows_of(r->s));
    spec.how.watch = "stream layer";
    spec.init = (struct weft_init){.name = "normal", .std = STD};
    spec.steps = 1;
    spec.kinds = "std rms z_rms";
    spec.tensors = "resid mlp_proj";
    spec.start = scale_projections;
    spec.eval_samples = TRIAL_NO_EVAL;
    return trial_run(r, &spec);
}

/* Learned scalars of a layer, times the mean of its heads': what W_q, W_k, W_v are multiplied by.
 */
static enum weft_status put_scales(struct trial *t) {
    if (!t->due) return WEFT_OK;
    for (size_t i = 0; i + 1 < t->params; i++) {
        const struct weft_param_info *const one = &t->param[i], *const heads = &t->param[i + 1];
        if (strcmp(one->role, "scale") != 0 || trial_count(one) != 1) continue;
        const size_t n = trial_count(heads) / 3;
        for (size_t k = 0; k < 3; k++) {
            double mean = 0;
            for (size_t h = 0; h < n; h++) mean += (double)heads->data[k * n + h] / (double)n;
            study_put(t->run, (int64_t)t->step, one->layer, slices[k], KIND_value,
                      mean * (double)one->data[0]);
        }
    }
    return WEFT_OK;
}

struct reached { /* by a run before: std of each slice */
    double std[LAYERS][3];
};

/* Each slice of W_qkv gets the std that was reached; the draws stay. */
static enum weft_status take_over(struct trial *t) {
    const struct reached *const to = t->user;
    for (size_t i = 0; i < t->params; i++) {
        struct weft_param_info *const p = &t->param[i];
        const size_t rows = p->shape[1];
        for (size_t k = 0; strcmp(p->role, "attn_qkv") == 0 && k < 3; k++)
            trial_scale(p, k * rows, rows, to->std[p->layer][k] / STD);
    }
    return WEFT_OK;
}

static enum weft_status probe(struct study_run *r, const struct trial_spec *spec,
                              struct reached *out) {
    struct trial t;
    bool ok = true;
    enum weft_status st = trial_open(&t, r, spec);
    for (; st == WEFT_OK && ok && t.step < spec->steps; t.step++) {
        t.due = t.step + 1 == spec->steps;
        st = trial_step(&t, &ok);
    }
    for (int l = 0; l < LAYERS && st == WEFT_OK; l++)
        for (int k = 0; k < 3; k++) out->std[l][k] = trial_statistic(&t, l, slices[k], "std");
    trial_close(&t);
    return st;
}

static enum weft_status run(struct study_run *r) {
    const struct study_cell *const c = r->cell;
    struct trial_spec spec = model(r->s);
    struct reached reached;
    if (c->part == 'a') return run_first(r);
    spec.gpt2.scales = strcmp(c->arm, "learned") == 0;
    spec.init = (struct weft_init){.name = "normal", .std = STD};
    spec.start = scale_projections;
    spec.steps = steps_of(r->s);
    spec.schedule = (struct weft_schedule){.kind = WEFT_SCHEDULE_COSINE,
                                           .lr = 2e-3,
                                           .min_fraction = 0.1,
                                           .steps = spec.steps,
                                           .warmup = spec.steps / 10};
    spec.kinds = "std logit_max";
    spec.tensors = "q k v attn";
    spec.decades = true;
    spec.eval_samples = r->s->set.setting == STUDY_SMOKE ? 4 : 128;
    if (spec.gpt2.scales) spec.after = put_scales;
    if (strcmp(c->arm, "probe") == 0) {
        const enum weft_status st = probe(r, &spec, &reached);
        if (st != WEFT_OK) return st;
        spec.start = take_over;
        spec.user = &reached;
    }
    return trial_run(r, &spec);
}

/* ---- numbers ---- */
static const struct study_cell *first(const struct study *s, const char *factor, double depth) {
    return study_find(s, 'a', factor, depth, STUDY_ANY, 1);
}

/* Variance of what layer l adds to the stream through its perceptron, averaged over layers. */
static double branch(const struct study *s, const char *factor, double depth) {
    double sum = 0;
    for (int l = 0; l < (int)depth; l++)
        sum += pow(study_value(first(s, factor, depth), KIND_z_rms, l, "mlp_proj", 0), 2) / depth;
    return sum;
}

/* Variance of the stream before layer l. */
static double stream(const struct study *s, const char *factor, double depth, int l) {
    return pow(study_value(first(s, factor, depth), KIND_std, l, "resid", 0), 2);
}

static struct stats_line growth(const struct study *s, const char *factor, double depth) {
    double x[64], y[64];
    for (int l = 0; l < (int)depth; l++) {
        x[l] = l;
        y[l] = stream(s, factor, depth, l);
    }
    return stats_slope(x, y, (size_t)depth);
}

/* Mean over slices of |ln(final std / initial std)|. */
static double drift(const struct study_cell *c) {
    double sum = 0;
    for (int l = 0; l < LAYERS; l++)
        for (int k = 0; k < 3; k++)
            sum += fabs(log(study_value(c, KIND_std, l, slices[k], STUDY_LAST) /
                            study_value(c, KIND_std, l, slices[k], 0))) /
                   (3 * LAYERS);
    return sum;
}

static double mean_of(const struct study *s, const char *arm,
                      double (*value)(const struct study_cell *c)) {
    return study_spread_of(s, 'c', arm, STUDY_ANY, STUDY_ANY, value).mean;
}

/* ---- checks ---- */
static void check_first(struct study *s) {
    struct check_worst var = {0}, ratio = {0}, line = {0}, zero = {0};
    const double q = WIDTH * STD * STD, each = 4 * q * q * theory_c("gelu_tanh", q);
    for (size_t d = 0; d < depths_of(s) && study_has(s, 'a'); d++) {
        const double depth = depths[d];
        for (size_t f = 0; f < 3; f++) {
            const double by = factor_of(factors[f], (size_t)depth);
            check_near(&var, branch(s, factors[f], depth) / (each * by * by), 1, 0.05, "%s, L %.0f",
                       factors[f], depth);
            if (depth >= 6)
                check_near(&line, growth(s, factors[f], depth).r2, 1, 0.02, "%s, L %.0f",
                           factors[f], depth);
        }
        check_near(&ratio, branch(s, "one", depth) / branch(s, "1/sqrt(2L)", depth) / (2 * depth),
                   1, 0.05, "L %.0f", depth);
        for (int l = 1; l < (int)depth; l++)
            check_near(&zero, study_value(first(s, "zero", depth), KIND_rms, l, "resid", 0),
                       study_value(first(s, "zero", depth), KIND_rms, 0, "resid", 0), 1e-300,
                       "L %.0f, layer %d", depth, l + 1);
    }
    study_check_worst(s, CHECK_TH, 'a', "perceptron branch has variance 4dσ²s² q c(q)", &var, NULL);
    study_check_worst(s, CHECK_TH, 'a', "Var(x_l) is linear in l: R²", &line, NULL);
    study_check_worst(s, CHECK_TH, 'a', "branch variance, s = 1 over 1/√(2L), is 2L", &ratio, NULL);
    study_check(s, CHECK_RP, 'a', "growth of Var(x_l) a layer, s = 1 over 1/√(2L), L 12",
                growth(s, "one", 12).slope / growth(s, "1/sqrt(2L)", 12).slope, 0, 0, NULL);
    study_remark(s, "not 24: attention outputs correlate over positions");
    study_check_worst(s, CHECK_ID, 'a', "s = 0: the stream stays what the embedding made", &zero,
                      NULL);
}

static void check_drift(struct study *s) {
    const double base = mean_of(s, "base", drift), probe_arm = mean_of(s, "probe", drift);
    study_check(s, CHECK_EF, 'c', "drift of stds, probe over base", probe_arm / base, 0, 1 - 1e-9,
                "no number exists");
    for (size_t a = 0; a < arms_of(s) && study_has(s, 'c'); a++) {
        const struct study_pairs p =
            study_pairs_of(s, 'c', arms[a], "base", STUDY_ANY, STUDY_ANY, study_final_loss);
        const struct stats_test t = study_paired(&p);
        study_remark(
            s, "%s: drift %.3f, loss %.3f (%+.3f ± %.3f), H2 at step %.0f", arms[a],
            mean_of(s, arms[a], drift), mean_of(s, arms[a], study_final_loss), t.mean,
            t.high - t.mean,
            study_steps_to(study_find(s, 'c', arms[a], STUDY_ANY, STUDY_ANY, 1), s->corpus->h2));
        study_sum(s, study_text(s, "%s: final loss", arms[a]),
                  mean_of(s, arms[a], study_final_loss));
    }
    study_answer(s,
                 "Residual scaling does to the stream what theory says; starting each slice at the "
                 "std that a run has reached changes the drift of stds from %.2f to %.2f, and the "
                 "loss from %.3f to %.3f (1/√(2L): %.3f).",
                 base, probe_arm, mean_of(s, "base", study_final_loss),
                 mean_of(s, "probe", study_final_loss), mean_of(s, "1/sqrt(2L)", study_final_loss));
}

/* ---- figures ---- */
static void draw_growth(struct study *s) {
    const double depth = depths[depths_of(s) - 1];
    struct study_figure *const f = figure_xy(
        s, "residual_growth", study_text(s, "Stream at initialisation, %.0f layers", depth),
        "layer", "Var(x_l)");
    f->y.log = true;
    for (size_t k = 0; k < 4; k++) {
        const size_t n = (size_t)depth;
        double *const x = study_doubles(s, n), *const y = study_doubles(s, n);
        for (size_t l = 0; l < n; l++) {
            x[l] = (double)l + 1;
            y[l] = stream(s, factors[k], depth, (int)l);
        }
        figure_curve(f, factors[k], figure_hue(k), FIGURE_LINE,
                     &(struct study_curve){.n = n, .x = x, .mean = y});
    }
}

static void draw_losses(struct study *s) {
    struct study_figure *const f = figure_xy(s, "loss", "Training loss", "step", "training loss");
    for (size_t a = 0; a < arms_of(s); a++) {
        const struct study_curve c =
            study_smooth_of(s, 'c', arms[a], STUDY_ANY, STUDY_ANY, KIND_loss, -1, "");
        figure_curve(f, arms[a], figure_hue(a), FIGURE_LINE, &c);
    }
}

static void draw_drift(struct study *s) {
    struct study_figure *const f = figure_xy(
        s, "drift", "W_q: ln(final std / initial std) by layer", "layer", "ln of the ratio");
    for (size_t a = 0; a < arms_of(s); a++) {
        const struct study_cell *const c = study_find(s, 'c', arms[a], STUDY_ANY, STUDY_ANY, 1);
        double *const x = study_doubles(s, LAYERS), *const y = study_doubles(s, LAYERS);
        for (int l = 0; l < LAYERS; l++) {
            x[l] = l + 1;
            y[l] = log(study_value(c, KIND_std, l, "q", STUDY_LAST) /
                       study_value(c, KIND_std, l, "q", 0));
        }
        figure_curve(f, arms[a], figure_hue(a), FIGURE_DOTS,
                     &(struct study_curve){.n = LAYERS, .x = x, .mean = y});
    }
}

/* Largest attention logit of the last step, over layers. */
static double last_logit(const struct study_cell *c) {
    double most = -(double)INFINITY;
    for (int l = 0; l < LAYERS; l++)
        most = stats_worse(most, study_value(c, KIND_logit_max, l, "attn", STUDY_LAST));
    return most;
}

static void draw_stds(struct study *s) {
    struct study_figure *const f =
        figure_xy(s, "proj_std", "Projections' std: final loss, largest attention logit (dashed)",
                  "std", "training loss");
    double *const y = study_doubles(s, 5), *const top = study_doubles(s, 5);
    f->x.log = true;
    f->right = (struct figure_axis){.label = "largest logit"};
    for (size_t i = 0; i < 5; i++) {
        y[i] = study_spread_of(s, 'b', "projection", stds[i], STUDY_ANY, study_final_loss).mean;
        top[i] = study_spread_of(s, 'b', "projection", stds[i], STUDY_ANY, last_logit).mean;
    }
    figure_curve(f, "loss", figure_hue(0), FIGURE_DOTS,
                 &(struct study_curve){.n = 5, .x = stds, .mean = y});
    figure_line(f, &(struct figure_series){.label = "logit",
                                           .color = figure_hue(1),
                                           .mark = FIGURE_DASHED,
                                           .right = true,
                                           .n = 5,
                                           .x = stds,
                                           .y = top});
}

static void judge(struct study *s) {
    check_first(s);
    check_drift(s);
    if (study_has(s, 'a')) draw_growth(s);
    if (study_has(s, 'c')) draw_drift(s);
    if (study_has(s, 'c')) draw_losses(s);
    if (study_has(s, 'c') && arms_of(s) == 5)
        figure_layers(
            s, "scales", "Learned scalars on W_q, by layer", "scale",
            &(struct study_series_of){'c', "learned", STUDY_ANY, STUDY_ANY, KIND_value, "q"},
            LAYERS);
    if (study_find(s, 'b', "projection", stds[0], STUDY_ANY, 1) != NULL) draw_stds(s);
}

const struct weft_study study_depth_init = {
    .name = "depth-init",
    .question = "Do residual scaling and initial standard deviations by layer remove the effect of "
                "depth?",
    .source = "Han 2025 (arXiv 2510.09423), future work 1, recommendations 2 and 3",
    .parts = "abc",
    .part = {"the stream at initialisation", "std of the projections (not in --quick)",
             "trained with five ways to start"},
    .slow = "b",
    .numbers = {"value"},
    .data = "text",
    .language = true,
    .grid = grid,
    .run = run,
    .judge = judge,
};
