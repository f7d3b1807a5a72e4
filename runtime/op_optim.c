/* The update program: fold gradients, clip and measure them, step.
 *
 *   grad_fold  grad_sum, grads = (accumulate ? grad_sum : 0) + grads     out of a group's last run
 *   agc        shortens rows of gradients (op_agc.c)
 *   gradnorm   norm of all gradients, factor of clipping, the step's scalars
 *   optimizer  one sweep over parameters, gradients and state, with statistics
 *
 * Every parameter with a gradient is cut into segments (its named slices, else itself), each
 * segment into blocks of WEFT_OPTIM_BLOCK elements. Blocks are swept in any order and by anybody;
 * what they report is folded in block order. Statistics of parts of slices (heads) have a finer
 * grid of their own: asking for them does not change the order of the norm. A gradient that is not
 * finite: nothing is changed. */
#include <math.h>
#include <string.h>

#include "kernels/base/bug.h"
#include "runtime/optim.h"
#include "weft/math.h"

#define TASK_ELEMENTS WEFT_OPTIM_BLOCK
#define PLACES        64

struct segment {
    weft_tensor param;
    const char *name, *whole; /* whole: the slice this is a part of, or NULL */
    size_t first, count;      /* elements of the parameter */
    size_t block0, blocks;
};
struct block {
    weft_tensor param;
    size_t first, n;
};
struct task { /* blocks [first, end); where it lies in its parameter, in PLACES */
    size_t first, end, place;
};
struct sweep {
    struct segment *segment;
    struct block *block;
    struct task *task;
    size_t segments, blocks, tasks, elements;
    bool parts; /* slices are cut into their parts */
};
struct update {                /* shared by gradnorm and optimizer */
    struct sweep *norm, *step; /* the same, unless there are parts */
    const struct weft_optim_kind *kind;
    enum weft_weights weights;      /* bf16 */
    struct weft_optim_args args[2]; /* of this step: without and with decay; set by gradnorm */
    double lr, scale;
    double *trust; /* lars: by tensor */
};

/* ---- the grid ---- */
static size_t blocks_of(size_t n) { return (n + WEFT_OPTIM_BLOCK - 1) / WEFT_OPTIM_BLOCK; }

static void add_segment(struct sweep *s, weft_tensor param, const char *name, const char *whole,
                        size_t first, size_t count) {
    if (count == 0) return;
    if (s->segment != NULL)
        s->segment[s->segments] =
            (struct segment){param, name, whole, first, count, s->blocks, blocks_of(count)};
    for (size_t i = 0; s->block != NULL && i < count; i += WEFT_OPTIM_BLOCK)
        s->block[s->blocks + i / WEFT_OPTIM_BLOCK] = (struct block){
            param, first + i, count - i < WEFT_OPTIM_BLOCK ? count - i : WEFT_OPTIM_BLOCK};
    s->segments++;
    s->blocks += blocks_of(count);
    s->elements += count;
}

/* A slice, or its parts with names like "q.3". */
static void add_slice(weft_graph *g, struct sweep *s, weft_tensor t, const struct weft_slice *q,
                      size_t cols) {
    const size_t parts = s->parts && q->parts > 1 ? q->parts : 1, rows = q->rows / parts;
    for (size_t i = 0; i < parts; i++)
        add_segment(s, t, parts == 1 ? q->name : weft_graph_format(g, "%s.%zu", q->name, i),
                    parts == 1 ? NULL : q->name, (q->row + i * rows) * cols, rows * cols);
}

/* The slices of a parameter in order, and what lies between them under the parameter's role. */
static void add_param(weft_graph *g, struct sweep *s, weft_tensor t) {
    const struct weft_tensor_desc copy = *weft_desc(g, t), *const d = &copy;
    const size_t cols = d->param.shape[1] > 0 ? d->shape[2] : 1; /* a vector's rows are elements */
    size_t at = 0;
    for (size_t i = 0; i < WEFT_SLICES; i++) {
        const struct weft_slice *const q = &d->param.slices[i];
        if (q->rows == 0 || q->row * cols < at) continue;
        add_segment(s, t, d->param.role, NULL, at, q->row * cols - at);
        add_slice(g, s, t, q, cols);
        at = (q->row + q->rows) * cols;
    }
    add_segment(s, t, d->param.role, NULL, at, weft_desc_count(d) - at);
}

/* Counts when the arrays are absent, fills them when they are there. */
static void walk(weft_graph *g, struct sweep *s) {
    s->segments = s->blocks = s->elements = 0;
    for (size_t t = 0; t < g->tensors; t++)
        if (g->tensor[t].kind == WEFT_PARAM && g->tensor[t].grad >= 0)
            add_param(g, s, (weft_tensor)t);
}

