#include "crosscheck/cross_walk.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/onednn/onednn.h"
#include "runtime/parallel.h"
#include "weft/matmul.h"

/* ---- outputs that are put back ---- */
static size_t bytes_of(const struct weft_cross_output *o) {
    return o->rows * o->cols * (o->type == WEFT_CROSS_F64 ? sizeof(double) : sizeof(float));
}

static bool save(const struct weft_cross_expect *e, void *copy[WEFT_NODE_OUT]) {
    bool ok = true;
    for (size_t i = 0; i < e->outputs; i++) {
        copy[i] = malloc(bytes_of(&e->output[i]) + 1);
        if (copy[i] != NULL)
            memcpy(copy[i], e->output[i].data, bytes_of(&e->output[i]));
        else
            ok = false;
    }
    return ok;
}

static void restore(const struct weft_cross_expect *e, void *const copy[WEFT_NODE_OUT]) {
    for (size_t i = 0; i < e->outputs; i++)
        memcpy(e->output[i].data, copy[i], bytes_of(&e->output[i]));
}

static void drop(void *copy[WEFT_NODE_OUT]) {
    for (size_t i = 0; i < WEFT_NODE_OUT; i++) free(copy[i]);
}

/* ---- times ---- */
struct timed { /* one way to compute a node */
    weft_program *p;
    const struct weft_run *run;
    size_t node;
    const struct weft_backend *backend;
    weft_matmul *matmul; /* instead of the node */
    struct weft_matmul_operands operands;
};

static enum weft_status once(struct timed *t, double *seconds) {
    const double start = weft_now();
    const enum weft_status st = t->matmul != NULL
                                    ? weft_matmul_run(t->matmul, &t->operands)
                                    : weft_program_run_node(t->p, t->run, t->node, t->backend);
    *seconds = weft_now() - start;
    return st;
}

