/* What tests of whole models share: cmocka with its prerequisites, a context, a small GPT-2. */
#ifndef WEFT_TESTS_SMALL_MODEL_H
#define WEFT_TESTS_SMALL_MODEL_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "weft/weft.h"

static inline weft_ctx *context(int threads) {
    weft_ctx *ctx = NULL;
    const struct weft_ctx_options o = {.threads = threads};
    assert_int_equal(weft_ctx_create(&o, &ctx), WEFT_OK);
    return ctx;
}

static const struct weft_gpt2_config small = {
    .vocab = 50, .context = 32, .layers = 3, .heads = 2, .width = 16};
static const struct weft_training plain_training = {
    .batch = 2, .seq = 16, .optim = {"adamw", 0.9, 0.95, 1e-8, 0.1, 1.0}};

#endif
