/* Uniform and normal fills from Philox; see random.h. The stream is walked in groups of 128
 * elements, VL blocks at a time; a range may begin and end anywhere. */
#include "kernels/kernels.h"
#include "kernels/simd/vec_math.h"
#include "kernels/simd/vec_philox.h"

/* word -> [0, 1) in steps of 2^-24 */
static WEFT_INLINE vf unit(vi word) { return v_mul(i_to_v(i_shr(word, 8)), v_set1(0x1p-24f)); }

static WEFT_INLINE void box_muller(vi a, vi b, vf *even, vf *odd) {
    const vf r2 = v_mul(v_set1(-2.0f), v_log(v_add(unit(a), v_set1(0x1p-24f))));
    const vf r = v_sqrt(r2);
    vf s, c;
    v_sincos2pi(unit(b), &s, &c);
    *even = v_mul(r, c);
    *odd = v_mul(r, s);
}

/* Stores the part of v, elements e .. e+VL-1 of the stream, that lies in [first, first + n). */
static WEFT_INLINE void put(const struct weft_random_args *a, uint64_t e, vf v) {
    const uint64_t end = a->first + a->n;
    if (e >= a->first && e + VL <= end) {
        v_store(a->y + (e - a->first), v);
        return;
    }
    const uint64_t lo = e > a->first ? e : a->first;
    const uint64_t hi = e + VL < end ? e + VL : end;
    if (lo >= hi) return;
    float lane[2 * VL] = {0}; /* the shifted load ends inside */
    v_store(lane, v);
    v_store_n(a->y + (lo - a->first), v_load(lane + (lo - e)), (size_t)(hi - lo));
}

static WEFT_INLINE void fill(const struct weft_random_args *a, const bool normal) {
    uint32_t key[2];
    philox_key(a->seed, a->stream, PHILOX_FILL, key);
    const vf base = v_set1(normal ? a->mean : a->lo);
    const vf slope = v_set1(normal ? a->std : a->hi - a->lo);
    for (uint64_t g = a->first / 128; 128 * g < a->first + a->n; g++)
        for (uint32_t l = 0; l < 32; l += VL) {
            vi word[4];
            vf z[4];
            const uint32_t high = WEFT_BUG(18) ? 0 : (uint32_t)((32 * g) >> 32);
            v_philox_run((uint32_t)(32 * g) + l, high, 0, 0, key, word);
            if (normal) {
                box_muller(word[0], word[1], &z[0], &z[1]);
                box_muller(word[2], word[3], &z[2], &z[3]);
            } else {
                for (size_t w = 0; w < 4; w++) z[w] = unit(word[w]);
            }
            for (size_t w = 0; w < 4; w++) put(a, 128 * g + 32 * w + l, v_fma(slope, z[w], base));
        }
}

void WEFT_FN(random_uniform_f32)(const struct weft_random_args *a) { fill(a, false); }
void WEFT_FN(random_normal_f32)(const struct weft_random_args *a) { fill(a, true); }
