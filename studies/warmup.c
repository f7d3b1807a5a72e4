/* What is the shortest warmup that opens a ten times higher rate? The source's procedure:
 *
 *   1  the lowest rate u whose curve rises       2  base = 10 u
 *   3  lr_t = base t/w up to step w, then constant for 2 w more steps
 *   4  w over a grid        5  the shortest w that is feasible
 *   6  prepended to the baseline: w more steps   7  above 5% of the steps: raise them
 *
 * a: fixed bases over the grid of w.  b: the procedure.  On a deep perceptron whose weights
 * start 1.2 times too large; in the default setting (c) also on a GPT with LayerNorm after.
 * d: the higher base with gradients clipped during the warmup, which the source leaves open. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "studies/curve.h"
#include "studies/detect.h"
#include "studies/recipe.h"
#include "studies/verdict.h"

static const double warmups[] = {0, 3, 10, 30, 100, 300};
static const double bases[] = {0.01, 0.02};
static const double probes[] = {5e-4, 1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2};
#define WARMUPS 6
#define PROBES  6
#define CLIP    10.0 /* of part d: about half the median norm before training */
#define ROOM    4096 /* most steps of a run */
enum { PROBE, WARMED = 100, BASELINE = 200, PREPENDED }; /* numbers of runs in a procedure */

static size_t warmups_of(const struct study *s) {
    return s->set.setting == STUDY_SMOKE ? 2 : WARMUPS;
}
static double steps_of(const struct study *s) { return study_pick(s, 6, 300, 300, 300); }
static double length_of(const struct study *s, double w) { return fmax(steps_of(s), 3 * w); }

static struct trial_spec model(const struct study *s, char part) {
    struct trial_spec spec = recipe_deep(1.2);
    if (part == 'c') {
        spec = recipe_gpt(12, 128, 128, 32);
        spec.gpt2.norm = "post";
        spec.init = (struct weft_init){.name = "xavier-normal"};
        spec.how.optim = (struct weft_optim){"adam", 0.9, 0.98, 1e-8};
    }
    spec.eval_samples = s->set.setting == STUDY_SMOKE ? 128 : part == 'c' ? 128 : 2048;
    return spec;
}

static double flops_of(char part, double steps) {
    return part == 'c' ? recipe_gpt_flops(12, 128, 128, 32, steps)
                       : recipe_mnist_flops(128, RECIPE_DEEP, steps);
}

static void grid(struct study *s) {
    double all = 0;
    for (size_t w = 0; w < warmups_of(s); w++) all += length_of(s, warmups[w]);
    for (char part = 'a'; part <= 'c'; part += 2)
        for (size_t b = 0; b < 2 && (part == 'a' || s->set.setting != STUDY_SMOKE); b++)
            for (size_t w = 0; w < warmups_of(s); w++)
                for (size_t seed = 1; seed <= study_seeds(s, 1, 1, 3); seed++)
                    study_add(s, part, "ramp", seed, flops_of(part, length_of(s, warmups[w])),
                              part == 'c' ? bases[b] / 5 : bases[b], warmups[w]);
    for (size_t w = 1; w < warmups_of(s); w++)
        for (size_t seed = 1; seed <= study_seeds(s, 1, 1, 3); seed++)
            study_add(s, 'd', "ramp", seed, flops_of('d', length_of(s, warmups[w])), bases[1],
                      warmups[w]);
    study_add(s, 'b', "procedure", 1, flops_of('b', all + (PROBES + 2) * steps_of(s)), STUDY_ANY,
              STUDY_ANY);
    s->plain = true;
    s->epochs = recipe_mnist_epochs(length_of(s, warmups[warmups_of(s) - 1]));
    study_note(s, "net", "784-128^20-10, Kaiming × 1.2, SGD with momentum 0.9, batch 128");
    study_note(s, "steps", "%.0f, or three times the warmup", steps_of(s));
}

/* ---- cells ---- */
struct ramp {
    double base, warmup;
};
static double ramp_rate(double base, double warmup, double t) {
    return t < warmup ? base * t / warmup : base;
}
static double rate(const struct trial *t, uint64_t step) {
    const struct ramp *const r = t->user;
    return ramp_rate(r->base, r->warmup, (double)step);
}

