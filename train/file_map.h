/* A file as bytes in memory: mapped read-only, so that a large one costs no memory of its own; or
 * read, so that nothing that happens to the file later shows. */
#ifndef WEFT_TRAIN_FILE_MAP_H
#define WEFT_TRAIN_FILE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include "weft/context.h"

struct weft_file {
    const uint8_t *data; /* NULL when size is 0 */
    size_t size;
    bool owned; /* read, not mapped */
    /* of a mapping that is in use for long */
    char *watched; /* its path; NULL: it is none */
    int fd;
    struct stat then;
};

/* A descriptor to read a regular file by, and its size. WEFT_ERR_IO for anything else. */
WEFT_NODISCARD enum weft_status weft_file_descriptor(weft_ctx *ctx, const char *path, int *out,
                                                     size_t *size);
/* Map it. WEFT_ERR_IO when it cannot be opened, is not a regular file, or cannot be mapped. */
WEFT_NODISCARD enum weft_status weft_file_open(weft_ctx *ctx, const char *path,
                                               struct weft_file *out);
/* Read a file of at most `room` bytes, map and watch a larger one: weft_file_check says
 * WEFT_ERR_STATE once somebody has written to it. */
WEFT_NODISCARD enum weft_status weft_file_load(weft_ctx *ctx, const char *path, size_t room,
                                               struct weft_file *out);
WEFT_NODISCARD enum weft_status weft_file_check(weft_ctx *ctx, const struct weft_file *file);
void weft_file_close(struct weft_file *file); /* fine on a zeroed one */

/* xxHash64 of some bytes; chain parts by passing the previous result as seed. */
uint64_t weft_hash(const void *data, size_t size, uint64_t seed);

#endif
