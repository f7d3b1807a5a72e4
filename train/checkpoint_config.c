/* config.json of a checkpoint: GPT2Config's keys for GPT-2 (weft_norm is ours: Hugging Face's GPT-2
 * has no LayerNorm after the sum), own ones for a multi-layer perceptron. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "train/atomic.h"
#include "train/checkpoint.h"
#include "train/json_in.h"

#define LARGEST     (1 << 24)         /* of any size in a configuration */
#define CONFIG_MOST ((size_t)64 << 20) /* bytes: tables may have many columns */

/* Our name of an activation, Hugging Face's; the first pair of a name is the one written. */
static const char *const activations[][2] = {
    {"gelu_tanh", "gelu_new"},  {"gelu_tanh", "gelu_pytorch_tanh"},
    {"gelu_tanh", "gelu_fast"}, {"gelu_erf", "gelu"},
    {"relu", "relu"},           {"leaky_relu", "leaky_relu"},
    {"tanh", "tanh"},           {"sigmoid", "sigmoid"},
    {"silu", "silu"},           {"selu", "selu"},
};
#define ACTIVATIONS (sizeof activations / sizeof *activations)

/* ---- writing ---- */

/* The token that ends a text, or null. */
static void put_end(struct weft_json *j, const char *key, int32_t token) {
    if (token >= 0)
        weft_json_count(j, key, (uint64_t)token);
    else
        weft_json_text(j, key, NULL);
}

static void put_gpt2(const struct weft_gpt2_config *c, int32_t end, const char *dtype,
                     struct weft_json *j) {
    const char *act = c->act ? c->act : "gelu_tanh";
    for (size_t i = 0; i < ACTIVATIONS; i++) {
        if (strcmp(activations[i][0], act) != 0) continue;
        weft_json_text(j, "activation_function", activations[i][1]);
        break;
    }
    weft_json_open(j, "architectures", '[');
    weft_json_text(j, NULL, "GPT2LMHeadModel");
    weft_json_close(j);
    weft_json_real(j, "attn_pdrop", c->dropout);
    put_end(j, "bos_token_id", end);
    weft_json_real(j, "embd_pdrop", c->dropout);
    put_end(j, "eos_token_id", end);
    weft_json_real(j, "initializer_range", 0.02);
    weft_json_real(j, "layer_norm_epsilon", c->norm_eps > 0 ? c->norm_eps : 1e-5);
    weft_json_text(j, "model_type", "gpt2");
    weft_json_count(j, "n_embd", c->width);
    weft_json_count(j, "n_head", c->heads);
    weft_json_text(j, "n_inner", NULL);
    weft_json_count(j, "n_layer", c->layers);
    weft_json_count(j, "n_positions", c->context);
    weft_json_bool(j, "reorder_and_upcast_attn", false);
    weft_json_real(j, "resid_pdrop", c->dropout);
    weft_json_bool(j, "scale_attn_by_inverse_layer_idx", false);
    weft_json_bool(j, "scale_attn_weights", true);
    weft_json_bool(j, "tie_word_embeddings", !c->untied);
    weft_json_text(j, "torch_dtype", dtype);
    weft_json_bool(j, "use_cache", true);
    weft_json_count(j, "vocab_size", c->vocab);
    weft_json_text(j, "weft_norm", c->norm ? c->norm : "pre");
}

static void put_mlp(const struct weft_shape *shape, struct weft_json *j) {
    const struct weft_mlp_config *c = &shape->mlp;
    weft_json_text(j, "model_type", "weft-mlp");
    weft_json_count(j, "inputs", c->inputs);
    weft_json_open(j, "hidden", '[');
    for (size_t i = 0; i < c->layers; i++) weft_json_count(j, NULL, c->hidden[i]);
    weft_json_close(j);
    weft_json_count(j, "outputs", c->outputs);
    weft_json_text(j, "activation", c->act ? c->act : "relu");
    weft_json_real(j, "dropout", c->dropout);
    weft_json_text(j, "loss", c->mse ? "mse" : "softmax");
    weft_json_text(j, "pixels", shape->unit_pixels ? "unit" : "standard");
    if (shape->columns) weft_columns_write(shape->columns, j);
}

