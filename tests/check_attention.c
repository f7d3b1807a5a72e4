/* Attention kernels. Every call of a case cuts its work another way (ranges of queries, one row at
 * a time, from a cache; segments folded or added), so the harness's demand for equal bits proves
 * that the cut does not matter.
 *
 * The bounds are ref_attention.h's; where they know nothing, the bits still count. N(0,1) inputs:
 * rms error at most 8 u (y) and 16 u (gradients), measured 3.6 and 9.2; in bf16 a quarter (half) of its
 * largest rounding more than the result's own. */
#include <stdlib.h>
#include <string.h>
#include "kernels/ref/ref_attention.h"
#include "tests/support/check.h"

enum fill { PLAIN, LARGE, RISING, LATE_NAN, INTEGER, OFFSET, FILLS };
struct shape {
    size_t t, hs, ld, ldy, n, calls;
    double scale;
    bool causal, entropy;
    bool words; /* for dot products, which round p and ds: families of their own, others are exact */
    enum fill fill;
    struct weft_attn_drop drop;
};

static const double *val(const struct check *c, const char *name) {
    return check_arg(c, name)->val;
}
static double *alloc(size_t n) {
    double *p = calloc(n + 1, sizeof *p);
    if (!p) abort();
    return p;
}

static struct shape *draw_shape(struct check *c) {
    static const size_t t[] = {1, 2, 63, 64, 65, 127, 130, 257, 0, 300, 17};
    static const size_t hs[] = {64, 16, 33, 80, 20, 128, 1};
    struct shape *s = c->user;
    s->t = c->full && c->index % 5 == 4 ? check_range(c, 0, 1100) : t[c->index % 11];
    s->hs = c->full && c->index % 3 == 2 ? check_range(c, 1, 128) : hs[c->index * 3 % 7];
    s->ld = check_ld(c, s->hs);
    s->ldy = check_ld(c, s->hs);
    s->causal = c->index % 4 != 3;
    s->words = strstr(c->family, "_words") != NULL;
    s->fill = (enum fill)(c->index / 2 % FILLS);
    s->scale = (double)(1 / sqrtf((float)s->hs));
    if (c->index % 3 == 1)
        s->drop = (struct weft_attn_drop){c->seed, c->index, UINT64_MAX - c->index, 7, 0.3f};
    return s;
}

/* The factors of all pairs, or NULL. */
static double *factors(const struct shape *s) {
    double *f = s->drop.p > 0 ? alloc(s->t * s->t) : NULL;
    for (size_t i = 0; f && i < s->t * s->t; i++)
        f[i] = ref_attention_drop(&s->drop, i / s->t, i % s->t);
    return f;
}

static void draw_qkv(struct check *c) {
    const struct shape *s = c->user;
    const size_t n = s->t * s->hs;
    const enum check_fill fill = s->fill == INTEGER ? CHECK_FILL_INT : CHECK_FILL_NORMAL;
    double *q = check_in(c, "q", s->t, s->hs, s->ld, fill)->val;
    double *k = check_in(c, "k", s->t, s->hs, s->ld, fill)->val;
    double *v = check_in(c, "v", s->t, s->hs, s->ld,
                         s->fill == OFFSET ? CHECK_FILL_MEAN : CHECK_FILL_NORMAL)
                    ->val;
    for (size_t i = 0; i < n; i++) {
        if (s->fill == LARGE) q[i] = (double)(float)(q[i] * 12);
        if (s->fill == RISING) q[i] = fabs(q[i]);
        if (s->fill == RISING) k[i] = (double)(float)((double)(i / s->hs) / 8);
    }
    if (s->fill == LATE_NAN && n) {
        k[n - 1] = NAN; /* the last position: under the mask, no other row may see it */
        v[n - s->hs] = INFINITY;
    }
}

static double rounded(const struct check *c) {
    return ((const struct shape *)c->user)->words ? 0x1p-8 : 0;
}

