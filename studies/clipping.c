/* Does clipping at the 90th percentile of gradient norms fix instability, and what does warmup fix
 * instead?
 *
 *   a  a deep perceptron, Kaiming × {1, 1.2}: warmup {0, 100} × clipping {none, P90, P50/2}
 *   b  in mid-training: a small GPT, one batch in a hundred is random bytes; none, P90, the running
 * P90 of all norms so far ("auto"), rows at most 0.01 of their weights ("agc", Brock et al. 2021)
 *   c  what clipping does, step by step
 *   d  b with LayerNorm after
 *
 * Percentiles are nearest ranks of a calibration run at a small rate, inside the cell. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "studies/curve.h"
#include "studies/draw.h"
#include "studies/recipe.h"
#include "studies/stats.h"
#include "studies/verdict.h"

#define WARMUP 100
#define EVERY  100 /* b: steps between bad batches */
#define ROOM   4096
#define BINS   40
static const char *const clips[] = {"none", "p90", "p50/2"};
static const double gains[] = {1, 1.2}, rates[] = {0.01, 0.05};
static const char *const ways[] = {"none", "p90", "auto", "agc"};
#define WAYS 4

static double steps_of(const struct study *s, char part) {
    return part == 'a' ? study_pick(s, 3, 250, 250, 250) : study_pick(s, 4, 400, 2000, 2000);
}
static uint64_t calibration(const struct study *s) {
    return (uint64_t)study_pick(s, 10, 100, 250, 250);
}
static bool is_small(const struct study *s) { return s->set.setting <= STUDY_QUICK; }
static struct trial_spec language(const struct study *s) {
    return s->set.setting == STUDY_SMOKE ? recipe_gpt(2, 32, 32, 4)
           : is_small(s)                 ? recipe_gpt(4, 64, 64, 8)
                                         : recipe_gpt(4, 192, 256, 16);
}
static size_t seeds_of(const struct study *s) { return study_seeds(s, 1, 1, 3); }

/* Arms of part a: "<warmup>.<clip>". */
static const char *arm_of(int warm, size_t clip) {
    static const char *const names[2][3] = {{"none", "p90", "p50/2"},
                                            {"warm none", "warm p90", "warm p50/2"}};
    return names[warm][clip];
}

static void grid(struct study *s) {
    const double a = recipe_mnist_flops(128, RECIPE_DEEP, steps_of(s, 'a'));
    const double first = recipe_mnist_flops(128, RECIPE_DEEP, (double)calibration(s));
    const struct trial_spec m = language(s);
    for (size_t g = 0; g < 2; g++)
        for (size_t k = 0; k < 2; k++)
            for (int warm = 0; warm < 2; warm++)
                for (size_t c = 0; c < 3; c++)
                    for (size_t seed = 1; seed <= seeds_of(s); seed++)
                        study_add(s, 'a', arm_of(warm, c), seed, c > 0 ? a + first : a, gains[g],
                                  rates[k]);
    for (char part = 'b'; part <= 'd'; part += 2)
        for (size_t w = 0; w < WAYS; w++)
            for (size_t seed = 1; seed <= seeds_of(s); seed++)
                study_add(s, part, ways[w], seed,
                          recipe_gpt_flops(m.gpt2.layers, m.gpt2.width, m.gpt2.context, m.how.batch,
                                           steps_of(s, part)),
                          STUDY_ANY, STUDY_ANY);
    study_add(s, 'c', "clip", 1, 1e9, STUDY_ANY, STUDY_ANY);
    s->plain = true;
    s->epochs = recipe_mnist_epochs(steps_of(s, 'a'));
    study_note(s, "perceptron",
               "784-128^20-10, momentum 0.9, %.0f steps; calibration %.0f steps at "
               "1e-4 (gain 1.2) or 1e-3",
               steps_of(s, 'a'), (double)calibration(s));
    study_note(s, "GPT", "GPT(%zu,%zu,%zu), AdamW 3e-3, %.0f steps, random bytes every %d",
               m.gpt2.layers, m.gpt2.width, m.gpt2.context, steps_of(s, 'b'), EVERY);
}

/* ---- a ---- */
static double warm_rate(const struct trial *t, uint64_t step) {
    const double lr = t->run->cell->number[1], s = (double)step;
    return s < WARMUP ? lr * s / WARMUP : lr;
}

