/* Flash attention forward (algorithm and orders: attention.h), for training and for generation.
 *
 * Up to 256 queries at a time go through the keys together: a block of 64 keys is packed once as
 * (hs, 64), so that a score tile is broadcast queries times vectors of keys, and its values once as
 * rows. Within a block, groups of 16 queries make scores, probabilities and their part of y while
 * these sit in the first-level cache. A key-value cache holds its blocks packed already.
 *
 * Error, against exact arithmetic on the same inputs: |y - y*| <= 2 e |p||v| with e = u (hs + 2)
 * scale max|q||k| for the scores, plus u (70 + t/16) |p||v| for exp, the chains and the rescaling.
 */
#include "kernels/attention_drop.h"
#include "kernels/attention_tile.h"
#include "kernels/kernels.h"
#include "kernels/simd/vec_math.h"
#include "kernels/simd/vec_reduce.h"

#define GROUP  ((size_t)16) /* queries whose scores are in flight; divides BLOCK */
#define LOWEST (-0x1.fffffep127f)

/* Queries [r0, r1) of a head, r1 - r0 <= WEFT_ATTN_ROWS, at these positions of the key sequence. */
struct sweep {
    const elem *q; /* the query at position r0, ld=ldq */
    elem *y;       /* likewise its result, ld=ldy */
    size_t ldq, ldy, hs, hp;
    size_t r0, r1;
    float scale;
    bool causal;
    float *o; /* (r1 - r0, hp) y before the division */
    float *l; /* (r1 - r0, 32) lanes of the sum of p */
    float *m; /* (r1 - r0) running maximum */
    float *e; /* (r1 - r0, 32) lanes of the sum of p (s - m); NULL: no entropy */
    struct drop drop;
};

/* Bytes of scratch in front of the sweep's own: one packed block of keys and one of values. */
static WEFT_INLINE void sweep_init(struct sweep *s, float *scratch) {
    const size_t rows = s->r1 - s->r0;
    s->o = scratch + 2 * BLOCK * s->hp;
    s->l = s->o + WEFT_ATTN_ROWS * s->hp;
    s->m = s->l + WEFT_ATTN_ROWS * 32;
    if (s->e) s->e = s->m + WEFT_ATTN_ROWS;
    for (size_t i = 0; i < rows * s->hp; i += VL) v_store(s->o + i, v_zero());
    for (size_t i = 0; i < rows * 32; i += VL) v_store(s->l + i, v_zero());
    for (size_t i = 0; s->e && i < rows * 32; i += VL) v_store(s->e + i, v_zero());
    for (size_t i = 0; i < rows; i++) s->m[i] = LOWEST; /* not -inf: exp(-inf - -inf) is no 0 */
}

/* s[0, n) <- s scale; returns the larger of m and their maximum (NaN wins). */
static WEFT_INLINE float row_scale_max(float *s, size_t n, vf scale, float m) {
    vf top = v_set1(m);
    size_t c = 0;
    for (; c + VL <= n; c += VL) {
        const vf x = v_mul(v_load(s + c), scale);
        v_store(s + c, x);
        top = v_max(top, x);
    }
    if (c < n) {
        const vf x = v_mul(v_load(s + c), scale);
        v_store(s + c, x);
        top = v_max(top, v_sel(m_first(n - c), x, top));
    }
    return v_fold_max(top);
}

/* s[0, n) <- p = exp(s - m), the lanes l <- l alpha + p. Entries of s past n are left as they are.
 * A NaN among the scores is m, hence alpha, hence l and y: p need not be one. */
static WEFT_INLINE void row_exp(float *s, size_t n, float m, vf alpha, float *l) {
    const vf top = v_set1(m);
    for (size_t c = 0; c < BLOCK; c += VL) {
        const size_t lane = c % 32;
        vf p = v_zero();
        if (c + VL <= n) {
            p = v_exp_neg(v_sub(v_load(s + c), top));
            v_store(s + c, p);
        } else if (c < n) {
            p = v_keep(m_first(n - c), v_exp_neg(v_sub(v_load(s + c), top)));
            v_store(s + c, p);
        }
        const vf old = v_load(l + lane);
        v_store(l + lane, c < 32 ? v_fma(old, alpha, p) : v_add(old, p));
    }
}

/* The same, and the lanes of the entropy; down = the old maximum minus m. */
static WEFT_NOINLINE void row_exp_measured(float *s, size_t n, float m, vf alpha, vf down, float *l,
                                           float *e) {
    const vf top = v_set1(m);
    for (size_t c = 0; c < BLOCK; c += VL) {
        const size_t lane = c % 32;
        const vm live = m_first(c >= n ? 0 : n - c < VL ? n - c : VL);
        const vf d = v_keep(live, v_sub(v_load(s + c), top));
        const vf p = v_keep(live, v_exp_neg(d));
        if (c < n) v_store(s + c, p);
        const vf pd = v_sel(v_eq(p, v_zero()), v_zero(), v_mul(p, d)); /* 0 * -inf is 0 here */
        const vf old = v_load(l + lane), was = v_load(e + lane);
        v_store(l + lane, c < 32 ? v_fma(old, alpha, p) : v_add(old, p));
        if (c < 32)
            v_store(e + lane, v_fma(WEFT_BUG(23) ? was : v_fma(old, down, was), alpha, pd));
        else
            v_store(e + lane, v_add(was, pd));
    }
}

