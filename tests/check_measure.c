/* gemm with statistics: what an epilogue tells about z and x, for every epilogue and activation, and
 * the products themselves, which must not change by it. Bounds: those of the elements (check_gemm.c),
 * summed, plus 8 u of the sum of magnitudes; counts are exact but for elements at the threshold. */
#include <float.h>
#include <stdlib.h>
#include "kernels/ref/ref_activation.h"
#include "kernels/ref/ref_gemm.h"
#include "tests/support/check.h"

struct shape {
    size_t m, n, k, lda, ldb, ldc;
    enum weft_layout b;
    enum weft_epilogue epilogue;
    enum weft_act act;
    bool accumulate, bias;
};

static double *val(const struct check *c, const char *name) { return check_arg(c, name)->val; }

static void draw(struct check *c) {
    static const size_t depths[] = {3, 64, 257, 31, 1, 300};
    struct shape *s = c->user;
    s->k = depths[c->index % 6];
    s->m = check_range(c, 1, 19);
    s->n = check_range(c, 1, 70);
    s->b = c->index % 3 ? WEFT_K_INNER : WEFT_K_OUTER;
    s->epilogue = (enum weft_epilogue)(c->index % 5);
    s->act = (enum weft_act)(c->index / 5 % WEFT_ACTS);
    s->accumulate = c->index % 4 == 1;
    s->bias = s->epilogue == WEFT_EPI_BIAS || c->index % 7;
    const bool tb = s->b == WEFT_K_OUTER;
    s->lda = check_ld(c, s->k);
    s->ldb = check_ld(c, tb ? s->n : s->k);
    s->ldc = check_ld(c, s->n);
    const enum check_fill fill = c->index % 2 ? CHECK_FILL_NORMAL : CHECK_FILL_INT;
    check_in(c, "a", s->m, s->k, s->lda, fill);
    check_in(c, "b", tb ? s->k : s->n, tb ? s->n : s->k, s->ldb, fill);
    check_in(c, "bias", 1, s->n, s->n, fill);
    struct check_arg *r = check_in(c, "residual", s->m, s->n, s->ldc, CHECK_FILL_NORMAL);
    for (size_t i = 0; c->index % 3 && i < s->m * s->n; i++) /* so large that it swallows */
        r->val[i] = (double)((float)r->val[i] * 0x1p27f);
    if (s->accumulate)
        check_inout(c, "c", s->m, s->n, s->ldc, fill);
    else
        check_out(c, "c", s->m, s->n, s->ldc);
    if (s->epilogue == WEFT_EPI_DACT)
        check_in(c, "z", s->m, s->n, s->ldc, CHECK_FILL_NORMAL);
    else if (s->epilogue == WEFT_EPI_BIAS_ACT)
        check_out(c, "z", s->m, s->n, s->ldc);
    const size_t cols = weft_gemm_groups(s->n) * WEFT_GEMM_STATS;
    check_scratch(c, "acc", c->bf16 ? s->m * s->n * sizeof(float) : 0);
    check_out(c, "stats", s->m, cols, cols);
}

struct element {
    double z, tz, x, tx, count, unsure;
};

static double ulp(double x) {
    int e;
    frexp(fmax(fabs(x), (double)FLT_MIN), &e);
    return ldexp(1, e - 24);
}

static void through_act(const struct shape *s, struct element *e) {
    const double slope = fabs(ref_dact(s->act, WEFT_LEAKY_SLOPE, e->z));
    e->x = ref_act(s->act, WEFT_LEAKY_SLOPE, e->z);
    e->tx = 1.2 * e->tz + 8 * CHECK_U * fabs(e->x) + 0x1p-115;
    const double limit = (double)WEFT_SATURATED;
    e->count = e->x == 0 || slope < limit;
    e->unsure = fabs(e->z) <= e->tz || fabs(slope - limit) < 0.01 * limit + 2 * e->tz;
    if (s->act == WEFT_ACT_RELU) e->unsure = e->tz > 0 && fabs(e->z) <= e->tz;
}

static void through_residual(struct element *e, double r) {
    e->x = e->z + r;
    e->tx = e->tz + CHECK_U * fabs(e->x);
    e->count = e->z != 0 && (float)(e->z + r) == (float)r;
    const double step = ulp(r);
    e->unsure = fabs(e->z) <= e->tz || (fabs(e->z) > step / 8 && fabs(e->z) < 2 * step);
}

static struct element element(const struct check *c, size_t at, double sum, double mag) {
    const struct shape *s = c->user;
    const double bias = s->bias ? val(c, "bias")[at % s->n] : 0;
    const bool biased = s->epilogue != WEFT_EPI_NONE && s->epilogue != WEFT_EPI_DACT;
    struct element e = {.z = sum + (biased ? bias : 0)};
    e.tz = c->index % 2 ? ((double)s->k + 4) * CHECK_U * (mag + fabs(bias)) : 0;
    e.x = e.z;
    e.tx = e.tz;
    if (s->epilogue == WEFT_EPI_BIAS_ACT) through_act(s, &e);
    if (s->epilogue == WEFT_EPI_BIAS_RESIDUAL) through_residual(&e, val(c, "residual")[at]);
    if (s->epilogue == WEFT_EPI_DACT) {
        const double z = val(c, "z")[at];
        e.tx = 1.2 * e.tz + 8 * CHECK_U * fabs(sum) * ref_dact_scale(s->act, WEFT_LEAKY_SLOPE, z);
        e.x = sum * ref_dact(s->act, WEFT_LEAKY_SLOPE, z);
        e.tx += CHECK_U * fabs(e.x) + 0x1p-115;
        e.z = e.tz = 0;
    }
    return e;
}

