/* Byte-level byte-pair encoding as GPT-2 has it (Radford et al. 2019, after Sennrich et al. 2016).
 *
 * A text is split into words by GPT-2's pattern (bpe_split.h); the bytes of a word are its first
 * tokens; then, again and again, the neighbours whose merge has the lowest rank become one, the
 * first of equals first. Bytes that are not UTF-8 split as U+FFFD does and keep their own values,
 * so every sequence of bytes comes back. Special tokens stand for themselves: where one occurs in
 * the text, the longest at the first place, it is one token and the text around it is split apart.
 */
#ifndef WEFT_TRAIN_BPE_H
#define WEFT_TRAIN_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "train/bpe_split.h"
#include "weft/context.h"

#define WEFT_BPE_MAX        65536 /* tokens: they are 16-bit */
#define WEFT_BPE_MERGES_MAX (1u << 20)
#define WEFT_BPE_SPECIALS   256

struct weft_bpe_merge {
    uint16_t left, right, to;
};

/* What a tokenizer is made of; arrays are owned. */
struct weft_bpe_parts {
    size_t size;     /* ids are below it */
    uint32_t *start; /* (size + 1) where the bytes of a token begin; none: no such id */
    char *text;      /* (start[size]) */
    struct weft_bpe_merge *merge; /* (merges) by rank */
    size_t merges;
    uint16_t special[WEFT_BPE_SPECIALS]; /* (specials) ids */
    size_t specials;
};
void weft_bpe_parts_free(struct weft_bpe_parts *p);

struct weft_bpe_slot { /* of the table of merges */
    uint32_t pair;     /* left << 16 | right */
    uint32_t rank;     /* UINT32_MAX: empty */
};

struct weft_bpe {
    struct weft_bpe_parts parts;
    struct weft_bpe_slot *slot; /* (mask + 1) open addressing */
    size_t mask;
    uint16_t byte[256]; /* token of each byte */
    bool leads[256];    /* a special token begins with this byte */
    weft_splitter *splitter;
    unsigned shares; /* how many hold it */
};

/* Takes the parts, also on failure. WEFT_ERR_FORMAT, naming path, when they do not make a
 * tokenizer: a byte without a token, a merge that is not the sum of its parts. */
WEFT_NODISCARD enum weft_status weft_bpe_create(weft_ctx *ctx, const char *path,
                                                struct weft_bpe_parts *parts,
                                                struct weft_bpe **out);
struct weft_bpe *weft_bpe_share(struct weft_bpe *bpe);
void weft_bpe_free(struct weft_bpe *bpe); /* the last one frees; fine on NULL */

/* The bytes of a token; none for an id that does not exist. */
static inline const char *weft_bpe_piece(const struct weft_bpe *bpe, size_t token, size_t *size) {
    *size = token < bpe->parts.size ? bpe->parts.start[token + 1] - bpe->parts.start[token] : 0;
    return *size > 0 ? bpe->parts.text + bpe->parts.start[token] : "";
}
/* The id of a special token, or -1. */
int32_t weft_bpe_special(const struct weft_bpe *bpe, const char *text);

/* Tokens of a text into out, which has room for one a byte. specials: special tokens in the text
 * are tokens, not text. */
WEFT_NODISCARD enum weft_status weft_bpe_encode(weft_ctx *ctx, const struct weft_bpe *bpe,
                                                const char *text, size_t size, bool specials,
                                                uint16_t *out, size_t *n);

#endif
