/* A model's folder: config.json, the tokenizer's files, and the tensors, in one file or in several:
 *
 *   model.safetensors                 all of them
 *   model.safetensors.index.json      {"weight_map": {"NAME": "FILE", ...}}: which file has which
 *
 * F32, F16 and BF16, named and shaped as Hugging Face's GPT2LMHeadModel (Conv1D weights are (in,
 * out) there). Foreign files load too: names without the prefix "transformer.", and the masks and
 * the tied head that some writers add. Damage has a message that names file and tensor. */
#ifndef WEFT_TRAIN_WEIGHTS_H
#define WEFT_TRAIN_WEIGHTS_H

#include "train/safetensors.h"
#include "train/settings.h"
#include "train/tokenizer.h"
#include "weft/model.h"

/* Every parameter of a committed model, and nothing else, must be there. */
WEFT_NODISCARD enum weft_status weft_weights_load(weft_ctx *ctx, const char *dir,
                                                  weft_model *model);

struct weft_saving {
    enum weft_st_dtype dtype; /* F32 (0), F16 or BF16 */
    size_t shard_bytes;       /* a new file before more than that; 0: one file */
};
/* Write all that a reader of the model wants into a folder that is there. tokenizer may be NULL. */
WEFT_NODISCARD enum weft_status weft_weights_save(weft_ctx *ctx, const char *dir,
                                                  const weft_model *model,
                                                  const struct weft_shape *shape,
                                                  const struct weft_tokenizer *tokenizer,
                                                  const struct weft_saving *how);

#endif
