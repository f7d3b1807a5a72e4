/* The tensors of a model's folder, in one file or in several, as parameters in f32:
 *
 *   model.safetensors                 all of them
 *   model.safetensors.index.json      {"weight_map": {"NAME": "FILE", ...}}: which file has which
 *
 * F32, F16 and BF16 are read. Foreign files load too: names without the prefix "transformer.", and
 * the masks and the tied head that some writers add. Damage has a message that names file and tensor.
 */
#ifndef WEFT_TRAIN_WEIGHTS_H
#define WEFT_TRAIN_WEIGHTS_H

#include "weft/model.h"

/* Every parameter of a committed model, and nothing else, must be there. */
WEFT_NODISCARD enum weft_status weft_weights_load(weft_ctx *ctx, const char *dir,
                                                  weft_model *model);

#endif
