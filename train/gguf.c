#include "train/gguf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "train/atomic.h"
#include "train/bpe_files.h"
#include "train/checkpoint.h"
#include "weft/half.h"

#define ALIGNMENT 32
#define QK        32   /* weights of a block of q8_0 */
#define BLOCK     8192 /* elements converted at once, a multiple of QK */

enum {
    VALUE_U32 = 4,
    VALUE_I32 = 5,
    VALUE_F32 = 6,
    VALUE_BOOL = 7,
    VALUE_TEXT = 8,
    VALUE_ARRAY = 9
};
enum { TOKEN_NORMAL = 1, TOKEN_CONTROL = 3, TOKEN_UNUSED = 5 };

struct gguf {
    weft_ctx *ctx;
    const char *path;
    const struct weft_gpt2_config *c;
    const struct weft_tokenizer *tokenizer; /* NULL: none that the format has */
    enum weft_gguf_type type;
    struct weft_param_info *param;
    size_t params;
    /* the header */
    unsigned char *data;
    size_t size, room;
    bool failed;
    uint64_t keys;
};

/* ---- bytes ---- */

static void put(struct gguf *g, const void *bytes, size_t size) {
    if (g->failed) return;
    if (g->room - g->size < size) {
        const size_t room = 2 * (g->size + size) + 4096;
        unsigned char *more = realloc(g->data, room);
        if (!more) {
            g->failed = true;
            return;
        }
        g->data = more;
        g->room = room;
    }
    if (size > 0) memcpy(g->data + g->size, bytes, size);
    g->size += size;
}

static void put_number(struct gguf *g, uint64_t x, size_t bytes) {
    unsigned char le[8];
    for (size_t i = 0; i < 8; i++) le[i] = (unsigned char)(x >> 8 * i);
    put(g, le, bytes);
}

static void put_string(struct gguf *g, const char *text, size_t size) {
    put_number(g, size, 8);
    put(g, text, size);
}

/* "prefix.name" and the type of its value. */
static void put_key(struct gguf *g, const char *name, uint32_t type) {
    put_string(g, name, strlen(name));
    put_number(g, type, 4);
    g->keys++;
}

static void put_u32(struct gguf *g, const char *name, size_t x) {
    put_key(g, name, VALUE_U32);
    put_number(g, x, 4);
}

static void put_text(struct gguf *g, const char *name, const char *text) {
    put_key(g, name, VALUE_TEXT);
    put_string(g, text, strlen(text));
}

static void put_array(struct gguf *g, const char *name, uint32_t type, size_t n) {
    put_key(g, name, VALUE_ARRAY);
    put_number(g, type, 4);
    put_number(g, n, 8);
}

/* ---- the tokenizer ---- */

static bool is_special(const struct weft_tokenizer *t, size_t token) {
    for (size_t i = 0; t->bpe && i < t->bpe->parts.specials; i++)
        if (t->bpe->parts.special[i] == token) return true;
    return false;
}

/* A token as the vocabulary spells it. */
static void put_token(struct gguf *g, size_t token) {
    char buf[4], number[32];
    size_t size;
    const char *piece = weft_tokenizer_piece(g->tokenizer, (uint32_t)token, buf, &size);
    if (size == 0) { // padding, or an id that the vocabulary leaves out
        put_string(g, number, (size_t)snprintf(number, sizeof number, "[PAD%zu]", token));
    } else if (is_special(g->tokenizer, token)) {
        put_string(g, piece, size);
    } else {
        char *text = malloc(2 * size + 1);
        if (text)
            put_string(g, text, weft_bpe_spell(piece, size, text));
        else
            g->failed = true;
        free(text);
    }
}

static int token_type(const struct gguf *g, size_t token) {
    char buf[4];
    size_t size;
    weft_tokenizer_piece(g->tokenizer, (uint32_t)token, buf, &size);
    return size == 0                         ? TOKEN_UNUSED
           : is_special(g->tokenizer, token) ? TOKEN_CONTROL
                                             : TOKEN_NORMAL;
}

static void put_merges(struct gguf *g) {
    size_t size = 0;
    char *text = NULL;
    if (g->tokenizer->bpe) text = weft_bpe_write_merges(g->tokenizer->bpe, &size);
    if (g->tokenizer->bpe && !text) g->failed = true;
    put_array(g, "tokenizer.ggml.merges", VALUE_TEXT,
              g->tokenizer->bpe ? g->tokenizer->bpe->parts.merges : 0);
    const char *at = text ? memchr(text, '\n', size) : NULL; // after the version
    while (at && ++at < text + size) {
        const char *end = memchr(at, '\n', (size_t)(text + size - at));
        put_string(g, at, (size_t)(end - at));
        at = end;
    }
    free(text);
}

