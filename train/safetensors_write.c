#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "train/atomic.h"
#include "train/json_out.h"
#include "train/safetensors.h"

#define CHUNK (1u << 20) /* bytes asked of fill at once */

static size_t tensor_size(const struct weft_st_tensor *t) {
    size_t size = weft_st_dtype_size(t->dtype);
    for (size_t i = 0; i < t->rank; i++) size *= t->shape[i]; // it is in memory: no overflow
    return size;
}

/* The bytes of a tensor, piece by piece, to the hash or to the file. */
static void visit(const struct weft_st_tensor *t, XXH64_state_t *hash, struct weft_out *out,
                  char *chunk) {
    const size_t size = tensor_size(t);
    for (size_t at = 0; at < size; at += CHUNK) {
        const size_t n = size - at < CHUNK ? size - at : CHUNK;
        const void *piece = chunk;
        if (t->fill) {
            t->fill(t->user, at, n, chunk);
        } else {
            piece = (const char *)t->data + at;
        }
        if (hash) XXH64_update(hash, piece, n);
        if (out) weft_out_write(out, piece, n);
    }
}

static void put_metadata(struct weft_json *j, const struct weft_st_tensor *tensors, size_t n,
                         const struct weft_st_meta *meta, size_t n_meta, XXH64_state_t *hash,
                         char *chunk) {
    weft_json_open(j, "__metadata__", '{');
    weft_json_text(j, "format", "pt"); // what loaders of PyTorch models ask for
    for (size_t i = 0; i < n_meta; i++) weft_json_text(j, meta[i].key, meta[i].value);
    for (size_t i = 0; i < n; i++) {
        char key[512], sum[17];
        snprintf(key, sizeof key, "xxh64:%s", tensors[i].name);
        XXH64_reset(hash, 0);
        visit(&tensors[i], hash, NULL, chunk);
        snprintf(sum, sizeof sum, "%016" PRIx64, (uint64_t)XXH64_digest(hash));
        weft_json_text(j, key, sum);
    }
    weft_json_close(j);
}

static void put_entries(struct weft_json *j, const struct weft_st_tensor *tensors, size_t n) {
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const struct weft_st_tensor *t = &tensors[i];
        weft_json_open(j, t->name, '{');
        weft_json_text(j, "dtype", weft_st_dtype_name(t->dtype));
        weft_json_open(j, "shape", '[');
        for (size_t d = 0; d < t->rank; d++) weft_json_count(j, NULL, t->shape[d]);
        weft_json_close(j);
        weft_json_open(j, "data_offsets", '[');
        weft_json_count(j, NULL, at);
        at += tensor_size(t);
        weft_json_count(j, NULL, at);
        weft_json_close(j);
        weft_json_close(j);
    }
}

static enum weft_status put_file(weft_ctx *ctx, const char *path, const struct weft_json *header,
                                 const struct weft_st_tensor *tensors, size_t n, char *chunk) {
    struct weft_out out;
    const enum weft_status st = weft_out_open(ctx, path, &out);
    if (st != WEFT_OK) return st;
    const size_t padding = (8 - header->size % 8) % 8;
    const uint64_t length = header->size + padding;
    unsigned char prefix[8];
    for (int i = 0; i < 8; i++) prefix[i] = (unsigned char)(length >> 8 * i);
    weft_out_write(&out, prefix, sizeof prefix);
    weft_out_write(&out, header->data, header->size);
    weft_out_write(&out, "       ", padding);
    for (size_t i = 0; i < n; i++) visit(&tensors[i], NULL, &out, chunk);
    return weft_out_commit(&out);
}

enum weft_status weft_st_write(weft_ctx *ctx, const char *path,
                               const struct weft_st_tensor *tensors, size_t n,
                               const struct weft_st_meta *meta, size_t n_meta) {
    struct weft_json header = {0};
    XXH64_state_t *hash = XXH64_createState();
    char *chunk = malloc(CHUNK);
    enum weft_status st = WEFT_ERR_NOMEM;
    if (hash && chunk) {
        weft_json_open(&header, NULL, '{');
        put_metadata(&header, tensors, n, meta, n_meta, hash, chunk);
        put_entries(&header, tensors, n);
        weft_json_end(&header);
        if (!header.failed) st = put_file(ctx, path, &header, tensors, n, chunk);
    }
    if (st == WEFT_ERR_NOMEM)
        weft_ctx_fail(ctx, st, "%s: out of memory while writing tensors", path);
    free(chunk);
    XXH64_freeState(hash);
    weft_json_free(&header);
    return st;
}

enum weft_status weft_st_hash(weft_ctx *ctx, const struct weft_st_tensor *tensor, uint64_t *out) {
    XXH64_state_t *hash = XXH64_createState();
    char *chunk = malloc(CHUNK);
    enum weft_status st = WEFT_OK;
    if (hash && chunk) {
        XXH64_reset(hash, 0);
        visit(tensor, hash, NULL, chunk);
        *out = XXH64_digest(hash);
    } else {
        st = weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory for a hash of %s", tensor->name);
    }
    free(chunk);
    XXH64_freeState(hash);
    return st;
}
