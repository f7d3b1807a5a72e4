/* Operands into their guarded buffers, and what must still stand after the call: the canaries in
 * the slack and in the ld gaps, and every byte of an input. */
#include <string.h>
#include "tests/support/check_state.h"

size_t check_elem_bytes(const struct check_arg *a) {
    if (a->role == CHECK_SCRATCH) return 1;
    if (a->type == CHECK_BF16) return 2;
    return a->type == CHECK_F64 || a->type == CHECK_U64 ? 8 : 4;
}

/* In double: half a unit of the last of 8 bits is added, and what is below that unit cut off. */
double check_bf16(double v) {
    const double x = (double)(float)v;
    int e;
    if (x == 0 || !isfinite(x)) return x;
    frexp(x, &e);
    if (e < -125) return copysign(0, x);
    const double unit = ldexp(1, e - 8), r = rint(x / unit) * unit;
    return fabs(r) > 0x1.fep127 ? copysign(INFINITY, r) : r;
}

size_t check_extent(const struct check_arg *a) {
    if (a->rows == 0 || a->cols == 0) return 0;
    return ((a->rows - 1) * a->ld + a->cols) * check_elem_bytes(a);
}

double check_load(const struct check_arg *a, const void *p) {
    union {
        float f;
        double d;
        int32_t i;
        uint32_t u;
        uint64_t w;
    } e = {.w = 0};
    memcpy(&e, p, check_elem_bytes(a));
    if (a->type == CHECK_BF16) e.u <<= 16;
    switch (a->type) {
    case CHECK_BF16: return (double)e.f;
    case CHECK_F32: return (double)e.f;
    case CHECK_F64: return e.d;
    case CHECK_I32: return e.i;
    case CHECK_U32: return e.u;
    default: return (double)e.w;
    }
}

void check_store(const struct check_arg *a, void *p, double v) {
    union {
        float f;
        double d;
        int32_t i;
        uint32_t u;
        uint64_t w;
    } e = {.w = 0};
    switch (a->type) {
    case CHECK_BF16:
        e.f = (float)check_bf16(v);
        e.u >>= 16;
        break;
    case CHECK_F32: e.f = (float)v; break;
    case CHECK_F64: e.d = v; break;
    case CHECK_I32: e.i = (int32_t)v; break;
    case CHECK_U32: e.u = (uint32_t)v; break;
    default: e.w = (uint64_t)v; break;
    }
    memcpy(p, &e, check_elem_bytes(a));
}

/* Poison: signalling NaNs with a payload that depends on the element and on the call, so that what
 * a kernel did not write is known from what it computed; arbitrary bits for integers. */
void check_poison(const struct check_arg *a, unsigned poison, void *elem, size_t index) {
    uint64_t hash = (index + 1) * 0x9e3779b97f4a7c15u + poison * 0xd1b54a32d192ed03u;
    hash ^= hash >> 29;
    if (a->type == CHECK_F32) hash = 0x7fa00000u | (hash & 0x1fffffu);
    if (a->type == CHECK_BF16) hash = 0x7f81u | (hash & 0x3fu);
    if (a->type == CHECK_F64) hash = 0x7ff4000000000000u | (hash & 0x3ffffffffffffu);
    memcpy(elem, &hash, check_elem_bytes(a));
}

static void put(const struct check_arg *a, unsigned poison) {
    const size_t es = check_elem_bytes(a);
    unsigned char *base = a->ptr;
    if (a->role == CHECK_SCRATCH) {
        memset(base, poison % 2 ? 0x7f : 0xff, a->cols); /* NaNs, too */
        return;
    }
    for (size_t r = 0; r < a->rows; r++)
        for (size_t j = 0; j < a->cols; j++) {
            unsigned char *p = base + (r * a->ld + j) * es;
            if (a->val)
                check_store(a, p, a->val[r * a->cols + j]);
            else
                check_poison(a, poison, p, r * a->cols + j);
        }
}

void check_place_all(struct check *c, const struct check_place *place, unsigned poison) {
    struct check_state *s = c->state;
    for (size_t i = 0; i < s->args; i++) {
        struct check_arg *a = &s->arg[i];
        size_t bytes = check_extent(a);
        size_t shift = place->shift ? 1 + (c->index * 7 + i * 5 + place->shift) % 15 : 0;
        if (a->role == CHECK_SCRATCH) { /* promised 64-byte alignment */
            bytes = (bytes + 63) / 64 * 64;
            shift = 0;
        }
        gbuf_read_only(&s->buf[i], false);
        gbuf_fill(&s->buf[i]);
        a->ptr = gbuf_place(&s->buf[i], bytes, place->end, shift * check_elem_bytes(a));
        put(a, poison);
        if (a->role == CHECK_IN) gbuf_read_only(&s->buf[i], true);
    }
}

static const char *where(const struct check_arg *a, const unsigned char *p, char *text, size_t n) {
    const unsigned char *base = a->ptr;
    const size_t extent = check_extent(a);
    const size_t es = check_elem_bytes(a);
    if (p < base)
        snprintf(text, n, "%zu bytes before its start", (size_t)(base - p));
    else if (p >= base + extent)
        snprintf(text, n, "%zu bytes past its end", (size_t)(p - base) - extent + 1);
    else
        snprintf(text, n, "in the gap of row %zu, column %zu (ld %zu, cols %zu)",
                 (size_t)(p - base) / es / a->ld, (size_t)(p - base) / es % a->ld, a->ld, a->cols);
    return text;
}

static const unsigned char *find_damage(const struct gbuf *g, const struct check_arg *a) {
    const unsigned char *base = a->ptr;
    const size_t es = check_elem_bytes(a);
    const unsigned char *hit = gbuf_find_damage(g, g->page, base);
    if (!hit) hit = gbuf_find_damage(g, base + check_extent(a), g->page + g->page_bytes);
    for (size_t r = 0; !hit && a->ld > a->cols && a->cols && r + 1 < a->rows; r++)
        hit = gbuf_find_damage(g, base + (r * a->ld + a->cols) * es, base + (r + 1) * a->ld * es);
    return hit;
}

bool check_place_intact(struct check_run *r) {
    const struct check_state *s = r->c->state;
    bool intact = true;
    for (size_t i = 0; i < s->args; i++) {
        const struct check_arg *a = &s->arg[i];
        const unsigned char *hit = find_damage(&s->buf[i], a);
        if (!hit) continue;
        char text[128];
        check_fail(r, "wrote outside %s: %s", a->name, where(a, hit, text, sizeof text));
        intact = false;
    }
    return intact;
}
