/* Tokenizers in the files of others.
 *
 *   tokenizer.json           Hugging Face's: model BPE, pre-tokenizer ByteLevel, added tokens
 *   vocab.json, merges.txt   GPT-2's, also under OpenAI's names encoder.json, vocab.bpe
 *
 * Bytes are written there as characters: those of Latin-1 that can be seen as themselves, the
 * others as U+0100 and following, in order. Reading believes nothing. */
#ifndef WEFT_TRAIN_BPE_FILES_H
#define WEFT_TRAIN_BPE_FILES_H

#include <jansson.h>
#include "train/bpe.h"
#include "train/json_out.h"

/* A parsed tokenizer.json; path names it in messages. */
WEFT_NODISCARD enum weft_status weft_bpe_parse(weft_ctx *ctx, const char *path, const json_t *root,
                                               struct weft_bpe **out);
/* vocab.json and merges.txt by their paths. <|endoftext|> is special where it is in the vocabulary.
 */
WEFT_NODISCARD enum weft_status weft_bpe_load(weft_ctx *ctx, const char *vocab, const char *merges,
                                              struct weft_bpe **out);

/* tokenizer.json; merges.txt into text; vocab.json. */
void weft_bpe_write(const struct weft_bpe *bpe, struct weft_json *j);
void weft_bpe_write_vocab(const struct weft_bpe *bpe, struct weft_json *j);
/* To be freed; NULL when out of memory. */
char *weft_bpe_write_merges(const struct weft_bpe *bpe, size_t *size);

/* The bytes of a token as characters, in UTF-8: what files have. out: room for 2 a byte and the
 * final zero. Returns its length. */
size_t weft_bpe_spell(const char *bytes, size_t size, char *out);

#endif
