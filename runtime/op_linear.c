/* The linear layer and its derivatives; weights are (out, in).
 *
 *   linear     y  = act(x wᵀ + b) + residual     in x, w, b, residual   out y, z (pre-activation),
 *                                                                        statistics (probe.c)
 *   linear_dx  dx = dy w, or (dy w) act'(z)       in dy, w, z            out dx, statistics
 *   linear_dw  dw = dyᵀ x,  db = Σ_rows dy        in dy, x               out dw, db
 *
 * When x is the output of a linear layer with an activation and has no other reader, linear_dx
 * multiplies by act' in its epilogue, and that layer's gradient arrives as dz. z is made only for
 * programs with a backward pass. */
#include "runtime/op_names.h"
#include "runtime/product.h"

struct linear_plan {
    struct weft_product product;
    size_t sum_tasks; /* linear_dw: tasks that sum columns, before the others of the first phase */
};

static void plan_product(struct weft_node *n, const struct weft_product *product,
                         size_t sum_tasks) {
    struct linear_plan *const plan = weft_plan_alloc(n, sizeof *plan);
    if (plan == NULL) return;
    n->plan = plan;
    plan->product = *product;
    plan->product.half = x_half(n);
    plan->product.narrow = n->out[0] >= 0 && weft_node_out(n, 0)->dtype == WEFT_BF16;
    plan->sum_tasks = sum_tasks;
    weft_product_plan(&plan->product, n->program->graph->ctx);
    n->shared_bytes = plan->product.packed_bytes;
    n->local_bytes = plan->product.local_bytes;
    const double m = (double)product->m, cols = (double)product->n, k = (double)product->k;
    n->model_flops = n->flops = 2 * m * cols * k;
    if (plan->product.half || plan->product.rounds) n->bf16_flops = n->flops;
    const double weight = product->format != WEFT_FORMAT_F32
                              ? (double)weft_format_bits(product->format) / 8
                              : weft_node_bytes(n);
    n->bytes = weft_node_bytes(n) * m * k + weight * cols * k +
               (plan->product.narrow ? 2 : 4) * m * cols;
    for (size_t i = 0; i < weft_product_phases(&plan->product); i++)
        weft_phase_add(n, weft_product_tasks(&plan->product, i) + (i == 0 ? sum_tasks : 0),
                       weft_product_ns(&plan->product, n->program->graph->ctx, i) +
                           (i == 0 && sum_tasks > 0 ? weft_ns_bytes(4 * m * k) : 0));
}

static void run_product(const struct weft_exec *x, const struct weft_node *n,
                        const struct weft_gemm_args *g, size_t phase, size_t task, size_t thread) {
    const struct linear_plan *const plan = n->plan;
    weft_product_run(&plan->product, x->k, g, x_shared(x, n), x_local(x, thread), phase,
                     task - (phase == 0 ? plan->sum_tasks : 0));
}

/* ---- linear ---- */
static void linear_plan(struct weft_node *n) {
    const struct weft_tensor_desc *const w = weft_node_in(n, 1);
    const struct weft_product p = {.m = weft_desc_rows(weft_node_in(n, 0)),
                                   .n = weft_desc_cols(weft_node_out(n, 0)),
                                   .k = weft_desc_cols(weft_node_in(n, 0)),
                                   .a = WEFT_K_INNER,
                                   .b = w->dtype == WEFT_COMPACT ? WEFT_BLOCKS : WEFT_K_INNER,
                                   .format = w->format};
    plan_product(n, &p, 0);
}

static void linear_run(const struct weft_exec *x, const struct weft_node *n, size_t phase,
                       size_t task, size_t thread) {
    const size_t in = x_cols(x, n->in[0]), out = x_cols(x, n->out[0]);
    const struct weft_gemm_args g = {
        .m = x_rows(x, n->in[0]),
        .n = out,
        .k = in,
        .a = x_ptr(x, n->in[0]),
        .lda = in,
        .b = x_weight(x, n, n->in[1]),
        .ldb = in,
        .blocks = x_ptr(x, n->in[1]),
        .c = x_ptr(x, n->out[0]),
        .ldc = out,
        .epilogue = n->attr.act != WEFT_ACT_NONE ? WEFT_EPI_BIAS_ACT
                    : n->in[3] >= 0              ? WEFT_EPI_BIAS_RESIDUAL
                    : n->in[2] >= 0              ? WEFT_EPI_BIAS
                                                 : WEFT_EPI_NONE,
        .act = (enum weft_act)n->attr.act,
        .bias = x_f32(x, n->in[2]),
        .residual = x_ptr(x, n->in[3]),
        .ldr = out,
        .z = x_ptr(x, n->out[1]),
        .ldz = out,
        .stats = x_measures(x, n, 2) ? x_f32(x, n->out[2]) : NULL,
        .lds = weft_gemm_groups(out),
    };
    run_product(x, n, &g, phase, task, thread);
}

