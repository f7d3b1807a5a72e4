#include "train/profile.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include "train/progress.h"

#define ENERGY "/sys/class/powercap/intel-rapl:%d/energy_uj"

/* ---- what is stepped ---- */
struct subject {
    weft_ctx *ctx;
    weft_model *model;
    struct weft_batch batch;
    int32_t *tokens, *targets;
    float *inputs;
    size_t targets_of_step;
};

static uint32_t next_random(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static enum weft_status fill(struct subject *s, size_t tokens, size_t inputs, size_t targets,
                             size_t classes) {
    uint32_t random = 1;
    s->tokens = calloc(tokens + 1, sizeof *s->tokens);
    s->inputs = calloc(inputs + 1, sizeof *s->inputs);
    s->targets = calloc(targets + 1, sizeof *s->targets);
    if (!s->tokens || !s->inputs || !s->targets)
        return weft_ctx_fail(s->ctx, WEFT_ERR_NOMEM, "out of memory for a batch");
    for (size_t i = 0; i < tokens; i++) s->tokens[i] = (int32_t)(next_random(&random) % classes);
    for (size_t i = 0; i < inputs; i++)
        s->inputs[i] = (float)(next_random(&random) >> 4) * 0x1p-19f - 1.0f;
    for (size_t i = 0; i < targets; i++) s->targets[i] = (int32_t)(next_random(&random) % classes);
    s->batch.tokens = s->tokens;
    s->batch.inputs = s->inputs;
    s->batch.targets = s->targets;
    s->targets_of_step = targets;
    return WEFT_OK;
}

static enum weft_status commit(struct subject *s, const char *init) {
    const enum weft_status st = weft_model_commit(s->model);
    const struct weft_init how = {.name = init, .seed = 1};
    return st == WEFT_OK ? weft_model_init(s->model, &how) : st;
}

static enum weft_status make_gpt2(struct subject *s, const struct weft_gpt2_config *c,
                                  const struct weft_profile_options *o, struct weft_profile *p) {
    p->batch = o->batch ? o->batch : 4;
    p->seq = o->seq ? o->seq : c->context < 64 ? c->context : 64;
    p->units = p->batch * p->seq;
    p->unit = "tokens";
    const struct weft_training how = {
        .batch = p->batch,
        .seq = p->seq,
        .precision = o->precision,
        .optim = {"adamw", .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1,
                  .clip = 1},
    };
    enum weft_status st = weft_gpt2_create(s->ctx, c, &how, &s->model);
    if (st == WEFT_OK) st = commit(s, "gpt2");
    return st == WEFT_OK ? fill(s, p->units, 0, p->units, c->vocab) : st;
}

/* "mlp-784-256-10" into its widths. */
static bool parse_mlp(const char *name, struct weft_mlp_config *c) {
    size_t width[WEFT_MLP_MAX_HIDDEN + 2], n = 0;
    if (strncmp(name, "mlp", 3) != 0) return false;
    for (const char *at = name + 3; *at;) {
        char *end;
        if (*at != '-' || n == sizeof width / sizeof *width) return false;
        const unsigned long w = strtoul(at + 1, &end, 10);
        if (end == at + 1 || w == 0 || w > 1 << 24) return false;
        width[n++] = w;
        at = end;
    }
    if (n < 2) return false;
    *c = (struct weft_mlp_config){.inputs = width[0], .outputs = width[n - 1], .layers = n - 2};
    memcpy(c->hidden, width + 1, c->layers * sizeof *width);
    return true;
}

static enum weft_status make_mlp(struct subject *s, const struct weft_mlp_config *c,
                                 const struct weft_profile_options *o, struct weft_profile *p) {
    p->batch = p->units = o->batch ? o->batch : 128;
    p->seq = 1;
    p->unit = "samples";
    const struct weft_training how = {
        .batch = p->batch, .precision = o->precision, .optim = {"momentum", .beta1 = 0.9}};
    enum weft_status st = weft_mlp_create(s->ctx, c, &how, &s->model);
    if (st == WEFT_OK) st = commit(s, "kaiming-normal");
    return st == WEFT_OK ? fill(s, 0, p->batch * c->inputs, p->batch, c->outputs) : st;
}

static enum weft_status make(struct subject *s, const struct weft_profile_options *o,
                             struct weft_profile *p) {
    struct weft_gpt2_config gpt2 = {0};
    struct weft_mlp_config mlp;
    if (weft_gpt2_preset(o->model, &gpt2)) return make_gpt2(s, &gpt2, o, p);
    if (parse_mlp(o->model, &mlp)) return make_mlp(s, &mlp, o, p);
    return weft_ctx_fail(
        s->ctx, WEFT_ERR_ARG,
        "there is no model '%s': gpt2-124m, gpt2-350m, gpt2-774m, gpt2-1.5b, or the "
        "widths of a network as in mlp-784-256-128-10",
        o->model);
}

static void discard(struct subject *s) {
    weft_model_free(s->model);
    free(s->tokens);
    free(s->inputs);
    free(s->targets);
}

/* ---- stepping ---- */
static enum weft_status step(struct subject *s, uint64_t number, size_t rows, double *seconds) {
    const struct weft_run run = {
        .step = number, .inv_targets = 1 / (float)s->targets_of_step, .lr = 1e-4};
    struct weft_loss loss;
    struct weft_step done;
    s->batch.rows = rows;
    const double start = weft_clock();
    enum weft_status st = weft_model_grad(s->model, &s->batch, &run, &loss);
    if (st == WEFT_OK) st = weft_model_update(s->model, &run, &done);
    *seconds = weft_clock() - start;
    return st;
}

/* Microjoules of all packages since some moment; 0: the machine does not tell. */
static double energy(void) {
    double sum = 0;
    for (int i = 0; i < 16; i++) {
        char path[64];
        double value;
        snprintf(path, sizeof path, ENERGY, i);
        FILE *const file = fopen(path, "r");
        if (file == NULL) break;
        if (fscanf(file, "%lf", &value) == 1) sum += value;
        fclose(file);
    }
    return sum;
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static enum weft_status run_steps(struct subject *s, size_t steps, struct weft_profile *p) {
    double *const took = calloc(steps, sizeof *took), first;
    if (took == NULL) return weft_ctx_fail(s->ctx, WEFT_ERR_NOMEM, "out of memory");
    enum weft_status st = step(s, 0, p->batch, &first);
    if (st == WEFT_OK) st = weft_model_timing(s->model, true);
    const double before = energy();
    for (size_t i = 0; st == WEFT_OK && i < steps; i++) {
        st = step(s, i + 1, p->batch, &took[i]);
        p->mean += took[i] / (double)steps;
    }
    const double used = energy() - before; /* the counter wraps once in a long while */
    p->joules = used > 0 ? 1e-6 * used / (double)steps : 0;
    qsort(took, steps, sizeof *took, by_size);
    p->best = took[0];
    p->median = (took[(steps - 1) / 2] + took[steps / 2]) / 2;
    free(took);
    return st;
}

/* ---- adding up ---- */
static struct weft_profile_row *row_of(struct weft_profile_row *row, size_t *n, const char *name) {
    for (size_t i = 0; i < *n; i++)
        if (strcmp(row[i].name, name) == 0) return &row[i];
    if (*n == WEFT_PROFILE_ROWS) return &row[*n - 1];
    snprintf(row[*n].name, sizeof row->name, "%s", name);
    return &row[(*n)++];
}

static void add_node(struct weft_profile_row *r, const struct weft_node_time *t,
                     const struct weft_limits *l) {
    const double compute = 1e-9 * ((t->flops - t->bf16_flops) / l->fma_gflops +
                                   t->bf16_flops / l->bf16_gflops);
    const double memory = t->bytes / (1e9 * l->triad_gbs);
    r->nodes++;
    r->flops += t->flops;
    r->bytes += t->bytes;
    r->least += compute > memory ? compute : memory;
    r->seconds += t->calls ? t->seconds / (double)t->calls : 0;
    r->least_compute += compute;
    r->compute = r->least_compute > r->bytes / (1e9 * l->triad_gbs);
}

static enum weft_status add_up(struct subject *s, struct weft_profile *p) {
    const size_t n = weft_model_times(s->model, NULL, 0);
    struct weft_node_time *const t = calloc(n + 1, sizeof *t);
    p->spans = weft_model_spans(s->model, NULL, 0);
    p->span = calloc(p->spans + 1, sizeof *p->span);
    if (t == NULL || p->span == NULL) {
        free(t);
        return weft_ctx_fail(s->ctx, WEFT_ERR_NOMEM, "out of memory");
    }
    weft_model_times(s->model, t, n);
    weft_model_spans(s->model, p->span, p->spans);
    for (size_t i = 0; i < n; i++) {
        char block[32];
        if (t[i].layer >= 0)
            snprintf(block, sizeof block, "block %d", t[i].layer);
        else
            snprintf(block, sizeof block, "%s", t[i].op);
        add_node(row_of(p->op, &p->ops, t[i].op), &t[i], &p->limits);
        add_node(row_of(p->block, &p->blocks, block), &t[i], &p->limits);
        p->explained += t[i].calls ? t[i].seconds / (double)t[i].calls : 0;
    }
    for (size_t i = 0; i < p->spans; i++) { /* names live as long as the model: keep only op's */
        p->span[i].node = p->span[i].op;
    }
    free(t);
    return WEFT_OK;
}

enum weft_status weft_profile_run(weft_ctx *ctx, const struct weft_profile_options *o,
                                  struct weft_profile *out) {
    struct subject s = {.ctx = ctx};
    struct weft_profile *const p = out;
    *p = (struct weft_profile){0};
    snprintf(p->model, sizeof p->model, "%s", o->model);
    enum weft_status st = weft_limits_measure(ctx, 0, &p->limits);
    const bool half = o->precision != NULL && strcmp(o->precision, "bf16") == 0;
    p->peak = half ? p->limits.bf16_gflops : p->limits.fma_gflops;
    if (st == WEFT_OK) st = make(&s, o, p);
    if (st == WEFT_OK) st = run_steps(&s, o->steps > 0 ? o->steps : 5, p);
    if (st == WEFT_OK) st = add_up(&s, p);
    if (st == WEFT_OK) {
        struct rusage usage;
        getrusage(RUSAGE_SELF, &usage);
        p->peak_bytes = (size_t)usage.ru_maxrss << 10;
        p->params = weft_model_param_count(s.model);
        weft_model_work(s.model, &p->limits, &p->model_flops, &p->least);
    }
    discard(&s);
    if (st != WEFT_OK) weft_profile_free(p);
    return st;
}

void weft_profile_free(struct weft_profile *p) {
    free(p->span);
    *p = (struct weft_profile){0};
}

/* ---- telling ---- */
const char *weft_profile_verdict(const struct weft_profile *p, char *buf, size_t size) {
    double compute = 0, all = 0;
    const struct weft_profile_row *worst = NULL;
    for (size_t i = 0; i < p->ops; i++) {
        const struct weft_profile_row *const r = &p->op[i];
        all += r->seconds;
        if (r->compute) compute += r->seconds;
        if (worst == NULL || r->seconds - r->least > worst->seconds - worst->least) worst = r;
    }
    if (worst == NULL || all == 0) return snprintf(buf, size, "nothing was measured"), buf;
    snprintf(
        buf, size,
        "%.0f%% of the time is in ops that arithmetic binds, %.0f%% in ops that memory binds; most "
        "is lost in %s: %.3g ms beyond its limit",
        100 * compute / all, 100 - 100 * compute / all, worst->name,
        1e3 * (worst->seconds - worst->least));
    return buf;
}

static void rows_json(const struct weft_profile_row *row, size_t n, const char *key,
                      struct weft_json *j) {
    weft_json_open(j, key, '[');
    for (size_t i = 0; i < n; i++) {
        weft_json_open(j, NULL, '{');
        weft_json_text(j, "name", row[i].name);
        weft_json_count(j, "nodes", row[i].nodes);
        weft_json_real(j, "flops", row[i].flops);
        weft_json_real(j, "bytes", row[i].bytes);
        weft_json_rounded(j, "least_ms", 1e3 * row[i].least, 6);
        weft_json_rounded(j, "ms", 1e3 * row[i].seconds, 6);
        weft_json_text(j, "bound_by", row[i].compute ? "arithmetic" : "memory");
        weft_json_close(j);
    }
    weft_json_close(j);
}

void weft_profile_json(const struct weft_profile *p, struct weft_json *j) {
    char verdict[256];
    weft_json_open(j, NULL, '{');
    weft_json_text(j, "model", p->model);
    weft_json_count(j, "parameters", p->params);
    weft_json_count(j, "batch", p->batch);
    weft_json_count(j, "seq", p->seq);
    weft_json_rounded(j, "fma_gflops", p->limits.fma_gflops, 6);
    weft_json_rounded(j, "peak_gflops", p->peak, 6);
    weft_json_rounded(j, "triad_gbs", p->limits.triad_gbs, 6);
    weft_json_rounded(j, "best_ms", 1e3 * p->best, 6);
    weft_json_rounded(j, "median_ms", 1e3 * p->median, 6);
    weft_json_rounded(j, "mean_ms", 1e3 * p->mean, 6);
    weft_json_rounded(j, "least_ms", 1e3 * p->least, 6);
    weft_json_text(j, "unit", p->unit);
    weft_json_rounded(j, "units_per_s", (double)p->units / p->median, 6);
    weft_json_rounded(j, "mfu", 1e-9 * p->model_flops / p->median / p->peak, 4);
    weft_json_rounded(j, "of_bound", p->least / p->median, 4);
    weft_json_rounded(j, "unexplained", 1 - p->explained / p->mean, 4);
    weft_json_count(j, "peak_bytes", p->peak_bytes);
    if (p->joules > 0) weft_json_rounded(j, "joules", p->joules, 4);
    weft_json_text(j, "verdict", weft_profile_verdict(p, verdict, sizeof verdict));
    rows_json(p->op, p->ops, "ops", j);
    rows_json(p->block, p->blocks, "blocks", j);
    weft_json_end(j);
}

void weft_profile_trace(const struct weft_profile *p, struct weft_json *j) {
    double start = INFINITY;
    for (size_t i = 0; i < p->spans; i++)
        if (p->span[i].begin < start) start = p->span[i].begin;
    weft_json_open(j, NULL, '{');
    weft_json_open(j, "traceEvents", '[');
    for (size_t i = 0; i < p->spans; i++) {
        const struct weft_span *const s = &p->span[i];
        char name[64];
        if (s->layer >= 0)
            snprintf(name, sizeof name, "%s, block %d", s->op, s->layer);
        else
            snprintf(name, sizeof name, "%s", s->op);
        weft_json_open(j, NULL, '{');
        weft_json_text(j, "name", name);
        weft_json_text(j, "cat", s->op);
        weft_json_text(j, "ph", "X");
        weft_json_rounded(j, "ts", 1e6 * (s->begin - start), 12);
        weft_json_rounded(j, "dur", 1e6 * (s->end - s->begin), 12);
        weft_json_int(j, "pid", 1);
        weft_json_count(j, "tid", s->thread);
        weft_json_close(j);
    }
    weft_json_end(j);
}