/* Is there a slice with parts? */
static bool has_parts(const weft_graph *g) {
    for (size_t t = 0; t < g->tensors; t++)
        for (size_t i = 0; g->tensor[t].kind == WEFT_PARAM && i < WEFT_SLICES; i++)
            if (g->tensor[t].param.slices[i].rows > 0 && g->tensor[t].param.slices[i].parts > 1)
                return true;
    return false;
}

/* Runs of blocks with at least TASK_ELEMENTS elements, so that many small parameters make one task.
 * Returns how many; fills them in when there is room. */
static size_t cut_tasks(const weft_graph *g, const struct sweep *s, struct task *out) {
    size_t tasks = 0, n = 0;
    for (size_t b = 0; b < s->blocks; b++) {
        const struct block *const k = &s->block[b];
        if (n == 0 && out != NULL)
            out[tasks] = (struct task){
                .first = b, .place = k->first * PLACES / weft_desc_count(weft_desc(g, k->param))};
        if (out != NULL) out[tasks].end = b + 1;
        n += k->n;
        if (n < TASK_ELEMENTS && b + 1 < s->blocks) continue;
        n = 0;
        tasks++;
    }
    return tasks;
}

/* The tasks in the order of their place in their parameter: a thread then gets about the same rows
 * of every one, those whose gradients it has made and whose products it makes, and has them in its
 * cache. */
static void order_tasks(weft_graph *g, struct sweep *s) {
    s->tasks = cut_tasks(g, s, NULL);
    struct task *const cut = weft_graph_alloc(g, (s->tasks + 1) * sizeof *cut);
    s->task = weft_graph_alloc(g, (s->tasks + 1) * sizeof *s->task);
    if (cut == NULL || s->task == NULL) return;
    cut_tasks(g, s, cut);
    size_t at[PLACES + 1] = {0};
    for (size_t i = 0; i < s->tasks; i++) at[cut[i].place + 1]++;
    for (size_t p = 1; p < PLACES; p++) at[p] += at[p - 1];
    for (size_t i = 0; i < s->tasks; i++) s->task[at[cut[i].place]++] = cut[i];
}

static struct sweep *sweep_create(weft_graph *g, bool parts) {
    struct sweep *const s = weft_graph_alloc(g, sizeof *s);
    if (s == NULL) return NULL;
    s->parts = parts;
    walk(g, s);
    struct segment *const segment = weft_graph_alloc(g, (s->segments + 1) * sizeof *segment);
    struct block *const block = weft_graph_alloc(g, (s->blocks + 1) * sizeof *block);
    s->segment = segment;
    s->block = block;
    if (segment == NULL || block == NULL) return NULL;
    walk(g, s);
    order_tasks(g, s);
    if (g->status != WEFT_OK) return NULL;
    if (s->blocks == 0)
        weft_graph_fail(g, WEFT_ERR_ARG, "no parameter has a gradient: nothing to train");
    return s;
}

/* Memory of the results: a state, because activations of another program would overwrite it. */
static weft_tensor doubles(weft_graph *g, const char *name, size_t n) {
    return weft_state(g, name, 1, 2 * n);
}

static float *grad_of(const struct weft_exec *x, const struct block *b) {
    return x_f32(x, x->g->tensor[b->param].grad) + b->first;
}

/* ---- grad_fold ---- */
static void fold_plan(struct weft_node *n) {
    const struct sweep *const s = n->plan;
    n->flops = (double)s->elements;
    n->bytes = 16.0 * (double)s->elements;
    weft_phase_add(n, s->tasks, weft_ns_bytes(n->bytes));
}

static void fold_run(const struct weft_exec *x, const struct weft_node *n, size_t phase,
                     size_t task, size_t thread) {
    (void)phase, (void)thread;
    const struct sweep *const s = n->plan;
    for (size_t i = s->task[task].first; i < s->task[task].end; i++) {
        const struct block *const b = &s->block[i];
        float *const grad = grad_of(x, b);
        float *const sum =
            (float *)(void *)(x->g->grad_sum + x->g->tensor[b->param].offset) + b->first;
        if (x->run->accumulate) x->k->add_f32(sum, grad, grad, b->n);
        memcpy(sum, grad, b->n * sizeof *sum);
    }
}

/* ---- gradnorm: out (1): norm, scale, nonfinite; (blocks): what each block reported; lars:
 * (blocks): sum w^2 ---- */
enum { MEASURE, RESULT };

