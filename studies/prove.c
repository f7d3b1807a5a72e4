/* See prove.h. */
#include "studies/prove.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "studies/stats.h"
#include "studies/theory.h"
#include "train/progress.h"

#define COST_ROUNDS 25   /* pairs of blocks; the fastest of each are compared: the least disturbed */
#define COST_STEPS  200  /* steps of a block, at most */
#define COST_BLOCK  0.05 /* seconds of a block, about */

/* ---- what a statistic must be ---- */
struct truth {
    double value, size; /* size: of the terms behind it */
};

static struct truth mean_of(const float *x, size_t n) {
    struct truth t = {0, 0};
    for (size_t i = 0; i < n; i++) {
        t.value += (double)x[i];
        t.size += fabs((double)x[i]);
    }
    t.value /= (double)n;
    t.size /= (double)n;
    return t;
}

static struct truth rms_of(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return (struct truth){sqrt(sum / (double)n), sqrt(sum / (double)n)};
}

/* Root of the mean over rows of the variance in a row. */
static struct truth row_std(const struct weft_probe_value *v) {
    double sum = 0, all = 0;
    for (size_t r = 0; r < v->rows; r++) {
        const float *const x = v->of + r * v->cols;
        const double mean = mean_of(x, v->cols).value;
        for (size_t i = 0; i < v->cols; i++) {
            sum += ((double)x[i] - mean) * ((double)x[i] - mean);
            all += (double)x[i] * (double)x[i];
        }
    }
    const double n = (double)(v->rows * v->cols);
    return (struct truth){sqrt(sum / n), sqrt(all / n)};
}

static struct truth dead_of(const struct weft_probe_value *v, const char *act) {
    size_t off = 0, near = 0;
    const size_t n = v->rows * v->cols;
    for (size_t i = 0; i < n; i++) {
        const double z = (double)v->of[i], slope = fabs(theory_slope(act, z));
        off += theory_act(act, z) == 0 || slope < 1e-3;
        near += fabs(slope - 1e-3) < 1e-7; /* either side is right */
    }
    return (struct truth){(double)off / (double)n, 1 + 1e5 * (double)near / (double)n};
}

/* Attention of one head over v->of = qkv (rows, 3C): log-sum-exp, largest logit, entropy of a row.
 */
static void attend(const struct weft_probe_value *v, size_t row0, size_t i, size_t h, double *s,
                   double *top, double *entropy) {
    const size_t c = v->cols / 3, hs = c / v->by_rows;
    const float *const q = v->of + (row0 + i) * v->cols + h * hs;
    double max = -INFINITY, sum = 0, weighted = 0;
    for (size_t j = 0; j <= i; j++) {
        const float *const k = v->of + (row0 + j) * v->cols + c + h * hs;
        s[j] = 0;
        for (size_t d = 0; d < hs; d++) s[j] += (double)q[d] * (double)k[d];
        s[j] /= sqrt((double)hs);
        max = fmax(max, s[j]);
    }
    for (size_t j = 0; j <= i; j++) {
        sum += exp(s[j] - max);
        weighted += exp(s[j] - max) * (s[j] - max);
    }
    *top = max;
    *entropy = log(sum) - weighted / sum;
}

static struct truth attention_of(const struct weft_probe_value *v, size_t seq, bool entropy) {
    double *const s = malloc(seq * sizeof *s), top = -INFINITY, sum = 0;
    size_t n = 0;
    for (size_t b = 0; s != NULL && b < v->rows; b += seq)
        for (size_t h = 0; h < v->by_rows; h++)
            for (size_t i = 0; i < seq; i++) {
                double max, own;
                attend(v, b, i, h, s, &max, &own);
                top = fmax(top, max);
                if (i == 0) continue;
                sum += own / log((double)(i + 1));
                n++;
            }
    free(s);
    const double value = entropy ? sum / (double)n : top;
    return (struct truth){value, entropy ? 1 : fabs(top)};
}

/* The logits of a row: the head's product, or what is there. */
static void logz_row(const struct weft_probe_value *v, size_t r, double *lse, double *top) {
    const size_t n = v->by != NULL ? v->by_rows : v->cols;
    double max = -INFINITY, sum = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t j = 0; j < n; j++) {
            double x = v->by != NULL ? 0 : (double)v->of[r * v->cols + j];
            for (size_t i = 0; v->by != NULL && i < v->cols; i++)
                x += (double)v->of[r * v->cols + i] * (double)v->by[j * v->cols + i];
            if (pass == 0)
                max = fmax(max, x);
            else
                sum += exp(x - max);
        }
    *lse = max + log(sum);
    *top = max;
}

