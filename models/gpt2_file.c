/* llm.c's model files: 256 int32, little-endian (magic, version, context, vocabulary, layers,
 * heads, width, padded vocabulary), then the parameters, each of all layers together, in f32
 * (version 3) or bf16 (version 5). Linear weights are (out, in), as in memory; wte has rows of
 * zeros at its end. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/model.h"
#include "weft/half.h"

#define MAGIC     20240326u
#define SWAPPED   0xc6d73401u /* the magic in the other byte order */
#define HEADER    256
#define CHUNK     16384 /* elements converted at once */
#define PAD_VOCAB 128   /* llm.c pads to a multiple of it */
#define LARGEST   (1u << 24)

static const struct {
    const char *name;
    bool layers; /* one of each layer */
} order[] = {
    {"wte.weight", false},        {"wpe.weight", false},        {"ln_1.weight", true},
    {"ln_1.bias", true},          {"attn.c_attn.weight", true}, {"attn.c_attn.bias", true},
    {"attn.c_proj.weight", true}, {"attn.c_proj.bias", true},   {"ln_2.weight", true},
    {"ln_2.bias", true},          {"mlp.c_fc.weight", true},    {"mlp.c_fc.bias", true},
    {"mlp.c_proj.weight", true},  {"mlp.c_proj.bias", true},    {"ln_f.weight", false},
    {"ln_f.bias", false},
};
#define PARTS (sizeof order / sizeof *order)

struct source {
    weft_ctx *ctx;
    const char *path;
    FILE *file;
    size_t size;    /* of an element: 4 or 2 */
    size_t padding; /* rows of wte that are not there */
    struct weft_gpt2_config config;
};

/* Parameter `part` of a layer. */
static const struct weft_tensor_desc *find_param(const weft_model *m, size_t part, size_t layer) {
    char name[96];
    if (order[part].layers)
        snprintf(name, sizeof name, "transformer.h.%zu.%s", layer, order[part].name);
    else
        snprintf(name, sizeof name, "transformer.%s", order[part].name);
    for (size_t t = 0; t < m->graph->tensors; t++)
        if (m->graph->tensor[t].kind == WEFT_PARAM && !strcmp(m->graph->tensor[t].name, name))
            return &m->graph->tensor[t];
    return NULL;
}

