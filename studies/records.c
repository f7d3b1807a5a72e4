/* A cell's records as text, one JSON object a line:
 *
 *   {"cell":{"part":"a","arm":"sgd","sigma":0.01,"seed":1},"step":0,"layer":2,"tensor":"q",
 *    "kind":"std","value":0.02}
 *
 * layer and tensor only where there is one. metrics.jsonl is all of these files in the order of the
 * grid. Nothing of time is in them: two runs can be compared by cmp. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "studies/inside.h"
#include "train/atomic.h"
#include "train/file_map.h"

#define LINE_ROOM 256 /* of a line behind its prefix */

/* ---- writing ---- */
static void put_cell(struct weft_json *j, const struct weft_study *def,
                     const struct study_cell *c) {
    const char part[2] = {c->part, 0};
    weft_json_open(j, "cell", '{');
    weft_json_text(j, "part", part);
    weft_json_text(j, "arm", c->arm);
    for (size_t i = 0; i < STUDY_NUMBERS && def->numbers[i] != NULL; i++)
        if (isfinite(c->number[i])) weft_json_real(j, def->numbers[i], c->number[i]);
    weft_json_count(j, "seed", c->seed);
    weft_json_close(j);
}

/* What every line of a cell begins with, to be freed. */
static char *prefix_of(const struct weft_study *def, const struct study_cell *c) {
    struct weft_json j = {0};
    weft_json_open(&j, NULL, '{');
    put_cell(&j, def, c);
    return j.failed ? NULL : j.data;
}

enum weft_status study_lines_begin(struct study_run *r) {
    r->prefix = prefix_of(r->s->def, r->cell);
    return r->prefix != NULL ? WEFT_OK
                             : weft_ctx_fail(r->ctx, WEFT_ERR_NOMEM, "out of memory for records");
}

void study_lines_end(struct study_run *r) {
    free(r->prefix);
    free(r->lines);
    r->prefix = r->lines = NULL;
    r->size = r->room = r->records = 0;
}

/* Room for a line; without it the records are lost, which study_lines_save reports. */
static bool make_room(struct study_run *r, size_t bytes) {
    if (r->prefix == NULL) return false;
    if (r->size + bytes <= r->room) return true;
    const size_t room = 2 * (r->size + bytes) + 4096;
    char *const more = realloc(r->lines, room);
    if (more == NULL) {
        study_lines_end(r);
        return false;
    }
    r->lines = more;
    r->room = room;
    return true;
}

void study_put(struct study_run *r, int64_t step, int layer, const char *tensor,
               enum study_kind kind, double value) {
    if (!make_room(r, (r->prefix ? strlen(r->prefix) : 0) + LINE_ROOM)) return;
    char number[WEFT_REAL_TEXT], where[96] = "";
    int n = 0;
    if (layer >= 0) n = snprintf(where, sizeof where, ",\"layer\":%d", layer);
    if (tensor != NULL && *tensor != 0)
        snprintf(where + n, sizeof where - (size_t)n, ",\"tensor\":\"%.40s\"", tensor);
    const char *const quote = isfinite(value) ? "" : "\"";
    r->size += (size_t)snprintf(r->lines + r->size, r->room - r->size,
                                "%s,\"step\":%" PRId64 "%s,\"kind\":\"%s\",\"value\":%s%s%s}\n",
                                r->prefix, step, where, study_kind_name(kind), quote,
                                weft_real_text(value, number), quote);
    r->records++;
}

static char *path_of(const struct study *s, const char *name) {
    return weft_text("%s/cells/%s.jsonl", s->dir, name);
}

enum weft_status study_lines_save(struct study_run *r, const char *name) {
    char *const path = path_of(r->s, name);
    enum weft_status st = WEFT_OK;
    if (path == NULL || r->prefix == NULL)
        st = weft_ctx_fail(r->ctx, WEFT_ERR_NOMEM, "%s: out of memory for its records", name);
    else
        st = weft_write_file(r->ctx, path, r->lines, r->size);
    free(path);
    return st;
}

/* ---- reading ---- */
struct scan {
    struct study *s;
    const char *at, *end;
};

static bool skip(struct scan *c, const char *text) {
    const size_t n = strlen(text);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, text, n) != 0) return false;
    c->at += n;
    return true;
}

static bool read_int(struct scan *c, int64_t *out) {
    char *after;
    errno = 0;
    *out = strtoll(c->at, &after, 10);
    const bool ok = after != c->at && after <= c->end && errno == 0;
    c->at = after;
    return ok;
}

