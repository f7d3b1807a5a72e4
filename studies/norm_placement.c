/* Which place of LayerNorm is stable, with and without warmup?
 *
 *   post    Norm(x + f(x))      branch  x + Norm(f(x)), as the source prints it
 *   pre     x + f(Norm(x)), current practice      none
 *
 *   a  a small GPT on text, Xavier weights, Adam with beta2 0.98, without clipping
 *   b  what a norm cannot see: for each place a change of weights that its norms take back, and
 * that the norms of another place do not. Without eps, factors of two */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "studies/curve.h"
#include "studies/detect.h"
#include "studies/recipe.h"
#include "studies/stats.h"
#include "studies/theory.h"
#include "studies/verdict.h"

static const char *const places[] = {"post", "branch", "pre", "none"};
#define PLACES    4
#define MAX_RATES 10

#define SEEN   3 /* places with a norm, and changes: the first of each is the other's */
#define LAYERS 4 /* of part b */
#define WIDTH  256

struct size {
    size_t layers, width, context, batch, rates;
    double first, factor; /* rates */
    uint64_t steps, warmup;
};

static struct size size_of(const struct study *s) {
    const struct size smoke = {2, 64, 64, 2, 1, 1e-3, 4, 2, 1};
    const struct size quick = {12, 64, 64, 8, 4, 2.5e-4, 4, 100, 40};
    const struct size normal = {6, 256, 128, 32, 10, 1e-4, 1.6681005372000588, 2000, 100};
    return s->set.setting == STUDY_SMOKE ? smoke : s->set.setting == STUDY_QUICK ? quick : normal;
}
static double rate(const struct size *z, size_t i) { return z->first * pow(z->factor, (double)i); }

static void grid(struct study *s) {
    const struct size z = size_of(s);
    const double flops = recipe_gpt_flops(z.layers, z.width, z.context, z.batch, (double)z.steps);
    for (size_t p = 0; p < PLACES; p++)
        for (size_t w = 0; w < 2; w++)
            for (size_t k = 0; k < z.rates; k++)
                for (size_t seed = 1; seed <= study_seeds(s, 1, 1, 2); seed++) {
                    if (p == 2 && w == 0 && k == 0 && seed == 1) s->proof = s->cells;
                    study_add(s, 'a', places[p], seed, flops, rate(&z, k),
                              w ? (double)z.warmup : 0);
                }
    for (size_t p = 0; p < SEEN; p++)
        for (size_t change = 0; change < SEEN; change++)
            study_add(s, 'b', places[p], 1, recipe_gpt_flops(LAYERS, WIDTH, 64, 2, 2),
                      (double)change, STUDY_ANY);
    s->plain = !study_has(s, 'a');
    s->epochs = recipe_gpt_epochs((double)(z.steps * z.batch * z.context));
    study_note(s, "model", "GPT(%zu,%zu,%zu), batch %zu, Xavier", z.layers, z.width, z.context,
               z.batch);
    study_note(s, "training", "%.0f steps, Adam 0.9/0.98, no decay, no clipping, warmup 0 or %.0f",
               (double)z.steps, (double)z.warmup);
}

/* ---- b ---- */
static bool is_role(const struct weft_param_info *p, const char *role) {
    return strcmp(p->role, role) == 0;
}

/* What scales a parameter in the change that the norms of a place take back:
 *   post    twice the first norm's output and the second branch: W_fc/2 sees the same
 *   branch  twice what each branch gives
 *   pre     twice the stream: embeddings and branches; the last gain halves the tied logits */
static double factor_of(const struct weft_param_info *p, size_t change) {
    const bool matrix = p->shape[1] > 0, projection = is_role(p, "attn_proj") && matrix;
    const bool last = is_role(p, "mlp_proj") && matrix;
    switch (change) {
    case 0: return is_role(p, "ln_1") || last ? 2 : is_role(p, "mlp_fc") && matrix ? 0.5 : 1;
    case 1: return projection || last ? 2 : 1;
    default:
        return is_role(p, "ln_f")                                             ? 0.5
               : projection || last || is_role(p, "wte") || is_role(p, "wpe") ? 2
                                                                              : 1;
    }
}

