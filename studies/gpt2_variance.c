/* E3: how do the standard deviations of W_q, W_k, W_v of twelve layers move in pre-training, and
 * does AdamW's equilibrium explain it?
 *
 *   a  weights that see noise only        b  training        c  histograms (in b, first seed)
 *   d  signal to noise of gradients, effective steps (in b, first seed)
 *   e  without decay                      f  SGD with momentum, Adam with L2
 *   g  b at GPT(12,192,256), batch 8, 2000 steps: between quick and default
 *
 * Yardstick of uncorrelated updates: S = std^2, dS/dt = -2 eta lambda S + eta^2 over the real
 * schedule. It is an assumption about training, a theorem only in part a. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "studies/curve.h"
#include "studies/equilibrium.h"
#include "studies/look.h"
#include "studies/recipe.h"
#include "studies/stats.h"
#include "studies/verdict.h"

#define LAYERS 12
#define STD0   EQUILIBRIUM_STD
static const char *const slices[] = {"q", "k", "v"};

struct size { /* of a training */
    size_t width, context, batch;
    double lr, decay;
    uint64_t steps, warmup, every;
};

static struct size size_of(const struct study *s, char part) {
    const struct size quick = {64, 64, 8, 2e-3, 0.1, 600, 30, 1};
    const struct size normal = {384, 256, 32, 6e-4, 0.1, 10000, 200, 10};
    const struct size between = {192, 256, 8, 6e-4, 0.1, 2000, 40, 4};
    const struct size paper = {768, 256, 256, 6e-4, 0.1, 50000, 1000, 50};
    struct size z = s->set.setting <= STUDY_QUICK   ? quick
                    : part == 'g'                   ? between
                    : s->set.setting == STUDY_PAPER ? paper
                                                    : normal;
    if (part == 'f' && s->set.setting == STUDY_QUICK) z.steps = 200;
    if (s->set.setting == STUDY_SMOKE) z.steps = 3;
    return z;
}

static double flops_of(const struct study *s, char part) {
    const struct size z = size_of(s, part);
    return recipe_gpt_flops(LAYERS, z.width, z.context, z.batch, (double)z.steps);
}

/* The part whose training is looked at. */
static char main_part(const struct study *s) { return study_has(s, 'b') ? 'b' : 'g'; }

static void grid(struct study *s) {
    const bool smoke = s->set.setting == STUDY_SMOKE, quick = s->set.setting == STUDY_QUICK;
    const size_t seeds = study_seeds(s, 1, 2, 3);
    for (int i = 0; i < 4; i++)
        study_add(s, 'a', "noise", 1, 1e9, i / 2 ? 0.5 : 0, i % 2 ? 0.999 : 0.95);
    for (size_t seed = 1; seed <= seeds; seed++) {
        if (seed == 1 && study_has(s, 'b')) s->proof = s->cells;
        study_add(s, 'b', "adamw", seed, flops_of(s, 'b'), STUDY_ANY, STUDY_ANY);
    }
    for (size_t seed = 1; seed <= (quick || smoke ? 1 : seeds); seed++) {
        study_add(s, 'e', "no-decay", seed, flops_of(s, 'e'), STUDY_ANY, STUDY_ANY);
        study_add(s, 'f', "momentum", seed, flops_of(s, 'f'), STUDY_ANY, STUDY_ANY);
        study_add(s, 'f', "adam-l2", seed, flops_of(s, 'f'), STUDY_ANY, STUDY_ANY);
    }
    for (size_t seed = 1; seed <= study_seeds(s, 1, 2, 2) && !smoke; seed++) {
        if (seed == 1 && !study_has(s, 'b')) s->proof = s->cells;
        study_add(s, 'g', "adamw", seed, flops_of(s, 'g'), STUDY_ANY, STUDY_ANY);
    }
    s->plain = strcmp(s->set.parts, "a") == 0;
    const struct size z = size_of(s, main_part(s));
    s->epochs = recipe_gpt_epochs((double)(z.steps * z.batch * z.context));
    study_note(s, "model", "GPT(%d,%zu,%zu), N(0, 0.02²), projections 0.02/√24", LAYERS, z.width,
               z.context);
    study_note(s, "training",
               "batch %zu, %.0f steps, lr %g, cosine to 10%%, warmup %.0f, AdamW "
               "0.9/0.95, decay %g, clip 1",
               z.batch, (double)z.steps, z.lr, (double)z.warmup, z.decay);
}