static void sweep(void *arg, size_t thread, size_t team) {
    const struct weft_cross_walk *const w = arg;
    size_t lo, hi;
    weft_split(w->flush_count, 16, team, thread, &lo, &hi);
    for (size_t i = lo; i < hi; i += 16) w->flush[i] += 1;
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The fastest of some runs in a row, and the median of a few whose operands were in no cache. */
static enum weft_status time_both(struct weft_cross_walk *w, struct timed *t, double *hot,
                                  double *cold) {
    enum { COLD = 5 };
    const double budget = w->options->quick ? 2e-3 : 50e-3;
    const size_t colds = w->options->quick ? 1 : COLD;
    double seconds, spent = 0, cool[COLD];
    enum weft_status st = WEFT_OK;
    *hot = INFINITY;
    for (size_t i = 0; st == WEFT_OK && (i < 2 || (i < 100 && spent < budget)); i++) {
        st = once(t, &seconds);
        spent += seconds;
        *hot = fmin(*hot, seconds);
    }
    for (size_t i = 0; st == WEFT_OK && i < colds; i++) {
        weft_parallel((size_t)weft_ctx_threads(w->ctx), sweep, w);
        st = once(t, &cool[i]);
    }
    if (st != WEFT_OK) return st;
    qsort(cool, colds, sizeof *cool, compare);
    *cold = cool[colds / 2];
    return WEFT_OK;
}

/* weft's product with its weight packed beforehand, where it is the same work: no z is kept. */
static enum weft_status time_weft_packed(struct weft_cross_walk *w, const struct weft_exec *x,
                                         const struct weft_node *n, struct weft_cross_check *c) {
    static const char *const acts[] = {"none", "relu",    "leaky_relu", "gelu_tanh", "gelu_erf",
                                       "tanh", "sigmoid", "silu",       "selu"};
    if (n->op != &weft_op_linear || n->out[1] >= 0) return WEFT_OK;
    struct timed t = {.operands = {.a = x_f32(x, n->in[0]),
                                   .bias = x_f32(x, n->in[2]),
                                   .residual = x_f32(x, n->in[3]),
                                   .c = x_f32(x, n->out[0])}};
    const struct weft_matmul_shape shape = {.m = x_rows(x, n->in[0]),
                                            .n = x_cols(x, n->out[0]),
                                            .k = x_cols(x, n->in[0]),
                                            .b_trans = true,
                                            .b_packed = true,
                                            .bias = n->in[2] >= 0,
                                            .residual = n->in[3] >= 0,
                                            .act = acts[n->attr.act]};
    enum weft_status st = weft_matmul_create(w->ctx, &shape, &t.matmul);
    if (st != WEFT_OK) return st;
    float *const packed = malloc((weft_matmul_packed_size(t.matmul) + 1) * sizeof *packed);
    if (packed == NULL) st = weft_ctx_fail(w->ctx, WEFT_ERR_NOMEM, "out of memory");
    if (st == WEFT_OK) st = weft_matmul_pack(t.matmul, x_f32(x, n->in[1]), 0, packed);
    t.operands.b = packed;
    if (st == WEFT_OK) st = time_both(w, &t, &c->hot.weft_packed, &c->cold.weft_packed);
    free(packed);
    weft_matmul_free(t.matmul);
    return st;
}

static enum weft_status time_packed(struct weft_cross_walk *w, const struct weft_exec *x,
                                    struct timed *t, struct weft_cross_check *c) {
    struct weft_node *const n = &t->p->node[t->node];
    if (n->op != &weft_op_linear && n->op != &weft_op_linear_dx) return WEFT_OK;
    enum weft_status st = weft_onednn_pack(x, n);
    if (st == WEFT_OK) st = time_both(w, t, &c->hot.onednn_packed, &c->cold.onednn_packed);
    weft_onednn_unpack(n);
    return st == WEFT_OK ? time_weft_packed(w, x, n, c) : st;
}

static enum weft_status time_node(struct weft_cross_walk *w, const struct weft_exec *x,
                                  weft_program *p, size_t node, struct weft_cross_check *c) {
    struct timed t = {.p = p, .run = x->run, .node = node};
    enum weft_status st = time_both(w, &t, &c->hot.weft, &c->cold.weft);
    if (st != WEFT_OK || !c->has_onednn) return st;
    t.backend = w->backend;
    st = time_both(w, &t, &c->hot.onednn, &c->cold.onednn);
    return st == WEFT_OK ? time_packed(w, x, &t, c) : st;
}

/* ---- a node ---- */
struct weft_cross_check *weft_cross_append(struct weft_cross_walk *w) {
    struct weft_cross_report *const r = w->report;
    if (r->checks == r->room) {
        const size_t room = r->room == 0 ? 128 : 2 * r->room;
        void *const more = realloc(r->check, room * sizeof *r->check);
        if (more == NULL) {
            (void)weft_ctx_fail(w->ctx, WEFT_ERR_NOMEM, "out of memory");
            return NULL;
        }
        r->check = more;
        r->room = room;
    }
    struct weft_cross_check *const c = &r->check[r->checks++];
    *c = (struct weft_cross_check){.failed = false};
    return c;
}

static struct weft_cross_check *describe(struct weft_cross_walk *w, const struct weft_exec *x,
                                         const struct weft_node *n,
                                         const struct weft_cross_output *o) {
    struct weft_cross_check *const c = weft_cross_append(w);
    if (c == NULL) return NULL;
    snprintf(c->op, sizeof c->op, "%s", w->op != NULL ? w->op : n->op->name);
    snprintf(c->shape, sizeof c->shape, "%s",
             w->shape != NULL ? w->shape : weft_shape_text(n->program->graph, n->out[0]));
    snprintf(c->node, sizeof c->node, "%s", n->name);
    c->output = o->name;
    c->kernels = weft_cross_kernels(n->op);
    c->backward = o->backward;
    c->has_onednn = weft_backend_knows(w->backend, x, n);
    return c;
}

/* Both sides, from the same inputs and the same old outputs. Checks [base, ..) are the node's. */
static enum weft_status both_sides(struct weft_cross_walk *w, const struct weft_exec *x,
                                   weft_program *p, size_t node, const struct weft_cross_expect *e,
                                   void *before[], void *after[]) {
    const size_t base = w->report->checks;
    bool sharp[WEFT_NODE_OUT] = {false};
    enum weft_status st = weft_program_run_node(p, x->run, node, NULL);
    for (size_t i = 0; st == WEFT_OK && i < e->outputs; i++) {
        struct weft_cross_check *const c = describe(w, x, &p->node[node], &e->output[i]);
        if (c == NULL) return WEFT_ERR_NOMEM;
        sharp[i] = weft_cross_measure(&e->output[i], &c->weft);
    }
    if (st == WEFT_OK && !save(e, after)) st = weft_ctx_fail(w->ctx, WEFT_ERR_NOMEM, "no memory");
    if (st == WEFT_OK && weft_backend_knows(w->backend, x, &p->node[node])) {
        restore(e, before);
        st = weft_program_run_node(p, x->run, node, w->backend);
        for (size_t i = 0; st == WEFT_OK && i < e->outputs; i++)
            weft_cross_measure(&e->output[i], &w->report->check[base + i].onednn);
    }
    for (size_t i = 0; st == WEFT_OK && i < e->outputs; i++)
        weft_cross_judge(&w->report->check[base + i], sharp[i]);
    if (st == WEFT_OK && w->times && e->outputs > 0)
        st = time_node(w, x, p, node, &w->report->check[base]);
    if (st == WEFT_OK) restore(e, after);
    return st;
}

enum weft_status weft_cross_node(struct weft_cross_walk *w, weft_program *p,
                                 const struct weft_run *run, size_t node) {
    const struct weft_exec x = {.k = w->ctx->k,
                                .g = p->graph,
                                .run = run,
                                .rows = run->rows == 0 ? p->batch : run->rows,
                                .batch = p->batch};
    struct weft_cross_expect e;
    void *before[WEFT_NODE_OUT] = {NULL}, *after[WEFT_NODE_OUT] = {NULL};
    enum weft_status st = WEFT_OK;
    if (!weft_cross_expect_make(&x, &p->node[node], &e))
        st = weft_ctx_fail(w->ctx, e.failed ? WEFT_ERR_NOMEM : WEFT_ERR_INTERNAL,
                           e.failed ? "out of memory for the oracle of %s" : "%s has no oracle",
                           p->node[node].name);
    if (st == WEFT_OK && !save(&e, before)) st = weft_ctx_fail(w->ctx, WEFT_ERR_NOMEM, "no memory");
    if (st == WEFT_OK) st = both_sides(w, &x, p, node, &e, before, after);
    drop(before);
    drop(after);
    weft_cross_expect_free(&e);
    return st;
}

enum weft_status weft_cross_program(struct weft_cross_walk *w, weft_program *p,
                                    const struct weft_run *run,
                                    bool (*subject)(const void *arg, const struct weft_node *n),
                                    const void *arg) {
    enum weft_status st = WEFT_OK;
    for (size_t i = 0; st == WEFT_OK && i < p->nodes; i++)
        st = subject(arg, &p->node[i]) ? weft_cross_node(w, p, run, i)
                                       : weft_program_run_node(p, run, i, NULL);
    return st;
}

/* ---- seeds ---- */
static bool any_worse(const struct weft_cross_report *r, size_t from) {
    for (size_t i = from; i < r->checks; i++)
        if (weft_cross_worse(&r->check[i])) return true;
    return false;
}

/* What another seed found, at the checks of the first; it leaves `worse` where both are. */
static void merge(struct weft_cross_report *r, size_t base, const struct weft_cross_report *more,
                  bool *worse) {
    for (size_t i = 0; i < more->checks && base + i < r->checks; i++) {
        struct weft_cross_check *const c = &r->check[base + i];
        worse[i] = worse[i] && weft_cross_worse(&more->check[i]);
        if (c->failed || !more->check[i].failed) continue;
        c->failed = true;
        c->weft = more->check[i].weft;
        c->onednn = more->check[i].onednn;
        memcpy(c->reason, more->check[i].reason, sizeof c->reason);
    }
}

static void blame(struct weft_cross_check *c) {
    if (c->failed) return;
    c->failed = true;
    snprintf(c->reason, sizeof c->reason,
             "relative error %.2g is more than twice oneDNN's %.2g, on %d seeds", c->weft.rel_l2,
             c->onednn.rel_l2, WEFT_CROSS_SEEDS);
}

enum weft_status weft_cross_seeds(struct weft_cross_walk *w, weft_cross_make *make,
                                  const void *arg) {
    struct weft_cross_report *const r = w->report;
    const size_t base = r->checks;
    enum weft_status st = make(w, arg, 1);
    if (st != WEFT_OK || !any_worse(r, base)) return st;
    const size_t n = r->checks - base;
    bool *const worse = malloc(n * sizeof *worse);
    if (worse == NULL) return weft_ctx_fail(w->ctx, WEFT_ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) worse[i] = weft_cross_worse(&r->check[base + i]);
    struct weft_cross_walk again = *w;
    again.times = false;
    for (uint64_t seed = 2; st == WEFT_OK && seed <= WEFT_CROSS_SEEDS; seed++) {
        struct weft_cross_report more = {.check = NULL};
        again.report = &more;
        st = make(&again, arg, seed);
        if (st == WEFT_OK) merge(r, base, &more, worse);
        free(more.check);
    }
    for (size_t i = 0; st == WEFT_OK && i < n; i++)
        if (worse[i]) blame(&r->check[base + i]);
    free(worse);
    return st;
}