/* The loss of one batch before and after a change, and the size of the second branch. */
static enum weft_status run_change(struct study_run *r) {
    struct trial_spec spec = recipe_gpt(LAYERS, WIDTH, 64, 2);
    struct trial t;
    bool ok = true;
    spec.gpt2.norm = r->cell->arm;
    spec.gpt2.norm_eps = 1e-12;
    spec.how.watch = "layer";
    spec.init = (struct weft_init){.name = "xavier-normal"};
    enum weft_status st = trial_open(&t, r, &spec);
    for (int after = 0; after < 2 && st == WEFT_OK && ok; after++) {
        for (size_t i = 0; i < t.params && after; i++)
            trial_scale(&t.param[i], 0, t.param[i].shape[0],
                        factor_of(&t.param[i], (size_t)r->cell->number[0]));
        t.step = 0;
        t.due = true;
        st = trial_step(&t, &ok);
        study_put(r, after, -1, "", KIND_loss, t.loss);
        for (int l = 0; l < LAYERS && !after; l++)
            study_put(r, 0, l, "mlp_proj", KIND_z_rms, trial_statistic(&t, l, "mlp_proj", "z_rms"));
    }
    trial_close(&t);
    return st;
}

static enum weft_status run(struct study_run *r) {
    const struct study_cell *const c = r->cell;
    const struct size z = size_of(r->s);
    if (c->part == 'b') return run_change(r);
    struct trial_spec spec = recipe_gpt(z.layers, z.width, z.context, z.batch);
    spec.gpt2.norm = c->arm;
    spec.how.watch = "stream";
    spec.how.optim = (struct weft_optim){"adam", 0.9, 0.98, 1e-8};
    spec.init = (struct weft_init){.name = "xavier-normal"};
    spec.steps = z.steps;
    spec.schedule = (struct weft_schedule){.kind = WEFT_SCHEDULE_CONSTANT,
                                           .lr = c->number[0],
                                           .steps = z.steps,
                                           .warmup = (uint64_t)c->number[1]};
    spec.kinds = "gnorm rms";
    spec.tensors = "mlp_proj resid";
    spec.eval_samples = r->s->set.setting == STUDY_SMOKE ? 4 : 128;
    return trial_run(r, &spec);
}

/* ---- numbers ---- */
static double first_gradient(const struct study *s, const char *place, int layer) {
    const struct size z = size_of(s);
    return study_value(study_find(s, 'a', place, rate(&z, 0), 0, 1), KIND_gnorm, layer, "mlp_proj",
                       0);
}
static double slope_of(const struct study *s, const char *place) { /* last over first layer */
    return first_gradient(s, place, (int)size_of(s).layers - 1) / first_gradient(s, place, 0);
}

static double validation(const struct study_cell *c) {
    return study_value(c, KIND_val_loss, -1, "", STUDY_LAST);
}

/* The largest rate at which every seed is feasible and does not rise; 0: none. */
static double stable_rate(struct study *s, const char *place, double warmup) {
    const struct size z = size_of(s);
    double best = 0;
    for (size_t k = 0; k < z.rates; k++) {
        const struct study_cell *cell[STUDY_MAX_SEEDS];
        const size_t n = study_seeds_of(s, 'a', place, rate(&z, k), warmup, cell, STUDY_MAX_SEEDS);
        bool stable = n > 0;
        for (size_t i = 0; i < n; i++) {
            size_t steps;
            const double *const loss = study_losses(s, cell[i], &steps);
            const struct detect_curve d = detect_look(loss, steps, (size_t)z.steps, s->corpus->h1);
            stable = stable && d.feasible && !d.rising;
        }
        if (stable) best = rate(&z, k);
    }
    return best;
}

