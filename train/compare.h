/* What a format of weights, or of the KV cache, costs in quality: the same text through a model in
 * f32 and through the same model in that format. */
#ifndef WEFT_TRAIN_COMPARE_H
#define WEFT_TRAIN_COMPARE_H

#include "train/evaluate.h"

struct weft_comparison {
    struct weft_score base, other; /* of f32, of the format */
    double kl;         /* nats a token: mean of sum_v p_v log(p_v / q_v), p of f32; >= 0 */
    double same;       /* share of tokens with the same likeliest one after them */
    double seconds[2]; /* that each model took */
};

/* Both models are made with training.score for the same vocabulary and context; samples begin at
 * position 0. Softmax, losses and divergence in double. WEFT_ERR_ARG when the split is empty. */
WEFT_NODISCARD enum weft_status weft_compare(weft_ctx *ctx, weft_model *base, weft_model *other,
                                             struct weft_feed *feed, enum weft_split split,
                                             struct weft_comparison *out);

/* Of one token, from n logits each: the divergence, and the losses of the target. */
double weft_divergence(const float *base, const float *other, size_t n, size_t target,
                       double loss[2]);

#endif
