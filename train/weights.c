#include "train/weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "train/atomic.h"
#include "train/checkpoint.h"
#include "train/json_in.h"
#include "train/safetensors.h"
#include "weft/half.h"

#define PREFIX     "transformer."
#define FILES_MOST 1024
#define INDEX_MOST ((size_t)16 << 20) /* bytes */
#define ROWS       32                 /* of a tile that is transposed */
#define COLUMNS    256

struct files {
    weft_ctx *ctx;
    const char *dir;
    weft_st_file **file;
    char **path;
    size_t n;
};

static enum weft_status no_memory(weft_ctx *ctx, const char *dir) {
    return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory while loading", dir);
}

/* ---- the files ---- */

static void close_files(struct files *f) {
    for (size_t i = 0; i < f->n; i++) {
        weft_st_close(f->file[i]);
        free(f->path[i]);
    }
    free(f->file);
    free(f->path);
}

/* Takes path. */
static enum weft_status add_file(struct files *f, char *path) {
    weft_st_file **files = realloc(f->file, (f->n + 1) * sizeof *files);
    if (files) f->file = files;
    char **paths = files ? realloc(f->path, (f->n + 1) * sizeof *paths) : NULL;
    if (paths) f->path = paths;
    const enum weft_status st =
        path && paths ? weft_st_open(f->ctx, path, &f->file[f->n]) : no_memory(f->ctx, f->dir);
    if (st != WEFT_OK) {
        free(path);
        return st;
    }
    f->path[f->n++] = path;
    return WEFT_OK;
}

/* The file of an index by its name, opened when it is new. Names lead nowhere else. */
static enum weft_status add_named(struct files *f, const char *index, const char *name,
                                  size_t *which) {
    char *path = weft_text("%s/%s", f->dir, name);
    for (*which = 0; path && *which < f->n; ++*which)
        if (strcmp(f->path[*which], path) == 0) {
            free(path);
            return WEFT_OK;
        }
    const bool plain = *name && *name != '.' && !strchr(name, '/');
    if (plain && f->n < FILES_MOST) return add_file(f, path);
    free(path);
    return weft_ctx_fail(f->ctx, WEFT_ERR_FORMAT,
                         plain ? "%s: names more than 1024 files, up to '%.80s'"
                               : "%s: '%.80s' is not the name of a file beside it",
                         index, name);
}

static enum weft_status check_index(struct files *f, const char *index, const json_t *root) {
    const char *name;
    json_t *value;
    json_t *map = json_object_get(root, "weight_map");
    enum weft_status st = WEFT_OK;
    size_t tensors = 0;
    if (!json_is_object(map) || json_object_size(map) == 0)
        return weft_ctx_fail(f->ctx, WEFT_ERR_FORMAT, "%s: has no weight_map", index);
    json_object_foreach(map, name, value) {
        size_t which = 0;
        const char *file = json_string_value(value);
        st = file ? add_named(f, index, file, &which)
                  : weft_ctx_fail(f->ctx, WEFT_ERR_FORMAT, "%s: the file of %.80s is not a text",
                                  index, name);
        if (st == WEFT_OK && !weft_st_find(f->file[which], name))
            st = weft_ctx_fail(f->ctx, WEFT_ERR_FORMAT, "%s: %s has no tensor %.80s", index,
                               f->path[which], name);
        if (st != WEFT_OK) return st;
    }
    for (size_t i = 0; i < f->n; i++) tensors += weft_st_count(f->file[i]);
    if (tensors != json_object_size(map))
        return weft_ctx_fail(f->ctx, WEFT_ERR_FORMAT,
                             "%s: lists %zu tensors, but its files have %zu", index,
                             json_object_size(map), tensors);
    return WEFT_OK;
}

static enum weft_status open_index(struct files *f, const char *index) {
    json_t *root = NULL;
    enum weft_status st = weft_json_read(f->ctx, index, INDEX_MOST, &root);
    if (st == WEFT_OK) st = check_index(f, index, root);
    json_decref(root);
    return st;
}