/* ---- forward ---- */
static void expect_fwd(struct check *c, size_t first, const double *q) {
    const struct shape *s = c->user;
    const size_t n = s->t * s->hs;
    double *y = alloc(2 * n), *tol = y + n;
    double *lse = alloc(6 * s->t), *smax = lse + s->t, *tol_lse = smax + s->t;
    double *tol_smax = tol_lse + s->t, *entropy = tol_smax + s->t, *tol_entropy = entropy + s->t;
    double *f = factors(s);
    ref_attention_fwd(s->t, s->hs, q, val(c, "k"), val(c, "v"), f, s->scale, s->causal, y,
                      lse, smax);
    ref_attention_fwd_bound(s->t, s->hs, q, val(c, "k"), val(c, "v"), f, s->scale,
                            s->causal, rounded(c), y, lse, smax, tol, tol_lse, tol_smax);
    ref_attention_entropy(s->t, s->hs, q, val(c, "k"), s->scale, s->causal, lse, entropy);
    ref_attention_entropy_bound(s->t, s->hs, q, val(c, "k"), s->scale, s->causal, lse,
                                smax, tol_entropy);
    for (size_t i = first * s->hs; i < n; i++) {
        check_arg(c, "y")->want[i - first * s->hs] = y[i];
        check_arg(c, "y")->tol[i - first * s->hs] = tol[i];
    }
    for (size_t i = 0; !first && !s->n && i < s->t; i++) {
        check_arg(c, "lse")->want[i] = lse[i];
        check_arg(c, "lse")->tol[i] = tol_lse[i];
        check_arg(c, "smax")->want[i] = smax[i];
        check_arg(c, "smax")->tol[i] = tol_smax[i];
        if (!s->entropy) continue;
        check_arg(c, "entropy")->want[i] = entropy[i];
        check_arg(c, "entropy")->tol[i] = tol_entropy[i];
    }
    free(y);
    free(lse);
    free(f);
}

static void draw_fwd(struct check *c) {
    struct shape *s = draw_shape(c);
    draw_qkv(c);
    s->entropy = c->index % 2;
    check_out(c, "y", s->t, s->hs, s->ldy);
    check_out(c, "lse", 1, s->t, s->t);
    check_out(c, "smax", 1, s->t, s->t);
    if (s->entropy) check_out(c, "entropy", 1, s->t, s->t);
    check_scratch(c, "scratch",
                  weft_attn_fwd_scratch(s->hs) + (s->entropy ? weft_attn_entropy_scratch() : 0));
}
static void oracle_fwd(struct check *c) {
    const struct shape *s = c->user;
    expect_fwd(c, 0, val(c, "q"));
    if (s->fill == PLAIN) check_arg(c, "y")->rms = 8 * CHECK_U + rounded(c) / 4;
}

static void call_fwd(struct check *c, const struct weft_kernels *k) {
    struct shape *s = c->user;
    static const size_t cut[] = {1000000, 1, 64, 23};
    const size_t step = cut[s->calls++ % 4];
    struct weft_attn_fwd_args a = {
        .q = check_ptr(c, "q"),
        .k = check_ptr(c, "k"),
        .v = check_ptr(c, "v"),
        .y = check_ptr(c, "y"),
        .lse = check_f32(c, "lse"),
        .smax = check_f32(c, "smax"),
        .entropy = s->entropy ? check_f32(c, "entropy") : NULL,
        .scratch = check_ptr(c, "scratch"),
        .t = s->t,
        .hs = s->hs,
        .ld = s->ld,
        .ldy = s->ldy,
        .scale = (float)s->scale,
        .causal = s->causal,
        .drop = s->drop,
    };
    for (; a.q0 < s->t; a.q0 = a.q1) {
        a.q1 = s->t - a.q0 < step ? s->t : a.q0 + step;
        CHECK_PICK(c, k, attn_fwd)(&a);
    }
}
static const struct check_family attn_fwd = {"attn_fwd", draw_fwd,     oracle_fwd, call_fwd,
                                             33,         CHECK_NO_DOT, " q k v y "};
static const struct check_family attn_fwd_words = {
    "attn_fwd_words", draw_fwd, oracle_fwd, call_fwd, 33, CHECK_DOT_BITS | CHECK_ONLY_BF16,
    " q k v y "};

