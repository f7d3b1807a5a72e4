/* Multi-head attention over qkv (B, T, 3C), q | k | v side by side, heads side by side in each.
 *
 * Dropout of probabilities is a function of seed, step, sample, head, query and key
 * (kernels/attention.h): made again in the backward pass, never stored.
 *
 *   attention      in qkv                 out y (B, T, C), lse, row maxima, entropies (B, H, T)
 *   attention_bwd  in qkv, y, dy, lse     out dqkv
 *   attention_kv   in qkv, kcache, vcache out y: appends, then attends (generation)
 *
 * Forward tasks are ranges of 256 queries of a head; backward tasks whole heads, or, where there
 * are few heads, segments of 256 keys, whose shares of dq a second phase folds in order. */
#include "kernels/base/compiler.h"
#include "runtime/graph.h"
#include "runtime/memory.h"
#include "weft/math.h"

/* Where part (q, k or v) of a head begins in a row of qkv. */
static size_t head(size_t c, size_t hs, size_t part, size_t h) { return part * c + h * hs; }

static float scale_of(size_t hs) { return (float)(1.0 / weft_sqrt((double)hs)); }

static void plan_flops(struct weft_node *n, double model, double executed) {
    const struct weft_tensor_desc *const qkv = weft_node_in(n, 0);
    const double tokens = (double)weft_desc_rows(qkv), t = (double)qkv->shape[1];
    const double c = (double)(qkv->shape[2] / 3);
    n->model_flops = model * tokens * t * c;
    n->flops = executed * tokens * t * c;
    if (x_half(n)) n->bf16_flops = n->flops;
}

/* Of head h in sample b of the run. */
static struct weft_attn_drop drop_of(const struct weft_exec *x, const struct weft_node *n, size_t b,
                                     size_t h) {
    return (struct weft_attn_drop){.seed = x->run->seed,
                                   .step = x->run->step,
                                   .sample = x->run->sample + b,
                                   .stream = n->attr.stream + (uint32_t)h,
                                   .p = n->attr.prob};
}

/* ---- forward ---- */
static size_t ranges(size_t t) { return (t + WEFT_ATTN_ROWS - 1) / WEFT_ATTN_ROWS; }

static void forward_plan(struct weft_node *n) {
    const struct weft_tensor_desc *const qkv = weft_node_in(n, 0);
    const size_t hs = qkv->shape[2] / 3 / n->attr.heads;
    plan_flops(n, 2, 2);
    n->bytes = weft_node_bytes(n) * 4 / 3 * (double)weft_desc_count(qkv);
    n->local_bytes = weft_attn_fwd_scratch(hs) + (n->out[3] >= 0 ? weft_attn_entropy_scratch() : 0);
    weft_phase_add(n, qkv->shape[0] * n->attr.heads * ranges(qkv->shape[1]),
                   2 * weft_ns_flops(n->program->graph->ctx, n->flops) + weft_ns_bytes(n->bytes));
}

static void forward_run(const struct weft_exec *x, const struct weft_node *n, size_t phase,
                        size_t task, size_t thread) {
    (void)phase;
    const struct weft_tensor_desc *const d = weft_desc(x->g, n->in[0]);
    const size_t heads = n->attr.heads, t = d->shape[1], c = d->shape[2] / 3, hs = c / heads;
    const size_t bh = task / ranges(t), b = bh / heads, h = bh % heads;
    const size_t q0 = (ranges(t) - 1 - task % ranges(t)) * WEFT_ATTN_ROWS; /* the longest first */
    if (b >= x->rows) return;
    const size_t first = b * t * 3 * c;
    WEFT_PICK(x, n, attn_fwd)
    (&(struct weft_attn_fwd_args){
        .q = x_at(x, n->in[0], first + head(c, hs, 0, h)),
        .k = x_at(x, n->in[0], first + head(c, hs, 1, h)),
        .v = x_at(x, n->in[0], first + head(c, hs, 2, h)),
        .y = x_at(x, n->out[0], b * t * c + h * hs),
        .lse = x_f32(x, n->out[1]) + bh * t,
        .smax = x_f32(x, n->out[2]) + bh * t,
        .entropy = x_measures(x, n, 3) ? x_f32(x, n->out[3]) + bh * t : NULL,
        .scratch = x_local(x, thread),
        .t = t,
        .hs = hs,
        .ld = 3 * c,
        .ldy = c,
        .q0 = q0,
        .q1 = t - q0 < WEFT_ATTN_ROWS ? t : q0 + WEFT_ATTN_ROWS,
        .scale = scale_of(hs),
        .causal = true,
        .drop = drop_of(x, n, b, h),
    });
}

