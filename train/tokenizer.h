/* Text to tokens and back. Three kinds:
 *   byte   token = byte; any text; 256 tokens (fewer with a smaller vocabulary)
 *   char   tokens are the distinct code points of a text, in their order; valid UTF-8 only
 *   bpe    byte-level byte-pair encoding, GPT-2's (bpe.h); any text
 *
 * A vocabulary larger than that is padded with tokens that never occur.
 *
 * tokenizer.json is Hugging Face's format for all three (its readers load it), with two members
 * more:
 *   {"version": "1.0", ..., "model": {"type": "BPE", "weft": "byte", "vocab_size": 256, ...}} */
#ifndef WEFT_TRAIN_TOKENIZER_H
#define WEFT_TRAIN_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "train/json_out.h"
#include "weft/context.h"

#define WEFT_VOCAB_MAX 65536

struct weft_bpe;
enum weft_tokenizer_kind { WEFT_TOKENS_BYTE, WEFT_TOKENS_CHAR, WEFT_TOKENS_BPE };

struct weft_tokenizer {
    enum weft_tokenizer_kind kind;
    size_t size;         /* tokens that mean something: 0..size-1 */
    size_t vocab;        /* with padding, <= WEFT_VOCAB_MAX */
    int32_t end;         /* the token that ends a text, <|endoftext|>; -1: none */
    uint32_t *code;      /* char: (size) code points, ascending */
    uint16_t ascii[128]; /* char: token of an ASCII character, or size */
    struct weft_bpe *bpe;
};

/* vocab 0: 256. */
WEFT_NODISCARD enum weft_status weft_tokenizer_bytes(weft_ctx *ctx, size_t vocab,
                                                     struct weft_tokenizer *out);
/* The characters of a text; `path` names it in messages. vocab 0: as many as there are. */
WEFT_NODISCARD enum weft_status weft_tokenizer_chars(weft_ctx *ctx, const char *path,
                                                     const char *text, size_t size, size_t vocab,
                                                     struct weft_tokenizer *out);
/* Takes the share of bpe, also on failure. vocab 0: as many as it has. */
WEFT_NODISCARD enum weft_status weft_tokenizer_of_bpe(weft_ctx *ctx, const char *path,
                                                      struct weft_bpe *bpe, size_t vocab,
                                                      struct weft_tokenizer *out);
/* tokenizer.json, or a folder with it or with vocab.json and merges.txt. vocab 0: as many tokens as
 * it has; else padded to that. */
WEFT_NODISCARD enum weft_status weft_tokenizer_open(weft_ctx *ctx, const char *path, size_t vocab,
                                                    struct weft_tokenizer *out);
/* tokenizer.json: any kind of weft's, or GPT-2's. */
WEFT_NODISCARD enum weft_status weft_tokenizer_load(weft_ctx *ctx, const char *path,
                                                    struct weft_tokenizer *out);
/* The document above; also for byte-identical copies of it. */
void weft_tokenizer_write(const struct weft_tokenizer *t, struct weft_json *j);
/* All files that others look for beside a model: tokenizer.json, tokenizer_config.json, and for bpe
 * vocab.json and merges.txt. */
WEFT_NODISCARD enum weft_status weft_tokenizer_save(weft_ctx *ctx, const char *dir,
                                                    const struct weft_tokenizer *t);
WEFT_NODISCARD enum weft_status weft_tokenizer_copy(weft_ctx *ctx, const struct weft_tokenizer *t,
                                                    struct weft_tokenizer *out);
void weft_tokenizer_free(struct weft_tokenizer *t); /* fine on a zeroed one */
bool weft_tokenizer_same(const struct weft_tokenizer *a, const struct weft_tokenizer *b);
/* char: ascii from code. */
void weft_tokenizer_index(struct weft_tokenizer *t);

/* Tokens of a text, to be freed; at most one a byte. Special tokens of bpe in the text are tokens.
 * `path` names the text in messages, which say at which byte something is that has no token. */
WEFT_NODISCARD enum weft_status weft_tokenizer_encode(weft_ctx *ctx, const struct weft_tokenizer *t,
                                                      const char *path, const char *text,
                                                      size_t size, uint16_t **tokens, size_t *n);
/* Bytes of one token, maybe in buf; padding has none. */
const char *weft_tokenizer_piece(const struct weft_tokenizer *t, uint32_t token, char buf[4],
                                 size_t *size);

#endif