static struct weft_param_info *param_of(struct trial *t, int layer, const char *what) {
    char name[64];
    snprintf(name, sizeof name, "transformer.h.%d.%s", layer, what);
    return trial_param(t, name);
}
static struct weft_param_info *attention_weight(struct trial *t, int layer) {
    return param_of(t, layer, "attn.c_attn.weight");
}

static struct weft_schedule schedule_of(const struct size *z) {
    return (struct weft_schedule){.kind = WEFT_SCHEDULE_COSINE,
                                  .lr = z->lr,
                                  .min_fraction = 0.1,
                                  .steps = z->steps,
                                  .warmup = z->warmup};
}

/* ---- c: histograms ---- */
static const uint64_t *histogram_steps(const struct study *s) {
    static const uint64_t quick[] = {0, 30, 100, 600}, normal[] = {0, 100, 1000, 10000};
    return s->set.setting <= STUDY_QUICK ? quick : normal;
}

/* Of the first, the sixth and the last layer; the last step takes the place of a later one. */
static void histograms(struct trial *t, uint64_t step) {
    static const int layers[] = {0, 5, LAYERS - 1};
    const struct study_run *const r = t->run;
    const uint64_t *const at = histogram_steps(r->s);
    bool wanted = step == t->spec->steps;
    for (size_t i = 0; i < 4; i++) wanted |= at[i] == step;
    if (!wanted || r->cell->seed != 1 || r->cell->part == 'f') return;
    for (size_t l = 0; l < 3; l++)
        for (size_t k = 0; k < 3; k++) {
            const struct weft_param_info *const w = attention_weight(t, layers[l]);
            const size_t n = w->shape[1] * w->shape[1];
            char tensor[16];
            snprintf(tensor, sizeof tensor, "%s.h%d", slices[k], layers[l]);
            look_histogram(t->run, step, tensor, w->data + k * n, n, 8 * STD0);
        }
}

static enum weft_status at_start(struct trial *t) {
    histograms(t, 0);
    return WEFT_OK;
}

/* ---- d: signal to noise, effective step ---- */
/* Ten steps, log-spaced. */
static bool wants_signal(const struct trial *t) {
    if (t->run->cell->seed != 1 || strchr("bg", t->run->cell->part) == NULL) return false;
    if (t->run->s->set.setting == STUDY_SMOKE) return t->step == 1;
    for (int i = 0; i < 10; i++)
        if (t->step == (uint64_t)(pow((double)t->spec->steps, i / 9.0) + 0.5) - 1) return true;
    return false;
}

static enum weft_status remember_weights(struct trial *t) {
    float *const copy = t->user;
    if (!wants_signal(t)) return WEFT_OK;
    for (int l = 0; l < LAYERS; l++) {
        const struct weft_param_info *const w = attention_weight(t, l);
        const size_t n = w->shape[1] * w->shape[1]; /* W_q: the first third of the rows */
        memcpy(copy + (size_t)l * n, w->data, n * sizeof *copy);
    }
    return WEFT_OK;
}

static void effective_steps(struct trial *t) {
    struct weft_probe_value v[256];
    const size_t n = weft_model_probes(t->model, v, 256), width = t->spec->gpt2.width;
    bool seen[LAYERS] = {false};
    for (size_t i = 0; i < n && i < 256; i++) { /* the first norm of a layer is ln_1 */
        const int l = v[i].layer;
        if (l < 0 || strcmp(v[i].kind, "std") != 0 || seen[l] || v[i].of == NULL) continue;
        seen[l] = true;
        const float *const before = (const float *)t->user + (size_t)l * width * width;
        study_put(t->run, (int64_t)t->step, l, "effective", KIND_value,
                  look_effective(attention_weight(t, l), before, &v[i],
                                 param_of(t, l, "ln_1.weight")->data,
                                 param_of(t, l, "ln_1.bias")->data));
    }
}