static struct truth loss_of(const struct weft_probe_value *v) {
    double sum = 0, square = 0, size = 0, top = -INFINITY;
    for (size_t r = 0; r < v->rows; r++) {
        double lse, max;
        logz_row(v, r, &lse, &max);
        sum += lse;
        square += lse * lse;
        size += fabs(lse);
        top = fmax(top, max);
    }
    const double n = (double)v->rows;
    if (strcmp(v->kind, "logz") == 0) return (struct truth){sum / n, size / n};
    if (strcmp(v->kind, "logz_rms") == 0) return (struct truth){sqrt(square / n), sqrt(square / n)};
    return (struct truth){top, fabs(top) + size / n};
}

/* false: nothing to compare with was kept. */
static bool truth_of(const struct trial *t, const struct weft_probe_value *v, struct truth *out) {
    const struct trial_spec *const s = t->spec;
    const bool language = s->gpt2.layers > 0;
    const char *const act =
        language ? (s->gpt2.act ? s->gpt2.act : "gelu_tanh") : (s->mlp.act ? s->mlp.act : "relu");
    const size_t seq = s->how.seq != 0 ? s->how.seq : s->gpt2.context, n = v->rows * v->cols;
    if (v->of == NULL || n == 0) return false;
    if (strcmp(v->tensor, "loss") == 0)
        *out = loss_of(v);
    else if (strcmp(v->tensor, "attn") == 0)
        *out = attention_of(v, seq, strcmp(v->kind, "entropy") == 0);
    else if (strcmp(v->kind, "std") == 0)
        *out = row_std(v);
    else if (strcmp(v->kind, "dead") == 0)
        *out = dead_of(v, act);
    else if (strstr(v->kind, "mean") != NULL)
        *out = mean_of(v->of, n);
    else
        *out = rms_of(v->of, n);
    return true;
}

static void put(struct study_run *r, int layer, const char *tensor, double got, struct truth want) {
    const double size = fmax(fabs(want.size), 1e-30);
    study_put(r, 0, layer, tensor, KIND_deviation, fabs(got - want.value) / size);
}

static enum weft_status prove_probes(struct trial *t) {
    const size_t n = weft_model_probes(t->model, NULL, 0);
    struct weft_probe_value *const v = calloc(n + 1, sizeof *v);
    if (v == NULL) return weft_ctx_fail(t->run->ctx, WEFT_ERR_NOMEM, "out of memory");
    weft_model_probes(t->model, v, n);
    for (size_t i = 0; i < n; i++) {
        struct truth want;
        char name[40];
        snprintf(name, sizeof name, "%s %s", v[i].tensor, v[i].kind);
        if (truth_of(t, &v[i], &want)) put(t->run, v[i].layer, name, v[i].value, want);
    }
    free(v);
    return WEFT_OK;
}

/* ---- weights: F1 ---- */
/* A matrix, or one of its slices or heads: rows [row, row + rows). */
static void prove_rows(struct trial *t, const struct weft_param_info *p, const float *before,
                       const char *tensor, size_t row, size_t rows) {
    const size_t cols = p->shape[1], n = rows * cols;
    const float *const w = p->data + row * cols, *const g = p->grad + row * cols;
    double sum = 0, square = 0, most = 0, grad = 0, step = 0;
    for (size_t i = 0; i < n; i++) {
        const double x = (double)w[i], d = x - (double)before[row * cols + i];
        sum += x;
        square += x * x;
        most = fmax(most, fabs(x));
        grad += (double)g[i] * (double)g[i];
        step += d * d;
    }
    const double mean = sum / (double)n, rms = sqrt(square / (double)n);
    const struct {
        const char *kind;
        struct truth want;
    } of[] = {
        {"mean", {mean, rms}},
        {"std", {sqrt(fmax(square / (double)n - mean * mean, 0)), rms}},
        {"absmax", {most, most}},
        {"gnorm", {sqrt(grad), sqrt(grad)}},
        {"update_ratio",
         {square > 0 ? sqrt(step / square) : 0, square > 0 ? sqrt(step / square) : 1}},
        {"norm", {sqrt(square), sqrt(square)}},
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        char name[40];
        snprintf(name, sizeof name, "%s %s", tensor, of[i].kind);
        const double got = trial_statistic(t, p->layer, tensor, of[i].kind);
        if (!isnan(got) || strcmp(of[i].kind, "norm") != 0)
            put(t->run, p->layer, name, got, of[i].want);
    }
}

