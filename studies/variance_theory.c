/* Do the real kernels propagate variance as c and d say?
 *
 *   a  c(q), d(q), mean and variance of nine activations, by quadrature
 *   b  the same from random numbers through the forward and backward kernels, on every ISA
 *   c  deep square nets: forward q' = n sigma^2 q c(q), backward factor n sigma^2 d(q)
 *   d  rectangular layers: forward factor n_in sigma^2 c, backward n_out sigma^2 d
 *   e  uniform weights of the same variance
 *
 * Deep nets get inputs of variance 1/(n sigma^2), so that the first pre-activation has q = 1, and a
 * gradient of N(0, 1) at the output. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "studies/draw.h"
#include "studies/curve.h"
#include "studies/pipe.h"
#include "studies/probe_net.h"
#include "studies/stats.h"
#include "studies/theory.h"
#include "studies/verdict.h"

#define QS 8
static const double qs[QS] = {0.01, 0.1, 0.25, 0.5, 1, 2, 5, 10};
static const char *const inits[] = {"lecun", "he", "critical"};
#define INITS 3
static const size_t shapes[][2] = {{256, 1024}, {1024, 256}, {512, 512}}; /* in, out */
static const char *const schemes[] = {"fan-in", "fan-out", "xavier"};
#define SHAPES  3
#define SCHEMES 3
#define CHUNK   65536

static size_t width_of(const struct study *s) {
    return (size_t)study_pick(s, 128, 512, 1024, 1024);
}
static size_t depth_of(const struct study *s) { return (size_t)study_pick(s, 12, 30, 50, 50); }
static size_t inputs_of(const struct study *s) { return (size_t)study_pick(s, 16, 32, 64, 64); }
static size_t seeds_of(const struct study *s) { return study_seeds(s, 2, 3, 10); }
static double draws_of(const struct study *s) { return study_pick(s, 1e5, 1e6, 1e7, 1e7); }

/* n sigma^2 of an init. */
static double gain_of(const char *init, const char *act) {
    if (strcmp(init, "he") == 0) return 2;
    return strcmp(init, "lecun") == 0 ? 1 : 1 / theory_c(act, 1);
}

static bool is_homogeneous(const char *act) {
    return strcmp(act, "none") == 0 || strcmp(act, "relu") == 0 || strcmp(act, "leaky_relu") == 0;
}

static void grid(struct study *s) {
    const double n = (double)width_of(s), flops = 6 * n * n * (double)(depth_of(s) * inputs_of(s));
    const double none = STUDY_ANY;
    for (size_t a = 0; theory_act_name(a) != NULL; a++) {
        study_add(s, 'a', theory_act_name(a), 1, 1e6, none, none);
        study_add(s, 'b', theory_act_name(a), 1, 40 * QS * draws_of(s), none, none);
    }
    for (size_t a = 0; theory_act_name(a) != NULL; a++)
        for (size_t i = 0; i < INITS; i++)
            for (size_t seed = 1; seed <= seeds_of(s); seed++) {
                if (a == 1 && i == 1 && seed == 1) s->proof = s->cells;
                study_add(s, 'c', theory_act_name(a), seed, flops, (double)i, none);
            }
    for (size_t act = 0; act < 2; act++)
        for (size_t shape = 0; shape < SHAPES; shape++)
            for (size_t scheme = 0; scheme < SCHEMES; scheme++)
                study_add(s, 'd', act == 0 ? "relu" : "gelu_erf", 1, 1e9, (double)shape,
                          (double)scheme);
    for (size_t seed = 1; seed <= seeds_of(s); seed++)
        study_add(s, 'e', "relu", seed, flops, none, none);
    s->plain = !study_has(s, 'c') && !study_has(s, 'd') && !study_has(s, 'e');
    if (!study_has(s, 'c')) s->proof = s->cells > 0 ? s->cells - 1 : 0;
    study_note(s, "deep nets", "%zu layers of width %zu, %zu inputs, %zu seeds", depth_of(s),
               width_of(s), inputs_of(s), seeds_of(s));
    study_note(s, "draws", "%.0e for each activation and q", draws_of(s));
}

