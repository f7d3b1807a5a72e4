/* LayerNorm kernels; the bounds of y and dx are ref_layernorm.h's. */
#include <stdlib.h>
#include "kernels/ref/ref_layernorm.h"
#include "tests/support/check.h"

static const double *val(const struct check *c, const char *name) {
    return check_arg(c, name)->val;
}
static size_t at_least_1(size_t n) { return n ? n : 1; }
static double *alloc(size_t n) {
    double *p = calloc(n + 1, sizeof *p);
    if (!p) abort();
    return p;
}

struct shape {
    size_t rows, c, ld;
    float eps;
    bool affine, beta;
};

static struct shape *draw_shape(struct check *c) {
    struct shape *s = c->user;
    s->c = at_least_1(check_size(c, 0));
    s->rows = check_size(c, 1) % 9;
    s->ld = check_ld(c, s->c);
    s->eps = c->index % 3 ? 1e-5f : 1e-3f;
    s->affine = c->index % 4 != 1;
    s->beta = s->affine && c->index % 4 != 2;
    return s;
}

/* ---- forward ---- */
static void draw_fwd(struct check *c) {
    const struct shape *s = draw_shape(c);
    check_in(c, "x", s->rows, s->c, s->ld, CHECK_FILL_CASE);
    check_in(c, "gamma", 1, s->c, s->c, CHECK_FILL_NORMAL);
    check_in(c, "beta", 1, s->c, s->c, CHECK_FILL_NORMAL);
    check_out(c, "y", s->rows, s->c, s->ld);
    check_out(c, "mean", 1, s->rows, s->rows);
    check_out(c, "rstd", 1, s->rows, s->rows);
}

static void expect(struct check *c, const double *x) {
    const struct shape *s = c->user;
    struct check_arg *y = check_arg(c, "y");
    struct check_arg *mean = check_arg(c, "mean");
    struct check_arg *rstd = check_arg(c, "rstd");
    const double *gamma = s->affine ? val(c, "gamma") : NULL;
    const double *beta = s->beta ? val(c, "beta") : NULL;
    ref_layernorm_fwd(s->rows, s->c, x, gamma, beta, (double)s->eps, y->want, mean->want,
                      rstd->want);
    ref_layernorm_fwd_bound(s->rows, s->c, x, gamma, beta, mean->want, rstd->want, y->tol,
                            mean->tol, rstd->tol);
}

static void oracle_fwd(struct check *c) { expect(c, val(c, "x")); }

static struct weft_layernorm_args fwd_args(struct check *c) {
    const struct shape *s = c->user;
    return (struct weft_layernorm_args){
        .rows = s->rows,
        .c = s->c,
        .ld = s->ld,
        .eps = s->eps,
        .x = check_ptr(c, "x"),
        .gamma = s->affine ? check_f32(c, "gamma") : NULL,
        .beta = s->beta ? check_f32(c, "beta") : NULL,
        .y = check_ptr(c, "y"),
        .mean = check_f32(c, "mean"),
        .rstd = check_f32(c, "rstd"),
    };
}

static void call_fwd(struct check *c, const struct weft_kernels *k) {
    const struct weft_layernorm_args a = fwd_args(c);
    CHECK_PICK(c, k, layernorm_fwd)(&a);
}
static const struct check_family layernorm_fwd = {
    "layernorm_fwd", draw_fwd, oracle_fwd, call_fwd, 70, 0, " x y "};

/* ---- forward of x + f: r is a third array, or f itself ---- */
static bool in_place(const struct check *c) { return c->index % 2; }

static void draw_res(struct check *c) {
    draw_fwd(c);
    const struct shape *s = c->user;
    if (in_place(c)) {
        check_inout(c, "r", s->rows, s->c, s->ld, CHECK_FILL_NORMAL);
    } else {
        check_in(c, "f", s->rows, s->c, s->ld, CHECK_FILL_NORMAL);
        check_out(c, "r", s->rows, s->c, s->ld);
    }
}

static void oracle_res(struct check *c) {
    const struct shape *s = c->user;
    struct check_arg *r = check_arg(c, "r");
    const double *f = in_place(c) ? r->val : val(c, "f");
    for (size_t i = 0; i < s->rows * s->c; i++) r->want[i] = (double)(float)(val(c, "x")[i] + f[i]);
    expect(c, r->want);
}

static void call_res(struct check *c, const struct weft_kernels *k) {
    struct weft_layernorm_args a = fwd_args(c);
    a.r = check_f32(c, "r");
    a.f = in_place(c) ? a.r : check_f32(c, "f");
    k->layernorm_res_fwd_f32(&a);
}
static const struct check_family layernorm_res_fwd = {
    "layernorm_res_fwd", draw_res, oracle_res, call_res, 50, 0};

/* ---- backward ---- */
enum { DX_ONLY, DX_PLUS_DRES, DX_IS_DRES, DX_IS_DY, PART_ONLY, MODES };
static int mode(const struct check *c) { return (int)(c->index % MODES); }

