/* The update program: norm, clipping, step, statistics per segment, gradient groups. Gradients are
 * written by hand; a loss is there only so that parameters have them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "kernels/ref/ref_optim.h"
#include "runtime/optim.h"

enum { N = 300, PARAMS = 2 }; /* w (3N, N): 270000 elements, b (3N) */

struct net {
    weft_ctx *ctx;
    weft_graph *graph;
    weft_program *train, *fold, *update;
    weft_tensor param[PARAMS];
};

static void build_groups(struct net *n, int threads, const struct weft_optim *o, size_t groups) {
    assert_int_equal(weft_ctx_create(&(struct weft_ctx_options){.threads = threads}, &n->ctx), 0);
    assert_int_equal(weft_graph_create(n->ctx, &n->graph), 0);
    weft_graph_accumulate(n->graph, groups, groups);
    n->param[0] =
        weft_param(n->graph, &(struct weft_param_desc){.name = "w",
                                                       .shape = {3 * N, N},
                                                       .layer = 4,
                                                       .role = "rest",
                                                       .decay = true,
                                                       .slices = {{"q", 0, N}, {"v", 2 * N, N}}});
    n->param[1] = weft_param(
        n->graph,
        &(struct weft_param_desc){.name = "b", .shape = {3 * N}, .layer = 4, .role = "bias"});
    n->train = weft_program_create(n->graph, "train", 1);
    const weft_tensor x = weft_input_f32(n->train, "x", N);
    const weft_tensor y = weft_input_f32(n->train, "y", 3 * N);
    const weft_tensor z = weft_linear(n->train, x, n->param[0], n->param[1], NULL, WEFT_NONE);
    weft_backward(n->train, weft_mse(n->train, z, y));
    n->fold = groups > 1 ? weft_program_create(n->graph, "fold", 1) : NULL;
    if (n->fold) weft_grad_fold(n->fold);
    n->update = weft_program_create(n->graph, "update", 1);
    weft_optimizer(n->update, o);
}

static void build(struct net *n, int threads, const struct weft_optim *o) {
    build_groups(n, threads, o, 1);
    assert_int_equal(weft_graph_commit(n->graph), WEFT_OK);
}

static void destroy(struct net *n) {
    weft_graph_free(n->graph);
    weft_ctx_free(n->ctx);
}

static size_t count(const struct net *n, size_t p) {
    return weft_desc_count(weft_desc(n->graph, n->param[p]));
}
static float *data(const struct net *n, size_t p) {
    return weft_tensor_data(n->graph, n->param[p]);
}
static float *grad(const struct net *n, size_t p) {
    return n->graph->tensor[n->graph->tensor[n->param[p]].grad].data;
}
static double noise(size_t i) { return sin(45.164 * (double)i + 0.5); }

static void fill_grads(struct net *n, size_t seed) {
    for (size_t p = 0; p < PARAMS; p++)
        for (size_t i = 0; i < count(n, p); i++) grad(n, p)[i] = (float)noise(i + 99 * p + seed);
}
static void fill(struct net *n) {
    for (size_t p = 0; p < PARAMS; p++)
        for (size_t i = 0; i < count(n, p); i++) data(n, p)[i] = (float)noise(3 * i + p);
    fill_grads(n, 0);
}

static void near(double got, double want, double tol) {
    if (!(fabs(got - want) <= tol)) fail_msg("%.12g, want %.12g", got, want);
}

static const struct weft_optim adamw = {
    .name = "adamw", .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1, .clip = 1};

/* Three clipped AdamW steps: decay on the matrix only, the factor from the global norm. */
static void steps(void **state) {
    (void)state;
    struct net n;
    build(&n, 1, &adamw);
    fill(&n);
    static struct ref_optim_state ref[PARAMS][3 * N * N];
    for (size_t p = 0; p < PARAMS; p++)
        for (size_t i = 0; i < count(&n, p); i++)
            ref[p][i] = ref_optim_start("adamw", (double)data(&n, p)[i]);
    for (uint64_t s = 0; s < 3; s++) {
        fill_grads(&n, s);
        double sq = 0;
        for (size_t p = 0; p < PARAMS; p++)
            for (size_t i = 0; i < count(&n, p); i++) sq += pow((double)grad(&n, p)[i], 2);
        assert_int_equal(weft_program_run(n.update, &(struct weft_run){.step = s, .lr = 0.01}), 0);
        struct weft_optim_result r;
        weft_optim_result(n.update, &r);
        near(r.norm, sqrt(sq), 1e-9 * sqrt(sq));
        near(r.scale, 1 / sqrt(sq), 1e-6 / sqrt(sq));
        for (size_t p = 0; p < PARAMS; p++)
            for (size_t i = 0; i < count(&n, p); i++) {
                const struct ref_optim o = {0.01, 0.9, 0.95, 1e-8, p == 0 ? 0.1 : 0};
                ref_optim_step("adamw", &o, &ref[p][i], (double)grad(&n, p)[i] * r.scale);
                near((double)data(&n, p)[i], ref[p][i].w, 1e-6);
            }
    }
    destroy(&n);
}

