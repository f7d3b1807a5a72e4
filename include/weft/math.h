/* Scalar functions with the same bits on every machine (libm differs between CPUs and versions):
 * what schedules, samplers and initialisers may use on the training path. Relative error about
 * 1e-15 unless stated. */
#ifndef WEFT_MATH_H
#define WEFT_MATH_H

#include <stddef.h>
#include <stdint.h>
#include "weft/context.h"

#ifdef __cplusplus
extern "C" {
#endif

WEFT_API double weft_exp(double x);
WEFT_API double weft_log(double x);           /* NaN below 0, -inf at 0 */
WEFT_API double weft_pow(double x, double y); /* x >= 0 */
WEFT_API double weft_cos(double x);           /* |x| <= 1e5 */
WEFT_API double weft_sin(double x);
WEFT_API double weft_sqrt(double x); /* IEEE */

/* Philox4x32-10 (Salmon et al. 2011): 128 random bits, a pure function of counter and key. */
WEFT_API void weft_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);
/* y[i] = std z, z the standard normal number first + i of (seed, stream), |z| <= 5.77, rounded
 * once: many at a time, by the context's kernels, on the calling thread (order and source:
 * kernels/random.h). weft's own streams: dropout from 0, initial weights from 2^31 on. ctx or y
 * NULL: nothing. */
WEFT_API void weft_random_normal(const weft_ctx *ctx, uint64_t seed, uint32_t stream,
                                 uint64_t first, float std, float *y, size_t n);

#ifdef __cplusplus
}
#endif
#endif
