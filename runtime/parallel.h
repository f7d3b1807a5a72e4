/* Threads: one team per program run, and counts that its members wait for. The only place that
 * knows OpenMP. */
#ifndef WEFT_RUNTIME_PARALLEL_H
#define WEFT_RUNTIME_PARALLEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where the members of a team wait for a count to become full: they spin for a while (the usual
 * case inside a step), then sleep, so that a team that lost a core does not burn the others. */
struct weft_gate {
    _Alignas(64) atomic_uint sleepers; /* whatever count they wait for */
    bool spin;                         /* false when there are more threads than cores */
};
void weft_gate_init(struct weft_gate *g, size_t threads, size_t cores);
/* *count += n; the one that makes it full wakes those who sleep. All that a thread wrote before is
 * visible to whoever finds the count full. */
void weft_gate_add(struct weft_gate *g, atomic_uint *count, unsigned n, unsigned full);
void weft_gate_wait(struct weft_gate *g, atomic_uint *count, unsigned full);

/* fn(arg, thread, team) on `threads` threads at once, the caller among them (thread 0). The system
 * may give fewer: team is the number that runs. */
void weft_parallel(size_t threads, void (*fn)(void *arg, size_t thread, size_t team), void *arg);

/* Can so many threads exist at once in this process? */
bool weft_threads_possible(size_t threads);

/* Monotonic time in seconds. */
double weft_now(void);

#endif