static void draw_bwd(struct check *c) {
    struct shape *s = draw_shape(c);
    s->rows = c->index % 3 ? s->rows : check_size(c, 1) % 140;
    const size_t blocks = (s->rows + 63) / 64;
    struct check_arg *x = check_in(c, "x", s->rows, s->c, s->ld, CHECK_FILL_CASE);
    struct check_arg *mean = check_in(c, "mean", 1, s->rows, s->rows, CHECK_FILL_ZERO);
    struct check_arg *rstd = check_in(c, "rstd", 1, s->rows, s->rows, CHECK_FILL_ZERO);
    double *y = alloc(s->rows * s->c);
    ref_layernorm_fwd(s->rows, s->c, x->val, NULL, NULL, (double)s->eps, y, mean->val, rstd->val);
    free(y);
    for (size_t r = 0; r < s->rows; r++) {
        mean->val[r] = (double)(float)mean->val[r];
        rstd->val[r] = (double)(float)rstd->val[r];
    }
    check_in(c, "gamma", 1, s->c, s->c, CHECK_FILL_NORMAL);
    if (mode(c) == DX_IS_DY)
        check_inout(c, "dx", s->rows, s->c, s->ld, CHECK_FILL_NORMAL);
    else
        check_in(c, "dy", s->rows, s->c, s->ld, CHECK_FILL_NORMAL);
    if (mode(c) == DX_PLUS_DRES) check_in(c, "dres", s->rows, s->c, s->ld, CHECK_FILL_CASE);
    if (mode(c) <= DX_PLUS_DRES) check_out(c, "dx", s->rows, s->c, s->ld);
    if (mode(c) == DX_IS_DRES) check_inout(c, "dx", s->rows, s->c, s->ld, CHECK_FILL_CASE);
    if (mode(c) != DX_ONLY) check_out(c, "part", 2 * blocks, s->c, s->c);
}

static const double *dy_of(const struct check *c) {
    return val(c, mode(c) == DX_IS_DY ? "dx" : "dy");
}

static void expect_dx(struct check *c) {
    const struct shape *s = c->user;
    const double *dy = dy_of(c);
    const double *gamma = s->affine ? val(c, "gamma") : NULL;
    const double *dres = mode(c) == DX_PLUS_DRES ? val(c, "dres")
                         : mode(c) == DX_IS_DRES ? val(c, "dx")
                                                 : NULL;
    struct check_arg *dx = check_arg(c, "dx");
    ref_layernorm_bwd(s->rows, s->c, dy, val(c, "x"), val(c, "mean"), val(c, "rstd"), gamma,
                      dx->want, NULL, NULL);
    ref_layernorm_bwd_bound(s->rows, s->c, dy, val(c, "x"), val(c, "mean"), val(c, "rstd"), gamma,
                            dx->tol);
    for (size_t i = 0; dres && i < s->rows * s->c; i++) {
        dx->want[i] += dres[i];
        dx->tol[i] += CHECK_U * fabs(dx->want[i]);
    }
}

static void expect_part(struct check *c) {
    const struct shape *s = c->user;
    struct check_arg *part = check_arg(c, "part");
    for (size_t i = 0; i < part->rows * s->c; i++) part->want[i] = part->tol[i] = 0;
    for (size_t i = 0; i < s->rows * s->c; i++) {
        const size_t r = i / s->c;
        const size_t at = r / 64 * 2 * s->c + i % s->c;
        const double dy = dy_of(c)[i];
        const double xhat = (val(c, "x")[i] - val(c, "mean")[r]) * val(c, "rstd")[r];
        part->want[at] += dy * xhat;
        part->want[at + s->c] += dy;
        part->tol[at] += 66 * CHECK_U * fabs(dy * xhat);
        part->tol[at + s->c] += 64 * CHECK_U * fabs(dy);
    }
}

static void oracle_bwd(struct check *c) {
    if (mode(c) != PART_ONLY) expect_dx(c);
    if (mode(c) != DX_ONLY) expect_part(c);
}

static void call_bwd(struct check *c, const struct weft_kernels *k) {
    const struct shape *s = c->user;
    struct weft_layernorm_bwd_args a = {
        .rows = s->rows,
        .c = s->c,
        .ld = s->ld,
        .x = check_ptr(c, "x"),
        .mean = check_f32(c, "mean"),
        .rstd = check_f32(c, "rstd"),
        .gamma = s->affine ? check_f32(c, "gamma") : NULL,
        .dx = mode(c) == PART_ONLY ? NULL : check_ptr(c, "dx"),
        .part = mode(c) == DX_ONLY ? NULL : check_f32(c, "part"),
    };
    a.dy = mode(c) == DX_IS_DY ? a.dx : check_ptr(c, "dy");
    if (mode(c) == DX_PLUS_DRES) a.dres = check_ptr(c, "dres");
    if (mode(c) == DX_IS_DRES) a.dres = a.dx;
    CHECK_PICK(c, k, layernorm_bwd)(&a);
}
static const struct check_family layernorm_bwd = {
    "layernorm_bwd", draw_bwd, oracle_bwd, call_bwd, 100, 0, " x dy dres dx "};

CHECK_MAIN(&layernorm_fwd, &layernorm_res_fwd, &layernorm_bwd)
