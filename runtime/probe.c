/* What nodes tell about the values that pass them: probes are placed while building, their numbers
 * are folded in f64, in a fixed order, from the small arrays that the kernels leave behind. */
#include "runtime/probe.h"

#include <math.h>
#include <string.h>

#include "kernels/base/bug.h"
#include "weft/math.h"

struct reader { /* one probe being read */
    const weft_program *p;
    const struct weft_probe_desc *d;
    const struct weft_node *n;
    size_t samples; /* live */
    struct weft_probe_value *out;
    size_t count;
};

struct weft_probe_kind {
    const char *name;
    const struct weft_op *op[2]; /* t is the first output of one of these */
    bool (*place)(weft_program *p, size_t node);
    void (*read)(struct reader *r);
};

/* ---- helpers ---- */
static const struct weft_tensor_desc *desc(const struct reader *r, weft_tensor t) {
    return weft_desc(r->p->graph, t);
}

static size_t rows_of(const struct reader *r, weft_tensor t) {
    const struct weft_tensor_desc *const d = desc(r, t);
    return (d->batched ? r->samples : d->shape[0]) * d->shape[1];
}

/* A new output of a node, kept until the end of the program. */
static bool add_output(weft_program *p, size_t node, size_t out, weft_tensor t) {
    p->node[node].out[out] = t;
    weft_tensor_keep(p->graph, t);
    return t != WEFT_NONE;
}

static struct weft_probe_value *put(struct reader *r, const char *kind, const char *tensor,
                                    double value) {
    struct weft_probe_value *const v = &r->out[r->count++];
    *v = (struct weft_probe_value){
        .kind = kind, .tensor = tensor, .layer = r->n->layer, .value = value};
    return v;
}

/* What is summarised must outlive its readers. */
static void keep(weft_program *p, weft_tensor t) {
    if (p->graph->keep_probed) weft_tensor_keep(p->graph, t);
}

/* The tensor that was summarised, when its memory is still its own. */
static void show(const struct reader *r, struct weft_probe_value *v, weft_tensor t) {
    const struct weft_tensor_desc *const d = desc(r, t);
    if (t < 0 || !r->p->graph->keep_probed || !(d->keep || d->kind == WEFT_INPUT)) return;
    v->of = d->data;
    v->rows = rows_of(r, t);
    v->cols = d->shape[2];
}

/* ---- layernorm ---- */
static bool keep_moments(weft_program *p, size_t node) {
    keep(p, p->node[node].in[0]);
    weft_tensor_keep(p->graph, p->node[node].out[1]);
    weft_tensor_keep(p->graph, p->node[node].out[2]);
    return true;
}

static bool keep_rstd(weft_program *p, size_t node) {
    keep(p, p->node[node].in[0]);
    weft_tensor_keep(p->graph, p->node[node].out[2]);
    return true;
}

/* The variance that LayerNorm measured in a row: 1/rstd^2 - eps. */
static double row_variance(const struct reader *r, size_t row) {
    const double rstd = (double)((const float *)desc(r, r->n->out[2])->data)[row];
    const double var = 1.0 / (rstd * rstd) - (double)r->n->attr.eps;
    return var > 0 ? var : 0;
}

static void read_std(struct reader *r) {
    const size_t rows = rows_of(r, r->n->out[2]);
    double sum = 0;
    for (size_t i = 0; i < rows; i++) sum += row_variance(r, i);
    show(r, put(r, "std", "stream", rows == 0 ? 0 : sqrt(sum / (double)rows)), r->n->in[0]);
}

static void read_stream(struct reader *r) {
    const float *const mean = desc(r, r->n->out[1])->data;
    const size_t rows = rows_of(r, r->n->out[2]);
    double first = 0, second = 0;
    for (size_t i = 0; i < rows; i++) {
        first += (double)mean[i];
        second += row_variance(r, i) + (double)mean[i] * (double)mean[i];
    }
    show(r, put(r, "mean", "stream", first / (double)rows), r->n->in[0]);
    show(r, put(r, "rms", "stream", sqrt(second / (double)rows - (WEFT_BUG(38) ? 1e-3 : 0))),
         r->n->in[0]);
}

