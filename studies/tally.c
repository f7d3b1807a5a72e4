/* See tally.h. */
#include "studies/tally.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "train/progress.h"

#define BAR_WIDTH 16
#define REDRAW    0.2  /* seconds between bars */
#define PLAIN     30.0 /* seconds between lines, when no cell ends */
#define LEAST     1e6  /* FLOPs a job counts at least */

/* ---- what is to be done ---- */
const char *study_mode_name(enum study_mode mode) {
    static const char *const names[] = {"", "u1", "u2", "u3"};
    return names[mode];
}

static int longer_first(const void *a, const void *b, void *study) {
    const struct study *const s = study;
    const struct study_job *const x = a, *const y = b;
    const double fx = s->cell[x->cell].flops, fy = s->cell[y->cell].flops;
    if (fx != fy) return fx < fy ? 1 : -1;
    return x->cell < y->cell ? -1 : 1;
}

static bool is_there(struct study *s, const struct study_cell *c, const char *name) {
    struct study_record *record = NULL;
    size_t n;
    const bool there = study_lines_load(s, c, name, &record, &n) == WEFT_OK;
    free(record);
    return there;
}

struct study_job *study_jobs_missing(struct study *s, size_t *n) {
    struct study_job *const job = study_room(s, s->cells + 3, sizeof *job);
    *n = 0;
    for (size_t i = 0; i < s->cells; i++)
        if (!is_there(s, &s->cell[i], s->cell[i].name))
            job[(*n)++] = (struct study_job){i, STUDY_RUN, s->cell[i].name};
    qsort_r(job, *n, sizeof *job, longer_first, s);
    const bool timed = s->set.setting != STUDY_SMOKE;
    for (enum study_mode m = STUDY_PROVE; m <= STUDY_COST && s->cells > 0; m++)
        if ((m == STUDY_TWIN || !s->plain) && (m != STUDY_COST || timed) &&
            !is_there(s, &s->cell[s->proof], study_mode_name(m)))
            job[(*n)++] = (struct study_job){s->proof, m, study_mode_name(m)};
    return job;
}

/* ---- how far it is ---- */
static double work_of(const struct study_tally *t, size_t job) {
    const double flops = t->s->cell[t->job[job].cell].flops;
    return LEAST + (t->job[job].mode == STUDY_RUN ? flops : flops / 8);
}

void study_tally_begin(struct study_tally *t, const struct study *s, const struct study_pool *pool,
                       const struct study_job *job, size_t jobs, double now) {
    *t = (struct study_tally){
        .s = s, .pool = pool, .job = job, .jobs = jobs, .begin = now, .drawn = now};
    for (size_t i = 0; i < jobs; i++) t->total += work_of(t, i);
}

/* Share of the work that is done. */
static double share_done(const struct study_tally *t, const struct study_slot *slot, size_t workers,
                         const unsigned char *state, size_t *cells) {
    double done = 0;
    *cells = 0;
    for (size_t i = 0; i < t->jobs; i++) {
        if (state[i] != STUDY_JOB_DONE) continue;
        (*cells)++;
        done += work_of(t, i);
    }
    for (size_t w = 0; w < workers; w++)
        if (slot[w].job >= 0 && slot[w].steps > 0 && state[slot[w].job] == STUDY_JOB_RUNNING)
            done += work_of(t, (size_t)slot[w].job) * (double)slot[w].step / (double)slot[w].steps;
    return t->total > 0 ? done / t->total : 1;
}

/* A running job, another one each time; NULL: none. */
static const struct study_slot *pick(struct study_tally *t, const struct study_slot *slot,
                                     size_t workers) {
    t->turn++;
    for (size_t w = 0; w < workers; w++) {
        const struct study_slot *const s = &slot[(t->turn / 8 + w) % workers];
        if (s->job >= 0 && (size_t)s->job < t->jobs) return s;
    }
    return NULL;
}

static void describe(struct study_tally *t, const struct study_slot *slot, size_t workers,
                     char *buf, size_t size) {
    const struct study_slot *const s = pick(t, slot, workers);
    buf[0] = 0;
    if (s == NULL) return;
    const int n =
        snprintf(buf, size, "  %.60s %" PRIu64 "/%" PRIu64, t->job[s->job].name, s->step, s->steps);
    if (!isnan(s->loss) && n > 0 && (size_t)n < size)
        snprintf(buf + n, size - (size_t)n, " loss %.4f", s->loss);
}

void study_tally_draw(struct study_tally *t, const struct study_slot *slot, size_t workers,
                      const unsigned char *state, double now) {
    char bar[BAR_WIDTH + 1], what[160], left[WEFT_SHORT_TEXT], line[400], out[420];
    size_t cells;
    if (t->pool->write == NULL || now - t->drawn < REDRAW) return;
    const double share = share_done(t, slot, workers, state, &cells);
    const bool news = cells >= t->shown + (t->jobs + 9) / 10 || now - t->drawn >= PLAIN;
    if (!t->pool->terminal && !news) return;
    const double seconds = now - t->begin;
    double rest = share > 0.01 ? seconds / share - seconds : (double)NAN;
    if (isnan(rest) && t->pool->rate > 0)
        rest = t->total / t->pool->rate / (double)workers - seconds;
    describe(t, slot, workers, what, sizeof what);
    for (size_t i = 0; i < BAR_WIDTH; i++) bar[i] = (double)i < share * BAR_WIDTH ? '#' : '.';
    bar[BAR_WIDTH] = 0;
    snprintf(line, sizeof line, "%s%s%s%zu/%zu cells  eta %s%s", t->pool->terminal ? "[" : "",
             t->pool->terminal ? bar : "", t->pool->terminal ? "] " : "", cells, t->jobs,
             weft_short_time(rest > 0    ? rest
                             : share > 0 ? 0
                                         : (double)NAN,
                             left),
             what);
    const unsigned columns = t->pool->columns ? t->pool->columns : 80;
    if (t->pool->terminal)
        snprintf(out, sizeof out, "\r%.*s\x1b[K", (int)(columns > 1 ? columns - 1 : 1), line);
    else
        snprintf(out, sizeof out, "%s: %s\n", t->s->def->name, line);
    t->pool->write(t->pool->user, out);
    t->on_screen = t->pool->terminal;
    t->shown = cells;
    t->drawn = now;
}

void study_tally_end(struct study_tally *t) {
    if (t->on_screen && t->pool->write != NULL) t->pool->write(t->pool->user, "\r\x1b[K");
}
