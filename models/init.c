/* Drawing the initial weights. Every tensor has its own Philox stream (its place in file order), so
 * that a value depends on the seed, the tensor and the index only. The orthogonal scheme takes the
 * Q of a Gaussian matrix by modified Gram-Schmidt in double.
 *
 *   xavier   std = gain sqrt(2 / (fan_in + fan_out))         (Glorot & Bengio 2010)
 *   kaiming  std = gain / sqrt(fan_in), gain sqrt(2) for ReLU (He et al. 2015)
 *   lecun    std = gain / sqrt(fan_in)                        (LeCun et al. 1998)
 *   gpt2     std = 0.02, times 1/sqrt(2 layers) for projections into the residual stream
 * A uniform scheme draws from +-sqrt(3) std. */
#include <stdlib.h>
#include <string.h>

#include "kernels/base/bug.h"
#include "models/model.h"
#include "weft/math.h"

struct scheme {
    const char *name;
    enum { FAN_NONE, FAN_IN, FAN_OUT, FAN_AVERAGE } fan;
    bool uniform;
    bool act_gain; /* default gain is the activation's */
};
static const struct scheme schemes[] = {
    {"gpt2", FAN_NONE, false, false},
    {"normal", FAN_NONE, false, false},
    {"xavier-normal", FAN_AVERAGE, false, false},
    {"xavier-uniform", FAN_AVERAGE, true, false},
    {"kaiming-normal", FAN_IN, false, true},
    {"kaiming-uniform", FAN_IN, true, true},
    {"kaiming-fanout-normal", FAN_OUT, false, true},
    {"kaiming-fanout-uniform", FAN_OUT, true, true},
    {"lecun-normal", FAN_IN, false, false},
    {"lecun-uniform", FAN_IN, true, false},
    {"orthogonal", FAN_NONE, false, true},
    {"zeros", FAN_NONE, false, false},
};
#define SCHEMES (sizeof schemes / sizeof *schemes)

const char *weft_init_name(size_t i) { return i < SCHEMES ? schemes[i].name : NULL; }

/* PyTorch's table (torch.nn.init.calculate_gain); GELU and SiLU, which it lacks, count as ReLU. */
static double act_gain(const char *act) {
    if (strcmp(act, "tanh") == 0) return 5.0 / 3.0;
    if (strcmp(act, "sigmoid") == 0 || strcmp(act, "none") == 0) return 1;
    if (strcmp(act, "selu") == 0) return 0.75;
    if (strcmp(act, "leaky_relu") == 0) return weft_sqrt(2.0 / (1 + 0.01 * 0.01));
    return weft_sqrt(2.0);
}

/* Streams of the initial weights, apart from those of dropout. */
#define INIT_STREAM UINT32_C(0x80000000)

static void draw(const weft_model *m, float *w, size_t n, double std, bool uniform, uint64_t seed,
                 uint32_t param) {
    const struct weft_kernels *const k = m->ctx->k;
    const float edge = (float)(weft_sqrt(WEFT_BUG(31) ? 2.0 : 3.0) * std);
    const struct weft_random_args a = {.seed = seed,
                                       .stream = INIT_STREAM + param,
                                       .n = n,
                                       .lo = -edge,
                                       .hi = edge,
                                       .std = (float)std,
                                       .y = w};
    if (uniform)
        k->random_uniform_f32(&a);
    else
        k->random_normal_f32(&a);
}

/* Rows (of the smaller side) orthonormal times gain. */
static enum weft_status orthogonal(weft_model *m, float *w, size_t out, size_t in, double gain) {
    const bool wide = in >= out;
    const size_t n = wide ? out : in, len = wide ? in : out;
    double *const q = malloc(n * len * sizeof *q);
    if (q == NULL)
        return weft_ctx_fail(m->ctx, WEFT_ERR_NOMEM, "out of memory for the initialisation");
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < len; j++)
            q[i * len + j] = (double)(wide ? w[i * in + j] : w[j * in + i]);
    for (size_t i = 0; i < n; i++) {
        double *const a = q + i * len;
        for (size_t p = 0; p < i; p++) {
            const double *const b = q + p * len;
            double dot = 0;
            for (size_t j = 0; j < len; j++) dot += a[j] * b[j];
            for (size_t j = 0; j < len; j++) a[j] -= dot * b[j];
        }
        double norm = 0;
        for (size_t j = 0; j < len; j++) norm += a[j] * a[j];
        norm = weft_sqrt(norm);
        for (size_t j = 0; j < len; j++) a[j] /= norm > 0 ? norm : 1;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < len; j++)
            w[wide ? i * in + j : j * in + i] = (float)(gain * q[i * len + j]);
    free(q);
    return WEFT_OK;
}

