/* The writer of a model's folder; weights.c reads. */
#include <stdlib.h>
#include <string.h>
#include "train/atomic.h"
#include "train/checkpoint.h"
#include "train/weights.h"
#include "weft/half.h"

#define BLOCK 8192 /* elements converted at once */

struct source { /* of a tensor */
    struct weft_param_info *param;
    enum weft_st_dtype dtype;
};

static enum weft_status no_memory(weft_ctx *ctx, const char *dir) {
    return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory while saving", dir);
}

/* ---- elements of the file ---- */

/* Elements [first, first + n) of the (in, out) transpose of an (out, in) parameter: the rows of the
 * file that overlap them, a column of them at a time, so that memory is read in order. */
static void take_transposed(const struct weft_param_info *p, size_t first, size_t n, float *to) {
    const size_t n_out = p->shape[0], n_in = p->shape[1], end = first + n;
    for (size_t o = 0; o < n_out; o++) {
        const size_t lo = first > o ? (first - o + n_out - 1) / n_out : 0;
        const size_t hi = end > o ? (end - o + n_out - 1) / n_out : 0;
        for (size_t i = lo; i < hi; i++) to[i * n_out + o - first] = p->data[o * n_in + i];
    }
}

static void take(const struct weft_param_info *p, size_t first, size_t n, float *to) {
    if (p->transposed && p->shape[1] > 0)
        take_transposed(p, first, n, to);
    else
        memcpy(to, p->data + first, n * sizeof *to);
}

static void fill_f32(void *user, size_t offset, size_t size, void *bytes) {
    const struct source *s = user;
    take(s->param, offset / sizeof(float), size / sizeof(float), bytes);
}

static void fill_half(void *user, size_t offset, size_t size, void *bytes) {
    const struct source *s = user;
    uint16_t *to = bytes;
    float block[BLOCK];
    for (size_t i = 0, n; i < size / 2; i += n) {
        n = size / 2 - i < BLOCK ? size / 2 - i : BLOCK;
        take(s->param, offset / 2 + i, n, block);
        for (size_t k = 0; k < n; k++)
            to[i + k] =
                s->dtype == WEFT_ST_BF16 ? weft_bf16_round(block[k]) : weft_f16_round(block[k]);
    }
}

static struct weft_st_tensor make_tensor(struct source *s) {
    const struct weft_param_info *p = s->param;
    const bool transposed = p->transposed && p->shape[1] > 0;
    struct weft_st_tensor t = {.name = p->name,
                               .dtype = s->dtype,
                               .rank = p->shape[1] > 0 ? 2 : 1,
                               .shape = {p->shape[transposed], p->shape[!transposed]},
                               .data = p->data,
                               .user = s};
    if (s->dtype != WEFT_ST_F32)
        t.fill = fill_half;
    else if (transposed)
        t.fill = fill_f32;
    if (t.fill) t.data = NULL;
    return t;
}

/* ---- files ---- */

struct shards {
    weft_ctx *ctx;
    const char *dir;
    struct weft_st_tensor *tensor;
    size_t *first; /* (n + 1) the first tensor of each file */
    size_t n, bytes;
};

static size_t tensor_bytes(const struct weft_st_tensor *t) {
    return t->shape[0] * (t->rank > 1 ? t->shape[1] : 1) * weft_st_dtype_size(t->dtype);
}

/* Tensors in order, as many to a file as fit. */
static void cut(struct shards *s, size_t tensors, size_t most) {
    size_t held = 0;
    for (size_t i = 0; i < tensors; i++) {
        const size_t bytes = tensor_bytes(&s->tensor[i]);
        if (i == 0 || (most > 0 && held + bytes > most)) {
            s->first[s->n++] = i;
            held = 0;
        }
        held += bytes;
        s->bytes += bytes;
    }
    s->first[s->n] = tensors;
}

static char *shard_name(const struct shards *s, size_t i) {
    return s->n == 1 ? weft_text("model.safetensors")
                     : weft_text("model-%05zu-of-%05zu.safetensors", i + 1, s->n);
}

