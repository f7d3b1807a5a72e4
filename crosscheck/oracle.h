/* What a node should compute, in double, and how far an f32 result may be from it: the oracles and
 * bounds of kernels/ref/, put together as the op does.
 *
 * An expectation is made before the node runs, from its inputs as they are and, where it adds, from
 * what its outputs hold. It owns all its memory. */
#ifndef WEFT_CROSSCHECK_ORACLE_H
#define WEFT_CROSSCHECK_ORACLE_H

#include "kernels/ref/ref_bound.h"
#include "kernels/ref/ref_gemm.h"
#include "runtime/graph.h"

enum weft_cross_type { WEFT_CROSS_F32, WEFT_CROSS_I32, WEFT_CROSS_F64 };

struct weft_cross_output {
    const char *name; /* "dx" */
    bool backward;    /* a derivative, whatever the node */
    enum weft_cross_type type;
    void *data; /* (rows, cols), dense: where the node writes */
    size_t rows, cols;
    double *want, *tol; /* (rows, cols); tol 0: the nearest value of the type */
    double size; /* rms of what the values are sums of, where that cancels; 0: their own rms */
};

struct weft_cross_expect {
    struct weft_cross_output output[WEFT_NODE_OUT];
    size_t outputs;
    bool failed; /* out of memory */
    struct weft_cross_chunk *chunks;
};

/* false: the op has no oracle, or memory is short (e->failed). Free in any case. */
bool weft_cross_expect_make(const struct weft_exec *x, const struct weft_node *n,
                            struct weft_cross_expect *e);
void weft_cross_expect_free(struct weft_cross_expect *e);

/* The kernels of kernels.def that an op calls: who is to blame. "" without an oracle. */
const char *weft_cross_kernels(const struct weft_op *op);

/* ---- for the oracles, oracle_*.c ---- */
typedef void weft_cross_oracle(const struct weft_exec *x, const struct weft_node *n,
                               struct weft_cross_expect *e);
/* Zeroed doubles that live as long as e; NULL when memory is short. */
double *weft_cross_doubles(struct weft_cross_expect *e, size_t count);
double *weft_cross_widen(struct weft_cross_expect *e, const float *p, size_t count);
/* A tensor's live rows; NULL for WEFT_NONE too. */
double *weft_cross_tensor(struct weft_cross_expect *e, const struct weft_exec *x, weft_tensor t);
long *weft_cross_indices(struct weft_cross_expect *e, const struct weft_exec *x, weft_tensor t);
/* Appends an output; want and tol are zeroed, or want holds what is there when it is added to and
 * tol its magnitude. */
struct weft_cross_output *weft_cross_put(struct weft_cross_expect *e, const char *name,
                                         bool backward, enum weft_cross_type type, void *data,
                                         size_t rows, size_t cols);
/* The same for output i of the node; NULL when it has none. */
struct weft_cross_output *weft_cross_out(struct weft_cross_expect *e, const struct weft_exec *x,
                                         const struct weft_node *n, size_t i, const char *name,
                                         bool backward);

/* The matrix product of ref_gemm on all threads: c (m, n) += A·B, mag += |A|·|B|. */
void weft_cross_gemm(const struct weft_exec *x, size_t m, size_t n, size_t k,
                     const struct ref_matrix ab[2], double *c, double *mag);

#define WEFT_CROSS_ORACLE(name, kernels) weft_cross_oracle weft_cross_##name;
#include "crosscheck/oracles.def"
#undef WEFT_CROSS_ORACLE

#endif
