/* Bound teams: each thread is on its CPU while it works, everybody is where he was before when the
 * context is gone; bits do not depend on it. Memory is owned by the threads that work on it. */
#include <errno.h>
#include <sched.h>
#include "runtime/affinity.h"
#include "runtime/graph.h"
#include "runtime/memory.h"
#include "runtime/parallel.h"
#include "runtime/product.h"
#include "runtime/touch.h"
#include "models/model.h"
#include "tests/support/unit.h"

enum { MOST = 16 };
struct seen {
    cpu_set_t mask[MOST];
};

static void look(void *arg, size_t thread, size_t team) {
    struct seen *const s = arg;
    (void)team;
    assert_int_equal(sched_getaffinity(0, sizeof s->mask[thread], &s->mask[thread]), 0);
}

/* CPUs that this process may use, the last one first, and how many. */
static int allowed(int cpu[CPU_SETSIZE]) {
    cpu_set_t mine;
    int n = 0;
    assert_int_equal(sched_getaffinity(0, sizeof mine, &mine), 0);
    for (size_t c = CPU_SETSIZE; c-- > 0;)
        if (CPU_ISSET(c, &mine)) cpu[n++] = (int)c;
    return n;
}

static weft_ctx *bound_context(int threads, const int *cpu, bool first_touch) {
    weft_ctx *ctx = NULL;
    char message[WEFT_MESSAGE_MAX] = "";
    const struct weft_ctx_options o = {.threads = threads,
                                       .cpus = cpu,
                                       .cpu_count = cpu == NULL ? 0 : (size_t)threads,
                                       .first_touch = first_touch,
                                       .message = message};
    if (weft_ctx_create(&o, &ctx) != WEFT_OK) fail_msg("%s", message);
    return ctx;
}

static void is_only_on(const cpu_set_t *mask, int cpu) {
    assert_int_equal(CPU_COUNT(mask), 1);
    assert_true(CPU_ISSET((size_t)cpu, mask));
}

static void caller_is_restored(void **state) {
    (void)state;
    int cpu[CPU_SETSIZE];
    const int n = allowed(cpu), threads = n < MOST ? n : MOST;
    cpu_set_t before, after;
    struct seen s;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    weft_ctx *const ctx = bound_context(threads, cpu, false);
    assert_memory_equal(weft_ctx_cpus(ctx), cpu, (size_t)threads * sizeof *cpu);
    sched_getaffinity(0, sizeof after, &after);
    assert_memory_equal(&before, &after, sizeof before); /* nothing has been computed yet */
    for (int round = 0; round < 3; round++) {
        const size_t team = round == 1 ? 1 : (size_t)threads; /* threads end, and are born again */
        weft_ctx_parallel(ctx, team, look, &s);
        for (size_t i = 0; i < team; i++) is_only_on(&s.mask[i], cpu[i]);
    }
    weft_ctx *const other = bound_context(threads, NULL, false); /* beside it, not bound */
    assert_null(weft_ctx_cpus(other));
    weft_ctx_parallel(other, (size_t)threads, look, &s);
    for (int i = 0; i < threads; i++) assert_memory_equal(&before, &s.mask[i], sizeof before);
    weft_ctx_parallel(ctx, (size_t)threads, look, &s);
    for (int i = 0; i < threads; i++) is_only_on(&s.mask[i], cpu[i]);
    weft_ctx_free(ctx);
    sched_getaffinity(0, sizeof after, &after);
    if (memcmp(&before, &after, sizeof before)) fail_msg("caller_is_restored: it is not");
    weft_parallel((size_t)threads, look, &s); /* nor is anybody of its team */
    for (int i = 0; i < threads; i++) assert_memory_equal(&before, &s.mask[i], sizeof before);
    weft_ctx_free(other);
}

static void bad_cpus(void **state) {
    (void)state;
    char message[WEFT_MESSAGE_MAX];
    weft_ctx *ctx;
    int cpu[CPU_SETSIZE];
    allowed(cpu);
    struct weft_ctx_options o = {.threads = 2, .cpus = cpu, .cpu_count = 1, .message = message};
    assert_int_equal(weft_ctx_create(&o, &ctx), WEFT_ERR_ARG);
    assert_non_null(strstr(message, "1 CPUs for 2 threads"));
    const int bad[] = {-1, 8000, 8192, 1 << 30};
    for (size_t i = 0; i < 4; i++) {
        const int two[] = {cpu[0], bad[i]};
        o.cpus = two;
        o.cpu_count = 2;
        assert_int_equal(weft_ctx_create(&o, &ctx), WEFT_ERR_ARG);
        assert_non_null(strstr(message, "(of thread 1) cannot be used"));
    }
    const int same[] = {cpu[0], cpu[0], cpu[0]}; /* slow, but it works */
    weft_ctx_free(bound_context(3, same, false));
}

