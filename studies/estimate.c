/* How fast this machine runs the small models of studies: measured on one thread in a process of
 * its own, so that the measuring one may still fork. */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "studies/inside.h"
#include "train/progress.h"

#define SECONDS 0.4 /* of each model */
#define ROWS    128
#define TOKENS  64

/* FLOPs a second of training steps on made-up data; 0 when it cannot be had. */
static double rate_of(weft_ctx *ctx, weft_model *m, const struct weft_batch *b, size_t targets,
                      double flops) {
    const struct weft_run run = {.inv_targets = 1.0F / (float)targets, .lr = 1e-4};
    struct weft_loss loss;
    struct weft_step step;
    enum weft_status st = weft_model_commit(m);
    if (st == WEFT_OK) st = weft_model_init(m, &(struct weft_init){.seed = 1});
    double begin = weft_clock();
    size_t steps = 0;
    while (st == WEFT_OK && weft_clock() - begin < SECONDS) {
        st = weft_model_grad(m, b, &run, &loss);
        if (st == WEFT_OK) st = weft_model_update(m, &run, &step);
        if (steps++ == 0) begin = weft_clock(); /* the first one warms up */
    }
    (void)ctx;
    const double seconds = weft_clock() - begin;
    return st == WEFT_OK && steps > 1 ? flops * (double)(steps - 1) / seconds : 0;
}

static double mlp_rate(weft_ctx *ctx) {
    static const size_t widths[] = {784, 256, 128, 10};
    static float x[ROWS * 784];
    static int32_t y[ROWS];
    const struct weft_mlp_config c = {
        .inputs = 784, .hidden = {256, 128}, .layers = 2, .outputs = 10};
    const struct weft_training t = {.batch = ROWS, .optim = {.name = "sgd"}};
    const struct weft_batch b = {.inputs = x, .targets = y, .rows = ROWS};
    weft_model *m = NULL;
    for (size_t i = 0; i < ROWS * 784; i++) x[i] = (float)(i * 37 % 101) / 101;
    for (size_t i = 0; i < ROWS; i++) y[i] = (int32_t)(i % 10);
    if (weft_mlp_create(ctx, &c, &t, &m) != WEFT_OK) return 0;
    const double rate = rate_of(ctx, m, &b, ROWS, ROWS * study_mlp_flops(widths, 4));
    weft_model_free(m);
    return rate;
}

static double gpt_rate(weft_ctx *ctx) {
    static int32_t tokens[8 * TOKENS];
    const struct weft_gpt2_config c = {
        .vocab = 256, .context = TOKENS, .layers = 4, .heads = 2, .width = 64};
    const struct weft_training t = {
        .batch = 8, .seq = TOKENS, .optim = {"adamw", 0.9, 0.95, 1e-8, 0.1, 1}};
    const struct weft_batch b = {.tokens = tokens, .targets = tokens, .rows = 8};
    weft_model *m = NULL;
    for (size_t i = 0; i < 8 * TOKENS; i++) tokens[i] = (int32_t)(i * 37 % 101);
    if (weft_gpt2_create(ctx, &c, &t, &m) != WEFT_OK) return 0;
    const double rate =
        rate_of(ctx, m, &b, 8 * TOKENS, 8 * TOKENS * study_gpt_flops(4, 64, TOKENS, 256));
    weft_model_free(m);
    return rate;
}

void study_measure(double *mlp, double *gpt) {
    double rate[2] = {0, 0};
    int pipe_[2];
    *mlp = *gpt = 0;
    if (pipe(pipe_) != 0) return;
    const pid_t pid = fork();
    if (pid == 0) {
        weft_ctx *ctx = NULL;
        const struct weft_ctx_options one = {.threads = 1};
        if (weft_ctx_create(&one, &ctx) == WEFT_OK) {
            rate[0] = mlp_rate(ctx);
            rate[1] = gpt_rate(ctx);
        }
        _exit(write(pipe_[1], rate, sizeof rate) == (ssize_t)sizeof rate ? 0 : 1);
    }
    close(pipe_[1]);
    if (pid > 0 && read(pipe_[0], rate, sizeof rate) == (ssize_t)sizeof rate) {
        *mlp = rate[0];
        *gpt = rate[1];
    }
    close(pipe_[0]);
    if (pid > 0) waitpid(pid, NULL, 0);
}
