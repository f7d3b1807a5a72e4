/* The context inside. */
#ifndef WEFT_RUNTIME_CONTEXT_H
#define WEFT_RUNTIME_CONTEXT_H

#include "kernels/kernels.h"
#include "weft/context.h"

struct weft_ctx {
    const struct weft_kernels *k;
    size_t threads;    /* team size of large phases */
    size_t cores;      /* cores allowed; threads > cores: waiting threads yield at once */
    double grain_ns;   /* work that a thread must bring to join a phase */
    double fma_gflops; /* of one thread, measured in passing: good for cut-offs */
    size_t l1d, l2;    /* bytes, never 0 */
    const struct weft_backend *backend; /* NULL: weft's own kernels */
    char message[WEFT_MESSAGE_MAX];
};

/* FMA rate of one thread in GFLOP/s, from some 50 us of work (measure.c). */
double weft_fma_probe(const struct weft_kernels *k);

#endif
