/* Token and position embedding and their gradients, without atomics.
 *
 *   out[r] = wte[token[r]] + wpe[pos0 + r % t]
 *   dwte[v] = old + sum of dy[r] over the positions r of token v, ascending
 *   dwpe[p] = old + dy[b = 0, p] + dy[1, p] + ...
 *
 * embed_sort lists the positions by token once; embed_grad walks that list for a range of columns,
 * so threads own columns and no two write the same element. */
#ifndef WEFT_KERNELS_EMBEDDING_H
#define WEFT_KERNELS_EMBEDDING_H
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

struct weft_embed_args {
    size_t rows, c;
    const int32_t *token; /* (rows), read */
    const void *wte;      /* (V, c) elem, read */
    const void *wpe;      /* (>= pos0 + t, c) elem, read; NULL: none */
    size_t t, pos0;       /* positions of a sample; position of its first */
    size_t row0;          /* row 0 of token and out is row row0 of the batch */
    void *out;            /* (rows, c) elem, = */
};

/* Positions by token: those of the k-th distinct token (ascending) are order[start[k]..start[k+1]),
 * ascending. */
struct weft_embed_index {
    uint32_t *order; /* (n) */
    uint32_t *start; /* (n + 1) */
    uint32_t *count; /* (1): distinct tokens */
};

enum weft_embed_mode {
    WEFT_EMBED_ADD,   /* dwte[v] += sum (from zero); rows without positions are left alone */
    WEFT_EMBED_CHAIN, /* the sum starts from dwte[v]; rows without positions are left alone */
    WEFT_EMBED_SET,   /* dwte[v] = sum (from zero); rows without positions become 0 */
};

struct weft_embed_grad_args {
    enum weft_embed_mode mode;
    size_t c;                      /* columns of this call */
    size_t ld;                     /* of dy and dwte */
    size_t vocab;                  /* rows of dwte */
    const int32_t *token;          /* (n), read */
    struct weft_embed_index index; /* of the same tokens, read */
    const void *dy;                /* (n, c) elem, read */
    float *dwte;                   /* (vocab, c), by mode */
};

#endif