static void statistics(void **state) {
    (void)state;
    struct net n;
    build(&n, 1, &adamw);
    fill(&n);
    float *const old = malloc(count(&n, 0) * sizeof *old);
    assert_non_null(old);
    memcpy(old, data(&n, 0), count(&n, 0) * sizeof *old);
    const struct weft_run run = {.lr = 0.01, .statistics = true};
    assert_int_equal(weft_program_run(n.update, &run), 0);
    static const char *const names[] = {"q", "rest", "v", "bias"};
    struct weft_segment_stats s;
    for (size_t k = 0; k < 3; k++) {
        assert_true(weft_optim_segment(n.update, k, &s));
        assert_string_equal(s.tensor, names[k]);
        assert_int_equal(s.layer, 4);
        assert_int_equal(s.count, N * N);
        assert_true(s.matrix);
        double w = 0, w2 = 0, g2 = 0, d2 = 0, wmax = 0, gmax = 0, wabs = 0;
        for (size_t i = k * N * N; i < (k + 1) * N * N; i++) {
            const double x = (double)data(&n, 0)[i], g = (double)grad(&n, 0)[i];
            w += x;
            wabs += fabs(x);
            w2 += x * x;
            g2 += g * g;
            d2 += (x - (double)old[i]) * (x - (double)old[i]);
            wmax = fmax(wmax, fabs(x));
            gmax = fmax(gmax, fabs(g));
        }
        near(s.w_sum, w, 1e-6 * wabs);
        near(s.w_sumsq, w2, 1e-6 * w2);
        near(s.g_sumsq, g2, 1e-6 * g2);
        near(s.d_sumsq, d2, 1e-5 * d2);
        near(s.w_absmax, wmax, 0);
        near(s.g_absmax, gmax, 0);
    }
    assert_true(weft_optim_segment(n.update, 3, &s));
    assert_string_equal(s.tensor, "bias");
    assert_false(s.matrix);
    assert_false(weft_optim_segment(n.update, 4, &s));
    free(old);
    destroy(&n);
}

/* The sums with and without statistics, and any number of threads: the same weights and figures. */
static void threads_agree(void **state) {
    (void)state;
    static const int teams[] = {1, 2, 3, 7};
    static float first[3 * N * N];
    struct weft_segment_stats want, got;
    for (size_t i = 0; i < 4; i++) {
        struct net n;
        build(&n, teams[i], &adamw);
        fill(&n);
        for (uint64_t s = 0; s < 2; s++) {
            const struct weft_run run = {.step = s, .lr = 0.01, .statistics = s == 1 || i == 2};
            assert_int_equal(weft_program_run(n.update, &run), 0);
        }
        assert_true(weft_optim_segment(n.update, 0, i == 0 ? &want : &got));
        if (i == 0) memcpy(first, data(&n, 0), sizeof first);
        assert_memory_equal(first, data(&n, 0), sizeof first);
        if (i > 0) assert_true(want.w_sum == got.w_sum && want.d_sumsq == got.d_sumsq);
        destroy(&n);
    }
}

static void nonfinite_changes_nothing(void **state) {
    (void)state;
    struct net n;
    build(&n, 2, &adamw);
    fill(&n);
    float *const before = malloc(count(&n, 0) * sizeof *before);
    assert_non_null(before);
    memcpy(before, data(&n, 0), count(&n, 0) * sizeof *before);
    grad(&n, 1)[17] = NAN;
    grad(&n, 0)[170000] = INFINITY;
    assert_int_equal(weft_program_run(n.update, &(struct weft_run){.lr = 0.01}), 0);
    struct weft_optim_result r;
    weft_optim_result(n.update, &r);
    assert_true(!(r.norm < (double)INFINITY));
    assert_true(r.scale == 0);
    assert_int_equal(r.nonfinite, 2);
    assert_memory_equal(before, data(&n, 0), count(&n, 0) * sizeof *before);
    const float *const m = (const float *)(const void *)n.graph->optim[0];
    for (size_t i = 0; i < count(&n, 0); i++) assert_true(m[i] == 0);
    free(before);
    destroy(&n);
}

