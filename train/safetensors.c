/* The reader; the writer is in safetensors_write.c. */
#include "train/safetensors.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "train/atomic.h"
#include "train/file_map.h"
#include "train/json_in.h"

#define HEADER_MAX (100u << 20) /* as the format says; json_in.h bounds what is in it */

struct weft_st_file {
    weft_ctx *ctx;
    char *path;
    struct weft_file file;
    json_t *header;
    const json_t *metadata; /* an object, or NULL */
    size_t n;
    struct weft_st_entry *entries; /* by offset */
    const struct weft_st_entry **by_name;
};

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
#define WEFT_ST_ROW(name, text, bytes) {text, bytes},
    WEFT_ST_DTYPES(WEFT_ST_ROW)
#undef WEFT_ST_ROW
};
#define N_DTYPES (sizeof dtypes / sizeof *dtypes)

const char *weft_st_dtype_name(enum weft_st_dtype dtype) { return dtypes[dtype].name; }
size_t weft_st_dtype_size(enum weft_st_dtype dtype) { return dtypes[dtype].size; }

/* Every refusal of a file goes through here: what is wrong, and what to do about it. */
#define REFUSE(f, ...) refuse(f, WEFT_ERR_FORMAT, __VA_ARGS__)
static enum weft_status refuse(const weft_st_file *f, enum weft_status st, const char *fmt, ...)
    WEFT_FORMAT(3, 4);
static enum weft_status refuse(const weft_st_file *f, enum weft_status st, const char *fmt, ...) {
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return weft_ctx_fail(f->ctx, st, "%s: %s; the file is damaged or not a safetensors file",
                         f->path, text);
}

/* A JSON value as a size; false for anything but an integer >= 0. */
static bool as_size(const json_t *value, size_t *out) {
    if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
    *out = (size_t)json_integer_value(value);
    return true;
}

static enum weft_status parse_shape(const weft_st_file *f, const json_t *shape,
                                    struct weft_st_entry *e) {
    if (!json_is_array(shape)) return REFUSE(f, "tensor %s has no shape", e->name);
    e->rank = json_array_size(shape);
    if (e->rank > WEFT_ST_RANK)
        return REFUSE(f, "tensor %s has %zu dimensions; at most %d are known", e->name, e->rank,
                      WEFT_ST_RANK);
    size_t bytes = dtypes[e->dtype].size;
    bool empty = false, too_large = false;
    for (size_t i = 0; i < e->rank; i++) {
        if (!as_size(json_array_get(shape, i), &e->shape[i]))
            return REFUSE(f, "dimension %zu of tensor %s is not a size", i, e->name);
        empty |= e->shape[i] == 0;
        too_large |= e->shape[i] != 0 && bytes > SIZE_MAX / e->shape[i];
        if (!too_large && e->shape[i] != 0) bytes *= e->shape[i];
    }
    if (empty) bytes = 0;
    if ((too_large && !empty) || bytes != e->size)
        return REFUSE(f, "the shape of tensor %s does not fit its %zu bytes", e->name, e->size);
    return WEFT_OK;
}

static enum weft_status parse_entry(const weft_st_file *f, const char *name, const json_t *value,
                                    size_t data_size, struct weft_st_entry *e) {
    e->name = name;
    const json_t *offsets = json_object_get(value, "data_offsets");
    const char *dtype = json_string_value(json_object_get(value, "dtype"));
    size_t end;
    if (!dtype) return REFUSE(f, "tensor %s has no dtype", name);
    size_t d = 0;
    while (d < N_DTYPES && strcmp(dtype, dtypes[d].name) != 0) d++;
    if (d == N_DTYPES)
        return weft_ctx_fail(f->ctx, WEFT_ERR_DTYPE, "%s: tensor %s has the unknown dtype %.20s",
                             f->path, name, dtype);
    e->dtype = (enum weft_st_dtype)d;
    if (json_array_size(offsets) != 2 || !as_size(json_array_get(offsets, 0), &e->offset) ||
        !as_size(json_array_get(offsets, 1), &end) || e->offset > end)
        return REFUSE(f, "tensor %s has no valid data_offsets", name);
    if (end > data_size)
        return REFUSE(f, "tensor %s ends at byte %zu, but there are only %zu bytes of data", name,
                      end, data_size);
    e->size = end - e->offset;
    return parse_shape(f, json_object_get(value, "shape"), e);
}

