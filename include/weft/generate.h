/* Texts by a GPT-2, several at once: prompts of different lengths advance together, the weights are
 * read once for all of them, finished texts leave and waiting ones enter. A text depends on its own
 * request only: the same tokens, whatever it is generated beside, on every machine.
 *
 *   weft_generate_create   for a model made for generation (weft_training.sequences texts at once,
 *                          .weights and .kv: in which format)
 *   weft_generate_add      a request; it waits until there is room
 *   weft_generate_run      until all texts have ended, or weft_generate_step, a token at a time */
#ifndef WEFT_GENERATE_H
#define WEFT_GENERATE_H

#include "weft/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_generator weft_generator;

/* How the next token is chosen; all zero: the likeliest. In this order: */
struct weft_sampling {
    double repetition_penalty; /* logits of tokens that the text has: divided by it when positive,
                                * else multiplied (Keskar et al. 2019); 0 or 1: none */
    double temperature;        /* divides the logits; 0: the likeliest token, the first of equals */
    size_t top_k;              /* the k likeliest; 0: all */
    double top_p;              /* the fewest that have this probability together; 0 or 1: all */
    double min_p; /* those with at least this share of the likeliest one's probability; 0: all */
    uint64_t seed;
};

struct weft_request {
    const int32_t *prompt; /* (prompt_tokens), at least one; copied */
    size_t prompt_tokens;
    size_t tokens; /* to generate, at most */
    struct weft_sampling sampling;
    /* Each new token as it comes; false ends the text. */
    bool (*token)(void *user, int32_t token);
    /* The text has ended; may add another request. NULL: not wanted. */
    void (*end)(void *user);
    void *user;
};

/* choices: tokens that may be chosen, the first so many of the vocabulary; 0: all. The model must
 * outlive the generator, and nothing else may feed it meanwhile. */
WEFT_API WEFT_NODISCARD enum weft_status weft_generate_create(weft_model *m, size_t choices,
                                                              weft_generator **out);
/* A text longer than the context goes on from the last half of it. WEFT_ERR_ARG for a prompt that
 * is empty or has a token the model does not know. */
WEFT_API WEFT_NODISCARD enum weft_status weft_generate_add(weft_generator *g,
                                                           const struct weft_request *request);
/* A token for each text that has room; *left: texts that have not ended, 0: nothing to do. */
WEFT_API WEFT_NODISCARD enum weft_status weft_generate_step(weft_generator *g, size_t *left);
WEFT_API WEFT_NODISCARD enum weft_status weft_generate_run(weft_generator *g);
/* Texts that have not ended are dropped without a call. */
WEFT_API void weft_generate_free(weft_generator *g);

#ifdef __cplusplus
}
#endif
#endif
