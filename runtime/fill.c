/* Filling a parameter from a source, in the format in which it is kept: 64 outputs at a time, on
 * all threads, so that no more than those are ever in memory in another form. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/compiler.h"
#include "runtime/graph.h"
#include "runtime/memory.h"
#include "runtime/parallel.h"

struct fill {
    const weft_ctx *ctx;
    const struct weft_tensor_desc *d;
    const struct weft_source *source;
    size_t outputs, inputs, room; /* room: floats of a thread */
    float *scratch;
    atomic_size_t next;
    atomic_int status;
};

/* Values of rows [row, row + n) as they came, transposed or not, into the tensor. */
static void take(const struct fill *f, size_t row, size_t n, const float *values,
                 float *transposed) {
    const struct weft_kernels *const k = f->ctx->k;
    const bool turned = f->source->transposed && f->d->param.shape[1] != 0;
    if (f->d->dtype == WEFT_COMPACT) {
        if (!turned) k->compact_transpose_f32(values, f->inputs, n, f->inputs, transposed);
        const size_t block = weft_compact_block(f->d->format, f->inputs);
        k->compact_pack(&(struct weft_compact_args){.format = f->d->format,
                                                    .n = n,
                                                    .k = f->inputs,
                                                    .src = turned ? values : transposed,
                                                    .ld = turned ? n : WEFT_BLOCK,
                                                    .block = (unsigned char *)f->d->data +
                                                             row / WEFT_BLOCK * block});
        return;
    }
    float *const to = (float *)f->d->data + row * f->inputs;
    if (!turned) {
        memcpy(to, values, n * f->inputs * sizeof *to);
        return;
    }
    for (size_t i = 0; i < f->inputs; i++)
        for (size_t r = 0; r < n; r++) to[r * f->inputs + i] = values[i * n + r];
}

static enum weft_status fill_rows(const struct fill *f, size_t row, size_t n, float *values) {
    uint64_t bad = 0;
    if (!f->source->read(f->source->user, row, n, values)) return WEFT_ERR_IO;
    f->ctx->k->nonfinite_f32(values, n * f->inputs, &bad);
    if (bad > 0 && !WEFT_BUG(73)) return WEFT_ERR_NONFINITE;
    take(f, row, n, values, values + WEFT_BLOCK * f->inputs);
    return WEFT_OK;
}

static void fill_blocks(void *arg, size_t thread, size_t team) {
    struct fill *const f = arg;
    float *const values = f->scratch + thread * f->room;
    const unsigned control = weft_fp_begin();
    (void)team;
    for (size_t row; atomic_load(&f->status) == WEFT_OK;) {
        row = WEFT_BLOCK * atomic_fetch_add(&f->next, 1);
        if (row >= f->outputs) break;
        const size_t n = f->outputs - row < WEFT_BLOCK ? f->outputs - row : WEFT_BLOCK;
        const enum weft_status st = fill_rows(f, row, n, values);
        if (st != WEFT_OK) atomic_store(&f->status, (int)st);
    }
    weft_fp_end(control);
}

/* Threads that take part. */
static size_t team_of(const struct fill *f) {
    const size_t blocks = (f->outputs + WEFT_BLOCK - 1) / WEFT_BLOCK;
    const size_t most = f->ctx->threads < f->ctx->cores ? f->ctx->threads : f->ctx->cores;
    return f->source->serial ? 1 : blocks < most ? blocks : most;
}

enum weft_status weft_tensor_fill(weft_graph *g, weft_tensor t, const struct weft_source *source) {
    const struct weft_tensor_desc *const d = weft_desc(g, t);
    struct fill f = {.ctx = g->ctx, .d = d, .source = source};
    const bool vector = d->param.shape[1] == 0;
    f.outputs = d->param.shape[0];
    f.inputs = vector ? 1 : d->param.shape[1];
    f.room = weft_align_up(2 * WEFT_BLOCK * f.inputs, WEFT_ALIGNMENT / sizeof(float));
    const size_t team = team_of(&f);
    f.scratch = aligned_alloc(WEFT_ALIGNMENT, team * f.room * sizeof *f.scratch);
    if (f.scratch == NULL)
        return weft_ctx_fail(g->ctx, WEFT_ERR_NOMEM, "%s: out of memory while filling it", d->name);
    if (team > 1)
        weft_parallel(team, fill_blocks, &f);
    else
        fill_blocks(&f, 0, 1);
    free(f.scratch);
    const enum weft_status st = (enum weft_status)atomic_load(&f.status);
    if (st == WEFT_ERR_IO) return weft_ctx_fail(g->ctx, st, "%s: its source ended", d->name);
    if (st == WEFT_ERR_NONFINITE)
        return weft_ctx_fail(g->ctx, st, "%s has a NaN or Inf, which no format can keep", d->name);
    return st;
}
