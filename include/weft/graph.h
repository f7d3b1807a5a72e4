/* The graph: tensors, and programs over them.
 *
 * A model builds a graph once: parameters, then one or more programs (training step, update,
 * evaluation, generation), each a list of nodes. Builder calls never fail one by one: the first
 * error is kept and weft_graph_commit returns it (shape errors name the node and both shapes). After
 * the commit everything has its place in memory and a run allocates nothing.
 *
 * Tensors are row-major and f32 unless said otherwise. B is the batch of a program; a run may use
 * fewer rows (struct weft_run). Linear weights are (out, in). */
#ifndef WEFT_GRAPH_H
#define WEFT_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "weft/context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct weft_graph weft_graph;
typedef struct weft_program weft_program;
typedef int32_t weft_tensor; /* handle inside one graph */
#define WEFT_NONE ((weft_tensor)-1)

/* Where the token of a row stands in generation. */
struct weft_place {
    size_t sequence; /* its part of the KV cache */
    size_t pos; /* in the sequence; earlier ones are in the cache, or in rows before this one */
};

/* What changes from one run of a program to the next. */
struct weft_run {
    uint64_t step;      /* optimizer step, from 0: dropout and bias correction */
    uint64_t sample;    /* global number of the first sample of this run: dropout */
    uint64_t seed;      /* of the run: dropout */
    size_t rows;        /* live samples, <= B; 0: all */
    size_t pos;         /* generation: tokens already in the KV cache */
    const struct weft_place *place; /* generation: (rows), those of a sequence side by side in
                                     * order; NULL: row r is token pos + r of sequence 0 */
    bool accumulate;    /* false: gradients are set by this run; true: added to */
    float inv_targets;  /* 1 / (valid targets of the whole step), times any loss scale */
    double lr;          /* update: learning rate of this step */
    double clip;        /* update: largest global norm of this step; 0: the optimizer's */
    bool statistics;    /* gather statistics: probes of layers, weights, gradients, updates */
};

/* Parameter: a leaf that trains. */
struct weft_slice { /* a named range of rows of a parameter, e.g. q of c_attn.weight */
    const char *name;
    size_t row, rows;
    size_t parts; /* statistics of this many equal parts too, e.g. heads; 0 or 1: none */
};
#define WEFT_SLICES 3
struct weft_param_desc {
    const char *name; /* as in checkpoint files */
    size_t shape[2];  /* (n) or (out, in); shape[1] = 0 for a vector */
    int layer;        /* block it belongs to, -1: none */
    const char *role; /* short name in statistics: "attn_proj", "mlp_fc", "wte", ... */
    bool decay;       /* weight decay applies */
    bool transposed;  /* files store (in, out): Hugging Face's Conv1D */
    const char *format; /* of a matrix that is only read (weft_weights_name); NULL: f32, trains */
    struct weft_slice slices[WEFT_SLICES]; /* finer statistics; rows = 0: unused */
};

/* How weights for inference are kept, in the order in which products read them: "f32"; "bf16";
 * "int8", one scale for each output; "int8-g64" and "int8-g32", one for 64 or 32 weights of an
 * output; "int4", one for 32. NULL past the last one. linear, embedding and head_xent take them;
 * they have no gradient. */
WEFT_API const char *weft_weights_name(size_t i);

WEFT_API WEFT_NODISCARD enum weft_status weft_graph_create(weft_ctx *ctx, weft_graph **out);
WEFT_API void weft_graph_free(weft_graph *g);

WEFT_API weft_tensor weft_param(weft_graph *g, const struct weft_param_desc *desc);
/* Memory that outlives a run (KV cache): zeroed at commit. */
WEFT_API weft_tensor weft_state(weft_graph *g, const char *name, size_t rows, size_t cols);

/* A program with batch size B. name: "train", "update", "eval", ... */
WEFT_API weft_program *weft_program_create(weft_graph *g, const char *name, size_t batch);
/* Nodes built after this call belong to this layer (-1: none); for statistics and messages. */
WEFT_API void weft_program_layer(weft_program *p, int layer);
/* How activations and their gradients lie in memory: "f32" (NULL too), or "bf16" with parameters
 * read from copies in bf16; arithmetic, losses and gradients of parameters are f32 all the same.
 * Before the program's first node. */
