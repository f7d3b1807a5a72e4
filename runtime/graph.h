/* The graph inside: tensors, nodes, programs, the op table, and what a running node sees.
 *
 * An op is one row of ops.def and one file op_<name>.c:
 *   plan      once, at commit: scratch, work, and the node's phases (weft_phase_add)
 *   run       called for each task of each phase, on any thread, phases in order with a barrier
 *             between them; tasks of a phase are independent and their results do not depend on who
 *             runs them. The grid depends on the shape only, never on the number of threads.
 *   backward  appends the nodes of its derivative
 * and the public builder that makes the node. */
#ifndef WEFT_RUNTIME_GRAPH_H
#define WEFT_RUNTIME_GRAPH_H

#include "kernels/kernels.h"
#include "runtime/context.h"
#include "weft/graph.h"

enum weft_kind { WEFT_PARAM, WEFT_GRAD, WEFT_OPTIM, WEFT_STATE, WEFT_ACT, WEFT_INPUT };
enum weft_dtype {
    WEFT_F32,
    WEFT_I32,
    WEFT_F64,
    WEFT_BF16,
    WEFT_COMPACT, /* a matrix of weights for inference: kernels/compact.h */
};

struct weft_tensor_desc {
    const char *name;
    enum weft_kind kind;
    enum weft_dtype dtype;
    enum weft_format format; /* COMPACT: which */
    int layer;
    bool batched;          /* shape[0] is the batch: a run may use fewer rows */
    bool keep;             /* lives until the end of its program */
    bool constant;         /* ACT: made from inputs alone, has no gradient */
    size_t shape[3];       /* trailing dimensions of 1 are spelled out: cols is always shape[2] */
    weft_program *program; /* ACT, INPUT: its owner */
    /* WEFT_PARAM */
    struct weft_param_desc param;
    weft_tensor grad; /* PARAM: its gradient, WEFT_NONE without training */
    /* planned */
    size_t first, last; /* node indices between which an ACT is live */
    size_t offset;      /* in the arena of its kind */
    void *data;         /* after the commit */
};

struct weft_attr { /* what an op needs beside its tensors; each op reads its own */
    int act;       /* enum weft_act of kernels/activation.h */
    size_t heads;
    size_t max_context, sequences; /* generation */
    float eps, prob;
    uint32_t stream;     /* dropout: random stream */
    unsigned accumulate; /* bit i: output i adds to what is there (a later writer in this program);
                          * a first writer adds when run->accumulate says so and the tensor is a
                          * parameter's gradient: ask x_accumulate */
    bool with_grad;      /* loss ops: make the gradient too */
    bool dz_ready;       /* linear: its output's gradient arrives as that of the pre-activation */
    struct weft_optim optim;
};

#define WEFT_NODE_IN  8
#define WEFT_NODE_OUT 8
struct weft_phase {
    size_t tasks;
    double ns;      /* estimated time of all tasks on one thread; decides how many help */
    size_t threads; /* chosen at commit */
};
struct weft_node {
    const struct weft_op *op;
    const char *name; /* "h3.linear", for messages and timers */
    int layer;
    weft_program *program;
    weft_tensor in[WEFT_NODE_IN], out[WEFT_NODE_OUT]; /* WEFT_NONE: absent */
    struct weft_attr attr;
    /* set by op->plan */
    size_t
        shared_bytes;   /* scratch of the node, 64-byte aligned, same contents for all its phases */
    size_t local_bytes; /* scratch of each thread during a task */
    double model_flops; /* what the mathematics needs */
    double flops, bytes;   /* what is executed; compulsory memory traffic */
    double bf16_flops;     /* of flops, those of products in bf16 */
    void *plan;            /* op's own data, from weft_plan_alloc */
    size_t phase0, phases; /* range in program->phase */
    weft_tensor shared;    /* planned like an activation that lives for this node only */
    /* set by a backend's run */
    const struct weft_backend *backend;
    void *prepared;
};

struct weft_backward;
struct weft_exec;
struct weft_op {
    const char *name;
    void (*plan)(struct weft_node *n);
    void (*run)(const struct weft_exec *x, const struct weft_node *n, size_t phase, size_t task,
                size_t thread);
    /* Index of the node in b->p->node: copy it before appending (the array moves). NULL: none. */
    void (*backward)(struct weft_backward *b, size_t node);
};
#define WEFT_OP(name) extern const struct weft_op weft_op_##name;
#include "runtime/ops.def"
#undef WEFT_OP