static enum weft_status signals(struct trial *t) {
    struct weft_param_info *weight[LAYERS];
    if (!wants_signal(t)) return WEFT_OK;
    for (int l = 0; l < LAYERS; l++) weight[l] = attention_weight(t, l);
    if (t->due) effective_steps(t);
    return look_signal(t, weight, LAYERS, "snr");
}

/* ---- b, e, f, g: training ---- */
static void record_decade(struct trial *t) {
    static const char *const kinds = "mean absmax gnorm update_ratio norm rms logit_max entropy";
    for (size_t i = 0; i < t->statistics; i++) {
        const struct weft_statistic *const v = &t->statistic[i];
        enum study_kind kind;
        const bool head = strchr(v->tensor, '.') != NULL;
        const bool wanted = strchr("qkv", v->tensor[0]) != NULL || strcmp(v->tensor, "attn") == 0 ||
                            strncmp(v->tensor, "resid", 5) == 0;
        const bool listed = strstr(kinds, v->kind) != NULL || (head && strcmp(v->kind, "std") == 0);
        if (wanted && listed && study_kind_named(v->kind, &kind))
            study_put(t->run, (int64_t)t->step, v->layer, v->tensor, kind, v->value);
    }
}

static enum weft_status after(struct trial *t) {
    if (t->due && trial_decades(t->step)) record_decade(t);
    histograms(t, t->step + 1);
    return signals(t);
}

static enum weft_status run(struct study_run *r) {
    const struct study_cell *const c = r->cell;
    const struct size z = size_of(r->s, c->part);
    if (c->part == 'a') return equilibrium_run(r);
    struct trial_spec spec = recipe_gpt(LAYERS, z.width, z.context, z.batch);
    spec.how.watch = "weights heads stream entropy";
    spec.how.keep = true;
    spec.how.optim.weight_decay = z.decay;
    spec.steps = z.steps;
    spec.schedule = schedule_of(&z);
    spec.every = z.every;
    spec.kinds = "std";
    spec.tensors = "q k v";
    spec.eval_samples = r->s->set.setting == STUDY_SMOKE ? 8 : 256;
    spec.start = at_start;
    spec.grad = remember_weights;
    spec.after = after;
    if (strcmp(c->arm, "no-decay") == 0) spec.how.optim.weight_decay = 0;
    if (strcmp(c->arm, "adam-l2") == 0) spec.how.optim.name = "adam";
    if (strcmp(c->arm, "momentum") == 0) {
        spec.how.optim = (struct weft_optim){"momentum", .beta1 = 0.9, .clip = 1};
        spec.schedule.lr = 0.3;
    }
    spec.user = malloc(LAYERS * z.width * z.width * sizeof(float));
    if (spec.user == NULL) return weft_ctx_fail(r->ctx, WEFT_ERR_NOMEM, "out of memory");
    const enum weft_status st = trial_run(r, &spec);
    free(spec.user);
    return st;
}

/* ---- numbers ---- */
static double *yardstick(struct study *s, const struct size *z) {
    const struct weft_schedule schedule = schedule_of(z);
    return equilibrium_std(s, &schedule, z->decay);
}

static double median_ratio(struct study *s, const struct size *z, char part, const char *arm) {
    double ratio[3 * LAYERS];
    const double want = yardstick(s, z)[z->steps];
    for (size_t k = 0; k < 3; k++)
        for (int l = 0; l < LAYERS; l++) {
            const struct study_curve c =
                study_curve_of(s, part, arm, STUDY_ANY, STUDY_ANY, KIND_std, l, slices[k]);
            ratio[(size_t)l * 3 + k] = c.n > 0 ? c.mean[c.n - 1] / want : (double)NAN;
        }
    return stats_median(ratio, 3 * LAYERS);
}