static int by_offset(const void *a, const void *b) {
    const struct weft_st_entry *x = a, *y = b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    if (x->size != y->size) return x->size < y->size ? -1 : 1; // empty ones first
    return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b) {
    const struct weft_st_entry *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* Tensors must follow each other without holes or overlap and fill the file to its end. */
static enum weft_status check_layout(weft_st_file *f, const unsigned char *data, size_t size) {
    qsort(f->entries, f->n, sizeof *f->entries, by_offset);
    size_t at = 0;
    for (size_t i = 0; i < f->n; i++) {
        struct weft_st_entry *e = &f->entries[i];
        if (e->offset < at) return REFUSE(f, "tensor %s overlaps the one before it", e->name);
        if (e->offset > at)
            return REFUSE(f, "there is a hole of %zu bytes before tensor %s", e->offset - at,
                          e->name);
        at = e->offset + e->size;
        e->data = data + e->offset;
        f->by_name[i] = e;
    }
    if (at != size) return REFUSE(f, "there are %zu bytes after the last tensor", size - at);
    qsort(f->by_name, f->n, sizeof *f->by_name, by_name);
    return WEFT_OK;
}

static enum weft_status parse_entries(weft_st_file *f, size_t data_start) {
    const size_t data_size = f->file.size - data_start;
    const size_t members = json_object_size(f->header);
    f->entries = calloc(members + 1, sizeof *f->entries);
    f->by_name = calloc(members + 1, sizeof *f->by_name);
    if (!f->entries || !f->by_name)
        return weft_ctx_fail(f->ctx, WEFT_ERR_NOMEM, "%s: out of memory", f->path);
    const char *name;
    json_t *value;
    json_object_foreach(f->header, name, value) {
        if (strcmp(name, "__metadata__") == 0) {
            if (!json_is_object(value)) return REFUSE(f, "__metadata__ is not an object");
            f->metadata = value;
            continue;
        }
        const enum weft_status st = parse_entry(f, name, value, data_size, &f->entries[f->n]);
        if (st != WEFT_OK) return st;
        f->n++;
    }
    return check_layout(f, f->file.data + data_start, data_size);
}

static enum weft_status check_sums(const weft_st_file *f) {
    for (size_t i = 0; i < f->n; i++) {
        const struct weft_st_entry *e = &f->entries[i];
        char key[512], sum[17];
        if (snprintf(key, sizeof key, "xxh64:%s", e->name) >= (int)sizeof key) continue;
        const char *want = weft_st_metadata(f, key);
        if (!want) continue; // foreign
        snprintf(sum, sizeof sum, "%016" PRIx64, weft_hash(e->data, e->size, 0));
        if (strcmp(sum, want) != 0)
            return weft_ctx_fail(f->ctx, WEFT_ERR_FORMAT,
                                 "%s: the checksum of tensor %s is wrong: the file is damaged; use "
                                 "an earlier checkpoint",
                                 f->path, e->name);
    }
    return WEFT_OK;
}

static enum weft_status parse(weft_st_file *f) {
    if (f->file.size < 8) return REFUSE(f, "%zu bytes are too few for a header", f->file.size);
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--) length = length << 8 | f->file.data[i];
    if (length > f->file.size - 8 || length > HEADER_MAX)
        return REFUSE(f,
                      "a header of %" PRIu64 " bytes does not fit into the %zu bytes of the file",
                      length, f->file.size);
    char *name = weft_text("%s: header", f->path);
    enum weft_status st = name
                              ? weft_json_parse(f->ctx, name, f->file.data + 8, length, &f->header)
                              : weft_ctx_fail(f->ctx, WEFT_ERR_NOMEM, "%s: out of memory", f->path);
    free(name);
    if (st != WEFT_OK) return st;
    if (!json_is_object(f->header)) return REFUSE(f, "the header is not an object");
    st = parse_entries(f, 8 + length);
    if (st == WEFT_OK) st = check_sums(f);
    return st;
}

