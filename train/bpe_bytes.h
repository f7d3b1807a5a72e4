/* Bytes as the characters that vocabularies spell them with. */
#ifndef WEFT_TRAIN_BPE_BYTES_H
#define WEFT_TRAIN_BPE_BYTES_H

#include <stdint.h>

/* The first byte, of those that cannot be seen, is U+0100; then come U+0101, ... */
static inline uint32_t weft_byte_char(unsigned byte) {
    if (byte <= 32) return 256 + byte;
    if (byte >= 127 && byte <= 160) return 289 + byte - 127;
    return byte == 173 ? 323 : byte;
}

/* -1 for a character that stands for no byte. */
static inline int weft_char_byte(uint32_t code) {
    if (code >= 256)
        return code <= 288   ? (int)code - 256
               : code <= 322 ? (int)code - 289 + 127
               : code == 323 ? 173
                             : -1;
    return weft_byte_char(code) == code ? (int)code : -1;
}

#endif
