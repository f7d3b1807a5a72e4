/* Packing of GEMM operands into panels (gemm.h, WEFT_PANELS): data movement, exact.
 *
 * K_OUTER sources are walked row by row over groups of panels, because their rows are far apart:
 * a group reads at least half a kilobyte before it jumps. */
#include "kernels/gemm_pack.h"

#define GROUP 8 /* panels */

static WEFT_INLINE void pack(const size_t w, const struct weft_pack_args *p) {
    const size_t full = p->r / w, size = w * words_of(p->k); /* of a panel */
    const size_t rest = p->r % w;
    const elem *const src = p->src;
    float *const edge = p->dst + full * size;
    if (p->layout == WEFT_K_INNER) {
        for (size_t i = 0; i < full; i++)
            pack_inner(w, src + i * w * p->ld, p->ld, w, p->k, p->dst + i * size);
        if (rest) pack_inner(w, src + full * w * p->ld, p->ld, rest, p->k, edge);
        return;
    }
    /* Whole vectors may be read where the row goes on for at least VL - w elements. */
    size_t i = 0;
    for (; (i + GROUP) * w + VL <= p->r; i += GROUP)
        pack_outer(w, true, GROUP, src + i * w, p->ld, p->k, p->dst + i * size);
    pack_outer(w, false, full - i, src + i * w, p->ld, p->k, p->dst + i * size);
    if (rest && !WEFT_BUG(59)) pack_outer_edge(w, src + full * w, p->ld, rest, p->k, edge);
}

void WEFT_EFN(gemm_pack_a)(const struct weft_pack_args *p) { pack(GEMM_MR, p); }
void WEFT_EFN(gemm_pack_b)(const struct weft_pack_args *p) { pack(GEMM_NR, p); }
