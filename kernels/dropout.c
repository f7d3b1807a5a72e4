/* Dropout by counter-based random numbers; see dropout.h. The mapping of channels to Philox words
 * makes each word of VL consecutive blocks belong to VL consecutive channels, for any VL that
 * divides 32: no shuffles, one store a word. */
#include "kernels/kernels.h"
#include "kernels/simd/elem.h"
#include "kernels/simd/vec_philox.h"

struct drop {
    vi threshold;
    vf scale;
};

/* The channels [c, c + m) of a row, m <= VL. */
static WEFT_INLINE void drop_vector(const struct drop *d, vi word, const elem *x,
                                    const elem *residual, elem *y, size_t m) {
    const vm dropped = i_gt(d->threshold, i_shr(word, 1));
    if (m >= VL) {
        const vf v = v_sel(dropped, v_zero(), v_mul(e_load(x), d->scale));
        e_store(y, residual ? v_add(e_load(residual), v) : v);
    } else {
        const vf v = v_sel(dropped, v_zero(), v_mul(e_load_n(x, m), d->scale));
        e_store_n(y, residual ? v_add(e_load_n(residual, m), v) : v, m);
    }
}

void WEFT_EFN(dropout)(const struct weft_dropout_args *a) {
    uint32_t key[2];
    philox_key(a->seed, a->stream, PHILOX_DROPOUT, key);
    const float keep = 1.0f - a->p;
    const float bound = a->p * 0x1p31f; /* the largest float below 2^31 is 2^31 - 128 */
    const struct drop d = {
        i_set1(keep > 0 ? (int32_t)(bound < 0x1.fffffep30f ? bound : 0x1.fffffep30f) : INT32_MAX),
        v_set1(keep > 0 ? (WEFT_BUG(30) ? 1.0f : 1.0f / keep) : 0.0f)};
    for (size_t r = 0; r < a->rows; r++) {
        const size_t row = WEFT_BUG(14) ? r : a->row0 + r;
        const uint32_t sample = (uint32_t)(a->sample0 + row / a->rows_per_sample);
        const uint32_t position = (uint32_t)(row % a->rows_per_sample);
        const elem *x = (const elem *)a->x + r * a->cols;
        const elem *residual = a->residual ? (const elem *)a->residual + r * a->cols : NULL;
        elem *y = (elem *)a->y + r * a->cols;
        for (size_t c = 0; c < a->cols; c += 128)
            for (size_t l = 0; l < 32 && c + l < a->cols; l += VL) {
                vi word[4];
                v_philox_run((uint32_t)(c / 4 + l), position, sample, (uint32_t)a->step, key, word);
                for (size_t w = 0, i = c + l; w < 4 && i < a->cols; w++, i += 32)
                    drop_vector(&d, word[w], x + i, residual ? residual + i : NULL, y + i,
                                a->cols - i);
            }
    }
}
