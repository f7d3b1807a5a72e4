/* Results against the oracle's values and bounds, and against the bits of another call. */
#include <float.h>
#include <string.h>
#include "tests/support/check_state.h"

static bool inside(const struct check_arg *a, double got, double want, double tol) {
    const bool half = a->type == CHECK_BF16, f32 = a->type == CHECK_F32 || half;
    if (isnan(want)) return isnan(got);
    if (isnan(got)) return false;
    if (tol == 0 && f32) return got == (half ? check_bf16(want) : (double)(float)want);
    if (isinf(got) && !isinf(want) && f32 && tol < INFINITY) /* an overflow the bound reaches */
        return signbit(got) == signbit(want) &&
               isinf(half ? check_bf16(fabs(want) + tol) : (double)(float)(fabs(want) + tol));
    if (isinf(got) || isinf(want)) return got == want || tol == INFINITY;
    return fabs(got - want) <= tol;
}

static double ulp_of(const struct check_arg *a, double want) {
    if (a->type != CHECK_F32 && a->type != CHECK_F64 && a->type != CHECK_BF16) return 1;
    int e;
    frexp(want, &e);
    if (a->type == CHECK_BF16) return ldexp(1, e - 8 < -133 ? -133 : e - 8);
    if (a->type == CHECK_F64) return ldexp(1, e - 53 < -1074 ? -1074 : e - 53);
    return ldexp(1, e - 24 < -149 ? -149 : e - 24);
}

static double value_at(const struct check_arg *a, size_t row, size_t col) {
    const unsigned char *base = a->ptr;
    return check_load(a, base + (row * a->ld + col) * check_elem_bytes(a));
}

/* 8x8 values around an element: got over want, wrong ones starred. */
static void window(const struct check_arg *a, size_t row, size_t col) {
    const size_t r0 = row < 4 ? 0 : row - 4;
    const size_t c0 = col < 4 ? 0 : col - 4;
    const size_t r1 = r0 + 8 < a->rows ? r0 + 8 : a->rows;
    const size_t c1 = c0 + 8 < a->cols ? c0 + 8 : a->cols;
    for (size_t r = r0; r < r1; r++)
        for (int line = 0; line < 2; line++) {
            printf("    %s", line ? "want " : "got  ");
            if (line)
                printf("%-12s", "");
            else
                printf("[%zu,%zu]%*s", r, c0, r + c0 < 10 ? 7 : 4, "");
            for (size_t c = c0; c < c1; c++) {
                const double want = a->want[r * a->cols + c];
                const double tol = a->tol[r * a->cols + c];
                const double got = value_at(a, r, c);
                const bool bad = !isnan(tol) && !inside(a, got, want, tol);
                printf(" %13.6g%c", line ? want : got, bad && !line ? '*' : ' ');
            }
            putchar('\n');
        }
}

static void report_worst(struct check_run *r, const struct check_arg *a, size_t i, size_t bad) {
    const size_t row = i / a->cols;
    const size_t col = i % a->cols;
    const double got = value_at(a, row, col);
    const double want = a->want[i];
    const bool shown =
        check_fail(r,
                   "%s[%zu,%zu] is %.9g, want %.9g, bound %.3g, off by %.3g = %.4g ulp; %zu of %zu "
                   "elements wrong",
                   a->name, row, col, got, want, a->tol[i], got - want,
                   fabs(got - want) / ulp_of(a, want), bad, a->rows * a->cols);
    if (shown) window(a, row, col);
}

static double rms_of(const double *v, size_t n) {
    double sum = 0;
    size_t used = 0;
    for (size_t i = 0; i < n; i++)
        if (isfinite(v[i])) {
            sum += v[i] * v[i];
            used++;
        }
    return used ? sqrt(sum / (double)used) : 0;
}

