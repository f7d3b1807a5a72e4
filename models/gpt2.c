/* GPT-2 (Radford et al. 2019) in Hugging Face's layout: learned positions, biases, LayerNorm before
 * each block's halves (or in other places, or none), tied head.
 *
 *   x_0 = wte[token] + wpe[position]
 *   x   = x + c_proj(attention(c_attn(ln_1(x))))
 *   x   = x + mlp.c_proj(gelu(mlp.c_fc(ln_2(x))))
 *   loss = cross_entropy(ln_f(x) wteᵀ, next token) */
#include <stdio.h>
#include <string.h>

#include "kernels/base/bug.h"
#include "models/model.h"

#define MAX_LAYERS 1000
#define MAX_TOKENS (1 << 24) /* of a micro-batch */

static const struct {
    const char *name;
    size_t layers, heads, width;
} presets[] = {
    {"gpt2-124m", 12, 12, 768},
    {"gpt2-350m", 24, 16, 1024},
    {"gpt2-774m", 36, 20, 1280},
    {"gpt2-1.5b", 48, 25, 1600},
};
#define PRESETS (sizeof presets / sizeof *presets)

const char *weft_gpt2_preset_name(size_t i) { return i < PRESETS ? presets[i].name : NULL; }

bool weft_gpt2_is_plain(const struct weft_gpt2_config *c) {
    return (c->norm == NULL || strcmp(c->norm, "pre") == 0) && !c->rezero && !c->scales;
}

bool weft_gpt2_preset(const char *name, struct weft_gpt2_config *out) {
    for (size_t i = 0; name != NULL && out != NULL && i < PRESETS; i++) {
        if (strcmp(name, presets[i].name) != 0) continue;
        out->vocab = 50257;
        out->context = 1024;
        out->layers = presets[i].layers;
        out->heads = presets[i].heads;
        out->width = presets[i].width;
        return true;
    }
    return false;
}

struct norm {
    weft_tensor gamma, beta;
};
struct dense {
    weft_tensor w, b;
};
struct block {
    struct norm ln_1, ln_2;
    struct dense attn, attn_proj, fc, mlp_proj;
    weft_tensor attn_gain, mlp_gain;    /* rezero */
    weft_tensor layer_scale, head_scale; /* scales */
    weft_tensor kcache, vcache;         /* generation */
};
enum placement { PRE, POST, BRANCH, NO_NORM };
struct net { /* parameters, in file order */
    weft_model *m;
    weft_tensor wte, wpe, head;
    struct norm ln_f;
    struct block *block;
    enum placement norm;
};

/* ---- parameters ---- */
static bool trains(const struct weft_training *t) { return t->batch > 0 && !t->eval_only; }

static weft_tensor param(struct net *n, int layer, const char *part, const char *role, size_t rows,
                         size_t cols, bool transposed) {
    weft_graph *const g = n->m->graph;
    const char *const name =
        layer < 0 ? weft_graph_format(n->m->graph, "transformer.%s", part)
                  : weft_graph_format(n->m->graph, "transformer.h.%d.%s", layer, part);
    /* what products read; of the positions a token needs one row */
    const bool compact = cols != 0 && strcmp(role, "wpe") != 0 && !trains(&n->m->training);
    struct weft_param_desc d = {.name = name,
                                .shape = {rows, cols},
                                .layer = layer,
                                .role = role,
                                .decay = cols != 0,
                                .transposed = transposed,
                                .format = compact ? n->m->training.weights : NULL};
    if (cols != 0 && strcmp(role, "attn_qkv") == 0) {
        const size_t c = n->m->gpt2.width;
        const size_t parts = weft_model_watches(n->m, "heads") ? n->m->gpt2.heads : 0;
        d.slices[0] = (struct weft_slice){"q", 0, c, parts};
        d.slices[1] = (struct weft_slice){"k", c, c, parts};
        d.slices[2] = (struct weft_slice){"v", 2 * c, c, parts};
    }
    return weft_param(g, &d);
}