/* ---- checks ---- */
static void check_unseen(struct study *s) {
    struct check_worst same = {0};
    double least = (double)INFINITY;
    for (size_t p = 0; p < SEEN; p++)
        for (size_t change = 0; change < SEEN && study_has(s, 'b'); change++) {
            const struct study_cell *const c =
                study_find(s, 'b', places[p], (double)change, STUDY_ANY, 1);
            const double moved =
                study_value(c, KIND_loss, -1, "", 1) / study_value(c, KIND_loss, -1, "", 0) - 1;
            if (p == change)
                check_near(&same, moved, 0, 1e-6, "%s", places[p]);
            else
                least = -stats_worse(-least, -fabs(moved));
        }
    study_check_worst(s, CHECK_ID, 'b', "loss keeps what the norms of a place cannot see", &same,
                      NULL);
    study_check(s, CHECK_ID, 'b', "norms elsewhere see it: least change of the loss",
                isfinite(least) ? least : (double)NAN, 1e-5, (double)INFINITY, NULL);
}

/* Behind a norm E[x^2] = 1: under pre and post the second branch starts with a variance of
 * 4 d sigma^2 q c(q), q = d sigma^2, and Xavier's sigma^2 = 2/(5 d). */
static void check_branches(struct study *s) {
    struct check_worst w = {0};
    const double q = 2.0 / 5, want = 4 * q * q * theory_c("gelu_tanh", q);
    for (size_t p = 0; p < SEEN && study_has(s, 'b'); p += 2) {
        double sum = 0;
        for (int l = 0; l < LAYERS; l++)
            sum += pow(study_value(study_find(s, 'b', places[p], 0, STUDY_ANY, 1), KIND_z_rms, l,
                                   "mlp_proj", 0),
                       2);
        check_near(&w, sum / LAYERS / want, 1, 0.05, "%s", places[p]);
    }
    study_check_worst(s, CHECK_TH, 'b', "behind a norm the second branch has 4dσ² q c(q)", &w,
                      NULL);
}

static void check_gradients(struct study *s) {
    static const char published[] = "Xiong et al. 2020: grows with depth under post, not under pre";
    const double pre = slope_of(s, "pre"), branch = slope_of(s, "branch");
    study_check(s, CHECK_EF, 'a', "gradient of W_2 at initialisation, last / first layer: pre", pre,
                0, 1, published);
    study_check(s, CHECK_EF, 'a', "the same: branch", branch, 0, 1, NULL);
    study_check(s, CHECK_EF, 'a', "the same: post", slope_of(s, "post"), 1, (double)INFINITY,
                published);
}

static void check_rates(struct study *s) {
    static const char published[] = "1e-4, 4.6e-4, 1.3e-3, 3.6e-3 (WMT14 En-De, 6 layers) [F]";
    const double warm = (double)size_of(s).warmup;
    const double r[] = {stable_rate(s, "post", 0), stable_rate(s, "post", warm),
                        stable_rate(s, "pre", 0), stable_rate(s, "pre", warm)};
    double falls = 0;
    for (size_t i = 0; i + 1 < 4; i++) falls += r[i] > r[i + 1];
    study_check(s, CHECK_EF, 'a',
                "largest stable rate: post, post + warmup, pre, pre + warmup falls",
                r[3] > 0 || falls > 0 ? falls : (double)NAN, 0, 0, published);
    study_remark(s,
                 "%g, %g, %g, %g (0: none of the grid); branch %g, with warmup %g; none %g, "
                 "with warmup %g",
                 r[0], r[1], r[2], r[3], stable_rate(s, "branch", 0),
                 stable_rate(s, "branch", warm), stable_rate(s, "none", 0),
                 stable_rate(s, "none", warm));
}

