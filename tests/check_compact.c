/* Compact weights (kernels/compact.h). What the quantiser makes: within half a step of the weight,
 * for every format, zeros, edges of groups, ugly magnitudes; all bf16 values. What the products
 * make of it: against the double oracle over the weights that the blocks stand for, and bit for bit
 * against the order of compact.h in float, so that a row alone has the bits that it has in a batch.
 * For dot products of bf16, and for blocks that are words: against the oracle, rows alone, and the
 * product of the same matrix in rows. */
#include <stdlib.h>
#include <string.h>
#include "kernels/ref/ref_gemm.h"
#include "tests/support/check.h"

struct shape {
    size_t m, n, k, lda, ldc;
    enum weft_format format;
    enum weft_layout a;
    bool residual, bare, words; /* bare: no epilogue; words: the format is set */
};

static const size_t depths[] = {256, 257, 1, 33, 64, 255, 31, 1025, 2, 520, 96, 2063};

static void *room(size_t bytes) {
    void *p = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (!p) abort();
    memset(p, 0xff, (bytes + 127) / 64 * 64);
    return p;
}

/* ---- the blocks, as an oracle reads them: q and the scale of weight (output, term) ---- */
static double read_weight(const struct shape *s, const unsigned char *blocks, size_t j, size_t k,
                          double *scale) {
    const size_t group = weft_format_group(s->format), c = j % 64;
    const unsigned char *at = blocks + j / 64 * weft_compact_block(s->format, s->k);
    *scale = 1;
    if (group > 0) {
        const size_t g = group == WEFT_CHANNEL ? s->k : group;
        float f;
        at += k / g * (256 + g * weft_compact_row(s->format));
        memcpy(&f, at + 4 * c, 4);
        *scale = (double)f;
        at += 256;
        k %= g;
    }
    at += (s->format == WEFT_FORMAT_BF16 ? k / 2 * 2 : k) * weft_compact_row(s->format);
    if (s->format == WEFT_FORMAT_BF16) {
        const unsigned char *const half = at + 4 * c + 2 * (k % 2);
        const uint32_t bits = (uint32_t)half[0] << 16 | (uint32_t)half[1] << 24;
        float f;
        memcpy(&f, &bits, 4);
        return (double)f;
    }
    if (s->format == WEFT_FORMAT_F32) {
        float f;
        memcpy(&f, at + 4 * c, 4);
        return (double)f;
    }
    if (s->format == WEFT_FORMAT_INT4) {
        const unsigned word = at[2 * (c % 16)] | (unsigned)at[2 * (c % 16) + 1] << 8;
        return (double)(word >> c / 16 * 4 & 15) - 8;
    }
    return (double)(int8_t)at[c];
}

/* All blocks of w (n, k), by a table's own kernels; the caller frees them. */
static unsigned char *make_blocks(const struct shape *s, const struct weft_kernels *kernels,
                                  const float *w, size_t ld) {
    const size_t block = weft_compact_block(s->format, s->k);
    unsigned char *const blocks = room(weft_compact_bytes(s->format, s->n, s->k));
    float *const turned = room(64 * s->k * sizeof *turned);
    for (size_t j = 0; j < s->n; j += 64) {
        const size_t n = s->n - j < 64 ? s->n - j : 64;
        kernels->compact_transpose_f32(w + j * ld, ld, n, s->k, turned);
        kernels->compact_pack(&(struct weft_compact_args){.format = s->format,
                                                          .n = n,
                                                          .k = s->k,
                                                          .src = turned,
                                                          .ld = 64,
                                                          .block = blocks + j / 64 * block});
    }
    free(turned);
    return blocks;
}

static const struct weft_kernels *emu(void) {
    const struct weft_kernels *table[8];
    return check_tables(table) ? table[0] : NULL;
}

/* The oracle's own blocks: of an argument's values. */
static unsigned char *blocks_of(const struct shape *s, const struct check_arg *w) {
    float *const x = room(s->n * s->k * sizeof *x);
    for (size_t i = 0; i < s->n * s->k; i++) x[i] = (float)w->val[i];
    unsigned char *const blocks = make_blocks(s, emu(), x, s->k);
    free(x);
    return blocks;
}

