/* Models: GPT-2 and multi-layer perceptrons, ready to train, evaluate and generate.
 *
 * Create, look at weft_model_memory if you like, commit, initialise or load parameters, then
 * weft_model_grad (once per micro-batch) and weft_model_update (once per step). */
#ifndef WEFT_MODEL_H
#define WEFT_MODEL_H

#include "weft/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_model weft_model;

/* How weights are drawn: "gpt2", "normal" (std), "xavier-normal", "xavier-uniform",
 * "kaiming-normal", "kaiming-uniform" (fan-in), "kaiming-fanout-normal", "kaiming-fanout-uniform",
 * "lecun-normal", "lecun-uniform", "orthogonal", "zeros". Biases start at 0, gains at 1. */
struct weft_init {
    const char *name;
    double std;    /* of "normal" and "gpt2" (default 0.02) */
    double gain;   /* multiplies the scheme's std; 0: the activation's own gain for kaiming, else 1 */
    uint64_t seed;
};

/* The schemes by name, NULL past the last one. */
WEFT_API const char *weft_init_name(size_t i);

struct weft_training { /* what a step looks like; all zero: no training, inference only */
    size_t batch;      /* samples of a micro-batch */
    size_t seq;        /* gpt2: tokens of a sample, <= context */
    size_t accumulate; /* micro-batches a step; 0 means 1 */
    size_t grad_groups;/* groups of micro-batches whose gradients are folded in order; 0 means 1 */
    bool eval_only;    /* losses only: no gradients, no optimizer */
    bool generate;     /* gpt2: room for a KV cache, so that the model can be sampled in between */
    const char *watch; /* what tells more about itself, words out of "layer stream entropy logz heads
                        * weights", or "all"; NULL: nothing. See weft_model_statistics */
    bool keep;         /* what probes summarise stays in memory: weft_model_probes shows it */
    size_t sequences;  /* gpt2, generation: texts in the KV cache at once; 0 means 1 */
    /* gpt2 that does not train: how its matrices are kept, by weft_weights_name, embeddings and head
     * too: fewer bytes are what makes a token cheaper. NULL: f32 as in training, so that their data is
     * to be had. Everything is computed in f32, but where the CPU has dot products of bf16 products with
     * all formats but f32, and attention with a cache in bf16, go by them: they round what they
     * multiply */
    const char *weights;
    const char *kv;      /* of its KV cache: NULL or "f32", "bf16" */
    bool score;          /* gpt2, generation: weft_model_score */
    /* "f32" (NULL too), or "bf16": activations, their gradients and a copy of the weights, in training
     * and evaluation; everything else stays f32 */
    const char *precision;
    struct weft_optim optim;
};

struct weft_gpt2_config {
    size_t vocab, context, layers, heads, width;
    const char *norm;  /* where LayerNorm stands: NULL or "pre" x + f(Norm(x)); "post" Norm(x + f(x))
                        * as in the original Transformer; "branch" x + Norm(f(x)); "none" */
    bool rezero;       /* x + a f, a learned from 0 for every branch (Bachlechner et al. 2020) */
    bool scales;       /* q, k, v times learned factors from 1: one of the layer, one of each head */
    double dropout;    /* of the embedding, attention probabilities and both branches */
    double norm_eps;   /* 0: 1e-5 */
    const char *act;   /* NULL: "gelu_tanh" */
    bool untied;       /* own lm_head.weight instead of wte */
};
/* Fills vocab, context, layers, heads, width of "gpt2-124m", "-350m", "-774m", "-1.5b". false: no
 * such preset. weft_gpt2_preset_name(i) lists them, NULL at the end. */
WEFT_API bool weft_gpt2_preset(const char *name, struct weft_gpt2_config *out);
WEFT_API const char *weft_gpt2_preset_name(size_t i);
/* GPT-2's blocks: LayerNorm first, no ReZero, no learned scales. */
WEFT_API bool weft_gpt2_is_plain(const struct weft_gpt2_config *c);

/* Models in llm.c's files (.bin; version 3: f32, 5: bf16). First what to create, then, after the
 * commit, its parameters. WEFT_ERR_FORMAT, _VERSION, _SHAPE, _IO. */
WEFT_API WEFT_NODISCARD enum weft_status weft_gpt2_file_config(weft_ctx *ctx, const char *path,
                                                               struct weft_gpt2_config *out);
WEFT_API WEFT_NODISCARD enum weft_status weft_gpt2_file_read(const char *path, weft_model *m);
/* The bytes of such a file, in order; put returns false to end it (WEFT_ERR_IO). WEFT_ERR_FORMAT
 * for a model that the format cannot say: it has tied weights, LayerNorm first, gelu_tanh, eps
 * 1e-5. */
WEFT_API WEFT_NODISCARD enum weft_status
weft_gpt2_file_write(const weft_model *m, bool bf16,
                     bool (*put)(void *user, const void *bytes, size_t size), void *user);