/* ---- backward ---- */
struct backward_plan {
    size_t segments;
    bool split; /* a task is one segment */
    bool apart; /* dq of segment 0 has a place of its own too: bf16, where sums are rounded last */
};

/* Shares of dq that a head keeps until they are summed. */
static size_t shares_of(const struct backward_plan *p) {
    return p->segments - 1 + (p->apart ? 1 : 0);
}

static void backward_plan(struct weft_node *n) {
    struct backward_plan *const plan = weft_plan_alloc(n, sizeof *plan);
    if (plan == NULL) return;
    const struct weft_tensor_desc *const qkv = weft_node_in(n, 0);
    const size_t t = qkv->shape[1], c = qkv->shape[2] / 3, hs = c / n->attr.heads;
    const size_t all = qkv->shape[0] * n->attr.heads;
    n->plan = plan;
    plan->segments = weft_attn_segments(t);
    plan->split = plan->segments > 1 && all < 3 * n->program->graph->ctx->threads;
    plan->apart = x_half(n);
    plan_flops(n, 4, 5);
    n->bytes = weft_node_bytes(n) * 8 / 3 * (double)weft_desc_count(qkv);
    n->local_bytes = weft_attn_bwd_scratch(hs);
    if (plan->apart && !plan->split) n->local_bytes += t * hs * sizeof(float);
    const double ns = 2 * weft_ns_flops(n->program->graph->ctx, n->flops) + weft_ns_bytes(n->bytes);
    weft_phase_add(n, all * (plan->split ? plan->segments : 1), ns);
    if (!plan->split) return;
    n->shared_bytes = all * shares_of(plan) * t * hs * sizeof(float);
    weft_phase_add(n, all * plan->segments, weft_ns_bytes((double)n->shared_bytes));
}

struct view { /* where a head's operands are */
    size_t t, c, hs, b, h, bh;
    size_t qkv; /* the sample's first element */
};

static struct view view_of(const struct weft_exec *x, const struct weft_node *n, size_t bh) {
    const struct weft_tensor_desc *const d = weft_desc(x->g, n->in[0]);
    const size_t t = d->shape[1], c = d->shape[2] / 3, b = bh / n->attr.heads;
    return (struct view){.t = t,
                         .c = c,
                         .hs = c / n->attr.heads,
                         .b = b,
                         .h = bh % n->attr.heads,
                         .bh = bh,
                         .qkv = b * t * 3 * c};
}

/* Part (q, k or v) of a head in qkv or its gradient. */
static void *part_of(const struct weft_exec *x, weft_tensor t, const struct view *v, size_t part) {
    return x_at(x, t, v->qkv + head(v->c, v->hs, part, v->h));
}

static void backward_segment(const struct weft_exec *x, const struct weft_node *n, struct view v,
                             size_t seg, float *dq, size_t lddq, bool dq_add, size_t thread) {
    const size_t at = v.b * v.t * v.c + v.h * v.hs;
    WEFT_PICK(x, n, attn_bwd)
    (&(struct weft_attn_bwd_args){
        .q = part_of(x, n->in[0], &v, 0),
        .k = part_of(x, n->in[0], &v, 1),
        .v = part_of(x, n->in[0], &v, 2),
        .y = x_at(x, n->in[1], at),
        .dy = x_at(x, n->in[2], at),
        .lse = x_f32(x, n->in[3]) + v.bh * v.t,
        .dq = dq,
        .dk = part_of(x, n->out[0], &v, 1),
        .dv = part_of(x, n->out[0], &v, 2),
        .scratch = x_local(x, thread),
        .t = v.t,
        .hs = v.hs,
        .ld = 3 * v.c,
        .ldy = v.c,
        .lddq = lddq,
        .ldd = 3 * v.c,
        .seg = seg,
        .scale = scale_of(v.hs),
        .causal = true,
        .dq_add = dq_add,
        .drop = drop_of(x, n, v.b, v.h),
    });
}

