/* Embeddings (runtime/op_embedding.c). */
#include <math.h>

#include "crosscheck/oracle.h"
#include "kernels/ref/ref_embedding.h"

void weft_cross_embedding(const struct weft_exec *x, const struct weft_node *n,
                          struct weft_cross_expect *e) {
    const struct weft_tensor_desc *const table = weft_desc(x->g, n->in[1]);
    const struct weft_tensor_desc *const positions = weft_desc(x->g, n->in[2]);
    const size_t rows = x_rows(x, n->out[0]), c = x_cols(x, n->out[0]);
    const size_t t = n->attr.max_context ? x->batch : weft_desc(x->g, n->out[0])->shape[1];
    const long *const token = weft_cross_indices(e, x, n->in[0]);
    const double *const wte = weft_cross_widen(e, table->data, weft_desc_count(table));
    const double *const wpe =
        n->in[2] < 0 ? NULL : weft_cross_widen(e, positions->data, weft_desc_count(positions));
    struct weft_cross_output *const y = weft_cross_out(e, x, n, 0, "y", false);
    if (e->failed) return;
    ref_embedding_fwd(rows, c, t, x->run->pos, token, wte, wpe, y->want); /* one rounding: exact */
}

/* A gradient of a table: terms of the rows are added in f32, in some order. */
static void bound_sums(struct weft_cross_output *sum, const double *terms, size_t rows) {
    for (size_t i = 0; i < sum->rows * sum->cols; i++)
        sum->tol[i] =
            sum->tol[i] + terms[i] == 0 ? 0 : ref_gemm_bound(rows, sum->tol[i] + terms[i]);
}

void weft_cross_embedding_dw(const struct weft_exec *x, const struct weft_node *n,
                             struct weft_cross_expect *e) {
    const size_t rows = x_rows(x, n->in[0]), c = x_cols(x, n->in[0]);
    const size_t t = weft_desc(x->g, n->in[0])->shape[1];
    const long *const token = weft_cross_indices(e, x, n->in[1]);
    const double *const dy = weft_cross_tensor(e, x, n->in[0]);
    double *const size = weft_cross_tensor(e, x, n->in[0]);
    struct weft_cross_output *const dwte = weft_cross_out(e, x, n, 0, "dwte", true);
    struct weft_cross_output *const dwpe = weft_cross_out(e, x, n, 1, "dwpe", true);
    double *const a = weft_cross_doubles(e, dwte == NULL ? 0 : dwte->rows * c);
    double *const b = weft_cross_doubles(e, dwpe == NULL ? 0 : dwpe->rows * c);
    if (e->failed) return;
    /* over several micro-batches the table's sum is a buffer, which x_accumulate does not know */
    const bool buffer = n->out[0] >= 0 && weft_desc(x->g, n->out[0])->kind == WEFT_STATE;
    for (size_t i = 0; dwte != NULL && buffer && i < dwte->rows * c; i++) {
        dwte->want[i] = x->run->accumulate ? (double)x_f32(x, n->out[0])[i] : 0;
        dwte->tol[i] = fabs(dwte->want[i]);
    }
    for (size_t i = 0; i < rows * c; i++) size[i] = fabs(dy[i]);
    ref_embedding_bwd(rows, c, t, x->run->pos, token, dy, dwte == NULL ? NULL : dwte->want,
                      dwpe == NULL ? NULL : dwpe->want);
    ref_embedding_bwd(rows, c, t, x->run->pos, token, size, dwte == NULL ? NULL : a,
                      dwpe == NULL ? NULL : b);
    if (dwte != NULL) bound_sums(dwte, a, rows);
    if (dwpe != NULL) bound_sums(dwpe, b, rows / t);
}

void weft_cross_embedding_fold(const struct weft_exec *x, const struct weft_node *n,
                               struct weft_cross_expect *e) {
    const double *const sum = weft_cross_tensor(e, x, n->in[0]);
    struct weft_cross_output *const dw = weft_cross_out(e, x, n, 0, "dwte", true);
    for (size_t i = 0; !e->failed && i < dw->rows * dw->cols; i++) {
        dw->want[i] = (n->attr.accumulate & 1 ? (double)x_f32(x, n->out[0])[i] : 0) + sum[i];
        dw->tol[i] = REF_U * fabs(dw->want[i]);
    }
}
