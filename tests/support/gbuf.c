/* Guarded buffers by mmap and mprotect; see gbuf.h. The canary has a prime period, so it repeats
 * with no power of two that a wrong stride could hit. */
#include "tests/support/gbuf.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PERIOD = 4099 };

static const unsigned char *canary(void) {
    static unsigned char table[PERIOD];
    if (table[0] == 0) {
        uint32_t x = 0x9e3779b9u;
        for (size_t i = 0; i < PERIOD; i++) {
            x = x * 1664525u + 1013904223u;
            table[i] = (unsigned char)(1 + (x >> 24) % 255); /* never 0: the likeliest stray byte */
        }
    }
    return table;
}

bool gbuf_open(struct gbuf *g, size_t bytes) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    g->page_bytes = (bytes + GBUF_SLACK + page - 1) / page * page;
    g->map_bytes = g->page_bytes + 2 * page;
    void *map = mmap(NULL, g->map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) return false;
    g->map = map;
    g->page = g->map + page;
    if (mprotect(g->page, g->page_bytes, PROT_READ | PROT_WRITE) != 0) {
        gbuf_close(g);
        return false;
    }
    return true;
}

void gbuf_close(struct gbuf *g) {
    if (g->map) munmap(g->map, g->map_bytes);
    memset(g, 0, sizeof *g);
}

unsigned char *gbuf_place(const struct gbuf *g, size_t bytes, bool end, size_t offset) {
    return end ? g->page + g->page_bytes - bytes - offset : g->page + offset;
}

void gbuf_read_only(const struct gbuf *g, bool yes) {
    mprotect(g->page, g->page_bytes, yes ? PROT_READ : PROT_READ | PROT_WRITE);
}

void gbuf_fill(const struct gbuf *g) {
    for (size_t i = 0; i < g->page_bytes; i += PERIOD) {
        const size_t n = g->page_bytes - i < PERIOD ? g->page_bytes - i : PERIOD;
        memcpy(g->page + i, canary(), n);
    }
}

const unsigned char *gbuf_find_damage(const struct gbuf *g, const unsigned char *from,
                                      const unsigned char *to) {
    const unsigned char *table = canary();
    while (from < to) {
        const size_t phase = (size_t)(from - g->page) % PERIOD;
        const size_t room = PERIOD - phase;
        const size_t n = (size_t)(to - from) < room ? (size_t)(to - from) : room;
        if (memcmp(from, table + phase, n) != 0)
            for (size_t i = 0; i < n; i++)
                if (from[i] != table[phase + i]) return from + i;
        from += n;
    }
    return NULL;
}