/* Rows [r0, r1) of dq: the sum of its shares. */
static void fold_dq(const struct weft_exec *x, const struct weft_node *n, const struct view *v,
                    const float *first, const float *part, size_t r0, size_t r1) {
    WEFT_PICK(x, n, attn_dq_fold)
    (&(struct weft_attn_fold_args){.part = part,
                                   .first = first,
                                   .dq = part_of(x, n->out[0], v, 0),
                                   .t = v->t,
                                   .hs = v->hs,
                                   .lddq = 3 * v->c,
                                   .r0 = r0,
                                   .r1 = r1,
                                   .causal = true});
}

/* All segments of a head, one after the other. */
static void backward_head(const struct weft_exec *x, const struct weft_node *n,
                          const struct backward_plan *plan, struct view v, size_t thread) {
    unsigned char *const behind = (unsigned char *)x_local(x, thread) + weft_attn_bwd_scratch(v.hs);
    float *const dq = plan->apart ? (float *)(void *)behind : part_of(x, n->out[0], &v, 0);
    const size_t lddq = plan->apart ? v.hs : 3 * v.c;
    for (size_t seg = 0; seg < plan->segments; seg++)
        backward_segment(x, n, v, seg, dq, lddq, seg > 0, thread);
    if (plan->apart) fold_dq(x, n, &v, dq, NULL, 0, v.t);
}

static void backward_run(const struct weft_exec *x, const struct weft_node *n, size_t phase,
                         size_t task, size_t thread) {
    const struct backward_plan *const plan = n->plan;
    const size_t per_head = plan->split ? plan->segments : 1;
    const struct view v = view_of(x, n, task / per_head);
    if (v.b >= x->rows) return;
    if (!plan->split) {
        backward_head(x, n, plan, v, thread);
        return;
    }
    const size_t seg = task % per_head, share = v.t * v.hs;
    float *const mine = (float *)x_shared(x, n) + v.bh * shares_of(plan) * share;
    float *const first = plan->apart ? mine : NULL, *const part = plan->apart ? mine + share : mine;
    if (phase == 1) {
        size_t r0, r1;
        weft_split(v.t, 1, plan->segments, seg, &r0, &r1);
        fold_dq(x, n, &v, first, part, r0, r1);
    } else if (seg > 0) {
        backward_segment(x, n, v, seg, part + (seg - 1) * share, v.hs, false, thread);
    } else if (plan->apart) {
        backward_segment(x, n, v, seg, first, v.hs, false, thread);
    } else {
        backward_segment(x, n, v, seg, part_of(x, n->out[0], &v, 0), 3 * v.c, false, thread);
    }
}

static void append_backward(struct weft_backward *b, size_t node) {
    const struct weft_node n = b->p->node[node];
    const weft_tensor dy = weft_grad_get(b, n.out[0]);
    bool accumulate;
    const weft_tensor dqkv = weft_grad_dst(b, n.in[0], &accumulate);
    if (dqkv == WEFT_NONE) return;
    const weft_tensor out = accumulate ? weft_act_like(b->p, n.in[0]) : dqkv;
    weft_node_add(b->p, &weft_op_attention_bwd, WEFT_TENSORS(n.in[0], n.out[0], dy, n.out[1]),
                  WEFT_TENSORS(out), &n.attr);
    if (accumulate)
        weft_node_add(b->p, &weft_op_add, WEFT_TENSORS(dqkv, out), WEFT_TENSORS(dqkv), NULL);
}