/* ---- linear_dx ---- */
static void dx_plan(struct weft_node *n) {
    const struct weft_product p = {.m = weft_desc_rows(weft_node_in(n, 0)),
                                   .n = weft_desc_cols(weft_node_out(n, 0)),
                                   .k = weft_desc_cols(weft_node_in(n, 0)),
                                   .a = WEFT_K_INNER,
                                   .b = WEFT_K_OUTER};
    plan_product(n, &p, 0);
}

static void dx_run(const struct weft_exec *x, const struct weft_node *n, size_t phase, size_t task,
                   size_t thread) {
    const size_t out = x_cols(x, n->in[0]), in = x_cols(x, n->out[0]);
    const struct weft_gemm_args g = {
        .m = x_rows(x, n->in[0]),
        .n = in,
        .k = out,
        .a = x_ptr(x, n->in[0]),
        .lda = out,
        .b = x_weight(x, n, n->in[1]),
        .ldb = in,
        .c = x_ptr(x, n->out[0]),
        .ldc = in,
        .accumulate = x_accumulate(x, n, 0),
        .epilogue = n->in[2] >= 0 ? WEFT_EPI_DACT : WEFT_EPI_NONE,
        .act = (enum weft_act)n->attr.act,
        .z = x_ptr(x, n->in[2]),
        .ldz = in,
        .stats = x_measures(x, n, 1) ? x_f32(x, n->out[1]) : NULL,
        .lds = weft_gemm_groups(in),
    };
    run_product(x, n, &g, phase, task, thread);
}

/* ---- linear_dw ---- */
static void dw_plan(struct weft_node *n) {
    const size_t rows = weft_desc_rows(weft_node_in(n, 0));
    const size_t out = weft_desc_cols(weft_node_in(n, 0)), in = weft_desc_cols(weft_node_in(n, 1));
    const size_t sums = n->out[1] < 0 ? 0 : rows * out < 65536 ? 1 : (out + 255) / 256;
    const struct weft_product p = {
        .m = out, .n = in, .k = rows, .a = WEFT_K_OUTER, .b = WEFT_K_OUTER, .by_rows = true};
    plan_product(n, &p, sums);
}

static void dw_run(const struct weft_exec *x, const struct weft_node *n, size_t phase, size_t task,
                   size_t thread) {
    const struct linear_plan *const plan = n->plan;
    const size_t rows = x_rows(x, n->in[0]), out = x_cols(x, n->in[0]), in = x_cols(x, n->in[1]);
    if (phase == 0 && task < plan->sum_tasks) { /* db: columns [lo, hi) */
        size_t lo, hi;
        weft_split(out, 16, plan->sum_tasks, task, &lo, &hi);
        WEFT_PICK(x, n, colsum)
        (&(struct weft_colsum_args){.m = rows,
                                    .n = hi - lo,
                                    .x = x_at(x, n->in[0], lo),
                                    .ldx = out,
                                    .sum = x_f32(x, n->out[1]) + lo,
                                    .accumulate = x_accumulate(x, n, 1)});
        return;
    }
    if (n->out[0] < 0) return;
    const struct weft_gemm_args g = {
        .m = out,
        .n = in,
        .k = rows,
        .a = x_ptr(x, n->in[0]),
        .lda = out,
        .b = x_ptr(x, n->in[1]),
        .ldb = in,
        .c = x_ptr(x, n->out[0]),
        .ldc = in,
        .accumulate = x_accumulate(x, n, 0),
    };
    run_product(x, n, &g, phase, task, thread);
}

/* ---- backward ---- */
static weft_tensor need_z(weft_program *p, size_t node) {
    if (p->node[node].out[1] < 0) {
        const weft_tensor z = weft_act_like(p, p->node[node].out[0]);
        p->node[node].out[1] = z;
    }
    return p->node[node].out[1];
}

/* The linear node with an activation whose output x only node `reader` reads, and only as its
 * input, or SIZE_MAX. Later readers have left a gradient already: the caller has looked. */
static size_t fusable_producer(const weft_program *p, weft_tensor x, size_t reader) {
    size_t producer = SIZE_MAX;
    for (size_t i = 0; i <= reader; i++) {
        const struct weft_node *const n = &p->node[i];
        if (n->out[0] == x && n->op == &weft_op_linear && n->attr.act != WEFT_ACT_NONE)
            producer = i;
        for (size_t j = 0; j < WEFT_NODE_IN; j++)
            if (n->in[j] == x && !(i == reader && j == 0)) return SIZE_MAX;
    }
    return producer;
}

