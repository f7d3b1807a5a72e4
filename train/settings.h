/* From options to what the library wants: the shape of a model, the shape of a step, the optimizer,
 * and the numbers whose defaults depend on others. Shared by train, plan, and whoever rebuilds a
 * model from a run's settings. */
#ifndef WEFT_TRAIN_SETTINGS_H
#define WEFT_TRAIN_SETTINGS_H

#include "train/data.h"
#include "train/options.h"
#include "weft/model.h"

/* The description of a model: what config.json of a checkpoint holds. */
struct weft_shape {
    bool language; /* gpt2, else mlp */
    struct weft_gpt2_config gpt2;
    struct weft_mlp_config mlp;
    bool unit_pixels; /* mlp: how MNIST was scaled */
};

struct weft_settings {
    struct weft_shape shape;
    struct weft_training training;
    struct weft_init init;
    uint64_t step_samples; /* of all micro-batches */
    uint64_t steps;        /* in total */
    uint64_t warmup;
    uint64_t eval_every; /* 0: only at the end */
};

/* What the data demands of the model; 0 where unknown (weft plan without data). */
struct weft_data_needs {
    size_t vocab;           /* gpt2: tokens are below it */
    size_t inputs, outputs; /* mlp */
    uint64_t samples;       /* training samples of one pass */
};

/* Fills all of out. WEFT_ERR_ARG names the option that cannot be. Texts in out belong to o. */
WEFT_NODISCARD enum weft_status weft_settings_make(weft_ctx *ctx, const struct weft_options *o,
                                                   const struct weft_data_needs *needs,
                                                   struct weft_settings *out);

/* Give o the values that were worked out, so that run.json has them all and means the same when it
 * is read back. */
WEFT_NODISCARD enum weft_status weft_settings_resolve(weft_ctx *ctx, struct weft_options *o,
                                                      const struct weft_settings *s);

/* (loaded.c) Give o the shape and the tokenizer of the model that --init-from names. WEFT_ERR_ARG
 * for an option that was given and says otherwise. */
WEFT_NODISCARD enum weft_status weft_settings_adopt(weft_ctx *ctx, struct weft_options *o);

/* How the data is to be read. s may come from a weft_settings_make without data: then it is done
 * twice, the second time with what the data needs. */
void weft_settings_data(const struct weft_options *o, const struct weft_settings *s,
                        struct weft_data_options *out);
void weft_settings_needs(const struct weft_data *data, struct weft_data_needs *out);

/* weft_gpt2_create or weft_mlp_create. training NULL: inference only. */
WEFT_NODISCARD enum weft_status weft_shape_create(weft_ctx *ctx, const struct weft_shape *shape,
                                                  const struct weft_training *training,
                                                  weft_model **out);

#endif