/* p (rows, 64) <- p f, queries [r, r + rows) against the block of keys at j0. */
static WEFT_NOINLINE void group_drop(const struct drop *d, size_t r, size_t rows, size_t j0,
                                     float *p) {
    float factor[BLOCK] WEFT_ALIGN(64);
    for (size_t j = 0; j < rows; j++, p += BLOCK) {
        drop_row(d, r + j, j0, factor);
        for (size_t c = 0; c < BLOCK; c += VL)
            v_store(p + c, v_mul(v_load(p + c), v_load(factor + c)));
    }
}

/* Queries [r, r + rows), rows <= GROUP, against the block at j0: packed keys kt (hs, 64), values v
 * (n, hp). Query r sees the first n keys; step 1: each next one sees one more. */
static WEFT_NOINLINE void group_block(const struct sweep *s, size_t r, size_t rows, const float *kt,
                                      const float *v, size_t j0, size_t n, size_t step) {
    float p[GROUP * BLOCK] WEFT_ALIGN(64);
    float alpha[GROUP] WEFT_ALIGN(64) = {0};
    float down[GROUP] WEFT_ALIGN(64) = {0};
    const size_t i = r - s->r0;
    float *m = s->m + i;
#if WEFT_ELEM_F32
    const float *const q = s->q + i * s->ldq;
    const size_t ldq = s->ldq;
#else
    float q[GROUP * WEFT_ATTN_MAX_HS] WEFT_ALIGN(64);
    const size_t ldq = s->hp;
    pack_rows(s->q + i * s->ldq, s->ldq, rows, s->hs, q);
#endif
    product_nt(&(struct product){.a = q,
                                 .rs = ldq,
                                 .b = kt,
                                 .ldb = BLOCK,
                                 .c = p,
                                 .ldc = BLOCK,
                                 .rows = rows,
                                 .cols = n + (rows - 1) * step,
                                 .hi = s->hs});
    const vf scale = v_set1(s->scale);
    for (size_t j = 0; j < rows; j++) {
        const float top = row_scale_max(p + j * BLOCK, n + j * step, scale, m[j]);
        down[j] = m[j] - top;
        alpha[j] = WEFT_BUG(12) ? 0 : down[j];
        m[j] = top;
    }
    for (size_t j = 0; j < rows; j += VL) v_store(alpha + j, v_exp(v_load(alpha + j)));
    for (size_t j = 0; j < rows; j++) {
        const vf shrink = v_set1(alpha[j]);
        float *o = s->o + (i + j) * s->hp;
        if (s->e)
            row_exp_measured(p + j * BLOCK, n + j * step, m[j], shrink, v_set1(down[j]),
                             s->l + (i + j) * 32, s->e + (i + j) * 32);
        else
            row_exp(p + j * BLOCK, n + j * step, m[j], shrink, s->l + (i + j) * 32);
        if (alpha[j] == 1) continue; /* the usual case after some blocks, and exact */
        for (size_t d = 0; d < s->hp; d += VL) v_store(o + d, v_mul(v_load(o + d), shrink));
    }
    if (s->drop.on) group_drop(&s->drop, r, rows, j0, p);
    product_nn(&(struct product){.a = p,
                                 .b = v,
                                 .ldb = s->hp,
                                 .c = s->o + i * s->hp,
                                 .ldc = s->hp,
                                 .rows = rows,
                                 .cols = s->hp,
                                 .hi = n,
                                 .hi_step = step});
}

/* All queries of the sweep that see the block of n keys at position j0. */
static void sweep_block(const struct sweep *s, const float *kt, const float *v, size_t j0,
                        size_t n) {
    size_t r = s->causal && j0 > s->r0 ? j0 : s->r0;
    while (r < s->r1) {
        const size_t next = (r / GROUP + 1) * GROUP; /* a group never straddles two blocks */
        const size_t rows = (next < s->r1 ? next : s->r1) - r;
        const bool diagonal = s->causal && r < j0 + BLOCK;
        group_block(s, r, rows, kt, v, j0, diagonal ? r - j0 + !WEFT_BUG(11) : n, diagonal);
        r += rows;
    }
}

/* Sums of the 32 lanes of rows [r, r + rows). */
static WEFT_INLINE void fold_lanes(const float *lanes, size_t r, size_t rows, float *out) {
    for (size_t j = 0; j < rows; j++) {
        v32 x;
        V32_EACH(w) x.v[w] = v_load(lanes + (r + j) * 32 + w * VL);
        out[j] = v32_sum(&x);
    }
}

