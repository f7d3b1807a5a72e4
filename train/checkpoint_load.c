/* Reading what a run goes on from; weights.c reads the parameters. */
#include <stdlib.h>
#include <string.h>
#include "train/atomic.h"
#include "train/checkpoint.h"
#include "train/safetensors.h"
#include "train/weights.h"

static enum weft_status no_memory(weft_ctx *ctx, const char *dir) {
    return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory while loading", dir);
}

/* One optimizer array; NULL when the optimizer has none. */
static enum weft_status load_array(weft_ctx *ctx, const weft_st_file *file, const char *kind,
                                   const struct weft_param_info *p, float *to) {
    if (!to) return WEFT_OK;
    const struct weft_st_entry *e;
    char *name = weft_text("%s.%s", kind, p->name);
    if (!name) return no_memory(ctx, p->name);
    const enum weft_status st =
        weft_st_get(ctx, file, name, WEFT_ST_F32, p->shape[1] > 0 ? 2 : 1, p->shape, &e);
    if (st == WEFT_OK) memcpy(to, e->data, e->size);
    free(name);
    return st;
}

static enum weft_status load_run(weft_ctx *ctx, const weft_st_file *file,
                                 struct weft_run_state *out) {
    const size_t four = 4;
    const struct weft_st_entry *run, *best;
    uint64_t values[4];
    enum weft_status st = weft_st_get(ctx, file, "run", WEFT_ST_U64, 1, &four, &run);
    if (st == WEFT_OK) st = weft_st_get(ctx, file, "best_loss", WEFT_ST_F64, 0, NULL, &best);
    if (st != WEFT_OK) return st;
    memcpy(values, run->data, sizeof values);
    *out = (struct weft_run_state){
        .step = values[0], .samples = values[1], .seed = values[2], .best_step = values[3]};
    out->unjudged = weft_st_find(file, "unjudged") != NULL;
    memcpy(&out->best_loss, best->data, sizeof out->best_loss);
    return WEFT_OK;
}

enum weft_status weft_checkpoint_state(weft_ctx *ctx, const char *dir, weft_model *model,
                                       struct weft_run_state *out) {
    size_t n;
    weft_st_file *file = NULL;
    struct weft_param_info *params = weft_model_param_list(model, &n);
    char *path = weft_text("%s/state.safetensors", dir);
    enum weft_status st = params && path ? WEFT_OK : no_memory(ctx, dir);
    if (st == WEFT_OK) st = weft_st_open(ctx, path, &file);
    for (size_t i = 0; st == WEFT_OK && i < n; i++) {
        st = load_array(ctx, file, "m", &params[i], params[i].m);
        if (st == WEFT_OK) st = load_array(ctx, file, "v", &params[i], params[i].v);
        if (st == WEFT_OK) st = load_array(ctx, file, "c", &params[i], params[i].c);
    }
    if (st == WEFT_OK) st = load_run(ctx, file, out);
    weft_st_close(file);
    free(path);
    free(params);
    return st;
}

/* ---- going on ---- */

/* The file must hold what weft would write now: the shape of the model decides what the weights
 * mean, and a damaged digit would not show elsewhere. */
static enum weft_status check_config(weft_ctx *ctx, const char *dir,
                                     const struct weft_shape *shape) {
    struct weft_shape found, wanted = *shape;
    struct weft_columns *columns = NULL;
    struct weft_json want = {0}, has = {0};
    enum weft_status st = weft_checkpoint_shape(ctx, dir, &found);
    if (st == WEFT_OK && !found.language) st = weft_checkpoint_columns(ctx, dir, &found, &columns);
    if (st != WEFT_OK) return st;
    found.columns = columns;
    if (!columns) wanted.columns = NULL; // of a version that did not write them
    weft_checkpoint_config(&wanted, NULL, "", &want);
    weft_checkpoint_config(&found, NULL, "", &has);
    if (want.failed || has.failed) {
        st = no_memory(ctx, dir);
    } else if (want.size != has.size || memcmp(want.data, has.data, want.size) != 0) {
        st = weft_ctx_fail(ctx, WEFT_ERR_FORMAT,
                           "%s/config.json describes another model than the run's settings", dir);
    }
    weft_json_free(&want);
    weft_json_free(&has);
    weft_columns_free(columns);
    return st;
}

static enum weft_status check_tokenizer(weft_ctx *ctx, const char *dir,
                                        const struct weft_tokenizer *tokenizer) {
    if (!tokenizer) return WEFT_OK;
    struct weft_tokenizer found = {0};
    char *path = weft_text("%s/tokenizer.json", dir);
    enum weft_status st = path ? weft_tokenizer_load(ctx, path, &found) : no_memory(ctx, dir);
    if (st == WEFT_OK && found.kind == WEFT_TOKENS_BPE) found.vocab = tokenizer->vocab; // padded
    if (st == WEFT_OK && !weft_tokenizer_same(&found, tokenizer))
        st = weft_ctx_fail(ctx, WEFT_ERR_FORMAT, "%s: other tokens than those of the data", path);
    weft_tokenizer_free(&found);
    free(path);
    return st;
}

enum weft_status weft_checkpoint_resume(weft_ctx *ctx, const char *dir, weft_model *model,
                                        const struct weft_shape *shape,
                                        const struct weft_tokenizer *tokenizer,
                                        struct weft_run_state *out) {
    enum weft_status st = check_config(ctx, dir, shape);
    if (st == WEFT_OK) st = check_tokenizer(ctx, dir, tokenizer);
    if (st == WEFT_OK) st = weft_weights_load(ctx, dir, model);
    if (st == WEFT_OK) st = weft_checkpoint_state(ctx, dir, model, out);
    return st;
}
