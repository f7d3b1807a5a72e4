/* The embedding ops inside a small language model: table -> head -> loss, with the table tied to
 * the head or its own; one large batch against micro-batches, any number of threads, generation. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "kernels/ref/ref_embedding.h"
#include "kernels/ref/ref_loss.h"
#include "runtime/graph.h"

enum { B = 4, T = 128, C = 200, V = 97, P = T + 40 };

struct net {
    weft_ctx *ctx;
    weft_graph *graph;
    weft_program *train, *update;
    weft_tensor tokens, targets, wte, wpe, head, loss;
};

static weft_tensor param(weft_graph *g, const char *name, size_t rows, bool decay) {
    return weft_param(g, &(struct weft_param_desc){
                             .name = name, .shape = {rows, C}, .role = name, .decay = decay});
}

static void build(struct net *n, int threads, bool tied, size_t micro_batches) {
    assert_int_equal(weft_ctx_create(&(struct weft_ctx_options){.threads = threads}, &n->ctx), 0);
    assert_int_equal(weft_graph_create(n->ctx, &n->graph), 0);
    weft_graph_accumulate(n->graph, micro_batches, 1);
    n->wte = param(n->graph, "wte", V, true);
    n->wpe = param(n->graph, "wpe", P, true);
    n->head = tied ? n->wte : param(n->graph, "head", V, true);
    n->train = weft_program_create(n->graph, "train", B / micro_batches);
    n->tokens = weft_input_i32(n->train, "tokens", T);
    n->targets = weft_input_i32(n->train, "targets", T);
    const weft_tensor x = weft_embedding(n->train, n->tokens, n->wte, n->wpe);
    n->loss = weft_head_xent(n->train, x, n->head, n->targets);
    weft_backward(n->train, n->loss);
    n->update = weft_program_create(n->graph, "update", 1);
    weft_optimizer(n->update, &(struct weft_optim){.name = "sgd"});
    assert_int_equal(weft_graph_commit(n->graph), WEFT_OK);
}

static void destroy(struct net *n) {
    weft_graph_free(n->graph);
    weft_ctx_free(n->ctx);
}

static double noise(size_t i) { return sin(78.233 * (double)i + 1); }
/* Some tokens often, some never. */
static int32_t token_at(size_t i) { return (int32_t)(i * i % 61 + (i % 5 == 0 ? 30 : 0)) % 90; }

static void fill(struct net *n) {
    const weft_tensor all[] = {n->wte, n->wpe, n->head};
    for (size_t k = 0; k < 3; k++) {
        float *const w = weft_tensor_data(n->graph, all[k]);
        for (size_t i = 0; i < weft_desc_count(weft_desc(n->graph, all[k])); i++)
            w[i] = (float)(0.1 * noise(i + 1000 * (size_t)all[k]));
    }
}

/* One step's gradients, with lr 0: the update program folds and changes nothing. */
static void gradients(struct net *n, size_t micro_batches) {
    fill(n);
    for (size_t m = 0; m < micro_batches; m++) {
        const size_t rows = B / micro_batches;
        int32_t *const tokens = weft_tensor_data(n->graph, n->tokens);
        int32_t *const targets = weft_tensor_data(n->graph, n->targets);
        for (size_t i = 0; i < rows * T; i++) {
            tokens[i] = token_at(m * rows * T + i);
            targets[i] = token_at(m * rows * T + i + 1);
        }
        const struct weft_run run = {.accumulate = m > 0, .inv_targets = 1.0f / (B * T)};
        assert_int_equal(weft_program_run(n->train, &run), WEFT_OK);
    }
    assert_int_equal(weft_program_run(n->update, &(struct weft_run){0}), WEFT_OK);
}

static const float *grad(const struct net *n, weft_tensor t) {
    return n->graph->tensor[n->graph->tensor[t].grad].data;
}

static void near(const float *got, const double *want, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - want[i]) <= 1e-6))
            fail_msg("[%zu] %.9g, want %.9g", i, (double)got[i], want[i]);
}

static double *doubles(size_t n) {
    double *const p = calloc(n, sizeof *p);
    assert_non_null(p);
    return p;
}

static double *copy(const struct net *n, weft_tensor t) {
    const size_t count = weft_desc_count(weft_desc(n->graph, t));
    double *const p = doubles(count);
    for (size_t i = 0; i < count; i++) p[i] = (double)((float *)weft_tensor_data(n->graph, t))[i];
    return p;
}

