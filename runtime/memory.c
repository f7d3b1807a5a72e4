/* Anonymous mappings with huge pages asked for, and how much memory there is. */
#include "runtime/memory.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "weft/context.h"

#define HUGE_PAGE ((size_t)2 << 20)
#define HUGE_FROM (4 * HUGE_PAGE) /* bytes of a mapping */

void *weft_map(size_t bytes) {
    void *const p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return NULL;
#ifdef MADV_HUGEPAGE
    if (bytes >= HUGE_FROM) madvise(p, bytes, MADV_HUGEPAGE); /* a wish: failure is harmless */
#endif
    return p;
}

void weft_unmap(void *p, size_t bytes) {
    if (p != NULL) munmap(p, bytes);
}

size_t weft_map_unit(size_t bytes) {
    const long page = sysconf(_SC_PAGESIZE);
    return bytes >= HUGE_FROM ? HUGE_PAGE : page > 0 ? (size_t)page : 4096;
}

#define PAGES_AT_ONCE 512

/* move_pages(2) without places to move to answers where pages are. */
bool weft_memory_nodes(const void *p, size_t bytes, size_t *page, size_t nodes) {
    const long answer = sysconf(_SC_PAGESIZE);
    const size_t size = answer > 0 ? (size_t)answer : 4096;
    const uintptr_t end = (uintptr_t)p + bytes;
    memset(page, 0, nodes * sizeof *page);
    for (uintptr_t at = (uintptr_t)p / size * size; at < end;) {
        void *where[PAGES_AT_ONCE];
        int node[PAGES_AT_ONCE];
        size_t n = 0;
        for (; n < PAGES_AT_ONCE && at < end; at += size) where[n++] = (void *)at;
        if (syscall(SYS_move_pages, 0, n, where, NULL, node, 0) != 0) return false;
        for (size_t i = 0; i < n; i++)
            if (node[i] >= 0 && (size_t)node[i] < nodes) page[node[i]]++;
    }
    return true;
}

/* The number after `key` at the start of a line, or the first number of the file (key "");
 * ULLONG_MAX when there is none, as in "max". */
static unsigned long long read_number(const char *path, const char *key) {
    char line[256];
    unsigned long long value = ULLONG_MAX;
    const size_t n = strlen(key);
    FILE *f = fopen(path, "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, key, n) == 0 && sscanf(line + n, "%llu", &value) == 1) break;
    if (f != NULL) fclose(f);
    return value;
}

/* What one cgroup leaves; its page cache can be dropped and does not count as used. */
static unsigned long long group_left(const char *folder, const char *dir, const char *limit,
                                     const char *used, const char *cache) {
    char path[1400];
    snprintf(path, sizeof path, "/sys/fs/cgroup%s%s/%s", folder, dir, limit);
    const unsigned long long most = read_number(path, "");
    snprintf(path, sizeof path, "/sys/fs/cgroup%s%s/%s", folder, dir, used);
    unsigned long long now = read_number(path, "");
    if (most == ULLONG_MAX || now == ULLONG_MAX) return ULLONG_MAX;
    snprintf(path, sizeof path, "/sys/fs/cgroup%s%s/memory.stat", folder, dir);
    const unsigned long long droppable = read_number(path, cache);
    if (droppable <= now) now -= droppable;
    return now < most ? most - now : 0;
}

/* The least that is left in any group from this process's up to the root (v2 and v1). */
static unsigned long long groups_left(void) {
    unsigned long long left = ULLONG_MAX;
    char line[1200];
    FILE *f = fopen("/proc/self/cgroup", "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = 0;
        char *const controllers = strchr(line, ':');
        char *const colon = controllers == NULL ? NULL : strchr(controllers + 1, ':');
        if (colon == NULL) continue;
        *colon = 0;
        const bool v2 = controllers[1] == 0;
        if (!v2 && strcmp(controllers + 1, "memory") != 0) continue;
        char *const dir = colon + 1;
        for (char *end = dir + strlen(dir); end != NULL; end = strrchr(dir, '/')) {
            *end = 0;
            const unsigned long long here =
                v2 ? group_left("", dir, "memory.max", "memory.current", "inactive_file ")
                   : group_left("/memory", dir, "memory.limit_in_bytes", "memory.usage_in_bytes",
                                "total_inactive_file ");
            if (here < left) left = here;
        }
    }
    if (f != NULL) fclose(f);
    return left;
}

size_t weft_memory_available(void) {
    const unsigned long long kib = read_number("/proc/meminfo", "MemAvailable:");
    unsigned long long bytes = kib == ULLONG_MAX ? ULLONG_MAX : kib << 10;
    const unsigned long long left = groups_left();
    if (left < bytes) bytes = left;
    return bytes == ULLONG_MAX ? 0 : bytes == 0 ? 1 : (size_t)bytes;
}
