/* Gradients of whole models against differences of their losses: every place of LayerNorm, ReZero,
 * learned scales, blocks of perceptrons, every activation.
 *
 * Along a random direction v of one parameter: (L(w + h v) - L(w - h v))/2h = <g, v>. The losses
 * are f32 forward passes, summed in double, so h is large, and the third difference is taken out by
 * a second h. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "weft/weft.h"

#define MAX_PARAMS 64
#define TOLERANCE  2e-3 /* of |g| |v|; a wrong factor or a missing term is far above */

static double pseudo(uint32_t *state) { /* in [-1, 1) */
    *state = *state * 1664525U + 1013904223U;
    return (double)(*state >> 8) / 0x1p23 - 1;
}

static double loss_at(weft_model *m, const struct weft_batch *b, const struct weft_param_info *p,
                      const float *from, const float *v, double h) {
    const size_t n = p->shape[0] * (p->shape[1] == 0 ? 1 : p->shape[1]);
    struct weft_loss loss;
    for (size_t i = 0; i < n; i++) p->data[i] = (float)((double)from[i] + h * (double)v[i]);
    assert_int_equal(weft_model_eval(m, b, &loss), WEFT_OK);
    memcpy(p->data, from, n * sizeof *from);
    return loss.sum / (double)loss.count;
}

/* Moves every parameter off its special start, so that no gain is 0 and no scale is 1. */
static void stir(struct weft_param_info *p, size_t params, uint32_t *state) {
    for (size_t k = 0; k < params; k++)
        for (size_t i = 0; i < p[k].shape[0] * (p[k].shape[1] == 0 ? 1 : p[k].shape[1]); i++)
            p[k].data[i] += (float)(0.2 * pseudo(state));
}

static void compare(weft_model *m, const struct weft_batch *b, const char *what) {
    struct weft_param_info p[MAX_PARAMS];
    struct weft_loss loss;
    uint32_t state = 1;
    const size_t params = weft_model_params(m, p, MAX_PARAMS);
    assert_true(params > 0 && params <= MAX_PARAMS);
    stir(p, params, &state);
    assert_int_equal(weft_model_grad(m, b, &(struct weft_run){.inv_targets = 0}, &loss), WEFT_OK);
    const struct weft_run run = {.inv_targets = 1.0F / (float)loss.count};
    assert_int_equal(weft_model_grad(m, b, &run, &loss), WEFT_OK);
    for (size_t k = 0; k < params; k++) {
        if (p[k].grad == NULL) { /* "post" ends with a norm of its own */
            assert_non_null(strstr(p[k].name, "ln_f"));
            continue;
        }
        const size_t n = p[k].shape[0] * (p[k].shape[1] == 0 ? 1 : p[k].shape[1]);
        float *const from = malloc(n * sizeof *from), *const v = malloc(n * sizeof *v);
        double slope = 0, g2 = 0, v2 = 0;
        assert_non_null(from);
        assert_non_null(v);
        memcpy(from, p[k].data, n * sizeof *from);
        for (size_t i = 0; i < n; i++) { /* along the gradient, and off it */
            v[i] = (float)pseudo(&state);
            g2 += (double)p[k].grad[i] * (double)p[k].grad[i];
            v2 += (double)v[i] * (double)v[i];
        }
        for (size_t i = 0; i < n && g2 > 0; i++)
            v[i] = (float)((double)v[i] / sqrt(v2) + (double)p[k].grad[i] / sqrt(g2));
        v2 = 0;
        for (size_t i = 0; i < n; i++) {
            slope += (double)p[k].grad[i] * (double)v[i];
            v2 += (double)v[i] * (double)v[i];
        }
        const double h = 0.004;
        const double wide =
            (loss_at(m, b, &p[k], from, v, 2 * h) - loss_at(m, b, &p[k], from, v, -2 * h)) /
            (4 * h);
        const double near =
            (loss_at(m, b, &p[k], from, v, h) - loss_at(m, b, &p[k], from, v, -h)) / (2 * h);
        const double want = (4 * near - wide) / 3;
        const double tolerance = TOLERANCE * sqrt(g2 * v2) + 1e-4;
        if (!(fabs(slope - want) <= tolerance))
            fail_msg("%s, %s: slope %g, differences say %g +- %g", what, p[k].name, slope, want,
                     tolerance);
        free(from);
        free(v);
    }
}

