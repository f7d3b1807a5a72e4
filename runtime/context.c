/* Context creation, error text, version. */
#include "runtime/context.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/base/compiler.h"
#include "runtime/affinity.h"
#include "runtime/backend.h"
#include "runtime/cpu.h"
#include "weft/math.h"

const char *weft_status_text(enum weft_status st) {
    switch (st) {
#define WEFT_STATUS_CASE(name, value, text)                                                        \
    case name: return text;
        WEFT_STATUS_LIST(WEFT_STATUS_CASE)
#undef WEFT_STATUS_CASE
    }
    return "unknown status";
}

const char *weft_version(void) { return WEFT_VERSION; }

const char *weft_compiler(void) {
#if defined(__clang__)
    return "clang " WEFT_STR(__clang_major__) "." WEFT_STR(__clang_minor__);
#else
    return "gcc " WEFT_STR(__GNUC__) "." WEFT_STR(__GNUC_MINOR__);
#endif
}

/* The names a user may choose from, for error messages: "emu, avx2". */
static void list_isas(char *out, size_t n) {
    const struct weft_kernels *table[8];
    const size_t tables = weft_tables(table, 8);
    out[0] = 0;
    for (size_t i = 0; i < tables; i++) {
        if (!weft_cpu_can(table[i]->isa)) continue;
        const size_t used = strlen(out);
        snprintf(out + used, n - used, "%s%s", used ? ", " : "", table[i]->isa);
    }
}

static enum weft_status choose_table(weft_ctx *ctx, const char *isa) {
    const struct weft_kernels *table[8];
    const size_t n = weft_tables(table, 8);
    char names[128];
    list_isas(names, sizeof names);
    if (isa == NULL) isa = getenv("WEFT_ISA");
    if (isa == NULL || isa[0] == 0) {
        for (size_t i = 0; i < n; i++)
            if (weft_cpu_can(table[i]->isa)) ctx->k = table[i];
        return WEFT_OK;
    }
    for (size_t i = 0; i < n; i++) {
        if (strcmp(table[i]->isa, isa) != 0) continue;
        if (!weft_cpu_can(isa))
            return weft_ctx_fail(ctx, WEFT_ERR_ISA,
                                 "this CPU cannot run ISA \"%s\": choose one of %s", isa, names);
        ctx->k = table[i];
        return WEFT_OK;
    }
    return weft_ctx_fail(ctx, WEFT_ERR_ISA, "unknown ISA \"%s\": choose one of %s", isa, names);
}

enum weft_status weft_ctx_create(const struct weft_ctx_options *options, weft_ctx **out) {
    static const struct weft_ctx_options defaults;
    const struct weft_ctx_options *const o = options != NULL ? options : &defaults;
    if (out == NULL) return WEFT_ERR_NULL;
    weft_ctx *const ctx = calloc(1, sizeof *ctx);
    if (ctx == NULL) return WEFT_ERR_NOMEM;
    struct weft_cpu_info cpu;
    weft_cpu_query(&cpu);
    ctx->cores = (size_t)cpu.cores_allowed;
    ctx->threads = o->threads == 0 ? ctx->cores : (size_t)o->threads;
    enum weft_status st = WEFT_OK;
    if (o->threads < 0 || o->threads > WEFT_MAX_THREADS)
        st = weft_ctx_fail(ctx, WEFT_ERR_ARG, "%d threads: must be between 1 and %d", o->threads,
                           WEFT_MAX_THREADS);
    if (st == WEFT_OK) st = choose_table(ctx, o->isa);
    if (st == WEFT_OK) st = weft_tuning_set(ctx, o->tuning, &cpu);
    if (st == WEFT_OK) st = weft_affinity_set(ctx, o);
    ctx->first_touch = o->first_touch;
    if (st != WEFT_OK) {
        if (o->message != NULL) memcpy(o->message, ctx->message, WEFT_MESSAGE_MAX);
        weft_ctx_free(ctx);
        return st;
    }
    *out = ctx;
    return WEFT_OK;
}

void weft_ctx_free(weft_ctx *ctx) {
    if (ctx != NULL) weft_affinity_release(ctx);
    free(ctx);
}
const char *weft_ctx_message(const weft_ctx *ctx) { return ctx == NULL ? "" : ctx->message; }
const char *weft_ctx_isa(const weft_ctx *ctx) { return ctx->k->isa; }
void weft_random_normal(const weft_ctx *ctx, uint64_t seed, uint32_t stream, uint64_t first,
                        float std, float *y, size_t n) {
    if (ctx == NULL || y == NULL) return;
    ctx->k->random_normal_f32(&(struct weft_random_args){
        .seed = seed, .stream = stream, .first = first, .n = n, .std = std, .y = y});
}
bool weft_ctx_bf16_dots(const weft_ctx *ctx) { return ctx->k->bf16_word > 1; }
int weft_ctx_threads(const weft_ctx *ctx) { return (int)ctx->threads; }
void weft_ctx_use_backend(weft_ctx *ctx, const weft_backend *backend) { ctx->backend = backend; }
const char *weft_ctx_backend(const weft_ctx *ctx) {
    return ctx->backend == NULL ? "native" : ctx->backend->name;
}
struct weft_tuning weft_ctx_tuning(const weft_ctx *ctx) { return ctx->tuning; }

enum weft_status weft_ctx_fail(weft_ctx *ctx, enum weft_status st, const char *fmt, ...) {
    if (ctx == NULL) return st;
    va_list args;
    va_start(args, fmt);
    vsnprintf(ctx->message, sizeof ctx->message, fmt, args);
    va_end(args);
    return st;
}
