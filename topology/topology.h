/* Which CPUs the threads of a team should be bound to: cores, hardware threads (PUs) and memory
 * (NUMA) nodes of the machine, and a choice that is a pure function of them.
 *
 * Terms are OpenMP's (5.2, 6.4 OMP_PROC_BIND and OMP_PLACES): places are cores or hardware threads;
 * "spread" leaves equal gaps, so that all memory nodes and caches are used; "close" fills up from
 * the first core. Either way neighbouring threads run on neighbouring cores: weft deals
 * neighbouring parts of a tensor to neighbouring threads. */
#ifndef WEFT_TOPOLOGY_TOPOLOGY_H
#define WEFT_TOPOLOGY_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>

#include "weft/status.h"

struct weft_pu {
    int cpu;           /* the system's number */
    size_t core, node; /* numbered from 0, without gaps, in the order of the PUs */
};
struct weft_topology {
    struct weft_pu *pu; /* (pus) that this process may use, in the machine's order: PUs of a core
                         * stand together, and so do cores of a cache, a node, a package */
    size_t pus, cores, nodes;
    bool whole; /* they are all that the machine has */
};

/* This machine, no more than the affinity and the cpuset of this process allow. False: hwloc cannot
 * tell, or is not built in. Free it either way. */
bool weft_topology_read(struct weft_topology *out);
/* A machine described in hwloc's synthetic syntax ("pack:2 numa:1 core:8 pu:2"), less the CPUs that
 * are not in `allowed` (as in "0-3,8", NULL: all). For tests. */
bool weft_topology_synthetic(const char *description, const char *allowed,
                             struct weft_topology *out);
void weft_topology_free(struct weft_topology *t);
/* hwloc's version, or NULL: not built in. Returns buf. */
#define WEFT_HWLOC_VERSION 16
const char *weft_topology_hwloc(char buf[WEFT_HWLOC_VERSION]);
#define WEFT_HWLOC_HOWTO "built without hwloc: install libhwloc-dev (`ci/deps.sh`), and build again"

enum weft_bind {
    WEFT_BIND_AUTO,    /* as by threads where that cannot hurt: see weft_topology_bind */
    WEFT_BIND_NONE,    /* wherever the system puts them */
    WEFT_BIND_CORES,   /* a core each; its other hardware threads stay idle */
    WEFT_BIND_THREADS, /* a hardware thread each: one of every core before a second one of any */
};

/* The CPU of each of `threads` threads, into cpu (threads). Returns how many memory nodes these lie
 * on; 0: they are not to be bound, and *why says why not, in a few words.
 *
 * Auto binds teams of two or more that fill what the process may use, cores or hardware threads,
 * and only if that is the whole machine and more than two cores of it, or lies on more than one
 * memory node: two runs side by side, each with a part of the machine, never end up on the same
 * cores. */
size_t weft_topology_bind(const struct weft_topology *t, enum weft_bind how, bool spread,
                          size_t threads, int *cpu, const char **why);

/* CPUs as text, neighbours joined: "0-3,8". Returns buf, which ends in "..." when it is too short.
 */
const char *weft_cpus_text(const int *cpu, size_t n, char *buf, size_t size);

#endif