/* ---- products ---- */
static void draw_product(struct check *c, const struct shape *fixed) {
    static const enum check_fill fills[] = {CHECK_FILL_NORMAL, CHECK_FILL_WIDE, CHECK_FILL_MEAN,
                                            CHECK_FILL_SPIKE, CHECK_FILL_ALTERNATE};
    struct shape *s = c->user;
    *s = *fixed;
    if (!s->words) s->format = (enum weft_format)(1 + c->index % (WEFT_FORMATS - 1));
    if (!s->words && c->bf16) /* blocks in bf16 are the words' */
        s->format = (enum weft_format)(WEFT_FORMAT_INT8 + c->index % 4);
    s->k = depths[(c->index / 5 + c->index) % 12];
    s->n = c->index % 4 == 3 ? check_range(c, 60, 200) : check_range(c, 1, 70);
    s->lda = check_ld(c, s->k);
    s->ldc = check_ld(c, s->n);
    s->residual = c->index % 3 == 1;
    s->bare = c->index % 3 == 2;
    check_in(c, "a", s->m, s->k, s->lda, fills[c->index / 2 % 5]);
    check_in(c, "w", s->n, s->k, s->k, fills[c->index / 3 % 5]);
    check_scratch(c, "blocks", weft_compact_bytes(s->format, s->n, s->k));
    check_scratch(c, "pa", (s->m + 32) * s->k * sizeof(float));
    check_scratch(c, "wide", s->m * s->k * sizeof(float));
    check_scratch(c, "alone", s->n * sizeof(float));
    check_typed(c, "same", CHECK_OUT, CHECK_U32, 1, 1, 1);
    check_in(c, "bias", 1, s->n, s->n, CHECK_FILL_NORMAL);
    check_in(c, "residual", s->m, s->n, s->ldc, CHECK_FILL_NORMAL);
    check_out(c, "c", s->m, s->n, s->ldc);
}
static void draw_gemv(struct check *c) {
    draw_product(c, &(struct shape){.m = check_range(c, 1, 6)});
}
static void draw_gemm(struct check *c) {
    draw_product(c, &(struct shape){.m = check_range(c, 1, 40),
                                    .a = c->index % 2 ? WEFT_PANELS : WEFT_K_INNER});
}

static double epilogue(const struct check *c, const struct shape *s, size_t at, double *size) {
    const double bias = s->bare ? 0 : check_arg(c, "bias")->val[at % s->n];
    const double more = s->residual ? check_arg(c, "residual")->val[at] : 0;
    *size += fabs(bias) + fabs(more);
    return bias + more;
}

/* (k + 4) u (|A| |W| + ..): the scale's FMA is one rounding a chunk more than the sum's. */
static void oracle_bound(struct check *c) {
    const struct shape *s = c->user;
    struct check_arg *const y = check_arg(c, "c");
    const double *const a = check_arg(c, "a")->val;
    unsigned char *const blocks = blocks_of(s, check_arg(c, "w"));
    for (size_t at = 0; at < s->m * s->n; at++) {
        double sum = 0, size = 0, scale;
        for (size_t k = 0; k < s->k; k++) {
            const double q = read_weight(s, blocks, at % s->n, k, &scale);
            const double term = a[at / s->n * s->k + k] * (q * scale);
            sum += term;
            size += fabs(term);
        }
        sum += epilogue(c, s, at, &size);
        y->want[at] = sum;
        y->tol[at] = ref_gemm_bound(s->k, size) + 0x1p-126;
    }
    check_arg(c, "same")->want[0] = 1;
    free(blocks);
}

/* The contract in float. */
static void oracle_order(struct check *c) {
    const struct shape *s = c->user;
    struct check_arg *const y = check_arg(c, "c");
    const double *const a = check_arg(c, "a")->val;
    const size_t group = weft_format_group(s->format),
                 step = group > 0 && group < 1024 ? group : 1024;
    unsigned char *const blocks = blocks_of(s, check_arg(c, "w"));
    for (size_t at = 0; at < s->m * s->n; at++) {
        float sum = 0;
        double scale = 1;
        for (size_t k0 = 0; k0 < s->k; k0 += step) {
            float part = 0;
            for (size_t k = k0; k < s->k && k < k0 + step; k++)
                part = fmaf((float)a[at / s->n * s->k + k],
                            (float)read_weight(s, blocks, at % s->n, k, &scale), part);
            if (group == 0)
                sum = k0 == 0 ? part : sum + part;
            else
                sum = k0 == 0 ? part * (float)scale : fmaf(part, (float)scale, sum);
        }
        if (!s->bare) sum += (float)check_arg(c, "bias")->val[at % s->n];
        if (s->residual) sum += (float)check_arg(c, "residual")->val[at];
        y->want[at] = (double)sum;
        y->tol[at] = CHECK_EXACT;
    }
    check_arg(c, "same")->want[0] = 1;
    free(blocks);
}

