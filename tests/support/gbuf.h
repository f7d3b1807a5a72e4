/* Guarded buffers: [no access][pages][no access]. An operand placed against a guard page faults at
 * the first byte outside it; everything else in the pages is a canary that depends on the position,
 * so that even a canary copied over another is seen. */
#ifndef WEFT_GBUF_H
#define WEFT_GBUF_H

#include <stdbool.h>
#include <stddef.h>

struct gbuf {
    unsigned char *map; /* the whole mapping, guard pages included */
    size_t map_bytes;
    unsigned char *page; /* the usable pages */
    size_t page_bytes;
};

enum { GBUF_SLACK = 256 }; /* room for an offset from the guard */

bool gbuf_open(struct gbuf *g, size_t bytes);
void gbuf_close(struct gbuf *g);
/* The address of `bytes` bytes that end (end) or start offset bytes from a guard page. */
unsigned char *gbuf_place(const struct gbuf *g, size_t bytes, bool end, size_t offset);
void gbuf_read_only(const struct gbuf *g, bool yes);
void gbuf_fill(const struct gbuf *g);
/* The first byte of [from, to) that is no longer its canary; NULL when all are. */
const unsigned char *gbuf_find_damage(const struct gbuf *g, const unsigned char *from,
                                      const unsigned char *to);

#endif
