/* Losses (runtime/op_loss.c, op_head.c). What is right is a matter of which logit is largest: where
 * two are closer than their errors, either answer will do. */
#include <math.h>
#include <string.h>

#include "crosscheck/oracle.h"
#include "kernels/ref/ref_loss.h"

/* ---- rows of logits, each with its own error; all 0: exact ---- */
struct logits {
    size_t rows, v;
    const double *x, *err;
    const long *target;
    double scale;
};

static void expect_correct(const struct logits *l, size_t r, struct weft_cross_output *correct) {
    const double *const x = l->x + r * l->v, *const err = l->err + r * l->v;
    const long t = l->target[r];
    if (t < 0) return;
    bool right = true, close = false;
    for (size_t j = 0; j < l->v; j++) {
        if ((long)j == t) continue;
        if ((long)j < t ? x[j] >= x[t] : x[j] > x[t]) right = false;
        close |= fabs(x[j] - x[t]) <= err[j] + err[t] && err[j] + err[t] > 0;
    }
    correct->want[r] = right;
    correct->tol[r] = close ? 1 : 0;
}

/* The mean error of the logits under p: what log Z is off by. */
static double mean_error(const struct logits *l, size_t r, const double *p) {
    double sum = 0;
    for (size_t j = 0; j < l->v; j++) sum += p[j] * l->err[r * l->v + j];
    return sum;
}

/* loss, and dlogits (rows, v) with its bound, unless NULL. */
static void expect_rows(const struct logits *l, struct weft_cross_expect *e,
                        struct weft_cross_output *loss, struct weft_cross_output *correct,
                        double *grad, double *tol) {
    double *const lse = weft_cross_doubles(e, l->rows), *const p = weft_cross_doubles(e, l->v);
    if (e->failed) return;
    ref_xent_fwd(l->rows, l->v, l->x, l->target, loss->want, lse);
    if (grad != NULL) {
        ref_xent_bwd(l->rows, l->v, l->x, l->target, l->scale, grad);
        ref_xent_bwd_bound(l->rows, l->v, l->x, l->target, l->scale, grad, tol);
    }
    for (size_t r = 0; r < l->rows; r++) {
        const long t = l->target[r];
        expect_correct(l, r, correct);
        if (t < 0) continue;
        ref_softmax_fwd(1, l->v, l->x + r * l->v, 1, p);
        const double drift = mean_error(l, r, p);
        loss->tol[r] = ref_xent_bound(l->v, loss->want[r]) + drift + l->err[r * l->v + (size_t)t];
        for (size_t j = 0; grad != NULL && j < l->v; j++)
            tol[r * l->v + j] += 1.01 * p[j] * l->scale * (l->err[r * l->v + j] + drift);
    }
}

void weft_cross_softmax_xent(const struct weft_exec *x, const struct weft_node *n,
                             struct weft_cross_expect *e) {
    const size_t rows = x_rows(x, n->in[0]), v = x_cols(x, n->in[0]);
    const struct logits l = {.rows = rows,
                             .v = v,
                             .x = weft_cross_tensor(e, x, n->in[0]),
                             .err = weft_cross_doubles(e, rows * v),
                             .target = weft_cross_indices(e, x, n->in[1]),
                             .scale = (double)x->run->inv_targets};
    struct weft_cross_output *const loss = weft_cross_out(e, x, n, 0, "loss", false);
    struct weft_cross_output *const correct = weft_cross_out(e, x, n, 1, "correct", false);
    struct weft_cross_output *const dx =
        n->attr.with_grad ? weft_cross_out(e, x, n, 2, "dx", true) : NULL;
    if (e->failed) return;
    expect_rows(&l, e, loss, correct, dx == NULL ? NULL : dx->want, dx == NULL ? NULL : dx->tol);
}

/* ---- the head: logits = x wᵀ, then dx = dlogits w and dw = dlogitsᵀ x ---- */
struct head {
    size_t rows, c, v;
    const double *x, *w, *grad, *tol; /* tol: of grad (rows, v) */
};

/* out += A·B with A the gradient, plus what its error does: |err A|·|B|. */
static void product_of_gradient(const struct weft_exec *x, const struct head *h, bool turned,
                                struct weft_cross_expect *e, struct weft_cross_output *out) {
    const size_t m = turned ? h->v : h->rows, k = turned ? h->rows : h->v;
    const size_t rs = turned ? 1 : h->v, cs = turned ? h->v : 1;
    const struct ref_matrix b = {turned ? h->x : h->w, h->c, 1};
    const struct ref_matrix ab[2] = {{h->grad, rs, cs}, b}, err[2] = {{h->tol, rs, cs}, b};
    double *const signed_sum = weft_cross_doubles(e, m * h->c);
    double *const error = weft_cross_doubles(e, m * h->c);
    if (e->failed) return;
    weft_cross_gemm(x, m, h->c, k, ab, out->want, out->tol);
    weft_cross_gemm(x, m, h->c, k, err, signed_sum, error);
    for (size_t i = 0; i < m * h->c; i++)
        out->tol[i] = ref_gemm_bound(k, out->tol[i] + error[i]) + error[i];
}

