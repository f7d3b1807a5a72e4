#include "crosscheck/crosscheck.h"

#include <stdlib.h>
#include <string.h>

#include "crosscheck/cross_walk.h"
#include "runtime/onednn/onednn.h"
#include "runtime/parallel.h"

/* Twice the last level of cache, in memory that a cold run pushes out everything else with. */
static enum weft_status make_flush(struct weft_cross_walk *w) {
    struct weft_cpu_info cpu;
    weft_cpu_query(&cpu);
    const size_t bytes = 2 * (cpu.l3 > cpu.l2 ? cpu.l3 : cpu.l2) + ((size_t)8 << 20);
    w->flush_count = bytes / sizeof(float);
    w->flush = calloc(w->flush_count, sizeof(float));
    return w->flush != NULL ? WEFT_OK : weft_ctx_fail(w->ctx, WEFT_ERR_NOMEM, "out of memory");
}

enum weft_status weft_cross_run(weft_ctx *ctx, const struct weft_cross_options *o,
                                struct weft_cross_report *out) {
    *out = (struct weft_cross_report){.quick = o->quick,
                                      .model = o->model,
                                      .threads = weft_ctx_threads(ctx),
                                      .isa = weft_ctx_isa(ctx)};
    if (weft_onednn() == NULL) return weft_ctx_fail(ctx, WEFT_ERR_STATE, "%s", WEFT_ONEDNN_HOWTO);
    weft_onednn_version(out->onednn);
    struct weft_cross_walk w = {
        .ctx = ctx, .report = out, .options = o, .backend = weft_onednn(), .times = !o->model};
    const double start = weft_now();
    enum weft_status st = make_flush(&w);
    if (st == WEFT_OK) st = o->model != NULL ? weft_cross_model(&w) : weft_cross_cases(&w);
    if (st == WEFT_OK && out->checks == 0)
        st = weft_ctx_fail(ctx, WEFT_ERR_ARG,
                           "--ops chooses nothing: it is empty, or names what --quick leaves out");
    for (size_t i = 0; i < out->checks; i++) out->failed += out->check[i].failed;
    if (!(out->divergence <= WEFT_CROSS_DIVERGENCE)) out->failed++;
    out->seconds = weft_now() - start;
    free(w.flush);
    return st;
}

void weft_cross_free(struct weft_cross_report *r) {
    free(r->check);
    *r = (struct weft_cross_report){.checks = 0};
}