static void put_tokenizer(struct gguf *g) {
    const size_t vocab = g->c->vocab;
    if (!g->tokenizer) {
        put_u32(g, "gpt2.vocab_size", vocab);
        put_text(g, "tokenizer.ggml.model", "no_vocab");
        return;
    }
    // llama.cpp ends texts at some token: for bytes, at 0, which texts do not have
    const size_t end = g->tokenizer->end >= 0 ? (size_t)g->tokenizer->end : 0;
    put_text(g, "tokenizer.ggml.model", "gpt2");
    put_text(g, "tokenizer.ggml.pre", "gpt-2");
    put_array(g, "tokenizer.ggml.tokens", VALUE_TEXT, vocab);
    for (size_t i = 0; i < vocab; i++) put_token(g, i);
    put_array(g, "tokenizer.ggml.token_type", VALUE_I32, vocab);
    for (size_t i = 0; i < vocab; i++) put_number(g, (uint64_t)token_type(g, i), 4);
    put_merges(g);
    put_u32(g, "tokenizer.ggml.bos_token_id", end);
    put_u32(g, "tokenizer.ggml.eos_token_id", end);
    put_key(g, "tokenizer.ggml.add_bos_token", VALUE_BOOL);
    put_number(g, 0, 1);
}

/* ---- the model ---- */

static void put_model(struct gguf *g) {
    const struct weft_gpt2_config *c = g->c;
    const uint32_t kind = g->type == WEFT_GGUF_F32    ? 0
                          : g->type == WEFT_GGUF_F16  ? 1
                          : g->type == WEFT_GGUF_Q8_0 ? 7
                                                      : 32;
    const float eps = (float)(c->norm_eps > 0 ? c->norm_eps : 1e-5);
    put_text(g, "general.architecture", "gpt2");
    put_text(g, "general.name", "weft");
    put_u32(g, "general.file_type", kind);
    put_u32(g, "general.quantization_version", 2);
    put_u32(g, "gpt2.context_length", c->context);
    put_u32(g, "gpt2.embedding_length", c->width);
    put_u32(g, "gpt2.feed_forward_length", 4 * c->width);
    put_u32(g, "gpt2.block_count", c->layers);
    put_u32(g, "gpt2.attention.head_count", c->heads);
    put_key(g, "gpt2.attention.layer_norm_epsilon", VALUE_F32);
    put_number(g, weft_float_bits(eps), 4);
    put_tokenizer(g);
}

/* Our name of a parameter, without the number of its layer, and llama.cpp's. */
static const char *const names[][2] = {
    {"wte", "token_embd"},       {"wpe", "position_embd"},       {"ln_1", "attn_norm"},
    {"attn.c_attn", "attn_qkv"}, {"attn.c_proj", "attn_output"}, {"ln_2", "ffn_norm"},
    {"mlp.c_fc", "ffn_up"},      {"mlp.c_proj", "ffn_down"},     {"ln_f", "output_norm"},
    {"lm_head", "output"},
};

/* "transformer.h.3.attn.c_attn.weight" -> "blk.3.attn_qkv.weight" */
static bool rename_param(const struct weft_param_info *p, char *out, size_t size) {
    const char *at = strncmp(p->name, "transformer.", 12) == 0 ? p->name + 12 : p->name;
    if (p->layer >= 0) {
        at = strchr(at, '.') + 1; // after h.
        at = strchr(at, '.') + 1; // after the number
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const size_t n = strlen(names[i][0]);
        if (strncmp(at, names[i][0], n) != 0 || at[n] != '.') continue;
        if (p->layer >= 0)
            snprintf(out, size, "blk.%d.%s%s", p->layer, names[i][1], at + n);
        else
            snprintf(out, size, "%s%s", names[i][1], at + n);
        return true;
    }
    return false;
}

static enum weft_gguf_type type_of(const struct gguf *g, const struct weft_param_info *p) {
    if (p->shape[1] == 0 || strstr(p->name, "wpe")) return WEFT_GGUF_F32;
    if (g->type == WEFT_GGUF_Q8_0 && p->shape[1] % QK != 0) return WEFT_GGUF_F16;
    return g->type;
}

static size_t bytes_of(enum weft_gguf_type type, size_t n) {
    return type == WEFT_GGUF_F32 ? 4 * n : type == WEFT_GGUF_Q8_0 ? n / QK * (QK + 2) : 2 * n;
}

static size_t padding_of(size_t size) { return (ALIGNMENT - size % ALIGNMENT) % ALIGNMENT; }