enum weft_status weft_st_open(weft_ctx *ctx, const char *path, weft_st_file **out) {
    weft_st_file *f = calloc(1, sizeof *f);
    if (!f) return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory", path);
    f->ctx = ctx;
    f->path = strdup(path);
    enum weft_status st = f->path ? weft_file_open(ctx, path, &f->file)
                                  : weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory", path);
    if (st == WEFT_OK) st = parse(f);
    if (st != WEFT_OK) {
        weft_st_close(f);
        return st;
    }
    *out = f;
    return WEFT_OK;
}

void weft_st_close(weft_st_file *file) {
    if (!file) return;
    free(file->by_name);
    free(file->entries);
    json_decref(file->header);
    weft_file_close(&file->file);
    free(file->path);
    free(file);
}

size_t weft_st_count(const weft_st_file *file) { return file->n; }

const struct weft_st_entry *weft_st_entry(const weft_st_file *file, size_t i) {
    return &file->entries[i];
}

const struct weft_st_entry *weft_st_find(const weft_st_file *file, const char *name) {
    const struct weft_st_entry key = {.name = name}, *const want = &key;
    const struct weft_st_entry *const *found =
        bsearch(&want, file->by_name, file->n, sizeof *file->by_name, by_name);
    return found ? *found : NULL;
}

const char *weft_st_metadata(const weft_st_file *file, const char *key) {
    return json_string_value(json_object_get(file->metadata, key));
}

/* "(2, 3)" */
static void shape_text(size_t rank, const size_t *shape, char *buf, size_t size) {
    size_t n = (size_t)snprintf(buf, size, "(");
    for (size_t i = 0; i < rank && n < size; i++)
        n += (size_t)snprintf(buf + n, size - n, "%s%zu", i ? ", " : "", shape[i]);
    if (n < size) snprintf(buf + n, size - n, ")");
}

static enum weft_status check_shape(weft_ctx *ctx, const weft_st_file *file,
                                    const struct weft_st_entry *e, size_t rank,
                                    const size_t *shape) {
    char has[200], want[200];
    if (e->rank == rank && (rank == 0 || memcmp(e->shape, shape, rank * sizeof *shape) == 0))
        return WEFT_OK;
    shape_text(e->rank, e->shape, has, sizeof has);
    shape_text(rank, shape, want, sizeof want);
    return weft_ctx_fail(ctx, WEFT_ERR_SHAPE, "%s: tensor %s has shape %s, but must have %s",
                         file->path, e->name, has, want);
}

enum weft_status weft_st_get(weft_ctx *ctx, const weft_st_file *file, const char *name,
                             enum weft_st_dtype dtype, size_t rank, const size_t *shape,
                             const struct weft_st_entry **out) {
    const struct weft_st_entry *e = weft_st_find(file, name);
    if (!e)
        return weft_ctx_fail(ctx, WEFT_ERR_FORMAT, "%s: tensor %s is missing", file->path, name);
    if (e->dtype != dtype)
        return weft_ctx_fail(ctx, WEFT_ERR_DTYPE, "%s: tensor %s is %s, but must be %s", file->path,
                             name, dtypes[e->dtype].name, dtypes[dtype].name);
    const enum weft_status st = check_shape(ctx, file, e, rank, shape);
    if (st == WEFT_OK) *out = e;
    return st;
}

enum weft_status weft_st_get_real(weft_ctx *ctx, const weft_st_file *file, const char *name,
                                  size_t rank, const size_t *shape,
                                  const struct weft_st_entry **out) {
    const struct weft_st_entry *e = weft_st_find(file, name);
    const bool half = e && (e->dtype == WEFT_ST_F16 || e->dtype == WEFT_ST_BF16);
    return weft_st_get(ctx, file, name, half ? e->dtype : WEFT_ST_F32, rank, shape, out);
}