WEFT_API void weft_program_storage(weft_program *p, const char *type);

/* ---- inputs: written by the caller before a run through weft_tensor_data ---- */
WEFT_API weft_tensor weft_input_i32(weft_program *p, const char *name, size_t cols); /* (B, cols) */
WEFT_API weft_tensor weft_input_f32(weft_program *p, const char *name, size_t cols); /* (B, cols) */

/* ---- ops: each returns its output's handle ---- */

/* wte[tokens] + wpe[position]; tokens (B, T) i32, wte (V, C), wpe (T', C) or WEFT_NONE -> (B, T, C).
 * Positions start at run->pos. */
WEFT_API weft_tensor weft_embedding(weft_program *p, weft_tensor tokens, weft_tensor wte,
                                    weft_tensor wpe);
/* The same for generation: tokens (n, 1), row r at run->place[r]. */
WEFT_API weft_tensor weft_embedding_kv(weft_program *p, weft_tensor tokens, weft_tensor wte,
                                       weft_tensor wpe);
/* The last live row of x (n, C) -> (1, C). */
WEFT_API weft_tensor weft_last_row(weft_program *p, weft_tensor x);
/* (x - mean) / sqrt(var + eps) * gamma + beta over the last dimension; gamma, beta (C). */
WEFT_API weft_tensor weft_layernorm(weft_program *p, weft_tensor x, weft_tensor gamma,
                                    weft_tensor beta, float eps);
/* act(x·wᵀ + b) + residual; x (..., in), w (out, in), b (out) or WEFT_NONE. act: NULL or "none",
 * "relu", "leaky_relu", "gelu_tanh", "gelu_erf", "tanh", "sigmoid", "silu", "selu". residual only with
 * act none. */
WEFT_API weft_tensor weft_linear(weft_program *p, weft_tensor x, weft_tensor w, weft_tensor b,
                                 const char *act, weft_tensor residual);
/* Causal multi-head attention; qkv (B, T, 3C) with q | k | v side by side -> (B, T, C). A probability
 * after the softmax becomes 0 with chance prob, the others are divided by 1 - prob. */
WEFT_API weft_tensor weft_attention(weft_program *p, weft_tensor qkv, size_t heads, float prob);
/* The same for generation: row r of qkv (n, 3C) is the token at run->place[r], which sees itself
 * and what came before it in its sequence; kcache and vcache come from weft_kv_cache with the same
 * heads and context. The bits of a row depend on its own sequence only. */
WEFT_API weft_tensor weft_kv_cache(weft_graph *g, size_t sequences, size_t heads, size_t head_size,
                                   size_t max_context);
/* The same in bf16: half the memory; what is appended is rounded to nearest even. Where the CPU has
 * dot products of bf16, attention goes by them and rounds queries and probabilities too. */
WEFT_API weft_tensor weft_kv_cache_bf16(weft_graph *g, size_t sequences, size_t heads,
                                        size_t head_size, size_t max_context);
WEFT_API weft_tensor weft_attention_kv(weft_program *p, weft_tensor qkv, weft_tensor kcache,
                                       weft_tensor vcache, size_t heads, size_t max_context);
/* keep ? x / (1-prob) : 0, plus residual when given. prob = 0 gives x (or the sum). */
WEFT_API weft_tensor weft_dropout(weft_program *p, weft_tensor x, float prob, weft_tensor residual);
WEFT_API weft_tensor weft_activation(weft_program *p, weft_tensor x, const char *act);
WEFT_API weft_tensor weft_add(weft_program *p, weft_tensor a, weft_tensor b);
/* residual + gain * f with a learned scalar (ReZero), or one for each of equal groups of columns;
 * gain is a parameter of shape (1) or (groups); residual may be WEFT_NONE. */
WEFT_API weft_tensor weft_gain(weft_program *p, weft_tensor f, weft_tensor gain,
                               weft_tensor residual);

