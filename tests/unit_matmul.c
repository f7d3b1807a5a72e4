/* weft/matmul.h: against sums in double, every layout and epilogue; packed and plain, one thread
 * and three give the same bits; wrong calls are refused. */
#include <math.h>
#include "tests/support/unit.h"
#include "weft/half.h"
#include "weft/weft.h"

static float *noise(size_t n, unsigned seed) {
    float *const p = malloc((n + 1) * sizeof *p);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        p[i] = (float)(seed >> 8) * 0x1p-23f - 1.0f;
    }
    return p;
}

struct data {
    float *a, *b, *bias, *residual, *start, *c;
    size_t lda, ldb, ldc, ldr;
};

static struct data make(const struct weft_matmul_shape *s, size_t gap) {
    struct data d = {.lda = (s->a_trans ? s->m : s->k) + gap,
                     .ldb = (s->b_trans ? s->k : s->n) + gap,
                     .ldc = s->n + gap,
                     .ldr = s->n + gap};
    d.a = noise((s->a_trans ? s->k : s->m) * d.lda, 1);
    d.b = noise((s->b_trans ? s->n : s->k) * d.ldb, 2);
    d.bias = noise(s->n, 3);
    d.residual = noise(s->m * d.ldr, 4);
    d.start = noise(s->m * d.ldc, 5);
    d.c = noise(s->m * d.ldc, 5);
    return d;
}

static void discard(struct data *d) {
    free(d->a), free(d->b), free(d->bias), free(d->residual), free(d->start), free(d->c);
}

static void run(const struct weft_matmul_shape *shape, struct data *d, int threads, bool packed) {
    struct weft_matmul_shape s = *shape;
    const struct weft_ctx_options o = {.threads = threads};
    weft_ctx *ctx;
    weft_matmul *g;
    s.b_packed = packed;
    assert_int_equal(weft_ctx_create(&o, &ctx), WEFT_OK);
    assert_int_equal(weft_matmul_create(ctx, &s, &g), WEFT_OK);
    float *const panels = malloc((weft_matmul_packed_size(g) + 1) * sizeof *panels);
    assert_int_equal(weft_matmul_pack(g, d->b, d->ldb, panels), WEFT_OK);
    const size_t size = s.bf16 && !s.c_f32 ? 2 : sizeof(float);
    memcpy(d->c, d->start, s.m * d->ldc * size);
    const struct weft_matmul_operands with = {.a = d->a,
                                              .lda = d->lda,
                                              .b = packed ? panels : d->b,
                                              .ldb = d->ldb,
                                              .c = d->c,
                                              .ldc = d->ldc,
                                              .bias = d->bias,
                                              .residual = d->residual,
                                              .ldr = d->ldr};
    assert_int_equal(weft_matmul_run(g, &with), WEFT_OK);
    free(panels);
    weft_matmul_free(g);
    weft_ctx_free(ctx);
}

/* Every element of got's C inside (k + 4) u (sum of magnitudes), the gaps as they were; d: its
 * operands in f32. */
static void check_values(const struct weft_matmul_shape *s, const struct data *got,
                         const struct data *d) {
    const bool relu = s->act != NULL;
    for (size_t i = 0; i < s->m; i++) {
        for (size_t j = 0; j < s->n; j++) {
            double sum = s->accumulate ? (double)d->start[i * d->ldc + j] : 0, size = fabs(sum);
            for (size_t k = 0; k < s->k; k++) {
                const double a = (double)d->a[s->a_trans ? k * d->lda + i : i * d->lda + k];
                const double b = (double)d->b[s->b_trans ? j * d->ldb + k : k * d->ldb + j];
                sum += a * b;
                size += fabs(a * b);
            }
            const double more = (s->bias ? (double)d->bias[j] : 0) +
                                (s->residual ? (double)d->residual[i * d->ldr + j] : 0);
            sum += more;
            size += 2; /* bias and residual are below 1 */
            const double want = relu && sum < 0 ? 0 : sum;
            const double error = fabs((double)got->c[i * d->ldc + j] - want);
            assert_true(error <= ((double)s->k + 4) * 0x1p-24 * size);
        }
        for (size_t j = s->n; j < d->ldc; j++)
            assert_true(got->c[i * d->ldc + j] == d->start[i * d->ldc + j]);
    }
}

static void check(struct weft_matmul_shape s) {
    for (unsigned how = 0; how < 4; how++) {
        s.a_trans = how & 1, s.b_trans = how >> 1 & 1;
        struct data d = make(&s, how);
        run(&s, &d, 1, false);
        check_values(&s, &d, &d);
        const size_t bytes = s.m * d.ldc * sizeof *d.c;
        float *const first = malloc(bytes + 1);
        memcpy(first, d.c, bytes);
        for (unsigned other = 0; other < 3; other++) {
            run(&s, &d, other == 0 ? 1 : 3, other != 1);
            assert_memory_equal(first, d.c, bytes);
        }
        free(first);
        discard(&d);
    }
}

