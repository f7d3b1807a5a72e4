/* A byte-pair vocabulary from a text: the most frequent pair of neighbours becomes a token, again
 * and again (Sennrich et al. 2016). Of equally frequent pairs the one of older tokens comes first,
 * the left one deciding. These are the merges of Hugging Face's BpeTrainer with the whole byte
 * alphabet, on the same text. Tokens are numbered as GPT-2's: bytes, merges, <|endoftext|>. */
#ifndef WEFT_TRAIN_BPE_TRAIN_H
#define WEFT_TRAIN_BPE_TRAIN_H

#include "train/bpe.h"

#define WEFT_BPE_TRAIN_LEAST 257 /* tokens: bytes and <|endoftext|> */

struct weft_bpe_training {
    const char *path; /* names the text in messages */
    const char *text;
    size_t size;
    size_t vocab;       /* tokens, at most */
    uint64_t min_count; /* of a pair that becomes a token */
    bool lines; /* each line is split into words by itself, as that trainer does with files */
};

WEFT_NODISCARD enum weft_status weft_bpe_train(weft_ctx *ctx, const struct weft_bpe_training *how,
                                               struct weft_bpe **out);

#endif