/* Language-model head and loss in token chunks; x (B, T, C), w (V, C), targets (B, T) i32 with -1 =
 * ignore. Returns the per-token losses (B, T). A program that calls weft_backward gets dx and dw
 * in the same sweep. */
WEFT_API weft_tensor weft_head_xent(weft_program *p, weft_tensor x, weft_tensor w,
                                    weft_tensor targets);
/* Softmax cross-entropy of logits (B, V); targets (B, 1) i32, -1 = ignore -> losses (B, 1). */
WEFT_API weft_tensor weft_softmax_xent(weft_program *p, weft_tensor logits, weft_tensor targets);
/* Squared error averaged over columns: (B, n), (B, n) -> (B, 1). */
WEFT_API weft_tensor weft_mse(weft_program *p, weft_tensor x, weft_tensor targets);
/* Inner product with given values: sum_j x_j g_j, (B, n), (B, n) -> (B, 1). Its backward pass starts
 * with the gradient g times inv_targets: any vector can be sent back through a network. */
WEFT_API weft_tensor weft_inner(weft_program *p, weft_tensor x, weft_tensor g);

/* 1 where the largest logit (the first of equals) is the target's, else 0: i32, shape of the losses,
 * kept until the end of the program. loss comes from head_xent or softmax_xent. */
WEFT_API weft_tensor weft_correct(weft_program *p, weft_tensor loss);

/* Append the backward pass of everything `loss` depends on (loss from one of those above). The
 * derivative is of the sum of losses times run->inv_targets. */
WEFT_API void weft_backward(weft_program *p, weft_tensor loss);
/* The gradient of a parameter that some weft_backward has reached, else WEFT_NONE. */
WEFT_API weft_tensor weft_tensor_grad(const weft_graph *g, weft_tensor param);

/* The optimizers by name, NULL past the last one. */
WEFT_API const char *weft_optim_name(size_t i);
/* Optimizer sweep over all parameters; see struct weft_optim. One per graph, own program. */
struct weft_optim {
    const char *name;    /* "sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw", "nadam",
                          * "<name>_playbook" variants where conventions differ, "lars", "signsgd" */
    double beta1, beta2; /* beta1 is the momentum of sgd variants */
    double eps;
    double weight_decay;
    double clip;         /* global norm; 0: none */
    double agc;          /* adaptive clipping (Brock et al. 2021): largest |g|/|w| of a row of a
                          * matrix, |w| at least 1e-3; 0: none. Before the global norm is taken. */
    double trust;        /* of lars; 0: 0.001 */
    const char *weights; /* bf16: NULL or "master" f32; "nearest", "stochastic", "kahan": parameters
                          * only hold what bf16 has, and are rounded after each step in that way */
};
WEFT_API void weft_optimizer(weft_program *p, const struct weft_optim *optim);
/* Micro-batches of a step and groups of them whose gradients are folded in order (before anything
 * is built that trains); programs that call weft_grad_fold close a group. */
WEFT_API void weft_graph_accumulate(weft_graph *g, size_t micro_batches, size_t grad_groups);
WEFT_API void weft_grad_fold(weft_program *p);

/* Let a node tell about the values that pass it, in runs with run->statistics; what is not probed
 * costs nothing. Before weft_backward. kind, what t is, and the values it gives:
 *   "std"       layernorm output    std (rms over rows) of what it normalised
 *   "stream"    layernorm output    mean, rms of what it normalised
 *   "logit_max" attention output    logit_max: the largest scaled logit
 *   "entropy"   attention output    entropy: mean of H_i / ln(keys of i) over queries with two or more
 *   "layer"     linear output       z_mean, z_rms of the pre-activation (without activation: of
 *                                   x wᵀ + b), x_mean, x_rms of the output; with an activation dead:
 *                                   share of units that are 0 or whose |act'| < 1e-3, with a residual
 *                                   swallowed: share of additions that changed nothing; delta_rms:
 *                                   the gradient of the pre-activation, where one node writes it
 *   "logz"      head_xent or softmax_xent   logz, logz_rms: mean and rms of log Z, logit_max */
WEFT_API void weft_probe(weft_program *p, const char *kind, weft_tensor t);