/* ---- a: the table ---- */
static void run_table(struct study_run *r) {
    for (size_t i = 0; i < QS; i++) {
        const struct theory_moments m = theory_moments_at(r->cell->arm, qs[i]);
        study_put(r, (int64_t)i, -1, "c", KIND_value, m.c);
        study_put(r, (int64_t)i, -1, "d", KIND_value, m.d);
        study_put(r, (int64_t)i, -1, "mean", KIND_value, m.mean);
        study_put(r, (int64_t)i, -1, "var", KIND_value, m.var);
    }
}

/* ---- b: through the kernels ---- */
/* Mean squares of act and act' over n draws of variance q. */
static enum weft_status monte_carlo(struct pipe *k, const float *normal, double q, size_t n,
                                    double out[2]) {
    out[0] = out[1] = 0;
    for (size_t at = 0; at < n; at += CHUNK) {
        const size_t m = n - at < CHUNK ? n - at : CHUNK;
        for (size_t i = 0; i < m; i++) k->z[i] = (float)(sqrt(q) * (double)normal[at + i]);
        const enum weft_status st = pipe_run(k);
        if (st != WEFT_OK) return st;
        for (size_t i = 0; i < m; i++) {
            out[0] += (double)k->y[i] * (double)k->y[i] / (double)n;
            out[1] += (double)k->dz[i] * (double)k->dz[i] / (double)n;
        }
    }
    return WEFT_OK;
}

/* One table: all q on the study's own, q = 1 and fewer draws on the others (their bits are the
 * same). */
static enum weft_status run_isa(struct study_run *r, const char *isa, const float *normal,
                                size_t n) {
    const bool own = strcmp(isa, weft_ctx_isa(r->ctx)) == 0;
    const size_t draws = own || n < 100000 ? n : 100000;
    weft_ctx *ctx = NULL;
    struct pipe k;
    enum weft_status st =
        weft_ctx_create(&(struct weft_ctx_options){.threads = 1, .isa = isa}, &ctx);
    if (st != WEFT_OK) return weft_ctx_fail(r->ctx, st, "no context for %s", isa);
    st = pipe_open(ctx, r->cell->arm, CHUNK, &k);
    for (size_t i = 0; i < QS && st == WEFT_OK; i++) {
        double m[2];
        if (!own && qs[i] != 1) continue;
        st = monte_carlo(&k, normal, qs[i], draws, m);
        study_put(r, (int64_t)i, 0, isa, KIND_value, m[0] / qs[i]);
        study_put(r, (int64_t)i, 1, isa, KIND_value, m[1]);
        study_put(r, (int64_t)i, 2, isa, KIND_value, (double)draws);
        if (!study_step(r, i, QS, (double)NAN)) break;
    }
    if (st != WEFT_OK)
        weft_ctx_fail(r->ctx, st, "%s", weft_ctx_message(ctx));
    else
        pipe_close(&k);
    weft_ctx_free(ctx);
    return st;
}

static enum weft_status run_draws(struct study_run *r) {
    const size_t n = (size_t)draws_of(r->s);
    float *const normal = malloc(n * sizeof *normal);
    struct weft_cpu_info cpu;
    enum weft_status st = WEFT_OK;
    if (normal == NULL) return weft_ctx_fail(r->ctx, WEFT_ERR_NOMEM, "out of memory");
    draw_normal(r->cell->seed, DRAW_INPUT, 0, 1, normal, n);
    weft_cpu_query(&cpu);
    for (size_t i = 0; i < 8 && cpu.isas[i] != NULL && st == WEFT_OK && !r->stopped; i++)
        st = run_isa(r, cpu.isas[i], normal, n);
    free(normal);
    return st;
}

/* ---- c, d, e: nets ---- */
static enum weft_status run_deep(struct study_run *r, double gain, bool uniform) {
    const size_t n = width_of(r->s), layers = depth_of(r->s);
    struct trial_spec spec =
        probe_net_spec(r->cell->arm, inputs_of(r->s), "normal", sqrt(gain / (double)n));
    if (uniform) spec.init = (struct weft_init){.name = "lecun-uniform", .gain = sqrt(gain)};
    spec.mlp.inputs = spec.mlp.outputs = n;
    spec.mlp.layers = layers - 1;
    for (size_t l = 0; l + 1 < layers; l++) spec.mlp.hidden[l] = n;
    return probe_net_run(r, &spec, sqrt(1 / gain));
}

