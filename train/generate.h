/* Text from a GPT-2: the prompt goes through once, then token after token with the KV cache. */
#ifndef WEFT_TRAIN_GENERATE_H
#define WEFT_TRAIN_GENERATE_H

#include "train/sampler.h"
#include "train/tokenizer.h"
#include "weft/model.h"

struct weft_generation {
    weft_ctx *ctx;
    weft_model *model; /* made for generation */
    size_t vocab, context;
    const struct weft_tokenizer *tokenizer; /* NULL: prompt and output are numbers of tokens */
    double temperature, top_p;              /* as in struct weft_sampler */
    size_t top_k;
    uint64_t seed;
    /* Called with each piece of text as it comes; false stops. */
    bool (*put)(void *user, const char *text, size_t size);
    void *user;
};

/* Go on from prompt (empty: from a line break) by so many tokens. The prompt itself comes first.
 * A text longer than the context goes on from its last half. WEFT_ERR_ARG for a prompt with something
 * that has no token. */
WEFT_NODISCARD enum weft_status weft_generate(const struct weft_generation *g, const char *prompt,
                                              size_t tokens);

#endif