/* ---- generation: a task is a head of a row, and does the rows of its sequence that follow ---- */
static void kv_plan(struct weft_node *n) {
    const struct weft_tensor_desc *const qkv = weft_node_in(n, 0);
    const size_t rows = weft_desc_rows(qkv), c = qkv->shape[2] / 3, hs = c / n->attr.heads;
    n->model_flops = n->flops = 4.0 * (double)(rows * c * n->attr.max_context) / 2;
    const bool half = weft_node_in(n, 1)->dtype == WEFT_BF16;
    if (half) n->bf16_flops = n->flops;
    n->bytes = (half ? 4.0 : 8.0) * (double)(c * n->attr.max_context) / 2;
    n->local_bytes = weft_attn_fwd_scratch(hs);
    weft_phase_add(n, rows * n->attr.heads,
                   weft_ns_flops(n->program->graph->ctx, n->flops) + weft_ns_bytes(n->bytes));
}

/* Rows from r on that continue its sequence; 0 when r itself continues that of the row before. */
static size_t run_length(const struct weft_run *run, size_t r, size_t rows) {
    if (run->place == NULL) return r == 0 ? rows : 0;
    const size_t sequence = run->place[r].sequence;
    if (r > 0 && run->place[r - 1].sequence == sequence) return 0;
    size_t n = 1;
    while (r + n < rows && run->place[r + n].sequence == sequence) n++;
    return n;
}

static void kv_run(const struct weft_exec *x, const struct weft_node *n, size_t phase, size_t task,
                   size_t thread) {
    (void)phase;
    const size_t rows = x_rows(x, n->in[0]), c = x_cols(x, n->in[0]) / 3, hs = c / n->attr.heads;
    const size_t r = task / n->attr.heads, h = task % n->attr.heads;
    const size_t live = r < rows ? run_length(x->run, r, rows) : 0;
    if (live == 0) return;
    const struct weft_place none = {.pos = x->run->pos};
    const struct weft_place at = x->run->place == NULL ? none : x->run->place[r];
    const float *const q = x_f32(x, n->in[0]) + r * 3 * c + head(c, hs, 0, h);
    const size_t part = WEFT_BUG(50) ? 0 : at.sequence;
    const size_t cache = (part * n->attr.heads + h) * x_cols(x, n->in[1]);
    const bool half = weft_desc(x->g, n->in[1])->dtype == WEFT_BF16;
    void *const kcache = x_at(x, n->in[1], cache), *const vcache = x_at(x, n->in[2], cache);
    const struct weft_attn_append_args append = {.k = q + c,
                                                 .v = q + 2 * c,
                                                 .kcache = kcache,
                                                 .vcache = vcache,
                                                 .n = live,
                                                 .hs = hs,
                                                 .ld = 3 * c,
                                                 .pos = at.pos};
    const struct weft_attn_kv_args attend = {.q = q,
                                             .kcache = kcache,
                                             .vcache = vcache,
                                             .y = x_f32(x, n->out[0]) + r * c + h * hs,
                                             .scratch = x_local(x, thread),
                                             .n = live,
                                             .hs = hs,
                                             .ld = 3 * c,
                                             .ldy = c,
                                             .pos = at.pos,
                                             .scale = scale_of(hs)};
    (half ? x->k->attn_kv_append_bf16 : x->k->attn_kv_append_f32)(&append);
    (half ? x->k->attn_kv_bf16 : x->k->attn_kv_f32)(&attend);
}

const struct weft_op weft_op_attention = {"attention", forward_plan, forward_run, append_backward};
const struct weft_op weft_op_attention_bwd = {"attention_bwd", backward_plan, backward_run, NULL};
const struct weft_op weft_op_attention_kv = {"attention_kv", kv_plan, kv_run, NULL};

/* ---- builders ---- */
static bool check_heads(weft_program *p, weft_tensor qkv, size_t heads) {
    weft_graph *const g = p->graph;
    const size_t cols = weft_desc_cols(weft_desc(g, qkv));
    if (heads > 0 && cols > 0 && cols % (3 * heads) == 0 && cols / 3 / heads <= WEFT_ATTN_MAX_HS)
        return true;
    weft_graph_fail(g, WEFT_ERR_SHAPE,
                    "attention: %zu heads do not fit qkv %s: its width must be 3 x heads x head "
                    "size, head size at most %d",
                    heads, weft_shape_text(g, qkv), WEFT_ATTN_MAX_HS);
    return false;
}

