/* Flash attention backward (equations and orders: attention.h): dq, dk, dv in one sweep, five
 * products a block pair instead of the seven of two sweeps.
 *
 * One call takes a segment of 256 keys: its keys and values are packed once (transposed for the
 * scores, rows for dq), its dk and dv stay in scratch while the query blocks of 64 pass by in
 * ascending order. Each (query block, key block) makes p and ds, (64, 64) each, then
 *   dv += p^T dy    dk += ds^T q    dq += ds k.
 *
 * Error: no constant of its own; with e_p = u |p| (|s| + 2 e_s), e_s of attention_fwd.c, each
 * product adds the rounding of one chain, and that of p or ds to bf16 where it takes dot products.
 * tests/check_attention.c derives it element by element. */
#include "kernels/attention_drop.h"
#include "kernels/attention_tile.h"
#include "kernels/kernels.h"
#include "kernels/simd/vec_math.h"
#include "kernels/simd/vec_reduce.h"

#define SEG   ((size_t)WEFT_ATTN_SEG)
#define GROUP ((size_t)16) /* queries whose scores are trimmed to the diagonal together */

/* A call's scratch and geometry. */
struct work {
    const struct weft_attn_bwd_args *a;
    size_t hp;
    size_t j0, keys;    /* the segment */
    float *kt, *vt;     /* 4 blocks of (words of hs, 64), block b at b * 64 * hp */
    float *k;           /* (256 / WORD, hp) rows as words */
    float *dk, *dv;     /* (256, hp) */
    float *q, *dy;      /* (64 / WORD, hp): the query block, rows as words */
    float *dq;          /* (64, hp) */
    float *p, *ds;      /* (64, 64); then words, of a row 64 floats apart; then of WORD rows each */
    float *qw, *dyw;    /* (64, hp / WORD): q and dy as words along a row */
    size_t i0, rows;    /* the query block */
    const float *lse;   /* its rows */
    float big_d[BLOCK]; /* D_i = dy_i . y_i */
    struct drop drop;
};

/* C += A^T B, A (words of 64, rows) with rows WORD * 64 floats apart. */
static WEFT_NOINLINE void product_tn(const struct product *p) {
    product(p, 1, WORD * BLOCK, false);
}

static void clear(float *x, size_t n) {
    for (size_t i = 0; i < n; i += VL) v_store(x + i, v_zero());
}

/* dst (n, hs) ld=ld  = or +=  src (n, hp). */
static WEFT_INLINE void put_rows(const float *src, size_t n, size_t hs, float *dst, size_t ld,
                                 const bool add) {
    const size_t hp = weft_attn_pad(hs);
    for (size_t i = 0; i < n; i++, src += hp, dst += ld) {
        size_t d = 0;
        for (; d + VL <= hs; d += VL) {
            const vf x = v_load(src + d);
            v_store(dst + d, add ? v_add(v_load(dst + d), x) : x);
        }
        if (d < hs) {
            const vf x = v_load(src + d);
            v_store_n(dst + d, add ? v_add(v_load_n(dst + d, hs - d), x) : x, hs - d);
        }
    }
}

/* The same with =, into elem. */
static void put_elems(const float *src, size_t n, size_t hs, elem *dst, size_t ld) {
    const size_t hp = weft_attn_pad(hs);
    for (size_t i = 0; i < n; i++, src += hp, dst += ld)
        for (size_t d = 0; d < hs; d += VL)
            e_put_n(dst + d, v_load(src + d), hs - d < VL ? hs - d : VL);
}

/* sum of x[i] y[i], as r_dot. */
static WEFT_INLINE float dot(const elem *x, const elem *y, size_t n) {
    v32 acc = v32_zero();
    size_t i = 0;
    for (; i + 32 <= n; i += 32)
        V32_EACH(j) acc.v[j] = v_fma(e_load(x + i + j * VL), e_load(y + i + j * VL), acc.v[j]);
    V32_TAIL(i, j, m, n) acc.v[j] = v_fma(e_load_n(x + i, m), e_load_n(y + i, m), acc.v[j]);
    return v32_sum(&acc);
}

static void work_init(struct work *w, const struct weft_attn_bwd_args *a) {
    const elem *const k = a->k, *const v = a->v;
    w->a = a;
    w->hp = weft_attn_pad(a->hs);
    w->drop = drop_init(&a->drop);
    w->j0 = a->seg * SEG;
    w->keys = a->t - w->j0 < SEG ? a->t - w->j0 : SEG;
    float **const parts[] = {&w->kt, &w->vt, &w->k, &w->dk, &w->dv};
    float *at = a->scratch;
    for (size_t i = 0; i < 5; i++, at += SEG * w->hp) *parts[i] = at;
    w->q = at;
    w->dy = w->q + BLOCK * w->hp;
    w->dq = w->dy + BLOCK * w->hp;
    w->p = w->dq + BLOCK * w->hp;
    w->ds = w->p + BLOCK * BLOCK;
    w->qw = WORD == 1 ? w->q : w->ds + BLOCK * BLOCK;
    w->dyw = WORD == 1 ? w->dy : w->qw + BLOCK * w->hp / WORD;
    for (size_t j = 0; j < w->keys; j += BLOCK) {
        const size_t n = w->keys - j < BLOCK ? w->keys - j : BLOCK;
        const size_t row = (w->j0 + j) * a->ld;
        pack_columns(k + row, a->ld, n, a->hs, w->kt + j * w->hp);
        pack_columns(v + row, a->ld, n, a->hs, w->vt + j * w->hp);
    }
    pack_rows(k + w->j0 * a->ld, a->ld, w->keys, a->hs, w->k);
    clear(w->dk, w->keys * w->hp);
    clear(w->dv, w->keys * w->hp);
}

