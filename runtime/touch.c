/* See touch.h. What is dealt by place: optimizer shards and rows of dW (op_optim.c, product.c:
 * tasks in the order of their place in the parameter, and queue q of Q has tasks q/Q to (q+1)/Q),
 * columns of y = x wᵀ as rows of w, rows of activations in everything else. With another deal (a
 * phase for fewer threads, a task that was taken from another's queue) memory is where it is not
 * used: slower, never different. */
#include "runtime/touch.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/base/bug.h"
#include "runtime/affinity.h"
#include "runtime/memory.h"

struct painter {
    uintptr_t origin; /* of unit 0 */
    size_t unit, units, threads;
    unsigned short *owner;
    uint32_t *most; /* bytes of the unit that its owner's tensor has */
};

static uintptr_t origin_of(const weft_graph *g, size_t unit) {
    return (uintptr_t)g->base / unit * unit;
}

size_t weft_touch_units(const weft_graph *g, size_t unit) {
    const uintptr_t end = (uintptr_t)g->base + g->memory.total;
    return (end - origin_of(g, unit) + unit - 1) / unit;
}

/* A tensor of so many bytes, dealt to threads [first, end). */
static void paint(struct painter *p, const void *data, size_t bytes, size_t first, size_t end) {
    const size_t at = (uintptr_t)data - p->origin, team = end - first;
    for (size_t i = at / p->unit; bytes > 0 && i < p->units && i * p->unit < at + bytes; i++) {
        const size_t lo = i * p->unit > at ? i * p->unit : at;
        const size_t hi = (i + 1) * p->unit < at + bytes ? (i + 1) * p->unit : at + bytes;
        if (hi - lo <= p->most[i]) continue;
        const size_t middle = (lo + hi) / 2 - at;
        p->most[i] = (uint32_t)(hi - lo);
        const size_t place = (size_t)((double)middle / (double)bytes * (double)team);
        p->owner[i] = (unsigned short)(first + (WEFT_BUG(82) ? i % team : place));
    }
}

static void paint_tensor(struct painter *p, const weft_graph *g, const struct weft_tensor_desc *d) {
    const size_t bytes = weft_desc_bytes(d);
    const bool unused = (d->kind == WEFT_ACT || d->kind == WEFT_INPUT) && d->first == SIZE_MAX;
    if (unused || (d->kind == WEFT_GRAD && g->grads == NULL)) return;
    paint(p, d->data, bytes, 0, p->threads);
    if (d->kind != WEFT_PARAM || d->grad < 0) return; /* its gradient is a tensor of its own */
    if (g->grad_sum != NULL) paint(p, g->grad_sum + d->offset, bytes, 0, p->threads);
    for (size_t i = 0; i < g->optim_states; i++)
        paint(p, g->optim[i] + d->offset, bytes, 0, p->threads);
}

bool weft_touch_owners(const weft_graph *g, size_t unit, size_t threads, unsigned short *owner) {
    struct painter p = {.origin = origin_of(g, unit),
                        .unit = unit,
                        .units = weft_touch_units(g, unit),
                        .threads = threads,
                        .owner = owner};
    p.most = calloc(p.units + 1, sizeof *p.most);
    if (p.most == NULL) return false;
    memset(owner, 0, p.units * sizeof *owner);
    for (size_t t = 0; t < g->tensors; t++) paint_tensor(&p, g, &g->tensor[t]);
    for (size_t t = 0; t < threads && t * g->local_bytes < g->memory.scratch; t++)
        paint(&p, g->local + t * g->local_bytes, g->local_bytes, t, t + 1);
    free(p.most);
    return true;
}

struct job {
    const weft_graph *g;
    size_t unit, page;
    const unsigned short *owner;
};

static void touch(void *arg, size_t thread, size_t team) {
    const struct job *const j = arg;
    const uintptr_t origin = origin_of(j->g, j->unit), begin = (uintptr_t)j->g->base;
    const uintptr_t end = begin + j->g->memory.total;
    for (size_t i = 0; i < weft_touch_units(j->g, j->unit); i++) {
        if (j->owner[i] % team != thread) continue;
        for (uintptr_t at = origin + i * j->unit; at < origin + (i + 1) * j->unit && at < end;
             at += j->page)
            if (at >= begin) *(volatile unsigned char *)at = 0;
    }
}

void weft_touch_first(weft_graph *g) {
    size_t threads = 1;
    for (const weft_program *p = g->first; p != NULL; p = p->next)
        if (p->threads > threads) threads = p->threads;
    if (!g->ctx->first_touch || threads == 1 || g->memory.total == 0) return;
    const long page = sysconf(_SC_PAGESIZE);
    struct job j = {.g = g, .unit = weft_map_unit(g->memory.total)};
    j.page = page > 0 ? (size_t)page : 4096;
    unsigned short *const owner = malloc(weft_touch_units(g, j.unit) * sizeof *owner);
    j.owner = owner;
    if (owner != NULL && weft_touch_owners(g, j.unit, threads, owner))
        weft_ctx_parallel(g->ctx, threads, touch, &j);
    free(owner); /* without memory for the map pages come where they are first used */
}