static void against_oracle(bool tied) {
    struct net n;
    build(&n, 1, tied, 1);
    gradients(&n, 1);
    long token[B * T], target[B * T];
    for (size_t i = 0; i < B * T; i++) {
        token[i] = token_at(i);
        target[i] = token_at(i + 1);
    }
    double *const wte = copy(&n, n.wte), *const wpe = copy(&n, n.wpe),
                  *const head = copy(&n, n.head);
    double *const x = doubles(B * T * C), *const dx = doubles(B * T * C);
    double *const z = doubles(B * T * V), *const dz = doubles(B * T * V);
    double *const dwte = doubles(V * C), *const dwpe = doubles(P * C), *const dw = doubles(V * C);
    ref_embedding_fwd(B * T, C, T, 0, token, wte, wpe, x);
    for (size_t i = 0; i < B * T * V; i++)
        for (size_t j = 0; j < C; j++) z[i] += x[i / V * C + j] * head[i % V * C + j];
    ref_xent_bwd(B * T, V, z, target, 1.0 / (B * T), dz);
    for (size_t i = 0; i < B * T * V; i++)
        for (size_t j = 0; j < C; j++) {
            dx[i / V * C + j] += dz[i] * head[i % V * C + j];
            dw[i % V * C + j] += dz[i] * x[i / V * C + j];
        }
    ref_embedding_bwd(B * T, C, T, 0, token, dx, tied ? dw : dwte, dwpe);
    near(grad(&n, n.head), dw, V * C);
    if (!tied) near(grad(&n, n.wte), dwte, V * C);
    near(grad(&n, n.wpe), dwpe, P * C);
    double *const all[] = {wte, wpe, head, x, dx, z, dz, dwte, dwpe, dw};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    destroy(&n);
}

static void tied_gradients(void **state) {
    (void)state;
    against_oracle(true);
}
static void untied_gradients(void **state) {
    (void)state;
    against_oracle(false);
}

/* A micro-batch of 256 tokens is one k chunk of the head and four blocks of everything else. */
static void same_bits(void **state) {
    (void)state;
    static const struct {
        int threads;
        size_t micro_batches;
    } way[] = {{1, 1}, {2, 1}, {3, 1}, {7, 1}, {1, 2}, {3, 2}};
    for (int tied = 0; tied < 2; tied++) {
        static float dwte[V * C], dwpe[P * C];
        for (size_t i = 0; i < sizeof way / sizeof *way; i++) {
            struct net n;
            build(&n, way[i].threads, tied, way[i].micro_batches);
            gradients(&n, way[i].micro_batches);
            gradients(&n, way[i].micro_batches); /* the second step starts from the first's sums */
            if (i == 0) {
                memcpy(dwte, grad(&n, n.wte), sizeof dwte);
                memcpy(dwpe, grad(&n, n.wpe), sizeof dwpe);
            }
            assert_memory_equal(dwte, grad(&n, n.wte), sizeof dwte);
            assert_memory_equal(dwpe, grad(&n, n.wpe), sizeof dwpe);
            destroy(&n);
        }
    }
}

static void generation_counts_positions(void **state) {
    (void)state;
    struct net n;
    assert_int_equal(weft_ctx_create(&(struct weft_ctx_options){.threads = 1}, &n.ctx), 0);
    assert_int_equal(weft_graph_create(n.ctx, &n.graph), 0);
    n.wte = param(n.graph, "wte", V, true);
    n.wpe = param(n.graph, "wpe", P, true);
    n.train = weft_program_create(n.graph, "prefill", 20);
    n.tokens = weft_input_i32(n.train, "tokens", 1);
    const weft_tensor y = weft_embedding_kv(n.train, n.tokens, n.wte, n.wpe);
    weft_tensor_keep(n.graph, y);
    assert_int_equal(weft_graph_commit(n.graph), WEFT_OK);
    n.head = n.wte;
    fill(&n);
    int32_t *const tokens = weft_tensor_data(n.graph, n.tokens);
    for (size_t r = 0; r < 20; r++) tokens[r] = token_at(r);
    const struct weft_run run = {.rows = 18, .pos = 7};
    assert_int_equal(weft_program_run(n.train, &run), WEFT_OK);
    const float *const out = weft_tensor_data(n.graph, y);
    const float *const wte = weft_tensor_data(n.graph, n.wte);
    const float *const wpe = weft_tensor_data(n.graph, n.wpe);
    for (size_t i = 0; i < 18 * C; i++) {
        const float want = wte[(size_t)tokens[i / C] * C + i % C] + wpe[(7 + i / C) * C + i % C];
        assert_true(out[i] == want);
    }
    destroy(&n);
}

static void shapes_are_checked(void **state) {
    (void)state;
    struct net n;
    assert_int_equal(weft_ctx_create(NULL, &n.ctx), 0);
    assert_int_equal(weft_graph_create(n.ctx, &n.graph), 0);
    n.train = weft_program_create(n.graph, "train", 2);
    n.tokens = weft_input_i32(n.train, "tokens", P + 1);
    n.wte = param(n.graph, "wte", V, true);
    n.wpe = param(n.graph, "wpe", P, true);
    assert_int_equal(weft_embedding(n.train, n.tokens, n.wte, n.wpe), WEFT_NONE);
    assert_int_equal(weft_graph_commit(n.graph), WEFT_ERR_SHAPE);
    assert_non_null(
        strstr(weft_ctx_message(n.ctx), "positions (168, 200) do not fit tokens (2, 169)"));
    destroy(&n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tied_gradients),     cmocka_unit_test(untied_gradients),
        cmocka_unit_test(same_bits),          cmocka_unit_test(generation_counts_positions),
        cmocka_unit_test(shapes_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
