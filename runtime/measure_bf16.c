/* Is bf16 worth it here? A product of the shape of a small model's layer, in f32 and in bf16, in
 * turns; the best of each counts. */
#include <stdlib.h>

#include "runtime/memory.h"
#include "runtime/parallel.h"
#include "runtime/product.h"

#define M       96
#define N       256
#define K       768
#define REPEATS 7

static double seconds(const weft_ctx *ctx, const struct weft_product *p,
                      const struct weft_gemm_args *g, void *shared, void *local) {
    const double start = weft_now();
    for (size_t phase = 0; phase < weft_product_phases(p); phase++)
        for (size_t task = 0; task < weft_product_tasks(p, phase); task++)
            weft_product_run(p, ctx->k, g, shared, local, phase, task);
    return weft_now() - start;
}

/* The same numbers in either type: zeros, which no kernel knows. */
enum weft_status weft_bf16_speed(weft_ctx *ctx, double *out) {
    if (ctx == NULL || out == NULL) return WEFT_ERR_NULL;
    const size_t operands = (M * K + N * K + M * N) * sizeof(float);
    struct weft_product p[2];
    size_t shared = 0, local = 0;
    for (size_t half = 0; half < 2; half++) {
        p[half] = (struct weft_product){.m = M,
                                        .n = N,
                                        .k = K,
                                        .a = WEFT_K_INNER,
                                        .b = WEFT_K_INNER,
                                        .half = half,
                                        .narrow = half};
        weft_product_plan(&p[half], ctx);
        if (p[half].packed_bytes > shared) shared = p[half].packed_bytes;
        if (p[half].local_bytes > local) local = p[half].local_bytes;
    }
    shared = weft_align_up(shared, WEFT_ALIGNMENT);
    unsigned char *const at = weft_map(operands + shared + local);
    if (at == NULL) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "no memory to measure bf16");
    const struct weft_gemm_args g = {.m = M,
                                     .n = N,
                                     .k = K,
                                     .a = at,
                                     .lda = K,
                                     .b = at + M * K * sizeof(float),
                                     .ldb = K,
                                     .c = at + (M + N) * K * sizeof(float),
                                     .ldc = N};
    double best[2] = {0, 0};
    for (int i = 0; i < 2 * REPEATS; i++) {
        const double t = seconds(ctx, &p[i % 2], &g, at + operands, at + operands + shared);
        if (best[i % 2] == 0 || t < best[i % 2]) best[i % 2] = t;
    }
    weft_unmap(at, operands + shared + local);
    *out = best[0] / best[1];
    return WEFT_OK;
}
