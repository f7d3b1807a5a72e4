/* Philox4x32-10 (kernels/base/philox.h), VL blocks at a time. */
#ifndef WEFT_VEC_PHILOX_H
#define WEFT_VEC_PHILOX_H

#include "kernels/base/philox.h"
#include "kernels/simd/vec.h"

/* c[4]: the counters of VL blocks, in; their random words, out. */
static WEFT_INLINE void v_philox(vi c[4], const uint32_t key[2]) {
    const vi m0 = i_set1((int32_t)PHILOX_M0);
    const vi m1 = i_set1((int32_t)PHILOX_M1);
    uint32_t k0 = key[0], k1 = key[1];
    WEFT_UNROLL(10)
    for (unsigned round = 0; round < PHILOX_ROUNDS; round++) {
        const vi hi0 = i_mulhi_u(c[0], m0);
        const vi hi1 = i_mulhi_u(c[2], m1);
        const vi lo0 = i_mullo(c[0], m0);
        const vi lo1 = i_mullo(c[2], m1);
        c[0] = i_xor(i_xor(hi1, c[1]), i_set1((int32_t)k0));
        c[1] = lo1;
        c[2] = i_xor(i_xor(hi0, c[3]), i_set1((int32_t)k1));
        c[3] = lo0;
        k0 += PHILOX_W0;
        k1 += PHILOX_W1;
    }
}

/* Counters (first + lane, c1, c2, c3). */
static WEFT_INLINE void v_philox_run(uint32_t first, uint32_t c1, uint32_t c2, uint32_t c3,
                                     const uint32_t key[2], vi out[4]) {
    out[0] = i_add(i_set1((int32_t)first), i_iota());
    out[1] = i_set1((int32_t)c1);
    out[2] = i_set1((int32_t)c2);
    out[3] = i_set1((int32_t)c3);
    v_philox(out, key);
}

#endif
