/* Text to tokens and back. Two kinds:
 *   byte   token = byte; any text; 256 tokens (fewer with a smaller vocabulary)
 *   char   tokens are the distinct code points of a text, in their order; valid UTF-8 only
 *
 * A vocabulary larger than that is padded with tokens that never occur.
 *
 * tokenizer.json:  {"version": "1.0",
 *                   "model": {"type": "WeftByte", "vocab_size": 256}}
 *            or    {"version": "1.0",
 *                   "model": {"type": "WeftChar", "vocab_size": 3, "vocab": {"\n": 0, "a": 1,
 * ...}}} */
#ifndef WEFT_TRAIN_TOKENIZER_H
#define WEFT_TRAIN_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>
#include "train/json_out.h"
#include "weft/context.h"

#define WEFT_VOCAB_MAX 65536

struct weft_tokenizer {
    bool chars;          /* char or byte */
    size_t size;         /* tokens that mean something: 0..size-1 */
    size_t vocab;        /* with padding, <= WEFT_VOCAB_MAX */
    uint32_t *code;      /* char: (size) code points, ascending */
    uint16_t ascii[128]; /* char: token of an ASCII character, or size */
};

/* vocab 0: 256. */
WEFT_NODISCARD enum weft_status weft_tokenizer_bytes(weft_ctx *ctx, size_t vocab,
                                                     struct weft_tokenizer *out);
/* The characters of a text; `path` names it in messages. vocab 0: as many as there are. */
WEFT_NODISCARD enum weft_status weft_tokenizer_chars(weft_ctx *ctx, const char *path,
                                                     const char *text, size_t size, size_t vocab,
                                                     struct weft_tokenizer *out);
WEFT_NODISCARD enum weft_status weft_tokenizer_load(weft_ctx *ctx, const char *path,
                                                    struct weft_tokenizer *out);
/* The document above; also for byte-identical copies of it. */
void weft_tokenizer_write(const struct weft_tokenizer *t, struct weft_json *j);
WEFT_NODISCARD enum weft_status weft_tokenizer_copy(weft_ctx *ctx, const struct weft_tokenizer *t,
                                                    struct weft_tokenizer *out);
void weft_tokenizer_free(struct weft_tokenizer *t);

/* Tokens of a text, to be freed; at most one a byte. `path` names the text in messages, which say
 * at which byte something is that has no token. */
WEFT_NODISCARD enum weft_status weft_tokenizer_encode(weft_ctx *ctx, const struct weft_tokenizer *t,
                                                      const char *path, const char *text,
                                                      size_t size, uint16_t **tokens, size_t *n);
/* Bytes of one token, 0..4; padding has none. */
size_t weft_tokenizer_decode(const struct weft_tokenizer *t, uint32_t token, char out[4]);

#endif
