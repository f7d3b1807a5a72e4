#include "train/run_diff.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "train/atomic.h"
#include "train/file_map.h"
#include "train/json_out.h"
#include "train/run_data.h"
#include "train/safetensors.h"

/* ---- hashes ---- */
static void shape_text(const struct weft_st_entry *e, char *buf, size_t size) {
    size_t n = (size_t)snprintf(buf, size, "(");
    for (size_t i = 0; i < e->rank && n < size; i++)
        n += (size_t)snprintf(buf + n, size - n, "%s%zu", i ? ", " : "", e->shape[i]);
    if (n < size) snprintf(buf + n, size - n, ")");
}

static enum weft_status out_of_memory(weft_ctx *ctx, const char *path) {
    return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory reading %s", path);
}

/* Hash the model in directory path; takes ownership of path. */
static enum weft_status hash_checkpoint(weft_ctx *ctx, char *path, uint64_t step,
                                        struct weft_checkpoint_hash *out) {
    *out = (struct weft_checkpoint_hash){.path = path, .step = step};
    char *name = path ? weft_text("%s/model.safetensors", path) : NULL;
    weft_st_file *file = NULL;
    enum weft_status st =
        name ? weft_st_open(ctx, name, &file) : out_of_memory(ctx, "a checkpoint");
    free(name);
    if (st != WEFT_OK) return st;
    const size_t n = weft_st_count(file);
    out->tensor = calloc(n + 1, sizeof *out->tensor);
    if (!out->tensor) st = out_of_memory(ctx, path);
    for (size_t i = 0; i < n && st == WEFT_OK; i++) {
        const struct weft_st_entry *e = weft_st_entry(file, i);
        struct weft_tensor_hash *t = &out->tensor[out->tensors++];
        t->name = strdup(e->name);
        if (!t->name) st = out_of_memory(ctx, path);
        shape_text(e, t->shape, sizeof t->shape);
        t->hash = weft_hash(e->data, e->size, 0);
        out->total = weft_hash(e->name, strlen(e->name), out->total);
        out->total = weft_hash(&t->hash, sizeof t->hash, out->total);
    }
    weft_st_close(file);
    return st;
}

enum weft_status weft_run_hash(weft_ctx *ctx, const char *dir, struct weft_checkpoint_hash **out,
                               size_t *n) {
    char *model = weft_text("%s/model.safetensors", dir);
    char *folder = weft_text("%s/checkpoints", dir);
    uint64_t *steps = NULL;
    size_t count = 0, done = 0;
    enum weft_status st = model && folder ? WEFT_OK : out_of_memory(ctx, dir);
    const bool single = model && access(model, F_OK) == 0;
    if (st == WEFT_OK && !single) st = weft_checkpoint_list(ctx, folder, &steps, &count);
    if (st == WEFT_OK && !single && count == 0)
        st = weft_ctx_fail(ctx, WEFT_ERR_IO,
                           "%s: no checkpoints: neither checkpoints/step-* nor model.safetensors",
                           dir);
    if (single) count = 1;
    struct weft_checkpoint_hash *list = calloc(count + 1, sizeof *list);
    if (st == WEFT_OK && !list) st = out_of_memory(ctx, dir);
    for (; done < count && st == WEFT_OK; done++) {
        char name[WEFT_CHECKPOINT_NAME];
        char *path = single ? strdup(dir)
                            : weft_text("%s/%s", folder, weft_checkpoint_name(steps[done], name));
        st = hash_checkpoint(ctx, path, single ? 0 : steps[done], &list[done]);
    }
    free(steps);
    free(folder);
    free(model);
    if (st != WEFT_OK) {
        weft_run_hash_free(list, done);
        return st;
    }
    *out = list;
    *n = count;
    return WEFT_OK;
}

void weft_run_hash_free(struct weft_checkpoint_hash *list, size_t n) {
    for (size_t i = 0; list && i < n; i++) {
        for (size_t t = 0; t < list[i].tensors; t++) free(list[i].tensor[t].name);
        free(list[i].tensor);
        free(list[i].path);
    }
    free(list);
}

/* ---- metrics and statistics ---- */
static bool same_value(double a, double b) { return a == b || (isnan(a) && isnan(b)); }

static bool is_time(const char *key) {
    return !strcmp(key, "tokens_per_s") || !strcmp(key, "step_ms");
}

/* Note a difference at this step unless an earlier one is known. */
static bool earlier(struct weft_run_difference *d, const char *where, double step) {
    if (d->where && (double)d->step <= step) return false;
    d->where = where;
    d->step = (uint64_t)step;
    return true;
}

static void track_name(const struct weft_track *t, char *buf, size_t size) {
    if (!*t->tensor)
        snprintf(buf, size, "%s", t->kind);
    else if (t->layer < 0)
        snprintf(buf, size, "%s of %s", t->kind, t->tensor);
    else
        snprintf(buf, size, "%s of %s, layer %d,", t->kind, t->tensor, t->layer);
}

