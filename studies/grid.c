/* What grids and judgements are made of: cells, notes, memory. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "studies/inside.h"
#include "studies/stats.h"

/* ---- memory ---- */
struct study_chunk {
    struct study_chunk *next;
    _Alignas(16) unsigned char data[];
};

void *study_room(struct study *s, size_t n, size_t size) {
    struct study_chunk *const c = calloc(1, sizeof *c + n * size + 1);
    if (c == NULL) {
        fputs("weft: out of memory in a study; what is finished is kept\n", stderr);
        exit(EXIT_FAILURE);
    }
    c->next = s->chunks;
    s->chunks = c;
    return c->data;
}

double *study_doubles(struct study *s, size_t n) { return study_room(s, n, sizeof(double)); }

static char *text_of(struct study *s, const char *fmt, va_list args) {
    char buf[1024];
    vsnprintf(buf, sizeof buf, fmt, args);
    return strcpy(study_room(s, strlen(buf) + 1, 1), buf);
}

char *study_text(struct study *s, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    char *const text = text_of(s, fmt, args);
    va_end(args);
    return text;
}

void *study_grow(struct study *s, void *list, size_t used, size_t size) {
    if (used < 16 ? used != 0 : (used & (used - 1)) != 0) return list; /* room for a power of two */
    void *const more = study_room(s, used < 16 ? 16 : 2 * used, size);
    if (used > 0) memcpy(more, list, used * size);
    return more;
}

const char *study_word(struct study *s, const char *text, size_t n) {
    for (size_t i = 0; i < s->words; i++)
        if (strncmp(s->word[i], text, n) == 0 && s->word[i][n] == 0) return s->word[i];
    s->word = study_grow(s, s->word, s->words, sizeof *s->word);
    char *const word = study_room(s, n + 1, 1);
    memcpy(word, text, n);
    return s->word[s->words++] = word;
}

void study_free(struct study *s) {
    for (size_t i = 0; i < s->cells; i++) free(s->cell[i].record);
    study_corpus_free(s->corpus);
    for (struct study_chunk *c = s->chunks; c != NULL;) {
        struct study_chunk *const next = c->next;
        free(c);
        c = next;
    }
    *s = (struct study){0};
}

/* ---- lists ---- */
static const struct weft_study *const studies[] = {
#define WEFT_STUDY(name) &study_##name,
#include "studies/studies.def"
#undef WEFT_STUDY
    NULL,
};

const struct weft_study *study_at(size_t i) {
    return i < sizeof studies / sizeof *studies ? studies[i] : NULL;
}

const struct weft_study *study_named(const char *name) {
    for (size_t i = 0; studies[i] != NULL; i++)
        if (strcmp(studies[i]->name, name) == 0) return studies[i];
    return NULL;
}

const char *study_kind_name(enum study_kind kind) {
    static const char *const names[] = {
#define STUDY_KIND(name) #name,
#include "studies/kinds.def"
#undef STUDY_KIND
    };
    return names[kind];
}

bool study_kind_named(const char *name, enum study_kind *out) {
    for (enum study_kind k = 0; k < STUDY_KINDS; k++) {
        if (strcmp(study_kind_name(k), name) != 0) continue;
        *out = k;
        return true;
    }
    return false;
}

const char *study_setting_name(enum study_setting setting) {
    static const char *const names[] = {"smoke", "quick", "default", "paper"};
    return names[setting];
}

/* ---- settings ---- */
bool study_has(const struct study *s, char part) {
    const char *const slow = s->def->slow;
    if (s->set.setting == STUDY_QUICK && slow != NULL && strchr(slow, part) != NULL) return false;
    return strchr(s->set.parts, part) != NULL;
}

double study_pick(const struct study *s, double smoke, double quick, double normal, double paper) {
    const double value[] = {smoke, quick, normal, paper};
    return value[s->set.setting];
}

size_t study_seeds(const struct study *s, size_t smoke, size_t quick, size_t normal) {
    if (s->set.seeds != 0) return (size_t)s->set.seeds;
    return (size_t)study_pick(s, (double)smoke, (double)quick, (double)normal, (double)normal);
}

void study_note(struct study *s, const char *key, const char *fmt, ...) {
    s->note = study_grow(s, s->note, s->notes, sizeof *s->note);
    va_list args;
    va_start(args, fmt);
    s->note[s->notes++] = (struct study_note){.key = key, .text = text_of(s, fmt, args)};
    va_end(args);
}

void study_sum(struct study *s, const char *key, double value) {
    s->note = study_grow(s, s->note, s->notes, sizeof *s->note);
    s->note[s->notes++] = (struct study_note){.key = study_text(s, "%s", key), .value = value};
}

void study_answer(struct study *s, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    s->answer = text_of(s, fmt, args);
    va_end(args);
}

/* ---- cells ---- */
/* "a.sgd.sigma=0.01.seed=1" */
static char *cell_name(struct study *s, const struct study_cell *c) {
    char buf[256];
    int n = snprintf(buf, sizeof buf, "%c.%s", c->part, c->arm);
    for (size_t i = 0; i < STUDY_NUMBERS && s->def->numbers[i] != NULL; i++)
        if (isfinite(c->number[i]))
            n += snprintf(buf + n, sizeof buf - (size_t)n, ".%s=%.9g", s->def->numbers[i],
                          c->number[i]);
    snprintf(buf + n, sizeof buf - (size_t)n, ".seed=%" PRIu64, c->seed);
    for (char *p = buf; *p != 0; p++)
        if (*p == '/' || *p == ' ') *p = '_';
    return study_text(s, "%s", buf);
}

