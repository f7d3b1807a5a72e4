/* Cells on worker processes, started before any parallel region: OpenMP's runtime does not survive
 * a fork after one. Cells are handed out by a counter in shared memory, the longest first; a cell's
 * bits do not depend on who runs it. Workers leave their results as files, the parent draws the
 * progress and never computes. */
#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "studies/inside.h"
#include "studies/tally.h"
#include "train/atomic.h"
#include "train/jsonl.h"
#include "train/progress.h"

struct shared { /* by all processes of a study */
    atomic_size_t next;
    atomic_int stop, failed;
    char message[WEFT_MESSAGE_MAX];
    unsigned char state[]; /* of each job: enum study_job_state */
};

struct office { /* what parent and workers know */
    struct study *s;
    const struct study_pool *pool;
    struct study_job *job;
    size_t jobs, workers, threads;
    struct shared *shared;
    struct study_slot *slot; /* (workers), in shared memory */
    size_t bytes;
};

/* ---- a worker ---- */
static void fail(struct office *o, const char *message) {
    int none = 0;
    if (atomic_compare_exchange_strong(&o->shared->failed, &none, 1))
        snprintf(o->shared->message, sizeof o->shared->message, "%s", message);
    atomic_store(&o->shared->stop, 1);
}

bool study_step(struct study_run *r, uint64_t step, uint64_t steps, double loss) {
    if (r->slot == NULL) return true;
    r->slot->step = step;
    r->slot->steps = steps;
    r->slot->loss = loss;
    if (!atomic_load_explicit(r->slot->stop, memory_order_relaxed)) return true;
    r->stopped = true;
    return false;
}

static enum weft_status note_time(struct study_run *r, const char *name, double seconds) {
    char *const path = weft_text("%s/timing.jsonl", r->s->dir);
    struct weft_jsonl file;
    if (path == NULL) return weft_ctx_fail(r->ctx, WEFT_ERR_NOMEM, "out of memory");
    enum weft_status st = weft_jsonl_open(r->ctx, path, &file);
    free(path);
    if (st != WEFT_OK) return st;
    struct weft_json *const j = weft_jsonl_begin(&file);
    weft_json_text(j, "cell", name);
    weft_json_rounded(j, "seconds", seconds, 6);
    weft_json_rounded(j, "flops", r->mode == STUDY_RUN ? r->cell->flops : 0, 6);
    weft_json_int(j, "threads", weft_ctx_threads(r->ctx));
    st = weft_jsonl_end(&file);
    weft_jsonl_close(&file);
    return st;
}

/* Another number of threads than the cells have, all of them in the smallest phase. */
static size_t threads_of(const struct office *o, const struct study_job *job) {
    if (job->mode != STUDY_TWIN) return o->threads;
    return o->threads == 1 ? 2 : 1;
}

static enum weft_status run_job(struct office *o, const struct study_job *job,
                                struct study_slot *slot, char *message) {
    const struct study_cell *const cell = &o->s->cell[job->cell];
    struct study_run r = {.s = o->s, .cell = cell, .mode = job->mode, .slot = slot};
    const struct weft_ctx_options how = {
        .threads = (int)threads_of(o, job), .isa = o->pool->isa, .message = message};
    const double start = weft_clock();
    if (job->mode == STUDY_TWIN) setenv("WEFT_TUNE", "grain_ns=1", 1);
    enum weft_status st = weft_ctx_create(&how, &r.ctx);
    if (job->mode == STUDY_TWIN) unsetenv("WEFT_TUNE");
    if (st != WEFT_OK) return st;
    st = study_lines_begin(&r);
    if (st == WEFT_OK) st = o->s->def->run(&r);
    if (st == WEFT_OK && !r.stopped) st = study_lines_save(&r, job->name);
    if (st == WEFT_OK && !r.stopped) st = note_time(&r, job->name, weft_clock() - start);
    if (st != WEFT_OK)
        snprintf(message, WEFT_MESSAGE_MAX, "cell %.200s: %.700s", job->name,
                 weft_ctx_message(r.ctx));
    study_lines_end(&r);
    weft_ctx_free(r.ctx);
    return st;
}

static _Noreturn void work(struct office *o, size_t worker, pid_t parent) {
    char message[WEFT_MESSAGE_MAX] = "";
    struct study_slot *const slot = &o->slot[worker];
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody would fetch the results */
    signal(SIGINT, SIG_IGN);          /* the parent says when to stop */
    while (getppid() == parent && !atomic_load(&o->shared->stop)) {
        const size_t i = atomic_fetch_add(&o->shared->next, 1);
        if (i >= o->jobs) break;
        *slot = (struct study_slot){.job = (int)i, .loss = (double)NAN, .stop = &o->shared->stop};
        o->shared->state[i] = STUDY_JOB_RUNNING;
        if (run_job(o, &o->job[i], slot, message) != WEFT_OK) {
            fail(o, message);
            break;
        }
        if (!atomic_load(&o->shared->stop)) o->shared->state[i] = STUDY_JOB_DONE;
        slot->job = -1;
    }
    _exit(0);
}