static void norm_plan(struct weft_node *n) {
    const struct sweep *const s = ((const struct update *)n->plan)->norm;
    n->flops = 2.0 * (double)s->elements;
    n->bytes = 4.0 * (double)s->elements;
    weft_phase_add(n, s->tasks, 2 * weft_ns_bytes(n->bytes));
    weft_phase_add(n, 1, 2.0 * (double)s->blocks);
}

/* Trust of each parameter, from the blocks' sums in order. */
static void norm_trust(const struct weft_exec *x, const struct weft_node *n, double scale) {
    struct update *const u = n->plan;
    const struct weft_grad_stats *const part = x_ptr(x, n->out[1]);
    const double *const w2 = x_f64(x, n->out[2]);
    for (size_t b = 0; b < u->norm->blocks;) {
        const weft_tensor param = u->norm->block[b].param;
        double g = 0, w = 0;
        for (; b < u->norm->blocks && u->norm->block[b].param == param; b++) {
            g += part[b].sq;
            w += w2[b];
        }
        u->trust[param] = weft_optim_trust(&n->attr.optim, scale, weft_sqrt(w), weft_sqrt(g),
                                           weft_desc(x->g, param)->param.decay);
    }
}

static void norm_result(const struct weft_exec *x, const struct weft_node *n) {
    struct update *const u = n->plan;
    const struct weft_optim *const o = &n->attr.optim;
    const struct weft_grad_stats *const part = x_ptr(x, n->out[1]);
    const double clip = x->run->clip > 0 ? x->run->clip : o->clip;
    double sq = 0, bad = 0;
    for (size_t b = 0; b < u->norm->blocks; b++) {
        sq += part[b].sq;
        bad += part[b].nonfinite;
    }
    const double norm = weft_sqrt(sq);
    double scale = 1;
    if (clip > 0 && norm > clip)
        scale = clip / (norm + (WEFT_BUG(32) ? 0.01 : 1e-6)); /* PyTorch's 1e-6 */
    if (!isfinite(norm)) scale = 0;
    double *const out = x_f64(x, n->out[0]);
    out[0] = norm;
    out[1] = scale;
    out[2] = bad;
    u->lr = x->run->lr;
    u->scale = scale;
    for (int decay = 0; decay < 2; decay++)
        u->args[decay] =
            weft_optim_scalars(u->kind, o, x->run->lr, x->run->step, scale, decay != 0);
    if (u->kind->lars) norm_trust(x, n, scale);
}

static void norm_run(const struct weft_exec *x, const struct weft_node *n, size_t phase,
                     size_t task, size_t thread) {
    (void)thread;
    const struct update *const u = n->plan;
    const struct sweep *const s = u->norm;
    struct weft_grad_stats *const part = x_ptr(x, n->out[1]);
    if (phase == RESULT) {
        norm_result(x, n);
        return;
    }
    for (size_t i = s->task[task].first; i < s->task[task].end; i++) {
        const struct block *const b = &s->block[i];
        x->k->grad_stats_f32(grad_of(x, b), b->n, &part[i]);
        if (u->kind->lars)
            x->k->sumsq_f32(x_f32(x, b->param) + b->first, b->n, &x_f64(x, n->out[2])[i]);
    }
}

/* ---- optimizer: in the result of gradnorm; out (blocks): statistics ---- */
static void step_plan(struct weft_node *n) {
    const struct update *const u = n->plan;
    const struct sweep *const s = u->step;
    const double states = (double)weft_optim_states(u->kind->rule);
    n->flops = (4 + 6 * states) * (double)s->elements;
    n->bytes = (12 + 8 * states + (n->program->graph->half ? 2 : 0)) * (double)s->elements;
    weft_phase_add(n, s->tasks, weft_ns_bytes(n->bytes));
}

/* The step's scalars for one parameter. */
static struct weft_optim_args args_of(const struct update *u, const struct weft_node *n,
                                      const struct weft_tensor_desc *d, weft_tensor param) {
    struct weft_optim_args a = u->args[d->param.decay];
    if (!u->kind->lars) return a;
    const double decay = d->param.decay ? n->attr.optim.weight_decay : 0;
    a.clip = (float)(u->lr * u->scale * u->trust[param]);
    a.l2 = (float)(u->lr * decay * u->trust[param]);
    return a;
}

/* What a training in bf16 adds for a block. */
static void half_args(const struct weft_exec *x, const struct update *u, const struct block *b,
                      struct weft_optim_args *a) {
    const weft_graph *const g = x->g;
    const size_t at = g->tensor[b->param].offset, states = weft_optim_states(u->kind->rule);
    if (!g->half) return;
    a->copy = (uint16_t *)(void *)(g->copies + at / 2) + b->first;
    a->weights = u->weights;
    if (u->weights == WEFT_KAHAN) a->c = (float *)(void *)(g->optim[states] + at) + b->first;
    a->seed = x->run->seed;
    a->step = x->run->step;
    a->stream = (uint32_t)b->param;
    a->first = b->first;
}