static double scheme_var(size_t scheme, double in, double out) {
    return scheme == 0 ? 1 / in : scheme == 1 ? 1 / out : 2 / (in + out);
}

/* The second layer becomes n_in -> n_out with the scheme's variance; the first makes z ~ N(0, 1).
 */
static enum weft_status scale_second(struct trial *t) {
    const struct study_cell *const c = t->run->cell;
    const size_t *const shape = shapes[(size_t)c->number[0]];
    const double in = (double)shape[0], out = (double)shape[1];
    trial_scale(&t->param[0], 0, shape[0], sqrt(1 / in));
    trial_scale(&t->param[2], 0, shape[1], sqrt(scheme_var((size_t)c->number[1], in, out)));
    return WEFT_OK;
}

static enum weft_status run_rectangle(struct study_run *r) {
    const size_t *const shape = shapes[(size_t)r->cell->number[0]];
    struct trial_spec spec = probe_net_spec(r->cell->arm, 64, "normal", 1);
    spec.mlp.inputs = spec.mlp.hidden[0] = shape[0];
    spec.mlp.outputs = shape[1];
    spec.mlp.layers = 1;
    spec.start = scale_second;
    return probe_net_run(r, &spec, 1);
}

static enum weft_status run(struct study_run *r) {
    switch (r->cell->part) {
    case 'a': run_table(r); return WEFT_OK;
    case 'b': return run_draws(r);
    case 'c': return run_deep(r, gain_of(inits[(size_t)r->cell->number[0]], r->cell->arm), false);
    case 'd': return run_rectangle(r);
    default: return run_deep(r, 2, true);
    }
}

/* ---- numbers ---- */
/* The gradient of the output is what was sent in. */
static double value_at(const struct study *s, const struct study_cell *c, enum study_kind kind,
                       int l) {
    const bool output = kind == KIND_delta_rms && l + 1 == (int)depth_of(s);
    return output ? study_value(c, kind, -1, "output", 0) : study_value(c, kind, l, "weight", 0);
}

/* Mean over seeds of the mean square of a statistic in layer l. */
static double square(const struct study *s, char part, const char *act, double init, int l,
                     enum study_kind kind) {
    const struct study_cell *cell[STUDY_MAX_SEEDS];
    const size_t n = study_seeds_of(s, part, act, init, STUDY_ANY, cell, STUDY_MAX_SEEDS);
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += pow(value_at(s, cell[i], kind, l), 2);
    return n > 0 ? sum / (double)n : (double)NAN;
}

/* Factor a layer between two layers, over seeds. */
static double factor(const struct study *s, char part, const char *act, double init, int from,
                     int to, enum study_kind kind) {
    const struct study_cell *cell[STUDY_MAX_SEEDS];
    const size_t n = study_seeds_of(s, part, act, init, STUDY_ANY, cell, STUDY_MAX_SEEDS);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += 2 * log(value_at(s, cell[i], kind, to) / value_at(s, cell[i], kind, from));
    return exp(sum / (double)n / abs(to - from));
}

/* ---- checks ---- */
static void check_table(struct study *s) {
    struct check_worst w = {0};
    static const struct {
        const char *act, *what;
        double want;
    } row[] = {{"relu", "c", 0.5},
               {"none", "c", 1},
               {"selu", "c", 1},
               {"relu", "var", 0.5 - 0.5 / 3.14159265358979324}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        const struct study_cell *const c = study_find(s, 'a', row[i].act, STUDY_ANY, STUDY_ANY, 0);
        check_near(&w, study_value(c, KIND_value, -1, row[i].what, 4), row[i].want, 1e-9,
                   "%s of %s", row[i].what, row[i].act);
    }
    study_check_worst(s, CHECK_ID, 'a', "constants of ReLU, linear, SELU", &w, NULL);
}

