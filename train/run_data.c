/* Reading a run directory. Lines of stats.jsonl repeat the same (kind, tensor, layer) in the same
 * order at every step, so the search for a track starts after the one found last. */
#include "train/run_data.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "nan", "inf" and anything else that is not a number or a truth value: NaN. */
static double number_of(const json_t *value) {
    if (json_is_number(value)) return json_number_value(value);
    if (json_is_boolean(value)) return json_is_true(value);
    return (double)NAN;
}

/* The track with this key among list[0..*n), appended when new; NULL: out of memory. */
static struct weft_track *track_for(struct weft_track **list, size_t *n, size_t *hint,
                                    const char *kind, const char *tensor, int layer) {
    for (size_t i = 0; i < *n; i++) {
        const size_t at = (*hint + i) % *n;
        struct weft_track *t = &(*list)[at];
        if (t->layer != layer || strcmp(t->kind, kind) || strcmp(t->tensor, tensor)) continue;
        *hint = at + 1;
        return t;
    }
    struct weft_track *grown = realloc(*list, (*n + 1) * sizeof *grown);
    if (!grown) return NULL;
    *list = grown;
    struct weft_track *t = &grown[*n];
    *t = (struct weft_track){.kind = strdup(kind), .tensor = strdup(tensor), .layer = layer};
    if (!t->kind || !t->tensor) {
        free(t->kind);
        free(t->tensor);
        return NULL;
    }
    *hint = ++*n;
    return t;
}

static bool track_add(struct weft_track *t, double step, double value) {
    while (t->n && t->step[t->n - 1] >= step) t->n--;
    if (t->n == t->cap) {
        const size_t cap = t->cap ? 2 * t->cap : 64;
        double *steps = realloc(t->step, cap * sizeof *steps);
        if (steps) t->step = steps;
        double *values = realloc(t->value, cap * sizeof *values);
        if (values) t->value = values;
        if (!steps || !values) return false;
        t->cap = cap;
    }
    t->step[t->n] = step;
    t->value[t->n++] = value;
    return true;
}

static bool add_hashes(struct weft_run_data *run, double step, const char *total, json_t *tensors) {
    while (run->hashes && run->hash[run->hashes - 1].step >= step)
        json_decref(run->hash[--run->hashes].tensors);
    struct weft_run_hashes *grown = realloc(run->hash, (run->hashes + 1) * sizeof *grown);
    if (!grown) return false;
    run->hash = grown;
    grown[run->hashes] = (struct weft_run_hashes){.step = step, .tensors = json_incref(tensors)};
    snprintf(grown[run->hashes++].total, sizeof grown->total, "%.16s", total);
    return true;
}

static bool add_metrics(struct weft_run_data *run, json_t *line) {
    const double step = number_of(json_object_get(line, "step"));
    if (!isfinite(step)) {
        run->bad_lines++;
        return true;
    }
    const char *key, *total = json_string_value(json_object_get(line, "params"));
    json_t *value, *tensors = json_object_get(line, "tensors");
    size_t hint = 0;
    if (total && json_is_object(tensors) && !add_hashes(run, step, total, tensors)) return false;
    json_object_foreach(line, key, value) {
        if (!strcmp(key, "step") || !strcmp(key, "params") || json_is_object(value) ||
            json_is_array(value))
            continue;
        struct weft_track *t = track_for(&run->metric, &run->metrics, &hint, key, "", -1);
        if (!t || !track_add(t, step, number_of(value))) return false;
    }
    return true;
}