static void step_run(const struct weft_exec *x, const struct weft_node *n, size_t phase,
                     size_t task, size_t thread) {
    (void)phase, (void)thread;
    const struct update *const u = n->plan;
    const struct sweep *const s = u->step;
    const weft_graph *const g = x->g;
    struct weft_optim_stats *const stats = x_ptr(x, n->out[0]);
    const bool finite = x_f64(x, n->in[0])[1] != 0;
    const size_t states = weft_optim_states(u->kind->rule);
    for (size_t i = s->task[task].first; finite && i < s->task[task].end; i++) {
        const struct block *const b = &s->block[i];
        const struct weft_tensor_desc *const d = &g->tensor[b->param];
        struct weft_optim_args a = args_of(u, n, d, b->param);
        a.n = b->n;
        a.w = x_f32(x, b->param) + b->first;
        a.g = grad_of(x, b);
        if (states > 0) a.m = (float *)(void *)(g->optim[0] + d->offset) + b->first;
        if (states > 1) a.v = (float *)(void *)(g->optim[1] + d->offset) + b->first;
        half_args(x, u, b, &a);
        a.stats = x->run->statistics ? &stats[i] : NULL;
        x->k->optim_f32(&a);
    }
}

const struct weft_op weft_op_grad_fold = {"grad_fold", fold_plan, fold_run, NULL};
const struct weft_op weft_op_gradnorm = {"gradnorm", norm_plan, norm_run, NULL};
const struct weft_op weft_op_optimizer = {"optimizer", step_plan, step_run, NULL};

/* ---- builders ---- */
static void add_node(weft_program *p, const struct weft_op *op, weft_tensor in,
                     const weft_tensor out[WEFT_NODE_OUT], const struct weft_attr *attr,
                     void *plan) {
    struct weft_node *const n = weft_node_add(p, op, WEFT_TENSORS(in), out, attr);
    if (n != NULL) n->plan = plan;
}

static bool sane(weft_graph *g, const struct weft_optim *o) {
    const bool ok = o->beta1 >= 0 && o->beta1 < 1 && o->beta2 >= 0 && o->beta2 < 1 && o->eps >= 0 &&
                    o->weight_decay >= 0 && o->clip >= 0 && o->agc >= 0 && o->trust >= 0;
    if (!ok)
        weft_graph_fail(g, WEFT_ERR_ARG,
                        "optimizer: beta1 %g, beta2 %g must be in [0, 1), eps %g, weight decay %g, "
                        "clip %g, agc %g and trust %g at least 0",
                        o->beta1, o->beta2, o->eps, o->weight_decay, o->clip, o->agc, o->trust);
    return ok;
}

static struct update *update_create(weft_graph *g, const struct weft_optim *optim) {
    struct update *const u = sane(g, optim) ? weft_graph_alloc(g, sizeof *u) : NULL;
    if (u == NULL) return NULL;
    u->norm = u->step = sweep_create(g, false);
    if (u->norm != NULL && has_parts(g)) u->step = sweep_create(g, true);
    u->trust = weft_graph_alloc(g, g->tensors * sizeof *u->trust);
    return g->status == WEFT_OK ? u : NULL;
}

void weft_optimizer(weft_program *p, const struct weft_optim *optim) {
    weft_graph *const g = p->graph;
    if (g->status != WEFT_OK) return;
    if (g->has_optimizer) {
        weft_graph_fail(g, WEFT_ERR_STATE, "the graph has an optimizer already");
        return;
    }
    const struct weft_optim_kind *const kind = weft_optim_find(optim->name);
    if (kind == NULL) {
        weft_graph_fail(g, WEFT_ERR_ARG, "unknown optimizer \"%s\"",
                        optim->name == NULL ? "" : optim->name);
        return;
    }
    struct update *const u = update_create(g, optim);
    if (u == NULL) return;
    u->kind = kind;
    g->has_optimizer = true;
    const int how = weft_weights_find(optim->weights);
    if (how < 0 || (how != WEFT_MASTER && !g->half)) {
        weft_graph_fail(g, WEFT_ERR_ARG,
                        "optimizer: weights \"%s\" must be master or, in bf16, nearest, stochastic "
                        "or kahan",
                        optim->weights);
        return;
    }
    u->weights = g->weights = (enum weft_weights)how;
    g->optim_states = weft_optim_states(kind->rule) + (how == WEFT_KAHAN ? 1 : 0);
    if (g->grad_groups == 1) weft_embedding_fold(p);
    const struct weft_attr attr = {.optim = *optim};
    const size_t blocks = u->norm->blocks;
    const weft_tensor result = doubles(g, "gradient norm", 3);
    const weft_tensor norms =
        doubles(g, "gradient statistics", blocks * sizeof(struct weft_grad_stats) / 8);
    const weft_tensor stats =
        doubles(g, "weight statistics", u->step->blocks * sizeof(struct weft_optim_stats) / 8);
    const weft_tensor weights = kind->lars ? doubles(g, "weight norms", blocks) : WEFT_NONE;
    if (optim->agc > 0) weft_agc(p, &attr);
    add_node(p, &weft_op_gradnorm, WEFT_NONE, WEFT_TENSORS(result, norms, weights), &attr, u);
    add_node(p, &weft_op_optimizer, result, WEFT_TENSORS(stats), &attr, u);
}

