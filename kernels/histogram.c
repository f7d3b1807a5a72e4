/* Histogram with equal bins; see reduce.h. The bin numbers are made by the vector unit, the
 * counting is scalar: increments of one address must not be merged. */
#include "kernels/kernels.h"
#include "kernels/simd/vec.h"

/* 0: below, 1..bins, bins + 1: above, bins + 2: NaN */
static WEFT_INLINE vi bin_of(vf x, vf lo, vf hi, vf scale, vf bins) {
    const vf one = v_set1(1.0f);
    vf b = v_add(v_floor(v_mul(v_sub(x, lo), scale)), one);
    b = v_sel(v_gt(b, bins), bins, b);
    b = v_sel(v_lt(x, lo), v_zero(), b);
    b = v_sel(v_gt(x, hi), v_add(bins, one), b);
    b = v_sel(v_isnan(x), v_add(bins, v_set1(2.0f)), b);
    return v_to_i(b);
}

void WEFT_FN(histogram_f32)(const struct weft_histogram_args *a) {
    const vf lo = v_set1(a->lo);
    const vf hi = v_set1(a->hi);
    const vf bins = v_set1((float)a->bins);
    const vf scale = v_set1((float)((double)a->bins / ((double)a->hi - (double)a->lo)));
    int32_t bin[VL];
    size_t i = 0;
    for (; i + VL <= a->n; i += VL) {
        i_store(bin, bin_of(v_load(a->x + i), lo, hi, scale, bins));
        for (size_t l = 0; l < VL; l++) a->counts[bin[l]]++;
    }
    i_store(bin, bin_of(v_load_n(a->x + i, a->n - i), lo, hi, scale, bins));
    for (size_t l = 0; l < a->n - i; l++) a->counts[bin[l]]++;
}