void weft_checkpoint_config(const struct weft_shape *shape, const struct weft_tokenizer *tokenizer,
                            const char *dtype, struct weft_json *out) {
    weft_json_open(out, NULL, '{');
    if (shape->language) {
        put_gpt2(&shape->gpt2, tokenizer ? tokenizer->end : -1, dtype, out);
    } else {
        put_mlp(shape, out);
    }
    weft_json_seal(out);
    weft_json_end(out);
}

/* ---- reading ---- */

struct reader {
    weft_ctx *ctx;
    const char *path;
    const json_t *root;
    enum weft_status status; /* of the first failure */
};

static void refuse(struct reader *r, const char *key, const char *what) {
    if (r->status != WEFT_OK) return;
    char *value = json_dumps(json_object_get(r->root, key), JSON_ENCODE_ANY | JSON_COMPACT);
    r->status = weft_ctx_fail(r->ctx, WEFT_ERR_FORMAT, "%s: %s is %.100s, but must be %s", r->path,
                              key, value ? value : "missing", what);
    free(value);
}

static size_t get_size(struct reader *r, const char *key) {
    const json_t *value = json_object_get(r->root, key);
    const json_int_t n = json_is_integer(value) ? json_integer_value(value) : 0;
    if (n >= 1 && n <= LARGEST) return (size_t)n;
    refuse(r, key, "a whole number from 1 to 16777216");
    return 1;
}

static double get_real(struct reader *r, const char *key, double fallback, double hi) {
    const json_t *value = json_object_get(r->root, key);
    if (!value) return fallback;
    const double x = json_is_number(value) ? json_number_value(value) : NAN;
    if (x >= 0 && x < hi) return x;
    refuse(r, key, hi > 1 ? "a number of at least 0" : "a number from 0 to below 1");
    return fallback;
}

/* true only for the value that differs from the default */
static bool get_bool(struct reader *r, const char *key, bool fallback) {
    const json_t *value = json_object_get(r->root, key);
    if (!value) return fallback;
    if (!json_is_boolean(value)) refuse(r, key, "true or false");
    return json_is_true(value);
}

/* The value, or fallback when there is none; one of the two choices. */
static bool get_choice(struct reader *r, const char *key, const char *usual, const char *other) {
    const json_t *value = json_object_get(r->root, key);
    const char *text = json_string_value(value);
    if (!value || (text && strcmp(text, usual) == 0)) return false;
    if (text && strcmp(text, other) == 0) return true;
    char what[64];
    snprintf(what, sizeof what, "\"%s\" or \"%s\"", usual, other);
    refuse(r, key, what);
    return false;
}

static const char *get_activation(struct reader *r, const char *key, size_t column) {
    const char *text = json_string_value(json_object_get(r->root, key));
    for (size_t i = 0; text && i < ACTIVATIONS; i++)
        if (strcmp(text, activations[i][column]) == 0) return activations[i][0];
    refuse(r, key, "an activation that weft knows");
    return NULL;
}

static void get_gpt2(struct reader *r, struct weft_gpt2_config *c) {
    c->vocab = get_size(r, "vocab_size");
    c->context = get_size(r, "n_positions");
    c->layers = get_size(r, "n_layer");
    c->heads = get_size(r, "n_head");
    c->width = get_size(r, "n_embd");
    c->norm_eps = get_real(r, "layer_norm_epsilon", 1e-5, INFINITY);
    c->dropout = get_real(r, "resid_pdrop", 0.1, 1);
    c->act = get_activation(r, "activation_function", 1);
    c->untied = !get_bool(r, "tie_word_embeddings", true);
    c->norm = get_choice(r, "weft_norm", "pre", "post") ? "post" : "pre";
    const json_t *inner = json_object_get(r->root, "n_inner");
    if (inner && !json_is_null(inner) && get_size(r, "n_inner") != 4 * c->width)
        refuse(r, "n_inner", "null or four times n_embd");
    if (!get_bool(r, "scale_attn_weights", true)) refuse(r, "scale_attn_weights", "true");
    if (get_bool(r, "scale_attn_by_inverse_layer_idx", false))
        refuse(r, "scale_attn_by_inverse_layer_idx", "false");
    if (c->width % c->heads != 0) refuse(r, "n_head", "a divisor of n_embd");
}

