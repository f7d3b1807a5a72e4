/* Token and position embeddings.
 *
 *   embedding       in tokens, wte, wpe      out y
 *   embedding_dw    in dy, tokens            out dwte or its buffer, dwpe
 *   embedding_fold  in the buffer            out dwte
 *
 * attr.max_context: generation, a row's position is that of its place; else each sample starts
 * anew.
 *
 * A vocabulary row's gradient is one sum over its positions, ascending, added once to what the head
 * may have left there. Over several micro-batches that sum is a chain in a buffer of its own, which
 * embedding_fold adds before the update: the same bits as one large batch. */
#include <string.h>

#include "kernels/base/compiler.h"
#include "runtime/graph.h"
#include "runtime/optim.h"

#define FORWARD_ROWS  16    /* of a task */
#define GRAD_COLS     128   /* columns of the table of a task */
#define POSITION_ROWS 64    /* of a task */
#define FOLD_COUNT    16384 /* elements of a task */

static size_t ceil_div(size_t n, size_t unit) { return (n + unit - 1) / unit; }
static size_t min(size_t a, size_t b) { return a < b ? a : b; }

/* ---- forward ---- */
static void forward_plan(struct weft_node *n) {
    const struct weft_tensor_desc *const y = weft_node_out(n, 0);
    n->bytes = 3 * weft_node_bytes(n) * (double)weft_desc_count(y);
    n->model_flops = n->flops = (double)weft_desc_count(y);
    weft_phase_add(n, ceil_div(weft_desc_rows(y), FORWARD_ROWS), weft_ns_bytes(n->bytes));
}

/* Rows of a compact table: its weights of that token, then the position's added as embed_fwd does.
 */
static void forward_compact(const struct weft_exec *x, const struct weft_node *n,
                            const struct weft_embed_args *a, enum weft_format format) {
    for (size_t i = 0; i < a->rows; i++) {
        float *const out = (float *)a->out + i * a->c;
        x->k->compact_output_f32(format, a->wte, a->c, (size_t)a->token[i], out);
        if (n->in[2] < 0) continue;
        const size_t pos = a->pos0 + (a->row0 + i) % a->t;
        x->k->add_f32(out, (const float *)a->wpe + pos * a->c, out, a->c);
    }
}

static void forward_rows(const struct weft_exec *x, const struct weft_node *n,
                         const struct weft_embed_args *a) {
    const struct weft_tensor_desc *const wte = weft_desc(x->g, n->in[1]);
    if (wte->dtype == WEFT_COMPACT)
        forward_compact(x, n, a, wte->format);
    else
        WEFT_PICK(x, n, embed_fwd)(a);
}

static void forward_run(const struct weft_exec *x, const struct weft_node *n, size_t phase,
                        size_t task, size_t thread) {
    (void)phase, (void)thread;
    const size_t rows = x_rows(x, n->out[0]), c = x_cols(x, n->out[0]);
    size_t r = task * FORWARD_ROWS;
    if (r >= rows) return;
    struct weft_embed_args a = {
        .rows = min(rows - r, FORWARD_ROWS),
        .c = c,
        .token = x_i32(x, n->in[0]) + r,
        .wte = x_weight(x, n, n->in[1]),
        .wpe = x_weight(x, n, n->in[2]),
        .t = n->attr.max_context ? x->batch : x->g->tensor[n->out[0]].shape[1],
        .pos0 = x->run->pos,
        .row0 = r,
        .out = x_at(x, n->out[0], r * c),
    };
    const bool scattered = n->attr.max_context && x->run->place != NULL;
    for (const size_t end = r + a.rows; scattered && r < end; r++) {
        a.rows = 1;
        a.row0 = 0;
        a.pos0 = x->run->place[WEFT_BUG(51) ? 0 : r].pos;
        a.out = x_at(x, n->out[0], r * c);
        forward_rows(x, n, &a);
        a.token++;
    }
    if (!scattered) forward_rows(x, n, &a);
}

/* ---- gradient: positions are listed by token; threads own columns of wte and rows of wpe ---- */
struct grad_plan {
    size_t table_tasks, position_tasks;
};