static void query_block(struct work *w, size_t i0) {
    const struct weft_attn_bwd_args *a = w->a;
    w->i0 = i0;
    w->rows = a->t - i0 < BLOCK ? a->t - i0 : BLOCK;
    w->lse = a->lse + i0;
    const elem *const q = (const elem *)a->q + i0 * a->ld;
    const elem *const dy = (const elem *)a->dy + i0 * a->ldy;
    const elem *const y = (const elem *)a->y + i0 * a->ldy;
    pack_rows(q, a->ld, w->rows, a->hs, w->q);
    pack_rows(dy, a->ldy, w->rows, a->hs, w->dy);
    if (WORD > 1) pack_words(q, a->ld, w->rows, a->hs, w->qw);
    if (WORD > 1) pack_words(dy, a->ldy, w->rows, a->hs, w->dyw);
    for (size_t i = 0; i < w->rows; i++) w->big_d[i] = dot(dy + i * a->ldy, y + i * a->ldy, a->hs);
    clear(w->dq, w->rows * w->hp);
}

/* What is made of row i's scores becomes a row of words, with 0 behind the last pair that is seen:
 * a word may begin with that one. */
static WEFT_INLINE void put_row(float *row, size_t c, vf x, const size_t seen) {
    word_put(row, c, WORD > 1 && c + VL > seen ? v_keep(m_first(seen - c), x) : x);
}

/* Row i of the query block against keys [j, j + seen): p <- p f, ds <- p (dp f - D) scale. */
static WEFT_NOINLINE void row_dropped(const struct work *w, size_t i, size_t j, size_t seen) {
    float factor[BLOCK] WEFT_ALIGN(64);
    const vf scale = v_set1(w->a->scale), lse = v_set1(w->lse[i]), big_d = v_set1(w->big_d[i]);
    float *row = w->p + i * BLOCK, *ds = w->ds + i * BLOCK;
    drop_row(&w->drop, w->i0 + i, w->j0 + j, factor);
    for (size_t c = 0; c < seen; c += VL) {
        const vf f = WEFT_BUG(93) ? v_set1(1.0f) : v_load(factor + c);
        const vf p = v_exp(v_sub(v_mul(v_load(row + c), scale), lse));
        const vf dp = v_mul(v_load(ds + c), f);
        put_row(row, c, v_mul(p, f), seen);
        put_row(ds, c, v_mul(v_mul(p, v_sub(dp, big_d)), scale), seen);
    }
}

/* Row i of the query block, of whose scores `seen` are visible: p and ds in place of s and dp. */
static WEFT_INLINE void row_scores(const struct work *w, size_t i, const size_t seen) {
    const vf scale = v_set1(w->a->scale), lse = v_set1(w->lse[i]);
    const vf big_d = v_set1(WEFT_BUG(58) ? 0.0F : w->big_d[i]);
    float *row = w->p + i * BLOCK, *ds = w->ds + i * BLOCK;
    for (size_t half = 0; half < seen; half += 32) {
        v32 x, p;
        V32_EACH(j) {
            const size_t c = half + j * VL;
            x.v[j] = c < seen ? v_sub(v_mul(v_load(row + c), scale), lse) : v_zero();
        }
        math_exp_all(x.v, p.v, V32N);
        V32_EACH(j) {
            const size_t c = half + j * VL;
            if (c >= seen) break;
            const vf y = math_exp_ends(x.v[j], p.v[j]);
            put_row(row, c, y, seen);
            put_row(ds, c, v_mul(v_mul(y, v_sub(v_load(ds + c), big_d)), scale), seen);
        }
    }
}

/* What row i of the next query block, and of this one's dq, is made of comes into L2. */
static WEFT_INLINE void fetch_ahead(const struct work *w, size_t i) {
    const struct weft_attn_bwd_args *a = w->a;
    const size_t next = w->i0 + BLOCK + i, bytes = a->hs * sizeof(elem);
    if (a->dq_add) fetch_row(a->dq + (w->i0 + i) * a->lddq, a->hs * sizeof *a->dq);
    if (next >= a->t) return;
    fetch_row((const elem *)a->q + next * a->ld, bytes);
    fetch_row((const elem *)a->dy + next * a->ldy, bytes);
    fetch_row((const elem *)a->y + next * a->ldy, bytes);
}

/* p and ds of the query block against the keys [j, j + n) of the segment. Only visible pairs hold
 * results; a row is worked in whole vectors. */