struct weft_probe_value {
    const char *kind; /* "z_rms", ... */
    const char *tensor; /* role of the layer's weight; "stream", "attn", "loss" */
    int layer;
    double value;
    /* What a recomputation needs, where it is kept (weft_graph_keep_probed), else NULL: the values
     * that were summarised (rows, cols), for attention qkv and its heads (by_rows), for logz of a
     * head its input and its weight (by_rows, cols). */
    const float *of, *by;
    size_t rows, cols, by_rows;
};
/* Values of the last run with statistics, of its first `rows` samples (0: all); how many there are. */
WEFT_API size_t weft_program_probes(const weft_program *p, size_t rows,
                                    struct weft_probe_value *out, size_t max);
/* What probes summarise keeps its memory until the program ends (before the first probe). */
WEFT_API void weft_graph_keep_probed(weft_graph *g);

/* ---- memory ---- */
struct weft_memory { /* bytes */
    size_t params, grads, optim, state, activations, scratch;
    size_t copies; /* of the parameters, in bf16 */
    size_t total;
};
/* What a commit would take, from the same code that lays it out. */
WEFT_API WEFT_NODISCARD enum weft_status weft_graph_memory(weft_graph *g, struct weft_memory *out);
/* Plan, allocate, zero. Returns the first builder error, or WEFT_ERR_NOMEM. */
WEFT_API WEFT_NODISCARD enum weft_status weft_graph_commit(weft_graph *g);

/* ---- after the commit ---- */
/* Where the values of a parameter come from, 64 outputs at a time. */
struct weft_source {
    /* Values of rows [row, row + rows) of an (out, in) matrix, or of so many elements of a vector:
     * (rows, in), or with transposed (in, rows). On several threads at once unless serial; serial:
     * in order. false ends it. */
    bool (*read)(void *user, size_t row, size_t rows, float *values);
    void *user;
    bool transposed, serial;
};

WEFT_API WEFT_NODISCARD enum weft_status weft_program_run(weft_program *p,
                                                          const struct weft_run *run);
/* The tensor's memory; activations are only meaningful right after a run, and only if kept. */
WEFT_API void *weft_tensor_data(weft_graph *g, weft_tensor t);
/* Keep this activation until the end of its program (before the commit). */
WEFT_API void weft_tensor_keep(weft_graph *g, weft_tensor t);

/* Run again, looking at every node's outputs: the name of the first node that makes a NaN or Inf, or
 * NULL. Gradients are garbage afterwards when run->accumulate was true. */
WEFT_API const char *weft_program_find_nonfinite(weft_program *p, const struct weft_run *run);

/* The same for the node whose outputs hold the value of largest magnitude. */
WEFT_API const char *weft_program_find_largest(weft_program *p, const struct weft_run *run,
                                               double *value);

/* Per-node timers: on from the call; the table is read with weft_program_times. WEFT_ERR_STATE before
 * the commit, WEFT_ERR_NOMEM. */
struct weft_node_time {
    const char *node, *op;
    int layer;
    uint64_t calls;
    double seconds;       /* in total, over all runs since timing began */
    double flops, bytes;  /* executed FLOPs and compulsory bytes of one run */
    double bf16_flops;    /* of these FLOPs, those of products in bf16 */
};
WEFT_API WEFT_NODISCARD enum weft_status weft_program_timing(weft_program *p, bool on);
WEFT_API size_t weft_program_times(weft_program *p, struct weft_node_time *out, size_t max);
/* With the timers on: what each thread did in the last run, thread by thread, in order. */
struct weft_span {
    const char *node, *op;
    int layer;
    size_t phase; /* of the node */
    size_t thread;
    double begin, end; /* seconds, of the same clock in all spans */
};
WEFT_API size_t weft_program_spans(const weft_program *p, struct weft_span *out, size_t max);
/* Floating-point operations and compulsory bytes of one full run, and the least time they can take:
 * the sum over nodes of max(flops / fma, bytes / bandwidth). */
WEFT_API void weft_program_work(weft_program *p, const struct weft_limits *limits,
                                double *model_flops, double *seconds);

#ifdef __cplusplus
}
#endif
#endif
