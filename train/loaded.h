/* A model from a path: a checkpoint, a Hugging Face folder, or a file of llm.c. What generate,
 * eval, convert and --init-from begin with. */
#ifndef WEFT_TRAIN_LOADED_H
#define WEFT_TRAIN_LOADED_H

#include "train/checkpoint.h"

struct weft_loaded {
    struct weft_shape shape;
    weft_model *model;
    struct weft_tokenizer *tokenizer; /* NULL: none beside the model */
};

/* Open the model at path. tokenizer: "byte", the path of one, or NULL: the one beside the model, if
 * any. training NULL or of batch 0: for generation; else for evaluation with its batch and seq (0:
 * the context). */
WEFT_NODISCARD enum weft_status weft_loaded_open(weft_ctx *ctx, const char *path,
                                                 const char *tokenizer,
                                                 const struct weft_training *training,
                                                 struct weft_loaded *out);
void weft_loaded_close(struct weft_loaded *loaded); /* fine on a zeroed one */

/* ---- its parts ---- */
bool weft_is_model_file(const char *path); /* a file of llm.c, not a folder */
WEFT_NODISCARD enum weft_status weft_loaded_shape(weft_ctx *ctx, const char *path,
                                                  struct weft_shape *out);
WEFT_NODISCARD enum weft_status weft_loaded_weights(weft_ctx *ctx, const char *path,
                                                    weft_model *model);
/* For a model with this vocabulary; *out is NULL where there is none, else to be freed with its
 * content. */
WEFT_NODISCARD enum weft_status weft_loaded_tokenizer(weft_ctx *ctx, const char *path,
                                                      const char *tokenizer, size_t vocab,
                                                      struct weft_tokenizer **out);

#endif