static bool add_snapshot(struct weft_run_data *run, json_t *line, const char *tensor, int layer,
                         double step) {
    const json_t *counts = json_object_get(line, "counts");
    const size_t bins = json_array_size(counts);
    const double lo = number_of(json_object_get(line, "lo"));
    const double hi = number_of(json_object_get(line, "hi"));
    if (!bins || !isfinite(lo) || !(lo < hi)) {
        run->bad_lines++;
        return true;
    }
    struct weft_snapshot *grown =
        realloc(run->snapshot, (run->snapshots + 1) * sizeof *run->snapshot);
    if (!grown) return false;
    run->snapshot = grown;
    struct weft_snapshot *s = &grown[run->snapshots];
    *s = (struct weft_snapshot){.tensor = strdup(tensor),
                                .layer = layer,
                                .step = step,
                                .lo = lo,
                                .hi = hi,
                                .counts = calloc(bins, sizeof(double)),
                                .bins = bins};
    run->snapshots++; /* from here on weft_run_data_free knows it */
    if (!s->tensor || !s->counts) return false;
    for (size_t i = 0; i < bins; i++) s->counts[i] = fmax(number_of(json_array_get(counts, i)), 0);
    return true;
}

static bool add_statistic(struct weft_run_data *run, json_t *line, size_t *hint) {
    const double step = number_of(json_object_get(line, "step"));
    const char *kind = json_string_value(json_object_get(line, "kind"));
    const char *tensor = json_string_value(json_object_get(line, "tensor"));
    const json_t *number = json_object_get(line, "layer");
    const json_int_t layer_number = json_is_integer(number) ? json_integer_value(number) : -1;
    if (!isfinite(step) || !kind || layer_number < -1 || layer_number >= WEFT_RUN_LAYERS) {
        run->bad_lines++;
        return true;
    }
    const int layer = (int)layer_number;
    if (!tensor) tensor = "";
    if (!strcmp(kind, "histogram")) return add_snapshot(run, line, tensor, layer, step);
    struct weft_track *t = track_for(&run->stat, &run->stats, hint, kind, tensor, layer);
    return t && track_add(t, step, number_of(json_object_get(line, "value")));
}

/* dir/name as a new string. */
static char *path_of(const char *dir, const char *name) {
    const size_t bytes = strlen(dir) + strlen(name) + 2;
    char *path = malloc(bytes);
    if (path) snprintf(path, bytes, "%s/%s", dir, name);
    return path;
}

/* Read dir/name line by line. A missing file is fine: *found stays false. */
static enum weft_status read_lines(weft_ctx *ctx, struct weft_run_data *run, const char *name,
                                   bool *found) {
    char *path = path_of(run->dir, name);
    FILE *file = path ? fopen(path, "r") : NULL;
    enum weft_status st = WEFT_OK;
    if (!path || (!file && errno != ENOENT))
        st = weft_ctx_fail(ctx, WEFT_ERR_IO, "%s/%s: %s", run->dir, name, strerror(errno));
    free(path);
    if (!file) return st;
    *found = true;
    char *text = NULL;
    size_t cap = 0, hint = 0;
    ssize_t length;
    const bool statistics = !strcmp(name, "stats.jsonl");
    while (st == WEFT_OK && (length = getline(&text, &cap, file)) >= 0) {
        json_t *line = json_loadb(text, (size_t)length, JSON_DISABLE_EOF_CHECK, NULL);
        if (!json_is_object(line))
            run->bad_lines += length > 1;
        else if (!(statistics ? add_statistic(run, line, &hint) : add_metrics(run, line)))
            st = weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory reading %s/%s", run->dir, name);
        json_decref(line);
    }
    if (st == WEFT_OK && ferror(file))
        st = weft_ctx_fail(ctx, WEFT_ERR_IO, "%s/%s: %s", run->dir, name, strerror(errno));
    free(text);
    fclose(file);
    return st;
}

static void read_settings(struct weft_run_data *run, bool *found) {
    char *path = path_of(run->dir, "run.json");
    run->settings = path ? json_load_file(path, 0, NULL) : NULL;
    *found |= run->settings != NULL;
    run->bad_settings = !run->settings && path && access(path, F_OK) == 0;
    if (!run->settings) run->settings = json_object();
    free(path);
}

