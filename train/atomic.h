/* Files and folders that are there whole or not at all, also after a crash or a full disk.
 *
 * A file is written under a temporary name beside its final one, synced, renamed, and the folder
 * synced. A folder (a checkpoint) is filled as NAME.tmp, synced and renamed. Every failure says
 * which path, why, and leaves what was there before untouched. */
#ifndef WEFT_TRAIN_ATOMIC_H
#define WEFT_TRAIN_ATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "weft/context.h"

/* ---- one file ---- */
struct weft_out {
    weft_ctx *ctx;
    char *path, *temp;
    int fd;
    enum weft_status status; /* of the first failure; later writes do nothing */
};
WEFT_NODISCARD enum weft_status weft_out_open(weft_ctx *ctx, const char *path,
                                              struct weft_out *out);
enum weft_status weft_out_write(struct weft_out *out, const void *data, size_t size);
/* Sync and rename; on any failure, now or before, remove the temporary file. Ends the weft_out. */
WEFT_NODISCARD enum weft_status weft_out_commit(struct weft_out *out);
/* Remove the temporary file. Ends the weft_out. */
void weft_out_abort(struct weft_out *out);

/* The three steps above for data that is in memory. */
WEFT_NODISCARD enum weft_status weft_write_file(weft_ctx *ctx, const char *path, const void *data,
                                                size_t size);

/* ---- one folder ---- */
/* Make path with its parents; fine when it exists. */
WEFT_NODISCARD enum weft_status weft_make_folder(weft_ctx *ctx, const char *path);
/* Remove path with everything in it; does not follow links; fine when it does not exist. */
WEFT_NODISCARD enum weft_status weft_remove_folder(weft_ctx *ctx, const char *path);
/* Sync temp, then make it path in one step, replacing a folder that is there. Both have the same
 * parent. */
WEFT_NODISCARD enum weft_status weft_commit_folder(weft_ctx *ctx, const char *temp,
                                                   const char *path);
/* Make link a symbolic link to target, replacing the one that is there, in one step. */
WEFT_NODISCARD enum weft_status weft_replace_link(weft_ctx *ctx, const char *link,
                                                  const char *target);

/* ---- checkpoints: folders step-NNNNNN ---- */
#define WEFT_CHECKPOINT_NAME 32
/* "step-000120"; more digits when needed. Returns buf. */
const char *weft_checkpoint_name(uint64_t step, char buf[WEFT_CHECKPOINT_NAME]);
/* Steps of the checkpoints in folder, ascending, to be freed; none when there is no such folder. */
WEFT_NODISCARD enum weft_status weft_checkpoint_list(weft_ctx *ctx, const char *folder,
                                                     uint64_t **steps, size_t *n);
/* Remove all but the newest keep ones, sparing `spare` (UINT64_MAX: none), and every left-over
 * temporary folder. */
WEFT_NODISCARD enum weft_status weft_checkpoint_prune(weft_ctx *ctx, const char *folder,
                                                      size_t keep, uint64_t spare);

/* printf into new memory; NULL when out of memory. */
char *weft_text(const char *fmt, ...) WEFT_FORMAT(1, 2);

#endif
