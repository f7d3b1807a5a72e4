/* Elementwise ops, dropout, the last row (runtime/op_elementwise.c, op_dropout.c, op_infer.c). */
#include <math.h>

#include "crosscheck/oracle.h"
#include "kernels/ref/ref_activation.h"
#include "kernels/ref/ref_random.h"

static const double slope = (double)WEFT_LEAKY_SLOPE;

void weft_cross_activation(const struct weft_exec *x, const struct weft_node *n,
                           struct weft_cross_expect *e) {
    const double *const z = weft_cross_tensor(e, x, n->in[0]);
    struct weft_cross_output *const y = weft_cross_out(e, x, n, 0, "y", false);
    for (size_t i = 0; !e->failed && i < y->rows * y->cols; i++) {
        y->want[i] = ref_act((enum weft_act)n->attr.act, slope, z[i]);
        y->tol[i] = ref_act_bound((enum weft_act)n->attr.act, slope, z[i]);
    }
}

void weft_cross_activation_bwd(const struct weft_exec *x, const struct weft_node *n,
                               struct weft_cross_expect *e) {
    const double *const z = weft_cross_tensor(e, x, n->in[0]);
    const double *const dy = weft_cross_tensor(e, x, n->in[1]);
    struct weft_cross_output *const dx = weft_cross_out(e, x, n, 0, "dx", true);
    for (size_t i = 0; !e->failed && i < dx->rows * dx->cols; i++) {
        const double old = dx->want[i];
        dx->want[i] += dy[i] * ref_dact((enum weft_act)n->attr.act, slope, z[i]);
        dx->tol[i] = ref_dact_bound((enum weft_act)n->attr.act, slope, z[i], dy[i], old);
    }
}

void weft_cross_add(const struct weft_exec *x, const struct weft_node *n,
                    struct weft_cross_expect *e) {
    const double *const a = weft_cross_tensor(e, x, n->in[0]);
    const double *const b = weft_cross_tensor(e, x, n->in[1]);
    struct weft_cross_output *const y = weft_cross_out(e, x, n, 0, "y", false);
    for (size_t i = 0; !e->failed && i < y->rows * y->cols; i++) {
        y->want[i] = a[i] + b[i];
        y->tol[i] = REF_U * fabs(y->want[i]);
    }
}

/* ---- gain: r + gain f, one for each of equal groups of columns ---- */
static size_t group_of(const struct weft_exec *x, const struct weft_node *n, size_t i) {
    const size_t cols = x_cols(x, n->in[0]);
    return i % cols / (cols / weft_desc_count(weft_desc(x->g, n->in[1])));
}

void weft_cross_gain(const struct weft_exec *x, const struct weft_node *n,
                     struct weft_cross_expect *e) {
    const double *const f = weft_cross_tensor(e, x, n->in[0]);
    const double *const r = weft_cross_tensor(e, x, n->in[2]);
    struct weft_cross_output *const y = weft_cross_out(e, x, n, 0, "y", false);
    for (size_t i = 0; !e->failed && i < y->rows * y->cols; i++) {
        const double gain = (double)x_f32(x, n->in[1])[group_of(x, n, i)];
        y->want[i] = gain * f[i] + (r != NULL ? r[i] : 0);
        y->tol[i] = REF_U * (fabs(gain * f[i]) + fabs(y->want[i]));
    }
}

void weft_cross_gain_bwd(const struct weft_exec *x, const struct weft_node *n,
                         struct weft_cross_expect *e) {
    const double *const f = weft_cross_tensor(e, x, n->in[0]);
    const double *const dy = weft_cross_tensor(e, x, n->in[2]);
    struct weft_cross_output *const df = weft_cross_out(e, x, n, 0, "df", true);
    struct weft_cross_output *const dgain = weft_cross_out(e, x, n, 1, "dgain", true);
    const size_t rows = x_rows(x, n->in[0]), count = rows * x_cols(x, n->in[0]);
    for (size_t i = 0; !e->failed && df != NULL && i < count; i++) {
        const double gain = (double)x_f32(x, n->in[1])[group_of(x, n, i)];
        df->want[i] += gain * dy[i];
        df->tol[i] = REF_U * (fabs(gain * dy[i]) + fabs(df->want[i]));
    }
    for (size_t i = 0; !e->failed && dgain != NULL && i < count; i++) {
        dgain->want[group_of(x, n, i)] += f[i] * dy[i];
        dgain->tol[group_of(x, n, i)] += fabs(f[i] * dy[i]);
    }
    /* one rounding for each block of 64 rows */
    for (size_t g = 0; dgain != NULL && g < dgain->rows * dgain->cols; g++)
        dgain->tol[g] = ref_gemm_bound(rows / 64 + 1, dgain->tol[g]);
}

/* ---- dropout: bit for bit, as kernels/dropout.h maps elements to random words ---- */
void weft_cross_dropout(const struct weft_exec *x, const struct weft_node *n,
                        struct weft_cross_expect *e) {
    const float *const in = x_f32(x, n->in[0]), *const add = x_f32(x, n->in[1]);
    const size_t cols = x_cols(x, n->in[0]), t = weft_desc(x->g, n->in[0])->shape[1];
    const float p = n->attr.prob, scale = 1 / (1 - p);
    struct weft_cross_output *const y =
        weft_cross_out(e, x, n, 0, "y", n->op == &weft_op_dropout_bwd);
    for (size_t i = 0; !e->failed && i < y->rows * y->cols; i++) {
        const struct ref_dropout_at at = {.seed = x->run->seed,
                                          .step = x->run->step,
                                          .sample = x->run->sample + i / cols / t,
                                          .stream = n->attr.stream,
                                          .position = i / cols % t,
                                          .channel = i % cols};
        const float kept = ref_dropout_keep(&at, (double)p) ? in[i] * scale : 0;
        y->want[i] = (double)kept + (add != NULL ? (double)add[i] : 0);
        y->tol[i] = 0;
    }
}

void weft_cross_dropout_bwd(const struct weft_exec *x, const struct weft_node *n,
                            struct weft_cross_expect *e) {
    weft_cross_dropout(x, n, e);
}

void weft_cross_last_row(const struct weft_exec *x, const struct weft_node *n,
                         struct weft_cross_expect *e) {
    const size_t cols = x_cols(x, n->in[0]), last = x_rows(x, n->in[0]) - 1;
    struct weft_cross_output *const y = weft_cross_out(e, x, n, 0, "y", false);
    for (size_t j = 0; !e->failed && j < cols; j++)
        y->want[j] = (double)x_f32(x, n->in[0])[last * cols + j];
}
