/* Adaptive gradient clipping (Brock, De, Smith, Simonyan 2021): a row of a matrix's gradient whose norm
 * is above agc times that of its row of weights (at least 1e-3) is shortened to that.
 *
 * Rows are independent; a gradient that is not finite is left for gradnorm to find. */
#include <math.h>

#include "runtime/optim.h"
#include "weft/math.h"

#define TASK_ELEMENTS WEFT_OPTIM_BLOCK
#define LEAST_WEIGHT  1e-3 /* norm of a row of weights, at least */

struct row_range {
    weft_tensor param;
    size_t row, rows;
};
struct rows {
    struct row_range *range;
    size_t ranges, elements;
};

/* Counts when the array is absent, fills it when it is there. */
static void walk_rows(const weft_graph *g, struct rows *r) {
    r->ranges = r->elements = 0;
    for (size_t t = 0; t < g->tensors; t++) {
        const struct weft_tensor_desc *const d = &g->tensor[t];
        if (d->kind != WEFT_PARAM || d->grad < 0 || d->param.shape[1] == 0) continue;
        const size_t all = d->shape[0], some = TASK_ELEMENTS / d->shape[2] + 1;
        for (size_t i = 0; i < all; i += some, r->ranges++)
            if (r->range != NULL)
                r->range[r->ranges] =
                    (struct row_range){(weft_tensor)t, i, all - i < some ? all - i : some};
        r->elements += weft_desc_count(d);
    }
}

static void agc_plan(struct weft_node *n) {
    const struct rows *const r = n->plan;
    n->flops = 4.0 * (double)r->elements;
    n->bytes = 8.0 * (double)r->elements;
    weft_phase_add(n, r->ranges, 2 * weft_ns_bytes(n->bytes));
}

static void agc_run(const struct weft_exec *x, const struct weft_node *n, size_t phase, size_t task,
                    size_t thread) {
    (void)phase, (void)thread;
    const struct row_range *const r = &((const struct rows *)n->plan)->range[task];
    const struct weft_tensor_desc *const d = weft_desc(x->g, r->param);
    const size_t cols = d->shape[2];
    for (size_t i = r->row; i < r->row + r->rows; i++) {
        float *const grad = x_f32(x, d->grad) + i * cols;
        double g2, w2;
        x->k->sumsq_f32(grad, cols, &g2);
        x->k->sumsq_f32(x_f32(x, r->param) + i * cols, cols, &w2);
        const double norm = weft_sqrt(w2);
        const double most = n->attr.optim.agc * (norm > LEAST_WEIGHT ? norm : LEAST_WEIGHT);
        if (g2 > most * most && isfinite(g2))
            x->k->scale_f32((float)(most / weft_sqrt(g2)), grad, grad, cols);
    }
}

const struct weft_op weft_op_agc = {"agc", agc_plan, agc_run, NULL};

void weft_agc(weft_program *p, const struct weft_attr *attr) {
    weft_graph *const g = p->graph;
    struct rows *const r = weft_graph_alloc(g, sizeof *r);
    if (r == NULL) return;
    walk_rows(g, r);
    r->range = weft_graph_alloc(g, (r->ranges + 1) * sizeof *r->range);
    if (r->range == NULL) return;
    walk_rows(g, r);
    struct weft_node *const n =
        weft_node_add(p, &weft_op_agc, WEFT_TENSORS(WEFT_NONE), WEFT_TENSORS(WEFT_NONE), attr);
    if (n != NULL) n->plan = r;
}