/* ---- first touch ---- */
static weft_model *small_model(weft_ctx *ctx, bool language) {
    weft_model *m = NULL;
    const struct weft_gpt2_config gpt2 = {
        .vocab = 500, .context = 32, .layers = 2, .heads = 2, .width = 64};
    const struct weft_mlp_config mlp = {
        .inputs = 784, .hidden = {256, 128}, .layers = 2, .outputs = 10};
    const struct weft_training t = {
        .batch = 64, .seq = 32, .optim = {"adamw", 0.9, 0.95, 1e-8, 0.1, 1.0}};
    assert_int_equal(language ? weft_gpt2_create(ctx, &gpt2, &t, &m)
                              : weft_mlp_create(ctx, &mlp, &t, &m),
                     WEFT_OK);
    assert_int_equal(weft_model_commit(m), WEFT_OK);
    return m;
}

/* The thread that owns the unit of an address. */
static size_t owner_at(const weft_graph *g, const unsigned short *owner, size_t unit,
                       const void *at) {
    return owner[((uintptr_t)at - (uintptr_t)g->base / unit * unit) / unit];
}

/* Who gets task i of n, in exec.c: queue q of Q = min(threads, 16), whose threads are those with
 * thread·Q/threads = q. First and last of them. */
static void dealt_to(size_t task, size_t tasks, size_t threads, size_t *first, size_t *last) {
    const size_t queues = threads < 16 ? threads : 16;
    size_t q = 0;
    while (tasks * (q + 1) / queues <= task) q++;
    *first = SIZE_MAX, *last = 0;
    for (size_t t = 0; t < threads; t++)
        if (t * queues / threads == q) *first = *first == SIZE_MAX ? t : *first, *last = t;
}

/* On two memory nodes with half of the threads each: the share of dW, task by task, that is on the
 * node of the thread which its task is dealt to. */
static double share_at_home(const weft_graph *g, const unsigned short *owner, size_t unit,
                            size_t threads, const struct weft_tensor_desc *grad) {
    struct weft_product p = {.m = weft_desc_rows(grad),
                             .n = weft_desc_cols(grad),
                             .k = 64,
                             .a = WEFT_K_OUTER,
                             .b = WEFT_K_OUTER,
                             .by_rows = true};
    weft_product_plan(&p, g->ctx);
    const size_t tasks = p.row_tasks * p.col_tasks, bytes = p.n * sizeof(float);
    size_t home = 0;
    for (size_t task = 0; task < tasks; task++)
        for (size_t i = 0, r = task / p.col_tasks * p.rows; i < p.rows && r < p.m; i++, r++) {
            const char *const row = (const char *)grad->data + r * bytes;
            size_t first, last;
            dealt_to(task, tasks, threads, &first, &last);
            const size_t got = owner_at(g, owner, unit, row + bytes / 2);
            home +=
                got * 2 / threads == first * 2 / threads || got * 2 / threads == last * 2 / threads;
        }
    return (double)home / (double)(p.m * p.col_tasks);
}

