/* Thread i of a team runs on the i-th CPU of its context. A thread is moved when it first works for
 * the context, and remembers for which one it has been: later regions find it there. */
#include "runtime/affinity.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/bug.h"
#include "runtime/parallel.h"

#define CPUS_MAX 8192 /* what Linux can have */

#define WORD (8 * sizeof(unsigned long))

struct mask { /* a longer cpu_set_t */
    unsigned long word[CPUS_MAX / WORD];
};

static bool get_mask(struct mask *m) {
    memset(m, 0, sizeof *m);
    return sched_getaffinity(0, sizeof *m, (cpu_set_t *)(void *)m) == 0;
}
static int set_mask(const struct mask *m) {
    return sched_setaffinity(0, sizeof *m, (const cpu_set_t *)(const void *)m);
}
static struct mask only(int cpu) {
    struct mask m = {{0}};
    m.word[(size_t)cpu / WORD] = 1UL << (size_t)cpu % WORD;
    return m;
}

struct weft_affinity {
    unsigned id;        /* no two alike, never 0 */
    size_t most;        /* threads of the largest team so far */
    struct mask caller; /* of the thread that created the context */
    int cpu[];          /* (ctx->threads) */
};

static _Thread_local struct { /* of this thread */
    unsigned id;              /* of the binding it has; 0: none */
    size_t place;
    struct mask before;
} here;

static void release_thread(void) {
    if (here.id != 0 && !WEFT_BUG(81)) set_mask(&here.before);
    here.id = 0;
}

/* Threads of the team that were born after their parent was bound have inherited one CPU of it:
 * they get what the parent had. */
static void bind_thread(const struct weft_affinity *a, size_t thread) {
    const struct mask first = only(a->cpu[0]), mine = only(a->cpu[thread]);
    if (here.id != 0) release_thread();
    if (!get_mask(&here.before)) return;
    if (memcmp(&here.before, &first, sizeof first) == 0) here.before = a->caller;
    set_mask(&mine); /* a CPU that has gone offline: the system chooses, as without binding */
    here.id = a->id;
    here.place = thread;
}

static void enter(const struct weft_affinity *a, size_t thread) {
    if (a == NULL)
        release_thread();
    else if (here.id != a->id || here.place != thread)
        bind_thread(a, thread);
}

struct region {
    const struct weft_affinity *affinity;
    void (*fn)(void *, size_t, size_t);
    void *arg;
};

static void member(void *arg, size_t thread, size_t team) {
    const struct region *const r = arg;
    enter(r->affinity, thread);
    if (r->fn != NULL) r->fn(r->arg, thread, team);
}

void weft_ctx_parallel(weft_ctx *ctx, size_t threads, void (*fn)(void *, size_t, size_t),
                       void *arg) {
    struct region r = {ctx->affinity, fn, arg};
    if (ctx->affinity != NULL && threads > ctx->affinity->most) ctx->affinity->most = threads;
    weft_parallel(threads, member, &r);
}

void weft_affinity_release(weft_ctx *ctx) {
    struct region none = {NULL, NULL, NULL};
    if (ctx->affinity != NULL && ctx->affinity->most > 0)
        weft_parallel(ctx->affinity->most, member, &none);
    free(ctx->affinity);
    ctx->affinity = NULL;
}

/* Can a thread be on each of these CPUs? Tried by a thread of its own, so that the caller stays
 * where it is. */
struct trial {
    const int *cpu;
    size_t n, bad; /* bad: the first one that cannot, or n */
};

static void *try_all(void *arg) {
    struct trial *const t = arg;
    for (t->bad = 0; t->bad < t->n; t->bad++) {
        const int cpu = t->cpu[t->bad];
        if (cpu < 0 || cpu >= CPUS_MAX) break;
        const struct mask m = only(cpu);
        if (set_mask(&m) != 0) break;
    }
    return NULL;
}

enum weft_status weft_affinity_set(weft_ctx *ctx, const struct weft_ctx_options *o) {
    static atomic_uint ids;
    if (o->cpus == NULL) return WEFT_OK;
    if (o->cpu_count < ctx->threads)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG, "%zu CPUs for %zu threads: each needs one",
                             o->cpu_count, ctx->threads);
    struct trial t = {.cpu = o->cpus, .n = ctx->threads};
    pthread_t id;
    if (pthread_create(&id, NULL, try_all, &t) != 0)
        return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "the system refuses another thread");
    pthread_join(id, NULL);
    if (t.bad < t.n)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                             "CPU %d (of thread %zu) cannot be used by this process: it is not "
                             "there, offline, or outside of the cpuset",
                             o->cpus[t.bad], t.bad);
    struct weft_affinity *const a = calloc(1, sizeof *a + ctx->threads * sizeof *a->cpu);
    if (a == NULL) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory");
    memcpy(a->cpu, o->cpus, ctx->threads * sizeof *a->cpu);
    get_mask(&a->caller);
    do a->id = 1 + atomic_fetch_add(&ids, 1);
    while (a->id == 0);
    ctx->affinity = a;
    return WEFT_OK;
}

const int *weft_ctx_cpus(const weft_ctx *ctx) {
    return ctx->affinity == NULL ? NULL : ctx->affinity->cpu;
}