#define WEFT_MLP_MAX_HIDDEN 64
struct weft_mlp_config {
    size_t inputs, outputs;
    size_t hidden[WEFT_MLP_MAX_HIDDEN];
    size_t layers;      /* hidden layers */
    const char *act;    /* NULL: "relu" */
    double dropout;
    bool mse;           /* squared error instead of softmax cross-entropy */
    bool inner;         /* weft_inner: batch.values is the gradient that is sent back */
    size_t blocks;      /* layers of the last hidden width behind the hidden ones */
    const char *block;  /* NULL or "plain" act(z); "residual" x + act(z); "rezero" x + a act(z) with a
                         * learned from 0 */
};

/* Build a model. WEFT_ERR_ARG / WEFT_ERR_SHAPE say which value cannot be and why. Nothing large is
 * allocated before weft_model_commit. */
WEFT_API WEFT_NODISCARD enum weft_status weft_gpt2_create(weft_ctx *ctx,
                                                          const struct weft_gpt2_config *config,
                                                          const struct weft_training *training,
                                                          weft_model **out);
WEFT_API WEFT_NODISCARD enum weft_status weft_mlp_create(weft_ctx *ctx,
                                                         const struct weft_mlp_config *config,
                                                         const struct weft_training *training,
                                                         weft_model **out);
WEFT_API WEFT_NODISCARD enum weft_status weft_model_memory(weft_model *m, struct weft_memory *out);
WEFT_API WEFT_NODISCARD enum weft_status weft_model_commit(weft_model *m);
WEFT_API void weft_model_free(weft_model *m);
WEFT_API WEFT_NODISCARD enum weft_status weft_model_init(weft_model *m,
                                                         const struct weft_init *init);

/* ---- parameters, in file order ---- */
struct weft_param_info {
    const char *name;
    size_t shape[2]; /* (out, in), or (n, 0) for a vector */
    int layer;
    const char *role;
    bool decay, transposed;
    const char *format;         /* how it is kept: "f32", ... */
    float *data, *grad, *m, *v; /* data: NULL unless f32; the others when the model has none */
    float *c;                   /* what Kahan's rounding to bf16 has left over, or NULL */
};
/* A model in bf16 reads copies of its parameters. They follow the optimizer, and what is written
 * through `data` before the next run; who writes later calls this again. */
WEFT_API size_t weft_model_params(const weft_model *m, struct weft_param_info *out, size_t max);
WEFT_API size_t weft_model_param_count(const weft_model *m); /* scalars */
/* Set parameter i of the list from a source of f32 values, in whatever format it is kept: memory
 * for 64 outputs a thread is all that is needed besides. WEFT_ERR_STATE before the commit,
 * WEFT_ERR_ARG, _NOMEM; _IO when the source ends; _NONFINITE for a NaN or Inf. */
WEFT_API WEFT_NODISCARD enum weft_status weft_model_fill(weft_model *m, size_t i,
                                                         const struct weft_source *source);

/* ---- training ---- */
struct weft_batch {
    const int32_t *tokens;  /* gpt2: (rows, seq) */
    const float *inputs;    /* mlp: (rows, inputs) */
    const int32_t *targets; /* gpt2: (rows, seq); mlp classifier: (rows); -1 ignored */
    const float *values;    /* mlp with mse: (rows, outputs) */
    size_t rows;            /* <= training.batch */
};
struct weft_loss {
    double sum;      /* of the losses of valid targets, in a fixed order */
    uint64_t count;  /* valid targets */
    uint64_t correct;/* argmax == target (classification and language models) */
};
/* Forward and backward of one micro-batch; gradients of the loss sum times run->inv_targets are set
 * or added to (run->accumulate). WEFT_ERR_NONFINITE when the loss is not finite: the message names
 * the first offending node. WEFT_ERR_ARG for a token or target out of range. */
WEFT_API WEFT_NODISCARD enum weft_status weft_model_grad(weft_model *m, const struct weft_batch *b,
                                                         const struct weft_run *run,
                                                         struct weft_loss *out);
/* Close a group of micro-batches (grad_groups > 1 only; called after the last one of each). */
WEFT_API WEFT_NODISCARD enum weft_status weft_model_fold(weft_model *m, bool first);
/* Clip and step. WEFT_ERR_NONFINITE when a gradient is not finite: nothing has been changed. */
struct weft_step {
    double grad_norm; /* before clipping */
    double scale;     /* the factor applied to gradients, 1 when not clipped */
};
WEFT_API WEFT_NODISCARD enum weft_status weft_model_update(weft_model *m,
                                                           const struct weft_run *run,
                                                           struct weft_step *out);
/* Where it began, for messages of a training that diverges. The node of the last weft_model_grad
 * with the largest value among its outputs (run again with that run; gradients are garbage
 * afterwards), and the parameter with the largest norm of its gradient. NULL: none. */
