/* The context: ISA table, number of threads, and the text of the last error.
 *
 * A context is used by one host thread at a time; several contexts may live side by side. */
#ifndef WEFT_CONTEXT_H
#define WEFT_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include "weft/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_ctx weft_ctx;
typedef struct weft_backend weft_backend; /* who computes: a library outside of libweft */

#define WEFT_MAX_THREADS 1024
#define WEFT_MESSAGE_MAX 1024

/* How work is cut into blocks and dealt to threads. Speed depends on it; results never do.
 * X(name, default, what it is) */
#define WEFT_TUNING_LIST(X)                                                                        \
    X(grain_ns, 4000, "ns of work that a thread must bring to join a phase")                       \
    X(fma_mflops, 0, "FMA rate of a thread, Mflop/s; 0: measured in 50 us by each context")        \
    X(l2, 0, "bytes of L2 that a core has; 0: as detected")                                        \
    X(pack_from, 524288, "bytes of A from which a product packs it first")                         \
    X(packed_max, 16777216, "bytes of A that a product packs at a time")
struct weft_tuning {
#define WEFT_TUNING_FIELD(name, value, what) size_t name;
    WEFT_TUNING_LIST(WEFT_TUNING_FIELD)
#undef WEFT_TUNING_FIELD
};

struct weft_ctx_options {
    int threads;     /* 1..WEFT_MAX_THREADS; 0: as many as cpuset and cgroup quota allow */
    const char *isa; /* "emu", "avx2", ...; NULL: $WEFT_ISA, else the best the CPU has */
    const char *tuning; /* "grain_ns=4000,l2=524288": what differs from the defaults; NULL: $WEFT_TUNE */
    const int *cpus;  /* (cpu_count) thread i of a team is bound to CPU cpus[i], by the system's
                       * numbers; at least `threads` of them; copied. NULL: wherever the system
                       * puts threads */
    size_t cpu_count;
    bool first_touch; /* the memory of a graph is first touched, when it is committed, by the thread
                       * that will use it most: for teams on more than one memory (NUMA) node */
    char *message;   /* where a failing weft_ctx_create puts its message (WEFT_MESSAGE_MAX bytes),
                      * or NULL */
};

/* Create a context. options may be NULL (all defaults). WEFT_ERR_ARG for a bad thread count, a bad
 * tuning, or CPUs that are too few or not to be had, WEFT_ERR_ISA for an ISA unknown, not built in,
 * or not on this CPU.
 *
 * With cpus the calling thread is thread 0 of its teams: it is bound by the first call that
 * computes, and stays so until weft_ctx_free; threads that it starts meanwhile inherit that. */
WEFT_API WEFT_NODISCARD enum weft_status weft_ctx_create(const struct weft_ctx_options *options,
                                                         weft_ctx **out);
/* Free it, on the thread that used it: that one and its team get back the affinity they had. */
WEFT_API void weft_ctx_free(weft_ctx *ctx);

/* One line: what went wrong in the last failing call on this context, where, and what to do. */
WEFT_API const char *weft_ctx_message(const weft_ctx *ctx);

/* Store a message (printf-style) and return st: `return weft_ctx_fail(ctx, WEFT_ERR_IO, ...)`. */
WEFT_API enum weft_status weft_ctx_fail(weft_ctx *ctx, enum weft_status st, const char *fmt, ...)
    WEFT_FORMAT(3, 4);

WEFT_API const char *weft_ctx_isa(const weft_ctx *ctx);
/* Are products in bf16 dot products of the CPU (avx512bf16, neonbf16)? Then their bits are those of
 * such CPUs. */
WEFT_API bool weft_ctx_bf16_dots(const weft_ctx *ctx);
WEFT_API int weft_ctx_threads(const weft_ctx *ctx);
/* The CPU of each thread, (threads); NULL: not bound. Valid as long as the context. */
WEFT_API const int *weft_ctx_cpus(const weft_ctx *ctx);
/* Who computes in all graphs of this context from now on; NULL: weft's own kernels, the default. */
WEFT_API void weft_ctx_use_backend(weft_ctx *ctx, const weft_backend *backend);
WEFT_API const char *weft_ctx_backend(const weft_ctx *ctx); /* "native", or the backend's name */
/* What the context goes by, after detection. */
WEFT_API struct weft_tuning weft_ctx_tuning(const weft_ctx *ctx);

/* The machine as weft sees it. Sizes in bytes, 0 where unknown. */
struct weft_cpu_info {
    char model[128];
    size_t l1d, l2, l3;
    size_t line;
    int cores_allowed;   /* the default thread count: cpuset and quota respected */
    int cores_online;
    int cpuset;          /* CPUs in the affinity mask */
    double quota;        /* cgroup CPU quota in cores, 0: none */
    const char *isas[8]; /* tables this CPU can run, worst first, then NULL */
    const char *isas_built[8];
};
WEFT_API void weft_cpu_query(struct weft_cpu_info *out);

/* Memory the process could still get without swapping, in bytes: what the machine has available, and
 * no more than the tightest cgroup limit leaves. 0: unknown. */
WEFT_API size_t weft_memory_available(void);

/* Measured limits of this machine with the context's ISA and threads: FMA peak in GFLOP/s (2 per
 * FMA and lane), triad bandwidth in GB/s (12 bytes an element: a = b + s*c), read bandwidth. Takes
 * about half a second, and `memory` bytes (0: 288 MiB; less than the caches hold measures those). */
struct weft_limits {
    double fma_gflops;
    double bf16_gflops; /* of products in bf16: more where the CPU has dot products of bf16 */
    double triad_gbs;
    double read_gbs;
};
WEFT_API WEFT_NODISCARD enum weft_status weft_limits_measure(weft_ctx *ctx, size_t memory,
                                                             struct weft_limits *out);
/* Speed of a product of matrices in bf16 as a multiple of f32's, measured on one thread in some
 * milliseconds. WEFT_ERR_NOMEM. */
WEFT_API WEFT_NODISCARD enum weft_status weft_bf16_speed(weft_ctx *ctx, double *out);

WEFT_API const char *weft_version(void);
/* The compiler of this build, e.g. "gcc 12.2.0". */
WEFT_API const char *weft_compiler(void);

#ifdef __cplusplus
}
#endif
#endif
