/* A product cut into phases and tasks has the bits of the product in one call, whatever the
 * layouts, the parts, the order of the tasks and the number of live rows; and nothing else is
 * written. With operands in bf16 it has the bits of the f32 product of the same numbers, rounded
 * once where C is bf16 too; with dot products those of its own kernel in one call. */
#include "tests/support/unit.h"
#include "runtime/product.h"
#include "weft/half.h"

static float *noise(size_t n, unsigned seed) {
    float *const p = malloc((n + 1) * sizeof *p);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        p[i] = weft_bf16_load(weft_bf16_round((float)(seed >> 8) * 0x1p-23f - 1.0f));
    }
    return p;
}

static uint16_t *halves(const float *x, size_t n) {
    uint16_t *const p = malloc((n + 1) * sizeof *p);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) p[i] = weft_bf16_round(x[i]);
    return p;
}

struct shape {
    size_t m, n, k, live_m, live_k;
    enum weft_layout a, b;
};

/* All phases in order, tasks of a phase from last to first. */
static void run(const struct weft_product *p, const struct weft_gemm_args *g) {
    void *const packed = malloc(p->packed_bytes + 64), *const local = malloc(p->local_bytes + 64);
    assert_non_null(packed);
    assert_non_null(local);
    for (size_t phase = 0; phase < weft_product_phases(p); phase++) {
        assert_true(weft_product_tasks(p, phase) > 0 && weft_product_ns(p, unit_ctx, phase) > 0);
        for (size_t task = weft_product_tasks(p, phase); task-- > 0;)
            weft_product_run(p, unit_ctx->k, g, packed, local, phase, task);
    }
    free(packed);
    free(local);
}

/* g: the f32 product that gave want, from the C that got holds. */
static void in_bf16(const struct shape *s, struct weft_gemm_args g, float *got, float *want) {
    const size_t rows_a = s->a == WEFT_K_INNER ? s->m : s->k, n = s->m * g.ldc;
    const size_t rows_b = s->b == WEFT_K_INNER ? s->n : s->k;
    uint16_t *const a = halves(g.a, rows_a * g.lda), *const b = halves(g.b, rows_b * g.ldb);
    uint16_t *const residual = halves(g.residual, n), *const c = halves(got, n);
    uint16_t *const rounded = halves(want, n);
    if (unit_ctx->k->bf16_word == 2) {
        float *const acc = noise(n, 6);
        memcpy(rounded, c, n * sizeof *c);
        memcpy(want, got, n * sizeof *got);
        g.a = a, g.b = b, g.residual = residual, g.acc = acc, g.ldacc = g.ldc;
        g.c = rounded;
        unit_ctx->k->gemm_bf16(&g);
        g.c = want;
        g.c_f32 = true;
        unit_ctx->k->gemm_bf16(&g);
        free(acc);
    }
    for (int narrow = 0; narrow < 2; narrow++) {
        struct weft_product p = {
            .m = s->m, .n = s->n, .k = s->k, .a = s->a, .b = s->b, .half = true, .narrow = narrow};
        weft_product_plan(&p, unit_ctx);
        g.a = a;
        g.b = b;
        g.residual = residual;
        g.c = narrow ? (void *)c : (void *)got;
        run(&p, &g);
    }
    assert_memory_equal(got, want, n * sizeof *got);
    assert_memory_equal(c, rounded, n * sizeof *c);
    free(a), free(b), free(residual), free(c), free(rounded);
}

static void check(const struct shape *s) {
    const size_t lda = (s->a == WEFT_K_INNER ? s->k : s->m) + 3;
    const size_t ldb = (s->b == WEFT_K_INNER ? s->k : s->n) + 5;
    const size_t ldc = s->n + 2;
    float *const a = noise((s->a == WEFT_K_INNER ? s->m : s->k) * lda, 1);
    float *const b = noise((s->b == WEFT_K_INNER ? s->n : s->k) * ldb, 2);
    float *const bias = noise(s->n, 3);
    float *const residual = noise(s->m * ldc, 4);
    float *const got = noise(s->m * ldc, 5);
    float *const want = noise(s->m * ldc, 5), *const old = noise(s->m * ldc, 5);
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        struct weft_product p = {.m = s->m, .n = s->n, .k = s->k, .a = s->a, .b = s->b};
        weft_product_plan(&p, unit_ctx);
        struct weft_gemm_args g = {.m = s->live_m,
                                   .n = s->n,
                                   .k = s->live_k,
                                   .a = a,
                                   .lda = lda,
                                   .a_layout = s->a,
                                   .b = b,
                                   .ldb = ldb,
                                   .b_layout = s->b,
                                   .c = got,
                                   .ldc = ldc,
                                   .accumulate = accumulate,
                                   .epilogue = WEFT_EPI_BIAS_RESIDUAL,
                                   .bias = bias,
                                   .residual = residual,
                                   .ldr = ldc};
        memcpy(want, old, s->m * ldc * sizeof(float));
        memcpy(got, old, s->m * ldc * sizeof(float));
        run(&p, &g);
        g.c = want;
        unit_ctx->k->gemm_f32(&g);
        assert_memory_equal(got, want, s->m * ldc * sizeof(float));
        memcpy(got, old, s->m * ldc * sizeof(float));
        in_bf16(s, g, got, want);
    }
    free(a), free(b), free(bias), free(residual), free(got), free(want), free(old);
}