/* ---- the parent ---- */
static enum weft_status open_office(struct office *o) {
    const size_t head = (sizeof *o->shared + o->jobs + 63) / 64 * 64;
    o->bytes = head + o->workers * sizeof *o->slot;
    void *const p = mmap(NULL, o->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return weft_ctx_fail(o->s->ctx, WEFT_ERR_NOMEM, "no memory to share with workers");
    o->shared = p;
    o->slot = (void *)((unsigned char *)p + head);
    for (size_t i = 0; i < o->workers; i++) o->slot[i].job = -1;
    return WEFT_OK;
}

/* A worker has ended; did it crash? */
static void look_at_end(struct office *o, size_t worker, int how) {
    char message[WEFT_MESSAGE_MAX];
    if (WIFEXITED(how) && WEXITSTATUS(how) == 0) return;
    const int job = o->slot[worker].job;
    snprintf(message, sizeof message,
             "a worker ended by signal %d in cell %s (9: the system may be out of memory); what is "
             "finished is kept",
             WIFSIGNALED(how) ? WTERMSIG(how) : 0, job >= 0 ? o->job[job].name : "(none)");
    fail(o, message);
}

static void watch(struct office *o, pid_t *pid, struct study_tally *tally) {
    const struct timespec nap = {.tv_nsec = 50000000};
    for (size_t alive = o->workers; alive > 0;) {
        nanosleep(&nap, NULL);
        if (o->pool->signal != NULL && *o->pool->signal != 0) atomic_store(&o->shared->stop, 1);
        for (size_t i = 0; i < o->workers; i++) {
            int how;
            if (pid[i] <= 0 || waitpid(pid[i], &how, WNOHANG) != pid[i]) continue;
            look_at_end(o, i, how);
            pid[i] = 0;
            alive--;
        }
        study_tally_draw(tally, o->slot, o->workers, o->shared->state, weft_clock());
    }
}

static enum weft_status verdict(const struct office *o) {
    weft_ctx *const ctx = o->s->ctx;
    size_t done = 0, cells = 0;
    if (atomic_load(&o->shared->failed))
        return weft_ctx_fail(ctx, WEFT_ERR_STATE, "%s", o->shared->message);
    for (size_t i = 0; i < o->jobs; i++) done += o->shared->state[i] == STUDY_JOB_DONE;
    if (done == o->jobs) return WEFT_OK;
    cells = o->jobs - done;
    return weft_ctx_fail(ctx, WEFT_ERR_STATE,
                         "%s: stopped with %zu cells still to run; the same command goes on",
                         o->s->def->name, cells);
}

static enum weft_status run_all(struct office *o) {
    struct study_tally tally;
    pid_t *const pid = study_room(o->s, o->workers, sizeof *pid);
    const pid_t self = getpid();
    fflush(stdout);
    for (size_t i = 0; i < o->workers; i++) {
        pid[i] = fork();
        if (pid[i] == 0) work(o, i, self);
        if (pid[i] > 0) continue;
        const int why = errno;
        atomic_store(&o->shared->stop, 1);
        for (size_t j = 0; j < i; j++) waitpid(pid[j], NULL, 0);
        return weft_ctx_fail(o->s->ctx, WEFT_ERR_NOMEM, "no worker process could be started: %s",
                             strerror(why));
    }
    study_tally_begin(&tally, o->s, o->pool, o->job, o->jobs, weft_clock());
    watch(o, pid, &tally);
    study_tally_end(&tally);
    return verdict(o);
}

enum weft_status study_pool_run(struct study *s, const struct study_pool *pool) {
    struct weft_cpu_info cpu;
    weft_cpu_query(&cpu);
    struct office o = {.s = s, .pool = pool};
    o.job = study_jobs_missing(s, &o.jobs);
    if (o.jobs == 0) return WEFT_OK;
    const size_t cores = pool->threads != 0 ? pool->threads : (size_t)cpu.cores_allowed;
    o.workers = pool->jobs != 0 ? pool->jobs : cores;
    if (o.workers > o.jobs) o.workers = o.jobs;
    o.threads = cores / o.workers > 0 ? cores / o.workers : 1;
    enum weft_status st = open_office(&o);
    if (st != WEFT_OK) return st;
    st = run_all(&o);
    munmap(o.shared, o.bytes);
    return st;
}
