/* Are two runs the same, bit for bit? And the hashes of a run's parameters. */
#ifndef WEFT_TRAIN_RUN_DIFF_H
#define WEFT_TRAIN_RUN_DIFF_H

#include <stddef.h>
#include <stdint.h>
#include "weft/context.h"

/* ---- hashes ---- */
struct weft_tensor_hash {
    char *name;
    char shape[64]; /* "(192, 576)", as in the file */
    uint64_t hash;  /* xxHash64 of its bytes */
};
struct weft_checkpoint_hash {
    char *path; /* of the checkpoint directory */
    uint64_t step;
    struct weft_tensor_hash *tensor; /* in file order */
    size_t tensors;
    uint64_t total; /* of all names and hashes, in file order */
};
/* All checkpoints of a run, ascending; or the one that dir itself is. */
WEFT_NODISCARD enum weft_status weft_run_hash(weft_ctx *ctx, const char *dir,
                                              struct weft_checkpoint_hash **out, size_t *n);
void weft_run_hash_free(struct weft_checkpoint_hash *list, size_t n);

/* ---- differences ---- */
struct weft_run_difference {
    const char *where; /* "metrics", "statistics", "checkpoints" or "hashes" */
    uint64_t step;
    char what[256]; /* "loss is 2.5 and 2.6", "transformer.wte.weight: 3 of 49152 values ..." */
};
struct weft_run_comparison {
    struct weft_run_difference first[4]; /* of each kind, earliest step first */
    size_t differences;
    size_t steps, checkpoints, hashes; /* compared; hashes: steps that both have them of */
    size_t unreadable;                 /* lines of both runs, left out */
};
/* Compare what two runs measured (times and speeds left out) and the checkpoints both have.
 * WEFT_ERR_STATE when they have nothing in common. */
WEFT_NODISCARD enum weft_status weft_run_compare(weft_ctx *ctx, const char *a, const char *b,
                                                 struct weft_run_comparison *out);

#endif
