/* Expectations: their memory, and the table of oracles. */
#include "crosscheck/oracle.h"

#include <math.h>
#include <stdlib.h>

#include "runtime/parallel.h"

static const struct {
    const struct weft_op *op;
    weft_cross_oracle *make;
    const char *kernels;
} oracles[] = {
#define WEFT_CROSS_ORACLE(name, kernels) {&weft_op_##name, weft_cross_##name, kernels},
#include "crosscheck/oracles.def"
#undef WEFT_CROSS_ORACLE
};
#define ORACLES (sizeof oracles / sizeof *oracles)

bool weft_cross_expect_make(const struct weft_exec *x, const struct weft_node *n,
                            struct weft_cross_expect *e) {
    *e = (struct weft_cross_expect){.outputs = 0};
    for (size_t i = 0; i < ORACLES; i++) {
        if (oracles[i].op != n->op) continue;
        oracles[i].make(x, n, e);
        return !e->failed;
    }
    return false;
}

const char *weft_cross_kernels(const struct weft_op *op) {
    for (size_t i = 0; i < ORACLES; i++)
        if (oracles[i].op == op) return oracles[i].kernels;
    return "";
}

/* ---- memory ---- */
struct weft_cross_chunk {
    struct weft_cross_chunk *next;
    _Alignas(16) unsigned char data[];
};

static void *chunk(struct weft_cross_expect *e, size_t count, size_t size) {
    struct weft_cross_chunk *const c =
        e->failed || count > SIZE_MAX / 16 ? NULL : calloc(1, sizeof *c + (count + 1) * size);
    e->failed = c == NULL;
    if (c == NULL) return NULL;
    c->next = e->chunks;
    e->chunks = c;
    return c->data;
}

void weft_cross_expect_free(struct weft_cross_expect *e) {
    for (struct weft_cross_chunk *c = e->chunks; c != NULL;) {
        struct weft_cross_chunk *const next = c->next;
        free(c);
        c = next;
    }
    *e = (struct weft_cross_expect){.outputs = 0};
}

double *weft_cross_doubles(struct weft_cross_expect *e, size_t count) {
    return chunk(e, count, sizeof(double));
}

double *weft_cross_widen(struct weft_cross_expect *e, const float *p, size_t count) {
    double *const d = weft_cross_doubles(e, count);
    for (size_t i = 0; d != NULL && i < count; i++) d[i] = (double)p[i];
    return d;
}

double *weft_cross_tensor(struct weft_cross_expect *e, const struct weft_exec *x, weft_tensor t) {
    if (t < 0) return NULL;
    return weft_cross_widen(e, x_f32(x, t), x_rows(x, t) * x_cols(x, t));
}

long *weft_cross_indices(struct weft_cross_expect *e, const struct weft_exec *x, weft_tensor t) {
    const size_t count = x_rows(x, t) * x_cols(x, t);
    long *const out = chunk(e, count, sizeof *out);
    for (size_t i = 0; out != NULL && i < count; i++) out[i] = x_i32(x, t)[i];
    return out;
}

struct weft_cross_output *weft_cross_put(struct weft_cross_expect *e, const char *name,
                                         bool backward, enum weft_cross_type type, void *data,
                                         size_t rows, size_t cols) {
    double *const want = weft_cross_doubles(e, rows * cols);
    double *const tol = weft_cross_doubles(e, rows * cols);
    if (e->failed) return NULL;
    struct weft_cross_output *const o = &e->output[e->outputs++];
    *o = (struct weft_cross_output){name, backward, type, data, rows, cols, want, tol, 0};
    return o;
}

struct weft_cross_output *weft_cross_out(struct weft_cross_expect *e, const struct weft_exec *x,
                                         const struct weft_node *n, size_t i, const char *name,
                                         bool backward) {
    const weft_tensor t = n->out[i];
    if (t < 0) return NULL;
    const enum weft_dtype dtype = weft_desc(x->g, t)->dtype;
    struct weft_cross_output *const o =
        weft_cross_put(e, name, backward, dtype == WEFT_I32 ? WEFT_CROSS_I32 : WEFT_CROSS_F32,
                       x_ptr(x, t), x_rows(x, t), x_cols(x, t));
    for (size_t j = 0; o != NULL && x_accumulate(x, n, i) && j < o->rows * o->cols; j++) {
        o->want[j] = (double)x_f32(x, t)[j];
        o->tol[j] = fabs(o->want[j]);
    }
    return o;
}

/* ---- products ---- */
struct product {
    size_t m, n, k;
    struct ref_matrix a, b;
    double *c, *mag;
};

static void share(void *arg, size_t thread, size_t team) {
    const struct product *const p = arg;
    size_t lo, hi;
    weft_split(p->m, 1, team, thread, &lo, &hi);
    const struct ref_matrix ab[2] = {{p->a.p + lo * p->a.rs, p->a.rs, p->a.cs}, p->b};
    ref_gemm(hi - lo, p->n, p->k, ab, p->c + lo * p->n, p->mag + lo * p->n);
}

/* B column by column, in the order of ref_gemm's innermost loop; NULL when memory is short. */
static double *turned(const struct ref_matrix *b, size_t k, size_t n) {
    double *const out = malloc((n * k + 1) * sizeof *out);
    for (size_t q = 0; out != NULL && q < k; q++)
        for (size_t j = 0; j < n; j++) out[j * k + q] = b->p[q * b->rs + j * b->cs];
    return out;
}

void weft_cross_gemm(const struct weft_exec *x, size_t m, size_t n, size_t k,
                     const struct ref_matrix ab[2], double *c, double *mag) {
    struct product p = {m, n, k, ab[0], ab[1], c, mag};
    double *const columns = p.b.rs > 1 && m > 1 ? turned(&p.b, k, n) : NULL;
    if (columns != NULL) p.b = (struct ref_matrix){columns, 1, k};
    weft_parallel(x->g->ctx->threads, share, &p);
    free(columns);
}