struct study_cell *study_add(struct study *s, char part, const char *arm, uint64_t seed,
                             double flops, double n0, double n1) {
    if (!study_has(s, part)) return NULL;
    if (s->cells == s->room) {
        s->room = s->room == 0 ? 64 : 2 * s->room;
        struct study_cell *const more = study_room(s, s->room, sizeof *more);
        if (s->cells > 0) memcpy(more, s->cell, s->cells * sizeof *more);
        s->cell = more;
    }
    struct study_cell *const c = &s->cell[s->cells++];
    *c = (struct study_cell){.part = part,
                             .arm = study_text(s, "%s", arm),
                             .number = {n0, n1, (double)NAN, (double)NAN},
                             .seed = seed,
                             .flops = flops};
    c->name = cell_name(s, c);
    return c;
}

double study_mlp_flops(const size_t *widths, size_t n) {
    double sum = 0;
    for (size_t i = 0; i + 1 < n; i++) sum += 6 * (double)widths[i] * (double)widths[i + 1];
    return sum;
}

double study_gpt_flops(size_t layers, size_t width, size_t seq, size_t vocab) {
    const double l = (double)layers, d = (double)width;
    return 6 * (12 * l * d * d + d * (double)vocab) + 6 * l * (double)seq * d;
}

/* ---- records, read ---- */
static bool same(double a, double b) { return isnan(b) || fabs(a - b) <= 1e-9 * fabs(b); }

const struct study_cell *study_find(const struct study *s, char part, const char *arm, double n0,
                                    double n1, uint64_t seed) {
    for (size_t i = 0; i < s->cells; i++) {
        const struct study_cell *const c = &s->cell[i];
        if (c->part == part && (arm == NULL || strcmp(c->arm, arm) == 0) &&
            same(c->number[0], n0) && same(c->number[1], n1) && (seed == 0 || c->seed == seed))
            return c;
    }
    return NULL;
}

static bool matches(const struct study_record *r, enum study_kind kind, int layer,
                    const char *tensor) {
    return r->kind == kind && r->layer == layer && strcmp(r->tensor, tensor) == 0;
}

double study_value(const struct study_cell *c, enum study_kind kind, int layer, const char *tensor,
                   int64_t step) {
    for (size_t i = c == NULL ? 0 : c->records; i-- > 0;) {
        const struct study_record *const r = &c->record[i];
        if (matches(r, kind, layer, tensor) && (step == STUDY_LAST || step == r->step))
            return r->value;
    }
    return (double)NAN;
}

size_t study_series(const struct study_cell *c, enum study_kind kind, int layer, const char *tensor,
                    double *x, double *y, size_t max) {
    size_t n = 0;
    for (size_t i = 0; c != NULL && i < c->records && n < max; i++) {
        const struct study_record *const r = &c->record[i];
        if (!matches(r, kind, layer, tensor)) continue;
        if (x != NULL) x[n] = (double)r->step;
        y[n++] = r->value;
    }
    return n;
}

size_t study_seeds_of(const struct study *s, char part, const char *arm, double n0, double n1,
                      const struct study_cell **out, size_t max) {
    size_t n = 0;
    for (size_t i = 0; i < s->cells && n < max; i++) {
        const struct study_cell *const c = &s->cell[i];
        if (c->part == part && (arm == NULL || strcmp(c->arm, arm) == 0) &&
            same(c->number[0], n0) && same(c->number[1], n1))
            out[n++] = c;
    }
    return n;
}

struct study_spread study_spread_of(const struct study *s, char part, const char *arm, double n0,
                                    double n1, double (*value)(const struct study_cell *c)) {
    const struct study_cell *cell[STUDY_MAX_SEEDS];
    double x[STUDY_MAX_SEEDS] = {0};
    struct study_spread r = {.low = (double)INFINITY, .high = -(double)INFINITY};
    r.all = study_seeds_of(s, part, arm, n0, n1, cell, STUDY_MAX_SEEDS);
    for (size_t i = 0; i < r.all; i++) {
        x[r.n] = value(cell[i]);
        if (!isfinite(x[r.n])) continue;
        r.low = fmin(r.low, x[r.n]);
        r.high = fmax(r.high, x[r.n]);
        r.n++;
    }
    r.mean = stats_mean(x, r.n);
    r.sd = stats_sd(x, r.n);
    if (r.n == 0) r.low = r.high = (double)NAN;
    return r;
}

double study_final_loss(const struct study_cell *c) {
    const size_t n = study_count(c, KIND_loss), tail = (n + 19) / 20;
    double sum = 0;
    size_t seen = 0;
    if (n == 0 || isfinite(study_value(c, KIND_diverged, -1, "", STUDY_LAST))) return (double)NAN;
    for (size_t i = c->records; i-- > 0 && seen < tail;)
        if (c->record[i].kind == KIND_loss) {
            sum += c->record[i].value;
            seen++;
        }
    return sum / (double)tail;
}

size_t study_count(const struct study_cell *c, enum study_kind kind) {
    size_t n = 0;
    for (size_t i = 0; c != NULL && i < c->records; i++) n += c->record[i].kind == kind;
    return n;
}
