/* gemm_f32, gemv_f32 and their epilogues: all layouts of both operands, every tile edge.
 * Bound: (k + 4)·u·(|A|·|B| + |C| + |bias| + |residual|), 0 for integers; an activation's on top of
 * it. gemm_order compares with the chain of gemm.h in float, bit for bit: a row has
 * the same bits in any batch, and every block, panel and tail the same order. */
#include <stdlib.h>
#include <string.h>
#include "kernels/ref/ref_activation.h"
#include "kernels/ref/ref_gemm.h"
#include "tests/support/check.h"

struct shape {
    size_t m, n, k, lda, ldb, ldc;
    enum weft_layout a, b;
    enum weft_epilogue epilogue;
    enum weft_act act;
    bool accumulate, bias, z, exact, c_f32;
};

static double *val(const struct check *c, const char *name) { return check_arg(c, name)->val; }
static double *zeros(size_t n) {
    double *p = calloc(n + 1, sizeof *p);
    if (!p) abort();
    return p;
}

/* ---- draw ---- */
static const size_t depths[] = {256, 257, 1, 13, 64, 255, 0, 1025, 2, 1024, 31, 2063};

static void draw_operands(struct check *c, enum check_fill fill) {
    struct shape *s = c->user;
    const bool ta = s->a == WEFT_K_OUTER;
    const bool tb = s->b == WEFT_K_OUTER;
    s->lda = check_ld(c, ta ? s->m : s->k);
    s->ldb = check_ld(c, tb ? s->n : s->k);
    s->ldc = check_ld(c, s->n);
    s->exact = fill == CHECK_FILL_INT;
    s->c_f32 = c->index % 3 == 1;
    if (s->c_f32) c->elem = " a b residual z ";
    check_in(c, "a", ta ? s->k : s->m, ta ? s->m : s->k, s->lda, fill);
    check_in(c, "b", tb ? s->k : s->n, tb ? s->n : s->k, s->ldb, fill);
    check_scratch(c, "acc", c->bf16 ? s->m * (s->n + 3) * sizeof(float) : 0);
    check_scratch(c, "pa", (s->m + 32) * s->k * sizeof(float));
    check_scratch(c, "pb", (s->n + 64) * s->k * sizeof(float));
    check_in(c, "bias", 1, s->n, s->n, s->exact ? CHECK_FILL_INT : CHECK_FILL_NORMAL);
    check_in(c, "residual", s->m, s->n, s->ldc, s->exact ? CHECK_FILL_INT : CHECK_FILL_NORMAL);
    if (s->accumulate)
        check_inout(c, "c", s->m, s->n, s->ldc, s->exact ? CHECK_FILL_INT : CHECK_FILL_NORMAL);
    else
        check_out(c, "c", s->m, s->n, s->ldc);
    if (s->epilogue == WEFT_EPI_DACT)
        check_in(c, "z", s->m, s->n, s->ldc + 3, CHECK_FILL_NORMAL);
    else if (s->z)
        check_out(c, "z", s->m, s->n, s->ldc + 3);
}

static void draw_size(struct check *c) {
    struct shape *s = c->user;
    s->k = depths[c->index % 12];
    s->m = check_range(c, 1, 29);
    s->n = check_range(c, 1, 65);
    if (s->k < 100 && c->index % 3 == 0) s->m = check_range(c, 29, 90);
    if (c->index % 11 == 3) s->n = 32;
    if (c->index % 17 == 0) s->m = 0;
    if (c->index % 19 == 0) s->n = 0;
    s->accumulate = check_range(c, 0, 1);
    s->bias = true;
}

static void draw_gemm(struct check *c) {
    static const enum check_fill fills[] = {
        CHECK_FILL_NORMAL, CHECK_FILL_INT,  CHECK_FILL_WIDE,
        CHECK_FILL_SPIKE,  CHECK_FILL_MEAN, CHECK_FILL_ALTERNATE,
    };
    struct shape *s = c->user;
    const enum check_fill fill = fills[c->index % 6];
    draw_size(c);
    s->a = (enum weft_layout)check_range(c, 0, 2);
    s->b = (enum weft_layout)check_range(c, 0, 2);
    s->epilogue = (enum weft_epilogue)(c->index % 5);
    s->act = (enum weft_act)check_range(c, WEFT_ACT_NONE, WEFT_ACTS - 1);
    s->z = s->epilogue == WEFT_EPI_BIAS_ACT && c->index % 3;
    s->bias = s->epilogue == WEFT_EPI_BIAS || c->index % 4;
    draw_operands(c, fill);
    if (c->index % 7 == 4 && s->epilogue < WEFT_EPI_BIAS_ACT && s->m && s->n && s->k) {
        struct check_arg *const bad[] = {check_arg(c, "a"), check_arg(c, "b")};
        const size_t which = check_range(c, 0, 1); /* a row of C, or a column, and no more */
        bad[which]->val[check_range(c, 0, bad[which]->rows * bad[which]->cols - 1)] =
            c->index % 2 ? (double)NAN : (double)INFINITY;
    }
}