static enum weft_status clip_while_warm(struct trial *t) {
    const struct ramp *const r = t->user;
    t->clip = (double)t->step < r->warmup ? CLIP : 0;
    return WEFT_OK;
}

static enum weft_status train(struct study_run *r, double base, double warmup, double steps,
                              const char *what, int number, struct trial_trace *out) {
    struct trial_spec spec = model(r->s, r->cell->part);
    struct ramp ramp = {base, warmup};
    spec.steps = (uint64_t)steps;
    spec.rate = rate;
    if (r->cell->part == 'd') spec.grad = clip_while_warm;
    spec.user = &ramp;
    return trial_trace(r, &spec, what, number, out);
}

static double base_loss(const struct study *s, char part) {
    return part == 'c' ? s->corpus->h1 : log(10);
}

/* The lowest rate that rises or fails, and whether each warmup is feasible at ten times it. */
static enum weft_status run_procedure(struct study_run *r) {
    static double loss[ROOM];
    struct trial_trace trace = {.loss = loss};
    const double steps = steps_of(r->s), guess = base_loss(r->s, 'b');
    enum weft_status st = WEFT_OK;
    double u = (double)NAN, below = probes[0], shortest = (double)NAN;
    for (size_t i = 0; i < PROBES && isnan(u) && st == WEFT_OK && !r->stopped; i++) {
        st = train(r, probes[i], 0, steps, "probe", (int)i, &trace);
        const struct detect_curve d = detect_look(loss, trace.n, (size_t)steps, guess);
        if (d.rising)
            u = probes[i];
        else
            below = probes[i];
    }
    if (isnan(u)) u = 2 * probes[PROBES - 1];
    for (size_t w = 0; w < warmups_of(r->s) && st == WEFT_OK && !r->stopped; w++) {
        const double n = length_of(r->s, warmups[w]);
        st = train(r, 10 * u, warmups[w], n, "warmed", (int)w, &trace);
        if (detect_look(loss, trace.n, (size_t)n, guess).feasible && isnan(shortest))
            shortest = warmups[w];
    }
    study_put(r, 0, -1, "unstable", KIND_value, u);
    study_put(r, 0, -1, "shortest", KIND_value, shortest);
    if (st == WEFT_OK && !r->stopped) st = train(r, below, 0, steps, "baseline", BASELINE, &trace);
    if (st != WEFT_OK || r->stopped || isnan(shortest)) return st;
    return train(r, 10 * u, shortest, steps + shortest, "prepended", PREPENDED, &trace);
}

static enum weft_status run(struct study_run *r) {
    const struct study_cell *const c = r->cell;
    struct trial_trace trace = {0};
    if (c->part == 'b' && r->mode == STUDY_RUN) return run_procedure(r);
    if (c->part == 'b') return train(r, probes[0], 0, steps_of(r->s), "probe", 0, &trace);
    return train(r, c->number[0], c->number[1], length_of(r->s, c->number[1]), "ramp", 0, &trace);
}

/* ---- numbers ---- */
/* -1: no such cell. */
static int feasible(struct study *s, char part, double base, double warmup) {
    static double loss[ROOM];
    const struct study_cell *cell[STUDY_MAX_SEEDS];
    const size_t seeds = study_seeds_of(s, part, "ramp", base, warmup, cell, STUDY_MAX_SEEDS);
    bool all = true;
    for (size_t i = 0; i < seeds; i++) {
        const size_t n = study_series(cell[i], KIND_loss, 0, "ramp", NULL, loss, ROOM);
        all =
            all && detect_look(loss, n, (size_t)length_of(s, warmup), base_loss(s, part)).feasible;
    }
    return seeds == 0 ? -1 : all;
}

static const struct study_cell *procedure(const struct study *s) {
    return study_find(s, 'b', "procedure", STUDY_ANY, STUDY_ANY, 1);
}