/* The table makes the blocks, in guarded memory. */
static struct weft_gemm_args args(struct check *c, const struct weft_kernels *k) {
    const struct shape *s = c->user;
    unsigned char *const made = make_blocks(s, k, check_f32(c, "w"), s->k);
    memcpy(check_ptr(c, "blocks"), made, weft_compact_bytes(s->format, s->n, s->k));
    free(made);
    return (struct weft_gemm_args){.m = s->m,
                                   .n = s->n,
                                   .k = s->k,
                                   .a = check_ptr(c, "a"),
                                   .lda = s->lda,
                                   .a_layout = s->a,
                                   .b_layout = WEFT_BLOCKS,
                                   .format = s->format,
                                   .blocks = check_ptr(c, "blocks"),
                                   .c = check_f32(c, "c"),
                                   .ldc = s->ldc,
                                   .epilogue = s->residual ? WEFT_EPI_BIAS_RESIDUAL
                                               : s->bare   ? WEFT_EPI_NONE
                                                           : WEFT_EPI_BIAS,
                                   .bias = check_f32(c, "bias"),
                                   .residual = check_f32(c, "residual"),
                                   .ldr = s->ldc,
                                   .c_f32 = true};
}

static bool has_dots(const struct check *c, const struct weft_kernels *k) {
    return c->bf16 && k->bf16_word == 2;
}

/* A in bf16 becomes f32 for a table without dot products. */
static void widen_a(struct check *c, const struct weft_kernels *k, struct weft_gemm_args *g) {
    if (!c->bf16 || has_dots(c, k)) return;
    float *const wide = check_f32(c, "wide");
    for (size_t i = 0; i < g->m; i++)
        k->widen_bf16((const uint16_t *)g->a + i * g->lda, wide + i * g->k, g->k);
    g->a = wide;
    g->lda = g->k;
}

typedef void multiply(const struct weft_gemm_args *);

/* Has row i of the product the same bits alone? A is that of g, in rows. */
static uint32_t alone(struct check *c, const struct weft_kernels *k, multiply *kernel,
                      const struct weft_gemm_args *g, const void *c_row, size_t i) {
    struct weft_gemm_args row = *g;
    row.m = 1;
    row.a = (const char *)g->a + i * g->lda * (has_dots(c, k) ? 2 : sizeof(float));
    row.c = check_ptr(c, "alone");
    row.residual = (const float *)g->residual + i * g->ldr;
    kernel(&row);
    return memcmp(c_row, row.c, g->n * sizeof(float)) == 0;
}

/* ... and multiplies by them. */
static void call(struct check *c, const struct weft_kernels *k, multiply *kernel) {
    const bool dots = has_dots(c, k);
    struct weft_gemm_args rows = args(c, k);
    widen_a(c, k, &rows);
    struct weft_gemm_args g = rows;
    if (g.a_layout == WEFT_PANELS) {
        (dots ? k->gemm_pack_a_bf16 : k->gemm_pack_a_f32)(&(struct weft_pack_args){
            .r = g.m, .k = g.k, .src = g.a, .ld = g.lda, .dst = check_ptr(c, "pa")});
        g.a = check_ptr(c, "pa");
        g.lda = CHECK_WORDS(c, k, g.k) * k->gemm_mr;
        rows.a_layout = WEFT_K_INNER;
    }
    kernel(&g);
    uint32_t *const same = check_u32(c, "same");
    *same = 1;
    for (size_t i = 0; i < g.m; i++)
        *same &= alone(c, k, kernel, &rows, (const float *)g.c + i * g.ldc, i);
}
static void call_gemv(struct check *c, const struct weft_kernels *k) {
    call(c, k, has_dots(c, k) ? k->gemv_compact_bf16 : k->gemv_compact_f32);
}
static void call_gemm(struct check *c, const struct weft_kernels *k) {
    call(c, k, has_dots(c, k) ? k->gemm_compact_bf16 : k->gemm_compact_f32);
}

