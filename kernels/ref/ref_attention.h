/* Attention of one head in double (kernels/attention.h has the equations); every array is dense.
 * Hidden pairs (j > i when causal) are left out, not multiplied by 0. */
#ifndef WEFT_REF_ATTENTION_H
#define WEFT_REF_ATTENTION_H
#include <stdbool.h>
#include <stddef.h>

/* q, k, v (t, hs) -> y (t, hs), lse, smax (t); all = */
void ref_attention_fwd(size_t t, size_t hs, const double *q, const double *k, const double *v,
                       double scale, bool causal, double *y, double *lse, double *smax);
/* -sum_j p_ij log p_ij (t), =; lse as above. */
void ref_attention_entropy(size_t t, size_t hs, const double *q, const double *k, double scale,
                           bool causal, const double *lse, double *entropy);
/* y and lse as the forward pass made them, dy (t, hs) -> dq, dk, dv (t, hs); all = */
void ref_attention_bwd(size_t t, size_t hs, const double *q, const double *k, const double *v,
                       const double *y, const double *lse, const double *dy, double scale,
                       bool causal, double *dq, double *dk, double *dv);
#endif
