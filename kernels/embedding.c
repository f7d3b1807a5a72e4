/* Embedding (embedding.h has the equations and the order of the sums). */
#include "kernels/kernels.h"
#include "kernels/simd/elem.h"

#define RADIX_BITS 8
#define RADIX      (1u << RADIX_BITS)
#define WIDE       4 /* vectors of a row summed together */

static WEFT_INLINE vf get(const float *p, size_t n) { return n == VL ? v_load(p) : v_load_n(p, n); }
static WEFT_INLINE void put(float *p, vf a, size_t n) {
    if (n == VL)
        v_store(p, a);
    else
        v_store_n(p, a, n);
}

static WEFT_INLINE void fwd_row(const elem *wte, const elem *wpe, elem *out, size_t c) {
    size_t i = 0;
    for (; i + VL <= c; i += VL)
        e_store(out + i, wpe ? v_add(e_load(wte + i), e_load(wpe + i)) : e_load(wte + i));
    if (i == c) return;
    const vf w = e_load_n(wte + i, c - i);
    e_store_n(out + i, wpe ? v_add(w, e_load_n(wpe + i, c - i)) : w, c - i);
}

void WEFT_EFN(embed_fwd)(const struct weft_embed_args *a) {
    for (size_t r = 0; r < a->rows; r++) {
        const elem *wte = (const elem *)a->wte + (size_t)a->token[r] * a->c;
        const size_t pos = a->pos0 + (WEFT_BUG(15) ? r : a->row0 + r) % a->t;
        const elem *wpe = a->wpe ? (const elem *)a->wpe + pos * a->c : NULL;
        fwd_row(wte, wpe, (elem *)a->out + r * a->c, a->c);
    }
}

#if WEFT_ELEM_F32
/* One pass of a stable radix sort of positions by one digit of their token; from NULL: 0, 1, ... */
static void sort_digit(const int32_t *token, size_t n, unsigned shift, const uint32_t *from,
                       uint32_t *to) {
    uint32_t at[RADIX + 1] = {0};
    for (size_t i = 0; i < n; i++) at[((uint32_t)token[i] >> shift) % RADIX + 1]++;
    for (size_t d = 1; d <= RADIX; d++) at[d] += at[d - 1];
    for (size_t i = 0; i < n; i++) {
        const uint32_t p = from ? from[i] : (uint32_t)i;
        to[at[((uint32_t)token[p] >> shift) % RADIX]++] = p;
    }
}

void WEFT_FN(embed_sort)(const int32_t *token, size_t n, uint32_t *tmp,
                         const struct weft_embed_index *out) {
    uint32_t top = 0;
    for (size_t i = 0; i < n; i++) top = top > (uint32_t)token[i] ? top : (uint32_t)token[i];
    unsigned passes = 1;
    while (passes * RADIX_BITS < 32 && top >> (passes * RADIX_BITS)) passes++;
    /* The last pass writes out->order, so the first one does after an odd number of passes. */
    const uint32_t *from = NULL;
    for (unsigned p = 0; p < passes; p++) {
        uint32_t *to = (passes - p) % 2 ? out->order : tmp;
        sort_digit(token, n, p * RADIX_BITS, from, to);
        from = to;
    }
    uint32_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (i == 0 || token[out->order[i]] != token[out->order[i - 1]])
            out->start[count++] = (uint32_t)i;
    out->start[count] = (uint32_t)n;
    *out->count = count;
}
#endif

/* Columns i.. of one token: nv vectors, the last with m lanes. */
static WEFT_INLINE void grad_cols(const struct weft_embed_grad_args *a, const uint32_t *pos,
                                  size_t n, float *dw, size_t i, const size_t nv, size_t m) {
    vf sum[WIDE];
    for (size_t k = 0; k < nv; k++)
        sum[k] = a->mode == WEFT_EMBED_CHAIN ? get(dw + i + k * VL, m) : v_zero();
    for (size_t p = 0; p < n; p++) {
        const elem *dy = (const elem *)a->dy + pos[p] * a->ld + i;
        for (size_t k = 0; k < nv; k++) sum[k] = v_add(sum[k], e_get_n(dy + k * VL, m));
    }
    for (size_t k = 0; k < nv; k++) {
        if (a->mode == WEFT_EMBED_ADD) sum[k] = v_add(get(dw + i + k * VL, m), sum[k]);
        put(dw + i + k * VL, sum[k], m);
    }
}

static WEFT_INLINE void grad_row(const struct weft_embed_grad_args *a, const uint32_t *pos,
                                 size_t n, float *dw) {
    size_t i = 0;
    for (; i + WIDE * VL <= a->c; i += WIDE * VL) grad_cols(a, pos, n, dw, i, WIDE, VL);
    for (; i + VL <= a->c; i += VL) grad_cols(a, pos, n, dw, i, 1, VL);
    if (i < a->c) grad_cols(a, pos, n, dw, i, 1, a->c - i);
}

void WEFT_EFN(embed_grad)(const struct weft_embed_grad_args *a) {
    size_t row = 0; /* SET: rows before this one are done; the sum of no positions is 0 */
    for (size_t k = 0; k < *a->index.count; k++) {
        const uint32_t *pos = a->index.order + a->index.start[k];
        const size_t v = (size_t)a->token[pos[0]];
        for (; a->mode == WEFT_EMBED_SET && row < v; row++)
            grad_row(a, NULL, 0, a->dwte + row * a->ld);
        grad_row(a, pos, a->index.start[k + 1] - a->index.start[k], a->dwte + v * a->ld);
        row = v + 1;
    }
    for (; a->mode == WEFT_EMBED_SET && row < a->vocab; row++)
        grad_row(a, NULL, 0, a->dwte + row * a->ld);
}