static void grad_plan(struct weft_node *n) {
    struct grad_plan *const plan = weft_plan_alloc(n, sizeof *plan);
    if (plan == NULL) return;
    const struct weft_tensor_desc *const dy = weft_node_in(n, 0);
    const struct weft_tensor_desc *const dwte = weft_node_out(n, 0);
    const size_t rows = weft_desc_rows(dy);
    plan->table_tasks = n->out[0] < 0 ? 0 : ceil_div(dy->shape[2], GRAD_COLS);
    plan->position_tasks =
        n->out[1] < 0 ? 0 : ceil_div(weft_node_out(n, 1)->shape[0], POSITION_ROWS);
    n->plan = plan;
    n->shared_bytes = (3 * rows + 2) * sizeof(uint32_t);
    n->model_flops = n->flops = 2.0 * (double)weft_desc_count(dy);
    n->bytes = 16.0 * (double)weft_desc_count(dy);
    const double zeros = plan->table_tasks > 0 ? 4.0 * (double)weft_desc_count(dwte) : 0;
    weft_phase_add(n, 1, 8.0 * (double)rows);
    weft_phase_add(n, plan->table_tasks + plan->position_tasks, weft_ns_bytes(n->bytes + zeros));
}

/* order (rows) | start (rows + 1) | count (1) | scratch of the sort (rows) */
static struct weft_embed_index index_of(const struct weft_exec *x, const struct weft_node *n,
                                        size_t rows) {
    uint32_t *const at = x_shared(x, n);
    return (struct weft_embed_index){at, at + rows, at + 2 * rows + 1};
}

static void table_columns(const struct weft_exec *x, const struct weft_node *n, size_t task) {
    const size_t c = x_cols(x, n->in[0]), j = task * GRAD_COLS;
    const struct weft_tensor_desc *const dw = weft_desc(x->g, n->out[0]);
    const bool buffer = dw->kind == WEFT_STATE; /* the sum over the micro-batches */
    const bool add = buffer ? x->run->accumulate : x_accumulate(x, n, 0);
    WEFT_PICK(x, n, embed_grad)
    (&(struct weft_embed_grad_args){
        .mode = !add     ? WEFT_EMBED_SET
                : buffer ? WEFT_EMBED_CHAIN
                         : WEFT_EMBED_ADD,
        .c = min(c - j, GRAD_COLS),
        .ld = c,
        .vocab = dw->shape[0],
        .token = x_i32(x, n->in[1]),
        .index = index_of(x, n, x_rows(x, n->in[0])),
        .dy = x_at(x, n->in[0], j),
        .dwte = x_f32(x, n->out[0]) + j,
    });
}

/* Rows [lo, hi) of dwpe; those outside of this run's positions get a sum of nothing. */
static void position_rows(const struct weft_exec *x, const struct weft_node *n, size_t task) {
    const struct weft_tensor_desc *const dy = weft_desc(x->g, n->in[0]);
    const size_t c = dy->shape[2], t = dy->shape[1], batch = x_samples(x, n->in[0]);
    const size_t all = weft_desc(x->g, n->out[1])->shape[0], first = x->run->pos;
    const size_t lo = task * POSITION_ROWS, hi = min(all, lo + POSITION_ROWS);
    const size_t from = min(hi, first > lo ? first : lo);
    const size_t to = min(hi, first + t > from ? first + t : from);
    float *const dw = x_f32(x, n->out[1]);
    const bool add = x_accumulate(x, n, 1);
    x->k->fold_rows_f32(NULL, 0, 0, dw + lo * c, (from - lo) * c, add);
    if (to > from) WEFT_PICK(x, n, fold_rows)
    (x_at(x, n->in[0], (from - first) * c), batch, t * c, dw + from * c, (to - from) * c, add);
    x->k->fold_rows_f32(NULL, 0, 0, dw + to * c, (hi - to) * c, add);
}

static void grad_run(const struct weft_exec *x, const struct weft_node *n, size_t phase,
                     size_t task, size_t thread) {
    (void)thread;
    const struct grad_plan *const plan = n->plan;
    if (phase == 0) {
        const size_t rows = x_rows(x, n->in[0]);
        const struct weft_embed_index index = index_of(x, n, rows);
        x->k->embed_sort(x_i32(x, n->in[1]), rows, index.count + 1, &index);
    } else if (task < plan->table_tasks) {
        table_columns(x, n, task);
    } else {
        position_rows(x, n, task - plan->table_tasks);
    }
}

/* ---- the buffer of several micro-batches ---- */
static void fold_plan(struct weft_node *n) {
    const size_t count = weft_desc_count(weft_node_in(n, 0));
    n->flops = (double)count;
    n->bytes = 12.0 * (double)count;
    weft_phase_add(n, ceil_div(count, FOLD_COUNT), weft_ns_bytes(n->bytes));
}

static void fold_run(const struct weft_exec *x, const struct weft_node *n, size_t phase,
                     size_t task, size_t thread) {
    (void)phase, (void)thread;
    const size_t count = weft_desc_count(weft_desc(x->g, n->in[0])), i = task * FOLD_COUNT;
    const float *const sum = x_f32(x, n->in[0]) + i;
    float *const dw = x_f32(x, n->out[0]) + i;
    if (n->attr.accumulate & 1)
        x->k->add_f32(dw, sum, dw, min(count - i, FOLD_COUNT));
    else
        memcpy(dw, sum, min(count - i, FOLD_COUNT) * sizeof *dw);
}