static void get_mlp(struct reader *r, struct weft_shape *shape) {
    struct weft_mlp_config *c = &shape->mlp;
    const json_t *hidden = json_object_get(r->root, "hidden");
    c->inputs = get_size(r, "inputs");
    c->outputs = get_size(r, "outputs");
    c->layers = json_array_size(hidden);
    if (!json_is_array(hidden) || c->layers > WEFT_MLP_MAX_HIDDEN)
        refuse(r, "hidden", "a list of at most 64 widths");
    for (size_t i = 0; r->status == WEFT_OK && i < c->layers; i++) {
        const json_int_t width = json_integer_value(json_array_get(hidden, i));
        if (width < 1 || width > LARGEST) refuse(r, "hidden", "a list of widths");
        c->hidden[i] = (size_t)width;
    }
    c->act = get_activation(r, "activation", 0);
    c->dropout = get_real(r, "dropout", 0, 1);
    c->mse = get_choice(r, "loss", "softmax", "mse");
    shape->unit_pixels = get_choice(r, "pixels", "standard", "unit");
}

static void get_shape(struct reader *r, struct weft_shape *out) {
    *out = (struct weft_shape){0};
    const char *type = json_string_value(json_object_get(r->root, "model_type"));
    if (type && strcmp(type, "gpt2") == 0) {
        out->language = true;
        get_gpt2(r, &out->gpt2);
    } else if (type && strcmp(type, "weft-mlp") == 0) {
        get_mlp(r, out);
    } else {
        refuse(r, "model_type", "\"gpt2\" or \"weft-mlp\"");
    }
}

/* config.json of a folder, and its path; both to be released, also after a failure. */
static enum weft_status read_config(weft_ctx *ctx, const char *dir, char **path, json_t **root) {
    *root = NULL;
    *path = weft_text("%s/config.json", dir);
    enum weft_status st = *path ? weft_json_read(ctx, *path, CONFIG_MOST, root)
                                : weft_ctx_fail(ctx, WEFT_ERR_NOMEM, "%s: out of memory", dir);
    if (st == WEFT_OK && !json_is_object(*root))
        st = weft_ctx_fail(ctx, WEFT_ERR_FORMAT, "%s: an object is expected", *path);
    return st;
}

enum weft_status weft_checkpoint_shape(weft_ctx *ctx, const char *dir, struct weft_shape *out) {
    json_t *root;
    char *path;
    struct weft_shape shape;
    enum weft_status st = read_config(ctx, dir, &path, &root);
    if (st == WEFT_OK) {
        struct reader r = {.ctx = ctx, .path = path, .root = root, .status = WEFT_OK};
        get_shape(&r, &shape);
        st = r.status;
    }
    if (st == WEFT_OK) *out = shape;
    json_decref(root);
    free(path);
    return st;
}

enum weft_status weft_checkpoint_columns(weft_ctx *ctx, const char *dir,
                                         const struct weft_shape *shape,
                                         struct weft_columns **out) {
    json_t *root;
    char *path;
    *out = NULL;
    enum weft_status st = read_config(ctx, dir, &path, &root);
    const json_t *value = json_object_get(root, "columns");
    if (st == WEFT_OK && value)
        st = weft_columns_parse(ctx, path, value, shape->mlp.inputs, shape->mlp.outputs, out);
    json_decref(root);
    free(path);
    return st;
}
