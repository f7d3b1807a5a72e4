/* linear and head_xent through the public builders: outputs and gradients against double oracles,
 * and the same bits for any number of threads, any ISA, one batch or two micro-batches. */
#include <math.h>
#include "kernels/ref/ref_activation.h"
#include "kernels/ref/ref_gemm.h"
#include "kernels/ref/ref_loss.h"
#include "runtime/graph.h"
#include "tests/support/unit.h"

/* y = gelu(x w1ᵀ + b1) w2ᵀ + b2 + x w3ᵀ;  mse, or, with a head, cross-entropy of y w4ᵀ */
struct size {
    size_t batch, in, hidden, out, vocab;
};
enum { W1, B1, W2, B2, W3, W4, PARAMS };
struct net {
    struct size s;
    weft_ctx *ctx;
    weft_graph *graph;
    weft_program *program;
    weft_tensor x, y, loss, p[PARAMS];
    size_t count[PARAMS];
};

static weft_tensor param(struct net *n, int i, const char *name, size_t rows, size_t cols) {
    n->count[i] = rows * (cols == 0 ? 1 : cols);
    return n->p[i] = weft_param(n->graph, &(struct weft_param_desc){
                                              .name = name, .shape = {rows, cols}, .role = name});
}

static void build(struct net *n, const struct size *s, int threads, const char *isa) {
    memset(n, 0, sizeof *n);
    n->s = *s;
    assert_int_equal(
        weft_ctx_create(&(struct weft_ctx_options){.threads = threads, .isa = isa}, &n->ctx), 0);
    assert_int_equal(weft_graph_create(n->ctx, &n->graph), 0);
    const weft_tensor w1 = param(n, W1, "w1", s->hidden, s->in),
                      b1 = param(n, B1, "b1", s->hidden, 0);
    const weft_tensor w2 = param(n, W2, "w2", s->out, s->hidden),
                      b2 = param(n, B2, "b2", s->out, 0);
    const weft_tensor w3 = param(n, W3, "w3", s->out, s->in);
    weft_program *const p = n->program = weft_program_create(n->graph, "train", s->batch);
    n->x = weft_input_f32(p, "x", s->in);
    n->y = s->vocab ? weft_input_i32(p, "y", 1) : weft_input_f32(p, "y", s->out);
    const weft_tensor h = weft_linear(p, n->x, w1, b1, "gelu_tanh", WEFT_NONE);
    const weft_tensor r = weft_linear(p, n->x, w3, WEFT_NONE, NULL, WEFT_NONE);
    const weft_tensor y = weft_linear(p, h, w2, b2, NULL, r);
    if (s->vocab)
        n->loss = weft_head_xent(p, y, param(n, W4, "w4", s->vocab, s->out), n->y);
    else
        n->loss = weft_mse(p, y, n->y);
    weft_tensor_keep(n->graph, n->loss);
    weft_backward(p, n->loss);
    const enum weft_status st = weft_graph_commit(n->graph);
    if (st != WEFT_OK) fail_msg("%s", weft_ctx_message(n->ctx));
}

static void destroy(struct net *n) {
    weft_graph_free(n->graph);
    weft_ctx_free(n->ctx);
}

static float *data(const struct net *n, weft_tensor t) { return weft_tensor_data(n->graph, t); }
static float *grad(const struct net *n, int i) {
    return data(n, weft_desc(n->graph, n->p[i])->grad);
}
static double noise(size_t i, double scale) { return scale * sin(12.9898 * (double)i + 1); }

static void fill_params(const struct net *n) {
    for (int i = 0; i < PARAMS; i++)
        for (size_t j = 0; j < n->count[i]; j++)
            data(n, n->p[i])[j] = (float)noise(j + (size_t)i * 1000, 0.2);
}

/* Samples [first, first + batch) of an endless data set. */
static void fill_inputs(const struct net *n, size_t first) {
    const struct size *const s = &n->s;
    for (size_t i = 0; i < s->batch * s->in; i++)
        data(n, n->x)[i] = (float)noise(i + first * s->in, 1);
    int32_t *const class = weft_tensor_data(n->graph, n->y);
    for (size_t i = 0; s->vocab && i < s->batch; i++) {
        const size_t at = first + i;
        class[i] = at % 9 == 4 ? -1 : (int32_t)(at * 31 % s->vocab);
    }
    for (size_t i = 0; !s->vocab && i < s->batch * s->out; i++)
        data(n, n->y)[i] = (float)noise(i + 7, 1);
}