static void cut_changes_nothing(void **state) {
    (void)state;
    static const struct shape shapes[] = {
        {1, 1, 1, 1, 1, WEFT_K_INNER, WEFT_K_INNER},
        {16, 64, 13, 16, 13, WEFT_K_INNER, WEFT_K_INNER},
        {1, 2304, 768, 1, 768, WEFT_K_INNER, WEFT_K_INNER},    /* decoding */
        {64, 1000, 600, 1, 600, WEFT_K_INNER, WEFT_K_INNER},   /* the same, of a chunk program */
        {300, 300, 300, 300, 300, WEFT_K_INNER, WEFT_K_INNER}, /* packed */
        {301, 513, 257, 170, 257, WEFT_K_INNER, WEFT_K_OUTER}, /* fewer live rows */
        {770, 400, 513, 770, 513, WEFT_K_OUTER, WEFT_K_OUTER},
        {770, 400, 1000, 770, 300, WEFT_K_OUTER, WEFT_K_OUTER},  /* fewer live rows of dW */
        {2000, 3, 200, 2000, 200, WEFT_K_INNER, WEFT_K_OUTER},   /* few columns */
        {530, 150, 9000, 530, 9000, WEFT_K_INNER, WEFT_K_OUTER}, /* several parts along k */
        {530, 150, 9000, 3, 9000, WEFT_K_INNER, WEFT_K_OUTER},
        {9000, 150, 1100, 9000, 1100, WEFT_K_OUTER, WEFT_K_OUTER}, /* along m and k */
        {4000, 150, 2500, 4000, 2500, WEFT_K_OUTER,
         WEFT_K_OUTER}, /* along k also where words are pairs */
        {9000, 150, 1100, 9000, 1000, WEFT_K_OUTER, WEFT_K_OUTER},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) check(&shapes[i]);
    weft_ctx *const usual = unit_ctx;
    const struct weft_ctx_options others[] = {
        {.threads = 1, .tuning = "fma_mflops=1000"}, /* packing pays */
        {.threads = 1, .tuning = "fma_mflops=1000", .isa = "avx512"},
    };
    const size_t n = usual->k->bf16_word == 1 ? 1 : 2; /* the second: without dot products */
    for (size_t c = 0; c < n; c++) {
        assert_int_equal(weft_ctx_create(&others[c], &unit_ctx), WEFT_OK);
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) check(&shapes[i]);
        weft_ctx_free(unit_ctx);
    }
    unit_ctx = usual;
}

/* On this core, and on a slow one, for which packing pays. */
static void memory_is_bounded(void **state) {
    (void)state;
    static const char *const tunings[] = {NULL, "fma_mflops=1000"};
    for (size_t i = 0; i < 2; i++) {
        const struct weft_ctx_options o = {.threads = 1, .tuning = tunings[i]};
        weft_ctx *ctx;
        assert_int_equal(weft_ctx_create(&o, &ctx), WEFT_OK);
        struct weft_product p = {
            .m = 50257, .n = 768, .k = 1024, .a = WEFT_K_OUTER, .b = WEFT_K_OUTER};
        weft_product_plan(&p, ctx);
        assert_true(p.packed_bytes <= (size_t)17 << 20);
        assert_true(i == 0 || (p.pack && p.parts > 1));
        struct weft_product tiny = {
            .m = 16, .n = 64, .k = 13, .a = WEFT_K_INNER, .b = WEFT_K_INNER};
        weft_product_plan(&tiny, ctx);
        assert_int_equal(weft_product_phases(&tiny), 1);
        assert_int_equal(weft_product_tasks(&tiny, 0), 1);
        assert_int_equal(tiny.packed_bytes, 0);
        /* the gradient of a narrow layer, of a large batch: fewer rows than a tile, many parts along
         * k */
        struct weft_product deep = {
            .m = 10, .n = 128, .k = 1 << 20, .a = WEFT_K_OUTER, .b = WEFT_K_OUTER};
        weft_product_plan(&deep, ctx);
        assert_true(deep.packed_bytes <= (size_t)32 << 20 && (i == 0 || deep.parts > 1));
        weft_ctx_free(ctx);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_changes_nothing),
        cmocka_unit_test(memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, unit_start, unit_stop);
}
