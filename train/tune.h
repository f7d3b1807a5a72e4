/* A short calibration of how work is cut (weft_tuning): seconds, repeatable, kept per machine.
 * No result depends on it. */
#ifndef WEFT_TRAIN_TUNE_H
#define WEFT_TRAIN_TUNE_H

#include "weft/weft.h"

struct weft_tune_trial { /* one value of one setting, beside the best value until then */
    const char *name;
    size_t value;
    double ratio; /* its time over that of the best: below 1 is faster */
    bool kept;
};
#define WEFT_TUNE_TEXT 256
/* Tries values on the context's ISA and threads; tried is called for each. out: what differs from
 * the defaults, as weft_ctx_options.tuning takes it. WEFT_ERR_NOMEM. */
WEFT_NODISCARD enum weft_status
weft_tune(weft_ctx *ctx, void (*tried)(void *user, const struct weft_tune_trial *t), void *user,
          char out[WEFT_TUNE_TEXT]);

/* The file of this user's machines, to be freed: $XDG_CACHE_HOME, or ~/.cache, /weft/tuning.json.
 * NULL: neither variable is set. */
char *weft_tuning_path(void);
/* What was found for this ISA and number of threads on this CPU, to be freed; NULL: nothing. A file
 * that cannot be read is as good as none: it only costs speed. */
char *weft_tuning_load(const char *isa, int threads);
WEFT_NODISCARD enum weft_status weft_tuning_save(weft_ctx *ctx, const char *path, const char *text);

#endif
