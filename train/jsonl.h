/* Append-only files of one JSON object a line (metrics.jsonl, stats.jsonl): one write a line, so
 * that a crash loses at most the line that was being written.
 *
 * Lines have a member "step" that never falls. Before a run goes on, weft_jsonl_cut drops what was
 * written after its checkpoint, and a broken last line. */
#ifndef WEFT_TRAIN_JSONL_H
#define WEFT_TRAIN_JSONL_H

#include <stdint.h>
#include "train/json_out.h"
#include "weft/context.h"

struct weft_jsonl {
    weft_ctx *ctx;
    char *path;
    int fd;
    struct weft_json line; /* the line that is being made */
};

/* Opens for appending; creates it when it is not there. */
WEFT_NODISCARD enum weft_status weft_jsonl_open(weft_ctx *ctx, const char *path,
                                                struct weft_jsonl *out);
/* Start a line: then weft_json_* calls on the result, then weft_jsonl_end. */
struct weft_json *weft_jsonl_begin(struct weft_jsonl *file);
WEFT_NODISCARD enum weft_status weft_jsonl_end(struct weft_jsonl *file);
/* Make what was written survive a power cut; called before a checkpoint counts on it. */
WEFT_NODISCARD enum weft_status weft_jsonl_sync(struct weft_jsonl *file);
void weft_jsonl_close(struct weft_jsonl *file); /* fine on a zeroed one */

/* Keep the lines up to the first one that is broken or whose step is larger than last_step; -1
 * keeps none. Fine when there is no such file. */
WEFT_NODISCARD enum weft_status weft_jsonl_cut(weft_ctx *ctx, const char *path, int64_t last_step);

#endif