/* The threshold: of the norms of a run at a small rate. */
static enum weft_status calibrate(struct study_run *r, const struct trial_spec *spec,
                                  const char *clip, double *out) {
    struct trial_spec first = *spec;
    double norm[ROOM];
    struct trial_trace trace = {.gnorm = norm};
    first.steps = calibration(r->s);
    first.rate = NULL;
    first.lr = r->cell->number[0] > 1 ? 1e-4 : 1e-3;
    const enum weft_status st = trial_trace(r, &first, "calibration", 0, &trace);
    const bool p90 = strcmp(clip, "p90") == 0;
    *out = p90 ? stats_percentile(norm, trace.n, 0.9) : stats_percentile(norm, trace.n, 0.5) / 2;
    study_put(r, 0, -1, "threshold", KIND_value, *out);
    return st;
}

static enum weft_status run_deep(struct study_run *r) {
    const struct study_cell *const c = r->cell;
    const bool warm = strncmp(c->arm, "warm ", 5) == 0;
    const char *const clip = warm ? c->arm + 5 : c->arm;
    struct trial_spec spec = recipe_deep(c->number[0]);
    struct trial_trace trace = {0};
    enum weft_status st = WEFT_OK;
    spec.eval_samples = TRIAL_NO_EVAL;
    if (strcmp(clip, "none") != 0) st = calibrate(r, &spec, clip, &spec.how.optim.clip);
    spec.steps = (uint64_t)steps_of(r->s, 'a');
    spec.lr = c->number[1];
    if (warm) spec.rate = warm_rate;
    return st == WEFT_OK && !r->stopped ? trial_trace(r, &spec, "run", 0, &trace) : st;
}

/* ---- b ---- */
struct history { /* of norms */
    double norm[ROOM];
    size_t n;
};

/* Batches of the text; from the first bad one on, one in EVERY is random bytes. */
static void spoiled(struct trial *t, uint64_t step, struct weft_batch *out) {
    static int32_t tokens[2][16 * 256];
    const size_t rows = t->spec->how.batch, n = rows * t->spec->how.seq;
    weft_feed_fill(&t->feed, WEFT_SPLIT_TRAIN, step * rows, rows, out);
    if (step == 0 || step % EVERY != 0 || n > 16 * 256) return;
    for (size_t i = 0; i < n; i++) {
        tokens[0][i] = (int32_t)(256 * draw_uniform(t->run->cell->seed, DRAW_NOISE, step * n + i));
        tokens[1][i] = (int32_t)(256 * draw_uniform(t->run->cell->seed, DRAW_CHOICE, step * n + i));
    }
    out->tokens = tokens[0];
    out->targets = tokens[1];
}

static double norm_of_gradients(const struct trial *t) {
    double sum = 0;
    for (size_t p = 0; p < t->params; p++) /* the last norm is not used behind a norm */
        for (size_t i = 0; t->param[p].grad != NULL && i < trial_count(&t->param[p]); i++)
            sum += (double)t->param[p].grad[i] * (double)t->param[p].grad[i];
    return sqrt(sum);
}

/* Clip at the 90th percentile of all norms so far; "p90": of those before the first bad batch. */
static enum weft_status from_history(struct trial *t) {
    struct history *const h = t->user;
    const bool all = strcmp(t->run->cell->arm, "auto") == 0;
    if (h->n < ROOM && (all || t->step < EVERY)) h->norm[h->n++] = norm_of_gradients(t);
    if (t->step >= 10) t->clip = stats_percentile(h->norm, h->n, 0.9);
    return WEFT_OK;
}

static enum weft_status run_language(struct study_run *r) {
    static struct history history;
    struct trial_spec spec = language(r->s);
    struct trial_trace trace = {0};
    const char *const way = r->cell->arm;
    history.n = 0;
    if (r->cell->part == 'd') spec.gpt2.norm = "post";
    spec.fill = spoiled;
    spec.how.optim.clip = 0;
    if (strcmp(way, "agc") == 0) spec.how.optim.agc = 0.01;
    if (strcmp(way, "p90") == 0 || strcmp(way, "auto") == 0) spec.grad = from_history;
    spec.user = &history;
    spec.steps = (uint64_t)steps_of(r->s, 'b');
    spec.lr = 3e-3;
    spec.eval_samples = r->s->set.setting == STUDY_SMOKE ? 4 : 128;
    return trial_trace(r, &spec, "run", 0, &trace);
}

/* ---- c ---- */
struct before { /* weights and gradients before a step */
    float *w, *g;
};

static enum weft_status copy_before(struct trial *t) {
    struct before *const b = t->user;
    size_t at = 0;
    for (size_t p = 0; p < t->params; at += trial_count(&t->param[p++])) {
        memcpy(b->w + at, t->param[p].data, trial_count(&t->param[p]) * sizeof(float));
        memcpy(b->g + at, t->param[p].grad, trial_count(&t->param[p]) * sizeof(float));
    }
    return WEFT_OK;
}

