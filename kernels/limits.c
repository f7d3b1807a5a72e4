/* Measuring loops (limits.h). Results are meaningless; only the time counts. */
#include "kernels/kernels.h"
#include "kernels/simd/word.h"

#ifdef WEFT_ISA_IS_AVX512
#define CHAINS 24
#else
#define CHAINS 12 /* of 16 registers; AArch64 needs no more */
#endif
void WEFT_EFN(limit_fma)(size_t rounds, float *restrict sink) {
    const vf a = v_set1(0.999F), b = v_set1(0.001F);
    vf c[CHAINS];
    WEFT_UNROLL_ALL
    for (size_t i = 0; i < CHAINS; i++) c[i] = v_set1((float)i);
    for (size_t r = 0; r < rounds * (WEFT_LIMIT_FMAS / CHAINS); r++) {
        WEFT_UNROLL_ALL
        for (size_t i = 0; i < CHAINS; i++) c[i] = word_mac(a, b, c[i]);
    }
    WEFT_UNROLL_ALL
    for (size_t i = 1; i < CHAINS; i++) c[0] = v_add(c[0], c[i]);
    v_store(sink, c[0]);
}

#if WEFT_ELEM_F32
void WEFT_FN(limit_triad_f32)(size_t n, float s, float *restrict a, const float *restrict b,
                              const float *restrict c) {
    const vf k = v_set1(s);
    size_t i = 0;
    for (; i + VL <= n; i += VL) v_store(a + i, v_fma(k, v_load(c + i), v_load(b + i)));
    if (i < n) v_store_n(a + i, v_fma(k, v_load_n(c + i, n - i), v_load_n(b + i, n - i)), n - i);
}

void WEFT_FN(limit_read_f32)(size_t n, const float *restrict a, float *restrict sink) {
    vf s[4] = {v_zero(), v_zero(), v_zero(), v_zero()};
    size_t i = 0;
    for (; i + 4 * VL <= n; i += 4 * VL) {
        WEFT_UNROLL(4)
        for (size_t j = 0; j < 4; j++) s[j] = v_add(s[j], v_load(a + i + j * VL));
    }
    for (; i < n; i += VL) s[0] = v_add(s[0], v_load_n(a + i, n - i < VL ? n - i : VL));
    v_store(sink, v_add(v_add(s[0], s[1]), v_add(s[2], s[3])));
}

static WEFT_INLINE void move(size_t n, const size_t ins, const float *const *in, const size_t outs,
                             float *const *out) {
    for (size_t i = 0; i < n; i += VL) {
        const size_t m = n - i < VL ? n - i : VL;
        vi x = v_bits(m == VL ? v_load(in[0] + i) : v_load_n(in[0] + i, m));
        WEFT_UNROLL_ALL
        for (size_t j = 1; j < ins; j++)
            x = i_or(x, v_bits(m == VL ? v_load(in[j] + i) : v_load_n(in[j] + i, m)));
        WEFT_UNROLL_ALL
        for (size_t j = 0; j < outs; j++) {
            if (m == VL)
                v_store(out[j] + i, i_bits(x));
            else
                v_store_n(out[j] + i, i_bits(x), m);
        }
    }
}

void WEFT_FN(limit_move_f32)(size_t n, size_t ins, const float *const *in, size_t outs,
                             float *const *out) {
    switch (ins * 4 + outs) {
#define MOVE(i, o)                                                                                 \
    case (i)*4 + (o): move(n, i, in, o, out); break;
        MOVE(1, 1)
        MOVE(2, 1) MOVE(3, 1) MOVE(4, 1) MOVE(1, 2) MOVE(2, 2) MOVE(3, 2) MOVE(4, 2) MOVE(1, 3)
            MOVE(2, 3) MOVE(3, 3) MOVE(4, 3)
#undef MOVE
    }
}
#endif
