/* The backend: which ops oneDNN computes, and what is kept for a node between runs. A node is
 * prepared again when its number of live rows changes, which oneDNN's own cache of primitives makes
 * cheap. */
#include "runtime/onednn/onednn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/compiler.h"
#include "runtime/backend.h"
#include "runtime/onednn/node.h"

static const struct weft_dnn_op *const ops[] = {
    &weft_dnn_linear,         &weft_dnn_linear_dx,    &weft_dnn_linear_dw,     &weft_dnn_layernorm,
    &weft_dnn_layernorm_bwd,  &weft_dnn_attention,    &weft_dnn_attention_bwd, &weft_dnn_activation,
    &weft_dnn_activation_bwd, &weft_dnn_add,          &weft_dnn_gain,          &weft_dnn_gain_bwd,
    &weft_dnn_head_xent,      &weft_dnn_softmax_xent, &weft_dnn_mse,
};
#define OPS (sizeof ops / sizeof *ops)

static const struct weft_dnn_op *find(const struct weft_op *op) {
    for (size_t i = 0; i < OPS; i++)
        if (ops[i]->op == op) return ops[i];
    return NULL;
}

/* Not what is measured for probes, nor gains of groups, nor activations that oneDNN lacks. */
static bool knows(const struct weft_exec *x, const struct weft_node *n) {
    const struct weft_dnn_op *const op = find(n->op);
    if (op == NULL || weft_dnn_act_of(n->attr.act).alg == dnnl_alg_kind_undef) return false;
    for (size_t i = op->outputs; i < WEFT_NODE_OUT; i++)
        if (x_measures(x, n, i)) return false;
    if (n->op == &weft_op_attention || n->op == &weft_op_attention_bwd) return n->attr.prob == 0;
    const bool gain = n->op == &weft_op_gain || n->op == &weft_op_gain_bwd;
    return !gain || weft_desc_count(weft_desc(x->g, n->in[1])) == 1;
}

static void forget(struct weft_node *n) {
    struct weft_dnn *const d = n->prepared;
    if (d == NULL) return;
    for (size_t i = 0; i < WEFT_DNN_PRIMITIVES; i++) {
        struct weft_dnn_primitive *const p = &d->p[i];
        for (size_t k = 0; k < p->args; k++)
            if (!p->arg[k].borrowed) dnnl_memory_destroy(p->arg[k].memory);
        dnnl_primitive_destroy(p->handle);
    }
    for (size_t i = 0; i < WEFT_DNN_BUFFERS; i++) free(d->buffer[i]);
    if (d->stream != NULL) dnnl_stream_destroy(d->stream);
    if (d->engine != NULL) dnnl_engine_destroy(d->engine);
    free(d);
    n->prepared = NULL;
}

static enum weft_status run(const struct weft_exec *x, struct weft_node *n);
static const struct weft_backend backend = {
    .name = "onednn", .knows = knows, .run = run, .forget = forget};

/* oneDNN may use no more of the CPU than weft does. Only the first call in a process counts. */
static void cap_isa(const char *isa) {
    if (strcmp(isa, "avx2") == 0) dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx2);
    if (strcmp(isa, "avx512") == 0) dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx512_core);
    if (strcmp(isa, "avx512bf16") == 0) dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx512_core_bf16);
}

static enum weft_status prepare(const struct weft_exec *x, struct weft_node *n,
                                const float *packed) {
    weft_ctx *const ctx = x->g->ctx;
    forget(n);
    struct weft_dnn *const d = calloc(1, sizeof *d);
    if (d == NULL) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "oneDNN: out of memory");
    *d = (struct weft_dnn){.ctx = ctx, .node = n->name, .rows = x->rows, .packed = packed};
    n->prepared = d;
    n->backend = &backend;
    cap_isa(x->k->isa);
    if (dnnl_engine_create(&d->engine, dnnl_cpu, 0) != dnnl_success ||
        dnnl_stream_create(&d->stream, d->engine, dnnl_stream_default_flags) != dnnl_success)
        d->status = weft_ctx_fail(ctx, WEFT_ERR_INTERNAL, "oneDNN: no CPU engine");
    if (d->status == WEFT_OK) find(n->op)->prepare(x, n, d);
    return d->status;
}

static enum weft_status run(const struct weft_exec *x, struct weft_node *n) {
    struct weft_dnn *d = n->prepared;
    enum weft_status st = WEFT_OK;
    const bool same = d != NULL && (d->rows == x->rows || WEFT_BUG(54));
    if (!same || d->status != WEFT_OK) st = prepare(x, n, NULL);
    d = n->prepared;
    if (st == WEFT_OK) find(n->op)->run(x, n, d);
    return d == NULL ? st : d->status;
}

enum weft_status weft_onednn_pack(const struct weft_exec *x, struct weft_node *n) {
    if (n->op != &weft_op_linear && n->op != &weft_op_linear_dx)
        return weft_ctx_fail(x->g->ctx, WEFT_ERR_STATE, "oneDNN: %s has no weight to pack",
                             n->op->name);
    return prepare(x, n, x_f32(x, n->in[1]));
}

void weft_onednn_unpack(struct weft_node *n) {
    if (n->prepared != NULL) n->backend->forget(n);
}

const weft_backend *weft_onednn(void) { return &backend; }

const char *weft_onednn_version(char buf[WEFT_ONEDNN_VERSION]) {
    const dnnl_version_t *const v = dnnl_version();
    snprintf(buf, WEFT_ONEDNN_VERSION, "%d.%d.%d", v->major, v->minor, v->patch);
    return buf;
}
