/* What the parts of the harness share: the arguments of the current case, and one run. */
#ifndef WEFT_CHECK_STATE_H
#define WEFT_CHECK_STATE_H

#include <stdio.h>
#include "kernels/base/compiler.h"
#include "tests/support/check.h"
#include "tests/support/gbuf.h"

enum { CHECK_ARGS = 32 };

struct check_state {
    uint64_t rng;
    size_t args;
    struct check_arg arg[CHECK_ARGS];
    struct gbuf buf[CHECK_ARGS];
    unsigned char *bits[CHECK_ARGS]; /* reference results, dense, of the outputs */
    const char *bits_by[CHECK_ARGS]; /* the ISA that made them; NULL: none yet */
    double user[WEFT_CHECK_USER / sizeof(double)];
};

struct check_tally { /* of one output over the whole family */
    const char *name;
    size_t checked, sharp; /* elements with a bound; with one that says something */
};

struct check_run {
    const char *program;
    const struct check_family *family;
    struct check *c;
    const struct weft_kernels *k;
    const char *place; /* of the running call, for people */
    bool quick;
    bool across; /* this failure needs several ISAs to show */
    size_t failures;
    double worst; /* the largest error seen, as a share of its bound */
    struct check_tally tally[CHECK_ARGS];
};

/* check_draw.c */
void check_case_begin(struct check *c, struct check_state *s, const char *family, size_t index);
void check_case_round(struct check *c); /* what holds bf16: after draw */
void check_case_widen(struct check *c); /* its bounds: after the oracle */
bool check_case_ready(struct check *c); /* values representable, buffers mapped */
double check_bf16(double v);            /* the nearest bf16 of the nearest f32; below FLT_MIN 0 */
void check_case_end(struct check *c);
size_t check_elem_bytes(const struct check_arg *a);
size_t check_extent(const struct check_arg *a); /* bytes from the first to the last element */
double check_load(const struct check_arg *a, const void *p);
void check_store(const struct check_arg *a, void *p, double v);
void check_die(const char *format, ...) WEFT_PRINTF(1, 2);

/* check_place.c: operands into the guarded buffers, and the look at them afterwards */
struct check_place {
    const char *name;
    bool end;
    unsigned shift; /* 0: at the guard; else an offset of 1..15 elements that depends on it */
};
void check_place_all(struct check *c, const struct check_place *place, unsigned poison);
void check_poison(const struct check_arg *a, unsigned poison, void *elem, size_t index);
bool check_place_intact(struct check_run *r); /* canaries, gaps, inputs */

/* check_compare.c */
bool check_values(struct check_run *r, const struct check_arg *a, unsigned poison);
bool check_same_bits(struct check_run *r, size_t arg, const char *what);

/* check_guard.c: the call under signal guard and with a watched environment */
void check_guard_install(void);
void check_guard_remove(void);
bool check_guarded_call(struct check_run *r);

/* check_run.c: the head of a failure report; false when enough was printed already */
bool check_fail(struct check_run *r, const char *format, ...) WEFT_PRINTF(2, 3);

#endif
