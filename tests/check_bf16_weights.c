/* The optimizer sweep of a training in bf16, on every ISA: the copy of the weights, what each way
 * of keeping them makes of a step (against the f32 kernel on the same numbers), and the meter of
 * what rounding loses, against a loop over scalars. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "runtime/optim.h"
#include "tests/support/check.h"
#include "weft/half.h"

enum { N = 5003 };
static int failures;
#define FAIL(...) (failures++ < 20 ? (void)(printf("FAIL " __VA_ARGS__), putchar('\n')) : (void)0)

struct state {
    float w[N], g[N], m[N], v[N], c[N];
    uint16_t copy[N];
};
static struct state start, plain, half, other;

static float nearest(float x) { return weft_bf16_load(weft_bf16_round(x)); }
static float down(float x) { return weft_bits_float(weft_float_bits(x) & 0xffff0000u); }
static float up(float x) { return weft_bits_float((weft_float_bits(x) | 0xffffu) + 1); }

static void fill(bool in_bf16) {
    uint32_t s = 7;
    float *const to[] = {start.w, start.g, start.m, start.v, start.c};
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < 5; k++) {
            s = s * 1664525u + 1013904223u;
            to[k][i] = (float)(int32_t)s * 0x1p-31f;
        }
    for (size_t i = 0; i < N; i++) {
        start.v[i] = start.m[i] * start.m[i] + fabsf(start.v[i]) * 1e-3f;
        start.c[i] = nearest(start.c[i] * 0x1p-9f * fabsf(nearest(start.w[i])));
        if (i % 50 == 0) start.g[i] = start.m[i] = 0;
        if (in_bf16) start.w[i] = nearest(start.w[i]);
    }
}

struct way {
    const char *rule;
    enum weft_weights weights;
    uint64_t step;
    uint32_t stream;
    size_t cut; /* in two calls */
};

static void step(const struct weft_kernels *k, const struct way *how, struct state *s, bool in_bf16,
                 struct weft_optim_stats *stats) {
    const struct weft_optim_kind *const kind = weft_optim_find(how->rule);
    const struct weft_optim o = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1};
    const double lr = 1e-3;
    for (size_t i = 0; i < N; i = i < how->cut ? how->cut : N) {
        struct weft_optim_args a = weft_optim_scalars(kind, &o, lr, how->step, 1, true);
        a.n = i < how->cut ? how->cut : N - i;
        a.w = s->w + i, a.g = s->g + i, a.m = s->m + i, a.v = s->v + i;
        a.stats = stats;
        if (in_bf16) {
            a.copy = s->copy + i;
            a.c = s->c + i;
            a.weights = how->weights;
            a.seed = 5;
            a.step = how->step;
            a.stream = how->stream;
            a.first = i;
        }
        k->optim_f32(&a);
    }
}

static bool same(const float *a, const float *b) { return memcmp(a, b, sizeof plain.w) == 0; }

static void check_copy(const struct weft_kernels *k, const char *rule) {
    for (size_t i = 0; i < N; i++)
        if (half.copy[i] != weft_bf16_round(half.w[i])) {
            FAIL("weights copy: %s on %s: element %zu is stale", rule, k->isa, i);
            return;
        }
}

/* Every way, with the rule's own state: m and v are those of f32. */
static void check_ways(const struct weft_kernels *k, const char *rule) {
    for (int how = WEFT_MASTER; how <= WEFT_KAHAN; how++) {
        const struct way w = {.rule = rule, .weights = (enum weft_weights)how, .step = 3};
        struct weft_optim_stats stats;
        fill(how != WEFT_MASTER);
        plain = half = start;
        step(k, &w, &plain, false, NULL);
        step(k, &w, &half, true, how % 2 ? &stats : NULL);
        check_copy(k, rule);
        if (!same(plain.m, half.m) || !same(plain.v, half.v))
            FAIL("weights %d: %s on %s: the moments differ from f32's", how, rule, k->isa);
        for (size_t i = 0; i < N; i++) {
            const float next = plain.w[i], got = half.w[i];
            bool ok = how != WEFT_MASTER || got == next;
            if (how == WEFT_NEAREST) ok = got == nearest(next);
            if (how == WEFT_STOCHASTIC) ok = got == down(next) || got == up(next);
            if (how == WEFT_KAHAN) { /* nothing is lost but what neither number can hold */
                const double all = (double)got + (double)half.c[i];
                const double want = (double)next + (double)start.c[i];
                ok = fabs(all - want) <= 0x1p-16 * fabs((double)got) + 0x1p-22;
                ok = ok && got == nearest(got) && half.c[i] == nearest(half.c[i]);
            }
            if (!ok) {
                FAIL("weights %d: %s on %s: element %zu is %a, f32 has %a", how, rule, k->isa, i,
                     (double)got, (double)next);
                return;
            }
        }
    }
}

static size_t differing(const float *a, const float *b) {
    size_t n = 0;
    for (size_t i = 0; i < N; i++) n += a[i] != b[i];
    return n;
}

