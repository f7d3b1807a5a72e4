/* Attention of one head in double (kernels/attention.h has the equations); every array is dense.
 * Hidden pairs (j > i when causal) are left out, not multiplied by 0. */
#ifndef WEFT_REF_ATTENTION_H
#define WEFT_REF_ATTENTION_H
#include <stdbool.h>
#include <stddef.h>
#include "kernels/attention.h"

/* q, k, v (t, hs) -> y (t, hs), lse, smax (t); all =. f (t, t): the factors of dropout; NULL: none
 */
void ref_attention_fwd(size_t t, size_t hs, const double *q, const double *k, const double *v,
                       const double *f, double scale, bool causal, double *y, double *lse,
                       double *smax);
/* -sum_j p_ij log p_ij (t), =; lse as above. */
void ref_attention_entropy(size_t t, size_t hs, const double *q, const double *k, double scale,
                           bool causal, const double *lse, double *entropy);
/* y and lse as the forward pass made them, dy (t, hs) -> dq, dk, dv (t, hs); all = */
void ref_attention_bwd(size_t t, size_t hs, const double *q, const double *k, const double *v,
                       const double *f, const double *y, const double *lse, const double *dy,
                       double scale, bool causal, double *dq, double *dk, double *dv);

/* The factor of a pair, from the mapping that attention.h documents. */
double ref_attention_drop(const struct weft_attn_drop *d, size_t query, size_t key);

/* Bounds, u = 2^-24, per pair (i, j) with s the scaled score and p its probability:
 *   e = u (hs + 1) scale |q||k|                              error of s
 *   forward   f = e_j + u (2 (m - s_j) + 3 blocks + 4)       relative error of p before 1 / l
 *             y: sum p|v| (f + (n + 2) u) + |y| (sum p f + (2 blocks + 8) u)
 *             entropy: 2 max e (1 + log n) + 2 sum p f (m - s) + its size's share of sum p f
 *   backward  f = e + u (|s - lse| + 2);  g = |dp - D|
 *             ds: p scale (u hs |dy||v| + u (hs/32 + 6) |dy||y| + g (f + 4 u))
 *             each gradient: its terms' errors + (steps of the chain) u times their magnitudes
 * with e^f - 1 for f; dropout scales p in y and dv, and dp, by its factor, one rounding each; p and
 * ds enter their products with a relative error of at most r: 0, or 2^-8 where they become bf16.
 * Where e reaches 1/2 nothing is known: INFINITY. y, lse and smax as the oracle made them; the
 * backward bounds are added to what tol_* hold. */
void ref_attention_fwd_bound(size_t t, size_t hs, const double *q, const double *k, const double *v,
                             const double *f, double scale, bool causal, double r, const double *y,
                             const double *lse, const double *smax, double *tol_y, double *tol_lse,
                             double *tol_smax);
void ref_attention_entropy_bound(size_t t, size_t hs, const double *q, const double *k,
                                 double scale, bool causal, const double *lse, const double *smax,
                                 double *tol);
void ref_attention_bwd_bound(size_t t, size_t hs, const double *q, const double *k, const double *v,
                             const double *f, const double *y, const double *lse, const double *dy,
                             double scale, bool causal, double r, double *tol_dq,
                             double *tol_dk, double *tol_dv);
#endif