/* Length and direction of the step against the gradient. */
static enum weft_status compare_step(struct trial *t) {
    const struct before *const b = t->user;
    double g2 = 0, d2 = 0, dot = 0;
    size_t at = 0;
    for (size_t p = 0; p < t->params; p++)
        for (size_t i = 0; i < trial_count(&t->param[p]); i++, at++) {
            const double g = (double)b->g[at];
            const double d = (double)b->w[at] - (double)t->param[p].data[i];
            g2 += g * g;
            d2 += d * d;
            dot += g * d;
        }
    study_put(t->run, (int64_t)t->step, -1, "norm", KIND_value, sqrt(g2));
    study_put(t->run, (int64_t)t->step, -1, "scaled", KIND_value, sqrt(g2) * t->result.scale);
    study_put(t->run, (int64_t)t->step, -1, "moved", KIND_value, sqrt(d2) / t->how.lr);
    study_put(t->run, (int64_t)t->step, -1, "cosine", KIND_value, dot / sqrt(g2 * d2));
    return WEFT_OK;
}

#define CLIP 0.5
static enum weft_status run_steps(struct study_run *r) {
    struct trial_spec spec = recipe_mnist(32, 1);
    const size_t n = 784 * 32 + 32 + 320 + 10;
    struct before b = {malloc(n * sizeof(float)), malloc(n * sizeof(float))};
    enum weft_status st = WEFT_ERR_NOMEM;
    spec.how.optim.clip = CLIP;
    spec.steps = 20;
    spec.lr = 0.5;
    spec.eval_samples = TRIAL_NO_EVAL;
    spec.grad = copy_before;
    spec.after = compare_step;
    spec.user = &b;
    if (b.w != NULL && b.g != NULL)
        st = trial_run(r, &spec);
    else
        weft_ctx_fail(r->ctx, st, "out of memory for a copy of the weights");
    free(b.w);
    free(b.g);
    return st;
}

static enum weft_status run(struct study_run *r) {
    return r->cell->part == 'a'   ? run_deep(r)
           : r->cell->part == 'c' ? run_steps(r)
                                  : run_language(r);
}

/* ---- numbers ---- */
static double final_of(const struct study_cell *c) { /* infinite: diverged */
    double loss[ROOM], sum = 0;
    const size_t n = study_series(c, KIND_loss, 0, "run", NULL, loss, ROOM), tail = (n + 19) / 20;
    if (n == 0) return (double)NAN;
    if (!isnan(study_value(c, KIND_diverged, 0, "run", STUDY_LAST))) return (double)INFINITY;
    for (size_t i = n - tail; i < n; i++) sum += loss[i] / (double)tail;
    return sum;
}
static const struct study_cell *deep(const struct study *s, int warm, size_t clip, double gain,
                                     double lr) {
    return study_find(s, 'a', arm_of(warm, clip), gain, lr, 1);
}

/* ---- checks ---- */
static void check_steps(struct study *s) {
    struct check_worst norm = {0}, step = {0};
    const struct study_cell *const c = study_find(s, 'c', "clip", STUDY_ANY, STUDY_ANY, 1);
    double clipped = 0;
    for (int64_t t = 0; c != NULL && t < 20; t++) {
        const double g = study_value(c, KIND_value, -1, "norm", t), want = fmin(CLIP, g);
        const double moved = study_value(c, KIND_value, -1, "moved", t);
        check_near(&norm, study_value(c, KIND_value, -1, "scaled", t) / want, 1, 1e-6, "step %d",
                   (int)t);
        check_near(&norm, study_value(c, KIND_value, -1, "cosine", t), 1, 1e-6,
                   "direction, step %d", (int)t);
        if (!(g > CLIP)) continue;
        clipped++;
        check_near(&step, moved / CLIP, 1, 1e-5, "step %d", (int)t);
    }
    study_check_worst(s, CHECK_ID, 'c', "clipped norm is min(c, ‖g‖), direction is kept", &norm,
                      NULL);
    study_check_worst(s, CHECK_ID, 'c', "a clipped step of SGD has length ηc", &step, NULL);
    study_remark(s, "%.0f of 20 steps were clipped", clipped);
}