/* ---- reading ---- */
static uint32_t word(const unsigned char *b) {
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* Elements of all parameters, padding included; the sizes are below 2^24, layers below 2^16. */
static double elements(const struct source *s) {
    const struct weft_gpt2_config *const c = &s->config;
    const double w = (double)c->width, l = (double)c->layers;
    return ((double)(c->vocab + s->padding) + (double)c->context) * w + l * (12 * w * w + 13 * w) +
           2 * w;
}

static enum weft_status check_header(struct source *s, const unsigned char *header, double bytes) {
    const uint32_t magic = word(header), version = word(header + 4);
    if (magic == SWAPPED)
        return weft_ctx_fail(s->ctx, WEFT_ERR_FORMAT, "%s: is in big-endian order", s->path);
    if (magic != MAGIC)
        return weft_ctx_fail(s->ctx, WEFT_ERR_FORMAT, "%s: is not a model of llm.c", s->path);
    if (version != 3 && version != 5)
        return weft_ctx_fail(s->ctx, WEFT_ERR_VERSION,
                             "%s: is version %u of the format; 3 (f32) and 5 (bf16) are read",
                             s->path, (unsigned)version);
    uint32_t field[6];
    for (size_t i = 0; i < 6; i++) field[i] = word(header + 8 + 4 * i);
    for (size_t i = 0; i < 6; i++)
        if (field[i] < 1 || field[i] > LARGEST || (i == 2 && field[i] > 65535))
            return weft_ctx_fail(s->ctx, WEFT_ERR_FORMAT, "%s: number %zu of the header is %u",
                                 s->path, i + 2, (unsigned)field[i]);
    if (field[5] < field[1])
        return weft_ctx_fail(s->ctx, WEFT_ERR_FORMAT,
                             "%s: a vocabulary of %u is padded to %u, which is less", s->path,
                             (unsigned)field[1], (unsigned)field[5]);
    s->size = version == 3 ? 4 : 2;
    s->padding = field[5] - field[1];
    s->config = (struct weft_gpt2_config){.context = field[0],
                                          .vocab = field[1],
                                          .layers = field[2],
                                          .heads = field[3],
                                          .width = field[4]};
    const double want = 4.0 * HEADER + (double)s->size * elements(s);
    if (bytes != want)
        return weft_ctx_fail(
            s->ctx, WEFT_ERR_FORMAT,
            "%s: has %.0f bytes, but its header asks for %.0f: the file is truncated "
            "or damaged",
            s->path, bytes, want);
    return WEFT_OK;
}

static enum weft_status open_source(weft_ctx *ctx, const char *path, struct source *s) {
    unsigned char header[4 * HEADER];
    *s = (struct source){.ctx = ctx, .path = path, .file = fopen(path, "rb")};
    if (s->file == NULL)
        return weft_ctx_fail(ctx, WEFT_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    const bool whole = fread(header, 1, sizeof header, s->file) == sizeof header;
    const long end = fseek(s->file, 0, SEEK_END) == 0 ? ftell(s->file) : -1;
    enum weft_status st = WEFT_OK;
    if (end < 0 || fseek(s->file, sizeof header, SEEK_SET) != 0)
        st = weft_ctx_fail(ctx, WEFT_ERR_IO, "%s: cannot be read", path);
    else if (!whole)
        st = weft_ctx_fail(ctx, WEFT_ERR_FORMAT, "%s: ends inside its header of %zu bytes", path,
                           sizeof header);
    if (st == WEFT_OK) st = check_header(s, header, (double)end);
    if (st != WEFT_OK) fclose(s->file);
    return st;
}

enum weft_status weft_gpt2_file_config(weft_ctx *ctx, const char *path,
                                       struct weft_gpt2_config *out) {
    struct source s;
    if (ctx == NULL || path == NULL || out == NULL) return WEFT_ERR_NULL;
    const enum weft_status st = open_source(ctx, path, &s);
    if (st != WEFT_OK) return st;
    fclose(s.file);
    *out = s.config;
    return WEFT_OK;
}

static bool read_bf16(FILE *file, float *to, size_t n) {
    unsigned char part[2 * CHUNK];
    for (size_t i = 0; i < n;) {
        const size_t take = n - i < CHUNK ? n - i : CHUNK;
        if (fread(part, 2, take, file) != take) return false;
        for (size_t k = 0; k < take; k++)
            to[i + k] = weft_bf16_load((uint16_t)(part[2 * k] | part[2 * k + 1] << 8));
        i += take;
    }
    return true;
}

static bool read_values(const struct source *s, size_t n, float *to) {
    return s->size == 2 ? read_bf16(s->file, to, n) : fread(to, 4, n, s->file) == n;
}

/* Of a matrix that is kept in another format, the next rows. */
struct rows {
    const struct source *s;
    size_t cols;
};
static bool read_rows(void *user, size_t row, size_t n, float *values) {
    const struct rows *const r = user;
    (void)row;
    return read_values(r->s, n * r->cols, values);
}

static enum weft_status read_compact(const struct source *s, weft_graph *g, weft_tensor t) {
    struct rows r = {s, weft_desc_cols(weft_desc(g, t))};
    const struct weft_source rows = {.read = read_rows, .user = &r, .serial = true};
    const enum weft_status st = weft_tensor_fill(g, t, &rows);
    if (st == WEFT_ERR_IO) return weft_ctx_fail(s->ctx, st, "%s: cannot be read", s->path);
    if (st == WEFT_ERR_NONFINITE)
        return weft_ctx_fail(s->ctx, WEFT_ERR_FORMAT, "%s: %s has a NaN or Inf", s->path,
                             weft_desc(g, t)->name);
    return st;
}

static enum weft_status read_param(const struct source *s, weft_graph *g,
                                   const struct weft_tensor_desc *d) {
    const size_t n = weft_desc_count(d);
    float *const to = d->data;
    if (d->dtype == WEFT_COMPACT) return read_compact(s, g, (weft_tensor)(d - g->tensor));
    if (!read_values(s, n, to))
        return weft_ctx_fail(s->ctx, WEFT_ERR_IO, "%s: cannot be read", s->path);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(to[i]))
            return weft_ctx_fail(s->ctx, WEFT_ERR_FORMAT, "%s: %s has a NaN or Inf", s->path,
                                 d->name);
    return WEFT_OK;
}

static enum weft_status read_all(const struct source *s, const weft_model *m) {
    m->graph->stale |= m->graph->half;
    enum weft_status st = WEFT_OK;
    for (size_t p = 0; st == WEFT_OK && p < PARTS; p++) {
        for (size_t l = 0; st == WEFT_OK && l < (order[p].layers ? s->config.layers : 1); l++)
            st = read_param(s, m->graph, find_param(m, p, l));
        const size_t skip = p == 0 ? s->padding * s->config.width * s->size : 0;
        if (st == WEFT_OK && fseek(s->file, (long)skip, SEEK_CUR) != 0)
            st = weft_ctx_fail(s->ctx, WEFT_ERR_IO, "%s: cannot be read", s->path);
    }
    return st;
}

static bool same_shape(const struct weft_gpt2_config *a, const struct weft_gpt2_config *b) {
    return a->vocab == b->vocab && a->context == b->context && a->layers == b->layers &&
           a->heads == b->heads && a->width == b->width;
}

/* Not every GPT-2 can be said in such a file. */
static enum weft_status check_model(const weft_model *m, const char *path) {
    const struct weft_gpt2_config *const c = &m->gpt2;
    if (!m->language || !m->committed)
        return weft_ctx_fail(m->ctx, WEFT_ERR_STATE, "%s: the model is no GPT-2 with its memory",
                             path);
    const char *const what = c->untied                     ? "a head of its own"
                             : !weft_gpt2_is_plain(c)      ? "other blocks than GPT-2's"
                             : strcmp(c->act, "gelu_tanh") ? "another activation than gelu_tanh"
                             : fabs(c->norm_eps - 1e-5) > 1e-12 ? "another epsilon than 1e-5"
                                                                : NULL;
    if (what == NULL) return WEFT_OK;
    return weft_ctx_fail(m->ctx, WEFT_ERR_FORMAT,
                         "%s: the model has %s, which llm.c's format cannot say", path, what);
}

enum weft_status weft_gpt2_file_read(const char *path, weft_model *m) {
    struct source s;
    if (path == NULL || m == NULL) return WEFT_ERR_NULL;
    enum weft_status st = check_model(m, path);
    if (st == WEFT_OK) st = open_source(m->ctx, path, &s);
    if (st != WEFT_OK) return st;
    if (!same_shape(&s.config, &m->gpt2))
        st = weft_ctx_fail(m->ctx, WEFT_ERR_SHAPE, "%s: is of another shape than the model", path);
    if (st == WEFT_OK) st = read_all(&s, m);
    fclose(s.file);
    return st;
}

/* ---- writing ---- */
struct sink {
    bool (*put)(void *user, const void *bytes, size_t size);
    void *user;
    bool bf16;
};

static bool put_values(const struct sink *s, const float *x, size_t n) {
    unsigned char part[2 * CHUNK];
    if (!s->bf16) return s->put(s->user, x, 4 * n);
    for (size_t i = 0; i < n;) {
        const size_t take = n - i < CHUNK ? n - i : CHUNK;
        for (size_t k = 0; k < take; k++) {
            const uint16_t h = weft_bf16_round(x[i + k]);
            part[2 * k] = (unsigned char)h;
            part[2 * k + 1] = (unsigned char)(h >> 8);
        }
        if (!s->put(s->user, part, 2 * take)) return false;
        i += take;
    }
    return true;
}

static bool put_header(const struct sink *s, const struct weft_gpt2_config *c, size_t padded) {
    unsigned char header[4 * HEADER] = {0};
    const size_t field[] = {MAGIC,     s->bf16 ? 5 : 3, c->context, c->vocab,
                            c->layers, c->heads,        c->width,   padded};
    for (size_t i = 0; i < sizeof field / sizeof *field; i++)
        for (size_t k = 0; k < 4; k++) header[4 * i + k] = (unsigned char)(field[i] >> 8 * k);
    return s->put(s->user, header, sizeof header);
}

static bool put_zeros(const struct sink *s, size_t bytes) {
    static const unsigned char zeros[4096];
    for (size_t n; bytes > 0; bytes -= n) {
        n = bytes < sizeof zeros ? bytes : sizeof zeros;
        if (!s->put(s->user, zeros, n)) return false;
    }
    return true;
}

enum weft_status weft_gpt2_file_write(const weft_model *m, bool bf16,
                                      bool (*put)(void *user, const void *bytes, size_t size),
                                      void *user) {
    if (m == NULL || put == NULL) return WEFT_ERR_NULL;
    const enum weft_status st = check_model(m, "export");
    if (st != WEFT_OK) return st;
    const struct weft_gpt2_config *const c = &m->gpt2;
    const struct sink s = {put, user, bf16};
    if (m->training.weights != NULL && strcmp(m->training.weights, "f32") != 0)
        return weft_ctx_fail(m->ctx, WEFT_ERR_STATE, "a model with weights in %s cannot be written",
                             m->training.weights);
    const size_t padded = (c->vocab + PAD_VOCAB - 1) / PAD_VOCAB * PAD_VOCAB;
    bool good = put_header(&s, c, padded);
    for (size_t p = 0; good && p < PARTS; p++) {
        for (size_t l = 0; good && l < (order[p].layers ? c->layers : 1); l++) {
            const struct weft_tensor_desc *const d = find_param(m, p, l);
            good = put_values(&s, d->data, weft_desc_count(d));
        }
        if (good && p == 0) good = put_zeros(&s, (padded - c->vocab) * c->width * (bf16 ? 2 : 4));
    }
    if (good) return WEFT_OK;
    return weft_ctx_fail(m->ctx, WEFT_ERR_IO, "the model cannot be written");
}