static struct norm norm_params(struct net *n, int layer, const char *part, const char *role) {
    char gamma[64], beta[64];
    snprintf(gamma, sizeof gamma, "%s.weight", part);
    snprintf(beta, sizeof beta, "%s.bias", part);
    const size_t c = n->m->gpt2.width;
    const weft_tensor w = param(n, layer, gamma, role, c, 0, false);
    return (struct norm){w, param(n, layer, beta, role, c, 0, false)};
}

static struct dense dense_params(struct net *n, int layer, const char *part, const char *role,
                                 size_t out, size_t in) {
    char weight[64], bias[64];
    snprintf(weight, sizeof weight, "%s.weight", part);
    snprintf(bias, sizeof bias, "%s.bias", part);
    const weft_tensor w = param(n, layer, weight, role, out, in, true);
    return (struct dense){w, param(n, layer, bias, role, out, 0, false)};
}

static void block_params(struct net *n, size_t l) {
    const struct weft_gpt2_config *const c = &n->m->gpt2;
    struct block *const b = &n->block[l];
    const size_t w = c->width;
    const int layer = (int)l;
    const bool normed = n->norm != NO_NORM;
    if (normed) b->ln_1 = norm_params(n, layer, "ln_1", "ln_1");
    b->attn = dense_params(n, layer, "attn.c_attn", "attn_qkv", 3 * w, w);
    b->attn_proj = dense_params(n, layer, "attn.c_proj", "attn_proj", w, w);
    if (normed) b->ln_2 = norm_params(n, layer, "ln_2", "ln_2");
    b->fc = dense_params(n, layer, "mlp.c_fc", "mlp_fc", 4 * w, w);
    b->mlp_proj = dense_params(n, layer, "mlp.c_proj", "mlp_proj", w, 4 * w);
    if (c->rezero) {
        b->attn_gain = param(n, layer, "attn.gain", "gain", 1, 0, false);
        b->mlp_gain = param(n, layer, "mlp.gain", "gain", 1, 0, false);
    }
    if (c->scales) {
        b->layer_scale = param(n, layer, "attn.scale", "scale", 1, 0, false);
        b->head_scale = param(n, layer, "attn.head_scale", "scale", 3 * c->heads, 0, false);
    }
}

static void make_params(struct net *n) {
    const struct weft_gpt2_config *const c = &n->m->gpt2;
    const size_t w = c->width;
    n->wte = param(n, -1, "wte.weight", "wte", c->vocab, w, false);
    n->wpe = param(n, -1, "wpe.weight", "wpe", c->context, w, false);
    for (size_t l = 0; l < c->layers; l++) block_params(n, l);
    if (n->norm != NO_NORM) n->ln_f = norm_params(n, -1, "ln_f", "ln_f");
    n->head = n->wte;
    if (c->untied) {
        const struct weft_param_desc d = {.name = "lm_head.weight",
                                          .shape = {c->vocab, w},
                                          .layer = -1,
                                          .role = "lm_head",
                                          .decay = true,
                                          .format = n->m->training.weights};
        n->head = weft_param(n->m->graph, &d);
    }
}

/* ---- programs ---- */
enum mode { TRAIN, EVAL, GENERATE };

/* What is only asked for when somebody watches the layers. */
static void watch(const struct net *n, weft_program *p, const char *kind, weft_tensor t,
                  enum mode mode) {
    if (mode == TRAIN && weft_model_watches(n->m, kind)) weft_probe(p, kind, t);
}

