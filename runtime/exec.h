/* The executor's own types. */
#ifndef WEFT_RUNTIME_EXEC_H
#define WEFT_RUNTIME_EXEC_H

#include <stdatomic.h>

#include "runtime/graph.h"

struct weft_counter { /* deals the tasks of one phase; a cache line of its own */
    atomic_size_t next;
    char pad[64 - sizeof(atomic_size_t)];
};

#endif
