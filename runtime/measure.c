/* The machine's limits, measured on the spot with the context's kernels and threads: the FMA peak
 * and the bandwidth of triad and read over arrays far larger than the caches. The best of several
 * short rounds counts: interference only ever slows a round down. */
#include <stdlib.h>

#include "runtime/affinity.h"
#include "runtime/context.h"
#include "runtime/memory.h"
#include "runtime/parallel.h"

#define FMA_ROUNDS 500000
#define BYTES      ((size_t)288 << 20) /* of the three arrays, unless the caller wants less */
#define BYTES_MIN  ((size_t)3 << 20)
#define REPEATS    5

struct job {
    const struct weft_kernels *k;
    enum { TOUCH, TRIAD, READ, FMA, FMA_BF16 } kind;
    float *a, *b, *c;
    size_t floats; /* of each */
};

static void work(void *arg, size_t thread, size_t team) {
    const struct job *const j = arg;
    float sink[16];
    const size_t lo = j->floats / 16 * thread / team * 16;
    const size_t n = j->floats / 16 * (thread + 1) / team * 16 - lo;
    switch (j->kind) {
    case TOUCH: /* untouched pages are all the same one: reading them would measure a cache */
        j->k->fill_f32(1, j->a + lo, n);
        j->k->fill_f32(1, j->b + lo, n);
        j->k->fill_f32(1, j->c + lo, n);
        break;
    case FMA: j->k->limit_fma_f32(FMA_ROUNDS, sink); break;
    case FMA_BF16: j->k->limit_fma_bf16(FMA_ROUNDS, sink); break;
    case TRIAD: j->k->limit_triad_f32(n, 0.5F, j->a + lo, j->b + lo, j->c + lo); break;
    case READ: j->k->limit_read_f32(n, j->b + lo, sink); break;
    }
}

static double best_seconds(weft_ctx *ctx, struct job *j, size_t threads) {
    double best = 0;
    for (int i = 0; i < REPEATS; i++) {
        const double start = weft_now();
        weft_ctx_parallel(ctx, threads, work, j);
        const double t = weft_now() - start;
        if (best == 0 || t < best) best = t;
    }
    return best;
}

static double fma_flops(const struct weft_kernels *k, size_t rounds) {
    return 2.0 * (double)k->vl * WEFT_LIMIT_FMAS * (double)rounds;
}

double weft_fma_probe(const struct weft_kernels *k) {
    float sink[16];
    double best = 0;
    size_t rounds = 16; /* emu without an FMA instruction is a thousand times slower than AVX-512 */
    for (int done = 0; done < 3;) {
        const double start = weft_now();
        k->limit_fma_f32(rounds, sink);
        const double t = weft_now() - start;
        if (t < 10e-6) {
            rounds *= 2;
            continue;
        }
        const double gflops = 1e-9 * fma_flops(k, rounds) / t;
        if (gflops > best) best = gflops;
        done++;
    }
    return best;
}

enum weft_status weft_limits_measure(weft_ctx *ctx, size_t memory, struct weft_limits *out) {
    if (ctx == NULL || out == NULL) return WEFT_ERR_NULL;
    const size_t bytes = memory == 0 || memory > BYTES ? BYTES
                         : memory < BYTES_MIN          ? BYTES_MIN
                                                       : memory;
    const size_t floats = bytes / 3 / sizeof(float);
    float *const p = weft_map(bytes);
    if (p == NULL)
        return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "no %zu MB of memory to measure the bandwidth",
                             bytes >> 20);
    struct job j = {.k = ctx->k, .kind = TOUCH, .a = p, .b = p + floats, .c = p + 2 * floats};
    j.floats = floats;
    const size_t threads = ctx->threads < ctx->cores ? ctx->threads : ctx->cores;
    weft_ctx_parallel(ctx, threads, work, &j);
    j.kind = TRIAD;
    const double triad = best_seconds(ctx, &j, threads);
    j.kind = READ;
    const double read = best_seconds(ctx, &j, threads);
    j.kind = FMA;
    const double fma = best_seconds(ctx, &j, threads);
    j.kind = FMA_BF16;
    const double bf16 = ctx->k->bf16_word == 1 ? fma : best_seconds(ctx, &j, threads);
    const double flops = fma_flops(ctx->k, FMA_ROUNDS) * (double)threads;
    const double array = (double)(floats * sizeof(float));
    out->fma_gflops = 1e-9 * flops / fma;
    out->bf16_gflops = 1e-9 * flops * (double)ctx->k->bf16_word / bf16;
    out->triad_gbs = 1e-9 * 3 * array / triad;
    out->read_gbs = 1e-9 * array / read;
    weft_unmap(p, bytes);
    return WEFT_OK;
}
