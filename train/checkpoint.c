/* Writing. The model is weights_save.c's; the reader is in checkpoint_load.c. */
#include "train/checkpoint.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "train/atomic.h"
#include "train/safetensors.h"
#include "train/weights.h"

#define ARRAYS 3 /* of a parameter at most: m, v, c */

struct weft_param_info *weft_model_param_list(const weft_model *model, size_t *n) {
    *n = weft_model_params(model, NULL, 0);
    struct weft_param_info *list = calloc(*n + 1, sizeof *list);
    if (list) weft_model_params(model, list, *n);
    return list;
}

size_t weft_param_size(const struct weft_param_info *p) {
    return p->shape[0] * (p->shape[1] > 0 ? p->shape[1] : 1);
}

static enum weft_status no_memory(weft_ctx *ctx) {
    return weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "out of memory while saving a checkpoint");
}

/* Optimizer arrays in the order of the parameters, as they are in memory. */
static size_t state_tensors(const struct weft_param_info *params, size_t n, char **names,
                            struct weft_st_tensor *tensors) {
    size_t count = 0;
    for (size_t i = 0; i < ARRAYS * n; i++) {
        const struct weft_param_info *p = &params[i / ARRAYS];
        const float *const data[ARRAYS] = {p->m, p->v, p->c};
        if (!data[i % ARRAYS]) continue;
        names[count] = weft_text("%c.%s", "mvc"[i % ARRAYS], p->name);
        tensors[count] = (struct weft_st_tensor){.name = names[count],
                                                 .dtype = WEFT_ST_F32,
                                                 .rank = p->shape[1] > 0 ? 2 : 1,
                                                 .shape = {p->shape[0], p->shape[1]},
                                                 .data = data[i % ARRAYS]};
        if (!names[count]) return SIZE_MAX;
        count++;
    }
    return count;
}

static enum weft_status save_state(weft_ctx *ctx, const char *path,
                                   const struct weft_param_info *params, size_t n,
                                   const struct weft_run_state *state) {
    const uint64_t run[4] = {state->step, state->samples, state->seed, state->best_step};
    struct weft_st_tensor *tensors = calloc(ARRAYS * n + 3, sizeof *tensors);
    char **names = calloc(ARRAYS * n + 1, sizeof *names);
    enum weft_status st = WEFT_ERR_NOMEM;
    if (tensors && names) {
        tensors[0] = (struct weft_st_tensor){
            .name = "run", .dtype = WEFT_ST_U64, .rank = 1, .shape = {4}, .data = run};
        tensors[1] = (struct weft_st_tensor){
            .name = "best_loss", .dtype = WEFT_ST_F64, .rank = 0, .data = &state->best_loss};
        const size_t count = state_tensors(params, n, names, tensors + 2);
        size_t all = 2 + (count == SIZE_MAX ? 0 : count);
        if (state->unjudged)
            tensors[all++] = (struct weft_st_tensor){
                .name = "unjudged", .dtype = WEFT_ST_U64, .rank = 1, .shape = {1}, .data = run};
        if (count != SIZE_MAX) st = weft_st_write(ctx, path, tensors, all, NULL, 0);
    }
    if (st == WEFT_ERR_NOMEM) no_memory(ctx);
    for (size_t i = 0; names && i < ARRAYS * n; i++) free(names[i]);
    free(names);
    free(tensors);
    return st;
}

static enum weft_status save_rest(weft_ctx *ctx, const char *temp, const weft_model *model,
                                  const struct weft_run_state *state) {
    size_t n;
    struct weft_param_info *params = weft_model_param_list(model, &n);
    char *rest = weft_text("%s/state.safetensors", temp);
    enum weft_status st = params && rest ? WEFT_OK : no_memory(ctx);
    if (st == WEFT_OK) st = save_state(ctx, rest, params, n, state);
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
    if (st == WEFT_OK)
        st = weft_weights_save(ctx, temp, model, shape, tokenizer, &(struct weft_saving){0});
    if (st == WEFT_OK) st = save_rest(ctx, temp, model, state);
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
