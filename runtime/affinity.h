/* Teams whose threads are bound to CPUs, and memory that they are the first to touch. */
#ifndef WEFT_RUNTIME_AFFINITY_H
#define WEFT_RUNTIME_AFFINITY_H

#include "runtime/context.h"

/* Take the CPUs of the options into ctx. WEFT_ERR_ARG: too few, or one that cannot be used. */
enum weft_status weft_affinity_set(weft_ctx *ctx, const struct weft_ctx_options *o);
/* Give the calling thread and its team back the affinity they had. */
void weft_affinity_release(weft_ctx *ctx);

/* weft_parallel, with thread i on CPU i of the context's; costs a comparison when it is there
 * already. Without CPUs a thread that another context has bound is let go. */
void weft_ctx_parallel(weft_ctx *ctx, size_t threads,
                       void (*fn)(void *arg, size_t thread, size_t team), void *arg);

#endif
