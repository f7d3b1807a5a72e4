/* Elementwise ops.
 *
 *   activation      in z               out y = act(z)
 *   activation_bwd  in z, dy           out dx = dy act'(z), sums of dx^2 (probe.c)
 *   add             in a, b            out a + b (may be a or b)
 *   gain            in f, gain, r      out r + gain f, gain learned: one scalar, or one for each of
 *                                      equal groups of columns
 *   gain_bwd        in f, gain, dy     out df = gain dy, dgain = sum f dy
 *
 * The gain is that of ReZero (Bachlechner et al. 2020).
 *
 * A task takes 64 rows; the gradient of the gain is folded over those blocks in order, each sum
 * rounded to f32, so that it continues where an earlier micro-batch stopped. */
#include "runtime/graph.h"
#include "runtime/op_names.h"

#define BLOCK_ROWS 64

static size_t blocks_of(size_t rows) { return (rows + BLOCK_ROWS - 1) / BLOCK_ROWS; }

/* Elements [*at, *at + n) of a tensor that block `task` of x's live rows covers; n may be 0. */
static size_t block(const struct weft_exec *x, weft_tensor t, size_t task, size_t *at) {
    const size_t rows = x_rows(x, t), cols = x_cols(x, t), r = task * BLOCK_ROWS;
    *at = r * cols;
    return r >= rows ? 0 : (rows - r < BLOCK_ROWS ? rows - r : BLOCK_ROWS) * cols;
}

static void plan_blocks(struct weft_node *n, double streams, double flops) {
    const struct weft_tensor_desc *const d = weft_node_in(n, 0);
    n->flops = n->model_flops = flops * (double)weft_desc_count(d);
    n->bytes = weft_node_bytes(n) * streams * (double)weft_desc_count(d);
    weft_phase_add(n, blocks_of(weft_desc_rows(d)), weft_ns_bytes(n->bytes) + n->flops / 20);
}

/* ---- activation ---- */
static void act_plan(struct weft_node *n) { plan_blocks(n, 2, 10); }
static void act_bwd_plan(struct weft_node *n) { plan_blocks(n, 3, 15); }

static void act_run(const struct weft_exec *x, const struct weft_node *n, size_t phase, size_t task,
                    size_t thread) {
    (void)phase, (void)thread;
    size_t at;
    struct weft_act_args a = {.act = (enum weft_act)n->attr.act, .slope = WEFT_LEAKY_SLOPE};
    a.n = block(x, n->in[0], task, &at);
    a.z = x_at(x, n->in[0], at);
    a.y = x_at(x, n->out[0], at);
    WEFT_PICK(x, n, act_fwd)(&a);
}

static void act_bwd_run(const struct weft_exec *x, const struct weft_node *n, size_t phase,
                        size_t task, size_t thread) {
    (void)phase, (void)thread;
    size_t at;
    struct weft_act_args a = {.act = (enum weft_act)n->attr.act, .slope = WEFT_LEAKY_SLOPE};
    a.n = block(x, n->in[0], task, &at);
    a.z = x_at(x, n->in[0], at);
    a.dy = x_at(x, n->in[1], at);
    a.dx = x_at(x, n->out[0], at);
    a.accumulate = x_accumulate(x, n, 0);
    if (x_measures(x, n, 1)) {
        a.sumsq = x_f64(x, n->out[1]) + task;
        *a.sumsq = 0;
    }
    if (a.n > 0) WEFT_PICK(x, n, act_bwd)(&a);
}

static void act_backward(struct weft_backward *b, size_t node) {
    const struct weft_node n = b->p->node[node];
    const weft_tensor dy = weft_grad_get(b, n.out[0]);
    bool add;
    const weft_tensor dx = weft_grad_dst(b, n.in[0], &add);
    if (dx == WEFT_NONE) return;
    const struct weft_attr attr = {.act = n.attr.act, .accumulate = add};
    weft_node_add(b->p, &weft_op_activation_bwd, WEFT_TENSORS(n.in[0], dy), WEFT_TENSORS(dx),
                  &attr);
}

/* ---- add ---- */
static void add_plan(struct weft_node *n) { plan_blocks(n, 3, 1); }

