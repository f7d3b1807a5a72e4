/* The attention ops: many heads and samples against the double oracle, the same bits for every
 * number of threads and for generation, live rows, accumulation, shape errors. */
#include <math.h>
#include "tests/support/unit.h"
#include "kernels/ref/ref_attention.h"
#include "runtime/graph.h"

enum { B = 3, T = 300, HEADS = 2, HS = 20, C = HEADS * HS, QKV = B * T * 3 * C, Y = B * T * C };

static float qkv_in[QKV], dy_in[Y];
static float prob; /* of dropout */
static const struct weft_run how = {.step = 5, .sample = 11, .seed = 3};

static float draw(uint64_t *state) { /* roughly N(0,1): the sum of three uniforms */
    float sum = -3;
    for (int i = 0; i < 3; i++) sum += (float)(unit_random(state) >> 8) * 0x1p-22f;
    return sum;
}

static int start(void **state) {
    uint64_t seed = 7;
    for (size_t i = 0; i < QKV; i++) qkv_in[i] = draw(&seed);
    for (size_t i = 0; i < Y; i++) dy_in[i] = draw(&seed);
    return unit_start(state);
}

/* A program of attention and its backward pass, the operands filled by hand. */
struct net {
    weft_ctx *ctx;
    weft_graph *g;
    weft_program *p;
    weft_tensor qkv, y, dy, dqkv;
};

/* An activation that a test writes: alive from the first node on. */
static weft_tensor operand(weft_program *p, size_t cols) {
    const weft_tensor t = weft_act_tensor(p, WEFT_F32, B, T, cols);
    weft_tensor_keep(p->graph, t);
    p->graph->tensor[t].first = 0;
    return t;
}

/* before: the gradient another consumer of qkv left already, or NULL. */
static void net_open(struct net *n, int threads, const float *before) {
    assert_int_equal(weft_ctx_create(&(struct weft_ctx_options){.threads = threads}, &n->ctx),
                     WEFT_OK);
    assert_int_equal(weft_graph_create(n->ctx, &n->g), WEFT_OK);
    n->p = weft_program_create(n->g, "test", B);
    n->qkv = operand(n->p, 3 * C);
    n->dy = operand(n->p, C);
    n->y = weft_attention(n->p, n->qkv, HEADS, prob);
    weft_probe(n->p, "logit_max", n->y);
    n->p->grad_of = malloc(64 * sizeof *n->p->grad_of);
    assert_non_null(n->p->grad_of);
    for (size_t i = 0; i < 64; i++) n->p->grad_of[i] = WEFT_NONE;
    n->p->grad_of[n->y] = n->dy;
    if (before) n->p->grad_of[n->qkv] = operand(n->p, 3 * C);
    weft_op_attention.backward(&(struct weft_backward){n->p}, 0);
    n->dqkv = n->p->grad_of[n->qkv];
    weft_tensor_keep(n->g, n->dqkv);
    weft_tensor_keep(n->g, n->y);
    assert_int_equal(weft_graph_commit(n->g), WEFT_OK);
    memcpy(weft_tensor_data(n->g, n->qkv), qkv_in, sizeof qkv_in);
    memcpy(weft_tensor_data(n->g, n->dy), dy_in, sizeof dy_in);
    if (before) memcpy(weft_tensor_data(n->g, n->dqkv), before, sizeof qkv_in);
}

static void net_close(struct net *n) {
    weft_graph_free(n->g);
    weft_ctx_free(n->ctx);
}

static void net_run(struct net *n, size_t rows) {
    struct weft_run run = how;
    run.rows = rows;
    assert_int_equal(weft_program_run(n->p, &run), WEFT_OK);
}

static void near(double got, double want, double tol, const char *what, size_t i) {
    if (!(fabs(got - want) <= tol)) fail_msg("%s[%zu] is %.9g, not %.9g", what, i, got, want);
}

/* One head of one sample of src (B, T, ld) from column col, as (T, HS) doubles. */
static void gather(const float *src, size_t ld, size_t col, size_t b, double *dst) {
    for (size_t t = 0; t < T; t++)
        for (size_t d = 0; d < HS; d++) dst[t * HS + d] = (double)src[(b * T + t) * ld + col + d];
}

