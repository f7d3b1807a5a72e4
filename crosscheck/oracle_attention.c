/* Attention, a head of a sample at a time (runtime/op_attention.c). */
#include <math.h>

#include "crosscheck/oracle.h"
#include "kernels/ref/ref_attention.h"

struct shape {
    size_t b, t, c, hs, heads;
    double scale; /* as the kernels get it */
};

static struct shape shape_of(const struct weft_exec *x, const struct weft_node *n) {
    const struct weft_tensor_desc *const d = weft_desc(x->g, n->in[0]);
    const size_t c = d->shape[2] / 3, hs = c / n->attr.heads;
    return (struct shape){x_samples(x, n->in[0]),
                          d->shape[1],
                          c,
                          hs,
                          n->attr.heads,
                          (double)(float)(1 / sqrt((double)hs))};
}

/* (t, hs) dense <-> columns [col, col + hs) of rows of ld. */
static double *gather(struct weft_cross_expect *e, const float *src, size_t t, size_t hs,
                      size_t ld) {
    double *const out = weft_cross_doubles(e, t * hs);
    for (size_t i = 0; out != NULL && i < t * hs; i++) out[i] = (double)src[i / hs * ld + i % hs];
    return out;
}
static void scatter(const double *src, size_t t, size_t hs, size_t ld, double *dst) {
    for (size_t i = 0; i < t * hs; i++) dst[i / hs * ld + i % hs] = src[i];
}

struct head { /* of one sample */
    const double *q, *k, *v;
};

static struct head head_of(struct weft_cross_expect *e, const float *qkv, const struct shape *s,
                           size_t h) {
    const float *const q = qkv + h * s->hs;
    return (struct head){gather(e, q, s->t, s->hs, 3 * s->c),
                         gather(e, q + s->c, s->t, s->hs, 3 * s->c),
                         gather(e, q + 2 * s->c, s->t, s->hs, 3 * s->c)};
}

/* The factors of dropout of head h in sample b, (t, t); NULL: none. */
static const double *factors(struct weft_cross_expect *e, const struct weft_exec *x,
                             const struct weft_node *n, const struct shape *s, size_t b, size_t h) {
    const struct weft_attn_drop drop = {.seed = x->run->seed,
                                        .step = x->run->step,
                                        .sample = x->run->sample + b,
                                        .stream = n->attr.stream + (uint32_t)h,
                                        .p = n->attr.prob};
    double *const f = drop.p > 0 ? weft_cross_doubles(e, s->t * s->t) : NULL;
    for (size_t i = 0; f != NULL && i < s->t * s->t; i++)
        f[i] = ref_attention_drop(&drop, i / s->t, i % s->t);
    return f;
}

void weft_cross_attention(const struct weft_exec *x, const struct weft_node *n,
                          struct weft_cross_expect *e) {
    const struct shape s = shape_of(x, n);
    struct weft_cross_output *const y = weft_cross_out(e, x, n, 0, "y", false);
    struct weft_cross_output *const lse = weft_cross_out(e, x, n, 1, "lse", false);
    struct weft_cross_output *const smax = weft_cross_out(e, x, n, 2, "smax", false);
    double *const out = weft_cross_doubles(e, s.t * s.hs), *const tol =
                                                               weft_cross_doubles(e, s.t * s.hs);
    for (size_t bh = 0; bh < s.b * s.heads; bh++) {
        const size_t b = bh / s.heads, h = bh % s.heads, at = b * s.t * s.c + h * s.hs;
        const struct head p = head_of(e, x_f32(x, n->in[0]) + b * s.t * 3 * s.c, &s, h);
        const double *const f = factors(e, x, n, &s, b, h);
        if (e->failed) return;
        double *const l = lse->want + bh * s.t, *const m = smax->want + bh * s.t;
        ref_attention_fwd(s.t, s.hs, p.q, p.k, p.v, f, s.scale, true, out, l, m);
        ref_attention_fwd_bound(s.t, s.hs, p.q, p.k, p.v, f, s.scale, true, 0, out, l, m, tol,
                                lse->tol + bh * s.t, smax->tol + bh * s.t);
        scatter(out, s.t, s.hs, s.c, y->want + at);
        scatter(tol, s.t, s.hs, s.c, y->tol + at);
    }
}