static void check_draws(struct study *s) {
    struct check_worst w = {0};
    for (size_t i = 0; i < s->cells; i++) {
        const struct study_cell *const c = &s->cell[i];
        for (size_t k = 0; c->part == 'b' && k < c->records; k++) {
            const struct study_record *const r = &c->record[k];
            if (r->layer > 1) continue;
            const double n = study_value(c, KIND_value, 2, r->tensor, r->step), q = qs[r->step];
            const struct theory_moments m = theory_moments_at(c->arm, q);
            const double kurt = r->layer == 0 ? m.kurt_f : m.kurt_d;
            check_near(&w, r->value / (r->layer == 0 ? m.c : m.d), 1, 5 * sqrt(kurt / n) + 1e-5,
                       "%s of %s on %s, q %g", r->layer == 0 ? "c" : "d", c->arm, r->tensor, q);
        }
    }
    study_check_worst(s, CHECK_TH, 'b', "c and d through the kernels of every ISA", &w, NULL);
}

/* ln(q_l / theory) of the layers up to the tenth. */
static void near_recursion(const struct study *s, struct check_worst *w, const char *act,
                           size_t init, double cells) {
    double q = 1, kurt = 0;
    const double gain = gain_of(inits[init], act);
    for (int l = 1; l <= 10 && l < (int)depth_of(s); l++) {
        const struct theory_moments m = theory_moments_at(act, q);
        kurt = fmax(kurt, m.kurt_f + 2);
        q *= gain * m.c;
        const double got = square(s, 'c', act, (double)init, l, KIND_z_rms);
        check_near(w, log(got / q), 0, 6 * sqrt(kurt * l / cells), "%s, %s, layer %d", act,
                   inits[init], l);
    }
}

static void check_depth(struct study *s) {
    struct check_worst w = {0};
    const int last = (int)depth_of(s) - 1;
    const double cells = (double)(width_of(s) * seeds_of(s));
    for (size_t a = 0; theory_act_name(a) != NULL && study_has(s, 'c'); a++)
        for (size_t i = 0; i < INITS; i++) {
            const char *const act = theory_act_name(a);
            if (!is_homogeneous(act)) {
                near_recursion(s, &w, act, i, cells);
                continue;
            }
            const struct theory_moments m = theory_moments_at(act, 1);
            const double gain = gain_of(inits[i], act), layers = last + 1;
            check_near(&w, factor(s, 'c', act, (double)i, 0, last, KIND_z_rms) / (gain * m.c), 1,
                       4 * sqrt(m.kurt_f / (cells * layers)), "%s, %s, forward", act, inits[i]);
            check_near(&w, factor(s, 'c', act, (double)i, last, 0, KIND_delta_rms) / (gain * m.d),
                       1, 4 * sqrt((m.kurt_d + 2) / (cells * layers)), "%s, %s, backward", act,
                       inits[i]);
        }
    study_check_worst(s, CHECK_TH, 'c', "factor a layer in deep nets", &w, NULL);
}

/* Var[z_{l+1}]/(n sigma^2) is the second moment of x_l, not its variance. */
static void check_moment(struct study *s) {
    struct check_worst w = {0};
    const int last = (int)depth_of(s) - 1;
    const double cells = (double)(width_of(s) * seeds_of(s)) * last;
    for (size_t a = 0; theory_act_name(a) != NULL && study_has(s, 'c'); a++) {
        const char *const act = theory_act_name(a);
        double second = 0, centred = 0;
        for (int l = 0; l < last; l++) {
            const double z = square(s, 'c', act, 1, l + 1, KIND_z_rms) / gain_of("he", act);
            const double x = square(s, 'c', act, 1, l, KIND_x_rms);
            second += z / x / last;
            centred += z / (x - square(s, 'c', act, 1, l, KIND_x_mean)) / last;
        }
        check_near(&w, second, 1, 4 * sqrt(2 / cells), "E[x²] of %s", act);
        if (strcmp(act, "relu") == 0)
            check_near(&w, centred, 0.5 / 0.340845, 0.06, "over Var[x] of relu");
    }
    study_check_worst(s, CHECK_TH, 'c', "Var[z] follows E[x²], not Var[x]", &w, NULL);
}