static enum weft_status write_index(const struct shards *s) {
    struct weft_json j = {.pretty = true};
    weft_json_open(&j, NULL, '{');
    weft_json_open(&j, "metadata", '{');
    weft_json_count(&j, "total_size", s->bytes);
    weft_json_close(&j);
    weft_json_open(&j, "weight_map", '{');
    for (size_t i = 0; i < s->n; i++) {
        char *name = shard_name(s, i);
        for (size_t k = s->first[i]; k < s->first[i + 1]; k++)
            weft_json_text(&j, s->tensor[k].name, name);
        free(name);
    }
    weft_json_end(&j);
    char *path = weft_text("%s/model.safetensors.index.json", s->dir);
    const enum weft_status st = j.failed || !path ? no_memory(s->ctx, s->dir)
                                                  : weft_write_file(s->ctx, path, j.data, j.size);
    weft_json_free(&j);
    free(path);
    return st;
}

static enum weft_status write_shards(const struct shards *s) {
    enum weft_status st = WEFT_OK;
    for (size_t i = 0; st == WEFT_OK && i < s->n; i++) {
        char *name = shard_name(s, i), *path = name ? weft_text("%s/%s", s->dir, name) : NULL;
        st = path ? weft_st_write(s->ctx, path, s->tensor + s->first[i],
                                  s->first[i + 1] - s->first[i], NULL, 0)
                  : no_memory(s->ctx, s->dir);
        free(name);
        free(path);
    }
    return st == WEFT_OK && s->n > 1 ? write_index(s) : st;
}

static enum weft_status save_tensors(weft_ctx *ctx, const char *dir, const weft_model *model,
                                     const struct weft_saving *how) {
    size_t n;
    struct weft_param_info *params = weft_model_param_list(model, &n);
    struct source *source = calloc(n + 1, sizeof *source);
    struct shards s = {.ctx = ctx, .dir = dir};
    s.tensor = calloc(n + 1, sizeof *s.tensor);
    s.first = calloc(n + 2, sizeof *s.first);
    enum weft_status st = params && source && s.tensor && s.first ? WEFT_OK : no_memory(ctx, dir);
    for (size_t i = 0; st == WEFT_OK && i < n; i++) {
        source[i] = (struct source){&params[i], how->dtype};
        s.tensor[i] = make_tensor(&source[i]);
    }
    if (st == WEFT_OK) cut(&s, n, how->shard_bytes);
    if (st == WEFT_OK) st = write_shards(&s);
    free(s.tensor);
    free(s.first);
    free(source);
    free(params);
    return st;
}

/* ---- texts ---- */

static enum weft_status save_config(weft_ctx *ctx, const char *dir, const struct weft_shape *shape,
                                    const struct weft_tokenizer *tokenizer,
                                    enum weft_st_dtype dtype) {
    struct weft_json j = {.pretty = true};
    char *path = weft_text("%s/config.json", dir);
    weft_checkpoint_config(shape, tokenizer,
                           dtype == WEFT_ST_F16    ? "float16"
                           : dtype == WEFT_ST_BF16 ? "bfloat16"
                                                   : "float32",
                           &j);
    const enum weft_status st =
        j.failed || !path ? no_memory(ctx, dir) : weft_write_file(ctx, path, j.data, j.size);
    weft_json_free(&j);
    free(path);
    return st;
}

enum weft_status weft_weights_save(weft_ctx *ctx, const char *dir, const weft_model *model,
                                   const struct weft_shape *shape,
                                   const struct weft_tokenizer *tokenizer,
                                   const struct weft_saving *how) {
    enum weft_status st = save_config(ctx, dir, shape, tokenizer, how->dtype);
    if (st == WEFT_OK && tokenizer) st = weft_tokenizer_save(ctx, dir, tokenizer);
    return st == WEFT_OK ? save_tensors(ctx, dir, model, how) : st;
}
