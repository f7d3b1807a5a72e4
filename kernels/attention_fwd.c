/* Flash attention forward (algorithm and orders: attention.h), for training and for generation.
 *
 * Up to 256 queries at a time go through the keys together: a block of 64 keys is packed once as
 * (hs, 64), so that a score tile is broadcast queries times vectors of keys, and its values once as
 * rows. Within a block, groups of 16 queries make scores, probabilities and their part of y while
 * these sit in the first-level cache. A key-value cache holds its blocks packed already.
 *
 * Error, against exact arithmetic on the same inputs: |y - y*| <= 2 e |p||v| with e = u (hs + 2)
 * scale max|q||k| for the scores, plus u (70 + t/16) |p||v| for exp, the chains and the rescaling,
 * and 2^-8 |p||v| with dot products of bf16, which round p. Generation rounds q for them too: what
 * is said holds for the rounded one. */
#include "kernels/attention_drop.h"
#include "kernels/attention_tile.h"
#include "kernels/kernels.h"
#include "kernels/simd/vec_math.h"
#include "kernels/simd/vec_reduce.h"

#define GROUP  ((size_t)16) /* queries whose scores are in flight; divides BLOCK */
#define LOWEST (-0x1.fffffep127f)

/* Queries [r0, r1) of a head, r1 - r0 <= WEFT_ATTN_ROWS, at these positions of the key sequence. */
struct sweep {
    float *q; /* (r1 - r0, hp / WORD) the queries as words */
    void *y;  /* the result of the query at position r0, ld=ldy; elem, or f32 */
    bool y_f32;
    size_t ldy, hs, hp;
    size_t r0, r1;
    float scale;
    bool causal;
    float *o; /* (r1 - r0, hp) y before the division */
    float *l; /* (r1 - r0, 32) lanes of the sum of p */
    float *m; /* (r1 - r0) running maximum */
    float *e; /* (r1 - r0, 32) lanes of the sum of p (s - m); NULL: no entropy */
    const elem *k, *v; /* keys and values ld=ld as the caller has them; NULL: packed already */
    size_t ld, keys;    /* how many of them the sweep wants */
    struct drop drop;
};

/* In front of the sweep's own scratch: a packed block of keys, and one of values. */
static WEFT_INLINE void sweep_init(struct sweep *s, float *scratch) {
    const size_t rows = s->r1 - s->r0;
    s->q = scratch + 2 * BLOCK * s->hp;
    s->o = s->q + WEFT_ATTN_ROWS * s->hp;
    s->l = s->o + WEFT_ATTN_ROWS * s->hp;
    s->m = s->l + WEFT_ATTN_ROWS * 32;
    if (s->e) s->e = s->m + WEFT_ATTN_ROWS;
    for (size_t i = 0; i < rows * s->hp; i += VL) v_store(s->o + i, v_zero());
    for (size_t i = 0; i < rows * 32; i += VL) v_store(s->l + i, v_zero());
    for (size_t i = 0; s->e && i < rows * 32; i += VL) v_store(s->e + i, v_zero());
    for (size_t i = 0; i < rows; i++) s->m[i] = LOWEST; /* not -inf: exp(-inf - -inf) is no 0 */
}

/* The maxima of s[0, n), lane by lane; NaN wins. */
static WEFT_INLINE vf row_max(const float *s, size_t n) {
    const vf none = v_set1(-MATH_INF);
    vf top = none;
    size_t c = 0;
    for (; c + VL <= n; c += VL) top = v_max(top, v_load(s + c));
    return c < n ? v_max(top, v_sel(m_first(n - c), v_load(s + c), none)) : top;
}

/* Rows [j, j + VL) of the group's scores, of which row j sees n and the next ones step more each:
 * m <- m' = max(m, scale max s), down = m - m', alpha = exp(down). As scale > 0, rounding keeps the
 * order: scale max s is max (scale s). */
static WEFT_INLINE void rows_max(const float *p, size_t rows, size_t n, size_t step, vf scale,
                                 float *m, float *down, float *alpha) {
    vf top[VL];
    WEFT_UNROLL_ALL
    for (size_t i = 0; i < VL; i++) top[i] = row_max(p + i * BLOCK, i < rows ? n + i * step : 0);
    v_transpose(top);
    WEFT_UNROLL_ALL
    for (size_t w = VL / 2; w > 0; w /= 2) WEFT_UNROLL_ALL
    for (size_t i = 0; i < w; i++) top[i] = v_max(top[i], top[i + w]);
    const vf old = v_load_n(m, rows < VL ? rows : VL);
    const vf new = v_max(old, v_mul(top[0], scale));
    const vf d = v_sub(old, new);
    v_store(down, d);
    v_store(alpha, v_exp(WEFT_BUG(12) ? v_zero() : d));
    v_store_n(m, new, rows < VL ? rows : VL);
}