/* ---- oracle ---- */
static void matrices(const struct check *c, struct ref_matrix ab[2]) {
    const struct shape *s = c->user;
    const bool ta = s->a == WEFT_K_OUTER;
    const bool tb = s->b == WEFT_K_OUTER;
    ab[0] = (struct ref_matrix){val(c, "a"), ta ? 1 : s->k, ta ? s->m : 1};
    ab[1] = (struct ref_matrix){val(c, "b"), tb ? s->n : 1, tb ? 1 : s->k};
}

static void want_element(const struct check *c, size_t at, double sum, double mag) {
    const struct shape *s = c->user;
    struct check_arg *y = check_arg(c, "c");
    const double bias = s->bias ? val(c, "bias")[at % s->n] : 0;
    double scale = mag;
    if (s->epilogue != WEFT_EPI_NONE && s->epilogue != WEFT_EPI_DACT) {
        sum += bias;
        scale += fabs(bias);
    }
    if (s->epilogue == WEFT_EPI_BIAS_RESIDUAL) {
        sum += val(c, "residual")[at];
        scale += fabs(val(c, "residual")[at]);
    }
    const bool exact = s->exact || !isfinite(sum);
    struct ref_value value = {sum, exact ? 0 : ref_gemm_bound(s->k, scale)};
    if (s->epilogue == WEFT_EPI_BIAS_ACT) {
        if (s->z) {
            check_arg(c, "z")->want[at] = value.want;
            check_arg(c, "z")->tol[at] = value.tol;
        }
        value = ref_act_value(s->act, WEFT_LEAKY_SLOPE, value);
    } else if (s->epilogue == WEFT_EPI_DACT) {
        value = ref_dact_value(s->act, WEFT_LEAKY_SLOPE, val(c, "z")[at], value);
    }
    y->want[at] = value.want;
    y->tol[at] = value.tol;
}

static void oracle(struct check *c) {
    const struct shape *s = c->user;
    double *sum = zeros(s->m * s->n);
    double *mag = zeros(s->m * s->n);
    struct ref_matrix ab[2];
    matrices(c, ab);
    for (size_t i = 0; s->accumulate && i < s->m * s->n; i++) {
        sum[i] = val(c, "c")[i];
        mag[i] = fabs(sum[i]);
    }
    ref_gemm(s->m, s->n, s->k, ab, sum, mag);
    for (size_t i = 0; i < s->m * s->n; i++) want_element(c, i, sum[i], mag[i]);
    free(sum);
    free(mag);
}

/* Terms of a chain (words, with dot products): along the rows of A, and over them. */
static size_t chunk_of(const struct shape *s) { return s->a == WEFT_K_OUTER ? 256 : 1024; }

/* The contract in float: a chain of fmaf a chunk, chunks in ascending order onto C, epilogue. */
static void oracle_order(struct check *c) {
    const struct shape *s = c->user;
    struct check_arg *y = check_arg(c, "c");
    struct ref_matrix ab[2];
    matrices(c, ab);
    for (size_t at = 0; at < s->m * s->n; at++) {
        const double *a = ab[0].p + at / s->n * ab[0].rs;
        const double *b = ab[1].p + at % s->n * ab[1].cs;
        float sum = s->accumulate ? (float)val(c, "c")[at] : 0;
        for (size_t k0 = 0; k0 < s->k; k0 += chunk_of(s)) {
            float part = 0;
            for (size_t q = k0; q < s->k && q < k0 + chunk_of(s); q++)
                part = fmaf((float)a[q * ab[0].cs], (float)b[q * ab[1].rs], part);
            sum += part;
        }
        if (s->epilogue != WEFT_EPI_NONE && s->bias) sum += (float)val(c, "bias")[at % s->n];
        if (s->epilogue == WEFT_EPI_BIAS_RESIDUAL) sum += (float)val(c, "residual")[at];
        y->want[at] = (double)sum;
        y->tol[at] = CHECK_EXACT;
    }
}

