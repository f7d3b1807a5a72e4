/* --bind: from the machine's topology to the CPUs of a context. */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "topology/topology.h"

static enum weft_bind parse(const char *text) {
    return !strcmp(text, "cores")     ? WEFT_BIND_CORES
           : !strcmp(text, "threads") ? WEFT_BIND_THREADS
           : !strcmp(text, "none")    ? WEFT_BIND_NONE
                                      : WEFT_BIND_AUTO;
}

/* OpenMP's own variables, by which the user has said it already. */
static bool openmp_binds(void) {
    return getenv("OMP_PROC_BIND") || getenv("OMP_PLACES") || getenv("GOMP_CPU_AFFINITY");
}

int cli_bind(struct cli *c, size_t threads) {
    struct cli_binding *const b = &c->bound;
    b->nodes = 0;
    b->why = "not an option of this command";
    if (!weft_options_has(&c->o, WEFT_OPT_bind)) return CLI_OK;
    const enum weft_bind how = parse(c->o.bind);
    char version[WEFT_HWLOC_VERSION];
    if (weft_topology_hwloc(version) == NULL) {
        b->why = WEFT_HWLOC_HOWTO;
        if (how == WEFT_BIND_AUTO || how == WEFT_BIND_NONE) return CLI_OK;
        return cli_fail("--bind %s: %s", c->o.bind, b->why);
    }
    b->why = "OpenMP's variables say where";
    if (how == WEFT_BIND_AUTO && openmp_binds()) return CLI_OK;
    struct weft_topology t = {.pu = NULL};
    struct weft_cpu_info cpu;
    weft_cpu_query(&cpu);
    b->why =
        threads < 2 ? "one thread" : "no more than two cores"; /* without asking hwloc: 10 ms */
    if (how == WEFT_BIND_AUTO && (threads < 2 || cpu.cores_online <= 2)) return CLI_OK;
    if (how != WEFT_BIND_NONE) weft_topology_read(&t);
    if (cpu.cores_allowed < cpu.cpuset) t.whole = false; /* a cgroup's quota is less */
    b->nodes =
        weft_topology_bind(&t, how, !strcmp(c->o.bind_policy, "spread"), threads, b->cpu, &b->why);
    const size_t cores = t.cores, pus = t.pus;
    weft_topology_free(&t);
    if (b->nodes > 0 || how == WEFT_BIND_AUTO || how == WEFT_BIND_NONE) return CLI_OK;
    return cli_usage(c,
                     "--bind %s: %s: %zu threads, and this process may use %zu cores with %zu "
                     "hardware threads: take fewer --threads",
                     c->o.bind, b->why, threads, cores, pus);
}