/* ---- from the cache ---- */
static double nearest(const struct check *c, double x) {
    int e;
    if (!c->bf16) return x;
    frexp(x, &e);
    const double unit = ldexp(1, (e < -125 ? -125 : e) - 8); /* of the last place */
    const double y = rint(x / unit) * unit;
    return fabs(y) >= 0x1p128 ? copysign((double)INFINITY, x) : y;
}
static size_t blocks_of(size_t t) { return (t + 63) / 64 * 64; }

static void draw_kv(struct check *c) {
    struct shape *s = draw_shape(c);
    s->causal = true;
    s->drop.p = 0;
    s->t += !s->t;
    s->n = check_range(c, 1, s->t < 70 ? s->t : 70);
    draw_qkv(c);
    check_out(c, "y", s->n, s->hs, s->ldy);
    check_scratch(c, "scratch", weft_attn_fwd_scratch(s->hs));
    check_scratch(c, "wide", sizeof(float) * s->t * s->ld);
    check_scratch(c, "kcache", 4 * weft_attn_kv_floats(s->hs, blocks_of(s->t)));
    check_scratch(c, "vcache", 4 * weft_attn_kv_floats(s->hs, blocks_of(s->t)));
    /* what a bf16 cache holds exactly */
    static const char *const operands[] = {"k", "v"};
    for (size_t i = 0; c->bf16 && i < 2; i++) {
        struct check_arg *const x = check_arg(c, operands[i]);
        for (size_t j = 0; j < x->rows * x->cols; j++) {
            float f = (float)x->val[j];
            uint32_t bits;
            memcpy(&bits, &f, 4);
            bits &= 0xffff0000u;
            memcpy(&f, &bits, 4);
            x->val[j] = (double)f;
        }
    }
}
static void oracle_kv(struct check *c) {
    const struct shape *s = c->user;
    double *const q = alloc(s->t * s->hs);
    for (size_t i = 0; i < s->t * s->hs; i++)
        q[i] = s->words ? nearest(c, val(c, "q")[i]) : val(c, "q")[i];
    expect_fwd(c, s->t - s->n, q);
    free(q);
}

/* For words: the queries, which dot products round themselves, rounded already. */
static const float *queries(struct check *c, const struct weft_kernels *k, bool rounds) {
    const struct shape *s = c->user;
    float *const q = check_f32(c, "q");
    if (!rounds || !c->bf16) return q;
    uint16_t *const half = check_ptr(c, "kcache"); /* not in use yet */
    float *const wide = check_f32(c, "wide");
    for (size_t i = 0; i < s->t; i++) {
        k->narrow_bf16(q + i * s->ld, half, s->hs);
        k->widen_bf16(half, wide + i * s->ld, s->hs);
    }
    return wide;
}

/* Call 0: the training kernel in f32; 1: one token at a time; 2: a prompt in two pieces. */
static void call_kv(struct check *c, const struct weft_kernels *k) {
    struct shape *s = c->user;
    const size_t pos = s->t - s->n;
    const size_t way = s->calls++ % 3;
    const bool dots = CHECK_WORDS(c, k, 2) == 1;
    const float *const all = queries(c, k, s->words && !(dots && way == 1));
    const float *q = all + pos * s->ld;
    if (way == 0 && !dots) {
        const struct weft_attn_fwd_args a = {
            .q = all,
            .k = check_f32(c, "k"),
            .v = check_f32(c, "v"),
            .y = check_f32(c, "y") - pos * s->ldy,
            .scratch = check_ptr(c, "scratch"),
            .t = s->t,
            .hs = s->hs,
            .ld = s->ld,
            .ldy = s->ldy,
            .q0 = pos,
            .q1 = s->t,
            .scale = (float)s->scale,
            .causal = true,
        };
        k->attn_fwd_f32(&a);
        return;
    }
    struct weft_attn_append_args add = {.k = check_f32(c, "k"),
                                        .v = check_f32(c, "v"),
                                        .kcache = check_ptr(c, "kcache"),
                                        .vcache = check_ptr(c, "vcache"),
                                        .n = pos,
                                        .hs = s->hs,
                                        .ld = s->ld};
    CHECK_PICK(c, k, attn_kv_append)(&add);
    const size_t step = way == 1 ? 1 : s->n - s->n / 2;
    for (size_t i = 0, n; i < s->n; i += n) {
        n = s->n - i < step ? s->n - i : step;
        add.k = check_f32(c, "k") + (pos + i) * s->ld;
        add.v = check_f32(c, "v") + (pos + i) * s->ld;
        add.pos = pos + i;
        add.n = n;
        CHECK_PICK(c, k, attn_kv_append)(&add);
        const struct weft_attn_kv_args a = {
            .q = q + i * s->ld,
            .kcache = add.kcache,
            .vcache = add.vcache,
            .y = check_f32(c, "y") + i * s->ldy,
            .scratch = check_ptr(c, "scratch"),
            .n = n,
            .hs = s->hs,
            .ld = s->ld,
            .ldy = s->ldy,
            .pos = pos + i,
            .scale = (float)s->scale,
        };
        CHECK_PICK(c, k, attn_kv)(&a);
    }
}
static const struct check_family attn_kv = {"attn_kv", draw_kv,      oracle_kv, call_kv,
                                            33,        CHECK_NO_DOT, " none "};
