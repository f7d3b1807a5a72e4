/* Checkpoints: folders step-NNNNNN of
 *
 *   model.safetensors   the parameters, named and shaped as Hugging Face's GPT2LMHeadModel (Conv1D
 *                       weights are (in, out) there); nothing in it but names and weights
 *   config.json         GPT2Config, or model_type "weft-mlp"
 *   tokenizer.json      when the tokenizer is known, and what Hugging Face's readers want beside it
 *   state.safetensors   what going on bit for bit needs besides: run, best_loss, m.NAME, v.NAME,
 *                       c.NAME (--bf16-weights kahan), and maybe unjudged
 *
 * Written to a temporary folder, synced, renamed: there whole or not at all. Reading believes
 * nothing: each damage has a message that names file and tensor. */
#ifndef WEFT_TRAIN_CHECKPOINT_H
#define WEFT_TRAIN_CHECKPOINT_H

#include "train/settings.h"
#include "train/tokenizer.h"

struct weft_run_state {
    uint64_t step;      /* optimizer steps done */
    uint64_t samples;   /* training samples seen: where the loader stands */
    uint64_t seed;      /* of order, dropout, initialisation */
    uint64_t best_step; /* of the best evaluation so far, 0: none */
    double best_loss;   /* infinity: none */
    bool unjudged;      /* stopped before the evaluation due at this step was done */
};

/* Write folder/step-NNNNNN, in place of one that is there. tokenizer may be NULL. */
WEFT_NODISCARD enum weft_status weft_checkpoint_save(weft_ctx *ctx, const char *folder,
                                                     const weft_model *model,
                                                     const struct weft_shape *shape,
                                                     const struct weft_tokenizer *tokenizer,
                                                     const struct weft_run_state *state);

/* The description of the model from dir/config.json, ours or Hugging Face's. Texts are static. */
WEFT_NODISCARD enum weft_status weft_checkpoint_shape(weft_ctx *ctx, const char *dir,
                                                      struct weft_shape *out);
/* How the CSV file of a multi-layer perceptron was read: to be freed; NULL when it is not said. */
WEFT_NODISCARD enum weft_status weft_checkpoint_columns(weft_ctx *ctx, const char *dir,
                                                        const struct weft_shape *shape,
                                                        struct weft_columns **out);
/* Optimizer arrays and run state from dir/state.safetensors. */
WEFT_NODISCARD enum weft_status weft_checkpoint_state(weft_ctx *ctx, const char *dir,
                                                      weft_model *model,
                                                      struct weft_run_state *out);
/* All of a checkpoint, which must be one of a model of this shape and with this tokenizer. */
WEFT_NODISCARD enum weft_status weft_checkpoint_resume(weft_ctx *ctx, const char *dir,
                                                       weft_model *model,
                                                       const struct weft_shape *shape,
                                                       const struct weft_tokenizer *tokenizer,
                                                       struct weft_run_state *out);

/* config.json as text, to be freed with weft_json_free; tokenizer may be NULL. dtype of the
 * weights: "float32", ... */
void weft_checkpoint_config(const struct weft_shape *shape, const struct weft_tokenizer *tokenizer,
                            const char *dtype, struct weft_json *out);

/* The parameters of a model, to be freed; NULL when out of memory. */
struct weft_param_info *weft_model_param_list(const weft_model *model, size_t *n);

/* Elements of a parameter. */
size_t weft_param_size(const struct weft_param_info *p);

#endif