/* ---- words: blocks in f32, or, A being bf16, in bf16 for dot products where there are some ---- */
static void draw_words(struct check *c) {
    const struct shape *s = c->user;
    draw_product(c, &(struct shape){.m = check_range(c, 1, 33),
                                    .format = c->bf16 ? WEFT_FORMAT_BF16 : WEFT_FORMAT_F32,
                                    .words = true});
    check_scratch(c, "rows", s->n * s->k * 2);
}

/* Rows that have other bits alone, or from W as it is written (in bf16 without an epilogue, whose
 * operands would be bf16). */
static void call_words(struct check *c, const struct weft_kernels *k) {
    const struct shape *s = c->user;
    const bool dots = has_dots(c, k);
    multiply *const words = dots ? k->gemm_bf16 : k->gemm_f32;
    multiply *const kernel = dots ? k->gemm_compact_bf16 : k->gemm_compact_f32;
    struct weft_gemm_args g = args(c, k);
    uint32_t *const same = check_u32(c, "same");
    widen_a(c, k, &g);
    kernel(&g);
    g.b = check_ptr(c, dots ? "rows" : "w");
    g.ldb = s->k;
    k->narrow_bf16(check_f32(c, "w"), check_ptr(c, "rows"), s->n * s->k);
    struct weft_gemm_args plain = g;
    plain.b_layout = WEFT_K_INNER;
    *same = 1;
    for (size_t i = 0; i < s->m; i++) {
        const float *const want = (const float *)g.c + i * s->ldc;
        *same &= alone(c, k, kernel, &g, want, i);
        if (!c->bf16 || (dots && s->bare)) *same &= alone(c, k, words, &plain, want, i);
    }
}

/* ---- the quantiser ---- */
/* Weights of a block, and what stands there for each: at most half a step away. */
static void draw_pack(struct check *c) {
    struct shape *s = c->user;
    *s = (struct shape){.format = (enum weft_format)(c->index % WEFT_FORMATS),
                        .k = depths[c->index % 12],
                        .n = check_range(c, 1, 64)};
    s->lda = check_ld(c, s->n);
    struct check_arg *const w = check_in(c, "w", s->k, s->n, s->lda, CHECK_FILL_CASE);
    if (c->index % 7 == 3) /* some outputs of zeros, or of zeros for a group */
        for (size_t i = 0; i < s->k * s->n; i++)
            if (i % s->n % 3 == 0 || i / s->n < 40) w->val[i] = 0;
    if (c->index % 7 == 5) /* too small to have a step of 1/127 */
        for (size_t i = 0; i < s->k * s->n; i++) w->val[i] = (double)(float)(w->val[i] * 0x1p-140);
    check_scratch(c, "block", weft_compact_block(s->format, s->k));
    check_out(c, "back", s->n, s->k, s->k);
    check_out(c, "padding", 1, 64, 64);
}

static void oracle_pack(struct check *c) {
    const struct shape *s = c->user;
    const double *const w = check_arg(c, "w")->val;
    struct check_arg *const back = check_arg(c, "back");
    const size_t group = weft_format_group(s->format), g = group < s->k ? group : s->k;
    const double most = s->format == WEFT_FORMAT_INT4 ? 7 : 127;
    for (size_t j = 0; j < 64; j++) check_arg(c, "padding")->want[j] = 0;
    for (size_t j = 0; j < s->n; j++)
        for (size_t k = 0; k < s->k; k++) {
            const size_t at = j * s->k + k;
            double max = 0;
            back->want[at] = w[k * s->n + j];
            if (s->format == WEFT_FORMAT_F32) continue;
            if (group == 0) { /* round to nearest: 8 bits of significand */
                back->tol[at] = fmax(fabs(back->want[at]) * 0x1p-8, 0x1p-126);
                continue;
            }
            for (size_t q = k / g * g; q < s->k && q < (k / g + 1) * g; q++)
                max = fmax(max, fabs(w[q * s->n + j]));
            const double step = max == 0 ? 0 : fmax(max / most, 0x1p-126);
            back->tol[at] = step * (0.5 + most * 0x1p-22);
        }
}