/* p, times its factor, from column c on: a row of scores becomes one of words, in place, since each
 * vector is read before words reach it. */
static WEFT_INLINE void put_p(float *s, size_t c, vf p, const float *factor) {
    word_put(s, c, factor ? v_mul(p, v_load(factor + c)) : p);
}

/* s[0, n) <- p = exp(scale s - m), times its factor, the rest of the last vector 0; the lanes l <- l
 * alpha + p. A NaN among the scores is m, hence alpha, hence l and y: p need not be one. */
static WEFT_INLINE void row_exp(float *s, const size_t n, vf scale, vf m, vf alpha, float *l,
                                const float *factor) {
    for (size_t half = 0; half < BLOCK; half += 32) {
        v32 x, p;
        V32_EACH(j) {
            const size_t c = half + j * VL;
            x.v[j] = c < n ? v_sub(v_mul(v_load(s + c), scale), m) : v_zero();
        }
        math_exp_all(x.v, p.v, V32N);
        V32_EACH(j) {
            const size_t c = half + j * VL;
            vf y = math_exp_low(x.v[j], p.v[j]);
            if (c + VL > n) y = v_keep(m_first(c < n ? n - c : 0), y);
            if (c < n) put_p(s, c, y, factor);
            const vf old = v_load(l + j * VL);
            v_store(l + j * VL, half == 0 ? v_fma(old, alpha, y) : v_add(old, y));
        }
    }
}

/* The same, and the lanes of the entropy; down = the old maximum minus m. */
static WEFT_NOINLINE void row_exp_measured(float *s, size_t n, vf scale, vf m, vf alpha, vf down,
                                           float *l, float *e, const float *factor) {
    for (size_t c = 0; c < BLOCK; c += VL) {
        const size_t lane = c % 32;
        const vm live = m_first(c >= n ? 0 : n - c < VL ? n - c : VL);
        const vf d = v_keep(live, v_sub(v_mul(v_load(s + c), scale), m));
        const vf p = v_keep(live, v_exp_neg(d));
        if (c < n) put_p(s, c, p, factor);
        const vf pd = v_sel(v_eq(p, v_zero()), v_zero(), v_mul(p, d)); /* 0 * -inf is 0 here */
        const vf old = v_load(l + lane), was = v_load(e + lane);
        v_store(l + lane, c < 32 ? v_fma(old, alpha, p) : v_add(old, p));
        if (c < 32)
            v_store(e + lane, v_fma(WEFT_BUG(23) ? was : v_fma(old, down, was), alpha, pd));
        else
            v_store(e + lane, v_add(was, pd));
    }
}

/* Queries [r, r + rows), rows <= GROUP, against the block at j0: packed keys kt (words of hs, 64),
 * values v (words of n, hp). Query r sees the first n keys; step 1: each next one sees one more. */