/* ---- checks ---- */
/* As recorded while training, where the run got so far. */
static void check_rates(struct study *s) {
    struct check_worst w = {0};
    for (size_t i = 0; i < s->cells; i++) {
        const struct study_cell *const c = &s->cell[i];
        const double base = c->number[0], warmup = c->number[1];
        for (size_t k = 0; strcmp(c->arm, "ramp") == 0 && k < c->records; k++) {
            const struct study_record *const r = &c->record[k];
            const double t = (double)r->step;
            if (r->kind != KIND_lr) continue;
            check_near(&w, r->value, t >= warmup ? base : base / warmup * t, 1e-12 * base,
                       "w %g, t %.0f", warmup, t);
        }
    }
    study_check_worst(s, CHECK_ID, 'a', "lr_t = base t/w up to w, then base", &w, NULL);
}

static void check_prepended(struct study *s) {
    const struct study_cell *const c = procedure(s);
    const double shortest = study_value(c, KIND_value, -1, "shortest", 0);
    double n = 0, last = -1;
    for (size_t i = 0; c != NULL && i < c->records; i++)
        if (c->record[i].kind == KIND_lr && c->record[i].layer == PREPENDED) {
            n++;
            last = fmax(last, (double)c->record[i].step);
        }
    const double short_of = isnan(shortest) ? 0 : n - (steps_of(s) + shortest);
    const bool ended = !isnan(study_value(c, KIND_diverged, PREPENDED, "prepended", STUDY_LAST));
    study_check(s, CHECK_ID, 'b', "prepended run: steps beyond the baseline's and the warmup",
                c == NULL ? (double)NAN
                : ended   ? 0
                          : short_of,
                0, 0, NULL);
    study_remark(
        s, isnan(shortest) ? "no warmup of the grid is feasible: there was none" : "last step %.0f",
        last);
}

static void check_grid(struct study *s) {
    double falls = 0, wrong = 0;
    char text[300] = "";
    for (size_t b = 0; b < 2; b++) {
        int before = 0;
        snprintf(text + strlen(text), sizeof text - strlen(text), "%slr %g:", b ? "; " : "",
                 bases[b]);
        for (size_t w = 0; w < warmups_of(s); w++) {
            const int now = feasible(s, 'a', bases[b], warmups[w]);
            falls += now < before;
            before = now;
            if (b == 0 && warmups[w] != 30) wrong += now != (warmups[w] >= 100);
            snprintf(text + strlen(text), sizeof text - strlen(text), " %.0f %s", warmups[w],
                     now == 1 ? "yes" : "no");
        }
    }
    const bool here = study_has(s, 'a');
    study_check(s, CHECK_EF, 'a', "feasible with less warmup but not with more",
                here ? falls : (double)NAN, 0, 0, NULL);
    study_remark(s, "%s", text);
    study_check(s, CHECK_RP, 'a', "shortest feasible warmup of the published model", 40000, 0, 0,
                "1k to 10k steps fail, 40k works, peak rate 5e-4 [F]");
    study_check(s, CHECK_EF, 'a', "rate 0.01: warmups that are not as expected",
                here ? wrong : (double)NAN, 0, 0, NULL);
    study_remark(s, "expected: not up to 10 steps, from 100 on");
}

/* The shortest warmup that is feasible at a base; NaN: none. */
static double shortest_of(struct study *s, char part, double base) {
    for (size_t w = 0; w < warmups_of(s); w++)
        if (feasible(s, part, base, warmups[w]) == 1) return warmups[w];
    return (double)NAN;
}

static void report_others(struct study *s) {
    study_check(s, CHECK_RP, 'd', "clipped at 10 during warmup, rate 0.02: shortest warmup",
                shortest_of(s, 'd', bases[1]), 0, 0, "left open [src]");
    study_remark(s, "without clipping %.0f (nan: none of the grid)", shortest_of(s, 'a', bases[1]));
    study_check(s, CHECK_RP, 'c', "GPT with LayerNorm after, rate 0.002: shortest warmup",
                shortest_of(s, 'c', bases[0] / 5), 0, 0, NULL);
    study_remark(s, "at rate 0.004 %.0f (nan: none of the grid)",
                 shortest_of(s, 'c', bases[1] / 5));
}

