/* Large memory: one zeroed, huge-page-friendly mapping; alignment helpers. */
#ifndef WEFT_RUNTIME_MEMORY_H
#define WEFT_RUNTIME_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#define WEFT_ALIGNMENT 64 /* of every tensor: a cache line, a ZMM register */

static inline size_t weft_align_up(size_t n, size_t to) { return (n + to - 1) / to * to; }
/* *out = a*b, false on overflow. */
static inline bool weft_mul(size_t a, size_t b, size_t *out) {
    *out = a * b;
    return a == 0 || *out / a == b;
}

/* bytes > 0. NULL when the system refuses. Pages are taken when first touched. */
void *weft_map(size_t bytes);
void weft_unmap(void *p, size_t bytes);
/* What is placed as a whole in such a mapping, at multiples of it: a huge page or a page. */
size_t weft_map_unit(size_t bytes);

/* How many of the pages of [p, p + bytes) are on each memory node, as far as they have been
 * touched: page[0..nodes). False: the system does not tell. */
bool weft_memory_nodes(const void *p, size_t bytes, size_t *page, size_t nodes);

#endif
