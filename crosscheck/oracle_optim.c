/* The update program (runtime/op_optim.c): sums over all parameters, seen as one array; the gaps
 * between them are zeros in every array. */
#include <math.h>
#include <string.h>

#include "crosscheck/oracle.h"
#include "kernels/ref/ref_optim.h"
#include "runtime/optim.h"

static size_t elements(const struct weft_exec *x) { return x->g->param_bytes / sizeof(float); }
static float *floats(unsigned char *p) { return (float *)(void *)p; }

/* Both the gradients and the sum become (accumulate ? sum : 0) + gradients. */
void weft_cross_grad_fold(const struct weft_exec *x, const struct weft_node *n,
                          struct weft_cross_expect *e) {
    (void)n;
    float *const sum = floats(x->g->grad_sum), *const grad = floats(x->g->grads);
    const size_t count = elements(x);
    struct weft_cross_output *const a =
        weft_cross_put(e, "sum", true, WEFT_CROSS_F32, sum, 1, count);
    struct weft_cross_output *const b =
        weft_cross_put(e, "grads", true, WEFT_CROSS_F32, grad, 1, count);
    for (size_t i = 0; !e->failed && i < count; i++) {
        a->want[i] = b->want[i] = (double)grad[i] + (x->run->accumulate ? (double)sum[i] : 0);
        a->tol[i] = b->tol[i] = REF_U * fabs(a->want[i]);
    }
}

/* Norm, factor of clipping, values that are not finite; sums in f64 on both sides. */
void weft_cross_gradnorm(const struct weft_exec *x, const struct weft_node *n,
                         struct weft_cross_expect *e) {
    const struct weft_optim *const o = &n->attr.optim;
    const float *const grad = floats(x->g->grads);
    struct weft_cross_output *const r =
        weft_cross_put(e, "norm", true, WEFT_CROSS_F64, x_ptr(x, n->out[0]), 1, 3);
    double sq = 0;
    for (size_t i = 0; i < elements(x); i++) sq += (double)grad[i] * (double)grad[i];
    if (e->failed) return;
    const double norm = sqrt(sq);
    r->want[0] = norm;
    r->want[1] = o->clip > 0 && norm > o->clip ? o->clip / (norm + 1e-6) : 1;
    r->tol[0] = (double)elements(x) * 0x1p-53 * norm;
    r->tol[1] = (double)elements(x) * 0x1p-53;
}

/* ---- one step of every parameter ---- */
struct sweep {
    const char *name;
    struct ref_optim o;
    double scale;
    long step;
    float *w, *g, *m, *v;
    struct weft_cross_output *out[3];
};

static struct ref_optim_state start_of(const struct sweep *s, size_t i) {
    struct ref_optim_state st = ref_optim_start(s->name, (double)s->w[i]);
    const double start = st.v; /* rmsprop_playbook: v is stored from 0 */
    st.t = s->step;
    st.m = s->m == NULL ? 0 : (double)s->m[i];
    st.v = s->v == NULL ? 0 : (double)s->v[i] + start * pow(s->o.beta2, (double)s->step);
    return st;
}

/* The share of lars for a parameter: trust |w| / (|g| + decay |w|) of the clipped gradient. */
static double trust_of(const struct weft_optim *o, const struct sweep *s, size_t first, size_t n) {
    double w = 0, g = 0;
    for (size_t i = first; i < first + n; i++) {
        w += (double)s->w[i] * (double)s->w[i];
        g += (double)s->g[i] * (double)s->g[i];
    }
    const double below = s->scale * sqrt(g) + s->o.decay * sqrt(w);
    const double trust = o->trust > 0 ? o->trust : 0.001;
    return w > 0 && below > 0 ? trust * sqrt(w) / below : 1;
}