static void append_dx(struct weft_backward *b, size_t node, weft_tensor dy) {
    weft_program *const p = b->p;
    const weft_tensor x = p->node[node].in[0], w = p->node[node].in[1];
    bool accumulate;
    const weft_tensor dx = weft_grad_dst(b, x, &accumulate);
    if (dx == WEFT_NONE) return;
    const size_t producer = accumulate ? SIZE_MAX : fusable_producer(p, x, node);
    struct weft_attr attr = {.accumulate = accumulate};
    weft_tensor z = WEFT_NONE;
    if (producer != SIZE_MAX) {
        z = need_z(p, producer);
        p->node[producer].attr.dz_ready = true;
        attr.act = p->node[producer].attr.act;
    }
    weft_node_add(p, &weft_op_linear_dx, WEFT_TENSORS(dy, w, z), WEFT_TENSORS(dx), &attr);
}

static void linear_backward(struct weft_backward *b, size_t node) {
    weft_program *const p = b->p;
    const struct weft_node n = p->node[node];
    weft_tensor dy = weft_grad_get(b, n.out[0]);
    if (n.attr.act != WEFT_ACT_NONE && !n.attr.dz_ready) {
        const weft_tensor dz = weft_act_like(p, n.out[0]);
        const struct weft_attr attr = {.act = n.attr.act};
        weft_node_add(p, &weft_op_activation_bwd, WEFT_TENSORS(need_z(p, node), dy),
                      WEFT_TENSORS(dz), &attr);
        dy = dz;
    }
    if (n.in[3] < 0) weft_probe_delta(p, node, dy);
    append_dx(b, node, dy);
    bool add_w, add_b;
    const weft_tensor dw = weft_grad_dst(b, n.in[1], &add_w);
    const weft_tensor db = weft_grad_dst(b, n.in[2], &add_b);
    const struct weft_attr attr = {.accumulate = (unsigned)add_w | (unsigned)add_b << 1};
    weft_node_add(p, &weft_op_linear_dw, WEFT_TENSORS(dy, n.in[0]), WEFT_TENSORS(dw, db), &attr);
    weft_grad_alias(b, n.in[3], dy);
}

const struct weft_op weft_op_linear = {"linear", linear_plan, linear_run, linear_backward};
const struct weft_op weft_op_linear_dx = {"linear_dx", dx_plan, dx_run, NULL};
const struct weft_op weft_op_linear_dw = {"linear_dw", dw_plan, dw_run, NULL};

/* ---- builder ---- */
weft_tensor weft_linear(weft_program *p, weft_tensor x, weft_tensor w, weft_tensor b,
                        const char *act, weft_tensor residual) {
    weft_graph *const g = p->graph;
    if (!weft_stored(p, "linear", &x) || !weft_weight(p, "linear", w) ||
        (b != WEFT_NONE && !weft_operand(p, "linear", b, WEFT_F32)) ||
        (residual != WEFT_NONE && !weft_stored(p, "linear", &residual)))
        return WEFT_NONE;
    const struct weft_tensor_desc dx = *weft_desc(g, x), dw = *weft_desc(g, w);
    const int kind = weft_act_parse(act);
    if (kind < 0) return weft_graph_fail(g, WEFT_ERR_ARG, "linear: unknown activation \"%s\"", act);
    const size_t out = dw.shape[0];
    if (dw.shape[2] != dx.shape[2])
        return weft_graph_fail(g, WEFT_ERR_SHAPE, "linear: x %s does not fit weight %s %s",
                               weft_shape_text(g, x), dw.name, weft_shape_text(g, w));
    if (b >= 0 && weft_desc_count(weft_desc(g, b)) != out)
        return weft_graph_fail(g, WEFT_ERR_SHAPE, "linear: bias %s does not fit weight %s %s",
                               weft_shape_text(g, b), dw.name, weft_shape_text(g, w));
    const struct weft_tensor_desc dr = *weft_desc(g, residual);
    if (residual >= 0 &&
        (kind != WEFT_ACT_NONE || weft_desc_rows(&dr) != weft_desc_rows(&dx) || dr.shape[2] != out))
        return weft_graph_fail(g, WEFT_ERR_SHAPE,
                               "linear: residual %s does not fit the output of weight %s %s with "
                               "activation %s",
                               weft_shape_text(g, residual), dw.name, weft_shape_text(g, w),
                               act == NULL ? "none" : act);
    const weft_tensor y = dx.batched ? weft_act_tensor(p, p->storage, dx.shape[0], dx.shape[1], out)
                                     : weft_fixed_tensor(p, p->storage, weft_desc_rows(&dx), out);
    const struct weft_attr attr = {.act = kind};
    weft_node_add(p, &weft_op_linear, WEFT_TENSORS(x, w, b, residual), WEFT_TENSORS(y), &attr);
    return y;
}
