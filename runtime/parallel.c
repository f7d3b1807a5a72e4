/* The team and its gate. With -fsanitize=thread the team is made of POSIX threads, because libgomp
 * is not instrumented. */
#include "runtime/parallel.h"

#include <limits.h>
#include <stdlib.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kernels/base/compiler.h"

#if defined(__SANITIZE_THREAD__)
#define WEFT_PTHREADS 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEFT_PTHREADS 1
#endif
#endif
#include <pthread.h>
#ifndef WEFT_PTHREADS
#include <omp.h>
#endif

#define SPIN_SECONDS 100e-6 /* longer than most phases, shorter than a time slice */
#define SPIN_LOOKS   64     /* between two looks at the clock */

static void futex(atomic_uint *word, int op, unsigned value) {
    syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

void weft_gate_init(struct weft_gate *g, size_t threads, size_t cores) {
    atomic_init(&g->sleepers, 0);
    g->spin = threads <= cores;
}

void weft_gate_add(struct weft_gate *g, atomic_uint *count, unsigned n, unsigned full) {
    /* Sequentially consistent, as in sleep_until: either this thread sees the sleeper, or the
     * sleeper sees the count. */
    if (atomic_fetch_add(count, n) + n != full || atomic_load(&g->sleepers) == 0) return;
    futex(count, FUTEX_WAKE, INT_MAX);
}

static bool is_full(atomic_uint *count, unsigned full) {
    return atomic_load_explicit(count, memory_order_acquire) == full;
}

static bool spin_until(atomic_uint *count, unsigned full) {
    const double end = weft_now() + SPIN_SECONDS;
    do {
        for (int i = 0; i < SPIN_LOOKS; i++) {
            if (is_full(count, full)) return true;
            weft_pause();
        }
    } while (weft_now() < end);
    return false;
}

static void sleep_until(struct weft_gate *g, atomic_uint *count, unsigned full) {
    atomic_fetch_add(&g->sleepers, 1);
    for (unsigned now; now = atomic_load(count), now != full;) futex(count, FUTEX_WAIT, now);
    atomic_fetch_sub(&g->sleepers, 1);
}

void weft_gate_wait(struct weft_gate *g, atomic_uint *count, unsigned full) {
    if (is_full(count, full) || (g->spin && spin_until(count, full))) return;
    sleep_until(g, count, full);
}

#ifdef WEFT_PTHREADS
struct member {
    void (*fn)(void *, size_t, size_t);
    void *arg;
    size_t thread, team;
};

static void *member_main(void *p) {
    const struct member *const m = p;
    m->fn(m->arg, m->thread, m->team);
    return NULL;
}

void weft_parallel(size_t threads, void (*fn)(void *arg, size_t thread, size_t team), void *arg) {
    pthread_t id[64];
    struct member m[64];
    const size_t team = threads < 64 ? threads : 64;
    for (size_t i = 1; i < team; i++) {
        m[i] = (struct member){fn, arg, i, team};
        pthread_create(&id[i], NULL, member_main, &m[i]);
    }
    fn(arg, 0, team);
    for (size_t i = 1; i < team; i++) pthread_join(id[i], NULL);
}
#else
void weft_parallel(size_t threads, void (*fn)(void *arg, size_t thread, size_t team), void *arg) {
    if (threads <= 1) {
        fn(arg, 0, 1);
        return;
    }
#pragma omp parallel num_threads((int)threads)
    fn(arg, (size_t)omp_get_thread_num(), (size_t)omp_get_num_threads());
}
#endif

/* ---- can so many threads exist? libgomp ends the process when they cannot ---- */
static void *wait_for_all(void *arg) {
    pthread_mutex_lock(arg);
    pthread_mutex_unlock(arg);
    return NULL;
}

bool weft_threads_possible(size_t threads) {
    pthread_mutex_t all_are_there = PTHREAD_MUTEX_INITIALIZER;
    pthread_t *const id = calloc(threads, sizeof *id);
    size_t n = 0;
    pthread_mutex_lock(&all_are_there);
    while (id != NULL && n + 1 < threads &&
           pthread_create(&id[n], NULL, wait_for_all, &all_are_there) == 0)
        n++;
    pthread_mutex_unlock(&all_are_there);
    for (size_t i = 0; i < n; i++) pthread_join(id[i], NULL);
    free(id);
    return id != NULL && n + 1 == threads;
}

double weft_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
