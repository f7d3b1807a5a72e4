/* UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef WEFT_TRAIN_UTF8_H
#define WEFT_TRAIN_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Length of the code point that starts at text[0], 1..4, and its value; 0 if there is none. */
size_t weft_utf8_decode(const char *text, size_t size, uint32_t *code);
/* Bytes written to out, 1..4. code is a valid code point. */
size_t weft_utf8_encode(uint32_t code, char out[4]);

/* What text begins with: a character (*good), or bytes that are none, as many as one U+FFFD stands
 * for (Unicode 15, table 3-11: the longest part that a character could begin with, else one). 0:
 * the text ends before that is known. size > 0. */
size_t weft_utf8_next(const char *text, size_t size, bool *good);

#endif