static weft_tensor attend(const struct net *n, weft_program *p, const struct block *b,
                          weft_tensor qkv, enum mode mode) {
    const struct weft_gpt2_config *const c = &n->m->gpt2;
    if (c->scales) {
        qkv = weft_gain(p, qkv, b->head_scale, WEFT_NONE);
        qkv = weft_gain(p, qkv, b->layer_scale, WEFT_NONE);
    }
    if (mode == GENERATE)
        return weft_attention_kv(p, qkv, b->kcache, b->vcache, c->heads, c->context);
    const float prob = mode == TRAIN ? (float)c->dropout : 0;
    const weft_tensor y = weft_attention(p, qkv, c->heads, prob);
    if (mode == TRAIN) weft_probe(p, "logit_max", y);
    watch(n, p, "entropy", y, mode);
    return y;
}

static weft_tensor dense(const struct net *n, weft_program *p, weft_tensor x, struct dense d,
                         const char *act, weft_tensor residual, enum mode mode) {
    const weft_tensor y = weft_linear(p, x, d.w, d.b, act, residual);
    watch(n, p, "layer", y, mode);
    return y;
}

static weft_tensor norm(const struct net *n, weft_program *p, weft_tensor x, struct norm ln,
                        enum mode mode) {
    const weft_tensor y = weft_layernorm(p, x, ln.gamma, ln.beta, (float)n->m->gpt2.norm_eps);
    if (mode == TRAIN) weft_probe(p, "std", y);
    watch(n, p, "stream", y, mode);
    return y;
}

/* x + f with f = dropout(h wᵀ + b), with the sum fused into the product where nothing stands between
 * them; then, or before it, the norm of this half. */
static weft_tensor join(const struct net *n, weft_program *p, weft_tensor h, struct dense d,
                        weft_tensor x, struct norm ln, weft_tensor gain, enum mode mode) {
    const float prob = mode == TRAIN ? (float)n->m->gpt2.dropout : 0;
    const bool branch = n->norm == BRANCH, rezero = n->m->gpt2.rezero;
    if (prob == 0 && !branch && !rezero) {
        x = dense(n, p, h, d, NULL, x, mode);
    } else {
        weft_tensor f = dense(n, p, h, d, NULL, WEFT_NONE, mode);
        if (branch && !WEFT_BUG(89)) f = norm(n, p, f, ln, mode);
        if (rezero)
            x = weft_gain(p, weft_dropout(p, f, prob, WEFT_NONE), gain, x);
        else
            x = weft_dropout(p, f, prob, x);
    }
    return n->norm == POST ? norm(n, p, x, ln, mode) : x;
}

static weft_tensor transformer_block(const struct net *n, weft_program *p, const struct block *b,
                                     weft_tensor x, enum mode mode) {
    weft_tensor h = n->norm == PRE ? norm(n, p, x, b->ln_1, mode) : x;
    h = dense(n, p, h, b->attn, NULL, WEFT_NONE, mode);
    h = attend(n, p, b, h, mode);
    x = join(n, p, h, b->attn_proj, x, b->ln_1, b->attn_gain, mode);
    h = n->norm == PRE ? norm(n, p, x, b->ln_2, mode) : x;
    h = dense(n, p, h, b->fc, n->m->gpt2.act, WEFT_NONE, mode);
    return join(n, p, h, b->mlp_proj, x, b->ln_2, b->mlp_gain, mode);
}

static weft_tensor transformer(const struct net *n, weft_program *p, weft_tensor tokens,
                               enum mode mode) {
    const struct weft_gpt2_config *const c = &n->m->gpt2;
    weft_tensor x = mode == GENERATE ? weft_embedding_kv(p, tokens, n->wte, n->wpe)
                                     : weft_embedding(p, tokens, n->wte, n->wpe);
    if (mode == TRAIN) x = weft_dropout(p, x, (float)c->dropout, WEFT_NONE);
    for (size_t l = 0; l < c->layers; l++) {
        weft_program_layer(p, (int)l);
        x = transformer_block(n, p, &n->block[l], x, mode);
    }
    weft_program_layer(p, -1);
    return n->norm == POST || n->norm == NO_NORM ? x : norm(n, p, x, n->ln_f, mode);
}

