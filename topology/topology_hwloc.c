/* Cores, hardware threads and memory nodes from hwloc (2.0 or newer). */
#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topology/topology.h"

/* The number of the thing with this id among those seen so far, which are (seen). */
static size_t number_of(unsigned *id, size_t *seen, unsigned wanted) {
    for (size_t i = *seen; i-- > 0;)
        if (id[i] == wanted) return i;
    id[*seen] = wanted;
    return (*seen)++;
}

/* The first memory node that is local to a PU; a PU without one counts for node 0. */
static unsigned node_of(hwloc_topology_t h, hwloc_obj_t pu) {
    hwloc_obj_t node = NULL;
    while ((node = hwloc_get_next_obj_by_type(h, HWLOC_OBJ_NUMANODE, node)) != NULL)
        if (hwloc_bitmap_isincluded(pu->cpuset, node->cpuset)) return node->logical_index;
    return 0;
}

/* The PUs of h that are in `allowed`. */
static bool list(hwloc_topology_t h, hwloc_const_bitmap_t allowed, struct weft_topology *out) {
    const int all = hwloc_get_nbobjs_by_type(h, HWLOC_OBJ_PU);
    if (all <= 0) return false;
    const size_t n = (size_t)all;
    out->pu = calloc(n, sizeof *out->pu);
    unsigned *const id = calloc(2 * n, sizeof *id); /* of cores, of nodes */
    if (out->pu != NULL && id != NULL) {
        hwloc_obj_t pu = NULL;
        while ((pu = hwloc_get_next_obj_by_type(h, HWLOC_OBJ_PU, pu)) != NULL) {
            if (!hwloc_bitmap_isset(allowed, pu->os_index)) continue;
            hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(h, HWLOC_OBJ_CORE, pu);
            if (core == NULL) core = pu;
            out->pu[out->pus++] = (struct weft_pu){
                .cpu = (int)pu->os_index,
                .core = number_of(id, &out->cores, core->logical_index),
                .node = number_of(id + n, &out->nodes, node_of(h, pu)),
            };
        }
    }
    free(id);
    out->whole = out->pus == n;
    return out->pus > 0;
}

bool weft_topology_read(struct weft_topology *out) {
    memset(out, 0, sizeof *out);
    hwloc_topology_t h;
    if (hwloc_topology_init(&h) != 0) return false;
    hwloc_bitmap_t allowed = hwloc_bitmap_alloc();
    /* disallowed PUs are loaded too: whether all may be used is asked */
    const bool ok = allowed != NULL &&
                    hwloc_topology_set_flags(h, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED) == 0 &&
                    hwloc_topology_load(h) == 0 &&
                    hwloc_get_cpubind(h, allowed, HWLOC_CPUBIND_THREAD) == 0 &&
                    list(h, allowed, out);
    hwloc_bitmap_free(allowed);
    hwloc_topology_destroy(h);
    return ok;
}

bool weft_topology_synthetic(const char *description, const char *allowed,
                             struct weft_topology *out) {
    memset(out, 0, sizeof *out);
    hwloc_topology_t h;
    if (hwloc_topology_init(&h) != 0) return false;
    hwloc_bitmap_t set = hwloc_bitmap_alloc_full();
    const bool ok = set != NULL &&
                    (allowed == NULL || hwloc_bitmap_list_sscanf(set, allowed) == 0) &&
                    hwloc_topology_set_synthetic(h, description) == 0 &&
                    hwloc_topology_load(h) == 0 && list(h, set, out);
    hwloc_bitmap_free(set);
    hwloc_topology_destroy(h);
    return ok;
}

const char *weft_topology_hwloc(char buf[WEFT_HWLOC_VERSION]) {
    const unsigned v = hwloc_get_api_version(); /* 0x00XXYYZZ */
    snprintf(buf, WEFT_HWLOC_VERSION, "%u.%u.%u", v >> 16, v >> 8 & 0xff, v & 0xff);
    return buf;
}