/* The last part of a path as the system knows it: "." has a name, too. */
static char *last_part(const char *given) {
    char *real = realpath(given, NULL);
    const char *dir = real ? real : given;
    size_t end = strlen(dir);
    while (end > 1 && dir[end - 1] == '/') end--;
    size_t from = end;
    while (from > 0 && dir[from - 1] != '/') from--;
    char *part = strndup(dir + from, end - from);
    free(real);
    return part;
}

enum weft_status weft_run_data_load(weft_ctx *ctx, const char *dir, struct weft_run_data **out) {
    struct weft_run_data *run = calloc(1, sizeof *run);
    if (run) {
        run->dir = strdup(dir);
        run->name = last_part(dir);
    }
    if (!run || !run->dir || !run->name) {
        weft_run_data_free(run);
        return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory reading %s", dir);
    }
    bool found = false;
    read_settings(run, &found);
    enum weft_status st = read_lines(ctx, run, "metrics.jsonl", &found);
    if (st == WEFT_OK) st = read_lines(ctx, run, "stats.jsonl", &found);
    if (st == WEFT_OK && !found)
        st = weft_ctx_fail(
            ctx, WEFT_ERR_IO,
            "%s: not a run directory (neither run.json nor metrics.jsonl in it); give "
            "the directory that --out named",
            dir);
    if (st != WEFT_OK) {
        weft_run_data_free(run);
        return st;
    }
    *out = run;
    return WEFT_OK;
}

static void free_tracks(struct weft_track *list, size_t n) {
    for (size_t i = 0; i < n; i++) {
        free(list[i].kind);
        free(list[i].tensor);
        free(list[i].step);
        free(list[i].value);
    }
    free(list);
}

void weft_run_data_free(struct weft_run_data *run) {
    if (!run) return;
    free_tracks(run->metric, run->metrics);
    free_tracks(run->stat, run->stats);
    for (size_t i = 0; i < run->snapshots; i++) {
        free(run->snapshot[i].tensor);
        free(run->snapshot[i].counts);
    }
    free(run->snapshot);
    for (size_t i = 0; i < run->hashes; i++) json_decref(run->hash[i].tensors);
    free(run->hash);
    json_decref(run->settings);
    free(run->dir);
    free(run->name);
    free(run);
}

const struct weft_track *weft_run_metric(const struct weft_run_data *run, const char *key) {
    for (size_t i = 0; i < run->metrics; i++)
        if (!strcmp(run->metric[i].kind, key) && run->metric[i].n) return &run->metric[i];
    return NULL;
}

const struct weft_track *weft_run_stat(const struct weft_run_data *run, const char *kind,
                                       const char *tensor, int layer) {
    for (size_t i = 0; i < run->stats; i++) {
        const struct weft_track *t = &run->stat[i];
        if (t->layer == layer && !strcmp(t->kind, kind) && !strcmp(t->tensor, tensor) && t->n)
            return t;
    }
    return NULL;
}

size_t weft_run_layers(const struct weft_run_data *run, const char *kind, const char *tensor) {
    int layers = 0;
    for (size_t i = 0; i < run->stats; i++) {
        const struct weft_track *t = &run->stat[i];
        if (t->layer >= layers && !strcmp(t->kind, kind) && !strcmp(t->tensor, tensor))
            layers = t->layer + 1;
    }
    return (size_t)layers;
}

static json_t *find_key(json_t *object, const char *key) {
    json_t *found = json_object_get(object, key);
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value) {
        if (found) break;
        if (json_is_object(value)) found = find_key(value, key);
    }
    return found;
}

json_t *weft_run_setting(const struct weft_run_data *run, const char *key) {
    return find_key(run->settings, key);
}

bool weft_run_is(const struct weft_run_data *run, const char *key, const char *text) {
    const char *value = json_string_value(weft_run_setting(run, key));
    return value && strcmp(value, text) == 0;
}

double weft_run_number(const struct weft_run_data *run, const char *key) {
    const json_t *value = weft_run_setting(run, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}
