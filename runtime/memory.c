/* Anonymous mappings with huge pages asked for, and how much memory there is. */
#include "runtime/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)

void *weft_map(size_t bytes) {
    void *const p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return NULL;
#ifdef MADV_HUGEPAGE
    if (bytes >= 4 * HUGE_PAGE) madvise(p, bytes, MADV_HUGEPAGE); /* a wish: failure is harmless */
#endif
    return p;
}

void weft_unmap(void *p, size_t bytes) {
    if (p != NULL) munmap(p, bytes);
}

static bool read_number(const char *path, unsigned long long *out) {
    FILE *f = fopen(path, "r");
    if (f == NULL) return false;
    const bool ok = fscanf(f, "%llu", out) == 1;
    fclose(f);
    return ok;
}

size_t weft_memory_available(void) {
    unsigned long long best = 0, limit = 0, used = 0;
    char line[256];
    FILE *f = fopen("/proc/meminfo", "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (sscanf(line, "MemAvailable: %llu kB", &best) == 1) break;
    if (f != NULL) fclose(f);
    best <<= 10;
    const bool v2 = read_number("/sys/fs/cgroup/memory.max", &limit) &&
                    read_number("/sys/fs/cgroup/memory.current", &used);
    const bool v1 = !v2 && read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes", &limit) &&
                    read_number("/sys/fs/cgroup/memory/memory.usage_in_bytes", &used);
    if ((v2 || v1) && limit > used && (best == 0 || limit - used < best)) best = limit - used;
    return (size_t)best;
}
