/* The kernel harness: a family says how to draw a case, what the truth is (double) and how to call
 * the kernel; the runner does the rest for every ISA table this CPU can run:
 *
 *   for each case: draw -> oracle -> for each ISA and placement (END, START, two odd offsets):
 *     inputs copied into guarded, read-only pages; outputs poisoned; gaps and slack canaried;
 *     call under a signal guard; every element of every output inside its bound (a NaN is outside,
 *     unless the truth is a NaN), canaries and ld gaps untouched, FP environment unchanged;
 *   called twice -> the same bits; all ISAs -> the same bits (NaNs equal).
 *
 * An output that is never checked in the whole family, or whose bounds are never smaller than its
 * values (their rms), fails: that test would be vacuous.
 *
 *   static void draw(struct check *c) {
 *       const size_t n = check_size(c, 1);                        // edge sizes, then random ones
 *       check_in(c, "x", 1, n, n, CHECK_FILL_CASE);
 *       check_out(c, "y", 1, n, n);
 *   }
 *   static void oracle(struct check *c) {
 *       const struct check_arg *x = check_arg(c, "x");
 *       struct check_arg *y = check_arg(c, "y");
 *       for (size_t i = 0; i < x->cols; i++) {
 *           y->want[i] = ref_gelu_fwd(x->val[i]);                 // rows*cols doubles, dense
 *           y->tol[i] = 4 * CHECK_U * fabs(y->want[i]);           // absolute bound
 *       }
 *   }
 *   static void call(struct check *c, const struct weft_kernels *k) {
 *       k->gelu_fwd_f32(check_f32(c, "x"), check_f32(c, "y"), check_arg(c, "x")->cols);
 *   }
 *   static const struct check_family gelu_fwd = {"gelu_fwd", draw, oracle, call, 60};
 *   CHECK_MAIN(&gelu_fwd)
 *
 * Command line of each check_* program: [--isa NAME] [--family NAME] [--case N] [--bf16] [--list]
 * [--full] [--quick]. WEFT_CHECK=quick|full in the environment does the same: a quarter of the
 * cases and two placements, or eight times the cases. Exit status: 0 all right, 1 a failure, 2
 * wrong usage. */
#ifndef WEFT_CHECK_H
#define WEFT_CHECK_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "kernels/kernels.h"

#define CHECK_U     0x1p-24 /* unit roundoff of f32 */
#define CHECK_EXACT 0.0     /* a bound of 0: the f32 nearest to want, bit for bit (-0 == +0) */

/* What is drawn for an input. CASE: the case's own choice, all but SPECIAL and ZERO in turn. */
enum check_fill {
    CHECK_FILL_CASE,
    CHECK_FILL_NORMAL,    /* N(0,1) */
    CHECK_FILL_INT,       /* integers in [-4, 4] */
    CHECK_FILL_WIDE,      /* sign * 2^uniform(-20,20) */
    CHECK_FILL_POSITIVE,  /* uniform (0.5, 1.5) */
    CHECK_FILL_ALTERNATE, /* +x -x +x ...: cancels */
    CHECK_FILL_SPIKE,     /* tiny ones, one huge */
    CHECK_FILL_MEAN,      /* 100 + N(0,1): mean much larger than std */
    CHECK_FILL_EQUAL,     /* all the same */
    CHECK_FILL_SPECIAL,   /* N(0,1) with 0, -0, denormals, inf, nan planted */
    CHECK_FILL_ZERO,
};

enum check_type { CHECK_F32, CHECK_F64, CHECK_I32, CHECK_U32, CHECK_U64, CHECK_BF16 };
enum check_role { CHECK_IN, CHECK_OUT, CHECK_INOUT, CHECK_SCRATCH };

struct check_arg {
    const char *name;
    enum check_role role;
    enum check_type type;
    size_t rows, cols, ld; /* elements; ld >= cols */
    double *val;           /* IN, INOUT: (rows, cols) dense, exactly representable in the type; the
                            * family may change it in draw */
    double *want;          /* OUT, INOUT: filled by the oracle, (rows, cols) dense */
    double *tol;           /* absolute bound per element, 0 (exact) unless the oracle sets it; NAN:
                            * neither value nor bits checked; INFINITY: only the bits */
    double rms;            /* bound of rms(got - want) / rms(want), set by the oracle; 0: none */
    void *ptr;             /* during call: the guarded operand */
};