/* y = o / l, lse = m + log l, entropy = log l - e / l. lse, smax, entropy: at position r0, may be
 * NULL. */
static void sweep_finish(const struct sweep *s, float *lse, float *smax, float *entropy) {
    for (size_t r = 0; r < s->r1 - s->r0; r += VL) {
        const size_t rows = s->r1 - s->r0 - r < VL ? s->r1 - s->r0 - r : VL;
        float inv[VL] = {0}, e[VL] = {0};
        fold_lanes(s->l, r, rows, inv);
        const vf sum = v_load(inv);
        const vf m = v_load_n(s->m + r, rows);
        if (lse) v_store_n(lse + r, v_add(m, v_log(sum)), rows);
        if (smax) v_store_n(smax + r, m, rows);
        if (entropy) {
            fold_lanes(s->e, r, rows, e);
            v_store_n(entropy + r, v_sub(v_log(sum), v_div(v_load(e), sum)), rows);
        }
        v_store(inv, v_div(v_set1(1.0f), sum));
        for (size_t j = 0; j < rows; j++) {
            const vf x = v_set1(inv[j]);
            const float *o = s->o + (r + j) * s->hp;
            elem *y = s->y + (r + j) * s->ldy;
            size_t d = 0;
            for (; d + VL <= s->hs; d += VL) e_store(y + d, v_mul(v_load(o + d), x));
            if (d < s->hs) e_store_n(y + d, v_mul(v_load(o + d), x), s->hs - d);
        }
    }
}

/* The end of the sweep that starts at r0: at most WEFT_ATTN_ROWS queries, then a block's edge. */
static size_t sweep_end(size_t r0, size_t r1) {
    const size_t end = r0 / BLOCK * BLOCK + WEFT_ATTN_ROWS;
    return end < r1 ? end : r1;
}

void WEFT_EFN(attn_fwd)(const struct weft_attn_fwd_args *a) {
    struct sweep s = {.ldq = a->ld,
                      .ldy = a->ldy,
                      .hs = a->hs,
                      .hp = weft_attn_pad(a->hs),
                      .scale = a->scale,
                      .causal = a->causal,
                      .drop = drop_init(&a->drop),
                      .e = a->entropy ? a->scratch : NULL}; /* sweep_init finds its place */
    float *kt = a->scratch;
    float *v = kt + BLOCK * s.hp;
    for (s.r0 = a->q0; s.r0 < a->q1; s.r0 = s.r1) {
        s.r1 = sweep_end(s.r0, a->q1);
        s.q = (const elem *)a->q + s.r0 * a->ld;
        s.y = (elem *)a->y + s.r0 * a->ldy;
        sweep_init(&s, a->scratch);
        const size_t keys = a->causal ? s.r1 : a->t;
        for (size_t j0 = 0; j0 < keys; j0 += BLOCK) {
            const size_t n = keys - j0 < BLOCK ? keys - j0 : BLOCK;
            pack_columns((const elem *)a->k + j0 * a->ld, a->ld, n, a->hs, kt);
            pack_rows((const elem *)a->v + j0 * a->ld, a->ld, n, a->hs, v);
            sweep_block(&s, kt, v, j0, n);
        }
        sweep_finish(&s, a->lse ? a->lse + s.r0 : NULL, a->smax ? a->smax + s.r0 : NULL,
                     a->entropy ? a->entropy + s.r0 : NULL);
    }
}

#if WEFT_ELEM_F32
void WEFT_FN(attn_kv_f32)(const struct weft_attn_kv_args *a) {
    struct sweep s = {.ldq = a->ld,
                      .ldy = a->ldy,
                      .hs = a->hs,
                      .hp = weft_attn_pad(a->hs),
                      .scale = a->scale,
                      .causal = true};
    const size_t end = a->pos + a->n;
    for (s.r0 = a->pos; s.r0 < end; s.r0 = s.r1) {
        s.r1 = sweep_end(s.r0, end);
        s.q = a->q + (s.r0 - a->pos) * a->ld;
        s.y = a->y + (s.r0 - a->pos) * a->ldy;
        sweep_init(&s, a->scratch);
        for (size_t j0 = 0; j0 < s.r1; j0 += BLOCK) {
            const size_t n = s.r1 - j0 < BLOCK ? s.r1 - j0 : BLOCK;
            sweep_block(&s, a->kcache + j0 * a->hs, a->vcache + j0 * s.hp, j0, n);
        }
        sweep_finish(&s, NULL, NULL, NULL);
    }
}

void WEFT_FN(attn_kv_append_f32)(const struct weft_attn_append_args *a) {
    for (size_t i = 0; i < a->n; i++) {
        const size_t p = a->pos + i;
        float *column = a->kcache + p / BLOCK * BLOCK * a->hs + p % BLOCK;
        for (size_t d = 0; d < a->hs; d++) column[d * BLOCK] = a->k[i * a->ld + d];
    }
    pack_rows(a->v, a->ld, a->n, a->hs, a->vcache + a->pos * weft_attn_pad(a->hs));
}
#endif