static double scheme_std(const struct scheme *s, double gain, double in, double out) {
    switch (s->fan) {
    case FAN_IN: return gain / weft_sqrt(WEFT_BUG(26) ? out : in);
    case FAN_OUT: return gain / weft_sqrt(out);
    case FAN_AVERAGE: return gain * weft_sqrt(2 / (in + out));
    case FAN_NONE: break;
    }
    return gain;
}

static enum weft_status init_matrix(weft_model *m, const struct weft_param_info *p,
                                    const struct scheme *s, const struct weft_init *init,
                                    uint32_t stream) {
    const size_t out = p->shape[0], in = p->shape[1], n = out * in;
    if (strcmp(s->name, "zeros") == 0) {
        memset(p->data, 0, n * sizeof *p->data);
        return WEFT_OK;
    }
    const bool last = !m->language && p->layer == (int)(m->mlp.layers + m->mlp.blocks);
    const char *const act = m->language ? "none" : last ? "none" : m->mlp.act;
    double gain = init->gain != 0 ? init->gain : s->act_gain ? act_gain(act) : 1;
    double std = scheme_std(s, gain, (double)in, (double)out);
    const bool plain = strcmp(s->name, "normal") == 0, gpt2 = strcmp(s->name, "gpt2") == 0;
    if (plain || gpt2) std = gain * (init->std != 0 ? init->std : 0.02);
    const bool residual = strcmp(p->role, "attn_proj") == 0 || strcmp(p->role, "mlp_proj") == 0;
    if (gpt2 && residual) std /= weft_sqrt(2 * (double)m->gpt2.layers);
    if (strcmp(s->name, "orthogonal") == 0) std = 1;
    draw(m, p->data, n, std, s->uniform, init->seed, stream);
    return strcmp(s->name, "orthogonal") == 0 ? orthogonal(m, p->data, out, in, gain) : WEFT_OK;
}

static bool read_rows(void *user, size_t row, size_t rows, float *values) {
    const struct weft_param_info *const p = user;
    memcpy(values, p->data + row * p->shape[1], rows * p->shape[1] * sizeof *values);
    return true;
}

/* A matrix in another format is drawn in f32 first. */
static enum weft_status init_compact(weft_model *m, struct weft_param_info p, size_t i,
                                     const struct scheme *s, const struct weft_init *init) {
    p.data = malloc(p.shape[0] * p.shape[1] * sizeof *p.data);
    if (p.data == NULL)
        return weft_ctx_fail(m->ctx, WEFT_ERR_NOMEM, "out of memory for the initialisation");
    enum weft_status st = init_matrix(m, &p, s, init, (uint32_t)i);
    const struct weft_source source = {.read = read_rows, .user = &p};
    if (st == WEFT_OK) st = weft_model_fill(m, i, &source);
    free(p.data);
    return st;
}

enum weft_status weft_model_init(weft_model *m, const struct weft_init *init) {
    if (m == NULL || init == NULL) return WEFT_ERR_NULL;
    if (!m->committed) return weft_ctx_fail(m->ctx, WEFT_ERR_STATE, "init: commit the model first");
    const char *const name = init->name != NULL ? init->name
                             : m->language      ? "gpt2"
                                                : "kaiming-normal";
    const struct scheme *s = NULL;
    for (size_t i = 0; i < SCHEMES; i++)
        if (strcmp(schemes[i].name, name) == 0) s = &schemes[i];
    if (s == NULL)
        return weft_ctx_fail(m->ctx, WEFT_ERR_ARG, "unknown initialisation \"%s\"", name);
    if (!(init->std >= 0) || !(init->gain >= 0))
        return weft_ctx_fail(m->ctx, WEFT_ERR_ARG, "init: std %g and gain %g must not be negative",
                             init->std, init->gain);
    const size_t n = weft_model_params(m, NULL, 0);
    struct weft_param_info *const p = calloc(n, sizeof *p);
    if (p == NULL)
        return weft_ctx_fail(m->ctx, WEFT_ERR_NOMEM, "out of memory for the initialisation");
    weft_model_params(m, p, n);
    enum weft_status st = WEFT_OK;
    for (size_t i = 0; i < n && st == WEFT_OK; i++) {
        if (p[i].shape[1] != 0) {
            st = p[i].data != NULL ? init_matrix(m, &p[i], s, init, (uint32_t)i)
                                   : init_compact(m, p[i], i, s, init);
            continue;
        }
        /* Vectors: LayerNorm's gains and scales are 1, biases and the gains of ReZero are 0. */
        const size_t len = strlen(p[i].name);
        const bool gamma = strncmp(p[i].role, "ln_", 3) == 0 && len > 7 &&
                           strcmp(p[i].name + len - 7, ".weight") == 0;
        const bool one = gamma || strcmp(p[i].role, "scale") == 0;
        for (size_t j = 0; j < p[i].shape[0]; j++)
            p[i].data[j] = one ? 1.0F : WEFT_BUG(27) || WEFT_BUG(37) ? 0.1F : 0.0F;
    }
    free(p);
    return st;
}
