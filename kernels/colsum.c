/* Column sums: sum(n) = or += over the rows of x (m, n).
 *
 * Rows are taken in blocks of 64: within a block one chain of additions from 0, rows ascending;
 * blocks are added in ascending order to the old sum, or to 0. Error: (64 + m/64)·u·Σ|x|. */
#include "kernels/gemm.h"
#include "kernels/simd/elem.h"

#define STRIP 8 /* vectors of columns at a time */

/* `vecs` whole vectors of columns, or (vecs = 1) n < VL columns. */
static WEFT_INLINE void strip(const struct weft_colsum_args *a, const size_t vecs, size_t j,
                              size_t n) {
    vf sum[STRIP];
    WEFT_UNROLL_ALL
    for (size_t v = 0; v < vecs; v++)
        sum[v] = a->accumulate && !WEFT_BUG(57) ? v_load_n(a->sum + j + v * VL, n) : v_zero();
    for (size_t i0 = 0; i0 < a->m; i0 += WEFT_COLSUM_ROWS) {
        const size_t end = i0 + WEFT_COLSUM_ROWS < a->m ? i0 + WEFT_COLSUM_ROWS : a->m;
        vf part[STRIP];
        WEFT_UNROLL_ALL
        for (size_t v = 0; v < vecs; v++) part[v] = v_zero();
        for (size_t i = i0; i < end; i++) {
            const elem *x = (const elem *)a->x + i * a->ldx + j;
            WEFT_UNROLL_ALL
            for (size_t v = 0; v < vecs; v++)
                part[v] = v_add(part[v], n == VL ? e_load(x + v * VL) : e_load_n(x, n));
        }
        WEFT_UNROLL_ALL
        for (size_t v = 0; v < vecs; v++) sum[v] = v_add(sum[v], part[v]);
    }
    WEFT_UNROLL_ALL
    for (size_t v = 0; v < vecs; v++) v_store_n(a->sum + j + v * VL, sum[v], n);
}

void WEFT_EFN(colsum)(const struct weft_colsum_args *a) {
    size_t j = 0;
    for (; j + STRIP * VL <= a->n; j += STRIP * VL) strip(a, STRIP, j, VL);
    for (; j + VL <= a->n; j += VL) strip(a, 1, j, VL);
    if (j < a->n) strip(a, 1, j, a->n - j);
}