/* Growth of a layer's three slices, ln(std_t/std_0), averaged, over the steps of its records. */
static size_t growth(struct study *s, char part, int layer, const double **x, double **y) {
    size_t n = 0;
    for (size_t k = 0; k < 3; k++) {
        const struct study_curve c =
            study_curve_of(s, part, "adamw", STUDY_ANY, STUDY_ANY, KIND_std, layer, slices[k]);
        if (k == 0) {
            n = c.n;
            *x = c.x;
            *y = study_doubles(s, n);
        }
        for (size_t i = 0; i < n; i++) (*y)[i] += log(c.mean[i] / STD0) / 3;
    }
    return n;
}

/* By layer: slope over the first 5% of the steps, and the first step at half the final growth. */
static void paces(struct study *s, char part, const struct size *z, double *early, double *half) {
    for (int l = 0; l < LAYERS; l++) {
        const double *x = NULL;
        double *y = NULL;
        const size_t n = growth(s, part, l, &x, &y);
        size_t first = 0, at = 0;
        while (first < n && x[first] <= 0.05 * (double)z->steps) first++;
        while (at + 1 < n && fabs(y[at]) < fabs(y[n - 1]) / 2) at++;
        early[l] = stats_slope(x, y, first).slope;
        half[l] = n > 0 ? x[at] : (double)NAN;
    }
}

/* Coefficient of variation over the layers of std (geometric mean of the slices): at the end, and
 * its largest. */
static void spreads(struct study *s, char part, double *end, double *most) {
    const double *x = NULL;
    double *y[LAYERS] = {NULL};
    size_t n = 0;
    *end = *most = (double)NAN;
    for (int l = 0; l < LAYERS; l++) n = growth(s, part, l, &x, &y[l]);
    for (size_t i = 0; i < n; i++) {
        double std[LAYERS];
        for (size_t l = 0; l < LAYERS; l++) std[l] = exp(y[l][i]);
        *end = stats_sd(std, LAYERS) / stats_mean(std, LAYERS);
        *most = fmax(*most, *end);
    }
}

/* ---- checks ---- */
static void check_kurtosis(struct study *s, char part, const struct size *z) {
    struct check_worst w = {0};
    const struct study_cell *const c = study_find(s, part, "adamw", STUDY_ANY, STUDY_ANY, 1);
    const double n = (double)(z->width * z->width);
    for (size_t i = 0; c != NULL && i < c->records; i++)
        if (c->record[i].kind == KIND_kurt && c->record[i].step == 0)
            check_near(&w, c->record[i].value, 3, 4 * sqrt(24 / n), "%s", c->record[i].tensor);
    study_check_worst(s, CHECK_ID, part, "kurtosis of initial weights is 3", &w, NULL);
}

static void check_training(struct study *s, char part, const struct size *z) {
    double layer[LAYERS], early[LAYERS], half[LAYERS], end, most;
    const double ratio = median_ratio(s, z, part, "adamw");
    for (int l = 0; l < LAYERS; l++) layer[l] = l + 1;
    paces(s, part, z, early, half);
    spreads(s, part, &end, &most);
    const double rho = stats_spearman(layer, early, LAYERS).size;
    const double late = stats_spearman(layer, half, LAYERS).size;
    study_check(s, CHECK_EF, part, "median over 36 slices of final std / yardstick", ratio, 0.5, 2,
                NULL);
    study_remark(s, "uncorrelated updates are an assumption, no theorem");
    study_check(s, CHECK_EF, part, "shallow first: ρ(layer, early slope)", rho, -1, -1e-9,
                "\"shallow layers earlier\" [src], no number");
    study_check(s, CHECK_EF, part, "shallow first: ρ(layer, step of half the growth)", late, 1e-9,
                1, "\"deeper layers later\" [src], no number");
    study_check(s, CHECK_EF, part, "narrow band: final CV over layers / its maximum", end / most, 0,
                1 - 1e-9, "\"a narrow band\" [src], no number");
    study_remark(s, "coefficient of variation %.3f at the end, %.3f at most", end, most);
    study_sum(s, "final loss",
              study_spread_of(s, part, "adamw", STUDY_ANY, STUDY_ANY, study_final_loss).mean);
    study_sum(s, "std / yardstick, median", ratio);
    study_answer(s,
                 "The standard deviations of W_q, W_k, W_v end at %.2f times what AdamW does to "
                 "weights that see noise; Spearman's ρ of layer and early growth is %.2f%s.",
                 ratio, rho, rho < 0 ? "" : ": shallow layers do not lead at this size");
}

