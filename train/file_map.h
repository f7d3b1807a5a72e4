/* A file as bytes in memory: mapped read-only, so that large ones cost no memory of their own. */
#ifndef WEFT_TRAIN_FILE_MAP_H
#define WEFT_TRAIN_FILE_MAP_H

#include <stddef.h>
#include <stdint.h>
#include "weft/context.h"

struct weft_file {
    const uint8_t *data; /* NULL when size is 0 */
    size_t size;
};

/* A descriptor to read a regular file by, and its size. WEFT_ERR_IO for anything else. */
WEFT_NODISCARD enum weft_status weft_file_descriptor(weft_ctx *ctx, const char *path, int *out,
                                                     size_t *size);
/* WEFT_ERR_IO when it cannot be opened, is not a regular file, or cannot be mapped. */
WEFT_NODISCARD enum weft_status weft_file_open(weft_ctx *ctx, const char *path,
                                               struct weft_file *out);
void weft_file_close(struct weft_file *file); /* fine on a zeroed one */

/* xxHash64 of some bytes; chain parts by passing the previous result as seed. */
uint64_t weft_hash(const void *data, size_t size, uint64_t seed);

#endif