/* Unbiased; another step or parameter rounds otherwise; where a call begins does not matter. */
static void check_stochastic(const struct weft_kernels *k) {
    struct way w = {.rule = "adamw", .weights = WEFT_STOCHASTIC, .step = 3};
    double bias = 0, variance = 0;
    fill(true);
    plain = half = other = start;
    step(k, &w, &plain, false, NULL);
    step(k, &w, &half, true, NULL);
    for (size_t i = 0; i < N; i++) {
        const double gap = (double)up(plain.w[i]) - (double)down(plain.w[i]);
        if (gap == 0) continue;
        const double share = ((double)plain.w[i] - (double)down(plain.w[i])) / gap;
        bias += ((double)half.w[i] - (double)plain.w[i]) / gap;
        variance += share * (1 - share);
    }
    if (!(fabs(bias) <= 4 * sqrt(variance)) || !(variance > N / 20.0))
        FAIL("stochastic rounding on %s is biased: %g, deviation %g", k->isa, bias, sqrt(variance));
    w.cut = 1300;
    step(k, &w, &other, true, NULL);
    if (!same(half.w, other.w))
        FAIL("stochastic rounding on %s depends on where a call begins", k->isa);
    w.cut = 0;
    for (int i = 0; i < 2; i++) { /* of the same numbers: only the counter differs */
        other = start;
        w.stream = i == 0 ? 1 : 0;
        w.step = i == 0 ? 3 : 3 + ((uint64_t)1 << 31);
        plain = start;
        step(k, &(struct way){.rule = "signsgd", .weights = WEFT_STOCHASTIC, .step = 3}, &plain,
             true, NULL);
        w.rule = "signsgd";
        step(k, &w, &other, true, NULL);
        if (differing(plain.w, other.w) < N / 10)
            FAIL("stochastic rounding on %s does not depend on the %s", k->isa,
                 i == 0 ? "parameter" : "step");
    }
}

/* Small steps one way: nearest never moves, Kahan goes where f32 goes. */
static void check_drift(const struct weft_kernels *k) {
    enum { STEPS = 400 };
    fill(true);
    for (size_t i = 0; i < N; i++) {
        start.w[i] = nearest(1 + fabsf(start.w[i]) / 4);
        start.g[i] = -0.01f;
        start.c[i] = start.m[i] = 0;
    }
    plain = half = other = start;
    for (uint64_t t = 0; t < STEPS; t++) {
        const struct way kahan = {.rule = "sgd", .weights = WEFT_KAHAN, .step = t};
        const struct way round = {.rule = "sgd", .weights = WEFT_NEAREST, .step = t};
        for (size_t i = 0; i < N; i++) /* sgd's decay would enter here */
            plain.g[i] = -0.01f - 0.1f * plain.w[i], half.g[i] = -0.01f - 0.1f * half.w[i],
            other.g[i] = -0.01f - 0.1f * other.w[i];
        step(k, &kahan, &plain, false, NULL);
        step(k, &kahan, &half, true, NULL);
        step(k, &round, &other, true, NULL);
    }
    if (!same(other.w, start.w))
        FAIL("weights nearest on %s: steps far below an ulp move a weight", k->isa);
    for (size_t i = 0; i < N; i++)
        if (!(fabsf(half.w[i] - plain.w[i]) <= 0x1p-7f) || half.w[i] == start.w[i]) {
            FAIL("weights kahan on %s: element %zu went to %a, f32 to %a", k->isa, i,
                 (double)half.w[i], (double)plain.w[i]);
            return;
        }
}

/* signsgd, whose step is lr or 0, so that scalars of the same numbers say what was lost. */
static void check_meter(const struct weft_kernels *k, enum weft_weights how) {
    const struct way w = {.rule = "signsgd", .weights = how, .step = 0};
    struct weft_optim_stats got;
    double moves = 0, lost = 0, want = 0, done = 0;
    const float lr = (float)1e-3, decay = (float)(1e-3 * 0.1);
    fill(how != WEFT_MASTER);
    half = start;
    step(k, &w, &half, true, &got);
    for (size_t i = 0; i < N; i++) {
        const float old = nearest(start.w[i]),
                    move = start.g[i] == 0 ? 0 : copysignf(lr, start.g[i]);
        const float asked = decay * old, u = asked + move;
        const float with = nearest(old - u), without = nearest(old - move);
        moves += u != 0;
        lost += u != 0 && with == old;
        want += fabs((double)asked);
        done += asked == 0 ? 0
                           : copysign((double)without - (double)with, 1) *
                                 (((double)without - (double)with > 0) == (asked > 0) ? 1 : -1);
    }
    if (got.moves != moves) FAIL("meter on %s: %g updates, want %g", k->isa, got.moves, moves);
    if (!(fabs(got.lost - lost) <=
          (how == WEFT_MASTER ? 0 : 5))) /* keep w - step is rounded otherwise */
        FAIL("meter on %s: %g lost, want %g", k->isa, got.lost, lost);
    if (!(lost > N / 20.0 && lost < N))
        FAIL("meter on %s: %g lost of %d proves little", k->isa, lost, N);
    if (!(fabs(got.decay_want - want) <= 1e-5 * want))
        FAIL("meter on %s: decay of %g, want %g", k->isa, got.decay_want, want);
    if (!(fabs(got.decay_done - done) <= (how == WEFT_MASTER ? 1e-5 : 2e-2) * want))
        FAIL("meter on %s: decay done %g, want %g", k->isa, got.decay_done, done);
}

int main(void) {
    const struct weft_kernels *table[8];
    const size_t tables = check_tables(table);
    static struct state first;
    for (size_t t = 0; t < tables; t++) {
        const struct weft_optim_kind *kind;
        for (size_t i = 0; (kind = weft_optim_kind_at(i)) != NULL; i++)
            check_ways(table[t], kind->name);
        check_stochastic(table[t]);
        check_drift(table[t]);
        check_meter(table[t], WEFT_MASTER);
        check_meter(table[t], WEFT_NEAREST);
        const struct way w = {.rule = "nadam", .weights = WEFT_STOCHASTIC, .step = 9};
        struct weft_optim_stats stats;
        fill(true);
        half = start;
        step(table[t], &w, &half, true, &stats);
        if (t == 0) first = half;
        if (memcmp(&first, &half, sizeof first) != 0)
            FAIL("weights stochastic differ between %s and %s", table[0]->isa, table[t]->isa);
    }
    printf("bf16 weights: %zu ISAs, %d failures\n", tables, failures);
    return failures != 0;
}
