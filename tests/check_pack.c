/* gemm_pack_a, gemm_pack_b: every element in its place, zeros beside them, nothing beyond; and
 * colsum, against the double oracle and, bit for bit, against its order in float. */
#include <stdlib.h>
#include <string.h>
#include "kernels/ref/ref_gemm.h"
#include "tests/support/check.h"

struct shape {
    size_t r, k, ld;
    bool outer, accumulate;
};

static void draw_pack(struct check *c) {
    struct shape *s = c->user;
    s->r = check_size(c, 0) % 400;
    s->k = check_size(c, 1) % 300;
    s->outer = c->index % 2;
    s->ld = check_ld(c, s->outer ? s->r : s->k);
    if (s->outer)
        check_in(c, "x", s->k, s->r, s->ld, CHECK_FILL_CASE);
    else
        check_in(c, "x", s->r, s->k, s->ld, CHECK_FILL_CASE);
    check_scratch(c, "panels", (s->r + 64) * s->k * sizeof(float));
    check_out(c, "back", s->r, s->k, s->k); /* the panels read back */
    check_typed(c, "dirt", CHECK_OUT, CHECK_U32, 1, 1, 1);
}

static void oracle_pack(struct check *c) {
    const struct shape *s = c->user;
    const double *x = check_arg(c, "x")->val;
    for (size_t i = 0; i < s->r; i++)
        for (size_t q = 0; q < s->k; q++)
            check_arg(c, "back")->want[i * s->k + q] = s->outer ? x[q * s->r + i] : x[i * s->k + q];
    check_arg(c, "dirt")->want[0] = 0;
}

/* One of the terms of a word. */
static float term(const float *word, size_t terms, size_t which) {
    uint32_t bits;
    memcpy(&bits, word, sizeof bits);
    if (terms == 2) bits = which ? bits & 0xffff0000u : bits << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The panels end where the scratch ends: one lane too many is seen. */
static void pack(struct check *c, const struct weft_kernels *k,
                 void (*kernel)(const struct weft_pack_args *), size_t w) {
    const struct shape *s = c->user;
    const size_t panels = (s->r + w - 1) / w, words = CHECK_WORDS(c, k, s->k);
    float *const dst = (float *)check_ptr(c, "panels") + (s->r + 64) * s->k - panels * w * words;
    float *const back = check_f32(c, "back");
    uint32_t *const dirt = check_u32(c, "dirt");
    kernel(&(struct weft_pack_args){.r = s->r,
                                    .k = s->k,
                                    .src = check_ptr(c, "x"),
                                    .ld = s->ld,
                                    .layout = s->outer ? WEFT_K_OUTER : WEFT_K_INNER,
                                    .dst = dst});
    *dirt = 0;
    const size_t terms = c->bf16 ? k->bf16_word : 1; /* of a word */
    for (size_t i = 0; i < panels * w; i++)
        for (size_t q = 0; q < words * terms; q++) {
            const float v = term(dst + i / w * w * words + q / terms * w + i % w, terms, q % terms);
            if (i < s->r && q < s->k)
                back[i * s->k + q] = v;
            else if (v != 0)
                ++*dirt;
        }
}
static void call_a(struct check *c, const struct weft_kernels *k) {
    pack(c, k, CHECK_PICK(c, k, gemm_pack_a), k->gemm_mr);
}
static void call_b(struct check *c, const struct weft_kernels *k) {
    pack(c, k, CHECK_PICK(c, k, gemm_pack_b), k->gemm_nr);
}

/* ---- column sums ---- */
static void draw_colsum(struct check *c) {
    struct shape *s = c->user;
    s->r = check_size(c, 0) % 400;
    s->k = check_size(c, 1) % 400;
    s->ld = check_ld(c, s->k);
    s->accumulate = c->index % 2;
    check_in(c, "x", s->r, s->k, s->ld, CHECK_FILL_CASE);
    if (s->accumulate)
        check_inout(c, "sum", 1, s->k, s->k, CHECK_FILL_NORMAL);
    else
        check_out(c, "sum", 1, s->k, s->k);
}

static void oracle_colsum(struct check *c) {
    const struct shape *s = c->user;
    const struct check_arg *x = check_arg(c, "x");
    struct check_arg *y = check_arg(c, "sum");
    for (size_t j = 0; j < s->k; j++) {
        y->want[j] = s->accumulate ? y->val[j] : 0;
        double mag = fabs(y->want[j]);
        for (size_t i = 0; i < s->r; i++) mag += fabs(x->val[i * s->k + j]);
        y->tol[j] = (66 + (double)s->r / 64) * CHECK_U * mag;
    }
    ref_colsum(s->r, s->k, x->val, y->want);
}

static void oracle_colsum_order(struct check *c) {
    const struct shape *s = c->user;
    const double *x = check_arg(c, "x")->val;
    struct check_arg *y = check_arg(c, "sum");
    for (size_t j = 0; j < s->k; j++) {
        float sum = s->accumulate ? (float)y->val[j] : 0;
        for (size_t i0 = 0; i0 < s->r; i0 += 64) {
            float part = 0;
            for (size_t i = i0; i < s->r && i < i0 + 64; i++) part += (float)x[i * s->k + j];
            sum += part;
        }
        y->want[j] = (double)sum;
        y->tol[j] = CHECK_EXACT;
    }
}

static void call_colsum(struct check *c, const struct weft_kernels *k) {
    const struct shape *s = c->user;
    CHECK_PICK(c, k, colsum)
    (&(struct weft_colsum_args){.m = s->r,
                                .n = s->k,
                                .x = check_ptr(c, "x"),
                                .ldx = s->ld,
                                .sum = check_f32(c, "sum"),
                                .accumulate = s->accumulate});
}

static const struct check_family pack_a = {"gemm_pack_a",    draw_pack, oracle_pack, call_a, 60,
                                           CHECK_NO_VACUOUS, " x "};
static const struct check_family pack_b = {"gemm_pack_b",    draw_pack, oracle_pack, call_b, 60,
                                           CHECK_NO_VACUOUS, " x "};
static const struct check_family colsum = {"colsum", draw_colsum, oracle_colsum, call_colsum,
                                           50,       0,           " x "};
static const struct check_family colsum_order = {
    "colsum_order", draw_colsum, oracle_colsum_order, call_colsum, 50, 0, " x "};
CHECK_MAIN(&pack_a, &pack_b, &colsum, &colsum_order)
