/* The baseline of language models: the next token guessed from the one before it alone.
 *
 *   p(b)    = (c(b) + 1) / (N + V)
 *   p(b|a)  = (c(a,b) + p(b)) / (c(a) + 1)        counts c of the training tokens
 *
 * (a Dirichlet prior of weight one around the unigram model: no pair has probability 0). A model
 * that does not beat it has learned nothing of order. */
#ifndef WEFT_TRAIN_BIGRAM_H
#define WEFT_TRAIN_BIGRAM_H

#include "train/data.h"

/* Mean -log p(next|token) in nats over the tokens of a split, whatever the length of samples;
 * counts from the training split. NaN when it cannot be had: no tokens, an empty split, more than
 * three million different pairs, or no memory. *bytes (may be NULL): the most memory it had. */
double weft_bigram_loss(const struct weft_data *data, enum weft_split split, size_t *bytes);

#endif