static WEFT_NOINLINE void scores(const struct work *w, size_t j, size_t n, bool diagonal) {
    const size_t hp = w->hp, stride = hp / WORD;
    for (size_t i = 0; i < w->rows; i += GROUP) {
        const size_t rows = w->rows - i < GROUP ? w->rows - i : GROUP;
        struct product s = {.a = w->qw + i * stride,
                            .rs = stride,
                            .b = w->kt + j * hp,
                            .ldb = BLOCK,
                            .c = w->p + i * BLOCK,
                            .ldc = BLOCK,
                            .rows = rows,
                            .cols = diagonal ? i + rows : n,
                            .hi = words_of(w->a->hs) * WORD};
        product_nt(&s);
        s.a = w->dyw + i * stride;
        s.b = w->vt + j * hp;
        s.c = w->ds + i * BLOCK;
        product_nt(&s);
    }
    for (size_t i = 0; i < w->rows; i++) {
        if (j == 0) fetch_ahead(w, i);
        if (w->drop.on)
            row_dropped(w, i, j, diagonal ? i + 1 : n);
        else if (n == BLOCK && !diagonal)
            row_scores(w, i, BLOCK);
        else
            row_scores(w, i, diagonal ? i + 1 : n);
    }
}

/* Rows of words along a row to rows of words of two rows, in place: from the right, words reach no
 * element that is still to be read. */
static void join_rows(float *x, size_t rows) {
    for (size_t i = 0; i < rows; i += WORD, x += WORD * BLOCK) {
        const elem *const first = (const void *)x;
        for (size_t c = BLOCK; c > 0;) {
            c -= VL;
            v_store(x + c, i + 1 < rows ? word_join(first + c, 2 * BLOCK)
                                        : word_join_n(first + c, 0, false, VL));
        }
    }
}

/* The three gradients of one pair of blocks. Diagonal: key r is seen by queries >= r of the block,
 * query r sees the first r + 1 keys. */
static void gradients(const struct work *w, size_t j, size_t n, bool diagonal) {
    const size_t hp = w->hp;
    const size_t step = diagonal ? 1 : 0;
    product_nn(&(struct product){.a = w->ds,
                                 .b = w->k + j / WORD * hp,
                                 .c = w->dq,
                                 .ldb = hp,
                                 .ldc = hp,
                                 .rows = w->rows,
                                 .cols = hp,
                                 .hi = diagonal ? 1 : n,
                                 .hi_step = step});
    if (WORD > 1) join_rows(w->p, w->rows);
    if (WORD > 1) join_rows(w->ds, w->rows);
    struct product g = {.a = w->p,
                        .b = w->dy,
                        .c = w->dv + j * hp,
                        .ldb = hp,
                        .ldc = hp,
                        .rows = n,
                        .cols = hp,
                        .hi = w->rows,
                        .lo_step = step};
    product_tn(&g);
    g.a = w->ds;
    g.b = w->q;
    g.c = w->dk + j * hp;
    product_tn(&g);
}

void WEFT_EFN(attn_bwd)(const struct weft_attn_bwd_args *a) {
    struct work w;
    work_init(&w, a);
    for (size_t i0 = a->causal ? w.j0 : 0; i0 < a->t; i0 += BLOCK) {
        query_block(&w, i0);
        for (size_t j = 0; j < w.keys && (!a->causal || w.j0 + j <= i0); j += BLOCK) {
            const size_t n = w.keys - j < BLOCK ? w.keys - j : BLOCK;
            const bool diagonal = a->causal && w.j0 + j == i0;
            scores(&w, j, n, diagonal);
            gradients(&w, j, n, diagonal);
        }
        float *dq = a->dq + i0 * a->lddq;
        if (a->dq_add)
            put_rows(w.dq, w.rows, a->hs, dq, a->lddq, true);
        else
            put_rows(w.dq, w.rows, a->hs, dq, a->lddq, false);
    }
    put_elems(w.dk, w.keys, a->hs, (elem *)a->dk + w.j0 * a->ldd, a->ldd);
    put_elems(w.dv, w.keys, a->hs, (elem *)a->dv + w.j0 * a->ldd, a->ldd);
}

void WEFT_EFN(attn_dq_fold)(const struct weft_attn_fold_args *a) {
    for (size_t r = a->r0; r < a->r1; r++) {
        const size_t all = a->causal ? r / SEG + 1 : weft_attn_segments(a->t);
        const size_t segments = a->part ? all : 1;
        elem *const dq = (elem *)a->dq + r * a->lddq;
        const float *const first = a->first ? a->first + r * a->hs : NULL;
        for (size_t d = 0; d < a->hs; d += VL) {
            const size_t n = a->hs - d < VL ? a->hs - d : VL;
            vf sum = first ? v_load_n(first + d, n) : e_get_n(dq + d, n);
            for (size_t s = 1; s < segments; s++)
                sum = v_add(sum, v_load_n(a->part + ((s - 1) * a->t + r) * a->hs + d, n));
            e_put_n(dq + d, sum, n);
        }
    }
}
