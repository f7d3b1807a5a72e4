/* The team and its barrier.
 *
 * The barrier counts arrivals; the last one resets the count and bumps the generation, on which the
 * others wait: a short spin (the usual case inside a step), then a futex sleep, so that a
 * descheduled or oversubscribed team does not burn the cores it waits for. With -fsanitize=thread
 * the team is made of POSIX threads, because libgomp is not instrumented. */
#include "runtime/parallel.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
#define WEFT_PTHREADS 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEFT_PTHREADS 1
#endif
#endif
#ifdef WEFT_PTHREADS
#include <pthread.h>
#else
#include <omp.h>
#endif

#define SPINS 4000

static void pause_cpu(void) {
#if defined(__x86_64__)
    __asm__ volatile("pause");
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void futex(atomic_uint *word, int op, unsigned value) {
    syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

void weft_barrier_init(struct weft_barrier *b, size_t threads, size_t cores) {
    atomic_init(&b->arrived, 0);
    atomic_init(&b->generation, 0);
    atomic_init(&b->sleepers, 0);
    atomic_init(&b->threads, (unsigned)threads);
    b->spins = threads > cores ? 0 : SPINS;
}

void weft_barrier_wait(struct weft_barrier *b) {
    const unsigned g = atomic_load_explicit(&b->generation, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&b->arrived, 1, memory_order_acq_rel) + 1 ==
        atomic_load_explicit(&b->threads, memory_order_relaxed)) {
        atomic_store_explicit(&b->arrived, 0, memory_order_relaxed);
        atomic_store(&b->generation, g + 1);
        if (atomic_load(&b->sleepers) != 0) futex(&b->generation, FUTEX_WAKE, INT_MAX);
        return;
    }
    for (unsigned i = 0; i < b->spins; i++) {
        if (atomic_load_explicit(&b->generation, memory_order_acquire) != g) return;
        pause_cpu();
    }
    /* Sequentially consistent: either the last arrival sees this sleeper, or the futex call sees
     * the new generation. */
    atomic_fetch_add(&b->sleepers, 1);
    while (atomic_load(&b->generation) == g) futex(&b->generation, FUTEX_WAIT, g);
    atomic_fetch_sub(&b->sleepers, 1);
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

double weft_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