static void add_run(const struct weft_exec *x, const struct weft_node *n, size_t phase, size_t task,
                    size_t thread) {
    (void)phase, (void)thread;
    size_t at;
    const size_t count = block(x, n->out[0], task, &at);
    WEFT_PICK(x, n, add)
    (x_at(x, n->in[0], at), x_at(x, n->in[1], at), x_at(x, n->out[0], at), count);
}

/* Both terms get dy: one shares its memory, the other adds it to what it has or takes a copy. */
static void add_backward(struct weft_backward *b, size_t node) {
    const struct weft_node n = b->p->node[node];
    const weft_tensor dy = weft_grad_get(b, n.out[0]);
    bool add;
    const weft_tensor da = weft_grad_dst(b, n.in[0], &add);
    if (da != WEFT_NONE && add)
        weft_node_add(b->p, &weft_op_add, WEFT_TENSORS(da, dy), WEFT_TENSORS(da), NULL);
    else if (da != WEFT_NONE)
        weft_node_add(b->p, &weft_op_activation, WEFT_TENSORS(dy), WEFT_TENSORS(da), NULL);
    weft_grad_alias(b, n.in[1], dy);
}

/* ---- gain ---- */
static void gain_plan(struct weft_node *n) { plan_blocks(n, 3, 2); }

static size_t groups_of(const struct weft_exec *x, weft_tensor gain) {
    return weft_desc_count(weft_desc(x->g, gain));
}

/* One group: whole blocks; several: a row of the block and a group at a time. */
static void gain_run(const struct weft_exec *x, const struct weft_node *n, size_t phase,
                     size_t task, size_t thread) {
    (void)phase, (void)thread;
    size_t at;
    const size_t count = block(x, n->out[0], task, &at), groups = groups_of(x, n->in[1]);
    const size_t step = groups == 1 ? count : x_cols(x, n->in[0]) / groups;
    for (size_t i = 0; i < count; i += step) WEFT_PICK(x, n, gain_fwd)
    (x_f32(x, n->in[1]) + i / step % groups, x_at(x, n->in[0], at + i), x_at(x, n->in[2], at + i),
     x_at(x, n->out[0], at + i), step);
}

static void gain_bwd_plan(struct weft_node *n) {
    const size_t groups = weft_desc_count(weft_node_in(n, 1));
    plan_blocks(n, 3, 4);
    n->shared_bytes = blocks_of(weft_desc_rows(weft_node_in(n, 0))) * groups * sizeof(double);
    weft_phase_add(n, 1, 10);
}

static void gain_bwd_block(const struct weft_exec *x, const struct weft_node *n, size_t task,
                           size_t groups, double *part) {
    size_t at;
    const size_t count = block(x, n->in[0], task, &at);
    const size_t step = groups == 1 ? count : x_cols(x, n->in[0]) / groups;
    for (size_t g = 0; g < groups; g++) part[g] = 0;
    for (size_t i = 0; i < count; i += step) {
        const size_t g = i / step % groups;
        double sum;
        WEFT_PICK(x, n, gain_bwd)
        (&(struct weft_gain_bwd_args){
            .n = step,
            .gain = x_f32(x, n->in[1]) + g,
            .f = x_at(x, n->in[0], at + i),
            .dy = x_at(x, n->in[2], at + i),
            .df = x_at(x, n->out[0], at + i),
            .accumulate = x_accumulate(x, n, 0),
            .dgain = &sum,
        });
        part[g] += sum;
    }
}

static void gain_bwd_run(const struct weft_exec *x, const struct weft_node *n, size_t phase,
                         size_t task, size_t thread) {
    (void)thread;
    const size_t groups = groups_of(x, n->in[1]), blocks = blocks_of(x_rows(x, n->in[0]));
    double *const part = x_shared(x, n);
    if (phase == 0) {
        if (task < blocks) gain_bwd_block(x, n, task, groups, part + task * groups);
        return;
    }
    for (size_t g = 0; g < groups; g++) {
        float *const dgain = x_f32(x, n->out[1]) + g;
        float sum = x_accumulate(x, n, 1) ? *dgain : 0;
        for (size_t i = 0; i < blocks; i++) sum = (float)((double)sum + part[i * groups + g]);
        *dgain = sum;
    }
}

