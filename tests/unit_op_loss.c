/* softmax_xent, mse and head_xent (more rows than a chunk) through the public builders: values
 * against the double oracles, gradients through weft_backward, fewer live rows than the batch, any
 * number of threads. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "kernels/ref/ref_loss.h"
#include "runtime/graph.h"

enum { B = 1300, N = 70, LIVE = 1207 };
enum kind { XENT, MSE, HEAD, KINDS };

struct net {
    weft_ctx *ctx;
    weft_graph *graph;
    weft_program *program;
    weft_tensor x, y, w, loss, correct;
};

/* loss(x wᵀ, y): the gradient of w is what the loss op's dx makes of it. */
static void build(struct net *n, int threads, enum kind kind) {
    const bool mse = kind == MSE;
    assert_int_equal(weft_ctx_create(&(struct weft_ctx_options){.threads = threads}, &n->ctx), 0);
    assert_int_equal(weft_graph_create(n->ctx, &n->graph), 0);
    n->w =
        weft_param(n->graph, &(struct weft_param_desc){.name = "w", .shape = {N, N}, .role = "w"});
    n->program = weft_program_create(n->graph, "train", B);
    n->x = weft_input_f32(n->program, "x", N);
    n->y = mse ? weft_input_f32(n->program, "y", N) : weft_input_i32(n->program, "y", 1);
    if (kind == HEAD) {
        n->loss = weft_head_xent(n->program, n->x, n->w, n->y);
    } else {
        const weft_tensor z = weft_linear(n->program, n->x, n->w, WEFT_NONE, NULL, WEFT_NONE);
        n->loss = mse ? weft_mse(n->program, z, n->y) : weft_softmax_xent(n->program, z, n->y);
    }
    n->correct = mse ? WEFT_NONE : weft_correct(n->program, n->loss);
    weft_tensor_keep(n->graph, n->loss);
    weft_backward(n->program, n->loss);
    assert_int_equal(weft_graph_commit(n->graph), WEFT_OK);
}

static void destroy(struct net *n) {
    weft_graph_free(n->graph);
    weft_ctx_free(n->ctx);
}

static double noise(size_t i) { return sin(12.9898 * (double)i + 1) * 1.5; }

/* w = 1: the logits are x itself, exactly. */
static void fill(struct net *n, bool mse) {
    float *const x = weft_tensor_data(n->graph, n->x);
    float *const w = weft_tensor_data(n->graph, n->w);
    for (size_t i = 0; i < B * N; i++) x[i] = (float)noise(i);
    for (size_t i = 0; i < N * N; i++) w[i] = i % (N + 1) == 0;
    float *const values = weft_tensor_data(n->graph, n->y);
    int32_t *const classes = weft_tensor_data(n->graph, n->y);
    for (size_t i = 0; mse && i < B * N; i++) values[i] = (float)noise(i + 7);
    for (size_t r = 0; !mse && r < B; r++) classes[r] = r % 9 == 4 ? -1 : (int32_t)(r * 31 % N);
}

static void near(double got, double want, double scale) {
    if (!(fabs(got - want) <= 1e-5 * scale)) fail_msg("%.9g, want %.9g", got, want);
}

static void test_values(enum kind kind) {
    const bool mse = kind == MSE;
    struct net n;
    build(&n, 1, kind);
    fill(&n, mse);
    const struct weft_run run = {.rows = LIVE, .inv_targets = 1.0f / LIVE};
    assert_int_equal(weft_program_run(n.program, &run), WEFT_OK);
    double *const x = calloc(4 * LIVE * N + N * N, sizeof *x);
    double *const y = x + LIVE * N, *const dx = y + LIVE * N, *const loss = dx + LIVE * N;
    double *const lse = loss + LIVE, *const dw = loss + LIVE * N;
    long target[LIVE];
    const int32_t *const classes = weft_tensor_data(n.graph, n.y);
    for (size_t i = 0; i < LIVE * N; i++) {
        x[i] = (double)((float *)weft_tensor_data(n.graph, n.x))[i];
        if (mse) y[i] = (double)((float *)weft_tensor_data(n.graph, n.y))[i];
    }
    for (size_t r = 0; !mse && r < LIVE; r++) target[r] = classes[r];
    const double scale = (double)run.inv_targets;
    if (mse) {
        ref_mse_fwd(LIVE, N, x, y, loss);
        ref_mse_bwd(LIVE, N, x, y, scale, dx);
    } else {
        ref_xent_fwd(LIVE, N, x, target, loss, lse);
        ref_xent_bwd(LIVE, N, x, target, scale, dx);
    }
    for (size_t r = 0; r < LIVE; r++) {
        near((double)((float *)weft_tensor_data(n.graph, n.loss))[r], loss[r], 1 + fabs(loss[r]));
        size_t top = 0;
        for (size_t j = 1; j < N; j++) top = x[r * N + j] > x[r * N + top] ? j : top;
        if (!mse)
            assert_int_equal(((int32_t *)weft_tensor_data(n.graph, n.correct))[r],
                             target[r] == (long)top);
        for (size_t i = 0; i < N * N; i++) dw[i] += dx[r * N + i / N] * x[r * N + i % N];
    }
    const float *const got = n.graph->tensor[n.graph->tensor[n.w].grad].data;
    for (size_t i = 0; i < N * N; i++) near((double)got[i], dw[i], 1);
    free(x);
    destroy(&n);
}

static void xent_values(void **state) {
    (void)state;
    test_values(XENT);
}
static void mse_values(void **state) {
    (void)state;
    test_values(MSE);
}
static void head_values(void **state) {
    (void)state;
    test_values(HEAD);
}

static void threads_agree(void **state) {
    (void)state;
    static const int teams[] = {1, 2, 3, 7};
    float first[N * N], losses[B];
    for (size_t i = 0; i < (size_t)4 * KINDS; i++) {
        const enum kind kind = (enum kind)(i / 4);
        struct net n;
        build(&n, teams[i % 4], kind);
        fill(&n, kind == MSE);
        const struct weft_run run = {.inv_targets = 1.0f / B};
        assert_int_equal(weft_program_run(n.program, &run), WEFT_OK);
        const float *const dw = n.graph->tensor[n.graph->tensor[n.w].grad].data;
        const float *const loss = weft_tensor_data(n.graph, n.loss);
        if (i % 4 == 0) {
            memcpy(first, dw, sizeof first);
            memcpy(losses, loss, sizeof losses);
        }
        assert_memory_equal(first, dw, sizeof first);
        assert_memory_equal(losses, loss, sizeof losses);
        destroy(&n);
    }
}

static void shapes_are_checked(void **state) {
    (void)state;
    struct net n;
    build(&n, 1, XENT);
    destroy(&n);
    assert_int_equal(weft_ctx_create(NULL, &n.ctx), 0);
    assert_int_equal(weft_graph_create(n.ctx, &n.graph), 0);
    n.program = weft_program_create(n.graph, "train", 4);
    const weft_tensor x = weft_input_f32(n.program, "x", 5);
    assert_int_equal(weft_mse(n.program, x, weft_input_f32(n.program, "y", 6)), WEFT_NONE);
    assert_int_equal(weft_graph_commit(n.graph), WEFT_ERR_SHAPE);
    assert_non_null(strstr(weft_ctx_message(n.ctx), "(4, 6) do not fit x (4, 5)"));
    destroy(&n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xent_values),        cmocka_unit_test(head_values),
        cmocka_unit_test(mse_values),         cmocka_unit_test(threads_agree),
        cmocka_unit_test(shapes_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
