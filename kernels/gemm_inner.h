/* Kernels that gemm.c calls directly, in the same ISA and type. */
#ifndef WEFT_GEMM_INNER_H
#define WEFT_GEMM_INNER_H
#include "kernels/gemm.h"
#include "kernels/simd/elem.h"

static WEFT_INLINE size_t min_size(size_t a, size_t b) { return a < b ? a : b; }

#define WEFT_GEMV_ROWS 4 /* at most this many rows: B is not worth packing */

void WEFT_EFN(gemv)(const struct weft_gemm_args *g);
void WEFT_EFN(gemm_epilogue)(const struct weft_gemm_args *g, const struct weft_gemm_part *p);
void WEFT_BASE_FN(gemm_epilogue_f32)(const struct weft_gemm_args *g,
                                     const struct weft_gemm_part *p);

/* Where the sums are: C itself, or acc when C is bf16. */
static WEFT_INLINE bool gemm_narrows(const struct weft_gemm_args *g) {
    return !WEFT_ELEM_F32 && !g->c_f32;
}
static WEFT_INLINE float *gemm_sums(const struct weft_gemm_args *g) {
    return gemm_narrows(g) ? g->acc : g->c;
}
static WEFT_INLINE size_t gemm_lds(const struct weft_gemm_args *g) {
    return gemm_narrows(g) ? g->ldacc : g->ldc;
}
/* Do the sums begin with what is there? */
static WEFT_INLINE bool gemm_adds(const struct weft_gemm_args *g) {
    return g->accumulate || g->resumed;
}
/* Is there something to do after the last chunk? */
static WEFT_INLINE bool gemm_finishes(const struct weft_gemm_args *g) {
    if (gemm_narrows(g)) return !g->unfinished;
    return g->epilogue != WEFT_EPI_NONE || g->stats;
}
/* What blocks of B hold: words. */
#define GEMM_BLOCKS (WEFT_ELEM_F32 ? WEFT_FORMAT_F32 : WEFT_FORMAT_BF16)

/* The epilogue's operands are f32 where weights are blocks, elem otherwise. */
static WEFT_INLINE bool gemm_epilogue_is_f32(const struct weft_gemm_args *g) {
    return WEFT_ELEM_F32 || g->b_layout == WEFT_BLOCKS;
}
static WEFT_INLINE void gemm_finish(const struct weft_gemm_args *g,
                                    const struct weft_gemm_part *p) {
    if (gemm_epilogue_is_f32(g))
        WEFT_BASE_FN(gemm_epilogue_f32)(g, p);
    else
        WEFT_EFN(gemm_epilogue)(g, p);
}
/* All of C, from where its sums are. */
static WEFT_INLINE void gemm_finish_all(const struct weft_gemm_args *g) {
    gemm_finish(g, &(struct weft_gemm_part){
                       .rows = g->m, .cols = g->n, .sum = gemm_sums(g), .ld = gemm_lds(g)});
}
/* C in bf16 that is added to: its old values become the first sums. */
static WEFT_INLINE void gemm_begin(const struct weft_gemm_args *g) {
    if (!gemm_narrows(g) || !g->accumulate || g->resumed) return;
    for (size_t i = 0; i < g->m; i++)
        for (size_t j = 0; j < g->n; j += VL) {
            const size_t n = g->n - j < VL ? g->n - j : VL;
            v_store_n(g->acc + i * g->ldacc + j, e_load_n((const elem *)g->c + i * g->ldc + j, n),
                      n);
        }
}

#endif