/* Where the gradient of wte goes: the buffer, remembered for weft_embedding_fold. */
static weft_tensor buffer_for(weft_program *p, weft_tensor wte, bool set) {
    weft_graph *const g = p->graph;
    const struct weft_tensor_desc *const d = weft_desc(g, wte);
    if (g->embed_folds == sizeof g->embed_fold / sizeof *g->embed_fold)
        return weft_graph_fail(g, WEFT_ERR_ARG, "embedding: more than %zu token tables",
                               g->embed_folds);
    const weft_tensor sum = weft_state(g, "embedding gradient", d->shape[0], d->shape[2]);
    g->embed_fold[g->embed_folds++] = (struct weft_embed_fold){wte, sum, set};
    return sum;
}

static void append_backward(struct weft_backward *b, size_t node) {
    const struct weft_node n = b->p->node[node];
    const weft_tensor dy = weft_grad_get(b, n.out[0]);
    bool add_wte, add_wpe;
    weft_tensor dwte = weft_grad_dst(b, n.in[1], &add_wte);
    const weft_tensor dwpe = weft_grad_dst(b, n.in[2], &add_wpe);
    if (dwte >= 0 && b->p->graph->micro_batches > 1) dwte = buffer_for(b->p, n.in[1], !add_wte);
    const struct weft_attr attr = {.accumulate = (unsigned)add_wte | (unsigned)add_wpe << 1};
    weft_node_add(b->p, &weft_op_embedding_dw, WEFT_TENSORS(dy, n.in[0]), WEFT_TENSORS(dwte, dwpe),
                  &attr);
}

const struct weft_op weft_op_embedding = {"embedding", forward_plan, forward_run, append_backward};
const struct weft_op weft_op_embedding_dw = {"embedding_dw", grad_plan, grad_run, NULL};
const struct weft_op weft_op_embedding_fold = {"embedding_fold", fold_plan, fold_run, NULL};

/* ---- builders ---- */
static weft_tensor build(weft_program *p, weft_tensor tokens, weft_tensor wte, weft_tensor wpe,
                         bool sequence) {
    weft_graph *const g = p->graph;
    if (!weft_operand(p, "embedding", tokens, WEFT_I32) || !weft_weight(p, "embedding", wte) ||
        (wpe != WEFT_NONE && !weft_weight(p, "embedding", wpe)))
        return WEFT_NONE;
    const struct weft_tensor_desc t = *weft_desc(g, tokens), w = *weft_desc(g, wte);
    const struct weft_tensor_desc pos = *weft_desc(g, wpe);
    if (wpe >= 0 && (pos.shape[2] != w.shape[2] || pos.shape[0] < t.shape[2]))
        return weft_graph_fail(
            g, WEFT_ERR_SHAPE, "embedding: positions %s do not fit tokens %s and table %s",
            weft_shape_text(g, wpe), weft_shape_text(g, tokens), weft_shape_text(g, wte));
    const weft_tensor y = weft_act_tensor(p, p->storage, t.shape[0], t.shape[2], w.shape[2]);
    const struct weft_attr attr = {.max_context = sequence ? pos.shape[0] : 0};
    weft_indices(p, tokens, w.shape[0], false);
    if (wpe >= 0 && !sequence && pos.shape[0] - t.shape[2] < p->last_start)
        p->last_start = pos.shape[0] - t.shape[2];
    weft_node_add(p, &weft_op_embedding, WEFT_TENSORS(tokens, wte, wpe), WEFT_TENSORS(y), &attr);
    return y;
}

weft_tensor weft_embedding(weft_program *p, weft_tensor tokens, weft_tensor wte, weft_tensor wpe) {
    return build(p, tokens, wte, wpe, false);
}

weft_tensor weft_embedding_kv(weft_program *p, weft_tensor tokens, weft_tensor wte,
                              weft_tensor wpe) {
    return build(p, tokens, wte, wpe, true);
}

void weft_embedding_fold(weft_program *p) {
    const weft_graph *const g = p->graph;
    for (size_t i = 0; i < g->embed_folds; i++) {
        const struct weft_embed_fold *const f = &g->embed_fold[i];
        const struct weft_attr attr = {.accumulate = !f->set};
        weft_node_add(p, &weft_op_embedding_fold, WEFT_TENSORS(f->sum),
                      WEFT_TENSORS(weft_desc(g, f->wte)->grad), &attr);
    }
}
