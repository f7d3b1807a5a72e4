/* Writing. The reader is in checkpoint_load.c, config.json in checkpoint_config.c. */
#include "train/checkpoint.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "train/atomic.h"
#include "train/safetensors.h"

struct weft_param_info *weft_model_param_list(const weft_model *model, size_t *n) {
    *n = weft_model_params(model, NULL, 0);
    struct weft_param_info *list = calloc(*n + 1, sizeof *list);
    if (list) weft_model_params(model, list, *n);
    return list;
}

size_t weft_param_size(const struct weft_param_info *p) {
    return p->shape[0] * (p->shape[1] > 0 ? p->shape[1] : 1);
}

/* Bytes of the (in, out) transpose of an (out, in) parameter: the rows of the file that overlap
 * the piece, a column of them at a time, so that memory is read in order. */
static void fill_transposed(void *user, size_t offset, size_t size, void *bytes) {
    const struct weft_param_info *p = user;
    const size_t n_out = p->shape[0], n_in = p->shape[1];
    const size_t first = offset / sizeof(float), end = first + size / sizeof(float);
    float *to = bytes;
    for (size_t o = 0; o < n_out; o++) {
        const size_t lo = first > o ? (first - o + n_out - 1) / n_out : 0;
        const size_t hi = end > o ? (end - o + n_out - 1) / n_out : 0;
        for (size_t i = lo; i < hi; i++) to[i * n_out + o - first] = p->data[o * n_in + i];
    }
}

static struct weft_st_tensor model_tensor(struct weft_param_info *p) {
    struct weft_st_tensor t = {.name = p->name,
                               .dtype = WEFT_ST_F32,
                               .rank = p->shape[1] > 0 ? 2 : 1,
                               .shape = {p->shape[0], p->shape[1]},
                               .data = p->data};
    if (p->transposed && t.rank == 2) {
        t.shape[0] = p->shape[1];
        t.shape[1] = p->shape[0];
        t.data = NULL;
        t.fill = fill_transposed;
        t.user = p;
    }
    return t;
}

static enum weft_status no_memory(weft_ctx *ctx) {
    return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory while saving a checkpoint");
}

static enum weft_status save_model(weft_ctx *ctx, const char *path, struct weft_param_info *params,
                                   size_t n) {
    struct weft_st_tensor *tensors = calloc(n + 1, sizeof *tensors);
    if (!tensors) return no_memory(ctx);
    for (size_t i = 0; i < n; i++) tensors[i] = model_tensor(&params[i]);
    const enum weft_status st = weft_st_write(ctx, path, tensors, n, NULL, 0);
    free(tensors);
    return st;
}

/* Optimizer arrays in the order of the parameters, as they are in memory. */
static size_t state_tensors(const struct weft_param_info *params, size_t n, char **names,
                            struct weft_st_tensor *tensors) {
    size_t count = 0;
    for (size_t i = 0; i < 2 * n; i++) {
        const struct weft_param_info *p = &params[i / 2];
        const float *data = i % 2 ? p->v : p->m;
        if (!data) continue;
        names[count] = weft_text("%s.%s", i % 2 ? "v" : "m", p->name);
        tensors[count] = (struct weft_st_tensor){.name = names[count],
                                                 .dtype = WEFT_ST_F32,
                                                 .rank = p->shape[1] > 0 ? 2 : 1,
                                                 .shape = {p->shape[0], p->shape[1]},
                                                 .data = data};
        if (!names[count]) return SIZE_MAX;
        count++;
    }
    return count;
}

static enum weft_status save_state(weft_ctx *ctx, const char *path,
                                   const struct weft_param_info *params, size_t n,
                                   const struct weft_run_state *state) {
    const uint64_t run[4] = {state->step, state->samples, state->seed, state->best_step};
    struct weft_st_tensor *tensors = calloc(2 * n + 2, sizeof *tensors);
    char **names = calloc(2 * n + 1, sizeof *names);
    enum weft_status st = WEFT_ERR_NOMEM;
    if (tensors && names) {
        tensors[0] = (struct weft_st_tensor){
            .name = "run", .dtype = WEFT_ST_U64, .rank = 1, .shape = {4}, .data = run};
        tensors[1] = (struct weft_st_tensor){
            .name = "best_loss", .dtype = WEFT_ST_F64, .rank = 0, .data = &state->best_loss};
        const size_t count = state_tensors(params, n, names, tensors + 2);
        if (count != SIZE_MAX) st = weft_st_write(ctx, path, tensors, count + 2, NULL, 0);
    }
    if (st == WEFT_ERR_NOMEM) no_memory(ctx);
    for (size_t i = 0; names && i < 2 * n; i++) free(names[i]);
    free(names);
    free(tensors);
    return st;
}

static enum weft_status save_texts(weft_ctx *ctx, const char *temp, const struct weft_shape *shape,
                                   const struct weft_tokenizer *tokenizer) {
    struct weft_json j = {.pretty = true};
    char *config = weft_text("%s/config.json", temp);
    enum weft_status st = config ? WEFT_OK : no_memory(ctx);
    weft_checkpoint_config(shape, tokenizer, &j);
    if (st == WEFT_OK)
        st = j.failed ? no_memory(ctx) : weft_write_file(ctx, config, j.data, j.size);
    if (st == WEFT_OK && tokenizer) st = weft_tokenizer_save(ctx, temp, tokenizer);
    weft_json_free(&j);
    free(config);
    return st;
}

static enum weft_status save_tensors(weft_ctx *ctx, const char *temp, const weft_model *model,
                                     const struct weft_run_state *state) {
    size_t n;
    struct weft_param_info *params = weft_model_param_list(model, &n);
    char *weights = weft_text("%s/model.safetensors", temp);
    char *rest = weft_text("%s/state.safetensors", temp);
    enum weft_status st = params && weights && rest ? WEFT_OK : no_memory(ctx);
    if (st == WEFT_OK) st = save_model(ctx, weights, params, n);
    if (st == WEFT_OK) st = save_state(ctx, rest, params, n, state);
    free(weights);
    free(rest);
    free(params);
    return st;
}

enum weft_status weft_checkpoint_save(weft_ctx *ctx, const char *folder, const weft_model *model,
                                      const struct weft_shape *shape,
                                      const struct weft_tokenizer *tokenizer,
                                      const struct weft_run_state *state) {
    char name[WEFT_CHECKPOINT_NAME];
    char *path = weft_text("%s/%s", folder, weft_checkpoint_name(state->step, name));
    char *temp = weft_text("%s/%s.tmp", folder, name);
    enum weft_status st = path && temp ? WEFT_OK : no_memory(ctx);
    if (st == WEFT_OK) st = weft_remove_folder(ctx, temp); // of a run that was killed
    if (st == WEFT_OK) st = weft_make_folder(ctx, temp);
    if (st == WEFT_OK) st = save_texts(ctx, temp, shape, tokenizer);
    if (st == WEFT_OK) st = save_tensors(ctx, temp, model, state);
    if (st == WEFT_OK) st = weft_commit_folder(ctx, temp, path);
    if (st != WEFT_OK && temp) {
        char message[WEFT_MESSAGE_MAX]; // removing what was written must not hide why
        strncpy(message, weft_ctx_message(ctx), sizeof message - 1);
        message[sizeof message - 1] = '\0';
        if (weft_remove_folder(ctx, temp) == WEFT_OK || message[0])
            weft_ctx_fail(ctx, st, "%s", message);
    }
    free(path);
    free(temp);
    return st;
}
