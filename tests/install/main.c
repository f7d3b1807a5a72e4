/* What a user of the library writes: a small network learns the exclusive or. Knows the installed
 * headers only. Prints the loss before and after; fails when nothing was learnt. */
#include <stdio.h>
#include <weft/weft.h>

static enum weft_status learn(weft_ctx *ctx, weft_model **model, double *first, double *last) {
    const float inputs[] = {0, 0, 0, 1, 1, 0, 1, 1};
    const int32_t targets[] = {0, 1, 1, 0};
    const struct weft_batch batch = {.inputs = inputs, .targets = targets, .rows = 4};
    const struct weft_mlp_config config = {
        .inputs = 2, .outputs = 2, .hidden = {16}, .layers = 1, .act = "tanh"};
    const struct weft_training training = {
        .batch = 4, .optim = {.name = "adam", .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8}};

    enum weft_status st = weft_mlp_create(ctx, &config, &training, model);
    if (st == WEFT_OK) st = weft_model_commit(*model);
    if (st == WEFT_OK)
        st = weft_model_init(*model, &(struct weft_init){.name = "xavier-uniform", .seed = 1});
    for (uint64_t step = 0; st == WEFT_OK && step < 200; step++) {
        const struct weft_run run = {.step = step, .inv_targets = 0.25F, .lr = 0.05};
        struct weft_loss loss = {0};
        struct weft_step taken = {0};
        st = weft_model_grad(*model, &batch, &run, &loss);
        if (st == WEFT_OK) st = weft_model_update(*model, &run, &taken);
        if (step == 0) *first = loss.sum / 4;
        *last = loss.sum / 4;
    }
    return st;
}

int main(void) {
    weft_ctx *ctx = NULL;
    weft_model *model = NULL;
    double first = 0;
    double last = 1;
    if (weft_ctx_create(NULL, &ctx) != WEFT_OK) {
        fprintf(stderr, "outside: no context\n");
        return 1;
    }
    const enum weft_status st = learn(ctx, &model, &first, &last);
    if (st != WEFT_OK)
        fprintf(stderr, "outside: %s: %s\n", weft_status_text(st), weft_ctx_message(ctx));
    printf("weft %s, %s: loss %.4f -> %.6f\n", weft_version(), weft_ctx_isa(ctx), first, last);
    weft_model_free(model);
    weft_ctx_free(ctx);
    return st == WEFT_OK && first > 0.3 && last < 0.01 ? 0 : 1;
}
