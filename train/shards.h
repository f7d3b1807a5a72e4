/* Tokens into files that others read: llm.c's shards, or nanoGPT's train.bin and val.bin. And back:
 * to text. */
#ifndef WEFT_TRAIN_SHARDS_H
#define WEFT_TRAIN_SHARDS_H

#include "train/data.h"

/* Write both splits of token data into a folder, and the tokenizer, where it is known. llmc: a
 * header before the tokens, and a new file after so many of them (weft_train_000001.bin, ...). */
WEFT_NODISCARD enum weft_status weft_shards_write(weft_ctx *ctx, const struct weft_data *data,
                                                  const char *dir, bool llmc,
                                                  uint64_t shard_tokens);
/* The text of token data, training part first. WEFT_ERR_STATE when no tokenizer is known. */
WEFT_NODISCARD enum weft_status weft_shards_text(weft_ctx *ctx, const struct weft_data *data,
                                                 const char *path);

#endif