static const struct check_family attn_kv_words = {
    "attn_kv_words", draw_kv, oracle_kv, call_kv, 33, CHECK_DOT_BITS | CHECK_ONLY_BF16, " none "};

static void draw_append(struct check *c) {
    struct shape *s = draw_shape(c);
    s->n = check_range(c, 0, s->t);
    check_in(c, "k", s->n, s->hs, s->ld, CHECK_FILL_CASE);
    check_in(c, "v", s->n, s->hs, s->ld, CHECK_FILL_CASE);
    check_inout(c, "kcache", blocks_of(s->t) / 64 * s->hs, 64, 64, CHECK_FILL_NORMAL);
    check_inout(c, "vcache", blocks_of(s->t), weft_attn_pad(s->hs), weft_attn_pad(s->hs),
                CHECK_FILL_NORMAL);
}
static void oracle_append(struct check *c) {
    const struct shape *s = c->user;
    struct check_arg *kc = check_arg(c, "kcache");
    struct check_arg *vc = check_arg(c, "vcache");
    for (size_t i = 0; i < kc->rows * kc->cols; i++) kc->want[i] = kc->val[i];
    for (size_t i = 0; i < vc->rows * vc->cols; i++) vc->want[i] = vc->val[i];
    for (size_t i = 0; i < s->n; i++) {
        const size_t p = s->t - s->n + i;
        for (size_t d = 0; d < s->hs; d++)
            kc->want[(p / 64 * s->hs + d) * 64 + p % 64] = val(c, "k")[i * s->hs + d];
        for (size_t d = 0; d < vc->cols; d++)
            vc->want[p * vc->cols + d] = d < s->hs ? val(c, "v")[i * s->hs + d] : 0;
    }
}
static void call_append(struct check *c, const struct weft_kernels *k) {
    const struct shape *s = c->user;
    const struct weft_attn_append_args a = {.k = check_f32(c, "k"),
                                            .v = check_f32(c, "v"),
                                            .kcache = check_f32(c, "kcache"),
                                            .vcache = check_f32(c, "vcache"),
                                            .n = s->n,
                                            .hs = s->hs,
                                            .ld = s->ld,
                                            .pos = s->t - s->n};
    k->attn_kv_append_f32(&a);
}
static const struct check_family attn_kv_append = {"attn_kv_append", draw_append, oracle_append,
                                                   call_append,      22,          0};