static void put_tensors(struct gguf *g) {
    size_t offset = 0;
    for (size_t i = 0; i < g->params; i++) {
        const struct weft_param_info *p = &g->param[i];
        char name[96] = "";
        if (!rename_param(p, name, sizeof name)) g->failed = true;
        const enum weft_gguf_type type = type_of(g, p);
        put_string(g, name, strlen(name));
        put_number(g, p->shape[1] > 0 ? 2 : 1, 4);
        if (p->shape[1] > 0) put_number(g, p->shape[1], 8); // the fastest first
        put_number(g, p->shape[0], 8);
        put_number(g, (uint64_t)type, 4);
        put_number(g, offset, 8);
        const size_t size = bytes_of(type, weft_param_size(p));
        offset += size + padding_of(size);
    }
}

/* ---- data ---- */

static void convert_q8_0(const float *x, unsigned char *to) {
    float most = 0;
    for (size_t i = 0; i < QK; i++) most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    const float d = most / 127, inverse = d > 0 ? 1 / d : 0;
    const uint16_t scale = weft_f16_round(d);
    to[0] = (unsigned char)scale;
    to[1] = (unsigned char)(scale >> 8);
    for (size_t i = 0; i < QK; i++) to[2 + i] = (unsigned char)(signed char)roundf(x[i] * inverse);
}

static void convert(enum weft_gguf_type type, const float *x, size_t n, unsigned char *to) {
    if (type == WEFT_GGUF_Q8_0) {
        for (size_t i = 0; i < n; i += QK) convert_q8_0(x + i, to + i / QK * (QK + 2));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const uint16_t h = type == WEFT_GGUF_F16 ? weft_f16_round(x[i]) : weft_bf16_round(x[i]);
        to[2 * i] = (unsigned char)h;
        to[2 * i + 1] = (unsigned char)(h >> 8);
    }
}

static void write_param(const struct gguf *g, const struct weft_param_info *p,
                        struct weft_out *out) {
    static const char zeros[ALIGNMENT];
    const enum weft_gguf_type type = type_of(g, p);
    const size_t n = weft_param_size(p);
    unsigned char block[2 * BLOCK];
    if (type == WEFT_GGUF_F32) weft_out_write(out, p->data, 4 * n);
    for (size_t i = 0, k; type != WEFT_GGUF_F32 && i < n; i += k) {
        k = n - i < BLOCK ? n - i : BLOCK;
        convert(type, p->data + i, k, block);
        weft_out_write(out, block, bytes_of(type, k));
    }
    weft_out_write(out, zeros, padding_of(bytes_of(type, n)));
}

static enum weft_status write_file(struct gguf *g) {
    struct gguf start = {.ctx = g->ctx};
    struct weft_out out;
    put(&start, "GGUF", 4);
    put_number(&start, 3, 4);
    put_number(&start, g->params, 8);
    put_number(&start, g->keys, 8);
    put_number(g, 0, padding_of(start.size + g->size) % 8);
    while (!g->failed && padding_of(start.size + g->size) > 0) put_number(g, 0, 8);
    enum weft_status st = g->failed || start.failed
                              ? weft_ctx_fail(g->ctx, WEFT_ERR_NOMEM, "%s: out of memory", g->path)
                              : weft_out_open(g->ctx, g->path, &out);
    if (st == WEFT_OK) {
        weft_out_write(&out, start.data, start.size);
        weft_out_write(&out, g->data, g->size);
        for (size_t i = 0; i < g->params; i++) write_param(g, &g->param[i], &out);
        st = weft_out_commit(&out);
    }
    free(start.data);
    return st;
}

static enum weft_status check_model(const struct gguf *g, const struct weft_shape *shape) {
    const char *act = g->c->act ? g->c->act : "gelu_tanh";
    const char *what = !shape->language            ? "no language model"
                       : !weft_gpt2_is_plain(g->c) ? "one with other blocks than GPT-2's"
                       : strncmp(act, "gelu", 4)   ? "one with another activation than GELU"
                                                   : NULL;
    if (!what) return WEFT_OK;
    return weft_ctx_fail(g->ctx, WEFT_ERR_FORMAT,
                         "%s: the model is %s, which llama.cpp's gpt2 is not", g->path, what);
}

enum weft_status weft_gguf_write(weft_ctx *ctx, const char *path, const weft_model *model,
                                 const struct weft_shape *shape,
                                 const struct weft_tokenizer *tokenizer, enum weft_gguf_type type) {
    struct gguf g = {.ctx = ctx, .path = path, .c = &shape->gpt2, .type = type};
    if (tokenizer && tokenizer->kind != WEFT_TOKENS_CHAR) g.tokenizer = tokenizer;
    enum weft_status st = check_model(&g, shape);
    if (st != WEFT_OK) return st;
    g.param = weft_model_param_list(model, &g.params);
    if (!g.param) g.failed = true;
    put_model(&g);
    if (g.param) put_tensors(&g);
    st = write_file(&g);
    free(g.param);
    free(g.data);
    return st;
}
