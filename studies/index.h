/* The page that stands before several studies: one row each, from their result.json. */
#ifndef WEFT_STUDIES_INDEX_H
#define WEFT_STUDIES_INDEX_H

#include "weft/context.h"

/* BASE/index.html of the studies in BASE/NAME. */
WEFT_NODISCARD enum weft_status index_write(weft_ctx *ctx, const char *base);

#endif