static bool watches_heads(const struct trial *t) {
    return !isnan(trial_statistic(t, 0, "q.0", "std"));
}

static void prove_weights(struct trial *t, float *const *before) {
    const size_t heads = t->spec->gpt2.heads, width = t->spec->gpt2.width;
    for (size_t i = 0; i < t->params; i++) {
        const struct weft_param_info *const p = &t->param[i];
        if (p->shape[1] == 0) continue;
        if (strcmp(p->role, "attn_qkv") != 0) {
            prove_rows(t, p, before[i], p->role, 0, p->shape[0]);
            continue;
        }
        for (size_t s = 0; s < 3; s++) {
            const char name[2] = {"qkv"[s], 0};
            prove_rows(t, p, before[i], name, s * width, width);
            for (size_t h = 0; h < heads && t->statistics > 0 && watches_heads(t); h++) {
                char head[8];
                snprintf(head, sizeof head, "%s.%u", name, (unsigned)h % 100);
                prove_rows(t, p, before[i], head, s * width + h * (width / heads), width / heads);
            }
        }
    }
}

enum weft_status prove_statistics(struct study_run *r, const struct trial_spec *spec) {
    struct trial_spec one = *spec;
    struct trial t;
    float **before = NULL;
    bool ok = false;
    one.how.keep = true;
    enum weft_status st = trial_open(&t, r, &one);
    if (st == WEFT_OK) before = calloc(t.params + 1, sizeof *before);
    for (size_t i = 0; before != NULL && i < t.params; i++) {
        before[i] = malloc(trial_count(&t.param[i]) * sizeof **before);
        if (before[i] == NULL) st = WEFT_ERR_NOMEM;
        if (before[i] != NULL)
            memcpy(before[i], t.param[i].data, trial_count(&t.param[i]) * sizeof **before);
    }
    if (st == WEFT_OK && before == NULL) st = WEFT_ERR_NOMEM;
    if (st == WEFT_ERR_NOMEM) weft_ctx_fail(r->ctx, st, "out of memory for a proof");
    t.due = true;
    if (st == WEFT_OK) st = trial_step(&t, &ok);
    if (st == WEFT_OK && ok) {
        prove_weights(&t, before);
        st = prove_probes(&t);
    }
    for (size_t i = 0; before != NULL && i < t.params; i++) free(before[i]);
    free(before);
    trial_close(&t);
    return st;
}

/* ---- cost: U3 ---- */
/* Seconds of a step, over so many; with statistics each of them has some. */
static enum weft_status time_block(struct trial *t, uint64_t steps, double *out) {
    bool ok = true;
    enum weft_status st = WEFT_OK;
    const double begin = weft_clock();
    for (uint64_t i = 0; i < steps && ok && st == WEFT_OK; i++) {
        t->due = t->spec->kinds != NULL;
        st = trial_step(t, &ok);
        t->step++;
    }
    *out = ok ? (weft_clock() - begin) / (double)steps : (double)NAN;
    return st;
}

enum weft_status prove_cost(struct study_run *r, const struct trial_spec *spec) {
    struct trial_spec plain = *spec;
    struct trial with, without;
    double least[2] = {(double)INFINITY, (double)INFINITY}, a = 0, b = 0; /* without, with */
    plain.how.watch = NULL;
    plain.kinds = NULL;
    enum weft_status st = trial_open(&with, r, spec);
    if (st == WEFT_OK) {
        st = trial_open(&without, r, &plain);
        if (st == WEFT_OK) st = time_block(&without, 2, &a);
        if (st == WEFT_OK) st = time_block(&with, 2, &b);
        uint64_t steps = a > 0 ? (uint64_t)(COST_BLOCK / a) : 1;
        steps = steps < 1 ? 1 : steps > COST_STEPS ? COST_STEPS : steps;
        for (size_t i = 0; i < COST_ROUNDS && st == WEFT_OK; i++) {
            st = time_block(&without, steps, &a);
            if (st == WEFT_OK) st = time_block(&with, steps, &b);
            least[0] = -stats_worse(-least[0], -a);
            least[1] = -stats_worse(-least[1], -b);
        }
        trial_close(&without);
    }
    trial_close(&with);
    const double share = spec->every > 1 ? 1 / (double)spec->every : 1; /* of steps that look */
    if (st == WEFT_OK)
        study_put(r, 0, -1, "", KIND_value, 1 + share * (least[1] / least[0] - 1));
    return st;
}