WEFT_API const char *weft_model_largest_node(weft_model *m, const struct weft_run *run,
                                             double *value);
WEFT_API const char *weft_model_largest_gradient(const weft_model *m, double *norm);
/* WEFT_ERR_NONFINITE when a parameter holds a NaN or Inf: the message names the first. */
WEFT_API WEFT_NODISCARD enum weft_status weft_model_check_finite(const weft_model *m);
/* Loss only, no dropout. rows <= training.batch. */
WEFT_API WEFT_NODISCARD enum weft_status weft_model_eval(weft_model *m, const struct weft_batch *b,
                                                         struct weft_loss *out);

/* The losses (rows, seq), or (rows), that the last weft_model_eval summed; where a target is
 * ignored, no number in particular. Valid until the next call. */
WEFT_API const float *weft_model_losses(weft_model *m);

/* ---- statistics ---- */
struct weft_statistic {
    int layer;          /* -1: none */
    const char *tensor; /* "q", "attn_proj", "resid", ... */
    const char *kind;   /* "std", "gnorm", "update_ratio", "logit_max", ... */
    double value;
};
/* Of the last update (run->statistics was true): kinds std, mean, absmax (of weights), gnorm
 * (before clipping), update_ratio (norm of the update / norm of the weights) for each parameter
 * matrix or its slices, and in bf16 bf16_lost (share of the updates that weights in bf16 lose to
 * rounding; with master weights: would lose) and decay_effect (share of the weight decay that they
 * feel); of the last weft_model_grad: std of the residual stream ("resid", at each LayerNorm's
 * input) and logit_max ("attn"). training.watch adds, word by word: "weights" norm and rate (mean
 * of 1/(sqrt v + eps)); "heads" the same for each head ("q.0"); and the values of the probes of
 * weft/graph.h: "stream", "entropy", "layer" (under the role of its weight), "logz" ("loss").
 * Returns how many there are. */
WEFT_API size_t weft_model_statistics(weft_model *m, struct weft_statistic *out, size_t max);
/* The probes of the last weft_model_grad with run->statistics, and with training.keep what they
 * summarise. */
WEFT_API size_t weft_model_probes(weft_model *m, struct weft_probe_value *out, size_t max);
/* Histogram of one parameter over mean +- 4 std of its values, into counts[bins]. */
WEFT_API WEFT_NODISCARD enum weft_status weft_model_histogram(weft_model *m, const char *param,
                                                              size_t bins, uint64_t *counts,
                                                              double *lo, double *hi);

/* ---- generation (gpt2) ---- */
/* Feed n tokens at positions pos.. (the KV cache holds 0..pos-1); logits (vocab) of the last one.
 * A model created without training can only do this. generate.h builds on it. */
WEFT_API WEFT_NODISCARD enum weft_status weft_model_infer(weft_model *m, const int32_t *tokens,
                                                          size_t n, size_t pos, float *logits);
/* The same for one of several sequences; logits (vocab) is valid until the next call. */
WEFT_API WEFT_NODISCARD enum weft_status weft_model_prefill(weft_model *m, const int32_t *tokens,
                                                            size_t n, struct weft_place from,
                                                            const float **logits);
/* One more token for each of n sequences, which must differ: the weights are read once for all. Row
 * i of logits (n, vocab) is what weft_model_prefill would give for tokens[i] at place[i], bit for
 * bit; valid until the next call. */
WEFT_API WEFT_NODISCARD enum weft_status weft_model_decode(weft_model *m, const int32_t *tokens,
                                                           const struct weft_place *place, size_t n,
                                                           const float **logits);

/* The most tokens that weft_model_score takes at once; 0: the model was not made for it. */
WEFT_API size_t weft_model_score_rows(const weft_model *m);
/* weft_model_prefill with the logits (n, vocab) of every token: how good a model, its format or its
 * cache is. Made with training.score. */
WEFT_API WEFT_NODISCARD enum weft_status weft_model_score(weft_model *m, const int32_t *tokens,
                                                          size_t n, struct weft_place from,
                                                          const float **logits);

/* ---- work and time ---- */
/* Model FLOPs of a whole optimizer step (all micro-batches) and the least time it can take on a
 * machine with these limits. */
WEFT_API void weft_model_work(weft_model *m, const struct weft_limits *limits, double *flops,
                              double *seconds);
/* Timers of the nodes of weft_model_grad and weft_model_update (weft/graph.h). */
WEFT_API WEFT_NODISCARD enum weft_status weft_model_timing(weft_model *m, bool on);
WEFT_API size_t weft_model_times(weft_model *m, struct weft_node_time *out, size_t max);
WEFT_API size_t weft_model_spans(weft_model *m, struct weft_span *out, size_t max);

#ifdef __cplusplus
}
#endif
#endif