struct weft_probe_desc {
    const struct weft_probe_kind *kind; /* probe.c */
    size_t node;       /* the one whose by-products it reads */
    weft_tensor delta; /* of a layer: what measures its gradient; WEFT_NONE: nothing can */
    const double *table; /* of entropies: the largest that each row can have */
};

struct weft_program {
    weft_graph *graph;
    const char *name;
    size_t batch;
    enum weft_dtype storage; /* of activations and their gradients: WEFT_F32 or WEFT_BF16 */
    int layer;              /* of nodes built now */
    size_t positions;       /* generation: a run must end by this position; 0: not limited */
    size_t last_start;      /* else a run may start at this position at most */
    struct weft_index_input { /* integers that a run checks before it begins */
        weft_tensor t;
        size_t below;
        bool ignore; /* -1 stands for nothing */
    } index[4];
    size_t indices;
    size_t sequences;       /* generation: places must be below it; 0: not limited */
    struct weft_node *node; /* grown while building; fixed after the commit */
    size_t nodes, node_cap;
    struct weft_phase *phase;
    size_t phases, phase_cap;
    weft_tensor *grad_of; /* while building the backward pass: per tensor */
    struct weft_probe_desc *probe;
    size_t probes, probe_cap;
    /* planned */
    size_t act_bytes;             /* activations, inputs and shared scratch */
    size_t local_bytes;           /* largest per-thread scratch */
    size_t threads;               /* team size */
    unsigned char *deals;         /* struct weft_deal of each phase (exec.h); NULL: one thread */
    double *seconds;              /* per node, when timing */
    struct weft_interval *work;   /* (threads, phases) of the last run, when timing */
    uint64_t calls;
    bool timing;
    struct weft_program *next;
};

struct weft_graph {
    weft_ctx *ctx;
    enum weft_status status; /* the first error; ctx has its message */
    struct weft_tensor_desc *tensor;
    size_t tensors, tensor_cap;
    weft_program *first, **last;
    uint32_t streams;
    bool training; /* parameters have gradients and optimizer state */
    bool keep_probed; /* what probes summarise keeps its memory */
    bool half;        /* some program is in bf16: parameters have copies in it */
    bool stale;       /* the caller may have written parameters since their copies were made */
    size_t micro_batches;    /* of a step, >= 1: more than one needs a buffer for embedding
                              * gradients */
    struct weft_embed_fold { /* that buffer, added to the gradient before the update */
        weft_tensor wte, sum;
        bool set; /* the gradient has no other writer: = instead of += */
    } embed_fold[4];
    size_t embed_folds;
    size_t grad_groups;        /* >= 1 */
    bool has_optimizer;
    size_t optim_states;       /* arrays of the size of the parameters: at most 3 */
    enum weft_weights weights; /* of a training in bf16 */
    struct weft_chunk *chunks; /* small allocations that live as long as the graph */
    struct weft_memory memory;
    bool planned;
    void *base; /* one mapping for everything */
    unsigned char *params, *grads, *optim[3], *state, *act, *local;
    unsigned char *copies;   /* bf16, half the offsets of params */
    unsigned char *grad_sum; /* grad_groups > 1: the fold of the groups so far */
    size_t param_bytes; /* of the parameter segment; gradients and optimizer arrays mirror it, so
                         * one offset serves all four */
    size_t local_bytes; /* per thread */
};

/* ---- building (graph.c) ---- */
/* Zeroed memory that lives as long as the graph; NULL after recording WEFT_ERR_NOMEM. */
void *weft_graph_alloc(weft_graph *g, size_t bytes);
/* Make room for one more element of the array *p; false after recording WEFT_ERR_NOMEM. */
bool weft_graph_grow(weft_graph *g, void **p, size_t *cap, size_t used, size_t size);
const char *weft_graph_format(weft_graph *g, const char *fmt, ...) WEFT_FORMAT(2, 3);
/* Record the first builder error. Returns WEFT_NONE so that builders can `return` it. */
weft_tensor weft_graph_fail(weft_graph *g, enum weft_status st, const char *fmt, ...)
    WEFT_FORMAT(3, 4);
/* An activation of this program; s0 is the batch (batched) unless it is a fixed-size tensor. */
weft_tensor weft_act_tensor(weft_program *p, enum weft_dtype dtype, size_t s0, size_t s1,
                            size_t s2);