/* ---- call ---- */
static struct weft_gemm_args args(struct check *c) {
    const struct shape *s = c->user;
    return (struct weft_gemm_args){.m = s->m,
                                   .n = s->n,
                                   .k = s->k,
                                   .a = check_ptr(c, "a"),
                                   .lda = s->lda,
                                   .a_layout = s->a,
                                   .b = check_ptr(c, "b"),
                                   .ldb = s->ldb,
                                   .b_layout = s->b,
                                   .c = check_ptr(c, "c"),
                                   .ldc = s->ldc,
                                   .accumulate = s->accumulate,
                                   .epilogue = s->epilogue,
                                   .act = s->act,
                                   .bias = s->bias ? check_f32(c, "bias") : NULL,
                                   .residual = check_ptr(c, "residual"),
                                   .ldr = s->ldc,
                                   .ldz = s->ldc + 3,
                                   .c_f32 = s->c_f32,
                                   .acc = check_ptr(c, "acc"),
                                   .ldacc = s->n + 3,
                                   .z = s->z || s->epilogue == WEFT_EPI_DACT ? check_ptr(c, "z")
                                                                             : NULL};
}

static void call_gemm(struct check *c, const struct weft_kernels *k) {
    struct weft_gemm_args g = args(c);
    if (g.a_layout == WEFT_PANELS) {
        CHECK_PICK(c, k, gemm_pack_a)
        (&(struct weft_pack_args){
            .r = g.m, .k = g.k, .src = g.a, .ld = g.lda, .dst = check_ptr(c, "pa")});
        g.a = check_ptr(c, "pa");
        g.lda = CHECK_WORDS(c, k, g.k) * k->gemm_mr;
    }
    if (g.b_layout == WEFT_PANELS) {
        CHECK_PICK(c, k, gemm_pack_b)
        (&(struct weft_pack_args){
            .r = g.n, .k = g.k, .src = g.b, .ld = g.ldb, .dst = check_ptr(c, "pb")});
        g.b = check_ptr(c, "pb");
        g.ldb = CHECK_WORDS(c, k, g.k) * k->gemm_nr;
    }
    CHECK_PICK(c, k, gemm)(&g);
}

static void call_gemv(struct check *c, const struct weft_kernels *k) {
    const struct weft_gemm_args g = args(c);
    CHECK_PICK(c, k, gemv)(&g);
}

static const void *after(const struct check *c, const void *p, size_t n) {
    return (const unsigned char *)p + n * (c->bf16 ? 2 : sizeof(float));
}
static void *after_out(void *p, size_t n, bool half) {
    return (unsigned char *)p + n * (half ? 2 : sizeof(float));
}

/* The same product in two calls along k, split at a chunk, and in two along n. */
static void run_split(struct check *c, const struct weft_kernels *k,
                      const struct weft_gemm_args whole) {
    const size_t chunk = chunk_of(c->user) * (c->bf16 ? k->bf16_word : 1);
    const bool narrows = c->bf16 && !whole.c_f32;
    const size_t nh = whole.n / 3;
    for (int half = 0; half < 2; half++) {
        struct weft_gemm_args g = whole;
        g.n = half ? whole.n - nh : nh;
        if (half) {
            g.b = after(c, g.b, g.b_layout == WEFT_K_INNER ? nh * g.ldb : nh);
            g.c = after_out(g.c, nh, narrows);
            g.residual = after(c, g.residual, nh);
            g.acc += nh;
            if (g.bias) g.bias += nh;
        }
        const size_t kh = g.k > chunk ? chunk : 0;
        if (kh) {
            struct weft_gemm_args first = g;
            first.k = kh;
            first.epilogue = WEFT_EPI_NONE;
            first.unfinished = true;
            CHECK_PICK(c, k, gemm)(&first);
            g.a = after(c, g.a, g.a_layout == WEFT_K_INNER ? kh : kh * g.lda);
            g.b = after(c, g.b, g.b_layout == WEFT_K_INNER ? kh : kh * g.ldb);
            g.k -= kh;
            g.resumed = narrows;
            g.accumulate = !narrows;
        }
        CHECK_PICK(c, k, gemm)(&g);
    }
}

static void call_split(struct check *c, const struct weft_kernels *k) { run_split(c, k, args(c)); }

