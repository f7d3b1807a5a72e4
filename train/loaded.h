/* A checkpoint as a model that can be used: what generate and eval begin with. */
#ifndef WEFT_TRAIN_LOADED_H
#define WEFT_TRAIN_LOADED_H

#include "train/checkpoint.h"

struct weft_loaded {
    struct weft_shape shape;
    weft_model *model;
    struct weft_tokenizer *tokenizer; /* NULL: none beside the model */
    struct weft_tokenizer own;
};

/* Open the model of a checkpoint folder. training NULL: for generation; else for evaluation with
 * its batch and seq (0: the context). */
WEFT_NODISCARD enum weft_status weft_loaded_open(weft_ctx *ctx, const char *dir,
                                                 const struct weft_training *training,
                                                 struct weft_loaded *out);
void weft_loaded_close(struct weft_loaded *loaded); /* fine on a zeroed one */

#endif