void weft_grad_fold(weft_program *p) {
    weft_graph *const g = p->graph;
    if (g->status != WEFT_OK) return;
    if (g->grad_groups < 2) {
        weft_graph_fail(g, WEFT_ERR_STATE, "grad_fold: the graph has no groups of micro-batches");
        return;
    }
    struct sweep *const s = sweep_create(g, false);
    if (s == NULL) return;
    weft_embedding_fold(p);
    add_node(p, &weft_op_grad_fold, WEFT_NONE, WEFT_TENSORS(WEFT_NONE), NULL, s);
}

/* ---- results ---- */
static const struct weft_node *find(const weft_program *p, const struct weft_op *op) {
    for (size_t i = 0; i < p->nodes; i++)
        if (p->node[i].op == op) return &p->node[i];
    return NULL;
}

void weft_optim_result(const weft_program *p, struct weft_optim_result *out) {
    const struct weft_node *const n = find(p, &weft_op_gradnorm);
    *out = (struct weft_optim_result){0};
    if (n == NULL) return;
    const double *const r = weft_desc(p->graph, n->out[0])->data;
    *out = (struct weft_optim_result){r[0], r[1], (uint64_t)r[2]};
}

/* NaN wins. */
static double larger(double a, double b) { return a > b || isnan(a) ? a : b; }

bool weft_optim_segment(const weft_program *p, size_t i, struct weft_segment_stats *out) {
    const struct weft_node *const step = find(p, &weft_op_optimizer);
    if (step == NULL) return false;
    const struct update *const u = step->plan;
    const struct sweep *const s = u->step;
    if (i >= s->segments) return false;
    const struct segment *const seg = &s->segment[i];
    const struct weft_tensor_desc *const d = weft_desc(p->graph, seg->param);
    const struct weft_optim_stats *const w = weft_desc(p->graph, step->out[0])->data;
    *out = (struct weft_segment_stats){.layer = d->layer,
                                       .tensor = seg->name,
                                       .whole = seg->whole,
                                       .matrix = d->param.shape[1] > 0,
                                       .half = p->graph->half,
                                       .decays = d->param.decay && u->kind->decoupled &&
                                                 step->attr.optim.weight_decay > 0,
                                       .count = seg->count};
    for (size_t b = seg->block0; b < seg->block0 + seg->blocks; b++) {
        out->w_sum += w[b].w;
        out->w_sumsq += w[b].w2;
        out->w_absmax = larger(w[b].w_max, out->w_absmax);
        out->g_sumsq += w[b].g2;
        out->g_absmax = larger(w[b].g_max, out->g_absmax);
        out->d_sumsq += w[b].dw2;
        out->wg_sum += w[b].wg;
        out->rate_sum += w[b].rate;
        out->moves += w[b].moves;
        out->lost += w[b].lost;
        out->decay_want += w[b].decay_want;
        out->decay_done += w[b].decay_done;
    }
    return true;
}

void weft_optim_join(struct weft_segment_stats *a, const struct weft_segment_stats *b) {
    a->count += b->count;
    a->w_sum += b->w_sum;
    a->w_sumsq += WEFT_BUG(88) ? a->w_sumsq : b->w_sumsq;
    a->w_absmax = larger(b->w_absmax, a->w_absmax);
    a->g_sumsq += b->g_sumsq;
    a->g_absmax = larger(b->g_absmax, a->g_absmax);
    a->d_sumsq += b->d_sumsq;
    a->wg_sum += b->wg_sum;
    a->rate_sum += b->rate_sum;
    a->moves += b->moves;
    a->lost += b->lost;
    a->decay_want += b->decay_want;
    a->decay_done += b->decay_done;
}