/* Forward and backward factor of the second layer of a cell of part d. */
static void factors(const struct study_cell *c, double *forward, double *backward) {
    const double z1 = study_value(c, KIND_z_rms, 1, "weight", 0);
    const double z0 = study_value(c, KIND_z_rms, 0, "weight", 0);
    const double d0 = study_value(c, KIND_delta_rms, 0, "weight", 0);
    const double d1 = study_value(c, KIND_delta_rms, -1, "output", 0);
    *forward = pow(z1 / z0, 2);
    *backward = pow(d0 / d1, 2);
}

static void check_rectangles(struct study *s) {
    struct check_worst w = {0};
    for (size_t i = 0; i < s->cells; i++) {
        const struct study_cell *const c = &s->cell[i];
        double forward, backward;
        if (c->part != 'd') continue;
        const size_t *const shape = shapes[(size_t)c->number[0]];
        const char *const scheme = schemes[(size_t)c->number[1]];
        const double in = (double)shape[0], out = (double)shape[1];
        const double var = scheme_var((size_t)c->number[1], in, out), least = fmin(in, out);
        const struct theory_moments m = theory_moments_at(c->arm, 1);
        factors(c, &forward, &backward);
        check_near(&w, forward / (m.c * in * var), 1, 4 * sqrt((m.kurt_f + 2) / least),
                   "forward %zu to %zu, %s, %s", shape[0], shape[1], c->arm, scheme);
        check_near(&w, backward / (m.d * out * var), 1, 4 * sqrt((m.kurt_d + 2) / least),
                   "backward %zu to %zu, %s, %s", shape[0], shape[1], c->arm, scheme);
    }
    study_check_worst(s, CHECK_TH, 'd', "factors of rectangular layers", &w, NULL);
}

static void check_uniform(struct study *s) {
    struct check_worst w = {0};
    const double n = (double)(width_of(s) * seeds_of(s) * depth_of(s));
    if (study_has(s, 'e'))
        check_near(&w, factor(s, 'e', "relu", (double)NAN, 0, (int)depth_of(s) - 1, KIND_z_rms), 1,
                   4 * sqrt(5 / n), "relu, he, uniform");
    study_check_worst(s, CHECK_TH, 'e', "uniform weights carry the same variance", &w, NULL);
}

static void report_gelu(struct study *s) {
    double lo = 1, hi = 4;
    while (hi - lo > 1e-9) {
        const double middle = (lo + hi) / 2;
        if (theory_c("gelu_erf", middle) < 0.45)
            lo = middle;
        else
            hi = middle;
    }
    study_check(s, CHECK_RP, 'a', "c of GELU at q = 1", theory_c("gelu_erf", 1), 0, 0,
                "\"≈ 0.45-0.5\" [src]");
    study_remark(
        s,
        "exact by quadrature; it reaches 0.45 only at q = %.3f. The source also writes Var[x] "
        "where the second moment is meant",
        lo);
    study_sum(s, "q where c of GELU is 0.45", lo);
}

/* ---- figures ---- */
static void draw_c(struct study *s) {
    struct study_figure *const f =
        figure_new(s, "cphi", "c (lines) and d (dashed) against the variance q");
    f->x = (struct figure_axis){.label = "q", .log = true};
    f->y = (struct figure_axis){.label = "c(q), d(q)"};
    figure_rule(f, 0.45, "GELU [src] 0.45 ...");
    figure_rule(f, 0.5, "... 0.5");
    for (size_t a = 0; theory_act_name(a) != NULL; a++)
        for (int side = 0; side < 2; side++) {
            const struct study_cell *const c =
                study_find(s, 'a', theory_act_name(a), STUDY_ANY, STUDY_ANY, 0);
            double *const x = study_doubles(s, QS), *const y = study_doubles(s, QS);
            for (size_t i = 0; i < QS; i++) {
                x[i] = qs[i];
                y[i] = study_value(c, KIND_value, -1, side ? "d" : "c", (int64_t)i);
            }
            figure_curve(f, side ? NULL : theory_act_name(a), figure_hue(a),
                         side ? FIGURE_DASHED : FIGURE_LINE,
                         &(struct study_curve){.n = QS, .x = x, .mean = y});
        }
}

