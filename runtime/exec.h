/* The executor's own types. */
#ifndef WEFT_RUNTIME_EXEC_H
#define WEFT_RUNTIME_EXEC_H

#include <stdatomic.h>

#include "runtime/graph.h"

#define WEFT_QUEUES 16 /* of a phase, at most: larger teams share them */

/* How the tasks of one phase are dealt in one run. Every queue holds an equal range of tasks and
 * belongs to a part of the team, the same part in every run, so that a thread finds in its cache
 * what it left there. Whoever has emptied its own queue takes from the others'. */
struct weft_deal {
    _Alignas(64) atomic_uint done; /* tasks that have been run */
    struct {
        _Alignas(64) atomic_size_t next; /* of the queue's tasks, counted from 0 */
    } queue[];
};
struct weft_interval { /* when a thread worked on a phase; both 0: not at all */
    double begin, end;
};

/* Bytes of a deal for a team of so many threads, a multiple of 64. */
static inline size_t weft_deal_bytes(size_t threads) {
    return 64 * (1 + (threads < WEFT_QUEUES ? threads : WEFT_QUEUES));
}

#endif
