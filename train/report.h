/* Pictures and tables of run directories. */
#ifndef WEFT_TRAIN_REPORT_H
#define WEFT_TRAIN_REPORT_H

#include <stdio.h>
#include "train/run_data.h"

#define WEFT_REPORT_MAX_RUNS 16

/* Write one self-contained HTML page about these runs (at most WEFT_REPORT_MAX_RUNS) to path, by
 * way of a temporary file beside it. Charts of scalars overlay the runs; charts of layers stand
 * side by side with the same axes. WEFT_ERR_IO when a directory is not a run's or path cannot be
 * written. */
WEFT_NODISCARD enum weft_status weft_report_write(weft_ctx *ctx, const char *const *dirs, size_t n,
                                                  const char *path);

/* Print the standard deviations of the Q, K and V weights of each layer, first and last recorded.
 * WEFT_ERR_STATE when the run has no such statistics. */
WEFT_NODISCARD enum weft_status weft_report_table(weft_ctx *ctx, const char *dir, FILE *out);

#endif
