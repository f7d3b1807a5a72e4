#include "train/bench_data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The number after "/M:" in a name, 0 if there is none. */
static size_t number_after(const char *name, const char *key) {
    const char *const at = strstr(name, key);
    return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

/* Part i of a name between slashes. */
static void part(const char *name, int i, char *buf, size_t size) {
    for (; i > 0 && name; i--) {
        name = strchr(name, '/');
        if (name) name++;
    }
    snprintf(buf, size, "%.*s", name ? (int)strcspn(name, "/") : 0, name ? name : "");
}

static void parse_name(struct weft_bench_case *c) {
    part(c->name, 0, c->op, sizeof c->op);
    part(c->name, 2, c->who, sizeof c->who);
    c->m = number_after(c->name, "/M:");
    c->n = number_after(c->name, "/N:");
    c->k = number_after(c->name, "/K:");
    c->threads = number_after(c->name, "/threads:");
    c->cold = strstr(c->name, "/cold/") != NULL;
    snprintf(c->variant, sizeof c->variant, "%s",
             strstr(c->name, "/packed/")  ? "packed"
             : strstr(c->name, "/plain/") ? "plain"
                                          : "");
    if (c->m > 0) part(strstr(c->name, "/threads:"), 2, c->set, sizeof c->set);
}

static struct weft_bench_case *case_of(struct weft_bench_data *d, const char *name) {
    for (size_t i = 0; i < d->n; i++)
        if (strcmp(d->at[i].name, name) == 0) return &d->at[i];
    struct weft_bench_case *const all = realloc(d->at, (d->n + 1) * sizeof *all);
    if (all == NULL) return NULL;
    d->at = all;
    struct weft_bench_case *const c = &all[d->n];
    *c = (struct weft_bench_case){.name = strdup(name), .binds = ""};
    if (c->name == NULL) return NULL;
    parse_name(c);
    d->n++;
    return c;
}

static double real(const json_t *run, const char *key) {
    return json_number_value(json_object_get(run, key));
}

static double unit_seconds(const char *unit) {
    return unit == NULL          ? 1e-9
           : !strcmp(unit, "s")  ? 1
           : !strcmp(unit, "ms") ? 1e-3
           : !strcmp(unit, "us") ? 1e-6
                                 : 1e-9;
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* One element of "benchmarks"; aggregates and errors are passed over. */
static bool add_run(struct weft_bench_data *d, const json_t *run) {
    const char *const type = json_string_value(json_object_get(run, "run_type"));
    const char *const name = json_string_value(json_object_get(run, "run_name"));
    if (!name || (type && strcmp(type, "iteration") != 0) ||
        json_is_true(json_object_get(run, "error_occurred")))
        return true;
    struct weft_bench_case *const c = case_of(d, name);
    double *const all = c ? realloc(c->seconds, (c->runs + 1) * sizeof *all) : NULL;
    if (all == NULL) return false;
    const double t =
        real(run, "real_time") * unit_seconds(json_string_value(json_object_get(run, "time_unit")));
    if (c->runs == 0 || t < all[0]) {
        c->gflops = real(run, "GFLOP/s");
        c->gbs = real(run, "GB/s");
        c->share = real(run, "%");
        const char *const label = json_string_value(json_object_get(run, "label"));
        if (label) c->binds = label;
    }
    c->seconds = all;
    all[c->runs++] = t;
    qsort(all, c->runs, sizeof *all, by_size);
    return true;
}

static int by_name(const void *a, const void *b) {
    const struct weft_bench_case *const x = a, *const y = b;
    return strcmp(x->name, y->name);
}

static enum weft_status add_document(weft_ctx *ctx, const char *file, json_t *doc,
                                     struct weft_bench_data *d) {
    const json_t *const list = json_object_get(doc, "benchmarks");
    if (json_is_array(json_object_get(doc, "ops"))) {
        const json_t **const all = realloc(d->profile, (d->profiles + 1) * sizeof *all);
        if (all == NULL) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory");
        d->profile = all;
        all[d->profiles++] = doc;
        return WEFT_OK;
    }
    if (!json_is_array(list))
        return weft_ctx_fail(
            ctx, WEFT_ERR_FORMAT,
            "%s: holds neither \"benchmarks\" (weft-bench --benchmark_out=FILE) nor "
            "\"ops\" (weft bench explain --json)",
            file);
    size_t i;
    json_t *run;
    json_array_foreach(list, i, run) {
        if (!add_run(d, run)) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory");
    }
    return WEFT_OK;
}

enum weft_status weft_bench_data_load(weft_ctx *ctx, const char *const *files, size_t n,
                                      struct weft_bench_data *out) {
    struct weft_bench_data d = {.document = calloc(n, sizeof *d.document)};
    enum weft_status st =
        d.document ? WEFT_OK : weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory");
    for (size_t i = 0; st == WEFT_OK && i < n; i++) {
        json_error_t error;
        json_t *const doc = json_load_file(files[i], 0, &error);
        if (doc == NULL) {
            st = weft_ctx_fail(ctx, WEFT_ERR_FORMAT, "%s: line %d: %s", files[i], error.line,
                               error.text);
        } else {
            d.document[d.documents++] = doc;
            st = add_document(ctx, files[i], doc, &d);
        }
    }
    if (st != WEFT_OK) {
        weft_bench_data_free(&d);
        return st;
    }
    if (d.n > 0) qsort(d.at, d.n, sizeof *d.at, by_name);
    *out = d;
    return WEFT_OK;
}

void weft_bench_data_free(struct weft_bench_data *d) {
    for (size_t i = 0; i < d->n; i++) {
        free(d->at[i].name);
        free(d->at[i].seconds);
    }
    for (size_t i = 0; i < d->documents; i++) json_decref(d->document[i]);
    free(d->at);
    free(d->document);
    free(d->profile);
    *d = (struct weft_bench_data){0};
}

double weft_bench_median(const struct weft_bench_case *c) {
    return (c->seconds[(c->runs - 1) / 2] + c->seconds[c->runs / 2]) / 2;
}

const char *weft_bench_context(const struct weft_bench_data *d, const char *key) {
    for (size_t i = 0; i < d->documents; i++) {
        const char *const text =
            json_string_value(json_object_get(json_object_get(d->document[i], "context"), key));
        if (text) return text;
    }
    return NULL;
}