static void count(struct check_run *r, const struct check_arg *a) {
    struct check_tally *t = r->tally;
    while (t < r->tally + CHECK_ARGS - 1 && t->name && strcmp(t->name, a->name)) t++;
    t->name = a->name;
    const size_t n = a->rows * a->cols;
    const double typical = rms_of(a->want, n);
    for (size_t i = 0; i < n; i++) {
        if (isnan(a->tol[i])) continue;
        t->checked++;
        t->sharp += a->tol[i] == 0 ? a->want[i] != 0 : a->tol[i] < typical;
    }
}

static bool unwritten(const struct check_arg *a, size_t i, unsigned poison) {
    uint64_t mark = 0;
    if (a->role != CHECK_OUT ||
        (a->type != CHECK_F32 && a->type != CHECK_F64 && a->type != CHECK_BF16))
        return false;
    const unsigned char *base = a->ptr;
    const size_t es = check_elem_bytes(a);
    check_poison(a, poison, &mark, i);
    return memcmp(base + (i / a->cols * a->ld + i % a->cols) * es, &mark, es) == 0;
}

static bool rms_inside(struct check_run *r, const struct check_arg *a) {
    const size_t n = a->rows * a->cols;
    double err = 0;
    double ref = 0;
    for (size_t i = 0; i < n; i++) {
        const double want = a->want[i];
        if (isnan(a->tol[i]) || !isfinite(want)) continue;
        const double e = value_at(a, i / a->cols, i % a->cols) - want;
        err += e * e;
        ref += want * want;
    }
    if (sqrt(err) <= a->rms * sqrt(ref)) return true;
    check_fail(r, "%s: rms error / rms value is %.3g, bound %.3g", a->name, sqrt(err / ref),
               a->rms);
    return false;
}

bool check_values(struct check_run *r, const struct check_arg *a, unsigned poison) {
    const size_t n = a->rows * a->cols;
    size_t bad = 0;
    size_t worst = 0;
    double worst_share = -1;
    count(r, a);
    for (size_t i = 0; i < n; i++) {
        const double tol = a->tol[i];
        if (isnan(tol)) continue;
        const double want = a->want[i];
        const double got = value_at(a, i / a->cols, i % a->cols);
        if (unwritten(a, i, poison)) {
            check_fail(r, "%s[%zu,%zu] was not written", a->name, i / a->cols, i % a->cols);
            return false;
        }
        double share = fabs(got - want) / (tol > 0 ? tol : ulp_of(a, want));
        if (inside(a, got, want, tol)) {
            if (tol > 0 && isfinite(share) && share > r->worst) r->worst = share;
            continue;
        }
        bad++;
        if (isnan(share)) share = INFINITY;
        if (share > worst_share) {
            worst_share = share;
            worst = i;
        }
    }
    if (bad) report_worst(r, a, worst, bad);
    return bad == 0 && (a->rms == 0 || rms_inside(r, a));
}

bool check_same_bits(struct check_run *r, size_t arg, const char *what) {
    struct check_state *s = r->c->state;
    const struct check_arg *a = &s->arg[arg];
    const size_t es = check_elem_bytes(a);
    const bool fresh = !s->bits_by[arg];
    for (size_t i = 0; i < a->rows * a->cols; i++) {
        const unsigned char *base = a->ptr;
        const unsigned char *p = base + (i / a->cols * a->ld + i % a->cols) * es;
        unsigned char *ref = s->bits[arg] + i * es;
        if (fresh) {
            memcpy(ref, p, es);
            continue;
        }
        if (isnan(a->tol[i]) || memcmp(ref, p, es) == 0) continue;
        const double is = check_load(a, p);
        const double was = check_load(a, ref);
        if (isnan(is) && isnan(was)) continue;
        r->across = strcmp(s->bits_by[arg], r->k->isa) != 0;
        check_fail(r, "%s[%zu,%zu] differs between %s: %a now, %a by %s", a->name, i / a->cols,
                   i % a->cols, what, is, was, s->bits_by[arg]);
        r->across = false;
        return false;
    }
    if (fresh) s->bits_by[arg] = r->k->isa;
    return true;
}