static void against_oracle(void) {
    static double in[4][T * HS], y[T * HS], lse[T], smax[T], grad[3][T * HS], got[T * HS];
    static double factor[T * T];
    struct net n;
    net_open(&n, 2, NULL);
    net_run(&n, 0);
    const double scale = 1 / sqrt((double)HS);
    double top = -INFINITY;
    for (size_t bh = 0; bh < B * HEADS; bh++) {
        const size_t b = bh / HEADS;
        const size_t col = bh % HEADS * HS;
        for (size_t i = 0; i < 3; i++) gather(qkv_in, 3 * C, i * C + col, b, in[i]);
        gather(dy_in, C, col, b, in[3]);
        const struct weft_attn_drop drop = {.seed = how.seed,
                                            .step = how.step,
                                            .sample = how.sample + b,
                                            .stream = (uint32_t)(bh % HEADS),
                                            .p = prob};
        for (size_t i = 0; i < (size_t)T * T; i++)
            factor[i] = ref_attention_drop(&drop, i / T, i % T);
        ref_attention_fwd(T, HS, in[0], in[1], in[2], factor, scale, true, y, lse, smax);
        ref_attention_bwd(T, HS, in[0], in[1], in[2], factor, y, lse, in[3], scale, true, grad[0],
                          grad[1], grad[2]);
        for (size_t t = 0; t < T; t++) top = smax[t] > top ? smax[t] : top;
        gather(weft_tensor_data(n.g, n.y), C, col, b, got);
        for (size_t i = 0; i < T * HS; i++) near(got[i], y[i], 4e-6, "y", i);
        for (size_t part = 0; part < 3; part++) {
            gather(weft_tensor_data(n.g, n.dqkv), 3 * C, part * C + col, b, got);
            for (size_t i = 0; i < T * HS; i++) near(got[i], grad[part][i], 4e-5, "dqkv", i);
        }
    }
    struct weft_probe_value v[4];
    assert_int_equal(weft_program_probes(n.p, 0, v, 4), 1);
    assert_string_equal(v[0].kind, "logit_max");
    near(v[0].value, top, 1e-5, "logit_max", 0);
    net_close(&n);
}

static void oracle(void **state) {
    (void)state;
    against_oracle();
    prob = 0.25f;
    against_oracle();
    prob = 0;
}

static void threads_agree(void **state) {
    (void)state;
    static float y[Y], dqkv[QKV];
    static const int threads[] = {1, 2, 3, 7}; /* from 3 on the six heads are cut into segments */
    prob = 0.1f;
    for (size_t i = 0; i < 4; i++) {
        struct net n;
        net_open(&n, threads[i], NULL);
        net_run(&n, 0);
        if (i == 0) memcpy(y, weft_tensor_data(n.g, n.y), sizeof y);
        if (i == 0) memcpy(dqkv, weft_tensor_data(n.g, n.dqkv), sizeof dqkv);
        assert_memory_equal(weft_tensor_data(n.g, n.y), y, sizeof y);
        assert_memory_equal(weft_tensor_data(n.g, n.dqkv), dqkv, sizeof dqkv);
        net_close(&n);
    }
    prob = 0;
}

static void live_rows(void **state) {
    (void)state;
    const size_t live = 2;
    struct net all;
    struct net some;
    net_open(&all, 2, NULL);
    net_open(&some, 2, NULL);
    float *y = weft_tensor_data(some.g, some.y);
    float *dqkv = weft_tensor_data(some.g, some.dqkv);
    memset(y, 0x5a, Y * sizeof *y);
    memset(dqkv, 0x5a, QKV * sizeof *dqkv);
    net_run(&all, 0);
    net_run(&some, live);
    assert_memory_equal(y, weft_tensor_data(all.g, all.y), live * T * C * sizeof *y);
    assert_memory_equal(dqkv, weft_tensor_data(all.g, all.dqkv), live * T * 3 * C * sizeof *dqkv);
    float untouched;
    memset(&untouched, 0x5a, sizeof untouched);
    for (size_t i = live * T * C; i < Y; i++) assert_memory_equal(y + i, &untouched, 4);
    for (size_t i = live * T * 3 * C; i < QKV; i++) assert_memory_equal(dqkv + i, &untouched, 4);
    net_close(&all);
    net_close(&some);
}