/* Pre against post at every rate where both end. */
static double check_losses(struct study *s) {
    const struct size z = size_of(s);
    double least = (double)INFINITY, at = (double)NAN;
    for (size_t k = 0; k < z.rates; k++) {
        const double pre = study_spread_of(s, 'a', "pre", rate(&z, k), 0, validation).mean;
        const double post = study_spread_of(s, 'a', "post", rate(&z, k), 0, validation).mean;
        if (!(post - pre < least)) continue;
        least = post - pre;
        at = rate(&z, k);
    }
    study_check(s, CHECK_EF, 'a', "validation loss, post minus pre, at the rate where least",
                isfinite(least) ? least : (double)NAN, 1e-9, (double)INFINITY, NULL);
    study_remark(s, "at rate %g without warmup", at);
    return least;
}

/* ---- figures ---- */
static void draw_losses(struct study *s) {
    const struct size z = size_of(s);
    struct study_figure *const f =
        figure_xy(s, "fig8", "Final validation loss (with warmup dashed)", "learning rate",
                  "validation loss");
    f->x.log = true;
    f->y.lo = 2;
    f->y.hi = 5;
    figure_rule(f, s->corpus->h1, "entropy of a byte");
    for (size_t p = 0; p < PLACES; p++)
        for (size_t w = 0; w < 2; w++) {
            double *const x = study_doubles(s, z.rates), *const y = study_doubles(s, z.rates);
            for (size_t k = 0; k < z.rates; k++) {
                x[k] = rate(&z, k);
                y[k] =
                    study_spread_of(s, 'a', places[p], x[k], w ? (double)z.warmup : 0, validation)
                        .mean;
            }
            figure_curve(f, w ? NULL : places[p], figure_hue(p), w ? FIGURE_DASHED : FIGURE_DOTS,
                         &(struct study_curve){.n = z.rates, .x = x, .mean = y});
        }
}

static void draw_layers(struct study *s, const char *name, const char *title, const char *axis,
                        enum study_kind kind, const char *tensor) {
    const struct size z = size_of(s);
    struct study_figure *const f = figure_xy(s, name, title, "layer", axis);
    f->y.log = true;
    for (size_t p = 0; p < PLACES; p++) {
        const struct study_cell *const c = study_find(s, 'a', places[p], rate(&z, 0), 0, 1);
        double *const x = study_doubles(s, z.layers), *const y = study_doubles(s, z.layers);
        for (size_t l = 0; l < z.layers; l++) {
            x[l] = (double)l + 1;
            y[l] = study_value(c, kind, (int)l, tensor, 0);
            if (kind == KIND_rms) y[l] *= y[l];
        }
        if (kind == KIND_rms && isnan(y[0])) continue; /* nothing is normalised */
        figure_curve(f, places[p], figure_hue(p), FIGURE_DOTS,
                     &(struct study_curve){.n = z.layers, .x = x, .mean = y});
    }
}

static void judge(struct study *s) {
    check_unseen(s);
    check_branches(s);
    check_gradients(s);
    check_rates(s);
    const double least = check_losses(s);
    if (!study_has(s, 'a')) return;
    draw_losses(s);
    draw_layers(s, "grad_depth", "Gradient of W_2 at initialisation", "‖∂L/∂W_2‖", KIND_gnorm,
                "mlp_proj");
    draw_layers(s, "stream", "What the first norm of a layer sees at initialisation", "E[x²]",
                KIND_rms, "resid");
    study_answer(s,
                 "At initialisation the gradient of the last layer is %.2f times that of the first "
                 "under pre, %.2f under branch, %.2f under post; pre ends at least %.2f nats below "
                 "post at equal rates.",
                 slope_of(s, "pre"), slope_of(s, "branch"), slope_of(s, "post"), least);
}

const struct weft_study study_norm_placement = {
    .name = "norm-placement",
    .question = "Which place of LayerNorm is stable, with and without warmup?",
    .source = "Deep Learning Tuning Playbook, fixes for instability and Fig. 8",
    .parts = "ab",
    .part = {"four places, with and without warmup, over learning rates", "what a norm cannot see"},
    .numbers = {"lr", "warmup"},
    .data = "text",
    .language = true,
    .grid = grid,
    .run = run,
    .judge = judge,
};
