/* Threads: one team per program run, a barrier that spins briefly and then sleeps. The only place
 * that knows OpenMP. */
#ifndef WEFT_RUNTIME_PARALLEL_H
#define WEFT_RUNTIME_PARALLEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weft_barrier {
    _Alignas(64) atomic_uint arrived;
    _Alignas(64) atomic_uint generation;
    atomic_uint sleepers;
    atomic_uint threads;
    unsigned spins; /* before sleeping; 0 when there are more threads than cores */
};
void weft_barrier_init(struct weft_barrier *b, size_t threads, size_t cores);
/* All writes before the barrier by any thread are visible to all after it. */
void weft_barrier_wait(struct weft_barrier *b);

/* fn(arg, thread, team) on `threads` threads at once, the caller among them (thread 0). The system
 * may give fewer: team is the number that runs. */
void weft_parallel(size_t threads, void (*fn)(void *arg, size_t thread, size_t team), void *arg);

/* Monotonic time in seconds. */
double weft_now(void);

#endif
