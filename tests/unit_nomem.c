/* Out of memory at every place where the library asks for some: the n-th request fails, for n = 0,
 * 1,
 * .. until none is left to fail. Each time the call that needed it says WEFT_ERR_NOMEM, nothing
 * crashes, and what was made can be freed (the sanitized build sees leaks). The linker puts the
 * functions below between the library and libc (-Wl,--wrap). */
#include <stdio.h>
#include <sys/mman.h>

#include "tests/support/small_model.h"

static long left = -1; /* requests until one fails; -1: none does */
static long asked;

static bool refused(void) {
    asked++;
    return left >= 0 && left-- == 0;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset);

void *__wrap_malloc(size_t n) { return refused() ? NULL : __real_malloc(n); }
void *__wrap_calloc(size_t n, size_t size) { return refused() ? NULL : __real_calloc(n, size); }
void *__wrap_realloc(void *p, size_t n) { return refused() ? NULL : __real_realloc(p, n); }
void *__wrap_mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset) {
    return refused() ? MAP_FAILED : __real_mmap(at, n, prot, flags, fd, offset);
}

struct objects {
    weft_ctx *ctx;
    weft_model *m;
    weft_generator *g;
};

static const int32_t tokens[32] = {3, 1, 4, 1, 5, 9, 2, 6};

static enum weft_status step(const struct objects *o) {
    const struct weft_batch b = {.tokens = tokens, .targets = tokens, .rows = 2};
    const struct weft_run run = {.inv_targets = 1 / 32.0F, .lr = 1e-3, .statistics = true};
    struct weft_loss loss;
    struct weft_step taken;
    enum weft_status st = weft_model_grad(o->m, &b, &run, &loss);
    if (st == WEFT_OK) st = weft_model_update(o->m, &run, &taken);
    return st;
}

static bool take(void *user, int32_t token) {
    (void)user;
    return token >= 0;
}

static enum weft_status write_text(struct objects *o) {
    const struct weft_request r = {
        .prompt = tokens,
        .prompt_tokens = 8,
        .tokens = 40,
        .sampling = {.repetition_penalty = 1.1, .temperature = 1, .top_k = 5},
        .token = take};
    enum weft_status st = weft_generate_create(o->m, 0, &o->g);
    if (st == WEFT_OK) st = weft_generate_add(o->g, &r);
    return st == WEFT_OK ? weft_generate_run(o->g) : st;
}

static enum weft_status gpt2(struct objects *o) {
    struct weft_training how = plain_training;
    how.generate = true;
    how.sequences = 2;
    enum weft_status st = weft_ctx_create(&(struct weft_ctx_options){.threads = 1}, &o->ctx);
    if (st == WEFT_OK) st = weft_gpt2_create(o->ctx, &small, &how, &o->m);
    if (st == WEFT_OK) st = weft_model_commit(o->m);
    if (st == WEFT_OK) st = weft_model_init(o->m, &(struct weft_init){.seed = 1});
    if (st == WEFT_OK) st = weft_model_timing(o->m, true);
    if (st == WEFT_OK) st = step(o);
    return st == WEFT_OK ? write_text(o) : st;
}

static enum weft_status mlp(struct objects *o) {
    static const float x[6] = {1, 2, 3, 4, 5, 6};
    const struct weft_mlp_config net = {.inputs = 3, .hidden = {8, 8}, .layers = 2, .outputs = 4};
    const struct weft_training how = {
        .batch = 2, .accumulate = 2, .grad_groups = 2, .watch = "all", .optim = {"momentum", 0.9}};
    const struct weft_batch b = {.inputs = x, .targets = tokens, .rows = 2};
    const struct weft_run run = {.inv_targets = 0.5F, .lr = 1e-3, .statistics = true};
    struct weft_loss loss;
    enum weft_status st = weft_ctx_create(&(struct weft_ctx_options){.threads = 1}, &o->ctx);
    if (st == WEFT_OK) st = weft_mlp_create(o->ctx, &net, &how, &o->m);
    if (st == WEFT_OK) st = weft_model_commit(o->m);
    const struct weft_init init = {.name = "orthogonal", .seed = 1};
    if (st == WEFT_OK) st = weft_model_init(o->m, &init);
    if (st == WEFT_OK) st = weft_model_grad(o->m, &b, &run, &loss);
    return st == WEFT_OK ? weft_model_fold(o->m, true) : st;
}

static void sweep(enum weft_status (*work)(struct objects *)) {
    for (long n = 0;; n++) {
        struct objects o = {0};
        left = n;
        asked = 0;
        const enum weft_status st = work(&o);
        left = -1;
        if (st != WEFT_OK && st != WEFT_ERR_NOMEM)
            fail_msg("request %ld refused: %s: %s", n, weft_status_text(st),
                     o.ctx ? weft_ctx_message(o.ctx) : "");
        if (st == WEFT_ERR_NOMEM && o.ctx)
            assert_non_null(strstr(weft_ctx_message(o.ctx), "memory"));
        weft_generate_free(o.g);
        weft_model_free(o.m);
        weft_ctx_free(o.ctx);
        if (asked <= n) { /* nothing was refused */
            assert_int_equal(st, WEFT_OK);
            assert_true(n > 10);
            return;
        }
    }
}

static void test_gpt2(void **state) {
    (void)state;
    sweep(gpt2);
}
static void test_mlp(void **state) {
    (void)state;
    sweep(mlp);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gpt2), cmocka_unit_test(test_mlp)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
