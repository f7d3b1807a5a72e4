/* JSON that may be anything: bounded in bytes, in depth (jansson's 2048), and in the number of
 * values, so that a small file cannot ask for much memory. Errors name file, line and column. */
#ifndef WEFT_TRAIN_JSON_IN_H
#define WEFT_TRAIN_JSON_IN_H

#include <jansson.h>
#include <stddef.h>
#include "weft/context.h"

#define WEFT_JSON_VALUES ((size_t)1 << 20) /* of a document, at most */

/* *out is to be released with json_decref. `path` names the text in messages. */
WEFT_NODISCARD enum weft_status weft_json_parse(weft_ctx *ctx, const char *path, const void *data,
                                                size_t size, json_t **out);
/* A file of at most `most` bytes. */
WEFT_NODISCARD enum weft_status weft_json_read(weft_ctx *ctx, const char *path, size_t most,
                                               json_t **out);

#endif