/* ---- attention ---- */
static bool keep_maxima(weft_program *p, size_t node) {
    keep(p, p->node[node].in[0]);
    weft_tensor_keep(p->graph, p->node[node].out[2]);
    return true;
}

/* The largest entropy of each row: the logarithm of its keys. */
static const double *log_table(weft_graph *g, size_t t) {
    double *const table = weft_graph_alloc(g, (t + 1) * sizeof *table);
    for (size_t i = 0; table != NULL && i < t; i++) table[i] = weft_log((double)(i + 1));
    return table;
}

static bool add_entropy(weft_program *p, size_t node) {
    const struct weft_tensor_desc d = *weft_desc(p->graph, p->node[node].out[1]);
    keep(p, p->node[node].in[0]);
    return add_output(p, node, 3, weft_act_tensor(p, WEFT_F32, d.shape[0], d.shape[1], d.shape[2]));
}

static void read_logit_max(struct reader *r) {
    const struct weft_tensor_desc *const d = desc(r, r->n->out[2]);
    const float *const x = d->data;
    const size_t n = rows_of(r, r->n->out[2]) * d->shape[2];
    double m = -INFINITY;
    for (size_t i = 0; i < n; i++) m = (double)x[i] > m ? (double)x[i] : m;
    struct weft_probe_value *const v = put(r, "logit_max", "attn", m);
    show(r, v, r->n->in[0]);
    v->by_rows = r->n->attr.heads;
}

static void read_entropy(struct reader *r) {
    const struct weft_tensor_desc *const d = desc(r, r->n->out[3]);
    const float *const x = d->data;
    const size_t t = d->shape[2], heads = rows_of(r, r->n->out[3]);
    const double *const most = r->d->table; /* ln of the number of keys */
    double sum = 0;
    for (size_t h = 0; h < heads; h++)
        for (size_t i = 1; i < t; i++) sum += (double)x[h * t + i] / most[i];
    struct weft_probe_value *const v =
        put(r, "entropy", "attn", t < 2 ? (double)NAN : sum / (double)(heads * (t - 1)));
    show(r, v, r->n->in[0]);
    v->by_rows = r->n->attr.heads;
}

/* ---- linear ---- */
static bool add_measure(weft_program *p, size_t node) {
    const struct weft_tensor_desc y = *weft_desc(p->graph, p->node[node].out[0]);
    const size_t cols = weft_gemm_groups(y.shape[2]) * WEFT_GEMM_STATS;
    const weft_tensor t = y.batched ? weft_act_tensor(p, WEFT_F32, y.shape[0], y.shape[1], cols)
                                    : weft_fixed_tensor(p, WEFT_F32, weft_desc_rows(&y), cols);
    keep(p, p->node[node].out[0]);
    return add_output(p, node, 2, t);
}

/* Sums over all groups of all rows of a tensor of statistics. */
static void fold_groups(const struct reader *r, weft_tensor t, double sum[WEFT_GEMM_STATS]) {
    const struct weft_tensor_desc *const d = desc(r, t);
    const float *const p = d->data;
    const size_t n = rows_of(r, t) * d->shape[2];
    double z = 0, zz = 0, x = 0, xx = 0, count = 0; /* in registers */
    for (size_t i = 0; i < n; i += WEFT_GEMM_STATS) {
        z += (double)p[i + WEFT_SUM_Z];
        zz += (double)p[i + WEFT_SUM_ZZ];
        x += (double)p[i + WEFT_SUM_X];
        xx += (double)p[i + WEFT_SUM_XX];
        count += (double)p[i + WEFT_COUNT];
    }
    sum[WEFT_SUM_Z] = z;
    sum[WEFT_SUM_ZZ] = zz;
    sum[WEFT_SUM_X] = x;
    sum[WEFT_SUM_XX] = xx;
    sum[WEFT_COUNT] = count;
}

/* The sum of squares of a gradient, as the node that wrote it left it. */
static double sum_delta(const struct reader *r, const struct weft_node *writer, weft_tensor t) {
    const struct weft_tensor_desc *const d = desc(r, t);
    const bool groups = writer->op == &weft_op_linear_dx;
    const size_t n = rows_of(r, t) * d->shape[2], step = groups ? WEFT_GEMM_STATS : 1;
    double sum = 0;
    for (size_t i = groups ? WEFT_SUM_XX : 0; i < n; i += step)
        sum += d->dtype == WEFT_F64 ? ((const double *)d->data)[i]
                                    : (double)((const float *)d->data)[i];
    return sum;
}