/* Parts e and f beside the main one; only AdamW has a yardstick, without decay S_0 + Σ η². */
static const struct arm {
    char part; /* 0: the main one */
    const char *name, *label;
} arms[] = {{0, "adamw", "AdamW"},
            {'e', "no-decay", "AdamW without decay"},
            {'f', "momentum", "SGD with momentum"},
            {'f', "adam-l2", "Adam with L2"}};

static void report_arms(struct study *s, char part) {
    struct size z = size_of(s, 'e');
    z.decay = 0;
    study_check(s, CHECK_RP, 'e', "without decay: median of final std / yardstick",
                median_ratio(s, &z, 'e', "no-decay"), 0, 0, NULL);
    for (size_t i = 0; i < sizeof arms / sizeof *arms; i++) {
        const char own = arms[i].part ? arms[i].part : part;
        const struct study_spread l =
            study_spread_of(s, own, arms[i].name, STUDY_ANY, STUDY_ANY, study_final_loss);
        if (study_has(s, own)) study_remark(s, "loss, %s: %.3f", arms[i].label, l.mean);
    }
}

/* ---- figures ---- */
/* W_q of the sixth layer under each optimizer. */
static void draw_arms(struct study *s, char part) {
    struct study_figure *const f =
        figure_xy(s, "arms", "Standard deviation of W_q, layer 6, by optimizer", "step", "std");
    for (size_t i = 0; i < sizeof arms / sizeof *arms; i++) {
        const char own = arms[i].part ? arms[i].part : part;
        const struct study_curve c =
            study_curve_of(s, own, arms[i].name, STUDY_ANY, STUDY_ANY, KIND_std, 5, "q");
        if (study_has(s, own)) figure_curve(f, arms[i].label, figure_hue(i), FIGURE_LINE, &c);
    }
}

static void draw_std(struct study *s, char part, const struct size *z) {
    const size_t n = (size_t)z->steps + 1;
    double *const x = study_doubles(s, n);
    for (size_t i = 0; i < n; i++) x[i] = (double)i;
    for (size_t k = 0; k < 3; k++) {
        struct study_figure *const f = figure_layers(
            s, study_text(s, "qkv_std_%s", slices[k]),
            study_text(s, "Standard deviation of W_%s", slices[k]), "std",
            &(struct study_series_of){part, "adamw", STUDY_ANY, STUDY_ANY, KIND_std, slices[k]},
            LAYERS);
        figure_curve(f, "noise only", figure_grey(), FIGURE_DASHED,
                     &(struct study_curve){.n = n, .x = x, .mean = yardstick(s, z)});
    }
}