/* Where a and b (NULL: has no such values) first differ. */
static void compare_tracks(const struct weft_track *a, const struct weft_track *b,
                           const char *where, struct weft_run_difference *d) {
    const size_t na = a ? a->n : 0, nb = b ? b->n : 0;
    size_t i = 0;
    while (i < na && i < nb && a->step[i] == b->step[i] && same_value(a->value[i], b->value[i]))
        i++;
    if (i == na && i == nb) return;
    char name[128], x[WEFT_REAL_TEXT], y[WEFT_REAL_TEXT];
    track_name(a ? a : b, name, sizeof name);
    const double at_a = i < na ? a->step[i] : INFINITY, at_b = i < nb ? b->step[i] : INFINITY;
    if (!earlier(d, where, fmin(at_a, at_b))) return;
    if (at_a == at_b)
        snprintf(d->what, sizeof d->what, "%s is %s and %s", name, weft_real_text(a->value[i], x),
                 weft_real_text(b->value[i], y));
    else
        snprintf(d->what, sizeof d->what, "%s is there in the %s run only", name,
                 at_a < at_b ? "first" : "second");
}

static void compare_measurements(const struct weft_run_data *a, const struct weft_run_data *b,
                                 struct weft_run_difference *metrics,
                                 struct weft_run_difference *stats) {
    for (size_t i = 0; i < a->metrics; i++)
        if (!is_time(a->metric[i].kind))
            compare_tracks(&a->metric[i], weft_run_metric(b, a->metric[i].kind), "metrics",
                           metrics);
    for (size_t i = 0; i < b->metrics; i++)
        if (!is_time(b->metric[i].kind) && !weft_run_metric(a, b->metric[i].kind))
            compare_tracks(NULL, &b->metric[i], "metrics", metrics);
    for (size_t i = 0; i < a->stats; i++) {
        const struct weft_track *t = &a->stat[i];
        compare_tracks(t, weft_run_stat(b, t->kind, t->tensor, t->layer), "statistics", stats);
    }
    for (size_t i = 0; i < b->stats; i++) {
        const struct weft_track *t = &b->stat[i];
        if (!weft_run_stat(a, t->kind, t->tensor, t->layer))
            compare_tracks(NULL, t, "statistics", stats);
    }
}

/* The first step of which both have hashes that differ, and the first tensor there. */
static size_t compare_hashes(const struct weft_run_data *a, const struct weft_run_data *b,
                             struct weft_run_difference *d) {
    size_t both = 0;
    for (size_t i = 0, k = 0; !d->where && i < a->hashes && k < b->hashes;) {
        const struct weft_run_hashes *x = &a->hash[i], *y = &b->hash[k];
        i += x->step <= y->step;
        k += y->step <= x->step;
        if (x->step != y->step) continue;
        both++;
        if (strcmp(x->total, y->total) == 0) continue;
        const char *name;
        json_t *value;
        earlier(d, "hashes", x->step);
        snprintf(d->what, sizeof d->what, "the parameters differ");
        json_object_foreach(x->tensors, name, value) {
            if (json_equal(value, json_object_get(y->tensors, name))) continue;
            snprintf(d->what, sizeof d->what, "%.200s differs", name);
            break;
        }
    }
    return both;
}

/* ---- checkpoints ---- */
static bool same_shape(const struct weft_st_entry *a, const struct weft_st_entry *b) {
    return a->dtype == b->dtype && a->rank == b->rank &&
           !memcmp(a->shape, b->shape, a->rank * sizeof *a->shape);
}

/* How two tensors of one name differ; false: they do not. */
static bool tensor_difference(const struct weft_st_entry *a, const struct weft_st_entry *b,
                              const char *name, char *buf, size_t size) {
    if (!a || !b) {
        snprintf(buf, size, "%.150s is in the %s run only", name, a ? "first" : "second");
        return true;
    }
    if (!same_shape(a, b)) {
        char sa[64], sb[64];
        shape_text(a, sa, sizeof sa);
        shape_text(b, sb, sizeof sb);
        snprintf(buf, size, "%.100s is %s %s and %s %s", name, weft_st_dtype_name(a->dtype), sa,
                 weft_st_dtype_name(b->dtype), sb);
        return true;
    }
    if (!a->size || !memcmp(a->data, b->data, a->size)) return false;
    const size_t bytes = weft_st_dtype_size(a->dtype), n = a->size / bytes;
    size_t differ = 0;
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        if (!memcmp(a->data + i * bytes, b->data + i * bytes, bytes)) continue;
        differ++;
        if (a->dtype != WEFT_ST_F32) continue;
        float x, y;
        memcpy(&x, a->data + i * bytes, sizeof x);
        memcpy(&y, b->data + i * bytes, sizeof y);
        most = fmax(most, fabs((double)x - (double)y));
    }
    snprintf(buf, size, "%.150s: %zu of %zu values differ, by at most %.3g", name, differ, n, most);
    return true;
}