static void gpt2(const struct weft_gpt2_config *c, const char *what) {
    const struct weft_training t = {.batch = 2, .seq = 6, .optim = {.name = "sgd"}};
    int32_t tokens[12], targets[12];
    weft_ctx *ctx = NULL;
    weft_model *m = NULL;
    for (int i = 0; i < 12; i++) {
        tokens[i] = i * 7 % 11;
        targets[i] = (i * 5 + 3) % 11;
    }
    const struct weft_batch b = {.tokens = tokens, .targets = targets, .rows = 2};
    assert_int_equal(weft_ctx_create(&(struct weft_ctx_options){.threads = 1}, &ctx), WEFT_OK);
    assert_int_equal(weft_gpt2_create(ctx, c, &t, &m), WEFT_OK);
    assert_int_equal(weft_model_commit(m), WEFT_OK);
    assert_int_equal(weft_model_init(m, &(struct weft_init){.std = 0.2, .seed = 3}), WEFT_OK);
    compare(m, &b, what);
    weft_model_free(m);
    weft_ctx_free(ctx);
}

static void placements(void **state) {
    (void)state;
    static const char *const norms[] = {"pre", "post", "branch", "none"};
    struct weft_gpt2_config c = {.vocab = 11, .context = 6, .layers = 2, .heads = 2, .width = 8};
    for (size_t i = 0; i < 4; i++) {
        c.norm = norms[i];
        c.rezero = c.scales = false;
        gpt2(&c, norms[i]);
        c.rezero = true;
        gpt2(&c, "rezero");
        c.rezero = false;
        c.scales = true;
        gpt2(&c, "scales");
    }
}

static void mlp(const char *act, const char *block, size_t blocks) {
    const struct weft_training t = {.batch = 4, .optim = {.name = "sgd"}};
    const struct weft_mlp_config c = {.inputs = 5,
                                      .outputs = 3,
                                      .hidden = {7},
                                      .layers = 1,
                                      .act = act,
                                      .blocks = blocks,
                                      .block = block};
    float x[20];
    const int32_t y[4] = {0, 1, 2, 1};
    weft_ctx *ctx = NULL;
    weft_model *m = NULL;
    uint32_t state = 9;
    for (int i = 0; i < 20; i++) x[i] = (float)(2 * pseudo(&state));
    const struct weft_batch b = {.inputs = x, .targets = y, .rows = 4};
    assert_int_equal(weft_ctx_create(&(struct weft_ctx_options){.threads = 1}, &ctx), WEFT_OK);
    assert_int_equal(weft_mlp_create(ctx, &c, &t, &m), WEFT_OK);
    assert_int_equal(weft_model_commit(m), WEFT_OK);
    assert_int_equal(weft_model_init(m, &(struct weft_init){.name = "lecun-normal", .seed = 3}),
                     WEFT_OK);
    compare(m, &b, act);
    weft_model_free(m);
    weft_ctx_free(ctx);
}

static void activations(void **state) {
    (void)state;
    static const char *const smooth[] = {"none", "gelu_tanh", "gelu_erf",
                                         "tanh", "sigmoid",   "silu"};
    for (size_t i = 0; i < sizeof smooth / sizeof *smooth; i++) mlp(smooth[i], NULL, 0);
    mlp("selu", NULL, 0); /* its slope jumps at 0, where no unit of this batch is */
}

static void blocks(void **state) {
    (void)state;
    static const char *const kinds[] = {"plain", "residual", "rezero"};
    for (size_t i = 0; i < 3; i++) mlp("tanh", kinds[i], 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(placements),
        cmocka_unit_test(activations),
        cmocka_unit_test(blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
