/* Text into the words of GPT-2's pattern:
 *
 *   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *
 * by PCRE2, compiled to machine code where it can; words of ASCII letters are found without it. \s
 * is Unicode's White_Space, and letters and numbers are those of Unicode 16 (or PCRE2's version,
 * where that is newer), as in tiktoken and Hugging Face's tokenizers. */
#ifndef WEFT_TRAIN_BPE_SPLIT_H
#define WEFT_TRAIN_BPE_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include "weft/context.h"

typedef struct weft_splitter weft_splitter;

WEFT_NODISCARD enum weft_status weft_splitter_create(weft_ctx *ctx, weft_splitter **out);
void weft_splitter_free(weft_splitter *s);

/* A text on its way through. */
struct weft_words {
    const weft_splitter *splitter;
    const char *text; /* as given */
    const char *seen; /* the same, with a control character for each byte that is not UTF-8 */
    char *own;        /* seen, where it is a copy */
    size_t size, at;
    void *match;
    bool plain; /* without the short cut, for tests */
};

WEFT_NODISCARD enum weft_status weft_words_open(weft_ctx *ctx, const weft_splitter *s,
                                                const char *text, size_t size,
                                                struct weft_words *out);
/* The next word is [*from, *from + size); 0 at the end. */
size_t weft_words_next(struct weft_words *w, size_t *from);
void weft_words_close(struct weft_words *w);

#endif