static enum weft_status open_files(struct files *f) {
    char *whole = weft_text("%s/model.safetensors", f->dir);
    char *index = weft_text("%s/model.safetensors.index.json", f->dir);
    char *pickle = weft_text("%s/pytorch_model.bin", f->dir);
    enum weft_status st = WEFT_OK;
    if (!whole || !index || !pickle) {
        st = no_memory(f->ctx, f->dir);
    } else if (access(whole, F_OK) != 0 && access(index, F_OK) == 0) {
        st = open_index(f, index);
    } else if (access(whole, F_OK) != 0 && access(pickle, F_OK) == 0) {
        st = weft_ctx_fail(f->ctx, WEFT_ERR_FORMAT,
                           "%s: has pytorch_model.bin, which is a program; save the model as "
                           "model.safetensors",
                           f->dir);
    } else {
        st = add_file(f, whole);
        whole = NULL;
    }
    free(whole);
    free(index);
    free(pickle);
    return st;
}

/* The file that has the tensor, or the first one, whose message says that it is missing. */
static size_t file_of(const struct files *f, const char *name) {
    for (size_t i = 0; i < f->n; i++)
        if (weft_st_find(f->file[i], name)) return i;
    return 0;
}

/* ---- numbers ---- */

/* n elements of the file as floats. */
static void widen(enum weft_st_dtype dtype, const unsigned char *from, size_t n, float *to) {
    uint16_t h;
    if (dtype == WEFT_ST_F32) {
        memcpy(to, from, n * sizeof *to);
    } else if (dtype == WEFT_ST_BF16) {
        for (size_t i = 0; i < n; i++) {
            memcpy(&h, from + 2 * i, 2);
            to[i] = weft_bf16_load(h);
        }
    } else {
        for (size_t i = 0; i < n; i++) {
            memcpy(&h, from + 2 * i, 2);
            to[i] = weft_f16_load(h);
        }
    }
}

/* The same. Returns whether all are finite. */
static bool load(enum weft_st_dtype dtype, const unsigned char *from, size_t n, float *to) {
    uint32_t most = 0; // of the exponents: 255 is NaN or Inf
    widen(dtype, from, n, to);
    for (size_t i = 0; i < n; i++) {
        const uint32_t exponent = weft_float_bits(to[i]) << 1 >> 24;
        most = exponent > most ? exponent : most;
    }
    return most < 255;
}

/* An (in, out) tensor into an (out, in) parameter, tile by tile. */
static bool load_transposed(const struct weft_param_info *p, const struct weft_st_entry *e) {
    const size_t n_out = p->shape[0], n_in = p->shape[1], size = weft_st_dtype_size(e->dtype);
    float tile[ROWS][COLUMNS];
    bool finite = true;
    for (size_t i0 = 0; i0 < n_in; i0 += ROWS) {
        const size_t rows = n_in - i0 < ROWS ? n_in - i0 : ROWS;
        for (size_t o0 = 0; o0 < n_out; o0 += COLUMNS) {
            const size_t cols = n_out - o0 < COLUMNS ? n_out - o0 : COLUMNS;
            for (size_t i = 0; i < rows; i++)
                finite &= load(e->dtype, e->data + ((i0 + i) * n_out + o0) * size, cols, tile[i]);
            for (size_t o = 0; o < cols; o++)
                for (size_t i = 0; i < rows; i++) p->data[(o0 + o) * n_in + i0 + i] = tile[i][o];
        }
    }
    return finite;
}

/* ---- into a format for inference ---- */
struct reading {
    const struct weft_param_info *p;
    const struct weft_st_entry *e;
};

static bool read_rows(void *user, size_t row, size_t rows, float *values) {
    const struct reading *r = user;
    const struct weft_st_entry *e = r->e;
    const size_t size = weft_st_dtype_size(e->dtype), out = r->p->shape[0], in = r->p->shape[1];
    if (!r->p->transposed) {
        widen(e->dtype, e->data + row * in * size, rows * in, values);
        return true;
    }
    for (size_t i = 0; i < in; i++)
        widen(e->dtype, e->data + (i * out + row) * size, rows, values + i * rows);
    return true;
}

