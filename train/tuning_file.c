/* {"AMD EPYC 7B12, avx2, 2 threads": "grain_ns=4000", ...}: one file for all machines of a home. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "train/atomic.h"
#include "train/json_in.h"
#include "train/tune.h"

#define FILE_MAX ((size_t)1 << 20)

char *weft_tuning_path(void) {
    const char *const cache = getenv("XDG_CACHE_HOME"), *const home = getenv("HOME");
    if (cache != NULL && *cache == '/') return weft_text("%s/weft/tuning.json", cache);
    if (home != NULL && *home == '/') return weft_text("%s/.cache/weft/tuning.json", home);
    return NULL;
}

static char *key_of(const char *isa, int threads) {
    struct weft_cpu_info cpu;
    weft_cpu_query(&cpu);
    return weft_text("%s, %s, %d thread%s", cpu.model, isa, threads, threads == 1 ? "" : "s");
}

static json_t *read_file(const char *path) {
    json_error_t error;
    FILE *const f = path == NULL ? NULL : fopen(path, "rb");
    if (f == NULL) return NULL;
    json_t *root = NULL;
    if (fseek(f, 0, SEEK_END) == 0 && (size_t)ftell(f) <= FILE_MAX && fseek(f, 0, SEEK_SET) == 0)
        root = json_loadf(f, JSON_REJECT_DUPLICATES, &error);
    fclose(f);
    if (json_is_object(root)) return root;
    json_decref(root);
    return NULL;
}

char *weft_tuning_load(const char *isa, int threads) {
    char *const path = weft_tuning_path(), *const key = key_of(isa, threads);
    json_t *const root = read_file(path);
    const char *const text =
        root != NULL && key != NULL ? json_string_value(json_object_get(root, key)) : NULL;
    char *const copy = text != NULL ? strdup(text) : NULL;
    json_decref(root);
    free(key);
    free(path);
    return copy;
}

enum weft_status weft_tuning_save(weft_ctx *ctx, const char *path, const char *text) {
    char *const folder = weft_text("%s", path), *const key = key_of(weft_ctx_isa(ctx),
                                                                    weft_ctx_threads(ctx));
    json_t *root = read_file(path);
    if (root == NULL) root = json_object();
    char *document = NULL;
    if (folder != NULL && key != NULL && json_object_set_new(root, key, json_string(text)) == 0)
        document = json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS);
    enum weft_status st = WEFT_OK;
    if (document == NULL) {
        st = weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory");
    } else {
        *strrchr(folder, '/') = 0;
        st = weft_make_folder(ctx, folder);
        if (st == WEFT_OK) st = weft_write_file(ctx, path, document, strlen(document));
    }
    free(document);
    json_decref(root);
    free(key);
    free(folder);
    return st;
}