/* Parts have the bits of the whole, rows alone those of a batch, whatever an ISA's order is. */
static void call_parts(struct check *c, const struct weft_kernels *k) {
    const struct shape *s = c->user;
    const struct weft_gemm_args whole = args(c);
    const size_t bytes = c->bf16 && !s->c_f32 ? 2 : sizeof(float);
    struct weft_gemm_args parts = whole;
    parts.c = check_ptr(c, "parts");
    CHECK_PICK(c, k, gemm)(&whole);
    run_split(c, k, parts);
    uint32_t *const differ = check_u32(c, "differ");
    *differ = 0;
    for (size_t i = 0; i < s->m; i++) {
        struct weft_gemm_args row = whole;
        row.m = 1;
        row.a = after(c, whole.a, s->a == WEFT_K_INNER ? i * s->lda : i);
        row.residual = after(c, whole.residual, i * s->ldc);
        row.c = after_out(parts.c, s->m * s->ldc, bytes == 2);
        CHECK_PICK(c, k, gemm)(&row);
        const void *const want = after_out(whole.c, i * s->ldc, bytes == 2);
        *differ += memcmp(want, after_out(parts.c, i * s->ldc, bytes == 2), s->n * bytes) != 0;
        *differ += memcmp(want, row.c, s->n * bytes) != 0;
    }
}

/* ---- families ---- */
static void draw_order(struct check *c) {
    struct shape *s = c->user;
    draw_size(c);
    s->a = (enum weft_layout)check_range(c, 0, 2);
    s->b = (enum weft_layout)check_range(c, 0, 2);
    s->epilogue = c->index % 2 ? WEFT_EPI_BIAS_RESIDUAL : WEFT_EPI_NONE;
    draw_operands(c, CHECK_FILL_NORMAL);
}
static void draw_split(struct check *c) {
    struct shape *s = c->user;
    draw_order(c);
    s->a = s->a == WEFT_PANELS ? WEFT_K_INNER : s->a;
    s->b = s->b == WEFT_PANELS ? WEFT_K_INNER : s->b;
}
static void draw_parts(struct check *c) {
    struct shape *s = c->user;
    draw_size(c);
    s->accumulate = false;
    s->a = (enum weft_layout)check_range(c, 0, 1);
    s->b = (enum weft_layout)check_range(c, 0, 1);
    s->epilogue = c->index % 2 ? WEFT_EPI_BIAS_RESIDUAL : WEFT_EPI_NONE;
    draw_operands(c, CHECK_FILL_NORMAL);
    check_scratch(c, "parts", (s->m + 1) * s->ldc * sizeof(float));
    check_typed(c, "differ", CHECK_OUT, CHECK_U32, 1, 1, 1);
}
static void oracle_parts(struct check *c) {
    oracle(c);
    check_arg(c, "differ")->want[0] = 0;
}
/* Every kind of right edge, without anything to follow: C is written as it comes out of a tile. */
static void draw_edge(struct check *c) {
    static const size_t columns[] = {24, 8, 40, 12, 28, 20, 56, 33, 48, 5, 17, 1};
    struct shape *s = c->user;
    draw_size(c);
    s->m = check_range(c, 1, 29);
    s->k = check_range(c, 1, 90);
    s->n = columns[c->index % 12];
    s->accumulate = false;
    s->a = (enum weft_layout)check_range(c, 0, 2);
    s->b = (enum weft_layout)check_range(c, 0, 2);
    draw_operands(c, CHECK_FILL_NORMAL);
}
static void draw_gemv(struct check *c) {
    struct shape *s = c->user;
    draw_size(c);
    s->m = check_range(c, 1, 6);
    s->n = check_range(c, 1, 70);
    s->a = s->b = WEFT_K_INNER;
    s->epilogue = c->index % 2 ? WEFT_EPI_BIAS : WEFT_EPI_NONE;
    draw_operands(c, CHECK_FILL_NORMAL);
}

static const struct check_family gemm = {
    "gemm", draw_gemm, oracle, call_gemm, 210, CHECK_DOT_BITS, " a b c residual z "};
static const struct check_family gemm_edge = {
    "gemm_edge", draw_edge, oracle, call_gemm, 144, CHECK_DOT_BITS, " a b c residual z "};
static const struct check_family gemm_parts = {
    "gemm_parts",        draw_parts, oracle_parts,
    call_parts,          48,         CHECK_DOT_BITS | CHECK_NO_VACUOUS,
    " a b c residual z "};
static const struct check_family gemm_order = {
    "gemm_order", draw_order, oracle_order, call_gemm, 96, CHECK_NO_DOT, " a b c residual z "};
static const struct check_family gemm_split = {
    "gemm_split", draw_split, oracle_order, call_split, 48, CHECK_NO_DOT, " a b c residual z "};
static const struct check_family gemv = {"gemv", draw_gemv,           oracle, call_gemv, 36,
                                         0,      " a b c residual z "};
static const struct check_family gemv_order = {
    "gemv_order", draw_gemv, oracle_order, call_gemv, 36, 0, " a b c residual z "};
CHECK_MAIN(&gemm, &gemm_edge, &gemm_parts, &gemm_order, &gemm_split, &gemv, &gemv_order)