/* *finite: false when the tensor has a NaN or Inf. */
static enum weft_status load_compact(weft_model *model, size_t i, const struct weft_param_info *p,
                                     const struct weft_st_entry *e, bool *finite) {
    struct reading r = {p, e};
    const struct weft_source source = {.read = read_rows, .user = &r, .transposed = p->transposed};
    const enum weft_status st = weft_model_fill(model, i, &source);
    *finite = st != WEFT_ERR_NONFINITE;
    return *finite ? st : WEFT_OK;
}

/* Parameter i of the list. */
static enum weft_status load_param(const struct files *f, weft_model *model, size_t i,
                                   const struct weft_param_info *p) {
    const struct weft_st_entry *e;
    const size_t rank = p->shape[1] > 0 ? 2 : 1;
    const bool transposed = p->transposed && rank == 2;
    const size_t shape[2] = {p->shape[transposed], p->shape[!transposed]};
    const char *name = p->name;
    size_t which = file_of(f, name);
    if (!weft_st_find(f->file[which], name) && strncmp(name, PREFIX, strlen(PREFIX)) == 0) {
        const size_t bare = file_of(f, name + strlen(PREFIX));
        if (weft_st_find(f->file[bare], name + strlen(PREFIX))) {
            which = bare;
            name += strlen(PREFIX);
        }
    }
    bool finite = true;
    enum weft_status st = weft_st_get_real(f->ctx, f->file[which], name, rank, shape, &e);
    if (st != WEFT_OK) return st;
    if (!p->data)
        st = load_compact(model, i, p, e, &finite);
    else
        finite = transposed ? load_transposed(p, e)
                            : load(e->dtype, e->data, weft_param_size(p), p->data);
    if (finite) return st;
    return weft_ctx_fail(f->ctx, WEFT_ERR_FORMAT,
                         "%s: tensor %s has a NaN or Inf: use an earlier checkpoint",
                         f->path[which], name);
}

/* ---- what else is there ---- */

static bool ends_with(const char *text, const char *end) {
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* What Hugging Face's files may have besides the parameters. */
static bool is_spare(const char *name) {
    return ends_with(name, ".attn.bias") || ends_with(name, ".attn.masked_bias") ||
           strcmp(name, "lm_head.weight") == 0;
}

/* A tensor that no parameter took: the file belongs to another model. */
static enum weft_status check_spares(const struct files *f, size_t which,
                                     const struct weft_param_info *params, size_t n) {
    for (size_t i = 0; i < weft_st_count(f->file[which]); i++) {
        const char *name = weft_st_entry(f->file[which], i)->name;
        bool known = is_spare(name);
        for (size_t k = 0; !known && k < n; k++) {
            const size_t skip =
                strncmp(params[k].name, PREFIX, strlen(PREFIX)) == 0 ? strlen(PREFIX) : 0;
            known = strcmp(name, params[k].name) == 0 || strcmp(name, params[k].name + skip) == 0;
        }
        if (!known)
            return weft_ctx_fail(
                f->ctx, WEFT_ERR_FORMAT,
                "%s: tensor %s is not part of the model that config.json describes", f->path[which],
                name);
    }
    return WEFT_OK;
}

enum weft_status weft_weights_load(weft_ctx *ctx, const char *dir, weft_model *model) {
    size_t n;
    struct files f = {.ctx = ctx, .dir = dir};
    struct weft_param_info *params = weft_model_param_list(model, &n);
    enum weft_status st = params ? open_files(&f) : no_memory(ctx, dir);
    for (size_t i = 0; st == WEFT_OK && i < n; i++) st = load_param(&f, model, i, &params[i]);
    for (size_t i = 0; st == WEFT_OK && i < f.n; i++) st = check_spares(&f, i, params, n);
    close_files(&f);
    free(params);
    return st;
}
