/* GGUF (version 3) for llama.cpp, written only. Matrices in f32, f16, bf16, or q8_0 (blocks of 32
 * along the inputs: an f16 scale and 32 signed bytes); vectors and positions in f32. The tokenizer
 * is GPT-2's for bpe and byte; without one, or with characters, the file has tokens only by number.
 */
#ifndef WEFT_TRAIN_GGUF_H
#define WEFT_TRAIN_GGUF_H

#include "train/settings.h"
#include "train/tokenizer.h"

enum weft_gguf_type {
    WEFT_GGUF_F32 = 0,
    WEFT_GGUF_F16 = 1,
    WEFT_GGUF_Q8_0 = 8,
    WEFT_GGUF_BF16 = 30
};

/* WEFT_ERR_FORMAT for a model that llama.cpp's gpt2 is not: LayerNorm after the sums, another
 * activation than GELU. */
WEFT_NODISCARD enum weft_status weft_gguf_write(weft_ctx *ctx, const char *path,
                                                const weft_model *model,
                                                const struct weft_shape *shape,
                                                const struct weft_tokenizer *tokenizer,
                                                enum weft_gguf_type type);

#endif
