/* See verdict.h. The universal checks are made here, from the files u1, u2 and u3 beside the cells.
 */
#include "studies/verdict.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "studies/inside.h"
#include "studies/tally.h"

#define U1_TOLERANCE 1e-5
#define ALL_PARTS    '*'

const char *check_class_name(enum check_class class) {
    static const char *const names[] = {"U", "ID", "TH", "EF", "RP"};
    return names[class];
}

const char *check_verdict_name(enum check_verdict verdict) {
    static const char *const names[] = {"pass", "fail", "vacuous", "not-reproduced", "report"};
    return names[verdict];
}

static enum check_verdict judge(enum check_class class, double value, double low, double high) {
    if (class == CHECK_RP) return CHECK_REPORT;
    if (isnan(value)) return CHECK_VACUOUS;
    if (value >= low && value <= high) return CHECK_PASS;
    return class == CHECK_EF ? CHECK_NOT_REPRODUCED : CHECK_FAIL;
}

void study_check(struct study *s, enum check_class class, char part, const char *what, double value,
                 double low, double high, const char *published) {
    const size_t number = ++s->numbered[class];
    const bool wanted = part == ALL_PARTS || study_has(s, part);
    s->checked = wanted && !(s->set.setting == STUDY_SMOKE && class >= CHECK_EF);
    if (!s->checked) return;
    s->check = study_grow(s, s->check, s->checks, sizeof *s->check);
    struct study_check *const c = &s->check[s->checks++];
    *c = (struct study_check){.class = class,
                              .value = value,
                              .low = low,
                              .high = high,
                              .verdict = judge(class, value, low, high),
                              .what = study_text(s, "%s", what),
                              .published = published,
                              .note = ""};
    snprintf(c->id, sizeof c->id, "%s%zu", check_class_name(class), number % 1000);
}

void study_remark(struct study *s, const char *fmt, ...) {
    char text[512];
    va_list args;
    if (!s->checked) return;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    struct study_check *const c = &s->check[s->checks - 1];
    c->note = *c->note ? study_text(s, "%s; %s", c->note, text) : study_text(s, "%s", text);
}

void check_near(struct check_worst *w, double got, double want, double tol, const char *fmt, ...) {
    const double far = isfinite(got) ? fabs(got - want) / tol : (double)INFINITY;
    if (w->n++ > 0 && far <= w->value) return;
    w->value = far;
    char name[64];
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    snprintf(w->where, sizeof w->where, "%s: %.6g, expected %.6g +- %.2g", name, got, want, tol);
}

void study_check_worst(struct study *s, enum check_class class, char part, const char *what,
                       const struct check_worst *w, const char *published) {
    study_check(s, class, part, what, w->n > 0 ? w->value : (double)NAN, 0, 1, published);
    if (w->n > 0) study_remark(s, "in units of the tolerance, worst of %zu: %s", w->n, w->where);
}

bool study_failed(const struct study *s, bool strict) {
    bool failed = false;
    for (size_t i = 0; i < s->checks; i++) {
        const struct study_check *const c = &s->check[i];
        const bool bad = c->verdict != CHECK_PASS && c->verdict != CHECK_REPORT;
        failed |= bad && (c->class < CHECK_EF || strict);
    }
    return failed;
}

/* ---- universal checks ---- */
/* U1: the largest deviation of a statistic from its recomputation. */
static void check_statistics(struct study *s, const struct study_record *r, size_t n) {
    struct check_worst w = {0};
    for (size_t i = 0; i < n; i++)
        if (r[i].kind == KIND_deviation)
            check_near(&w, r[i].value, 0, U1_TOLERANCE, "%s, layer %d", r[i].tensor, r[i].layer);
    study_check_worst(s, CHECK_U, ALL_PARTS, "fused statistics equal a recomputation in double", &w,
                      NULL);
}

static bool same_record(const struct study_record *a, const struct study_record *b) {
    const bool value =
        memcmp(&a->value, &b->value, sizeof a->value) == 0 || (isnan(a->value) && isnan(b->value));
    return a->step == b->step && a->layer == b->layer && a->kind == b->kind &&
           a->tensor == b->tensor && value;
}

/* U2: every record of the twin is one of the cell, in order. */
static void check_twin(struct study *s, const struct study_record *twin, size_t n) {
    const struct study_cell *const c = &s->cell[s->proof];
    size_t at = 0, same = 0;
    for (size_t i = 0; i < n; i++) {
        while (at < c->records && !same_record(&twin[i], &c->record[at])) at++;
        same += at < c->records;
    }
    study_check(s, CHECK_U, ALL_PARTS, "records that differ with other threads",
                n > 0 ? (double)(n - same) : (double)NAN, 0, 0, NULL);
    study_remark(s, "%zu records of cell %s", n, c->name);
}

/* U3: time of a step with all statistics over one without, minus 1, in %. */
static void check_cost(struct study *s, const struct study_record *r, size_t n) {
    double cost = (double)NAN;
    for (size_t i = 0; i < n; i++)
        if (r[i].kind == KIND_value) cost = 100 * (r[i].value - 1);
    study_check(s, CHECK_RP, ALL_PARTS, "cost of statistics, % of a step (U3; target below 1)",
                cost, 0, 1, NULL);
    s->numbered[CHECK_RP]--; /* it is U3, not one of the study's own */
    if (s->set.setting == STUDY_SMOKE) return;
    struct study_check *const c = &s->check[s->checks - 1];
    c->class = CHECK_U;
    snprintf(c->id, sizeof c->id, "U3");
}

static void universal(struct study *s, enum study_mode mode,
                      void (*check)(struct study *, const struct study_record *, size_t)) {
    struct study_record *r = NULL;
    size_t n = 0;
    if (s->cells > 0 &&
        study_lines_load(s, &s->cell[s->proof], study_mode_name(mode), &r, &n) != WEFT_OK)
        n = 0;
    check(s, r, n);
    free(r);
}

static void check_cells(struct study *s) {
    size_t there = 0;
    for (size_t i = 0; i < s->cells; i++) there += s->cell[i].records > 0;
    study_check(s, CHECK_U, ALL_PARTS, "cells of the grid that are not in metrics.jsonl",
                s->cells > 0 ? (double)(s->cells - there) : (double)NAN, 0, 0, NULL);
    study_remark(s, "%zu cells", s->cells);
    snprintf(s->check[s->checks - 1].id, sizeof s->check->id, "U4");
}

enum weft_status study_judge(struct study *s) {
    enum weft_status st = WEFT_OK;
    for (size_t i = 0; i < s->cells && st == WEFT_OK; i++) {
        struct study_cell *const c = &s->cell[i];
        free(c->record);
        c->record = NULL;
        c->records = 0;
        st = study_lines_load(s, c, c->name, &c->record, &c->records);
    }
    if (st != WEFT_OK) return st;
    if (!s->plain) universal(s, STUDY_PROVE, check_statistics);
    s->numbered[CHECK_U] = 1;
    universal(s, STUDY_TWIN, check_twin);
    if (!s->plain) universal(s, STUDY_COST, check_cost);
    check_cells(s);
    s->def->judge(s);
    return s->status;
}