static void accumulates(void **state) {
    (void)state;
    static float before[QKV];
    uint64_t seed = 9;
    for (size_t i = 0; i < QKV; i++) before[i] = draw(&seed);
    struct net alone;
    struct net added;
    net_open(&alone, 1, NULL);
    net_open(&added, 1, before);
    net_run(&alone, 0);
    net_run(&added, 0);
    const float *dqkv = weft_tensor_data(alone.g, alone.dqkv);
    const float *sum = weft_tensor_data(added.g, added.dqkv);
    for (size_t i = 0; i < QKV; i++) {
        const float want = before[i] + dqkv[i];
        assert_memory_equal(&sum[i], &want, sizeof want);
    }
    net_close(&alone);
    net_close(&added);
}

/* A prompt of 70 tokens, then one by one and a few at once: rows of the training pass. */
static void generation(void **state) {
    (void)state;
    enum { PROMPT = 70 };
    struct net n;
    net_open(&n, 1, NULL);
    net_run(&n, 0);
    const float *want = weft_tensor_data(n.g, n.y);
    weft_graph *g;
    assert_int_equal(weft_graph_create(unit_ctx, &g), WEFT_OK);
    const weft_tensor k = weft_kv_cache(g, 1, HEADS, HS, T);
    const weft_tensor v = weft_kv_cache(g, 1, HEADS, HS, T);
    weft_program *p = weft_program_create(g, "decode", PROMPT);
    const weft_tensor qkv = weft_input_f32(p, "qkv", 3 * C);
    const weft_tensor y = weft_attention_kv(p, qkv, k, v, HEADS, T);
    weft_tensor_keep(g, y);
    assert_int_equal(weft_graph_commit(g), WEFT_OK);
    for (size_t pos = 0, rows = PROMPT; pos < T; pos += rows) {
        if (pos > 0) rows = pos < 140 ? 1 : T - pos < 23 ? T - pos : 23;
        memcpy(weft_tensor_data(g, qkv), qkv_in + pos * 3 * C, rows * 3 * C * sizeof(float));
        assert_int_equal(weft_program_run(p, &(struct weft_run){.rows = rows, .pos = pos}),
                         WEFT_OK);
        assert_memory_equal(weft_tensor_data(g, y), want + pos * C, rows * C * sizeof(float));
    }
    weft_graph_free(g);
    net_close(&n);
}

static void shape_errors(void **state) {
    (void)state;
    for (int wrong = 0; wrong < 4; wrong++) {
        weft_graph *g;
        assert_int_equal(weft_graph_create(unit_ctx, &g), WEFT_OK);
        weft_program *p = weft_program_create(g, "test", B);
        const weft_tensor qkv = weft_act_tensor(p, WEFT_F32, B, T, 3 * C);
        if (wrong == 0) weft_attention(p, qkv, 7, 0);
        if (wrong == 1) weft_attention(p, qkv, 0, 0);
        if (wrong == 2) weft_attention(p, weft_act_tensor(p, WEFT_F32, B, T, 3 * 2 * 129), 2, 0);
        if (wrong == 3) {
            const weft_tensor cache = weft_kv_cache(g, 1, HEADS, HS, 64);
            weft_attention_kv(p, qkv, cache, cache, HEADS, 65);
        }
        assert_int_equal(weft_graph_commit(g), WEFT_ERR_SHAPE);
        unit_says(wrong < 3 ? "heads do not fit qkv (3, 300, " : "context 65");
        weft_graph_free(g);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(oracle),     cmocka_unit_test(threads_agree),
        cmocka_unit_test(live_rows),  cmocka_unit_test(accumulates),
        cmocka_unit_test(generation), cmocka_unit_test(shape_errors),
    };
    return cmocka_run_group_tests(tests, start, unit_stop);
}
