/* Backends: who computes the nodes of a graph instead of weft's own kernels.
 *
 * A backend takes whole nodes, in order, outside of the team's parallel region, on threads of its
 * own: as many as the context has. Nodes that it does not know, and those of programs in bf16, run
 * on weft's kernels, each in a region of its own. Every op reads and writes the same tensors
 * whoever computes it, so backends can take turns at any node. */
#ifndef WEFT_RUNTIME_BACKEND_H
#define WEFT_RUNTIME_BACKEND_H

#include "runtime/graph.h"

struct weft_backend {
    const char *name;
    bool (*knows)(const struct weft_exec *x, const struct weft_node *n);
    /* May keep what it has prepared for a node in n->prepared, for the next run. */
    enum weft_status (*run)(const struct weft_exec *x, struct weft_node *n);
    void (*forget)(struct weft_node *n); /* frees n->prepared */
};

static inline bool weft_backend_knows(const struct weft_backend *b, const struct weft_exec *x,
                                      const struct weft_node *n) {
    for (size_t i = 0; i < WEFT_NODE_IN; i++) /* of other formats they know nothing */
        if (n->in[i] >= 0 && x->g->tensor[n->in[i]].dtype == WEFT_COMPACT) return false;
    return b != NULL && n->program->storage == WEFT_F32 && b->knows(x, n);
}

/* One node of a program, by a backend or, with NULL or one that it does not know, by weft's own
 * kernels. */
enum weft_status weft_program_run_node(weft_program *p, const struct weft_run *run, size_t node,
                                       const struct weft_backend *backend);

#endif