void weft_cross_attention_bwd(const struct weft_exec *x, const struct weft_node *n,
                              struct weft_cross_expect *e) {
    const struct shape s = shape_of(x, n);
    struct weft_cross_output *const dqkv = weft_cross_out(e, x, n, 0, "dqkv", true);
    for (size_t bh = 0; bh < s.b * s.heads; bh++) {
        const size_t b = bh / s.heads, h = bh % s.heads, at = b * s.t * s.c + h * s.hs;
        const struct head p = head_of(e, x_f32(x, n->in[0]) + b * s.t * 3 * s.c, &s, h);
        const double *const y = gather(e, x_f32(x, n->in[1]) + at, s.t, s.hs, s.c);
        const double *const dy = gather(e, x_f32(x, n->in[2]) + at, s.t, s.hs, s.c);
        const double *const lse = weft_cross_widen(e, x_f32(x, n->in[3]) + bh * s.t, s.t);
        double *const grad = weft_cross_doubles(e, 3 * s.t * s.hs);
        double *const tol = weft_cross_doubles(e, 3 * s.t * s.hs);
        const double *const f = factors(e, x, n, &s, b, h);
        if (e->failed) return;
        double *g[3], *w[3];
        for (size_t i = 0; i < 3; i++) g[i] = grad + i * s.t * s.hs, w[i] = tol + i * s.t * s.hs;
        ref_attention_bwd(s.t, s.hs, p.q, p.k, p.v, f, y, lse, dy, s.scale, true, g[0], g[1], g[2]);
        ref_attention_bwd_bound(s.t, s.hs, p.q, p.k, p.v, f, y, lse, dy, s.scale, true, 0, w[0],
                                w[1], w[2]);
        for (size_t i = 0; i < 3; i++) {
            const size_t to = b * s.t * 3 * s.c + i * s.c + h * s.hs;
            scatter(g[i], s.t, s.hs, 3 * s.c, dqkv->want + to);
            scatter(w[i], s.t, s.hs, 3 * s.c, dqkv->tol + to);
        }
    }
}

/* Position p of a head's cache: keys in blocks (kernels/attention.h). */
static void from_cache(const struct shape *s, const float *kcache, const float *vcache, size_t p,
                       double *k, double *v) {
    for (size_t d = 0; d < s->hs; d++) {
        k[d] = (double)
            kcache[(p / WEFT_ATTN_BLOCK * s->hs + d) * WEFT_ATTN_BLOCK + p % WEFT_ATTN_BLOCK];
        v[d] = (double)vcache[p * weft_attn_pad(s->hs) + d];
    }
}

void weft_cross_attention_kv(const struct weft_exec *x, const struct weft_node *n,
                             struct weft_cross_expect *e) {
    const struct shape s = shape_of(x, n);
    const size_t rows = x_rows(x, n->in[0]), pos = x->run->pos, t = pos + rows;
    struct weft_cross_output *const y = weft_cross_out(e, x, n, 0, "y", false);
    for (size_t h = 0; h < s.heads; h++) {
        const float *const qkv = x_f32(x, n->in[0]) + h * s.hs;
        const float *const kc = x_f32(x, n->in[1]) + h * x_cols(x, n->in[1]);
        const float *const vc = x_f32(x, n->in[2]) + h * x_cols(x, n->in[2]);
        double *const m = weft_cross_doubles(e, 4 * t);
        double *const a = weft_cross_doubles(e, 5 * t * s.hs);
        if (e->failed) return;
        double *const q = a, *const k = a + t * s.hs, *const v = a + 2 * t * s.hs;
        double *const out = a + 3 * t * s.hs, *const tol = a + 4 * t * s.hs;
        for (size_t i = 0; i < t; i++) {
            if (i < pos) {
                from_cache(&s, kc, vc, i, k + i * s.hs, v + i * s.hs);
                continue;
            }
            for (size_t d = 0; d < s.hs; d++) {
                const float *const row = qkv + (i - pos) * 3 * s.c + d;
                q[i * s.hs + d] = (double)row[0];
                k[i * s.hs + d] = (double)row[s.c];
                v[i * s.hs + d] = (double)row[2 * s.c];
            }
        }
        ref_attention_fwd(t, s.hs, q, k, v, NULL, s.scale, true, out, m, m + t);
        ref_attention_fwd_bound(t, s.hs, q, k, v, NULL, s.scale, true, 0, out, m, m + t, tol,
                                m + 2 * t, m + 3 * t);
        scatter(out + pos * s.hs, rows, s.hs, s.c, y->want + h * s.hs);
        scatter(tol + pos * s.hs, rows, s.hs, s.c, y->tol + h * s.hs);
    }
}
