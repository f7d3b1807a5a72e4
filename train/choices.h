/* Questions with several endings, one of them right, in the format of HellaSwag (Zellers et al.
 * 2019): JSON lines with "ctx", "endings" and "label". The model's answer is the ending that it
 * finds likeliest: by the sum of its tokens' losses, or, which is usual, by their mean. An ending
 * stands after the context and a blank. */
#ifndef WEFT_TRAIN_CHOICES_H
#define WEFT_TRAIN_CHOICES_H

#include "train/tokenizer.h"
#include "weft/model.h"

struct weft_question {
    size_t first, endings; /* of weft_questions.choice */
    size_t label;
};
struct weft_choice {   /* one ending with its context, the end of it where that is too long */
    int32_t *token;    /* (n) */
    size_t n, context; /* tokens before the ending */
};
struct weft_questions {
    struct weft_question *question;
    struct weft_choice *choice;
    size_t n, choices;
    size_t longest; /* tokens of a choice */
};

/* Reads and checks all of a file; choices are cut to `context` tokens + 1. */
WEFT_NODISCARD enum weft_status weft_questions_open(weft_ctx *ctx, const char *path,
                                                    const struct weft_tokenizer *tokenizer,
                                                    size_t context, struct weft_questions *out);
void weft_questions_close(struct weft_questions *q); /* fine on a zeroed one */

struct weft_answers {
    uint64_t questions;
    uint64_t right;      /* by the sums */
    uint64_t right_mean; /* by the means */
    uint64_t tokens;     /* that were predicted */
};
/* The model is one for evaluation, with room for `rows` samples of `seq` tokens, seq >= longest
 * - 1. */
WEFT_NODISCARD enum weft_status weft_questions_ask(weft_ctx *ctx, weft_model *model, size_t rows,
                                                   size_t seq, const struct weft_questions *q,
                                                   struct weft_answers *out);

#endif