static void loss_program(const struct net *n, const char *name, struct weft_io *io,
                         enum mode mode) {
    const struct weft_training *const t = &n->m->training;
    weft_program *const p = weft_program_create(n->m->graph, name, t->batch);
    if (p == NULL) return;
    io->program = p;
    weft_program_storage(p, t->precision);
    io->tokens = weft_input_i32(p, "tokens", t->seq);
    io->targets = weft_input_i32(p, "targets", t->seq);
    const weft_tensor x = transformer(n, p, io->tokens, mode);
    io->loss = weft_head_xent(p, x, n->head, io->targets);
    watch(n, p, "logz", io->loss, mode);
    io->correct = weft_correct(p, io->loss);
    weft_tensor_keep(n->m->graph, io->loss);
    if (mode == TRAIN) weft_backward(p, io->loss);
}

/* last: logits of the last token only. */
static void generate_program(const struct net *n, const char *name, struct weft_io *io, size_t rows,
                             bool last) {
    weft_program *const p = weft_program_create(n->m->graph, name, rows);
    if (p == NULL) return;
    io->program = p;
    io->rows = rows;
    io->tokens = weft_input_i32(p, "tokens", 1);
    weft_tensor x = transformer(n, p, io->tokens, GENERATE);
    if (last) x = weft_last_row(p, x);
    io->logits = weft_linear(p, x, n->head, WEFT_NONE, NULL, WEFT_NONE);
    weft_tensor_keep(n->m->graph, io->logits);
}

static void generation(struct net *n) {
    const struct weft_gpt2_config *const c = &n->m->gpt2;
    const size_t head_size = c->width / c->heads, sequences = n->m->training.sequences;
    const char *const kv = n->m->training.kv;
    weft_tensor (*const cache)(weft_graph *, size_t, size_t, size_t, size_t) =
        kv != NULL && strcmp(kv, "bf16") == 0 ? weft_kv_cache_bf16 : weft_kv_cache;
    for (size_t l = 0; l < c->layers; l++) {
        struct block *const b = &n->block[l];
        b->kcache = cache(n->m->graph, sequences, c->heads, head_size, c->context);
        b->vcache = cache(n->m->graph, sequences, c->heads, head_size, c->context);
    }
    const size_t chunk = c->context < WEFT_PREFILL_TOKENS ? c->context : WEFT_PREFILL_TOKENS;
    const size_t few = c->context < WEFT_SCORE_TOKENS ? c->context : WEFT_SCORE_TOKENS;
    generate_program(n, "prefill", &n->m->prefill, chunk, true);
    generate_program(n, "decode", &n->m->decode, 1, true);
    if (n->m->training.score) generate_program(n, "score", &n->m->score, few, false);
    if (sequences > 1) generate_program(n, "together", &n->m->together, sequences, false);
}

/* ---- creation ---- */
static bool parse_norm(const char *name, enum placement *out) {
    static const char *const names[] = {"pre", "post", "branch", "none"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], name) != 0) continue;
        *out = (enum placement)i;
        return true;
    }
    return false;
}

static enum weft_status check_formats(weft_ctx *ctx, const struct weft_training *t) {
    const bool f32 = t->weights == NULL || strcmp(t->weights, "f32") == 0;
    if (!f32 && trains(t))
        return weft_ctx_fail(
            ctx, WEFT_ERR_ARG,
            "gpt2: weights in %s are for evaluation and generation: a model trains "
            "in f32",
            t->weights);
    if (t->kv != NULL && strcmp(t->kv, "f32") != 0 && strcmp(t->kv, "bf16") != 0)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG, "gpt2: a KV cache in \"%s\" must be f32 or bf16",
                             t->kv);
    return WEFT_OK;
}

