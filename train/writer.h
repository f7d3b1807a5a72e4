/* Texts from a GPT-2: weft/generate.h with a tokenizer around it. Several prompts advance together,
 * as many as the model was made for; what comes out is valid UTF-8, piece by piece. */
#ifndef WEFT_TRAIN_WRITER_H
#define WEFT_TRAIN_WRITER_H

#include "train/tokenizer.h"
#include "weft/generate.h"

typedef struct weft_writer weft_writer;

enum weft_finish {
    WEFT_FINISH_LENGTH, /* as many tokens as were asked for */
    WEFT_FINISH_STOP,   /* a stop string; or put has had enough */
    WEFT_FINISH_END,    /* the token that ends a text */
};
const char *weft_finish_name(enum weft_finish finish); /* "length", "stop", "end" */

struct weft_writing {  /* of all texts of a writer */
    weft_model *model; /* made for generation */
    size_t vocab;
    const struct weft_tokenizer *tokenizer; /* NULL: prompts and output are numbers of tokens */
    bool past_end;                          /* the token that ends a text does not end it */
};

struct weft_prompt {
    const char *text; /* (size); empty: what follows the end of another text, or a line break */
    size_t size;
    size_t tokens; /* to generate, at most */
    struct weft_sampling sampling;
    const char *const *stop; /* (stops) strings before which the text ends; kept by the caller */
    size_t stops;
    /* A piece of the text as it comes (without the prompt); false: no more. */
    bool (*put)(void *user, const char *text, size_t size);
    /* It has ended, after so many tokens. NULL: not wanted. */
    void (*end)(void *user, enum weft_finish finish, size_t tokens);
    void *user;
};

WEFT_NODISCARD enum weft_status weft_writer_create(weft_ctx *ctx, const struct weft_writing *how,
                                                   weft_writer **out);
/* WEFT_ERR_ARG for a prompt with something that has no token; `name` names it in messages. *tokens,
 * unless NULL: how many the prompt has. */
WEFT_NODISCARD enum weft_status weft_writer_add(weft_writer *w, const char *name,
                                                const struct weft_prompt *prompt, size_t *tokens);
/* A token for each text that runs; *left: texts that have not ended. */
WEFT_NODISCARD enum weft_status weft_writer_step(weft_writer *w, size_t *left);
WEFT_NODISCARD enum weft_status weft_writer_run(weft_writer *w);
void weft_writer_free(weft_writer *w); /* fine on NULL */

#endif