static void check_share(struct study *s) {
    struct check_worst w = {0};
    double norm[ROOM];
    for (size_t i = 0; i < s->cells; i++) {
        const struct study_cell *const c = &s->cell[i];
        const size_t n = study_series(c, KIND_gnorm, 0, "calibration", NULL, norm, ROOM);
        const double limit = study_value(c, KIND_value, -1, "threshold", 0);
        size_t over = 0;
        if (c->part != 'a' || strstr(c->arm, "p90") == NULL) continue;
        for (size_t k = 0; k < n; k++) over += norm[k] > limit;
        check_near(&w, (double)over / (double)n, 0.1, 0.0100001, "%s", c->name);
    }
    study_check_worst(s, CHECK_ID, 'a', "share of calibration norms above P90", &w, NULL);
}

static void check_fixes(struct study *s) {
    const double none = final_of(deep(s, 0, 0, 1.2, 0.05)),
                 warm = final_of(deep(s, 1, 0, 1.2, 0.05));
    const double half = final_of(deep(s, 0, 2, 1.2, 0.05)),
                 p90 = final_of(deep(s, 0, 1, 1.2, 0.05));
    const double wrong = isnan(none) || isnan(warm) || isnan(half)
                             ? (double)NAN
                             : (double)(isfinite(none) + isfinite(warm) + !isfinite(half));
    study_check(s, CHECK_EF, 'a', "bad start: none and warmup diverge, P50/2 trains: exceptions",
                wrong, 0, 0, "\"clipping fixes early instability\" [src], no number");
    study_remark(s,
                 "final loss at gain 1.2, lr 0.05: none %.3g, warmup %.3g, P90 %.3g, P50/2 %.3g, "
                 "P90 with warmup %.3g",
                 none, warm, p90, half, final_of(deep(s, 1, 1, 1.2, 0.05)));
    study_answer(s,
                 "From a bad start (gain 1.2, lr 0.05) the loss ends at %.3g without clipping, "
                 "%.3g with warmup alone, %.3g clipped at P90 and %.3g at half the median.",
                 none, warm, p90, half);
}

/* The largest loss in the steps that follow a bad batch, over seeds. */
static double after_bad(struct study *s, char part, const char *way) {
    const struct study_cell *cell[STUDY_MAX_SEEDS];
    const size_t seeds = study_seeds_of(s, part, way, STUDY_ANY, STUDY_ANY, cell, STUDY_MAX_SEEDS);
    double most = seeds > 0 ? 0 : (double)NAN;
    for (size_t i = 0; i < seeds; i++) {
        if (!isnan(study_value(cell[i], KIND_diverged, 0, "run", STUDY_LAST)))
            return (double)INFINITY;
        for (int64_t t = EVERY; t < (int64_t)steps_of(s, 'b'); t += EVERY)
            for (int64_t k = 1; k <= 10; k++)
                most = fmax(most, study_value(cell[i], KIND_loss, 0, "run", t + k));
    }
    return most;
}

static void check_bad_batches(struct study *s, char part, const char *what) {
    const double none = after_bad(s, part, "none"), p90 = after_bad(s, part, "p90");
    study_check(s, CHECK_EF, part, what,
                isfinite(none)  ? p90 - none
                : isfinite(p90) ? -1e3
                                : (double)NAN,
                -(double)INFINITY, -1e-9, NULL);
    study_remark(s, "none %.3f, P90 %.3f, running P90 %.3f, AGC %.3f", none, p90,
                 after_bad(s, part, "auto"), after_bad(s, part, "agc"));
}

static void report_thresholds(struct study *s) {
    double loss[ROOM], over = 0;
    const struct study_cell *const c = deep(s, 0, 2, 1.2, 0.05);
    const size_t n = study_series(c, KIND_gnorm, 0, "run", NULL, loss, ROOM);
    const double limit = study_value(c, KIND_value, -1, "threshold", 0);
    for (size_t i = 0; i < n; i++) over += loss[i] > limit;
    study_check(s, CHECK_RP, 'a', "share of steps that P50/2 clips, gain 1.2, lr 0.05",
                over / (double)n, 0, 0, "above 0.5: lower the learning rate instead [src]");
    study_check(s, CHECK_RP, 'a', "P90 of the calibration, gain 1.2",
                study_value(deep(s, 0, 1, 1.2, 0.05), KIND_value, -1, "threshold", 0), 0, 0,
                "ResNet-200: norm 2e5 at the start, c of 4 good, 1 bad [F]");
}

/* ---- figures ---- */
static void draw_norms(struct study *s, const char *name, const char *title, double gain) {
    struct study_figure *const f = figure_xy(s, name, title, "step", "‖g‖ before clipping");
    f->y.log = true;
    for (size_t c = 0; c < 3; c++) {
        const struct study_cell *const cell = deep(s, 0, c, gain, 0.05);
        double *const x = study_doubles(s, ROOM), *const y = study_doubles(s, ROOM);
        const size_t n = study_series(cell, KIND_gnorm, 0, "run", x, y, ROOM);
        const double limit = study_value(cell, KIND_value, -1, "threshold", 0);
        figure_curve(f, clips[c], figure_hue(c), FIGURE_LINE,
                     &(struct study_curve){.n = n, .x = x, .mean = y});
        if (isfinite(limit)) figure_rule(f, limit, clips[c]);
    }
}