void weft_cross_head_xent(const struct weft_exec *x, const struct weft_node *n,
                          struct weft_cross_expect *e) {
    const size_t rows = x_rows(x, n->in[0]), c = x_cols(x, n->in[0]);
    const size_t v = weft_desc(x->g, n->in[1])->shape[0];
    double *const sum = weft_cross_doubles(e, rows * v), *const err =
                                                             weft_cross_doubles(e, rows * v);
    double *const grad = weft_cross_doubles(e, rows * v), *const tol =
                                                              weft_cross_doubles(e, rows * v);
    const struct head h = {
        rows, c,  v, weft_cross_tensor(e, x, n->in[0]), weft_cross_tensor(e, x, n->in[1]),
        grad, tol};
    const struct logits l = {
        rows, v, sum, err, weft_cross_indices(e, x, n->in[2]), (double)x->run->inv_targets};
    struct weft_cross_output *const loss = weft_cross_out(e, x, n, 0, "loss", false);
    struct weft_cross_output *const correct = weft_cross_out(e, x, n, 1, "correct", false);
    if (e->failed) return;
    const struct ref_matrix ab[2] = {{h.x, c, 1}, {h.w, 1, c}};
    weft_cross_gemm(x, rows, v, c, ab, sum, err);
    for (size_t i = 0; i < rows * v; i++) err[i] = ref_gemm_bound(c, err[i]);
    if (!n->attr.with_grad) {
        expect_rows(&l, e, loss, correct, NULL, NULL);
        return;
    }
    struct weft_cross_output *const dx = weft_cross_out(e, x, n, 2, "dx", true);
    struct weft_cross_output *const dw = weft_cross_out(e, x, n, 3, "dw", true);
    expect_rows(&l, e, loss, correct, grad, tol);
    if (dx != NULL && !e->failed) product_of_gradient(x, &h, false, e, dx);
    if (dw != NULL && !e->failed) product_of_gradient(x, &h, true, e, dw);
}

/* ---- squared error ---- */
void weft_cross_mse(const struct weft_exec *x, const struct weft_node *n,
                    struct weft_cross_expect *e) {
    const size_t rows = x_rows(x, n->in[0]), cols = x_cols(x, n->in[0]);
    const double *const a = weft_cross_tensor(e, x, n->in[0]);
    const double *const b = weft_cross_tensor(e, x, n->in[1]);
    struct weft_cross_output *const loss = weft_cross_out(e, x, n, 0, "loss", false);
    struct weft_cross_output *const dx =
        n->attr.with_grad ? weft_cross_out(e, x, n, 2, "dx", true) : NULL;
    if (e->failed) return;
    ref_mse_fwd(rows, cols, a, b, loss->want);
    for (size_t r = 0; r < rows; r++) loss->tol[r] = ref_mse_bound(loss->want[r]);
    if (dx == NULL) return;
    ref_mse_bwd(rows, cols, a, b, (double)x->run->inv_targets, dx->want);
    for (size_t i = 0; i < rows * cols; i++) dx->tol[i] = ref_mse_bwd_bound(dx->want[i]);
}

/* ---- sums of x g ---- */
void weft_cross_inner(const struct weft_exec *x, const struct weft_node *n,
                      struct weft_cross_expect *e) {
    const size_t cols = x_cols(x, n->in[0]), count = x_rows(x, n->in[0]) * cols;
    const double *const a = weft_cross_tensor(e, x, n->in[0]);
    const double *const g = weft_cross_tensor(e, x, n->in[1]);
    struct weft_cross_output *const sum = weft_cross_out(e, x, n, 0, "sum", false);
    struct weft_cross_output *const dx =
        n->attr.with_grad ? weft_cross_out(e, x, n, 2, "dx", true) : NULL;
    for (size_t i = 0; !e->failed && i < count; i++) {
        sum->want[i / cols] += a[i] * g[i];
        sum->tol[i / cols] += 0x1p-50 * fabs(a[i] * g[i]); /* summed in f64 */
        if (dx == NULL) continue;
        dx->want[i] = (double)x->run->inv_targets * g[i];
        dx->tol[i] = REF_U * fabs(dx->want[i]) + REF_TINY;
    }
    for (size_t i = 0; !e->failed && i < count; i += cols)
        sum->tol[i / cols] += REF_U * fabs(sum->want[i / cols]);
}