static void owners_are_dealt(void **state) {
    (void)state;
    static const size_t teams[] = {1, 2, 3, 8, 16, 40};
    for (size_t i = 0; i < sizeof teams / sizeof *teams; i++) {
        const size_t threads = teams[i], unit = 4096;
        weft_ctx *const ctx = bound_context((int)threads, NULL, false);
        weft_model *const m = small_model(ctx, false);
        const weft_graph *const g = m->graph;
        const size_t units = weft_touch_units(g, unit);
        unsigned short *const owner = malloc(units * sizeof *owner);
        assert_non_null(owner);
        assert_true(weft_touch_owners(g, unit, threads, owner));
        for (size_t u = 0; u < units; u++) assert_in_range(owner[u], 0, threads - 1);
        /* the first weight, its gradient and its optimizer state: rising, all threads, like parts
         */
        for (size_t t = 0; t < g->tensors; t++) {
            const struct weft_tensor_desc *const d = &g->tensor[t];
            if (d->kind != WEFT_PARAM || weft_desc_count(d) < 100000) continue;
            const unsigned char *const array[] = {d->data, g->tensor[d->grad].data,
                                                  g->optim[0] + d->offset, g->optim[1] + d->offset};
            const size_t bytes = weft_desc_count(d) * 4, pages = bytes / unit;
            for (size_t a = 0; a < 4; a++) {
                size_t mine[64] = {0}, before = 0;
                for (size_t at = unit; at + unit < bytes; at += unit) {
                    const size_t now = owner_at(g, owner, unit, array[a] + at);
                    assert_true(now >= before);
                    mine[before = now]++;
                }
                for (size_t k = 0; k < threads; k++)
                    assert_in_range(mine[k], pages / threads - 2, pages / threads + 2);
            }
            const double home = share_at_home(g, owner, unit, threads, &g->tensor[d->grad]);
            if (!(home > 0.85))
                fail_msg("owners_are_dealt: %zu threads: %.0f%% of dW at home", threads,
                         100 * home);
        }
        size_t team = g->memory.scratch / g->local_bytes;
        for (size_t t = 0; t < team && g->local_bytes > 2 * unit; t++)
            if (owner_at(g, owner, unit, g->local + t * g->local_bytes + g->local_bytes / 2) != t)
                fail_msg("owners_are_dealt: scratch of thread %zu is another one's", t);
        free(owner);
        weft_model_free(m);
        weft_ctx_free(ctx);
    }
}

static uint64_t trained(weft_ctx *ctx) {
    weft_model *const m = small_model(ctx, true);
    static int32_t token[64 * 33];
    uint64_t seed = 7, hash = 14695981039346656037u;
    for (size_t i = 0; i < 64 * 33; i++) token[i] = (int32_t)(unit_random(&seed) % 500);
    const struct weft_batch batch = {.tokens = token, .targets = token + 1, .rows = 64};
    const struct weft_init init = {.name = "gpt2", .std = 0.02, .seed = 1};
    struct weft_loss loss = {0};
    struct weft_step step;
    assert_int_equal(weft_model_init(m, &init), WEFT_OK);
    for (uint64_t i = 0; i < 2; i++) {
        const struct weft_run run = {.step = i, .inv_targets = 1 / 2048.0F, .lr = 1e-3};
        assert_int_equal(weft_model_grad(m, &batch, &run, &loss), WEFT_OK);
        assert_int_equal(weft_model_update(m, &run, &step), WEFT_OK);
    }
    const unsigned char *const p = m->graph->params;
    for (size_t i = 0; i < m->graph->memory.params; i++) hash = (hash ^ p[i]) * 1099511628211u;
    weft_model_free(m);
    return hash;
}

static void same_bits(void **state) {
    (void)state;
    int cpu[CPU_SETSIZE];
    const int n = allowed(cpu), threads = n < 4 ? n : 4;
    weft_ctx *const plain = bound_context(1, NULL, false);
    const uint64_t want = trained(plain);
    weft_ctx_free(plain);
    weft_ctx *const bound = bound_context(threads, cpu, true);
    assert_true(trained(bound) == want);
    weft_ctx_free(bound);
    weft_ctx *const free_team = bound_context(5, NULL, true);
    assert_true(trained(free_team) == want);
    weft_ctx_free(free_team);
}

/* After the commit every page is there, still zero; before, none. */
static void pages_are_touched(void **state) {
    (void)state;
    for (int first_touch = 0; first_touch < 2; first_touch++) {
        weft_ctx *const ctx = bound_context(2, NULL, first_touch != 0);
        weft_model *const m = small_model(ctx, false);
        const weft_graph *const g = m->graph;
        size_t page[64], there = 0;
        if (!weft_memory_nodes(g->base, g->memory.total, page, 64)) {
            weft_model_free(m);
            weft_ctx_free(ctx);
            skip();
        }
        for (size_t i = 0; i < 64; i++) there += page[i];
        const size_t all = weft_touch_units(g, 4096);
        if (first_touch)
            assert_int_equal(there, all);
        else
            assert_true(there < all / 4);
        const unsigned char *const p = g->base;
        for (size_t i = 0; i < g->memory.total; i++) assert_int_equal(p[i], 0);
        weft_model_free(m);
        weft_ctx_free(ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(caller_is_restored), cmocka_unit_test(bad_cpus),
        cmocka_unit_test(owners_are_dealt),   cmocka_unit_test(same_bits),
        cmocka_unit_test(pages_are_touched),
    };
    return cmocka_run_group_tests_name("affinity", tests, NULL, NULL);
}