static WEFT_NOINLINE void group_block(const struct sweep *s, size_t r, size_t rows, const float *kt,
                                      const float *v, size_t j0, size_t n, size_t step) {
    float p[GROUP * BLOCK] WEFT_ALIGN(64);
    float alpha[GROUP] WEFT_ALIGN(64), down[GROUP] WEFT_ALIGN(64);
    float kept[BLOCK] WEFT_ALIGN(64);
    const size_t i = r - s->r0;
    float *m = s->m + i;
    product_nt(&(struct product){.a = s->q + i * (s->hp / WORD),
                                 .rs = s->hp / WORD,
                                 .b = kt,
                                 .ldb = BLOCK,
                                 .c = p,
                                 .ldc = BLOCK,
                                 .rows = rows,
                                 .cols = n + (rows - 1) * step,
                                 .hi = words_of(s->hs) * WORD});
    const vf scale = v_set1(s->scale);
    const bool whole = n == BLOCK && step == 0;
    for (size_t j = 0; j < rows; j += VL)
        if (whole && j + VL <= rows)
            rows_max(p + j * BLOCK, VL, BLOCK, 0, scale, m + j, down + j, alpha + j);
        else
            rows_max(p + j * BLOCK, rows - j, n + j * step, step, scale, m + j, down + j,
                     alpha + j);
    for (size_t j = 0; j < rows; j++) {
        const vf shrink = v_set1(alpha[j]), top = v_set1(m[j]);
        float *o = s->o + (i + j) * s->hp, *l = s->l + (i + j) * 32, *row = p + j * BLOCK;
        const size_t part = BLOCK / WORD / GROUP * s->hp; /* of the values, a part a row */
        for (size_t d = 0; whole && d < part; d += 16) WEFT_PREFETCH(v + j * part + d);
        const float *const factor = s->drop.on ? kept : NULL;
        if (factor) drop_row(&s->drop, r + j, j0, kept);
        if (s->e)
            row_exp_measured(row, n + j * step, scale, top, shrink, v_set1(down[j]), l,
                             s->e + (i + j) * 32, factor);
        else if (whole)
            row_exp(row, BLOCK, scale, top, shrink, l, factor);
        else
            row_exp(row, n + j * step, scale, top, shrink, l, factor);
        if (alpha[j] == 1) continue; /* the usual case after some blocks, and exact */
        for (size_t d = 0; d < s->hp; d += VL) v_store(o + d, v_mul(v_load(o + d), shrink));
    }
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

/* Four rows of keys and values, on their way for the next block; groups of queries take turns. */
static WEFT_INLINE void fetch_ahead(const struct sweep *s, size_t row) {
    for (size_t j = row; s->k && j < row + 4 && j < s->keys; j++) {
        fetch_row(s->k + j * s->ld, s->hs * sizeof(elem));
        fetch_row(s->v + j * s->ld, s->hs * sizeof(elem));
    }
}

/* All queries of the sweep that see the block of n keys at position j0. */
static void sweep_block(const struct sweep *s, const float *kt, const float *v, size_t j0,
                        size_t n) {
    size_t r = s->causal && j0 > s->r0 ? j0 : s->r0;
    for (size_t ahead = j0 + BLOCK; r < s->r1; ahead += 4) {
        const size_t next = (r / GROUP + 1) * GROUP; /* a group never straddles two blocks */
        const size_t rows = (next < s->r1 ? next : s->r1) - r;
        const bool diagonal = s->causal && r < j0 + BLOCK;
        group_block(s, r, rows, kt, v, j0, diagonal ? r - j0 + !WEFT_BUG(11) : n, diagonal);
        fetch_ahead(s, ahead);
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

static WEFT_INLINE void put_y(const struct sweep *s, size_t i, vf y, size_t n) {
    float *const wide = (float *)s->y + i;
    if (!WEFT_ELEM_F32 && !s->y_f32)
        e_put_n((elem *)s->y + i, y, n);
    else if (n == VL)
        v_store(wide, y);
    else
        v_store_n(wide, y, n);
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
            for (size_t d = 0; d < s->hs; d += VL)
                put_y(s, (r + j) * s->ldy + d, v_mul(v_load(o + d), x),
                      s->hs - d < VL ? s->hs - d : VL);
        }
    }
}

/* The end of the sweep that starts at r0: at most WEFT_ATTN_ROWS queries, then a block's edge. */
static size_t sweep_end(size_t r0, size_t r1) {
    const size_t end = r0 / BLOCK * BLOCK + WEFT_ATTN_ROWS;
    return end < r1 ? end : r1;
}

void WEFT_EFN(attn_fwd)(const struct weft_attn_fwd_args *a) {
    struct sweep s = {.ldy = a->ldy,
                      .hs = a->hs,
                      .hp = weft_attn_pad(a->hs),
                      .k = a->k,
                      .v = a->v,
                      .ld = a->ld,
                      .scale = a->scale,
                      .causal = a->causal,
                      .drop = drop_init(&a->drop),
                      .e = a->entropy ? a->scratch : NULL}; /* sweep_init finds its place */
    float *kt = a->scratch;
    float *v = kt + BLOCK * s.hp;
    for (s.r0 = a->q0; s.r0 < a->q1; s.r0 = s.r1) {
        s.r1 = sweep_end(s.r0, a->q1);
        s.y = (elem *)a->y + s.r0 * a->ldy;
        sweep_init(&s, a->scratch);
        pack_words((const elem *)a->q + s.r0 * a->ld, a->ld, s.r1 - s.r0, a->hs, s.q);
        s.keys = a->causal ? s.r1 : a->t;
        for (size_t j0 = 0; j0 < s.keys; j0 += BLOCK) {
            const size_t n = s.keys - j0 < BLOCK ? s.keys - j0 : BLOCK;
            pack_columns((const elem *)a->k + j0 * a->ld, a->ld, n, a->hs, kt);
            pack_rows((const elem *)a->v + j0 * a->ld, a->ld, n, a->hs, v);
            sweep_block(&s, kt, v, j0, n);
        }
        sweep_finish(&s, a->lse ? a->lse + s.r0 : NULL, a->smax ? a->smax + s.r0 : NULL,
                     a->entropy ? a->entropy + s.r0 : NULL);
    }
}

/* ---- with a cache, whose elements are words already, but for bf16 without dot products ---- */
#define CACHED_WORDS (WEFT_ELEM_F32 || WORD > 1)

/* n numbers of the cache as f32; both have room for whole vectors. */
static WEFT_NOINLINE void widen(const elem *from, size_t n, float *to) {
    for (size_t i = 0; i < n; i += VL) v_store(to + i, e_load(from + i));
}

/* dst (n, hp) = src (n, hs) ld=ld, padded with zeros, in rows of words or of elem. */
static WEFT_INLINE void pad_rows(const float *src, size_t ld, size_t n, size_t hs, const bool words,
                                 void *dst) {
    const size_t hp = weft_attn_pad(hs);
    for (size_t i = 0; i < n; i++, src += ld)
        for (size_t d = 0; d < hp; d += VL) {
            const size_t left = d < hs ? hs - d : 0;
            const vf x = left ? v_load_n(src + d, left < VL ? left : VL) : v_zero();
            if (words)
                word_put((float *)dst + i * (hp / WORD), d, x);
            else
                e_store((elem *)dst + i * hp + d, x);
        }
}

/* The block of n keys at position j0. */
static void cached_block(const struct sweep *s, const struct weft_attn_kv_args *a, size_t j0,
                         size_t n) {
    const size_t deep = words_of(a->hs) * WORD;
    const elem *const k = (const elem *)a->kcache + j0 * deep;
    const elem *const v = (const elem *)a->vcache + j0 * s->hp;
    if (CACHED_WORDS) {
        sweep_block(s, (const void *)k, (const void *)v, j0, n);
        return;
    }
    float *const kt = a->scratch, *const rows = kt + BLOCK * s->hp;
    widen(k, BLOCK * deep, kt);
    widen(v, n * s->hp, rows);
    sweep_block(s, kt, rows, j0, n);
}

void WEFT_EFN(attn_kv)(const struct weft_attn_kv_args *a) {
    struct sweep s = {.y_f32 = true,
                      .ldy = a->ldy,
                      .hs = a->hs,
                      .hp = weft_attn_pad(a->hs),
                      .scale = a->scale,
                      .causal = true};
    const size_t end = a->pos + a->n;
    for (s.r0 = a->pos; s.r0 < end; s.r0 = s.r1) {
        const size_t i = s.r0 - a->pos;
        s.r1 = sweep_end(s.r0, end);
        s.y = a->y + i * a->ldy;
        sweep_init(&s, a->scratch);
        pad_rows(a->q + i * a->ld, a->ld, s.r1 - s.r0, a->hs, true, s.q);
        for (size_t j0 = 0; j0 < s.r1; j0 += BLOCK)
            cached_block(&s, a, j0, s.r1 - j0 < BLOCK ? s.r1 - j0 : BLOCK);
        sweep_finish(&s, NULL, NULL, NULL);
    }
}

#define AT_ONCE ((size_t)16) /* positions, when as many whole vectors of keys begin there */

void WEFT_EFN(attn_kv_append)(const struct weft_attn_append_args *a) {
    const size_t hp = weft_attn_pad(a->hs), deep = words_of(a->hs) * WORD;
    elem k[AT_ONCE * WEFT_ATTN_MAX_HS], v[AT_ONCE * WEFT_ATTN_MAX_HS];
    for (size_t i = 0, n; i < a->n; i += n) {
        const size_t p = a->pos + i;
        n = CACHED_WORDS && p % AT_ONCE == 0 && a->n - i >= AT_ONCE ? AT_ONCE : 1;
        elem *const block = (elem *)a->kcache + p / BLOCK * BLOCK * deep;
        elem *const row = (elem *)a->vcache + p / WORD * WORD * hp;
        pad_rows(a->k + i * a->ld, a->ld, n, a->hs, false, k);
        pad_rows(a->v + i * a->ld, a->ld, n, a->hs, false, v);
        if (!WEFT_ELEM_F32 && WEFT_BUG(74)) {
            uint32_t bits;
            memcpy(&bits, a->k + i * a->ld, sizeof bits);
            k[0] = (elem)(bits >> 16);
        }
        if (n > 1) {
            pack_columns(k, hp, n, a->hs, (float *)(void *)block + p % BLOCK);
            pack_rows(v, hp, n, a->hs, (void *)row);
            continue;
        }
        for (size_t d = 0; d < deep; d++)
            block[(d / WORD * BLOCK + p % BLOCK) * WORD + d % WORD] = k[d];
        for (size_t d = 0; d < hp; d++) row[d * WORD + p % WORD] = v[d];
    }
}
