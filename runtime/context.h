/* The context inside. */
#ifndef WEFT_RUNTIME_CONTEXT_H
#define WEFT_RUNTIME_CONTEXT_H

#include "kernels/kernels.h"
#include "weft/context.h"

struct weft_ctx {
    const struct weft_kernels *k;
    size_t threads;    /* team size of large phases */
    size_t cores;      /* cores allowed; threads > cores: waiting threads yield at once */
    struct weft_tuning tuning; /* nothing in it is 0 */
    const struct weft_backend *backend; /* NULL: weft's own kernels */
    struct weft_affinity *affinity;     /* CPUs of the team's threads (affinity.c); NULL: any */
    bool first_touch;                   /* graphs spread their memory over the team (touch.c) */
    char message[WEFT_MESSAGE_MAX];
};

/* FMA rate of one thread in GFLOP/s, from some 50 us of work (measure.c). */
double weft_fma_probe(const struct weft_kernels *k);

/* Defaults, then text ("name=number,..."), then what is still 0 is detected. WEFT_ERR_ARG. */
enum weft_status weft_tuning_set(weft_ctx *ctx, const char *text, const struct weft_cpu_info *cpu);

#endif