static void add(struct check *c, size_t at, const struct element *e) {
    const struct shape *s = c->user;
    struct check_arg *out = check_arg(c, "stats");
    const size_t group = at / s->n * weft_gemm_groups(s->n) + at % s->n / WEFT_GEMM_GROUP;
    const double want[] = {e->z, e->z * e->z, e->x, e->x * e->x, e->count};
    const double tol[] = {e->tz, (2 * fabs(e->z) + e->tz) * e->tz, e->tx,
                          (2 * fabs(e->x) + e->tx) * e->tx, e->unsure};
    const double rounded = c->bf16 ? 0x1p-8 : 0; /* x is what is stored */
    for (size_t k = 0; k < WEFT_GEMM_STATS; k++) {
        if (k > WEFT_SUM_ZZ) out->tol[group * WEFT_GEMM_STATS + k] += 2 * rounded * fabs(want[k]);
        if (k == WEFT_COUNT && c->bf16) out->tol[group * WEFT_GEMM_STATS + k] += 1;
        out->want[group * WEFT_GEMM_STATS + k] += want[k];
        out->tol[group * WEFT_GEMM_STATS + k] +=
            tol[k] + (k < WEFT_COUNT ? 8 * CHECK_U * fabs(want[k]) : 0);
    }
}

static void oracle(struct check *c) {
    const struct shape *s = c->user;
    const bool tb = s->b == WEFT_K_OUTER;
    double *sum = calloc(2 * s->m * s->n + 1, sizeof *sum), *mag = sum + s->m * s->n;
    if (!sum) abort();
    const struct ref_matrix ab[2] = {{val(c, "a"), s->k, 1},
                                     {val(c, "b"), tb ? s->n : 1, tb ? 1 : s->k}};
    for (size_t i = 0; s->accumulate && i < s->m * s->n; i++) {
        sum[i] = val(c, "c")[i];
        mag[i] = fabs(sum[i]);
    }
    ref_gemm(s->m, s->n, s->k, ab, sum, mag);
    struct check_arg *stats = check_arg(c, "stats");
    for (size_t i = 0; i < stats->rows * stats->cols; i++) stats->want[i] = 0;
    for (size_t i = 0; i < s->m * s->n; i++) {
        const struct element e = element(c, i, sum[i], mag[i]);
        check_arg(c, "c")->want[i] = e.x;
        check_arg(c, "c")->tol[i] = e.tx;
        if (s->epilogue == WEFT_EPI_BIAS_ACT) {
            check_arg(c, "z")->want[i] = e.z;
            check_arg(c, "z")->tol[i] = e.tz;
        }
        add(c, i, &e);
    }
    free(sum);
}

/* Twice: also cut along columns at a multiple of the panels, as tasks are. */
static void call(struct check *c, const struct weft_kernels *k) {
    const struct shape *s = c->user;
    const bool has_z = s->epilogue == WEFT_EPI_DACT || s->epilogue == WEFT_EPI_BIAS_ACT;
    const struct weft_gemm_args whole = {.m = s->m,
                                         .n = s->n,
                                         .k = s->k,
                                         .a = check_ptr(c, "a"),
                                         .lda = s->lda,
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
                                         .z = has_z ? check_ptr(c, "z") : NULL,
                                         .ldz = s->ldc,
                                         .stats = check_f32(c, "stats"),
                                         .lds = weft_gemm_groups(s->n),
                                         .acc = check_ptr(c, "acc"),
                                         .ldacc = s->n};
    const size_t es = c->bf16 ? 2 : sizeof(float);
    const size_t cut = c->index % 2 ? s->n : 32;
    for (size_t j = 0; j < s->n; j += cut) {
        struct weft_gemm_args g = whole;
        g.n = s->n - j < cut ? s->n - j : cut;
        g.b = (const unsigned char *)g.b + (s->b == WEFT_K_INNER ? j * s->ldb : j) * es;
        g.c = (unsigned char *)g.c + j * es;
        g.residual = (const unsigned char *)g.residual + j * es;
        g.acc += j;
        if (g.bias) g.bias += j;
        if (g.z) g.z = (unsigned char *)g.z + j * es;
        g.stats += j / WEFT_GEMM_GROUP * WEFT_GEMM_STATS;
        CHECK_PICK(c, k, gemm)(&g);
    }
}

static const struct check_family gemm_measure = {"gemm_measure", draw, oracle, call, 180, CHECK_DOT_BITS,
                                                 " a b c residual z "};
CHECK_MAIN(&gemm_measure)