static void draw_histogram(struct study *s, char part, const struct size *z) {
    struct study_figure *const f =
        figure_new(s, "hist_layer6", "W_q of layer 6: density (normal fit dotted)");
    const struct study_cell *const c = study_find(s, part, "adamw", STUDY_ANY, STUDY_ANY, 1);
    const uint64_t *const at = histogram_steps(s);
    f->x = (struct figure_axis){.label = "weight", .lo = -8 * STD0, .hi = 8 * STD0};
    f->y = (struct figure_axis){.label = "density", .log = true, .lo = 1e-3, .hi = 100};
    for (size_t i = 0; i < 4; i++) {
        double *const x = study_doubles(s, LOOK_BINS), *const y = study_doubles(s, LOOK_BINS);
        double *const fit = study_doubles(s, LOOK_BINS);
        const uint64_t step = i == 3 ? z->steps : at[i];
        if (!look_density(c, step, "q.h5", 8 * STD0, x, y)) continue;
        look_normal(study_value(c, KIND_std, -1, "q.h5", (int64_t)step), x, fit);
        figure_curve(f, study_text(s, "step %.0f", (double)step), figure_hue(i), FIGURE_LINE,
                     &(struct study_curve){.n = LOOK_BINS, .x = x, .mean = y});
        figure_curve(f, NULL, figure_hue(i), FIGURE_DOTTED,
                     &(struct study_curve){.n = LOOK_BINS, .x = x, .mean = fit});
    }
}

static void draw_growth(struct study *s, char part) {
    struct study_figure *const f =
        figure_new(s, "growth_vs_depth", "Growth of W_q, W_k, W_v over the layers");
    f->x = (struct figure_axis){.label = "layer"};
    f->y = (struct figure_axis){.label = "ln(std / initial std)"};
    for (size_t i = 0; i < 5; i++) {
        double *const depth = study_doubles(s, LAYERS), *const y = study_doubles(s, LAYERS);
        double at = 0;
        for (int l = 0; l < LAYERS; l++) {
            const double *x = NULL;
            double *g = NULL;
            const size_t n = growth(s, part, l, &x, &g);
            const size_t k = n == 0 ? 0 : (size_t)(pow((double)n, (double)(i + 1) / 5) + 0.5) - 1;
            depth[l] = l + 1;
            y[l] = n > 0 ? g[k] : (double)NAN;
            at = n > 0 ? x[k] : 0;
        }
        figure_curve(f, study_text(s, "step %.0f", at), figure_hue(i), FIGURE_DOTS,
                     &(struct study_curve){.n = LAYERS, .x = depth, .mean = y});
    }
}

static void judge(struct study *s) {
    static const struct {
        const char *name, *title, *axis;
        enum study_kind kind;
        const char *tensor;
    } traces[] = {
        {"snr", "Signal to noise of the gradient of W_qkv", "|g|²/noise", KIND_value, "snr"},
        {"effective_step", "What a step of W_q changes", "|ΔW x| / |W x|", KIND_value, "effective"},
        {"entropy", "Entropy of attention", "entropy / ln(keys)", KIND_entropy, "attn"},
    };
    const char part = main_part(s);
    const struct size z = size_of(s, part);
    equilibrium_check(s, 'a');
    check_kurtosis(s, part, &z);
    check_training(s, part, &z);
    report_arms(s, part);
    if (!study_has(s, part)) return;
    draw_arms(s, part);
    draw_std(s, part, &z);
    draw_histogram(s, part, &z);
    draw_growth(s, part);
    for (size_t i = 0; i < sizeof traces / sizeof *traces; i++)
        figure_layers(s, traces[i].name, traces[i].title, traces[i].axis,
                      &(struct study_series_of){part, "adamw", STUDY_ANY, STUDY_ANY, traces[i].kind,
                                                traces[i].tensor},
                      LAYERS);
}

const struct weft_study study_gpt2_variance = {
    .name = "gpt2-variance",
    .question = "How do the standard deviations of W_q, W_k, W_v of twelve layers move in "
                "pre-training, and does AdamW's equilibrium explain it?",
    .source = "Han 2025 (arXiv 2510.09423), contribution 4 and its three explanations; corpus, "
              "width, rates and the values reached were not published",
    .parts = "abefg",
    .part = {"weights that see noise", "training, with histograms and signal to noise",
             "without decay", "SGD with momentum, Adam with L2",
             "b at GPT(12,192,256), 2000 steps (not in --quick)"},
    .slow = "g",
    .numbers = {"decay", "beta2"},
    .data = "text",
    .language = true,
    .paper = true,
    .grid = grid,
    .run = run,
    .judge = judge,
};