static void draw_histogram(struct study *s) {
    struct study_figure *const f =
        figure_xy(s, "norm_hist", "Calibration: gradient norms, gain 1.2", "‖g‖", "steps");
    double norm[ROOM];
    const size_t n =
        study_series(deep(s, 0, 1, 1.2, 0.05), KIND_gnorm, 0, "calibration", NULL, norm, ROOM);
    double *const x = study_doubles(s, BINS), *const y = study_doubles(s, BINS);
    double low = (double)INFINITY, high = 0;
    static const double shares[] = {0.5, 0.9, 0.99};
    for (size_t i = 0; i < n; i++) {
        low = fmin(low, norm[i]);
        high = fmax(high, norm[i] * 1.000001);
    }
    f->x.log = true;
    for (size_t b = 0; b < BINS; b++) x[b] = low * pow(high / low, ((double)b + 0.5) / BINS);
    for (size_t i = 0; i < n; i++) y[(size_t)(log(norm[i] / low) / log(high / low) * BINS)]++;
    figure_curve(f, "steps", figure_hue(0), FIGURE_BARS,
                 &(struct study_curve){.n = BINS, .x = x, .mean = y});
    for (size_t i = 0; i < 3; i++) {
        const double at = stats_percentile(norm, n, shares[i]);
        figure_mark_x(f, at, at, study_text(s, "P%.0f", 100 * shares[i]));
    }
}

static void draw_matrix(struct study *s) {
    struct study_figure *const f =
        figure_xy(s, "fix_matrix", "Final loss (5: diverged), gain 1.2, lr 0.05",
                  "clipping: 0 none, 1 P90, 2 P50/2", "final training loss");
    static const double at[] = {0, 1, 2};
    f->y.lo = 0;
    f->y.hi = 5.2;
    for (int warm = 0; warm < 2; warm++) {
        double *const y = study_doubles(s, 3);
        for (size_t c = 0; c < 3; c++) y[c] = fmin(final_of(deep(s, warm, c, 1.2, 0.05)), 5);
        figure_curve(f, warm ? "warmup" : "no warmup", figure_hue((size_t)warm), FIGURE_DOTS,
                     &(struct study_curve){.n = 3, .x = at, .mean = y});
    }
}

static void draw_bad(struct study *s, char part) {
    struct study_figure *const f =
        figure_xy(s, part == 'b' ? "mid_training" : "mid_training_post",
                  part == 'b' ? "A batch of random bytes every hundredth step"
                              : "The same with LayerNorm after",
                  "step", "training loss");
    f->y.hi = 8;
    for (size_t w = 0; w < WAYS; w++) {
        const struct study_curve c =
            study_curve_of(s, part, ways[w], STUDY_ANY, STUDY_ANY, KIND_loss, 0, "run");
        figure_curve(f, ways[w], figure_hue(w), FIGURE_LINE, &c);
    }
}

static void judge(struct study *s) {
    check_steps(s);
    check_share(s);
    check_fixes(s);
    check_bad_batches(s, 'b', "largest loss after a bad batch, P90 minus none");
    check_bad_batches(s, 'd', "the same with LayerNorm after");
    report_thresholds(s);
    if (study_has(s, 'a')) {
        draw_norms(s, "norm_vs_step", "Gradient norms, Kaiming, lr 0.05", 1);
        draw_norms(s, "fig9", "Gradient norms, Kaiming × 1.2, lr 0.05", 1.2);
        draw_histogram(s);
        draw_matrix(s);
    }
    for (char part = 'b'; part <= 'd'; part += 2)
        if (study_has(s, part)) draw_bad(s, part);
}

const struct weft_study study_clipping = {
    .name = "clipping",
    .question = "Does clipping at the 90th percentile fix instability, and what does warmup fix "
                "instead?",
    .source = "Deep Learning Tuning Playbook, \"gradient clipping\", Fig. 9; only 90% and 50% are "
              "printed there",
    .parts = "abcd",
    .part = {"a deep perceptron", "bad batches in mid-training", "what clipping does",
             "b with LayerNorm after (not in --quick)"},
    .slow = "d",
    .numbers = {"gain", "lr"},
    .data = "mnist text",
    .language = true,
    .grid = grid,
    .run = run,
    .judge = judge,
};
