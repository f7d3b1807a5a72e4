/* Append-only files of one JSON object a line (metrics.jsonl, stats.jsonl): one write a line, so
 * that a crash loses at most the line that was being written; or, where a line may not cost a
 * system call, lines held back until weft_jsonl_flush or 64 KiB of them.
 *
 * Lines have a member "step". Before a run goes on, weft_jsonl_cut drops what was written after its
 * checkpoint, and a broken last line. */
#ifndef WEFT_TRAIN_JSONL_H
#define WEFT_TRAIN_JSONL_H

#include <stdint.h>
#include "train/json_out.h"
#include "weft/context.h"

struct weft_jsonl {
    weft_ctx *ctx;
    char *path;
    int fd;
    bool buffered;         /* lines wait for a flush; set after weft_jsonl_open */
    size_t unreadable;     /* lines before these that are no records; set after weft_jsonl_open */
    struct weft_json line; /* lines that wait, and the one that is being made */
};

/* Opens for appending; creates it when it is not there. */
WEFT_NODISCARD enum weft_status weft_jsonl_open(weft_ctx *ctx, const char *path,
                                                struct weft_jsonl *out);
/* Start a line: then weft_json_* calls on the result, then weft_jsonl_end. */
struct weft_json *weft_jsonl_begin(struct weft_jsonl *file);
WEFT_NODISCARD enum weft_status weft_jsonl_end(struct weft_jsonl *file);
/* Write the lines that wait. On failure they are dropped. */
WEFT_NODISCARD enum weft_status weft_jsonl_flush(struct weft_jsonl *file);
/* Flush, and make what was written survive a power cut; called before a checkpoint counts on it. */
WEFT_NODISCARD enum weft_status weft_jsonl_sync(struct weft_jsonl *file);
/* Flushes, silently; fine on a zeroed one. */
void weft_jsonl_close(struct weft_jsonl *file);

/* Drop the lines whose step is larger than last_step, and a last line that broke off; -1 drops all.
 * Other lines that are no records stay, and are counted. The file is replaced in one step, or left
 * alone when there is nothing to drop. Fine when there is no such file. */
WEFT_NODISCARD enum weft_status weft_jsonl_cut(weft_ctx *ctx, const char *path, int64_t last_step,
                                               size_t *unreadable);

#endif
