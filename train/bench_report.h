/* Pictures of measurements: what weft-bench wrote (--benchmark_out=FILE, Google Benchmark's JSON) and
 * what `weft bench explain --json` printed, as one HTML page. */
#ifndef WEFT_TRAIN_BENCH_REPORT_H
#define WEFT_TRAIN_BENCH_REPORT_H

#include <stddef.h>
#include "weft/context.h"

/* WEFT_ERR_IO, WEFT_ERR_FORMAT: which file, and what is wrong with it. */
WEFT_NODISCARD enum weft_status weft_bench_report(weft_ctx *ctx, const char *const *files, size_t n,
                                                  const char *path);

#endif