/* Second moments over depth under He, measured and (dashed) by theory. */
static void draw_depth(struct study *s, bool forward) {
    struct study_figure *const f =
        figure_new(s, forward ? "depth_forward" : "depth_backward",
                   forward ? "Forward, He: E[x²] over layers (theory dashed)"
                           : "Backward, He: E[δ²] over layers (theory dashed)");
    const size_t layers = depth_of(s);
    f->x = (struct figure_axis){.label = "layer"};
    f->y = (struct figure_axis){.label = forward ? "E[x²]" : "E[δ²], output 1", .log = true};
    for (size_t a = 0; theory_act_name(a) != NULL; a++) {
        const char *const act = theory_act_name(a);
        double *const x = study_doubles(s, layers), *const y = study_doubles(s, layers);
        double *const want = study_doubles(s, layers), *const q = study_doubles(s, layers);
        const double out = square(s, 'c', act, 1, (int)layers - 1, KIND_delta_rms);
        for (size_t l = 0; l < layers; l++) {
            x[l] = (double)l + 1;
            q[l] = l == 0 ? 1 : 2 * q[l - 1] * theory_c(act, q[l - 1]);
            y[l] = forward ? square(s, 'c', act, 1, (int)l, KIND_x_rms)
                           : square(s, 'c', act, 1, (int)l, KIND_delta_rms) / out;
        }
        if (forward) y[layers - 1] = (double)NAN; /* the output has no activation */
        for (size_t l = layers; l-- > 0;)
            want[l] = forward ? (l + 1 < layers ? q[l] * theory_c(act, q[l]) : (double)NAN)
                      : l + 1 == layers ? 1
                                        : 2 * want[l + 1] * theory_d(act, q[l]);
        figure_curve(f, act, figure_hue(a), FIGURE_LINE,
                     &(struct study_curve){.n = layers, .x = x, .mean = y});
        figure_curve(f, NULL, figure_hue(a), FIGURE_DASHED,
                     &(struct study_curve){.n = layers, .x = x, .mean = want});
    }
}

static void draw_dilemma(struct study *s) {
    struct study_figure *const f =
        figure_new(s, "dilemma", "Rectangular layers, ReLU: no scheme keeps both directions");
    f->x = (struct figure_axis){.label = "forward factor", .log = true};
    f->y = (struct figure_axis){.label = "backward factor", .log = true};
    for (size_t k = 0; k < SCHEMES; k++) {
        double *const x = study_doubles(s, SHAPES), *const y = study_doubles(s, SHAPES);
        for (size_t i = 0; i < SHAPES; i++) {
            factors(study_find(s, 'd', "relu", (double)i, (double)k, 0), &x[i], &y[i]);
            x[i] *= 2;
            y[i] *= 2;
        }
        figure_curve(f, schemes[k], figure_hue(k), FIGURE_POINTS,
                     &(struct study_curve){.n = SHAPES, .x = x, .mean = y});
    }
    figure_rule(f, 1, "1: nothing is lost (factors times 2, as He)");
    figure_mark_x(f, 1, 1, NULL);
}

static void judge(struct study *s) {
    check_table(s);
    check_draws(s);
    check_depth(s);
    check_moment(s);
    check_rectangles(s);
    check_uniform(s);
    report_gelu(s);
    if (study_has(s, 'a')) draw_c(s);
    if (study_has(s, 'c')) draw_depth(s, true);
    if (study_has(s, 'c')) draw_depth(s, false);
    if (study_has(s, 'd')) draw_dilemma(s);
    study_answer(
        s,
        "The kernels carry second moments as c and d say; GELU's c is %.4f at q = 1, and He "
        "under-scales it (E[z²] is %.3g in the tenth layer).",
        theory_c("gelu_erf", 1), theory_depth("gelu_erf", 2, 1, 9));
}

const struct weft_study study_variance_theory = {
    .name = "variance-theory",
    .question =
        "Do the real kernels propagate variance as the constants c and d of each activation say?",
    .source =
        "Han 2025 (arXiv 2510.09423), unified variance analysis; Dive into Deep Learning 5.4.2.2",
    .parts = "abcde",
    .part = {"table of c(q) and d(q) by quadrature", "Monte Carlo through the kernels of every ISA",
             "deep square nets under LeCun, He and critical variance", "rectangular layers",
             "uniform weights"},
    .numbers = {"init", "scheme"},
    .grid = grid,
    .run = run,
    .judge = judge,
};