static void gain_backward(struct weft_backward *b, size_t node) {
    const struct weft_node n = b->p->node[node];
    const weft_tensor dy = weft_grad_get(b, n.out[0]);
    bool add_f, add_gain;
    const weft_tensor df = weft_grad_dst(b, n.in[0], &add_f);
    const weft_tensor dgain = weft_grad_dst(b, n.in[1], &add_gain);
    const struct weft_attr attr = {.accumulate = (unsigned)add_f | (unsigned)add_gain << 1};
    weft_node_add(b->p, &weft_op_gain_bwd, WEFT_TENSORS(n.in[0], n.in[1], dy),
                  WEFT_TENSORS(df, dgain), &attr);
    weft_grad_alias(b, n.in[2], dy);
}

const struct weft_op weft_op_activation = {"activation", act_plan, act_run, act_backward};
const struct weft_op weft_op_activation_bwd = {"activation_bwd", act_bwd_plan, act_bwd_run, NULL};
const struct weft_op weft_op_add = {"add", add_plan, add_run, add_backward};
const struct weft_op weft_op_gain = {"gain", gain_plan, gain_run, gain_backward};
const struct weft_op weft_op_gain_bwd = {"gain_bwd", gain_bwd_plan, gain_bwd_run, NULL};

/* ---- builders ---- */
static bool same_shape(weft_program *p, const char *op, weft_tensor a, weft_tensor b) {
    weft_graph *const g = p->graph;
    const struct weft_tensor_desc *const x = weft_desc(g, a), *const y = weft_desc(g, b);
    if (x->shape[0] == y->shape[0] && x->shape[1] == y->shape[1] &&
        x->shape[2] == y->shape[2])
        return true;
    weft_graph_fail(g, WEFT_ERR_SHAPE, "%s: %s and %s must have the same shape", op,
                    weft_shape_text(g, a), weft_shape_text(g, b));
    return false;
}

weft_tensor weft_activation(weft_program *p, weft_tensor x, const char *act) {
    if (!weft_stored(p, "activation", &x)) return WEFT_NONE;
    const int kind = weft_act_parse(act);
    if (kind < 0) return weft_graph_fail(p->graph, WEFT_ERR_ARG, "unknown activation \"%s\"", act);
    const weft_tensor y = weft_act_like(p, x);
    const struct weft_attr attr = {.act = kind};
    weft_node_add(p, &weft_op_activation, WEFT_TENSORS(x), WEFT_TENSORS(y), &attr);
    return y;
}

weft_tensor weft_add(weft_program *p, weft_tensor a, weft_tensor b) {
    if (!weft_stored(p, "add", &a) || !weft_stored(p, "add", &b) || !same_shape(p, "add", a, b))
        return WEFT_NONE;
    const weft_tensor y = weft_act_like(p, a);
    weft_node_add(p, &weft_op_add, WEFT_TENSORS(a, b), WEFT_TENSORS(y), NULL);
    return y;
}

weft_tensor weft_gain(weft_program *p, weft_tensor f, weft_tensor gain, weft_tensor residual) {
    weft_graph *const g = p->graph;
    if (!weft_stored(p, "gain", &f) || !weft_operand(p, "gain", gain, WEFT_F32) ||
        (residual != WEFT_NONE &&
         (!weft_stored(p, "gain", &residual) || !same_shape(p, "gain", f, residual))))
        return WEFT_NONE;
    const size_t groups = weft_desc_count(weft_desc(g, gain));
    if (weft_desc(g, gain)->kind != WEFT_PARAM || groups == 0 ||
        weft_desc_cols(weft_desc(g, f)) % groups != 0)
        return weft_graph_fail(g, WEFT_ERR_SHAPE,
                               "gain: the gain must be one parameter, or one for each of equal groups "
                               "of columns: %s does not fit %s",
                               weft_shape_text(g, gain), weft_shape_text(g, f));
    const weft_tensor y = weft_act_like(p, f);
    weft_node_add(p, &weft_op_gain, WEFT_TENSORS(f, gain, residual), WEFT_TENSORS(y), NULL);
    return y;
}