static enum weft_status check_config(weft_ctx *ctx, const struct weft_gpt2_config *c,
                                     const struct weft_training *t) {
    const struct {
        const char *name;
        size_t value;
    } positive[] = {
        {"vocab", c->vocab}, {"context", c->context}, {"layers", c->layers},
        {"heads", c->heads}, {"width", c->width},
    };
    for (size_t i = 0; i < sizeof positive / sizeof *positive; i++)
        if (positive[i].value < 1 || positive[i].value > 1 << 24)
            return weft_ctx_fail(ctx, WEFT_ERR_ARG, "gpt2: %s %zu must be between 1 and %d",
                                 positive[i].name, positive[i].value, 1 << 24);
    if (c->width % c->heads != 0)
        return weft_ctx_fail(ctx, WEFT_ERR_SHAPE,
                             "gpt2: %zu heads do not divide width %zu: choose a width that is a "
                             "multiple of the number of heads",
                             c->heads, c->width);
    if (c->width / c->heads > 128)
        return weft_ctx_fail(ctx, WEFT_ERR_SHAPE,
                             "gpt2: head size %zu (width %zu / %zu heads) is above 128: take more "
                             "heads",
                             c->width / c->heads, c->width, c->heads);
    if (c->layers > MAX_LAYERS)
        return weft_ctx_fail(ctx, WEFT_ERR_ARG, "gpt2: %zu layers, at most %d", c->layers,
                             MAX_LAYERS);
    if (t->batch > 0 && t->seq > MAX_TOKENS / t->batch)
        return weft_ctx_fail(ctx, WEFT_ERR_SHAPE,
                             "gpt2: a micro-batch of %zu samples x %zu tokens, at most %d tokens: "
                             "lower the batch and accumulate",
                             t->batch, t->seq, MAX_TOKENS);
    if (t->seq > c->context)
        return weft_ctx_fail(ctx, WEFT_ERR_SHAPE,
                             "gpt2: training length %zu is beyond the context %zu: lower seq or "
                             "raise context",
                             t->seq, c->context);
    if (!(c->dropout >= 0 && c->dropout < 1))
        return weft_ctx_fail(ctx, WEFT_ERR_ARG, "gpt2: dropout %g must be in [0, 1)", c->dropout);
    return check_formats(ctx, t);
}

enum weft_status weft_gpt2_create(weft_ctx *ctx, const struct weft_gpt2_config *config,
                                  const struct weft_training *training, weft_model **out) {
    if (ctx == NULL || config == NULL || out == NULL) return WEFT_ERR_NULL;
    static const struct weft_training inference;
    if (training == NULL) training = &inference;
    struct weft_training t = *training;
    if (t.batch != 0 && t.seq == 0) t.seq = config->context;
    if (t.sequences == 0) t.sequences = 1;
    enum weft_status st = check_config(ctx, config, &t);
    weft_model *m = NULL;
    if (st == WEFT_OK) st = weft_model_begin(ctx, &t, &m);
    if (st != WEFT_OK) return st;
    m->language = true;
    m->gpt2 = *config;
    m->classes = config->vocab;
    if (m->gpt2.act == NULL) m->gpt2.act = "gelu_tanh";
    if (m->gpt2.norm_eps == 0) m->gpt2.norm_eps = WEFT_BUG(36) ? 1e-3 : 1e-5;
    struct net n = {.m = m};
    if (m->gpt2.norm == NULL) m->gpt2.norm = "pre";
    if (!parse_norm(m->gpt2.norm, &n.norm))
        weft_graph_fail(m->graph, WEFT_ERR_ARG,
                        "gpt2: norm \"%s\" must be one of pre, post, branch, none", m->gpt2.norm);
    n.block = weft_graph_alloc(m->graph, config->layers * sizeof *n.block);
    if (n.block != NULL) {
        make_params(&n);
        if (t.batch != 0) {
            if (!t.eval_only) loss_program(&n, "train", &m->train, TRAIN);
            loss_program(&n, "eval", &m->eval, EVAL);
        }
        if (t.batch == 0 || t.generate) generation(&n);
    }
    return weft_model_end(m, out);
}
