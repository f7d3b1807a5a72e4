/* The random fills, which are kernels without an op: element by element against the mapping that
 * kernels/random.h writes down. */
#include <stdio.h>
#include <stdlib.h>

#include "crosscheck/cross_walk.h"
#include "kernels/ref/ref_random.h"
#include "runtime/parallel.h"

enum { COUNT = 100003 };

static void expect(const struct weft_random_args *a, bool normal, double *want, double *tol) {
    for (size_t i = 0; i < COUNT; i++) {
        if (normal) {
            const double z = ref_normal(a->seed, a->stream, a->first + i);
            want[i] = (double)a->mean + (double)a->std * z;
            tol[i] = ref_normal_bound((double)a->mean, (double)a->std, z);
        } else {
            const double u = ref_uniform(a->seed, a->stream, a->first + i);
            want[i] = (double)a->lo + (double)(a->hi - a->lo) * u;
            tol[i] = 0;
        }
    }
}

static enum weft_status fill(struct weft_cross_walk *w, bool normal, double *want, double *tol,
                             float *y) {
    const struct weft_random_args a = {.seed = 7,
                                       .stream = 3,
                                       .first = (UINT64_C(1) << 39) -
                                                COUNT / 2, /* past 2^32 in every counter */
                                       .n = COUNT,
                                       .lo = -0.25f,
                                       .hi = 0.75f,
                                       .mean = 0.5f,
                                       .std = 0.02f,
                                       .y = y};
    struct weft_cross_check *const c = weft_cross_append(w);
    if (c == NULL) return WEFT_ERR_NOMEM;
    snprintf(c->op, sizeof c->op, "random %s", normal ? "normal" : "uniform");
    snprintf(c->shape, sizeof c->shape, "%d", COUNT);
    snprintf(c->node, sizeof c->node, "random");
    c->output = "y";
    c->kernels = normal ? "random_normal" : "random_uniform";
    expect(&a, normal, want, tol);
    for (int again = 0; again < 2; again++) { /* the second time in cache */
        const double start = weft_now();
        if (normal)
            w->ctx->k->random_normal_f32(&a);
        else
            w->ctx->k->random_uniform_f32(&a);
        *(again ? &c->hot.weft : &c->cold.weft) = weft_now() - start;
    }
    const struct weft_cross_output out = {
        .type = WEFT_CROSS_F32, .data = y, .rows = 1, .cols = COUNT, .want = want, .tol = tol};
    weft_cross_judge(c, weft_cross_measure(&out, &c->weft));
    return WEFT_OK;
}

enum weft_status weft_cross_random(struct weft_cross_walk *w, const void *arg, uint64_t seed) {
    (void)arg, (void)seed;
    double *const want = calloc(2 * COUNT, sizeof *want);
    float *const y = calloc(COUNT, sizeof *y);
    enum weft_status st = want != NULL && y != NULL
                              ? WEFT_OK
                              : weft_ctx_fail(w->ctx, WEFT_ERR_NOMEM, "out of memory");
    for (int normal = 0; st == WEFT_OK && normal < 2; normal++)
        st = fill(w, normal, want, want + COUNT, y);
    free(want);
    free(y);
    return st;
}
