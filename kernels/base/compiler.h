/* The only place for compiler extensions: inlining, attributes, prefetch, and the names of the
 * symbols that exist once per ISA. */
#ifndef WEFT_BASE_COMPILER_H
#define WEFT_BASE_COMPILER_H

#include "kernels/base/bug.h"

#if defined(WEFT_ISA_IS_EMU) && defined(__SANITIZE_ADDRESS__)
#define WEFT_INLINE inline /* speed does not matter there, compile time does */
#else
#define WEFT_INLINE inline __attribute__((always_inline))
#endif
#define WEFT_NOINLINE       __attribute__((noinline))
#define WEFT_UNUSED         __attribute__((unused))
#define WEFT_AT_START       __attribute__((constructor))
#define WEFT_ALIGN(n)       __attribute__((aligned(n)))
#define WEFT_PRINTF(f, a)   __attribute__((format(printf, f, a)))
#define WEFT_LIKELY(x)      __builtin_expect(!!(x), 1)
#define WEFT_UNLIKELY(x)    __builtin_expect(!!(x), 0)
#define WEFT_PREFETCH(p)    __builtin_prefetch((p), 0, 3) /* for reading, into L1 */
#define WEFT_PREFETCH_L2(p) __builtin_prefetch((p), 0, 2)
#define WEFT_PREFETCH_W(p)  __builtin_prefetch((p), 1, 3) /* for writing */
#define WEFT_PRAGMA(x)      _Pragma(#x)
#if defined(WEFT_ISA_IS_EMU) /* vectors are arrays here: nothing to keep in registers */
#define WEFT_UNROLL(n)
#define WEFT_UNROLL_ALL
#elif defined(__clang__)
#define WEFT_UNROLL(n)  WEFT_PRAGMA(clang loop unroll_count(n))
#define WEFT_UNROLL_ALL WEFT_PRAGMA(clang loop unroll(full))
#else
#define WEFT_UNROLL(n)  WEFT_PRAGMA(GCC unroll n)
#define WEFT_UNROLL_ALL WEFT_PRAGMA(GCC unroll 32) /* constant trip count: arrays to registers */
#endif

/* The control bits of floating point: rounding to nearest, denormals kept, nothing trapped. begin
 * sets them and returns what was there, for end. */
static inline unsigned weft_fp_begin(void) {
#if defined(__x86_64__)
    const unsigned old = __builtin_ia32_stmxcsr();
    if ((old & 0xffc0u) != 0x1f80u) __builtin_ia32_ldmxcsr(0x1f80u);
    return old;
#elif defined(__aarch64__)
    unsigned long old;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    if (old != 0) __asm__ volatile("msr fpcr, %0" ::"r"(0ul));
    return (unsigned)old;
#else
    return 0;
#endif
}
static inline void weft_fp_end(unsigned old) {
#if defined(__x86_64__)
    if ((old & 0xffc0u) != 0x1f80u) __builtin_ia32_ldmxcsr(old);
#elif defined(__aarch64__)
    if (old != 0) __asm__ volatile("msr fpcr, %0" ::"r"((unsigned long)old));
#else
    (void)old;
#endif
}
/* Told to the core while a thread spins. */
static inline void weft_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#define WEFT_PASTE_(a, b) a##b
#define WEFT_PASTE(a, b)  WEFT_PASTE_(a, b)
#define WEFT_STR_(a)      #a
#define WEFT_STR(a)       WEFT_STR_(a)
/* WEFT_FN(gelu_fwd_f32) is weft_gelu_fwd_f32_avx2 in the objects compiled for AVX2. The build
 * defines WEFT_ISA_NAME (emu, avx2, avx512, avx512bf16, neon) for each ISA library. */
#define WEFT_FN(name) WEFT_PASTE(weft_##name##_, WEFT_ISA_NAME)
/* The same in the table that lends this one its f32 kernels (avx512 to avx512bf16). */
#ifdef WEFT_ISA_BASE
#define WEFT_BASE_FN(name) WEFT_PASTE(weft_##name##_, WEFT_ISA_BASE)
#else
#define WEFT_BASE_FN(name) WEFT_FN(name)
#endif

#endif