static void call_pack(struct check *c, const struct weft_kernels *k) {
    const struct shape *s = c->user;
    unsigned char *const block = check_ptr(c, "block");
    double scale;
    k->compact_pack(&(struct weft_compact_args){.format = s->format,
                                                .n = s->n,
                                                .k = s->k,
                                                .src = check_f32(c, "w"),
                                                .ld = s->lda,
                                                .block = block});
    for (size_t j = 0; j < s->n; j++)
        k->compact_output_f32(s->format, block, s->k, j, check_f32(c, "back") + j * s->k);
    float *const padding = check_f32(c, "padding");
    for (size_t j = 0; j < 64; j++) {
        padding[j] = 0;
        for (size_t t = 0; j >= s->n && t < s->k; t++)
            padding[j] += (float)fabs(read_weight(s, block, j, t, &scale) * scale);
    }
}

/* ---- every bf16, and its neighbours ---- */
static void draw_bf16(struct check *c) {
    struct shape *s = c->user;
    *s = (struct shape){.format = WEFT_FORMAT_BF16, .n = 64, .k = 1024};
    struct check_arg *const w = check_typed(c, "w", CHECK_IN, CHECK_F32, s->k, s->n, s->n);
    for (uint32_t i = 0; i < 65536; i++) { /* itself, a tie, just below and above one */
        static const uint32_t low[] = {0, 0x8000, 0x7fff, 0x8001};
        const uint32_t bits = i << 16 | low[(i / 2 + c->index) % 4];
        float f;
        memcpy(&f, &bits, 4);
        w->val[i] = isfinite(f) ? (double)f : 0;
    }
    check_scratch(c, "block", weft_compact_block(s->format, s->k));
    check_out(c, "back", s->n, s->k, s->k);
}

static void oracle_bf16(struct check *c) {
    const struct shape *s = c->user;
    for (size_t j = 0; j < s->n; j++)
        for (size_t k = 0; k < s->k; k++) {
            const double x = check_arg(c, "w")->val[k * s->n + j];
            int e;
            frexp(x, &e);
            const double unit = ldexp(1, (e < -125 ? -125 : e) - 8); /* of the last place */
            double y = rint(x / unit) * unit;
            if (fabs(y) >= 0x1p128) y = copysign((double)INFINITY, x);
            if (fabs(x) < 0x1p-126) y = copysign(0, x);
            check_arg(c, "back")->want[j * s->k + k] = y;
        }
}

static void call_bf16(struct check *c, const struct weft_kernels *k) {
    const struct shape *s = c->user;
    k->compact_pack(&(struct weft_compact_args){.format = s->format,
                                                .n = s->n,
                                                .k = s->k,
                                                .src = check_f32(c, "w"),
                                                .ld = s->n,
                                                .block = check_ptr(c, "block")});
    for (size_t j = 0; j < s->n; j++)
        k->compact_output_f32(s->format, check_ptr(c, "block"), s->k, j,
                              check_f32(c, "back") + j * s->k);
}

static const struct check_family gemv = {"gemv_compact", draw_gemv, oracle_bound, call_gemv,
                                         60,             CHECK_DOT_BITS, " a "};
static const struct check_family gemv_order = {
    "gemv_compact_order", draw_gemv, oracle_order, call_gemv, 60, 0};
static const struct check_family gemm = {"gemm_compact", draw_gemm, oracle_bound, call_gemm,
                                         60,             CHECK_DOT_BITS, " a "};
static const struct check_family gemm_order = {
    "gemm_compact_order", draw_gemm, oracle_order, call_gemm, 60, 0};
static const struct check_family words = {
    "gemm_words", draw_words, oracle_bound, call_words, 60, CHECK_DOT_BITS, " a "};
static const struct check_family pack = {"compact_pack", draw_pack, oracle_pack,
                                         call_pack,      84,        CHECK_NO_VACUOUS};
static const struct check_family bf16 = {"compact_bf16", draw_bf16, oracle_bf16, call_bf16, 4, 0};
CHECK_MAIN(&gemv, &gemv_order, &gemm, &gemm_order, &words, &pack, &bf16)