/* In bf16, from numbers that bf16 holds: C in f32 inside the bound, C in bf16 the nearest to it;
 * packed and plain, one thread and three give the same bits. */
static void check_halves(struct weft_matmul_shape s) {
    struct data d = make(&s, 3);
    const size_t a = (s.a_trans ? s.k : s.m) * d.lda, b = (s.b_trans ? s.n : s.k) * d.ldb;
    const size_t c = s.m * d.ldc;
    float *const wide[] = {d.a, d.b, d.residual, d.start};
    const size_t count[] = {a, b, s.m * d.ldr, c};
    uint16_t *half[4], *const first = malloc(c * 2);
    for (size_t i = 0; i < 4; i++) {
        half[i] = malloc(count[i] * 2 + 1);
        for (size_t j = 0; j < count[i]; j++) {
            half[i][j] = weft_bf16_round(wide[i][j]);
            wide[i][j] = weft_bf16_load(half[i][j]);
        }
    }
    s.bf16 = true;
    struct data h = d;
    h.a = (void *)half[0], h.b = (void *)half[1], h.residual = (void *)half[2];
    s.c_f32 = true;
    run(&s, &h, 1, false);
    check_values(&s, &h, &d);
    s.c_f32 = false;
    h.start = (void *)half[3];
    h.c = malloc(c * sizeof(float));
    for (unsigned how = 0; how < 4; how++) {
        run(&s, &h, how & 1 ? 3 : 1, how & 2);
        if (how == 0) memcpy(first, h.c, c * 2);
        assert_memory_equal(first, h.c, c * 2);
    }
    for (size_t i = 0; i < s.m; i++)
        for (size_t j = 0; j < s.n && !s.accumulate; j++)
            assert_int_equal(first[i * d.ldc + j], weft_bf16_round(d.c[i * d.ldc + j]));
    for (size_t i = 0; i < 4; i++) free(half[i]);
    free(first), free(h.c);
    discard(&d);
}

static void halves(void **state) {
    (void)state;
    for (unsigned how = 0; how < 4; how++) {
        const bool a = how & 1, b = how >> 1;
        check_halves(
            (struct weft_matmul_shape){.m = 1, .n = 1, .k = 1, .a_trans = a, .b_trans = b});
        check_halves((struct weft_matmul_shape){
            .m = 33, .n = 150, .k = 1301, .a_trans = a, .b_trans = b, .bias = true});
        check_halves((struct weft_matmul_shape){.m = 300,
                                                .n = 70,
                                                .k = 514,
                                                .a_trans = a,
                                                .b_trans = b,
                                                .bias = true,
                                                .residual = true});
    }
}

static void values(void **state) {
    (void)state;
    check((struct weft_matmul_shape){.m = 1, .n = 1, .k = 1});
    check((struct weft_matmul_shape){.m = 3, .n = 50, .k = 7, .bias = true});
    check((struct weft_matmul_shape){.m = 33, .n = 17, .k = 300, .accumulate = true});
    check((struct weft_matmul_shape){.m = 70, .n = 129, .k = 520, .bias = true, .act = "relu"});
    check((struct weft_matmul_shape){.m = 65, .n = 40, .k = 31, .bias = true, .residual = true});
    check((struct weft_matmul_shape){.m = 9, .n = 5, .k = 0, .bias = true});
}

static void refusals(void **state) {
    (void)state;
    weft_matmul *g = NULL;
    struct weft_matmul_shape s = {.m = 2, .n = 3, .k = 4, .act = "wobble"};
    assert_int_equal(weft_matmul_create(unit_ctx, &s, &g), WEFT_ERR_ARG);
    unit_says("wobble");
    s.act = "relu", s.residual = true;
    assert_int_equal(weft_matmul_create(unit_ctx, &s, &g), WEFT_ERR_ARG);
    s = (struct weft_matmul_shape){.m = SIZE_MAX / 2, .n = 3, .k = 4};
    assert_int_equal(weft_matmul_create(unit_ctx, &s, &g), WEFT_ERR_SHAPE);
    s = (struct weft_matmul_shape){.m = 2, .n = 3, .k = 4, .bias = true};
    assert_int_equal(weft_matmul_create(NULL, &s, &g), WEFT_ERR_NULL);
    assert_int_equal(weft_matmul_create(unit_ctx, &s, &g), WEFT_OK);
    float x[64] = {0};
    struct weft_matmul_operands o = {.a = x, .b = x + 20, .c = x + 40};
    assert_int_equal(weft_matmul_run(g, &o), WEFT_ERR_NULL); /* no bias */
    o.bias = x;
    assert_int_equal(weft_matmul_run(g, &o), WEFT_OK);
    o.lda = 3;
    assert_int_equal(weft_matmul_run(g, &o), WEFT_ERR_STRIDE);
    unit_says("A");
    weft_matmul_free(g);
    weft_matmul_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(values), cmocka_unit_test(halves),
                                       cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, unit_start, unit_stop);
}