/* ---- the oracle ---- */
static double *alloc(size_t n) {
    double *const p = calloc(n + 1, sizeof *p);
    assert_non_null(p);
    return p;
}
static double *widen(const float *x, size_t n) {
    double *const p = alloc(n);
    for (size_t i = 0; i < n; i++) p[i] = (double)x[i];
    return p;
}
static void near(const char *what, const float *got, const double *want, size_t n) {
    double scale = 0;
    for (size_t i = 0; i < n; i++) scale = fmax(scale, fabs(want[i]));
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - want[i]) <= 2e-5 * scale))
            fail_msg("%s[%zu] is %.9g, want %.9g", what, i, (double)got[i], want[i]);
    assert_true(scale > 0);
}

/* a (m, k) or, transposed, (k, m); the same for b: C += A·B */
static void product(size_t m, size_t n, size_t k, const double *a, bool at, const double *b,
                    bool bt, double *c) {
    const struct ref_matrix ab[2] = {{a, at ? 1 : k, at ? m : 1}, {b, bt ? 1 : n, bt ? k : 1}};
    ref_gemm(m, n, k, ab, c, NULL);
}

static void oracle(const struct net *n, size_t rows, float scale) {
    const struct size *const s = &n->s;
    const size_t in = s->in, hid = s->hidden, out = s->out, v = s->vocab;
    double *const x = widen(data(n, n->x), rows * in), *w[PARAMS], *dw[PARAMS];
    for (int i = 0; i < PARAMS; i++) {
        w[i] = widen(n->count[i] ? data(n, n->p[i]) : NULL, n->count[i]);
        dw[i] = alloc(n->count[i]);
    }
    double *const z = alloc(rows * hid), *const h = alloc(rows * hid),
                  *const dz = alloc(rows * hid);
    double *const y = alloc(rows * out), *const dy = alloc(rows * out);
    double *const logits = alloc(rows * v), *const loss = alloc(rows), *const lse = alloc(rows);
    product(rows, hid, in, x, false, w[W1], true, z);
    for (size_t i = 0; i < rows * hid; i++) {
        z[i] += w[B1][i % hid];
        h[i] = ref_act(WEFT_ACT_GELU_TANH, 0, z[i]);
    }
    product(rows, out, hid, h, false, w[W2], true, y);
    product(rows, out, in, x, false, w[W3], true, y);
    for (size_t i = 0; i < rows * out; i++) y[i] += w[B2][i % out];
    if (v) {
        long *const target = calloc(rows, sizeof *target);
        for (size_t r = 0; r < rows; r++)
            target[r] = ((int32_t *)weft_tensor_data(n->graph, n->y))[r];
        product(rows, v, out, y, false, w[W4], true, logits);
        ref_xent_fwd(rows, v, logits, target, loss, lse);
        ref_xent_bwd(rows, v, logits, target, (double)scale, logits);
        product(rows, out, v, logits, false, w[W4], false, dy);
        product(v, out, rows, logits, true, y, false, dw[W4]);
        free(target);
    } else {
        double *const t = widen(data(n, n->y), rows * out);
        ref_mse_fwd(rows, out, y, t, loss);
        ref_mse_bwd(rows, out, y, t, (double)scale, dy);
        free(t);
    }
    product(rows, hid, out, dy, false, w[W2], false, dz);
    for (size_t i = 0; i < rows * hid; i++) dz[i] *= ref_dact(WEFT_ACT_GELU_TANH, 0, z[i]);
    product(out, hid, rows, dy, true, h, false, dw[W2]);
    product(out, in, rows, dy, true, x, false, dw[W3]);
    product(hid, in, rows, dz, true, x, false, dw[W1]);
    ref_colsum(rows, out, dy, dw[B2]);
    ref_colsum(rows, hid, dz, dw[B1]);
    near("loss", data(n, n->loss), loss, rows);
    static const char *const name[PARAMS] = {"dw1", "db1", "dw2", "db2", "dw3", "dw4"};
    for (int i = 0; i < PARAMS; i++) {
        if (n->count[i]) near(name[i], grad(n, i), dw[i], n->count[i]);
        free(w[i]), free(dw[i]);
    }
    free(x), free(z), free(h), free(dz), free(y), free(dy), free(logits), free(loss), free(lse);
}