static void read_delta(struct reader *r, const char *role, double count) {
    for (size_t i = 0; r->d->delta >= 0 && i < r->p->nodes; i++) {
        const struct weft_node *const n = &r->p->node[i];
        const bool is_loss = n->op == &weft_op_softmax_xent;
        if (n->out[is_loss ? 3 : 1] != r->d->delta) continue;
        const double sum = sum_delta(r, n, r->d->delta);
        show(r, put(r, "delta_rms", role, sqrt(sum / count)), n->out[is_loss ? 2 : 0]);
        return;
    }
}

static void read_layer(struct reader *r) {
    double sum[WEFT_GEMM_STATS];
    const struct weft_node *const n = r->n;
    const struct weft_tensor_desc *const w = desc(r, n->in[1]);
    const char *const role = w->param.role == NULL ? "weight" : w->param.role;
    const double count = (double)(rows_of(r, n->out[0]) * desc(r, n->out[0])->shape[2]);
    const bool has_act = n->attr.act != WEFT_ACT_NONE, has_residual = n->in[3] >= 0;
    /* Without activation and residual z is the output; with a residual it is nowhere. */
    const weft_tensor z = has_act ? n->out[1] : has_residual ? WEFT_NONE : n->out[0];
    fold_groups(r, n->out[2], sum);
    show(r, put(r, "z_mean", role, sum[WEFT_SUM_Z] / count), z);
    show(r, put(r, "z_rms", role, sqrt(sum[WEFT_SUM_ZZ] / count)), z);
    show(r, put(r, "x_mean", role, sum[WEFT_SUM_X] / count), n->out[0]);
    const double mean = WEFT_BUG(25) ? sum[WEFT_SUM_X] / count : 0;
    show(r, put(r, "x_rms", role, sqrt(sum[WEFT_SUM_XX] / count - mean * mean)), n->out[0]);
    if (has_act) show(r, put(r, "dead", role, sum[WEFT_COUNT] / count), n->out[1]);
    if (has_residual) put(r, "swallowed", role, sum[WEFT_COUNT] / count);
    read_delta(r, role, count);
}

void weft_probe_delta(weft_program *p, size_t layer_node, weft_tensor dz) {
    struct weft_probe_desc *probe = NULL;
    for (size_t i = 0; i < p->probes; i++)
        if (p->probe[i].node == layer_node && p->node[layer_node].out[2] >= 0 &&
            p->node[layer_node].op == &weft_op_linear)
            probe = &p->probe[i];
    if (probe != NULL) {
        keep(p, p->node[layer_node].out[1]);
        keep(p, dz);
    }
    for (size_t i = p->nodes; probe != NULL && i-- > 0;) {
        const struct weft_op *const op = p->node[i].op;
        const struct weft_tensor_desc d = *weft_desc(p->graph, dz);
        const size_t rows = weft_desc_rows(&d);
        if (op == &weft_op_softmax_xent && p->node[i].out[2] == dz) {
            probe->delta = weft_act_tensor(p, WEFT_F32, d.shape[0], d.shape[1], 1);
            add_output(p, i, 3, probe->delta);
            return;
        }
        if (p->node[i].out[0] != dz) continue;
        if (op == &weft_op_linear_dx && !(p->node[i].attr.accumulate & 1)) {
            const size_t cols = weft_gemm_groups(d.shape[2]) * WEFT_GEMM_STATS;
            probe->delta = weft_act_tensor(p, WEFT_F32, d.shape[0], d.shape[1], cols);
            add_output(p, i, 1, probe->delta);
        } else if (op == &weft_op_activation_bwd && !(p->node[i].attr.accumulate & 1)) {
            probe->delta = weft_fixed_tensor(p, WEFT_F64, (rows + 63) / 64, 1);
            add_output(p, i, 1, probe->delta);
        }
        return;
    }
}

