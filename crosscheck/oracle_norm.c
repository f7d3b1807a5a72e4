/* LayerNorm (runtime/op_layernorm.c). */
#include <math.h>

#include "crosscheck/oracle.h"
#include "kernels/ref/ref_layernorm.h"

void weft_cross_layernorm(const struct weft_exec *x, const struct weft_node *n,
                          struct weft_cross_expect *e) {
    const size_t rows = x_rows(x, n->in[0]), c = x_cols(x, n->in[0]);
    const double *const in = weft_cross_tensor(e, x, n->in[0]);
    const double *const gamma = weft_cross_tensor(e, x, n->in[1]);
    const double *const beta = weft_cross_tensor(e, x, n->in[2]);
    struct weft_cross_output *const y = weft_cross_out(e, x, n, 0, "y", false);
    struct weft_cross_output *const mean = weft_cross_out(e, x, n, 1, "mean", false);
    struct weft_cross_output *const rstd = weft_cross_out(e, x, n, 2, "rstd", false);
    if (e->failed) return;
    ref_layernorm_fwd(rows, c, in, gamma, beta, (double)n->attr.eps, y->want, mean->want,
                      rstd->want);
    ref_layernorm_fwd_bound(rows, c, in, gamma, beta, mean->want, rstd->want, y->tol, mean->tol,
                            rstd->tol);
    for (size_t r = 0; r < rows; r++) mean->size += 1 / (rstd->want[r] * rstd->want[r]);
    mean->size = sqrt(mean->size / (double)rows); /* the spread */
}

struct backward {
    size_t rows, c;
    const double *dy, *x, *mean, *rstd, *gamma;
};

static void expect_dx(const struct backward *b, struct weft_cross_expect *e,
                      struct weft_cross_output *dx) {
    double *const grad = weft_cross_doubles(e, b->rows * b->c);
    double *const tol = weft_cross_doubles(e, b->rows * b->c);
    if (e->failed) return;
    ref_layernorm_bwd(b->rows, b->c, b->dy, b->x, b->mean, b->rstd, b->gamma, grad, NULL, NULL);
    ref_layernorm_bwd_bound(b->rows, b->c, b->dy, b->x, b->mean, b->rstd, b->gamma, tol);
    for (size_t i = 0; i < b->rows * b->c; i++) {
        const bool adds = dx->tol[i] > 0;
        dx->want[i] += grad[i];
        dx->tol[i] = tol[i] + (adds ? REF_U * fabs(dx->want[i]) : 0);
    }
}

/* Sums over the rows of dy xhat (scaled) or dy. */
static void expect_sums(const struct backward *b, bool scaled, struct weft_cross_output *sum) {
    for (size_t r = 0; r < b->rows; r++)
        for (size_t j = 0; j < b->c; j++) {
            const size_t i = r * b->c + j;
            const double term = b->dy[i] * (scaled ? (b->x[i] - b->mean[r]) * b->rstd[r] : 1);
            sum->want[j] += term;
            sum->tol[j] += fabs(term);
        }
    for (size_t j = 0; j < b->c; j++) sum->tol[j] = ref_gemm_bound(b->rows + 4, sum->tol[j]);
}

void weft_cross_layernorm_bwd(const struct weft_exec *x, const struct weft_node *n,
                              struct weft_cross_expect *e) {
    const struct backward b = {.rows = x_rows(x, n->in[1]),
                               .c = x_cols(x, n->in[1]),
                               .dy = weft_cross_tensor(e, x, n->in[0]),
                               .x = weft_cross_tensor(e, x, n->in[1]),
                               .mean = weft_cross_tensor(e, x, n->in[2]),
                               .rstd = weft_cross_tensor(e, x, n->in[3]),
                               .gamma = weft_cross_tensor(e, x, n->in[4])};
    struct weft_cross_output *const dx = weft_cross_out(e, x, n, 0, "dx", true);
    struct weft_cross_output *const dgamma = weft_cross_out(e, x, n, 1, "dgamma", true);
    struct weft_cross_output *const dbeta = weft_cross_out(e, x, n, 2, "dbeta", true);
    if (e->failed) return;
    if (dx != NULL) expect_dx(&b, e, dx);
    if (dgamma != NULL) expect_sums(&b, true, dgamma);
    if (dbeta != NULL) expect_sums(&b, false, dbeta);
}
