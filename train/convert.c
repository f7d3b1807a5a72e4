#include "train/convert.h"

#include <string.h>
#include "train/atomic.h"
#include "train/gguf.h"
#include "train/weights.h"

static bool ends_with(const char *text, const char *end) {
    const size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static enum weft_status no_dtype(weft_ctx *ctx, const struct weft_conversion *how,
                                 const char *format, const char *known) {
    return weft_ctx_fail(ctx, WEFT_ERR_ARG, "%s: %s has no %s; --dtype is one of %s", how->to,
                         format, how->dtype, known);
}

static enum weft_status to_gguf(weft_ctx *ctx, const struct weft_loaded *from,
                                const struct weft_conversion *how) {
    static const struct {
        const char *name;
        enum weft_gguf_type type;
    } types[] = {{"f32", WEFT_GGUF_F32},
                 {"f16", WEFT_GGUF_F16},
                 {"bf16", WEFT_GGUF_BF16},
                 {"q8_0", WEFT_GGUF_Q8_0}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(how->dtype, types[i].name) == 0)
            return weft_gguf_write(ctx, how->to, from->model, &from->shape, from->tokenizer,
                                   types[i].type);
    return no_dtype(ctx, how, "GGUF", "f32, f16, bf16, q8_0");
}

static bool put(void *user, const void *bytes, size_t size) {
    return weft_out_write(user, bytes, size) == WEFT_OK;
}

static enum weft_status to_llmc(weft_ctx *ctx, const struct weft_loaded *from,
                                const struct weft_conversion *how) {
    const bool bf16 = strcmp(how->dtype, "bf16") == 0;
    struct weft_out out;
    if (!bf16 && strcmp(how->dtype, "f32") != 0) return no_dtype(ctx, how, "llm.c", "f32, bf16");
    enum weft_status st = weft_out_open(ctx, how->to, &out);
    if (st != WEFT_OK) return st;
    st = weft_gpt2_file_write(from->model, bf16, put, &out);
    if (st != WEFT_OK && out.status == WEFT_OK) { // not the disk: the message is there
        weft_out_abort(&out);
        return st;
    }
    return weft_out_commit(&out);
}

static enum weft_status to_folder(weft_ctx *ctx, const struct weft_loaded *from,
                                  const struct weft_conversion *how) {
    struct weft_saving saving = {.shard_bytes = how->shard_bytes};
    if (strcmp(how->dtype, "f16") == 0)
        saving.dtype = WEFT_ST_F16;
    else if (strcmp(how->dtype, "bf16") == 0)
        saving.dtype = WEFT_ST_BF16;
    else if (strcmp(how->dtype, "f32") != 0)
        return no_dtype(ctx, how, "a folder", "f32, f16, bf16");
    const enum weft_status st = weft_make_folder(ctx, how->to);
    if (st != WEFT_OK) return st;
    return weft_weights_save(ctx, how->to, from->model, &from->shape, from->tokenizer, &saving);
}

enum weft_status weft_convert(weft_ctx *ctx, const struct weft_loaded *from,
                              const struct weft_conversion *how) {
    if (ends_with(how->to, ".gguf")) return to_gguf(ctx, from, how);
    if (ends_with(how->to, ".bin")) return to_llmc(ctx, from, how);
    return to_folder(ctx, from, how);
}
