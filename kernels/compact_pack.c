/* Weights into compact blocks, and single outputs out of them (kernels/compact.h). */
#include <string.h>

#include "kernels/gemm_pack.h"
#include "kernels/kernels.h"
#include "kernels/simd/vec_compact.h"

#define SMALLEST 0x1p-126f /* of a scale: FLT_MIN */

/* Outputs c, c + 1, ... of a row of the source; 0 beyond the live ones. */
static WEFT_INLINE vf source(const struct weft_compact_args *a, size_t k, size_t c) {
    const float *const p = a->src + k * a->ld + c;
    return c + VL <= a->n ? v_load(p) : c < a->n ? v_load_n(p, a->n - c) : v_zero();
}

static void pack_f32(const struct weft_compact_args *a) {
    float *to = a->block;
    for (size_t k = 0; k < a->k; k++)
        for (size_t c = 0; c < WEFT_BLOCK; c += VL, to += VL) v_store(to, source(a, k, c));
}

static void pack_bf16(const struct weft_compact_args *a) {
    int32_t *to = a->block;
    for (size_t k = 0; k < a->k; k += 2)
        for (size_t c = 0; c < WEFT_BLOCK; c += VL, to += VL) {
            const vi low = i_shr(bf16_bits(source(a, k, c)), 16);
            const vf next = k + 1 < a->k ? source(a, k + 1, c) : v_zero();
            i_store(to, i_or(low, i_shl(i_shr(bf16_bits(next), 16), 16)));
        }
}

/* The scales of terms [k0, k1), q at most `most`. */
static WEFT_INLINE void scales(const struct weft_compact_args *a, size_t k0, size_t k1,
                               const float most, float *out) {
    for (size_t c = 0; c < WEFT_BLOCK; c += VL) {
        vf max = v_zero();
        for (size_t k = k0; k < k1; k++) max = v_max(max, v_abs(source(a, k, c)));
        const vf s = v_max(v_div(max, v_set1(most)), v_set1(SMALLEST));
        v_store(out + c, v_sel(v_eq(max, v_zero()), v_zero(), s));
    }
}

/* q of outputs c, c + 1, ...: in [-most, most] whatever the source is. */
static WEFT_INLINE vi quantum(const struct weft_compact_args *a, size_t k, size_t c,
                              const float *scale, const float most) {
    const vf s = v_load(scale + c);
    const vf q = v_div(source(a, k, c), v_sel(v_eq(s, v_zero()), v_set1(1), s));
    const vf whole = WEFT_BUG(71) ? v_floor(q) : v_round(q);
    return v_to_i(v_max(v_min(whole, v_set1(most)), v_set1(-most)));
}

/* In groups of `group` terms, each after its scales. */
static void pack_int8(const struct weft_compact_args *a, size_t group) {
    unsigned char *to = a->block;
    for (size_t k0 = 0; k0 < a->k; k0 += group) {
        float *const scale = (float *)(void *)to;
        const size_t end = min_size(a->k, k0 + group);
        scales(a, k0, end, 127, scale);
        to += WEFT_SCALE_BYTES;
        for (size_t k = k0; k < end; k++, to += WEFT_BLOCK)
            for (size_t c = 0; c < WEFT_BLOCK; c += VL)
                i_store_8(to + c, quantum(a, k, c, scale, 127));
    }
}

/* q + 8 of outputs c, c + 1, ... */
static WEFT_INLINE vi nibble(const struct weft_compact_args *a, size_t k, size_t c,
                             const float *scale) {
    return i_add(quantum(a, k, c, scale, 7), i_set1(8));
}

static void pack_int4(const struct weft_compact_args *a, size_t group) {
    unsigned char *to = a->block;
    for (size_t k0 = 0; k0 < a->k; k0 += group) {
        float *const scale = (float *)(void *)to;
        const size_t end = min_size(a->k, k0 + group);
        scales(a, k0, end, 7, scale);
        to += WEFT_SCALE_BYTES;
        for (size_t k = k0; k < end; k++, to += WEFT_BLOCK / 2)
            for (size_t c = 0; c < 16; c += VL) {
                const vi low = i_or(nibble(a, k, c, scale), i_shl(nibble(a, k, c + 16, scale), 4));
                const vi high =
                    i_or(nibble(a, k, c + 32, scale), i_shl(nibble(a, k, c + 48, scale), 4));
                i_store_u16(to + 2 * c, i_or(low, i_shl(high, 8)));
            }
    }
}

void WEFT_FN(compact_pack)(const struct weft_compact_args *a) {
    const size_t group = weft_format_group(a->format);
    if (a->format == WEFT_FORMAT_F32)
        pack_f32(a);
    else if (a->format == WEFT_FORMAT_BF16)
        pack_bf16(a);
    else if (a->format == WEFT_FORMAT_INT4)
        pack_int4(a, group);
    else
        pack_int8(a, min_size(group, a->k));
    /* what rounding a block up to 64 bytes left */
    const size_t used = a->format == WEFT_FORMAT_INT4 && a->k % 2 ? WEFT_BLOCK / 2 : 0;
    unsigned char *const end = (unsigned char *)a->block + weft_compact_block(a->format, a->k);
    for (size_t i = 0; i < used; i++) end[-1 - (ptrdiff_t)i] = 0;
}

void WEFT_FN(compact_transpose_f32)(const float *src, size_t ld, size_t n, size_t k, float *dst) {
    pack_inner(WEFT_BLOCK, src, ld, n, k, dst);
}

/* ---- one output ---- */
/* Its weights are a row apart: one by one. The product of scale and q is rounded once. */
void WEFT_FN(compact_output_f32)(enum weft_format f, const void *blocks, size_t k, size_t output,
                                 float *w) {
    const size_t c = output % WEFT_BLOCK;
    const unsigned char *const block =
        (const unsigned char *)blocks + output / WEFT_BLOCK * weft_compact_block(f, k);
    for (size_t i = 0; i < k; i++) {
        const unsigned char *const row =
            compact_rows(f, block, f == WEFT_FORMAT_BF16 ? i & ~(size_t)1 : i);
        if (f == WEFT_FORMAT_F32) {
            memcpy(w + i, row + 4 * c, sizeof *w);
            continue;
        }
        if (f == WEFT_FORMAT_BF16) {
            const unsigned char *const half = row + 4 * c + 2 * (i % 2);
            const uint32_t bits = (uint32_t)half[0] << 16 | (uint32_t)half[1] << 24;
            memcpy(w + i, &bits, sizeof bits);
            continue;
        }
        const size_t word = c % 16, place = c / 16;
        const int q = f == WEFT_FORMAT_INT4
                          ? (row[2 * word + place / 2] >> 4 * (place % 2) & 15) - 8
                          : (row[c] ^ 0x80) - 0x80;
        w[i] = compact_scales(f, block, i)[c] * (float)q;
    }
}