/* Groups are added in order: ((g1 + g2) + g3), and the total is where the optimizer looks. */
static void groups_fold_in_order(void **state) {
    (void)state;
    struct net n;
    build_groups(&n, 2, &adamw, 3);
    assert_int_equal(weft_graph_commit(n.graph), WEFT_OK);
    for (int step = 0; step < 2; step++) {
        float want = 0;
        for (size_t k = 0; k < 3; k++) {
            fill_grads(&n, 5 * k);
            want = k == 0 ? grad(&n, 0)[777] : want + grad(&n, 0)[777];
            assert_int_equal(weft_program_run(n.fold, &(struct weft_run){.accumulate = k > 0}), 0);
        }
        assert_true(grad(&n, 0)[777] == want);
    }
    destroy(&n);
}

/* LARS: each parameter's step is trust |w| / (|g| + decay |w|) times its momentum, and a gradient
 * times a power of two makes the same step, bit for bit. */
static void lars(void **state) {
    (void)state;
    const struct weft_optim o = {
        .name = "lars", .beta1 = 0.5, .weight_decay = 0.25, .trust = 0.01};
    static float first[3 * N];
    for (int scaled = 0; scaled < 2; scaled++) {
        struct net n;
        double w2 = 0, g2 = 0;
        build(&n, 2, &o);
        fill(&n);
        for (size_t i = 0; i < count(&n, 0); i++) {
            w2 += pow((double)data(&n, 0)[i], 2);
            g2 += pow((double)grad(&n, 0)[i], 2);
        }
        for (size_t i = 0; scaled && i < count(&n, 1); i++) grad(&n, 1)[i] *= 0x1p20F;
        const double w = (double)data(&n, 0)[5], g = (double)grad(&n, 0)[5];
        const double trust = 0.01 * sqrt(w2) / (sqrt(g2) + 0.25 * sqrt(w2));
        assert_int_equal(weft_program_run(n.update, &(struct weft_run){.lr = 0.5}), 0);
        near((double)data(&n, 0)[5], w - 0.5 * trust * (g + 0.25 * w), 1e-7);
        if (!scaled) memcpy(first, data(&n, 1), sizeof first);
        assert_memory_equal(first, data(&n, 1), sizeof first); /* no decay: the bias */
        destroy(&n);
    }
}

/* Adaptive clipping: every row of the matrix obeys the limit, rows below it and vectors are left. */
static void agc(void **state) {
    (void)state;
    const struct weft_optim o = {.name = "sgd", .agc = 0.01};
    struct net n;
    build(&n, 2, &o);
    fill(&n);
    for (size_t i = 0; i < N; i++) {
        grad(&n, 0)[i] *= 1e-4F;     /* row 0: far below */
        data(&n, 0)[N + i] *= 1e-9F; /* row 1: weights next to nothing */
    }
    const float row0 = grad(&n, 0)[7], bias = grad(&n, 1)[7];
    assert_int_equal(weft_program_run(n.update, &(struct weft_run){.lr = 0}), 0);
    assert_true(grad(&n, 0)[7] == row0 && grad(&n, 1)[7] == bias);
    for (size_t r = 1; r < 3 * N; r++) {
        double w2 = 0, g2 = 0;
        for (size_t i = 0; i < N; i++) {
            w2 += pow((double)data(&n, 0)[r * N + i], 2);
            g2 += pow((double)grad(&n, 0)[r * N + i], 2);
        }
        near(sqrt(g2), 0.01 * fmax(sqrt(w2), 1e-3), 1e-6 * fmax(sqrt(w2), 1e-3));
    }
    destroy(&n);
}

/* A threshold given for one step takes the place of the optimizer's. */
static void clip_of_a_step(void **state) {
    (void)state;
    struct net n;
    struct weft_optim_result r;
    build(&n, 1, &adamw);
    fill(&n);
    assert_int_equal(weft_program_run(n.update, &(struct weft_run){.lr = 0.1, .clip = 20}), 0);
    weft_optim_result(n.update, &r);
    near(r.scale * r.norm, 20, 1e-5);
    destroy(&n);
}

static void bad_settings(void **state) {
    (void)state;
    static const struct {
        struct weft_optim o;
        const char *message;
    } bad[] = {
        {{.name = "lion"}, "unknown optimizer \"lion\""},
        {{.name = "adam", .beta1 = 1}, "must be in [0, 1)"},
        {{.name = "sgd", .clip = -1}, "at least 0"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct net n;
        build_groups(&n, 1, &bad[i].o, 1);
        assert_int_equal(weft_graph_commit(n.graph), WEFT_ERR_ARG);
        assert_non_null(strstr(weft_ctx_message(n.ctx), bad[i].message));
        destroy(&n);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps),
        cmocka_unit_test(statistics),
        cmocka_unit_test(threads_agree),
        cmocka_unit_test(nonfinite_changes_nothing),
        cmocka_unit_test(groups_fold_in_order),
        cmocka_unit_test(lars),
        cmocka_unit_test(agc),
        cmocka_unit_test(clip_of_a_step),
        cmocka_unit_test(bad_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
