/* See driver.h. */
#include "studies/driver.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "studies/figure.h"
#include "studies/index.h"
#include "studies/inside.h"
#include "studies/study_page.h"
#include "train/atomic.h"
#include "train/options.h"
#include "train/page.h"
#include "train/progress.h"

#define LONG_RUN 3600.0 /* seconds above which --yes is asked for */

static void say(const struct study_request *q, const char *fmt, ...) WEFT_FORMAT(2, 3);
static void say(const struct study_request *q, const char *fmt, ...) {
    char text[1200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (q->write != NULL) q->write(q->user, text);
}

/* ---- from a request to a grid ---- */
static enum weft_status find(weft_ctx *ctx, const char *name, const struct weft_study **out) {
    const char *names[64] = {NULL};
    *out = study_named(name);
    if (*out != NULL) return WEFT_OK;
    for (size_t i = 0; study_at(i) != NULL && i + 1 < 64; i++) names[i] = study_at(i)->name;
    const char *const near = weft_nearest_word(name, names);
    return weft_ctx_fail(ctx, WEFT_ERR_ARG, "unknown study '%s'%s%s%s (weft study list shows all)",
                         name, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static enum weft_status check_settings(weft_ctx *ctx, const struct weft_study *def,
                                       const struct study_settings *set) {
    for (const char *p = set->parts; *p != 0; p++)
        if (strchr(def->parts, *p) == NULL)
            return weft_ctx_fail(ctx, WEFT_ERR_ARG, "study %s has no part '%c': it has %s",
                                 def->name, *p, def->parts);
    bool any = set->setting != STUDY_QUICK || def->slow == NULL;
    for (const char *p = set->parts; *p != 0 && !any; p++) any = strchr(def->slow, *p) == NULL;
    if (!any)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                             "study %s: --quick leaves out part %s: run it without --quick",
                             def->name, set->parts);
    if (set->setting == STUDY_PAPER && !def->paper)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG,
                             "study %s has no --paper setting: no size was published", def->name);
    return WEFT_OK;
}

static void begin(struct study *s, weft_ctx *ctx, const struct weft_study *def,
                  enum study_setting setting, const char *parts, uint64_t seeds) {
    *s = (struct study){.def = def, .ctx = ctx};
    s->set = (struct study_settings){
        .setting = setting, .parts = parts == NULL ? def->parts : parts, .seeds = seeds};
}

/* ---- the folder ---- */
static char *default_folder(const struct study_request *q, const char *name) {
    const bool plain = q->setting == STUDY_DEFAULT;
    return weft_text("runs/studies%s%s%s%s", plain ? "" : "-",
                     plain ? "" : study_setting_name(q->setting), name == NULL ? "" : "/",
                     name == NULL ? "" : name);
}

static bool is_empty(const char *path) {
    DIR *const d = opendir(path);
    size_t n = 0;
    for (const struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    if (d != NULL) closedir(d);
    return n == 0;
}

static enum weft_status lock(weft_ctx *ctx, const char *path, int *fd) {
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0)
        return weft_ctx_fail(ctx, WEFT_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return weft_ctx_fail(ctx, WEFT_ERR_STATE,
                             "%s: another process is running a study into this folder: wait for "
                             "it, or choose another --out",
                             path);
    return WEFT_OK;
}

/* What the folder holds must be what is asked for. */
static enum weft_status compare(struct study *s, const struct study_mark *m) {
    const char *const choose = "go on with the same, or choose another --out";
    if (strcmp(m->name, s->def->name) != 0)
        return weft_ctx_fail(s->ctx, WEFT_ERR_STATE,
                             "%s: holds study %s, not %s: choose another "
                             "--out",
                             s->dir, m->name, s->def->name);
    if (m->setting != s->set.setting)
        return weft_ctx_fail(s->ctx, WEFT_ERR_STATE, "%s: holds the %s setting, not %s: %s", s->dir,
                             study_setting_name(m->setting), study_setting_name(s->set.setting),
                             choose);
    if (strcmp(m->parts, s->set.parts) != 0)
        return weft_ctx_fail(s->ctx, WEFT_ERR_STATE, "%s: holds parts %s, not %s: %s", s->dir,
                             m->parts, s->set.parts, choose);
    if (m->seeds != s->set.seeds)
        return weft_ctx_fail(s->ctx, WEFT_ERR_STATE,
                             "%s: was run with --seeds %" PRIu64 ", not %" PRIu64
                             " (0: the setting's own): %s",
                             s->dir, m->seeds, s->set.seeds, choose);
    if (s->corpus->bytes > 0 && m->hash != s->corpus->hash)
        return weft_ctx_fail(s->ctx, WEFT_ERR_STATE, "%s: was run on other data than %s: %s",
                             s->dir, s->corpus->path, choose);
    return WEFT_OK;
}

static enum weft_status open_folder(struct study *s, int *fd) {
    struct study_mark mark;
    char *const cells = weft_text("%s/cells", s->dir), *const file =
                                                           weft_text("%s/study.json", s->dir);
    enum weft_status st = WEFT_OK;
    *fd = -1;
    if (cells == NULL || file == NULL) st = weft_ctx_fail(s->ctx, WEFT_ERR_NOMEM, "out of memory");
    if (st == WEFT_OK) st = weft_make_folder(s->ctx, s->dir);
    if (st == WEFT_OK) st = lock(s->ctx, s->dir, fd);
    if (st == WEFT_OK && access(file, F_OK) == 0) {
        st = study_mark_read(s->ctx, s->dir, &mark);
        if (st == WEFT_OK) st = compare(s, &mark);
    } else if (st == WEFT_OK) {
        st = is_empty(s->dir) ? study_mark_write(s)
                              : weft_ctx_fail(s->ctx, WEFT_ERR_STATE,
                                              "%s: holds files of something else: choose another "
                                              "--out",
                                              s->dir);
    }
    if (st == WEFT_OK) st = weft_make_folder(s->ctx, cells);
    free(cells);
    free(file);
    return st;
}

/* ---- running ---- */
static double rate_of(const struct weft_study *def) {
    double mlp, gpt;
    study_measure(&mlp, &gpt);
    return def->language ? gpt : mlp;
}

/* A run of more than an hour wants to be meant. */
static enum weft_status announce(struct study *s, const struct study_request *q,
                                 struct study_pool *pool) {
    char time[WEFT_SHORT_TEXT], work[WEFT_SHORT_TEXT];
    struct weft_cpu_info cpu;
    weft_cpu_query(&cpu);
    const double flops = study_flops(s);
    const double workers = q->threads ? (double)q->threads : (double)cpu.cores_allowed;
    if (s->set.setting != STUDY_SMOKE) pool->rate = rate_of(s->def);
    const double seconds = pool->rate > 0 ? flops / pool->rate / workers : (double)NAN;
    say(q, "%s: %zu cells, %sFLOP%s%s, into %s\n", s->def->name, s->cells,
        weft_short_number(flops, work), seconds > 0 ? ", about " : "",
        seconds > 0 ? weft_short_time(seconds, time) : "", s->dir);
    if (seconds > LONG_RUN && !q->yes)
        return weft_ctx_fail(
            s->ctx, WEFT_ERR_ARG,
            "study %s takes about %s on this machine: say --yes if it is meant, or "
            "--quick",
            s->def->name, weft_short_time(seconds, time));
    return WEFT_OK;
}

static enum weft_status publish(struct study *s, const struct study_request *q) {
    bool drawn = false;
    enum weft_status st = study_judge(s);
    if (st == WEFT_OK) st = study_lines_join(s);
    if (st == WEFT_OK) st = study_result_write(s);
    if (st == WEFT_OK) st = figure_write_all(s, &drawn);
    if (st == WEFT_OK && !drawn && s->figures > 0)
        say(q,
            "%s: no pictures: gnuplot is not installed (apt install gnuplot-nox, then weft study "
            "report %s)\n",
            s->def->name, s->dir);
    return st == WEFT_OK ? page_write(s) : st;
}

static void say_checks(const struct study *s, const struct study_request *q) {
    char value[32];
    size_t passed = 0, judged = 0;
    for (size_t i = 0; i < s->checks; i++) {
        const struct study_check *const c = &s->check[i];
        judged += c->verdict != CHECK_REPORT;
        passed += c->verdict == CHECK_PASS;
        if (c->verdict == CHECK_PASS || c->verdict == CHECK_REPORT) continue;
        say(q, "%s: %s %s: %s = %s%s%s\n", s->def->name, c->id,
            c->verdict == CHECK_NOT_REPRODUCED ? "not reproduced at this size"
                                               : check_verdict_name(c->verdict),
            c->what, isnan(c->value) ? "no data" : weft_real_text(c->value, value),
            *c->note ? "; " : "", c->note);
    }
    if (s->answer != NULL) say(q, "%s: %s\n", s->def->name, s->answer);
    say(q, "%s: %zu of %zu checks pass; %s/report.html\n", s->def->name, passed, judged, s->dir);
}

static enum weft_status run_study(struct study *s, const struct study_request *q, bool *failed) {
    struct study_pool pool = {.jobs = q->jobs,
                              .threads = q->threads,
                              .isa = q->isa,
                              .terminal = q->terminal,
                              .columns = q->columns,
                              .signal = q->signal,
                              .write = q->write,
                              .user = q->user};
    int fd = -1;
    enum weft_status st =
        study_corpus_open(s->ctx, q->data == NULL ? "data" : q->data, s->def->data, &s->corpus);
    if (st == WEFT_OK) s->def->grid(s);
    if (st == WEFT_OK) st = s->status;
    if (st == WEFT_OK && s->cells == 0)
        st = weft_ctx_fail(s->ctx, WEFT_ERR_ARG, "study %s: nothing to run", s->def->name);
    if (st == WEFT_OK) st = announce(s, q, &pool);
    if (st == WEFT_OK) st = open_folder(s, &fd);
    if (st == WEFT_OK) st = study_pool_run(s, &pool);
    if (st == WEFT_OK) st = publish(s, q);
    if (fd >= 0) close(fd);
    if (st != WEFT_OK) return st;
    say_checks(s, q);
    *failed = study_failed(s, q->strict);
    return WEFT_OK;
}

enum weft_status study_run_named(weft_ctx *ctx, const char *name, const struct study_request *q,
                                 bool *failed) {
    const struct weft_study *def;
    struct study s;
    enum weft_status st = find(ctx, name, &def);
    if (st != WEFT_OK) return st;
    begin(&s, ctx, def, q->setting, q->part, q->seeds);
    st = check_settings(ctx, def, &s.set);
    if (st != WEFT_OK) return st;
    char *const own = q->out == NULL ? default_folder(q, def->name) : NULL;
    s.dir = q->out == NULL ? own : q->out;
    st = s.dir == NULL ? weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory")
                       : run_study(&s, q, failed);
    study_free(&s);
    free(own);
    return st;
}

/* ---- all ---- */
/* One study in a process of its own, because it forks workers and runs parallel regions after. */
static int run_apart(weft_ctx *ctx, const char *name, const struct study_request *q) {
    fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
        bool failed = false;
        const enum weft_status st = study_run_named(ctx, name, q, &failed);
        if (st != WEFT_OK) fprintf(stderr, "weft: %s\n", weft_ctx_message(ctx));
        fflush(stdout);
        _exit(st != WEFT_OK ? 2 : failed ? 1 : 0);
    }
    int how = -1;
    while (pid > 0 && waitpid(pid, &how, 0) < 0 && errno == EINTR) {
    }
    return pid > 0 && WIFEXITED(how) ? WEXITSTATUS(how) : 2;
}

static bool is_stopped(const struct study_request *q) {
    return q->signal != NULL && *q->signal != 0;
}

enum weft_status study_run_every(weft_ctx *ctx, const struct study_request *q, bool *failed) {
    char *const base = q->out == NULL ? default_folder(q, NULL) : strdup(q->out);
    if (base == NULL) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory");
    size_t broken = 0, wrong = 0, n = 0;
    for (; study_at(n) != NULL && !is_stopped(q); n++) {
        struct study_request one = *q;
        char *const dir = weft_text("%s/%s", base, study_at(n)->name);
        one.out = dir;
        if (q->setting == STUDY_PAPER && !study_at(n)->paper) one.setting = STUDY_DEFAULT;
        const int code = dir == NULL ? 2 : run_apart(ctx, study_at(n)->name, &one);
        broken += code > 1;
        wrong += code == 1;
        free(dir);
    }
    enum weft_status st = is_stopped(q) ? weft_ctx_fail(ctx, WEFT_ERR_STATE,
                                                        "stopped after %zu studies; the same "
                                                        "command goes on",
                                                        n)
                                        : index_write(ctx, base);
    if (st == WEFT_OK) say(q, "%s/index.html\n", base);
    if (st == WEFT_OK && broken > 0)
        st = weft_ctx_fail(ctx, WEFT_ERR_STATE, "%zu studies could not be run: see above", broken);
    *failed = wrong > 0;
    free(base);
    return st;
}

/* ---- redraw ---- */
/* What a judgement needs to know of data that it does not read again. */
static struct study_corpus *remember(const struct study_mark *m) {
    struct study_corpus *const c = calloc(1, sizeof *c);
    if (c == NULL) return NULL;
    *c = (struct study_corpus){.path = m->data,
                               .bytes = m->has_data ? m->bytes : 0,
                               .hash = m->hash,
                               .vocab = m->vocab,
                               .h1 = m->h1,
                               .h2 = m->h2};
    return c;
}

static enum weft_status redraw(weft_ctx *ctx, const char *dir, const struct study_request *q,
                               FILE *page, bool *failed) {
    struct study_mark mark;
    const struct weft_study *def;
    struct study s;
    enum weft_status st = study_mark_read(ctx, dir, &mark);
    if (st == WEFT_ERR_FORMAT)
        return weft_ctx_fail(ctx, st, "%s: is no folder of weft study (no valid study.json)", dir);
    if (st == WEFT_OK) st = find(ctx, mark.name, &def);
    if (st != WEFT_OK) return st;
    begin(&s, ctx, def, mark.setting, mark.parts, mark.seeds);
    s.dir = dir;
    s.corpus = remember(&mark);
    st = s.corpus == NULL ? weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory") : WEFT_OK;
    if (st == WEFT_OK) def->grid(&s);
    if (st == WEFT_OK) st = publish(&s, q);
    if (st == WEFT_ERR_IO || st == WEFT_ERR_FORMAT) {
        char why[WEFT_MESSAGE_MAX];
        memcpy(why, weft_ctx_message(ctx), sizeof why);
        weft_ctx_fail(ctx, st, "%.700s (not all cells are there: run weft study %s --out %s)", why,
                      def->name, dir);
    }
    if (st == WEFT_OK) {
        say_checks(&s, q);
        *failed |= study_failed(&s, q->strict);
        if (page != NULL) page_study(page, &s, false);
    }
    study_free(&s);
    return st;
}

static enum weft_status redraw_all(weft_ctx *ctx, const char *const *dirs, size_t n,
                                   const struct study_request *q, FILE *page, bool *failed) {
    enum weft_status st = WEFT_OK;
    for (size_t i = 0; i < n && st == WEFT_OK; i++) st = redraw(ctx, dirs[i], q, page, failed);
    return st;
}

enum weft_status study_redraw(weft_ctx *ctx, const char *const *dirs, size_t n,
                              const struct study_request *q, bool *failed) {
    struct weft_page page;
    if (n < 2) return redraw_all(ctx, dirs, n, q, NULL, failed);
    char *const own = q->out == NULL ? weft_text("%s/studies.html", dirs[0]) : strdup(q->out);
    if (own == NULL) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory");
    enum weft_status st = weft_page_open(ctx, &page);
    if (st == WEFT_OK) {
        page_begin(page.out, "studies");
        st = redraw_all(ctx, dirs, n, q, page.out, failed);
        page_end(page.out);
        char why[WEFT_MESSAGE_MAX];
        memcpy(why, weft_ctx_message(ctx), sizeof why);
        page.failed |= st != WEFT_OK;
        const enum weft_status wrote = weft_page_commit(ctx, &page, own);
        st = st == WEFT_OK ? wrote : weft_ctx_fail(ctx, st, "%s", why);
    }
    if (st == WEFT_OK) say(q, "%s\n", own);
    free(own);
    return st;
}

/* ---- list ---- */
enum weft_status study_list(weft_ctx *ctx, FILE *out) {
    struct weft_cpu_info cpu;
    double mlp, gpt;
    weft_cpu_query(&cpu);
    study_measure(&mlp, &gpt);
    for (size_t i = 0; study_at(i) != NULL; i++) {
        const struct weft_study *const def = study_at(i);
        fprintf(out, "%-19s%s\n", def->name, def->question);
        for (enum study_setting set = STUDY_QUICK; set < STUDY_SETTINGS; set++) {
            char work[WEFT_SHORT_TEXT], time[WEFT_SHORT_TEXT];
            struct study s;
            if (set == STUDY_PAPER && !def->paper) continue;
            begin(&s, ctx, def, set, NULL, 0);
            s.corpus = calloc(1, sizeof *s.corpus);
            if (s.corpus == NULL) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory");
            s.corpus->vocab = 256;
            def->grid(&s);
            const double rate = (def->language ? gpt : mlp) * cpu.cores_allowed;
            fprintf(out, "%-19s  %-8s%6zu cells  %8sFLOP  about %s\n", "", study_setting_name(set),
                    s.cells, weft_short_number(study_flops(&s), work),
                    rate > 0 ? weft_short_time(study_flops(&s) / rate, time) : "?");
            study_free(&s);
        }
    }
    return WEFT_OK;
}