static void answer(struct study *s) {
    const struct study_cell *const c = procedure(s);
    const double u = study_value(c, KIND_value, -1, "unstable", 0);
    const double shortest = study_value(c, KIND_value, -1, "shortest", 0);
    const double before = study_value(c, KIND_val_loss, BASELINE, "baseline", STUDY_LAST);
    const double after = study_value(c, KIND_val_loss, PREPENDED, "prepended", STUDY_LAST);
    study_sum(s, "unstable base rate", u);
    study_sum(s, "shortest warmup", shortest);
    study_sum(s, "validation loss, baseline", before);
    study_sum(s, "validation loss, with warmup", after);
    if (isnan(shortest))
        study_answer(s,
                     "Curves rise from a rate of %.2g on; at ten times it no warmup of the grid "
                     "trains.",
                     u);
    else
        study_answer(s,
                     "Curves rise from a rate of %.2g on; %.0f steps of warmup open ten times it, "
                     "and take the validation loss from %.3f to %.3f%s.",
                     u, shortest, before, after,
                     shortest > 0.05 * steps_of(s) ? " (above 5% of the steps: raise them)" : "");
}

/* ---- figures ---- */
static void draw_curves(struct study *s) {
    struct study_figure *const f = figure_xy(
        s, "curves", "Rate 0.01: training loss by steps of warmup", "step", "training loss");
    f->x.log = f->y.log = true;
    f->y.lo = 0.1;
    f->y.hi = 1000;
    for (size_t w = 0; w < warmups_of(s); w++) {
        const struct study_curve c =
            study_curve_of(s, 'a', "ramp", bases[0], warmups[w], KIND_loss, 0, "ramp");
        figure_curve(f, study_text(s, "w %.0f", warmups[w]), figure_hue(w), FIGURE_LINE, &c);
    }
}

static void draw_map(struct study *s) {
    const size_t n = warmups_of(s);
    struct study_figure *const f = figure_xy(s, "shortest", "Where training is feasible",
                                             "steps of warmup (0 drawn at 1)", "base rate");
    f->x.log = f->y.log = true;
    f->y.lo = 5e-3;
    f->y.hi = 4e-2;
    for (int yes = 1; yes >= 0; yes--) {
        double *const x = study_doubles(s, 2 * n), *const y = study_doubles(s, 2 * n);
        for (size_t b = 0; b < 2; b++)
            for (size_t w = 0; w < n; w++) {
                x[b * n + w] = fmax(warmups[w], 1);
                y[b * n + w] =
                    feasible(s, 'a', bases[b], warmups[w]) == yes ? bases[b] : (double)NAN;
            }
        figure_curve(f, yes ? "feasible" : "not", figure_hue(yes ? 0 : 1), FIGURE_POINTS,
                     &(struct study_curve){.n = 2 * n, .x = x, .mean = y});
    }
}

static void draw_comparison(struct study *s) {
    struct study_figure *const f = figure_xy(
        s, "compare", "Baseline, and ten times the rate behind a warmup", "step", "training loss");
    static const char *const names[] = {"baseline", "prepended"};
    f->y.lo = 0;
    f->y.hi = 4;
    for (int i = 0; i < 2; i++) {
        double *const x = study_doubles(s, ROOM), *const y = study_doubles(s, ROOM);
        const size_t n = study_series(procedure(s), KIND_loss, BASELINE + i, names[i], x, y, ROOM);
        figure_curve(f, names[i], figure_hue((size_t)i), FIGURE_LINE,
                     &(struct study_curve){.n = n, .x = x, .mean = y});
    }
}

static void judge(struct study *s) {
    check_rates(s);
    check_prepended(s);
    check_grid(s);
    report_others(s);
    answer(s);
    if (study_has(s, 'a')) draw_curves(s);
    if (study_has(s, 'a')) draw_map(s);
    if (study_has(s, 'b')) draw_comparison(s);
}

const struct weft_study study_warmup = {
    .name = "warmup",
    .question = "What is the shortest warmup that opens a ten times higher learning rate?",
    .source = "Deep Learning Tuning Playbook, \"applying learning rate warmup\", Fig. 6",
    .parts = "abcd",
    .part = {"two rates over steps of warmup", "the procedure",
             "GPT with LayerNorm after (not in --quick)", "clipped during warmup"},
    .slow = "c",
    .numbers = {"base", "warmup"},
    .data = "mnist text",
    .grid = grid,
    .run = run,
    .judge = judge,
};