weft_tensor weft_fixed_tensor(weft_program *p, enum weft_dtype dtype, size_t rows, size_t cols);
weft_tensor weft_act_like(weft_program *p, weft_tensor t); /* p->storage, same shape and batching */
/* Append a node; in and out arrays end with the first absent entries set to WEFT_NONE. Handles are
 * checked; after an error nothing is appended. Invalid after the next append. */
struct weft_node *weft_node_add(weft_program *p, const struct weft_op *op,
                                const weft_tensor in[WEFT_NODE_IN],
                                const weft_tensor out[WEFT_NODE_OUT], const struct weft_attr *attr);
#define WEFT_TENSORS(...) ((const weft_tensor[]){__VA_ARGS__, -1, -1, -1, -1, -1, -1, -1, -1})

/* The description of a handle; a harmless empty one for WEFT_NONE and bad handles. */
const struct weft_tensor_desc *weft_desc(const weft_graph *g, weft_tensor t);
static inline size_t weft_desc_rows(const struct weft_tensor_desc *d) {
    return d->shape[0] * d->shape[1];
}
static inline size_t weft_desc_cols(const struct weft_tensor_desc *d) { return d->shape[2]; }
static inline size_t weft_desc_count(const struct weft_tensor_desc *d) {
    return d->shape[0] * d->shape[1] * d->shape[2];
}
size_t weft_desc_bytes(const struct weft_tensor_desc *d); /* as it is kept, padding included */
const char *weft_shape_text(const weft_graph *g, weft_tensor t); /* "(4, 64, 768)" */
/* May op use t? It exists, holds this type, and is a parameter, a state, or of program p. False after
 * recording the error, or an earlier one. */
bool weft_operand(weft_program *p, const char *op, weft_tensor t, enum weft_dtype dtype);
/* The same for an activation that is stored as p's are. An f32 input of a bf16 program is replaced
 * by its copy in bf16 (op_cast.c). */
bool weft_stored(weft_program *p, const char *op, weft_tensor *t);
/* A matrix of weights: f32 or compact; in a bf16 program a parameter, which has a copy. */
bool weft_weight(weft_program *p, const char *op, weft_tensor t);
/* Sum of the losses whose target is not ignored (target NULL: of all). Each is rounded to a multiple
 * of 2^-24 first, which makes the sum exact, hence the same for any cut into micro-batches. */
double weft_loss_sum(const float *loss, const int32_t *target, size_t n);
/* What a loss reads: in f32, whatever p's storage. */
bool weft_logits(weft_program *p, const char *op, weft_tensor *t);
/* Every run of p checks that the integers of input t are from 0 to below - 1, or -1 with ignore. */
void weft_indices(weft_program *p, weft_tensor t, size_t below, bool ignore);

/* ---- parameters after the commit (fill.c) ---- */
/* From a source, in the format that it is kept in. WEFT_ERR_IO when the source ends,
 * WEFT_ERR_NONFINITE, WEFT_ERR_NOMEM. */
enum weft_status weft_tensor_fill(weft_graph *g, weft_tensor t, const struct weft_source *source);

/* ---- planning, inside op->plan ---- */
static inline size_t weft_dtype_bytes(enum weft_dtype t) {
    return t == WEFT_F64 ? 8 : t == WEFT_BF16 ? 2 : 4;
}
/* Bytes of an element of what this node streams. */
static inline double weft_node_bytes(const struct weft_node *n) {
    return (double)weft_dtype_bytes(n->program->storage);
}
void weft_phase_add(struct weft_node *n, size_t tasks,
                    double ns);                           /* appends a phase to this node */
void *weft_plan_alloc(struct weft_node *n, size_t bytes); /* zeroed, graph's lifetime */
static inline const struct weft_kernels *weft_node_kernels(const struct weft_node *n) {
    return n->program->graph->ctx->k;
}
static inline const struct weft_tensor_desc *weft_node_in(const struct weft_node *n, size_t i) {
    return weft_desc(n->program->graph, n->in[i]);
}
static inline const struct weft_tensor_desc *weft_node_out(const struct weft_node *n, size_t i) {
    return weft_desc(n->program->graph, n->out[i]);
}
/* Rough times on one thread, for weft_phase_add: two thirds of the measured peak; 20 GB/s for what
 * stays in a cache, 10 from memory. */
static inline double weft_ns_flops(const weft_ctx *ctx, double flops) {
    return flops / (0.67e-3 * (double)ctx->tuning.fma_mflops);
}
static inline double weft_ns_bytes(double bytes) { return bytes / (bytes < 16e6 ? 20 : 10); }