/* ---- loss ---- */
static bool add_logz(weft_program *p, size_t node) {
    keep(p, p->node[node].in[0]);
    const struct weft_tensor_desc d = *weft_desc(p->graph, p->node[node].out[0]);
    for (size_t i = 4; i < 6; i++)
        if (!add_output(p, node, i,
                        weft_act_tensor(p, WEFT_F32, d.shape[0], d.shape[1], d.shape[2])))
            return false;
    return true;
}

static void read_logz(struct reader *r) {
    const struct weft_node *const n = r->n;
    const bool head = n->op == &weft_op_head_xent;
    const int32_t *const target = desc(r, n->in[head ? 2 : 1])->data;
    const float *const lse = desc(r, n->out[4])->data, *const max = desc(r, n->out[5])->data;
    const size_t rows = rows_of(r, n->out[0]);
    double sum = 0, square = 0, top = -INFINITY;
    size_t valid = 0;
    for (size_t i = 0; i < rows; i++) {
        if (target[i] < 0) continue;
        valid++;
        sum += (double)lse[i];
        square += (double)lse[i] * (double)lse[i];
        top = (double)max[i] > top ? (double)max[i] : top;
    }
    const double value[] = {sum / (double)valid, sqrt(square / (double)valid), top};
    static const char *const kind[] = {"logz", "logz_rms", "logit_max"};
    for (size_t i = 0; i < 3; i++) {
        struct weft_probe_value *const v = put(r, kind[i], "loss", value[i]);
        show(r, v, n->in[0]);
        if (!head || v->of == NULL) continue;
        v->by = desc(r, n->in[1])->data;
        v->by_rows = desc(r, n->in[1])->shape[0];
    }
}

/* ---- the kinds ---- */
static const struct weft_probe_kind kinds[] = {
    {"std", {&weft_op_layernorm}, keep_rstd, read_std},
    {"stream", {&weft_op_layernorm}, keep_moments, read_stream},
    {"logit_max", {&weft_op_attention}, keep_maxima, read_logit_max},
    {"entropy", {&weft_op_attention}, add_entropy, read_entropy},
    {"layer", {&weft_op_linear}, add_measure, read_layer},
    {"logz", {&weft_op_head_xent, &weft_op_softmax_xent}, add_logz, read_logz},
};

void weft_probe(weft_program *p, const char *kind, weft_tensor t) {
    weft_graph *const g = p->graph;
    const struct weft_probe_kind *k = NULL;
    if (g->status != WEFT_OK ||
        !weft_graph_grow(g, (void **)&p->probe, &p->probe_cap, p->probes, sizeof *p->probe))
        return;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, kind) == 0) k = &kinds[i];
    if (k == NULL) {
        weft_graph_fail(g, WEFT_ERR_ARG, "unknown probe \"%s\"", kind);
        return;
    }
    for (size_t i = 0; i < p->nodes; i++) {
        const struct weft_node *const n = &p->node[i];
        if ((n->op != k->op[0] && n->op != k->op[1]) || n->out[0] != t) continue;
        if (!k->place(p, i)) return;
        p->probe[p->probes++] = (struct weft_probe_desc){
            .kind = k,
            .node = i,
            .delta = WEFT_NONE,
            .table =
                k->read == read_entropy ? log_table(g, weft_desc(g, n->out[3])->shape[2]) : NULL};
        return;
    }
    weft_graph_fail(g, WEFT_ERR_ARG, "probe %s: the tensor is not the output of %s", kind,
                    k->op[0]->name);
}

size_t weft_probe_read(const weft_program *p, size_t i, size_t rows,
                       struct weft_probe_value out[WEFT_PROBE_VALUES]) {
    const struct weft_probe_desc *const d = &p->probe[i];
    struct reader r = {
        .p = p, .d = d, .n = &p->node[d->node], .samples = rows == 0 ? p->batch : rows, .out = out};
    d->kind->read(&r);
    return r.count;
}

size_t weft_program_probes(const weft_program *p, size_t rows, struct weft_probe_value *out,
                           size_t max) {
    struct weft_probe_value v[WEFT_PROBE_VALUES];
    size_t n = 0;
    for (size_t i = 0; i < p->probes; i++) {
        const size_t got = weft_probe_read(p, i, rows, v);
        for (size_t j = 0; j < got; j++, n++)
            if (n < max) out[n] = v[j];
    }
    return n;
}

void weft_graph_keep_probed(weft_graph *g) { g->keep_probed = true; }
