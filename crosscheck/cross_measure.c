/* How far a result is from what was expected, and what that means. */
#include <math.h>
#include <stdio.h>

#include "crosscheck/cross_walk.h"
#include "kernels/base/compiler.h"

static double value(const struct weft_cross_output *o, size_t i) {
    switch (o->type) {
    case WEFT_CROSS_I32: return ((const int32_t *)o->data)[i];
    case WEFT_CROSS_F64: return ((const double *)o->data)[i];
    case WEFT_CROSS_F32: break;
    }
    return (double)((const float *)o->data)[i];
}

static double ulp(double x) {
    int e;
    frexp(x, &e);
    return ldexp(1, e - 24 < -149 ? -149 : e - 24);
}

/* Share of the bound that an element takes; INFINITY for one that is wrong whatever the bound. */
static double share_of(const struct weft_cross_output *o, size_t i, double got) {
    const double want = o->want[i], tol = o->tol[i];
    if (isnan(want)) return isnan(got) ? 0 : INFINITY;
    if (isnan(got)) return WEFT_BUG(55) ? 0 : INFINITY;
    if (tol == 0) {
        const double nearest = o->type == WEFT_CROSS_F32 ? (double)(float)want : want;
        return got == nearest ? 0 : INFINITY;
    }
    if (isinf(got) || isinf(want)) return got == want ? 0 : INFINITY;
    return fabs(got - want) / tol;
}

bool weft_cross_measure(const struct weft_cross_output *o, struct weft_cross_error *e) {
    const size_t n = o->rows * o->cols;
    double err = 0, ref = 0;
    *e = (struct weft_cross_error){.share = -1};
    for (size_t i = 0; i < n; i++) {
        const double got = value(o, i), want = o->want[i], share = share_of(o, i, got);
        if (share > 1) e->outside++;
        if (share > e->share) {
            e->share = share;
            e->row = i / o->cols, e->col = i % o->cols;
            e->got = got, e->want = want, e->bound = o->tol[i];
        }
        err += (got - want) * (got - want);
        ref += want * want;
        e->max_ulp = fmax(e->max_ulp, fabs(got - want) / ulp(want));
    }
    e->rel_l2 = err == 0 ? 0 : sqrt(err / fmax(ref, o->size * o->size * (double)n));
    const double typical = sqrt(ref / (double)n);
    for (size_t i = 0; i < n; i++) {
        if (o->type == WEFT_CROSS_I32 && o->tol[i] == 0) return true;
        if (o->want[i] != 0 && o->tol[i] < typical) return true;
    }
    return false;
}

bool weft_cross_worse(const struct weft_cross_check *c) {
    return c->has_onednn && c->weft.rel_l2 > 2 * c->onednn.rel_l2 && c->weft.rel_l2 > REF_U;
}

void weft_cross_judge(struct weft_cross_check *c, bool sharp) {
    const struct weft_cross_error *const e = &c->weft;
    if (e->outside > 0)
        snprintf(c->reason, sizeof c->reason,
                 "%s[%zu,%zu] is %.9g, want %.9g, bound %.3g; %zu element%s outside", c->output,
                 e->row, e->col, e->got, e->want, e->bound, e->outside, e->outside > 1 ? "s" : "");
    else if (!sharp)
        snprintf(c->reason, sizeof c->reason, "nothing is checked: no bound below the values");
    c->failed = c->reason[0] != 0;
}

enum weft_cross_verdict weft_cross_closer(const struct weft_cross_check *c) {
    const double a = c->weft.rel_l2, b = c->onednn.rel_l2;
    if (!c->has_onednn) return WEFT_CROSS_ALONE;
    if (a < 0.9 * b) return WEFT_CROSS_WEFT;
    return b < 0.9 * a ? WEFT_CROSS_ONEDNN : WEFT_CROSS_EQUAL;
}

const char *weft_cross_verdict_text(enum weft_cross_verdict v) {
    static const char *const text[] = {"weft", "oneDNN", "equal", "weft alone"};
    return text[v];
}
