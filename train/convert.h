/* Models from one program's files into another's. */
#ifndef WEFT_TRAIN_CONVERT_H
#define WEFT_TRAIN_CONVERT_H

#include "train/loaded.h"

struct weft_conversion {
    const char *to;    /* the path: *.gguf for llama.cpp, *.bin for llm.c, else a folder for Hugging
                        * Face's readers and weft */
    const char *dtype; /* "f32", "f16", "bf16", "q8_0"; what a format does not have is an error */
    size_t shard_bytes; /* of a folder: a new file before more than that; 0: one file */
};

WEFT_NODISCARD enum weft_status weft_convert(weft_ctx *ctx, const struct weft_loaded *from,
                                             const struct weft_conversion *how);

#endif