/* What is appended and read back, at once or in two pieces: in bf16 the nearest, ties to even. */
static void draw_append_back(struct check *c) {
    struct shape *s = draw_shape(c);
    s->n = check_range(c, 0, s->t);
    check_in(c, "k", s->n, s->hs, s->ld, CHECK_FILL_CASE);
    check_in(c, "v", s->n, s->hs, s->ld, CHECK_FILL_CASE);
    check_scratch(c, "kcache", 4 * weft_attn_kv_floats(s->hs, blocks_of(s->t)));
    check_scratch(c, "vcache", 4 * weft_attn_kv_floats(s->hs, blocks_of(s->t)));
    check_out(c, "kback", s->n, s->hs, s->hs);
    check_out(c, "vback", s->n, weft_attn_pad(s->hs), weft_attn_pad(s->hs));
}
static void oracle_append_back(struct check *c) {
    const struct shape *s = c->user;
    struct check_arg *const k = check_arg(c, "kback"), *const v = check_arg(c, "vback");
    for (size_t i = 0; i < s->n; i++) {
        for (size_t d = 0; d < s->hs; d++)
            k->want[i * s->hs + d] = nearest(c, val(c, "k")[i * s->hs + d]);
        for (size_t d = 0; d < v->cols; d++)
            v->want[i * v->cols + d] = d < s->hs ? nearest(c, val(c, "v")[i * s->hs + d]) : 0;
    }
}
static float element(const struct check *c, const void *p, size_t i) {
    if (!c->bf16) return ((const float *)p)[i];
    const uint32_t bits = (uint32_t)((const uint16_t *)p)[i] << 16;
    float x;
    memcpy(&x, &bits, 4);
    return x;
}
static void call_append_back(struct check *c, const struct weft_kernels *k) {
    struct shape *s = c->user;
    const size_t hp = weft_attn_pad(s->hs), word = c->bf16 ? k->bf16_word : 1;
    const size_t deep = (s->hs + word - 1) / word * word, first = s->calls++ % 2 ? s->n / 2 : s->n;
    for (size_t i = 0, n = first; i < s->n; i += n, n = s->n - first)
        CHECK_PICK(c, k, attn_kv_append)
        (&(struct weft_attn_append_args){.k = check_f32(c, "k") + i * s->ld,
                                         .v = check_f32(c, "v") + i * s->ld,
                                         .kcache = check_ptr(c, "kcache"),
                                         .vcache = check_ptr(c, "vcache"),
                                         .n = n,
                                         .hs = s->hs,
                                         .ld = s->ld,
                                         .pos = s->t - s->n + i});
    const void *const keys = check_ptr(c, "kcache"), *const values = check_ptr(c, "vcache");
    for (size_t i = 0; i < s->n; i++) {
        const size_t p = s->t - s->n + i;
        for (size_t d = 0; d < s->hs; d++)
            check_f32(c, "kback")[i * s->hs + d] = element(
                c, keys, ((p / 64 * deep + d) / word * 64 + p % 64) * word + d % word);
        for (size_t d = 0; d < hp; d++)
            check_f32(c, "vback")[i * hp + d] =
                element(c, values, (p / word * hp + d) * word + p % word);
    }
}
static const struct check_family attn_kv_append_back = {
    "attn_kv_append_back", draw_append_back, oracle_append_back, call_append_back, 33, 0, " none "};

/* ---- backward ---- */
static void draw_bwd(struct check *c) {
    struct shape *s = draw_shape(c);
    if (s->fill == LATE_NAN) s->fill = PLAIN; /* its NaN does reach every key through D */
    draw_qkv(c);
    const size_t n = s->t * s->hs;
    struct check_arg *y = check_in(c, "y", s->t, s->hs, s->ldy, CHECK_FILL_ZERO);
    struct check_arg *lse = check_in(c, "lse", 1, s->t, s->t, CHECK_FILL_ZERO);
    double *smax = alloc(s->t), *f = factors(s);
    ref_attention_fwd(s->t, s->hs, val(c, "q"), val(c, "k"), val(c, "v"), f, s->scale, s->causal,
                      y->val, lse->val, smax);
    free(smax);
    free(f);
    for (size_t i = 0; i < n; i++) y->val[i] = (double)(float)y->val[i];
    for (size_t i = 0; i < s->t; i++) lse->val[i] = (double)(float)lse->val[i];
    check_in(c, "dy", s->t, s->hs, s->ldy, CHECK_FILL_NORMAL);
    check_out(c, "dq", s->t, s->hs, check_ld(c, s->hs));
    check_out(c, "dk", s->t, s->hs, s->ldy);
    check_out(c, "dv", s->t, s->hs, s->ldy);
    check_scratch(c, "scratch", weft_attn_bwd_scratch(s->hs));
    const size_t parts = weft_attn_segments(s->t);
    check_scratch(c, "part", 4 * (c->bf16 ? parts : parts - 1) * n);
}