/* Up to the closing quote, as one of few texts that live as long as the study. */
static const char *read_word(struct scan *c) {
    const char *const close = memchr(c->at, '"', (size_t)(c->end - c->at));
    if (close == NULL) return NULL;
    const char *const word = study_word(c->s, c->at, (size_t)(close - c->at));
    c->at = close + 1;
    return word;
}

static bool read_value(struct scan *c, double *out) {
    char *after;
    const bool quoted = skip(c, "\"");
    *out = strtod(c->at, &after);
    const bool ok = after != c->at && after <= c->end;
    c->at = after;
    return ok && (!quoted || skip(c, "\""));
}

static bool read_line(struct scan *c, const char *prefix, struct study_record *r) {
    int64_t layer = -1;
    r->tensor = "";
    if (!skip(c, prefix) || !skip(c, ",\"step\":") || !read_int(c, &r->step)) return false;
    if (skip(c, ",\"layer\":") && !read_int(c, &layer)) return false;
    if (skip(c, ",\"tensor\":\"") && (r->tensor = read_word(c)) == NULL) return false;
    r->layer = (int)layer;
    if (!skip(c, ",\"kind\":\"")) return false;
    const char *const kind = read_word(c);
    return kind != NULL && study_kind_named(kind, &r->kind) && skip(c, ",\"value\":") &&
           read_value(c, &r->value) && skip(c, "}\n");
}

static enum weft_status parse(struct study *s, const struct study_cell *c, const char *path,
                              const struct weft_file *f, struct study_record **record, size_t *n) {
    size_t lines = 0;
    for (size_t i = 0; i < f->size; i++) lines += f->data[i] == '\n';
    char *const prefix = prefix_of(s->def, c);
    /* A copy with a zero behind it: numbers are read by functions that stop there. */
    char *const text = malloc(f->size + 1);
    struct study_record *const r = malloc((lines + 1) * sizeof *r);
    bool ok = lines > 0;
    if (prefix == NULL || text == NULL || r == NULL) {
        free(prefix), free(text), free(r);
        return weft_ctx_fail(s->ctx, WEFT_ERR_NOMEM, "%s: out of memory", path);
    }
    if (f->size > 0) memcpy(text, f->data, f->size);
    text[f->size] = 0;
    struct scan scan = {s, text, text + f->size};
    for (size_t i = 0; i < lines && ok; i++) ok = read_line(&scan, prefix, &r[i]);
    ok = ok && scan.at == scan.end;
    free(prefix);
    free(text);
    if (!ok) {
        free(r);
        return weft_ctx_fail(s->ctx, WEFT_ERR_FORMAT, "%s: is damaged", path);
    }
    *record = r;
    *n = lines;
    return WEFT_OK;
}

enum weft_status study_lines_load(struct study *s, const struct study_cell *c, const char *name,
                                  struct study_record **record, size_t *n) {
    char *const path = path_of(s, name);
    struct weft_file f = {0};
    if (path == NULL) return weft_ctx_fail(s->ctx, WEFT_ERR_NOMEM, "out of memory");
    enum weft_status st = weft_file_open(s->ctx, path, &f);
    if (st == WEFT_OK) st = parse(s, c, path, &f, record, n);
    weft_file_close(&f);
    free(path);
    return st;
}

/* ---- metrics.jsonl ---- */
static enum weft_status append(struct study *s, const struct study_cell *c, struct weft_out *out) {
    char *const path = path_of(s, c->name);
    struct weft_file f = {0};
    if (path == NULL) return weft_ctx_fail(s->ctx, WEFT_ERR_NOMEM, "out of memory");
    enum weft_status st = weft_file_open(s->ctx, path, &f);
    if (st == WEFT_OK) st = weft_out_write(out, f.data, f.size);
    weft_file_close(&f);
    free(path);
    return st;
}

enum weft_status study_lines_join(struct study *s) {
    char *const path = weft_text("%s/metrics.jsonl", s->dir);
    struct weft_out out;
    if (path == NULL) return weft_ctx_fail(s->ctx, WEFT_ERR_NOMEM, "out of memory");
    enum weft_status st = weft_out_open(s->ctx, path, &out);
    free(path);
    if (st != WEFT_OK) return st;
    for (size_t i = 0; i < s->cells && st == WEFT_OK; i++) st = append(s, &s->cell[i], &out);
    if (st != WEFT_OK) {
        weft_out_abort(&out);
        return st;
    }
    return weft_out_commit(&out);
}
