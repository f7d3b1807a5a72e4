/* Packing into panels: dst (panels, words of k, w) from rows r of src, w = GEMM_MR or GEMM_NR.
 *
 * K_INNER reads VL rows by VL words and transposes them in registers; K_OUTER copies, or joins two
 * k. A panel that is not whole vectors wide is stored with whole vectors all the same, in ascending
 * k: the lanes that stick out fall on the next word's place and are overwritten; only the last one
 * is masked. Edges (rows beyond r, k beyond the last block) take the masked form of the same code,
 * so nothing outside is touched. */
#ifndef WEFT_GEMM_PACK_H
#define WEFT_GEMM_PACK_H
#include "kernels/gemm_inner.h"
#include "kernels/simd/word.h"
#include "kernels/tile.h"

_Static_assert(GEMM_NR % VL == 0, "panels of B are whole vectors");

/* VL words of `width` <= VL rows (edge: kn terms, the first `rows` of them) -> dst[word*w + row].
 */
static WEFT_INLINE void pack_block(const size_t w, const size_t width, const bool edge,
                                   const elem *src, size_t ld, size_t rows, size_t kn, float *dst) {
    vf t[VL];
    if (!edge) {
        word_load_t(t, src, ld, width);
        WEFT_UNROLL_ALL
        for (size_t i = 0; i < VL; i++) v_store(dst + i * w, t[i]);
        return;
    }
    WEFT_UNROLL_ALL
    for (size_t i = 0; i < VL; i++) t[i] = i < rows ? word_load(src + i * ld, kn) : v_zero();
    v_transpose(t);
    WEFT_UNROLL_ALL
    for (size_t i = 0; i < VL; i++)
        if (i < words_of(kn)) v_store_n(dst + i * w, t[i], width);
}

/* One panel from K_INNER: rows <= w live rows. */
static WEFT_INLINE void pack_inner(const size_t w, const elem *src, size_t ld, size_t rows,
                                   size_t k, float *dst) {
    const size_t whole = k / WORD, words = words_of(k);
    /* Unmasked stores need another word after the block when vectors stick out. */
    const size_t main_words = (w % VL == 0 ? whole : (whole ? whole - 1 : 0)) / VL * VL;
    const size_t full = rows < w ? rows / VL * VL : w; /* rows in unmasked groups */
    for (size_t i = 0; i < main_words; i += VL)
        for (size_t r = (full + VL - 1) / VL * VL; r > 0;) { /* what sticks out first */
            r -= VL;
            pack_block(w, min_size(VL, w - r), false, src + r * ld + i * WORD, ld, VL, VL * WORD,
                       dst + i * w + r);
        }
    for (size_t r = 0; r < w; r += VL) {
        const size_t live = r < rows ? min_size(VL, rows - r) : 0;
        for (size_t i = r < full ? main_words : 0; i < words; i += VL)
            pack_block(w, min_size(VL, w - r), true, live ? src + r * ld + i * WORD : src, ld, live,
                       min_size(VL * WORD, k - i * WORD), dst + i * w + r);
    }
}

/* `panels` whole panels from K_OUTER; `slack`: the source rows hold vectors that stick out. */
static WEFT_INLINE void pack_outer(const size_t w, const bool slack, const size_t panels,
                                   const elem *src, size_t ld, size_t k, float *dst) {
    const size_t words = words_of(k);
    for (size_t i = 0; i < words; i++) {
        const bool pair = (i + 1) * WORD <= k;
        const bool whole = pair && (w % VL == 0 || (slack && i + 1 < words));
        for (size_t p = 0; p < panels; p++) {
            const elem *s = src + i * WORD * ld + p * w;
            float *d = dst + (p * words + i) * w;
            WEFT_UNROLL_ALL
            for (size_t r = 0; r < w; r += VL) {
                const size_t n = min_size(VL, w - r);
                if (whole)
                    v_store(d + r, word_join(s + r, ld));
                else
                    v_store_n(d + r, word_join_n(s + r, ld, pair, n), n);
            }
        }
    }
}

/* The last panel from K_OUTER: rows < w live rows. */
static WEFT_INLINE void pack_outer_edge(const size_t w, const elem *src, size_t ld, size_t rows,
                                        size_t k, float *dst) {
    for (size_t i = 0; i < words_of(k); i++)
        for (size_t r = 0; r < w; r += VL) {
            const bool pair = (i + 1) * WORD <= k;
            const size_t live = r < rows ? min_size(VL, rows - r) : 0;
            const vf x = live ? word_join_n(src + i * WORD * ld + r, ld, pair, live) : v_zero();
            v_store_n(dst + i * w + r, x, min_size(VL, w - r));
        }
}

/* One panel, either layout. */
static WEFT_INLINE void pack_panel(const size_t w, enum weft_layout layout, const elem *src,
                                   size_t ld, size_t rows, size_t k, float *dst) {
    if (layout == WEFT_K_INNER)
        pack_inner(w, src, ld, rows, k, dst);
    else if (rows == w)
        pack_outer(w, false, 1, src, ld, k, dst);
    else
        pack_outer_edge(w, src, ld, rows, k, dst);
}

#endif