static enum weft_status compare_checkpoint(weft_ctx *ctx, const char *a, const char *b,
                                           uint64_t step, struct weft_run_difference *d) {
    char name[WEFT_CHECKPOINT_NAME];
    weft_checkpoint_name(step, name);
    char *path_a = weft_text("%s/checkpoints/%s/model.safetensors", a, name);
    char *path_b = weft_text("%s/checkpoints/%s/model.safetensors", b, name);
    weft_st_file *fa = NULL, *fb = NULL;
    enum weft_status st = path_a && path_b ? WEFT_OK : out_of_memory(ctx, a);
    if (st == WEFT_OK) st = weft_st_open(ctx, path_a, &fa);
    if (st == WEFT_OK) st = weft_st_open(ctx, path_b, &fb);
    for (size_t i = 0; st == WEFT_OK && !d->where && i < weft_st_count(fa); i++) {
        const struct weft_st_entry *e = weft_st_entry(fa, i);
        if (tensor_difference(e, weft_st_find(fb, e->name), e->name, d->what, sizeof d->what))
            earlier(d, "checkpoints", (double)step);
    }
    for (size_t i = 0; st == WEFT_OK && !d->where && i < weft_st_count(fb); i++) {
        const struct weft_st_entry *e = weft_st_entry(fb, i);
        if (!weft_st_find(fa, e->name) &&
            tensor_difference(NULL, e, e->name, d->what, sizeof d->what))
            earlier(d, "checkpoints", (double)step);
    }
    if (fa) weft_st_close(fa);
    if (fb) weft_st_close(fb);
    free(path_a);
    free(path_b);
    return st;
}

static enum weft_status compare_checkpoints(weft_ctx *ctx, const char *a, const char *b,
                                            struct weft_run_difference *d, size_t *compared) {
    char *folder[2] = {weft_text("%s/checkpoints", a), weft_text("%s/checkpoints", b)};
    uint64_t *steps[2] = {NULL, NULL};
    size_t n[2] = {0, 0};
    enum weft_status st = folder[0] && folder[1] ? WEFT_OK : out_of_memory(ctx, a);
    for (int i = 0; i < 2 && st == WEFT_OK; i++)
        st = weft_checkpoint_list(ctx, folder[i], &steps[i], &n[i]);
    for (size_t i = 0, k = 0; st == WEFT_OK && !d->where && i < n[0] && k < n[1];) {
        if (steps[0][i] == steps[1][k]) {
            st = compare_checkpoint(ctx, a, b, steps[0][i], d);
            ++*compared;
        }
        if (steps[0][i] <= steps[1][k])
            i++;
        else
            k++;
    }
    for (int i = 0; i < 2; i++) {
        free(steps[i]);
        free(folder[i]);
    }
    return st;
}

static int by_step(const void *a, const void *b) {
    const struct weft_run_difference *x = a, *y = b;
    return (x->step > y->step) - (x->step < y->step);
}

enum weft_status weft_run_compare(weft_ctx *ctx, const char *a, const char *b,
                                  struct weft_run_comparison *out) {
    struct weft_run_data *run[2] = {NULL, NULL};
    struct weft_run_difference d[4] = {{.where = NULL}};
    struct weft_run_comparison result = {.differences = 0};
    enum weft_status st = weft_run_data_load(ctx, a, &run[0]);
    if (st == WEFT_OK) st = weft_run_data_load(ctx, b, &run[1]);
    if (st == WEFT_OK) {
        compare_measurements(run[0], run[1], &d[0], &d[1]);
        const struct weft_track *la = weft_run_metric(run[0], "loss");
        const struct weft_track *lb = weft_run_metric(run[1], "loss");
        result.steps = la && lb ? (la->n < lb->n ? la->n : lb->n) : 0;
        result.hashes = compare_hashes(run[0], run[1], &d[3]);
        result.unreadable = run[0]->bad_lines + run[1]->bad_lines;
        st = compare_checkpoints(ctx, a, b, &d[2], &result.checkpoints);
    }
    weft_run_data_free(run[0]);
    weft_run_data_free(run[1]);
    if (st == WEFT_OK && !result.steps && !result.checkpoints)
        st = weft_ctx_fail(ctx, WEFT_ERR_STATE,
                           "%s and %s have no step and no checkpoint in common: nothing to compare",
                           a, b);
    if (st != WEFT_OK) return st;
    for (size_t i = 0; i < 4; i++)
        if (d[i].where) result.first[result.differences++] = d[i];
    qsort(result.first, result.differences, sizeof *result.first, by_step);
    *out = result;
    return WEFT_OK;
}