/* ---- running ---- */
struct weft_exec {
    const struct weft_kernels *k;
    const weft_graph *g;
    const struct weft_run *run;
    size_t rows;  /* live samples */
    size_t batch; /* of the program */
};
static inline void *x_ptr(const struct weft_exec *x, weft_tensor t) {
    return t < 0 ? NULL : x->g->tensor[t].data;
}
static inline float *x_f32(const struct weft_exec *x, weft_tensor t) { return x_ptr(x, t); }
/* Element i of a tensor, whatever its type. */
static inline void *x_at(const struct weft_exec *x, weft_tensor t, size_t i) {
    unsigned char *const p = x_ptr(x, t);
    return p == NULL ? NULL : p + i * weft_dtype_bytes(x->g->tensor[t].dtype);
}
static inline bool x_half(const struct weft_node *n) { return n->program->storage == WEFT_BF16; }
/* A matrix of parameters as this node reads it: itself, or its copy in bf16. */
static inline void *x_weight(const struct weft_exec *x, const struct weft_node *n, weft_tensor t) {
    if (t < 0 || !x_half(n) || x->g->tensor[t].kind != WEFT_PARAM) return x_ptr(x, t);
    return x->g->copies + x->g->tensor[t].offset / 2;
}
/* The kernel of the node's storage. */
#define WEFT_PICK(x, n, name) (x_half(n) ? (x)->k->name##_bf16 : (x)->k->name##_f32)
static inline int32_t *x_i32(const struct weft_exec *x, weft_tensor t) { return x_ptr(x, t); }
static inline double *x_f64(const struct weft_exec *x, weft_tensor t) { return x_ptr(x, t); }
/* Live samples of a tensor (shape[0], or fewer in a short run), and rows of its last dimension. */
static inline size_t x_samples(const struct weft_exec *x, weft_tensor t) {
    const struct weft_tensor_desc *d = &x->g->tensor[t];
    return d->batched ? x->rows : d->shape[0];
}
static inline size_t x_rows(const struct weft_exec *x, weft_tensor t) {
    return x_samples(x, t) * x->g->tensor[t].shape[1];
}
static inline size_t x_cols(const struct weft_exec *x, weft_tensor t) {
    return x->g->tensor[t].shape[2];
}
static inline void *x_shared(const struct weft_exec *x, const struct weft_node *n) {
    return x_ptr(x, n->shared);
}
static inline void *x_local(const struct weft_exec *x, size_t thread) {
    return x->g->local + thread * x->g->local_bytes;
}
/* Does output i of this node add to what is there? */
static inline bool x_accumulate(const struct weft_exec *x, const struct weft_node *n, size_t i) {
    return (n->attr.accumulate >> i & 1) ||
           (x->run->accumulate && n->out[i] >= 0 && x->g->tensor[n->out[i]].kind == WEFT_GRAD);
}
/* Part `task` of `tasks` of n items in units of `unit`: [*lo, *hi), possibly empty. */
static inline void weft_split(size_t n, size_t unit, size_t tasks, size_t task, size_t *lo,
                              size_t *hi) {
    const size_t units = (n + unit - 1) / unit;
    *lo = units * task / tasks * unit;
    *hi = units * (task + 1) / tasks * unit;
    if (*lo > n) *lo = n;
    if (*hi > n) *hi = n;
}

/* ---- probes (probe.c) ---- */
/* The layer's gradient (of its pre-activation) is dz: let the node that writes it measure it. */
void weft_probe_delta(weft_program *p, size_t layer_node, weft_tensor dz);
/* An output that holds statistics: there, and wanted in this run. */
static inline bool x_measures(const struct weft_exec *x, const struct weft_node *n, size_t out) {
    return n->out[out] >= 0 && x->run->statistics;
}

/* ---- backward (backward.c) ---- */
struct weft_backward {
    weft_program *p;
};
/* The gradient of t, or WEFT_NONE when nothing downstream needs it. */
weft_tensor weft_grad_get(struct weft_backward *b, weft_tensor t);
/* Where a node must write the gradient of its input t. WEFT_NONE: t needs none (an input, a state).
 * *accumulate: somebody wrote before, add to it (pass it on in attr.accumulate). */
weft_tensor weft_grad_dst(struct weft_backward *b, weft_tensor t, bool *accumulate);
/* The gradient of t is exactly dy: no node if t has no gradient yet (they share memory, dy must not
 * be read by nodes appended later for any other purpose), an add node otherwise. */
void weft_grad_alias(struct weft_backward *b, weft_tensor t, weft_tensor dy);

#endif