/* ---- tests ---- */
static const struct size small = {5, 7, 33, 6, 0}, wide = {300, 140, 301, 70, 0},
                         head = {600, 24, 40, 48, 777}, tiny_head = {9, 6, 8, 5, 11};

static void against_oracle(const struct size *s, size_t live) {
    struct net n;
    build(&n, s, 2, NULL);
    fill_params(&n);
    fill_inputs(&n, 0);
    const size_t rows = live ? live : s->batch;
    const struct weft_run run = {.rows = live, .inv_targets = 1.0f / (float)rows};
    assert_int_equal(weft_program_run(n.program, &run), WEFT_OK);
    oracle(&n, rows, run.inv_targets);
    destroy(&n);
}

static void values_and_gradients(void **state) {
    (void)state;
    against_oracle(&small, 0);
    against_oracle(&small, 3);
    against_oracle(&wide, 0);
    against_oracle(&wide, 171);
    against_oracle(&head, 0);
    against_oracle(&head, 300);
    against_oracle(&tiny_head, 0);
}

/* All gradients and losses after one run, or one run for each micro-batch. */
static float *bits(const struct size *s, int threads, const char *isa, size_t micro,
                   size_t *count) {
    struct net n;
    struct size part = *s;
    part.batch /= micro;
    build(&n, &part, threads, isa);
    fill_params(&n);
    for (size_t i = 0; i < micro; i++) {
        fill_inputs(&n, i * part.batch);
        const struct weft_run run = {.accumulate = i > 0, .inv_targets = 1.0f / 512};
        assert_int_equal(weft_program_run(n.program, &run), WEFT_OK);
    }
    float *const out = malloc((size_t)1 << 22);
    *count = 0;
    for (int i = 0; i < PARAMS; i++) {
        if (n.count[i]) memcpy(out + *count, grad(&n, i), n.count[i] * sizeof(float));
        *count += n.count[i];
    }
    if (micro == 1) memcpy(out + *count, data(&n, n.loss), part.batch * sizeof(float));
    destroy(&n);
    return out;
}

static void same_bits(const struct size *s, int threads, const char *isa, size_t micro) {
    size_t n;
    float *const want = bits(s, 1, NULL, 1, &n);
    float *const got = bits(s, threads, isa, micro, &n);
    const size_t losses = micro == 1 ? s->batch : 0;
    assert_memory_equal(got, want, (n + losses) * sizeof(float));
    free(want), free(got);
}

static void threads_change_nothing(void **state) {
    (void)state;
    for (int threads = 2; threads <= 7; threads = threads == 3 ? 7 : threads + 1) {
        same_bits(&small, threads, NULL, 1);
        same_bits(&wide, threads, NULL, 1);
        same_bits(&head, threads, NULL, 1);
    }
}

static void isa_changes_nothing(void **state) {
    (void)state;
    struct weft_cpu_info cpu;
    weft_cpu_query(&cpu);
    for (size_t i = 0; i < 8 && cpu.isas[i]; i++) {
        same_bits(&small, 1, cpu.isas[i], 1);
        same_bits(&wide, 1, cpu.isas[i], 1);
    }
}

static void micro_batches_change_nothing(void **state) {
    (void)state;
    const struct size s = {1024, 24, 40, 48, 777};
    same_bits(&s, 2, NULL, 2);
    same_bits(&s, 1, NULL, 4);
}

static void shapes_are_checked(void **state) {
    (void)state;
    weft_graph *g;
    assert_int_equal(weft_graph_create(unit_ctx, &g), 0);
    const weft_tensor w =
        weft_param(g, &(struct weft_param_desc){.name = "fc.weight", .shape = {4, 3}, .role = "w"});
    weft_program *const p = weft_program_create(g, "train", 2);
    weft_linear(p, weft_input_f32(p, "x", 5), w, WEFT_NONE, NULL, WEFT_NONE);
    assert_int_equal(weft_graph_commit(g), WEFT_ERR_SHAPE);
    assert_non_null(
        strstr(weft_ctx_message(unit_ctx), "x (2, 5) does not fit weight fc.weight (4, 3)"));
    weft_graph_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_and_gradients), cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(isa_changes_nothing),  cmocka_unit_test(micro_batches_change_nothing),
        cmocka_unit_test(shapes_are_checked),
    };
    return cmocka_run_group_tests(tests, unit_start, unit_stop);
}