struct check {
    const char *family;
    size_t index;     /* number of the case in its family */
    uint64_t seed;    /* of the case; check_rand advances a copy of it */
    bool full;        /* --full: larger shapes wanted */
    size_t vl;        /* the widest vector of the machine, for sizes around it */
    bool bf16;        /* the kernel's second type: arguments in elem hold bf16 */
    const char *elem; /* the family's; draw may choose another before it adds arguments */
    void *user;       /* the family's own, e.g. an args struct; WEFT_CHECK_USER zeroed bytes */
    /* private to the runner */
    struct check_state *state;
};
#define WEFT_CHECK_USER 1024

struct check_family {
    const char *name; /* = kernels.def name without its dtype */
    void (*draw)(struct check *c);
    void (*oracle)(struct check *c);
    void (*call)(struct check *c, const struct weft_kernels *k);
    size_t cases;
    unsigned flags; /* CHECK_ANY_ISA_BITS, ...; in place: an INOUT argument passed as both */
    /* Names of the arguments that are elem in kernels.def, as in " x y ". All is done once more for
     * the kernel in bf16 then: such inputs are rounded to it after draw, the bounds of such outputs
     * are widened by one rounding (half an ulp of bf16; 0 means the bf16 nearest to what f32
     * holds). */
    const char *elem;
};
/* The kernel of the run's type. */
#define CHECK_PICK(c, k, name) ((c)->bf16 ? (k)->name##_bf16 : (k)->name##_f32)
/* Words of n terms along k in its panels (gemm.h). */
#define CHECK_WORDS(c, k, n) ((c)->bf16 ? ((n) + (k)->bf16_word - 1) / (k)->bf16_word : (n))
enum {
    CHECK_ANY_ISA_BITS = 1, /* results may differ between ISAs (no f32 kernel should need it) */
    CHECK_NO_VACUOUS = 2,   /* zero-size cases and huge bounds are expected here */
    CHECK_DOT_BITS = 4,     /* in bf16, tables with dot products have bits of their own */
    CHECK_NO_DOT = 8,       /* in bf16, not for them: the oracle has the bits of the others */
    CHECK_ONLY_BF16 = 16,   /* not in f32, where it would be another family again */
};

/* In draw only. Sizes: check_size gives 0,1,2,3,VL-1,VL,VL+1,... of every VL in the first 23 cases
 * (dimension d cycles differently for each d), then one of them again or log-uniform random up to
 * 2000 (20000 with full). The draws of a case are the same on every machine. */
size_t check_size(struct check *c, unsigned d);
size_t check_range(struct check *c, size_t lo, size_t hi); /* uniform, inclusive */
size_t check_ld(struct check *c, size_t cols);             /* cols + one of 0, 1, 5, 16 */
double check_uniform(struct check *c);                     /* [0,1) */
double check_normal(struct check *c);
struct check_arg *check_in(struct check *c, const char *name, size_t rows, size_t cols, size_t ld,
                           enum check_fill fill);
struct check_arg *check_inout(struct check *c, const char *name, size_t rows, size_t cols,
                              size_t ld, enum check_fill fill);
struct check_arg *check_out(struct check *c, const char *name, size_t rows, size_t cols, size_t ld);
struct check_arg *check_scratch(struct check *c, const char *name, size_t bytes); /* 64-aligned */
/* Any type: role CHECK_IN/INOUT arguments start as 0 and are filled by the family through val. */
struct check_arg *check_typed(struct check *c, const char *name, enum check_role role,
                              enum check_type type, size_t rows, size_t cols, size_t ld);

/* Everywhere. */
struct check_arg *check_arg(const struct check *c, const char *name); /* dies when there is none */
float *check_f32(const struct check *c, const char *name);            /* in call: its pointer */
double *check_f64(const struct check *c, const char *name);
int32_t *check_i32(const struct check *c, const char *name);
uint32_t *check_u32(const struct check *c, const char *name);
void *check_ptr(const struct check *c, const char *name);

int check_main(int argc, char **argv, const struct check_family *const *families, size_t n);
#define CHECK_MAIN(...)                                                                            \
    int main(int argc, char **argv) {                                                              \
        const struct check_family *const families[] = {__VA_ARGS__};                               \
        return check_main(argc, argv, families, sizeof families / sizeof *families);               \
    }

/* The ISA tables this CPU can run, emu first. */
size_t check_tables(const struct weft_kernels *out[8]);
/* Has generation bits of its own there, with weights and cache in these formats? (dot products of
 * bf16) */
bool check_own_bits(const struct weft_kernels *k, const char *weights, const char *kv);

#endif