static void expect_element(const struct sweep *s, size_t i, double mu_product) {
    struct ref_optim_state st = start_of(s, i);
    st.mu_product = mu_product;
    const struct ref_optim_state old = st;
    const double g = s->scale * (double)s->g[i];
    ref_optim_step(s->name, &s->o, &st, g);
    const struct ref_optim_bounds b = ref_optim_bound(s->name, &s->o, &old, &st, g);
    const double start = ref_optim_start(s->name, 0).v;
    const double want[3] = {st.w, st.m, st.v - start * pow(s->o.beta2, (double)st.t)};
    const double tol[3] = {b.w, b.m, b.v};
    for (size_t k = 0; k < 3; k++)
        if (s->out[k] != NULL) s->out[k]->want[i] = want[k], s->out[k]->tol[i] = tol[k];
}

void weft_cross_optimizer(const struct weft_exec *x, const struct weft_node *n,
                          struct weft_cross_expect *e) {
    const struct weft_optim *const o = &n->attr.optim;
    const weft_graph *const g = x->g;
    struct sweep s = {.name = o->name,
                      .o = {x->run->lr, o->beta1, o->beta2, o->eps, 0},
                      .scale = x_f64(x, n->in[0])[1],
                      .step = (long)x->run->step,
                      .w = floats(g->params),
                      .g = floats(g->grads),
                      .m = g->optim_states > 0 ? floats(g->optim[0]) : NULL,
                      .v = g->optim_states > 1 ? floats(g->optim[1]) : NULL};
    float *const data[3] = {s.w, s.m, s.v};
    static const char *const names[3] = {"w", "m", "v"};
    for (size_t k = 0; k < 3; k++)
        if (data[k] != NULL)
            s.out[k] = weft_cross_put(e, names[k], true, WEFT_CROSS_F32, data[k], 1, elements(x));
    if (e->failed) return;
    double mu = 1;
    for (long t = 1; t <= s.step; t++) mu *= s.o.beta1 * (1 - 0.5 * pow(0.96, 0.004 * (double)t));
    const double scale = s.scale;
    for (size_t t = 0; t < g->tensors; t++) {
        const struct weft_tensor_desc *const d = &g->tensor[t];
        if (d->kind != WEFT_PARAM || d->grad < 0) continue;
        const size_t first = d->offset / sizeof(float), count = weft_desc_count(d);
        s.scale = scale;
        s.o.decay = d->param.decay ? o->weight_decay : 0;
        const double trust = strcmp(o->name, "lars") == 0 ? trust_of(o, &s, first, count) : 1;
        s.scale *= trust;
        s.o.decay *= trust;
        for (size_t i = first; i < first + count; i++) expect_element(&s, i, mu);
    }
}

/* ---- rows of matrices whose gradient is too long for their weights ---- */
static double length(const float *p, size_t n) {
    double sq = 0;
    for (size_t i = 0; i < n; i++) sq += (double)p[i] * (double)p[i];
    return sqrt(sq);
}

void weft_cross_agc(const struct weft_exec *x, const struct weft_node *n,
                    struct weft_cross_expect *e) {
    const weft_graph *const g = x->g;
    float *const grads = floats(g->grads), *const params = floats(g->params);
    struct weft_cross_output *const out =
        weft_cross_put(e, "grads", true, WEFT_CROSS_F32, grads, 1, elements(x));
    if (e->failed) return;
    for (size_t i = 0; i < elements(x); i++) out->want[i] = (double)grads[i];
    for (size_t t = 0; t < g->tensors; t++) {
        const struct weft_tensor_desc *const d = &g->tensor[t];
        if (d->kind != WEFT_PARAM || d->grad < 0 || d->param.shape[1] == 0) continue;
        const size_t first = d->offset / sizeof(float), cols = d->shape[2];
        for (size_t row = first; row < first + weft_desc_count(d); row += cols) {
            const double most = n->attr.optim.agc * fmax(length(params + row, cols), 1e-3);
            const double long_by = length(grads + row, cols) / most;
            for (size_t i = row; long_by > 1 && i < row + cols; i++) {
                out->want[i] /= long_by;
                out->tol[i] = 2.5 * REF_U * fabs(out->want[i]);
            }
        }
    }
}
