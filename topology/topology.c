/* The choice of CPUs. See topology.h. */
#include "topology/topology.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/bug.h"

void weft_topology_free(struct weft_topology *t) {
    free(t->pu);
    memset(t, 0, sizeof *t);
}

/* Gives up to `threads` threads their cores, in rounds: in round r every core with more than r PUs
 * may get one more. In the last round, when not all of them do, the first ones (close), or every
 * so-manyth (spread). most (cores): PUs of a core; n (cores): its threads. Returns how many are
 * left over. */
static size_t share_out(const size_t *most, size_t cores, bool spread, size_t threads, size_t *n) {
    for (size_t round = 0; threads > 0; round++) {
        size_t open = 0;
        for (size_t c = 0; c < cores; c++) open += most[c] > round;
        if (open == 0) return threads;
        const size_t give = threads < open ? threads : open;
        for (size_t c = 0, i = 0; c < cores; c++) {
            if (most[c] <= round) continue;
            /* of i = 0..open, those at which i·give/open grows: give of them, evenly */
            n[c] += spread ? (i + 1) * give / open - i * give / open : i < give;
            i++;
        }
        threads -= give;
    }
    return 0;
}

static const char *unfit(const struct weft_topology *t, enum weft_bind how, size_t threads) {
    if (how == WEFT_BIND_NONE) return "not asked for";
    if (t->pus == 0) return "the topology is not known";
    if (how == WEFT_BIND_CORES && threads > t->cores) return "more threads than cores";
    if (threads > t->pus) return "more threads than hardware threads";
    if (how != WEFT_BIND_AUTO) return NULL;
    if (threads < 2) return "one thread";
    if (threads != t->cores && threads != t->pus)
        return "the team does not fill the cores it may use";
    if (t->nodes > 1) return NULL;
    if (!t->whole) return "a part of the machine, on one memory node";
    if (t->cores <= 2) return "no more than two cores";
    return NULL;
}

size_t weft_topology_bind(const struct weft_topology *t, enum weft_bind how, bool spread,
                          size_t threads, int *cpu, const char **why) {
    *why = unfit(t, how, threads);
    if (*why != NULL || threads == 0) return 0;
    size_t *const most = calloc(2 * t->cores + t->nodes, sizeof *most);
    if (most == NULL) {
        *why = "out of memory";
        return 0;
    }
    size_t *const n = most + t->cores, *const on = n + t->cores;
    for (size_t i = 0; i < t->pus; i++) most[t->pu[i].core]++;
    if (WEFT_BUG(80)) /* a core is filled before the next one is begun */
        for (size_t i = 0; i < threads; i++) n[t->pu[i].core]++;
    else
        share_out(most, t->cores, spread, threads, n);
    size_t thread = 0, nodes = 0;
    for (size_t i = 0; i < t->pus; i++) {
        const struct weft_pu *const pu = &t->pu[i];
        if (n[pu->core] == 0) continue;
        n[pu->core]--;
        cpu[thread++] = pu->cpu;
        nodes += on[pu->node]++ == 0;
    }
    free(most);
    return nodes;
}

const char *weft_cpus_text(const int *cpu, size_t n, char *buf, size_t size) {
    size_t used = 0;
    buf[0] = 0;
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && cpu[end] == cpu[end - 1] + 1;) end++;
        char part[32];
        const int length =
            end - i > 1
                ? snprintf(part, sizeof part, "%s%d-%d", i > 0 ? "," : "", cpu[i], cpu[end - 1])
                : snprintf(part, sizeof part, "%s%d", i > 0 ? "," : "", cpu[i]);
        const bool last = end == n;
        if (used + (size_t)length + (last ? 0 : 4) >= size) {
            snprintf(buf + used, size - used, "...");
            break;
        }
        memcpy(buf + used, part, (size_t)length + 1);
        used += (size_t)length;
    }
    return buf;
}
