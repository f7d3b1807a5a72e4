/* The linear layer and its derivatives (runtime/op_linear.c). */
#include <math.h>

#include "crosscheck/oracle.h"
#include "kernels/ref/ref_activation.h"

/* ---- y = act(x wᵀ + b) + residual, z the value before act ---- */
struct forward {
    size_t k, out;
    const double *bias, *residual, *sum, *mag;
    int act;
};

static void forward_row(const struct forward *f, size_t r, struct weft_cross_output *y,
                        struct weft_cross_output *z) {
    for (size_t i = r * f->out; i < (r + 1) * f->out; i++) {
        const double b = f->bias ? f->bias[i % f->out] : 0, res = f->residual ? f->residual[i] : 0;
        struct ref_value v = {f->sum[i] + b + res,
                              ref_gemm_bound(f->k, f->mag[i] + fabs(b) + fabs(res))};
        if (z != NULL) z->want[i] = v.want, z->tol[i] = v.tol;
        if (f->act != WEFT_ACT_NONE)
            v = ref_act_value((enum weft_act)f->act, (double)WEFT_LEAKY_SLOPE, v);
        y->want[i] = v.want;
        y->tol[i] = v.tol;
    }
}

void weft_cross_linear(const struct weft_exec *x, const struct weft_node *n,
                       struct weft_cross_expect *e) {
    const size_t m = x_rows(x, n->in[0]), k = x_cols(x, n->in[0]), out = x_cols(x, n->out[0]);
    const struct ref_matrix ab[2] = {{weft_cross_tensor(e, x, n->in[0]), k, 1},
                                     {weft_cross_tensor(e, x, n->in[1]), 1, k}};
    double *const sum = weft_cross_doubles(e, m * out), *const mag = weft_cross_doubles(e, m * out);
    const struct forward f = {.k = k,
                              .out = out,
                              .bias = weft_cross_tensor(e, x, n->in[2]),
                              .residual = weft_cross_tensor(e, x, n->in[3]),
                              .sum = sum,
                              .mag = mag,
                              .act = n->attr.act};
    struct weft_cross_output *const y = weft_cross_out(e, x, n, 0, "y", false);
    struct weft_cross_output *const z = weft_cross_out(e, x, n, 1, "z", false);
    if (e->failed) return;
    weft_cross_gemm(x, m, out, k, ab, sum, mag);
    for (size_t r = 0; r < m; r++) forward_row(&f, r, y, z);
}

/* ---- dx = dy w, or (dy w) act'(z) ---- */
void weft_cross_linear_dx(const struct weft_exec *x, const struct weft_node *n,
                          struct weft_cross_expect *e) {
    const size_t m = x_rows(x, n->in[0]), k = x_cols(x, n->in[0]), in = x_cols(x, n->out[0]);
    const struct ref_matrix ab[2] = {{weft_cross_tensor(e, x, n->in[0]), k, 1},
                                     {weft_cross_tensor(e, x, n->in[1]), in, 1}};
    const double *const z = weft_cross_tensor(e, x, n->in[2]);
    struct weft_cross_output *const dx = weft_cross_out(e, x, n, 0, "dx", true);
    if (e->failed) return;
    weft_cross_gemm(x, m, in, k, ab, dx->want, dx->tol);
    for (size_t i = 0; i < m * in; i++) {
        struct ref_value v = {dx->want[i], ref_gemm_bound(k, dx->tol[i])};
        if (z != NULL)
            v = ref_dact_value((enum weft_act)n->attr.act, (double)WEFT_LEAKY_SLOPE, z[i], v);
        dx->want[i] = v.want;
        dx->tol[i] = v.tol;
    }
}

/* ---- dw = dyᵀ x, db = the column sums of dy ---- */
static void column_sums(const double *dy, size_t rows, struct weft_cross_output *db) {
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < db->cols; j++) {
            db->want[j] += dy[r * db->cols + j];
            db->tol[j] += fabs(dy[r * db->cols + j]);
        }
    for (size_t j = 0; j < db->cols; j++) db->tol[j] = ref_gemm_bound(rows, db->tol[j]);
}

void weft_cross_linear_dw(const struct weft_exec *x, const struct weft_node *n,
                          struct weft_cross_expect *e) {
    const size_t m = x_rows(x, n->in[0]), out = x_cols(x, n->in[0]), in = x_cols(x, n->in[1]);
    const double *const dy = weft_cross_tensor(e, x, n->in[0]);
    const struct ref_matrix ab[2] = {{dy, 1, out}, {weft_cross_tensor(e, x, n->in[1]), in, 1}};
    struct weft_cross_output *const dw = weft_cross_out(e, x, n, 0, "dw", true);
    struct weft_cross_output *const db = weft_cross_out(e, x, n, 1, "db", true);
    if (e->failed) return;
    if (dw != NULL) {
        weft_cross_gemm(x, out, in, m, ab, dw->want, dw->tol);
        for (size_t i = 0; i < out * in; i++) dw->tol[i] = ref_gemm_bound(m, dw->tol[i]);
    }
    if (db != NULL) column_sums(dy, m, db);
}