weft_tensor weft_attention(weft_program *p, weft_tensor qkv, size_t heads, float prob) {
    weft_graph *const g = p->graph;
    if (!weft_stored(p, "attention", &qkv) || !check_heads(p, qkv, heads)) return WEFT_NONE;
    if (!(prob >= 0 && prob < 1))
        return weft_graph_fail(g, WEFT_ERR_ARG, "attention: probability %g must be in [0, 1)",
                               (double)prob);
    const struct weft_tensor_desc d = *weft_desc(g, qkv);
    const weft_tensor y = weft_act_tensor(p, p->storage, d.shape[0], d.shape[1], d.shape[2] / 3);
    const weft_tensor lse = weft_act_tensor(p, WEFT_F32, d.shape[0], heads, d.shape[1]);
    const weft_tensor smax = weft_act_tensor(p, WEFT_F32, d.shape[0], heads, d.shape[1]);
    const struct weft_attr attr = {.heads = heads, .prob = prob, .stream = g->streams};
    if (prob > 0) g->streams += (uint32_t)heads;
    weft_node_add(p, &weft_op_attention, WEFT_TENSORS(qkv), WEFT_TENSORS(y, lse, smax), &attr);
    return y;
}

static size_t cache_positions(size_t max_context) {
    return (max_context + WEFT_ATTN_BLOCK - 1) / WEFT_ATTN_BLOCK * WEFT_ATTN_BLOCK;
}

weft_tensor weft_kv_cache(weft_graph *g, size_t sequences, size_t heads, size_t head_size,
                          size_t max_context) {
    size_t rows;
    if (!weft_mul(sequences, heads, &rows))
        return weft_graph_fail(g, WEFT_ERR_SHAPE, "kv_cache: %zu sequences x %zu heads overflow",
                               sequences, heads);
    return weft_state(g, "kv_cache", rows,
                      weft_attn_kv_floats(head_size, cache_positions(max_context)));
}

weft_tensor weft_kv_cache_bf16(weft_graph *g, size_t sequences, size_t heads, size_t head_size,
                               size_t max_context) {
    const weft_tensor t = weft_kv_cache(g, sequences, heads, head_size, max_context);
    if (t >= 0) g->tensor[t].dtype = WEFT_BF16;
    return t;
}

weft_tensor weft_attention_kv(weft_program *p, weft_tensor qkv, weft_tensor kcache,
                              weft_tensor vcache, size_t heads, size_t max_context) {
    weft_graph *const g = p->graph;
    if (!weft_operand(p, "attention_kv", qkv, WEFT_F32) || !check_heads(p, qkv, heads))
        return WEFT_NONE;
    const struct weft_tensor_desc d = *weft_desc(g, qkv);
    const size_t hs = d.shape[2] / 3 / heads;
    const size_t need = weft_attn_kv_floats(hs, cache_positions(max_context));
    const weft_tensor cache[2] = {kcache, vcache};
    for (size_t i = 0; i < 2; i++) {
        const bool half = weft_desc(g, kcache)->dtype == WEFT_BF16;
        if (!weft_operand(p, "attention_kv", cache[i], half ? WEFT_BF16 : WEFT_F32))
            return WEFT_NONE;
        const struct weft_tensor_desc *const c = weft_desc(g, cache[i]);
        if (c->shape[0] == 0 || c->shape[0] % heads != 0 || c->shape[2] != need ||
            c->shape[0] != weft_desc(g, kcache)->shape[0])
            return weft_graph_fail(g, WEFT_ERR_SHAPE,
                                   "attention_kv: cache %s does not fit %zu heads and context %zu",
                                   weft_shape_text(g, cache[i]), heads, max_context);
    }
    const weft_tensor y = weft_act_tensor(p, WEFT_F32, d.shape[0], d.shape[1], d.shape[2] / 3);
    const struct weft_attr attr = {.heads = heads,
                                   .max_context = max_context,
                                   .sequences = weft_desc(g, kcache)->shape[0] / heads};
    weft_node_add(p, &weft_op_attention_kv, WEFT_TENSORS(qkv, kcache, vcache), WEFT_TENSORS(y),
                  &attr);
    return y;
}