static void oracle_bwd(struct check *c) {
    const struct shape *s = c->user;
    double *f = factors(s);
    ref_attention_bwd(s->t, s->hs, val(c, "q"), val(c, "k"), val(c, "v"), f, val(c, "y"),
                      val(c, "lse"), val(c, "dy"), s->scale, s->causal, check_arg(c, "dq")->want,
                      check_arg(c, "dk")->want, check_arg(c, "dv")->want);
    ref_attention_bwd_bound(s->t, s->hs, val(c, "q"), val(c, "k"), val(c, "v"), f, val(c, "y"),
                            val(c, "lse"), val(c, "dy"), s->scale, s->causal, rounded(c),
                            check_arg(c, "dq")->tol, check_arg(c, "dk")->tol,
                            check_arg(c, "dv")->tol);
    free(f);
    if (s->fill != PLAIN || s->t < 63) return; /* few keys: ds = p (dp - D) cancels */
    check_arg(c, "dq")->rms = check_arg(c, "dk")->rms = check_arg(c, "dv")->rms =
        16 * CHECK_U + rounded(c) / 2;
}

static void call_bwd(struct check *c, const struct weft_kernels *k) {
    struct shape *s = c->user;
    const bool fold = s->calls++ % 2;
    const size_t segments = weft_attn_segments(s->t);
    struct weft_attn_bwd_args a = {
        .q = check_ptr(c, "q"),
        .k = check_ptr(c, "k"),
        .v = check_ptr(c, "v"),
        .y = check_ptr(c, "y"),
        .dy = check_ptr(c, "dy"),
        .lse = check_f32(c, "lse"),
        .dk = check_ptr(c, "dk"),
        .dv = check_ptr(c, "dv"),
        .scratch = check_ptr(c, "scratch"),
        .t = s->t,
        .hs = s->hs,
        .ld = s->ld,
        .ldy = s->ldy,
        .ldd = s->ldy,
        .scale = (float)s->scale,
        .causal = s->causal,
        .drop = s->drop,
    };
    /* bf16: dq of segment 0 is made apart too */
    float *const first = c->bf16 ? check_ptr(c, "part") : NULL;
    float *const part = c->bf16 ? first + s->t * s->hs : check_ptr(c, "part");
    for (size_t i = 0; i < segments; i++) {
        a.seg = fold ? segments - 1 - i : i; /* in parts: any order will do */
        const bool own = fold && a.seg;
        a.dq = own ? part + (a.seg - 1) * s->t * s->hs : first ? first : check_ptr(c, "dq");
        a.lddq = own || first ? s->hs : check_arg(c, "dq")->ld;
        a.dq_add = !fold && i;
        CHECK_PICK(c, k, attn_bwd)(&a);
    }
    for (size_t r = 0; (fold || first) && r < s->t; r += 100) {
        const struct weft_attn_fold_args f = {.part = fold ? part : NULL,
                                              .first = first,
                                              .dq = check_ptr(c, "dq"),
                                              .t = s->t,
                                              .hs = s->hs,
                                              .lddq = check_arg(c, "dq")->ld,
                                              .r0 = r,
                                              .r1 = s->t - r < 100 ? s->t : r + 100,
                                              .causal = s->causal};
        CHECK_PICK(c, k, attn_dq_fold)(&f);
    }
}
static const struct check_family attn_bwd = {
    "attn_bwd", draw_bwd, oracle_bwd, call_bwd, 33, CHECK_NO_DOT, " q k v y dy dk dv dq "};
static const struct check_family attn_bwd_words = {
    "attn_bwd_words", draw_bwd, oracle_bwd, call_bwd, 33, CHECK_DOT_BITS | CHECK_ONLY_BF16,
    " q k v y dy dk dv dq "};

CHECK_MAIN(&attn_fwd, &attn_fwd_words, &attn_kv, &attn_kv_words, &attn_kv_append,
           &attn_kv_append_back, &attn_bwd, &attn_bwd_words)
