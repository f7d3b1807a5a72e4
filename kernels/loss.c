/* Softmax, cross-entropy and squared error (loss.h has the equations). A row is read for its
 * maximum, then once for exp, stored in place while summed, then scaled: exp is computed once.
 * Where the gradient is bf16, exp cannot wait in its place and is computed twice, to the same bits.
 */
#include <math.h>
#include "kernels/kernels.h"
#include "kernels/simd/elem.h"
#include "kernels/simd/vec_math.h"
#include "kernels/simd/vec_reduce.h"

#define CHUNK 1024 /* elements summed in f32 before the fold in f64 */

static const float minus_inf = -INFINITY;

/* exp((x - max)*t) of elements lo..hi, kept in y when it is wanted; its sum. */
static WEFT_INLINE float exp_chunk(const float *x, float *y, size_t lo, size_t hi, vf max, vf t) {
    v32 acc = v32_zero();
    size_t i = lo;
    for (; i + 32 <= hi; i += 32) V32_EACH(j) {
            const vf e = v_exp(v_mul(v_sub(v_load(x + i + j * VL), max), t));
            if (y) v_store(y + i + j * VL, e);
            acc.v[j] = v_add(acc.v[j], e);
        }
    V32_TAIL(i, j, m, hi) {
        const vf e = v_exp(v_mul(v_sub(v_load_n(x + i, m), max), t));
        if (y) v_store_n(y + i, e, m);
        acc.v[j] = v_add(acc.v[j], WEFT_BUG(13) ? e : v_sel(m_first(m), e, v_zero()));
    }
    return v32_sum(&acc);
}

static WEFT_INLINE double exp_row(const float *x, float *y, size_t n, float max, float inv_temp) {
    double sum = 0;
    for (size_t lo = 0; lo < n; lo += CHUNK) {
        const size_t hi = n - lo < CHUNK ? n : lo + CHUNK;
        sum += (double)exp_chunk(x, y, lo, hi, v_set1(max), v_set1(inv_temp));
    }
    return sum;
}

#if WEFT_ELEM_F32
static WEFT_INLINE void scale_row(float *x, size_t n, float s) {
    const vf vs = v_set1(s);
    size_t i = 0;
    for (; i + VL <= n; i += VL) v_store(x + i, v_mul(v_load(x + i), vs));
    if (i < n) v_store_n(x + i, v_mul(v_load_n(x + i, n - i), vs), n - i);
}
#endif

static WEFT_INLINE void zero_row(elem *x, size_t n) {
    size_t i = 0;
    for (; i + VL <= n; i += VL) e_store(x + i, v_zero());
    if (i < n) e_store_n(x + i, v_zero(), n - i);
}

/* What is subtracted before exp: the maximum, 0 for a row of all -inf (whose exps are 0). */
static WEFT_INLINE float shift_of(const float *x, size_t n) {
    const float max = r_max(x, n);
    return max == minus_inf ? 0.0f : max;
}

static WEFT_INLINE float log1(float x) { return v_fold_max(v_log(v_set1(x))); }

/* Is target the first element equal to max? */
static WEFT_INLINE bool is_first_max(const float *x, size_t target, float max) {
    if (!(x[target] == max)) return false;
    const vf top = v_set1(max);
    size_t i = 0;
    for (; i + VL <= target; i += VL)
        if (m_any(v_eq(v_load(x + i), top))) return false;
    return !m_any(m_and(v_eq(v_load_n(x + i, target - i), top), m_first(target - i)));
}

static WEFT_INLINE float sumsq_row(const elem *x, size_t n) {
    v32 acc = v32_zero();
    size_t i = 0;
    for (; i + 32 <= n; i += 32) V32_EACH(j) {
            const vf d = e_load(x + i + j * VL);
            acc.v[j] = v_fma(d, d, acc.v[j]);
        }
    V32_TAIL(i, j, m, n) {
        const vf d = e_load_n(x + i, m);
        acc.v[j] = v_fma(d, d, acc.v[j]);
    }
    return v32_sum(&acc);
}

static WEFT_INLINE elem *dx_of(const struct weft_xent_args *a, size_t at) {
    if (WEFT_ELEM_F32 && !a->dx) return (elem *)(void *)(a->x + at);
    return (elem *)a->dx + at;
}

static WEFT_INLINE void xent_ignore(const struct weft_xent_args *a, size_t r, elem *dx) {
    if (dx) zero_row(dx, a->v);
    a->loss[r] = 0;
    if (a->lse) a->lse[r] = 0;
    if (a->max) a->max[r] = 0;
    if (dx && a->dsq) a->dsq[r] = 0;
    if (a->correct) a->correct[r] = 0;
}

/* dx = (exp(x - max) - [j = target] / share) share; f32: dx holds exp(x - max) already. */
static WEFT_INLINE void xent_grad(const struct weft_xent_args *a, const float *x, elem *dx,
                                  size_t t, float max, float share) {
#if WEFT_ELEM_F32
    (void)x, (void)max;
    scale_row(dx, a->v, share);
    dx[t] -= a->scale;
#else
    const vf top = v_set1(max), s = v_set1(share), one = v_set1(1.0f);
    const vf hit = v_exp(v_mul(v_sub(v_set1(x[t]), top), one));
    size_t i = 0;
    for (; i + VL <= a->v; i += VL)
        e_store(dx + i, v_mul(v_exp(v_mul(v_sub(v_load(x + i), top), one)), s));
    if (i < a->v) {
        const size_t m = a->v - i;
        e_store_n(dx + i, v_mul(v_exp(v_mul(v_sub(v_load_n(x + i, m), top), one)), s), m);
    }
    e_store_n(dx + t, v_sub(v_mul(hit, s), v_set1(a->scale)), 1);
#endif
}

static WEFT_INLINE void xent_row(const struct weft_xent_args *a, size_t r, const bool grad) {
    const size_t at = r * (a->ld ? a->ld : a->v);
    const float *x = a->x + at;
    elem *const dx = grad ? dx_of(a, at) : NULL;
    if (a->target[r] < 0) {
        xent_ignore(a, r, dx);
        return;
    }
    const size_t t = (size_t)a->target[r];
    const float shift = shift_of(x, a->v);
    const float hit = x[t];
    if (a->correct) a->correct[r] = is_first_max(x, t, shift);
#if WEFT_ELEM_F32
    const double sum = exp_row(x, dx, a->v, shift, 1.0f);
#else
    const double sum = exp_row(x, NULL, a->v, shift, 1.0f);
#endif
    const float log_sum = log1((float)sum);
    a->loss[r] = log_sum + (shift - hit);
    if (a->lse) a->lse[r] = shift + log_sum;
    if (a->max) a->max[r] = shift;
    if (!grad) return;
    xent_grad(a, x, dx, t, shift, sum == 0 ? 0.0f : (float)((double)a->scale / sum));
    if (a->dsq) a->dsq[r] = sumsq_row(dx, a->v);
}

/* ---- few classes: the lanes of a vector are rows, a column is a vector; the same bits ---- */
#define FEW 32 /* the virtual lanes of a row's sum: class c is alone in lane c */

/* col[c] lane i <- row i of x (rows <= VL, v) ld=ld, c < v. */
static WEFT_INLINE void load_columns(const float *x, size_t ld, size_t rows, size_t v, vf *col) {
    for (size_t c = 0; c < v; c += VL) {
        for (size_t i = 0; i < VL; i++)
            col[c + i] = i < rows ? v_load_n(x + i * ld + c, v - c < VL ? v - c : VL) : v_zero();
        v_transpose(col + c);
    }
}

static WEFT_INLINE void store_columns(vf *col, size_t rows, size_t v, elem *x, size_t ld) {
    for (size_t c = 0; c < v; c += VL) {
        v_transpose(col + c);
        for (size_t i = 0; i < rows; i++)
            e_store_n(x + i * ld + c, col[c + i], v - c < VL ? v - c : VL);
    }
}

/* The tree of v32_sum, without the lanes that hold +0. */
static WEFT_INLINE vf sum_columns(const vf *col, size_t v) {
    vf s[FEW];
    for (size_t c = 0; c < v; c++) s[c] = col[c];
    for (size_t w = FEW / 2; w > 0; v = v < w ? v : w, w /= 2)
        for (size_t c = 0; c + w < v; c++) s[c] = v_add(s[c], s[c + w]);
    return s[0];
}

/* Rows [r, r + n), n <= VL, v <= FEW. */
static WEFT_INLINE void xent_few(const struct weft_xent_args *a, size_t r, size_t n,
                                 const bool grad) {
    const size_t ld = a->ld ? a->ld : a->v, v = a->v;
    const vi target = i_load_n(a->target + r, n);
    const vm ignored = i_gt(i_set1(0), target);
    vf col[FEW + VL];
    load_columns(a->x + r * ld, ld, n, v, col);
    vf max = v_set1(minus_inf);
    for (size_t c = 0; c < v; c++) max = v_max(max, col[c]);
    max = v_sel(v_eq(max, v_set1(minus_inf)), v_zero(), max);
    vf hit = v_zero();
    vi first = i_set1(-1);
    for (size_t c = v; c-- > 0;) {
        const vi at = i_set1((int32_t)c);
        hit = v_sel(i_eq(target, at), col[c], hit);
        first = i_sel(v_eq(col[c], max), at, first);
    }
    for (size_t c = 0; c < v; c++) col[c] = v_exp(v_mul(v_sub(col[c], max), v_set1(1.0f)));
    const vf sum = sum_columns(col, v), log_sum = v_log(sum);
    const vf loss = v_add(log_sum, v_sub(max, hit));
    v_store_n(a->loss + r, v_sel(ignored, v_zero(), loss), n);
    if (a->lse) v_store_n(a->lse + r, v_sel(ignored, v_zero(), v_add(max, log_sum)), n);
    if (a->max) v_store_n(a->max + r, v_sel(ignored, v_zero(), max), n);
    const vm right = m_and(i_eq(first, target), m_not(ignored));
    if (a->correct) i_store_n(a->correct + r, i_sel(right, i_set1(1), i_set1(0)), n);
    if (!grad) return;
    const vf none = v_zero(), scale = v_set1(a->scale);
    const vf share = v_sel(v_eq(sum, none), none, v_div(scale, sum));
    for (size_t c = 0; c < v; c++) {
        const vf p = v_mul(col[c], share);
        const vf dx = v_sel(i_eq(target, i_set1((int32_t)c)), v_sub(p, scale), p);
        col[c] = v_sel(ignored, none, dx);
    }
    if (a->dsq) {
        vf square[FEW];
        for (size_t c = 0; c < v; c++) square[c] = v_mul(e_round(col[c]), e_round(col[c]));
        v_store_n(a->dsq + r, sum_columns(square, v), n);
    }
    store_columns(col, n, v, dx_of(a, r * ld), ld);
}

static WEFT_INLINE void xent(const struct weft_xent_args *a, const bool grad) {
    for (size_t r = 0; a->v <= FEW && r < a->rows; r += VL)
        xent_few(a, r, a->rows - r < VL ? a->rows - r : VL, grad);
    for (size_t r = 0; a->v > FEW && r < a->rows; r++) xent_row(a, r, grad);
}

void WEFT_EFN(xent)(const struct weft_xent_args *a) { xent(a, true); }
#if WEFT_ELEM_F32
void WEFT_FN(xent_fwd_f32)(const struct weft_xent_args *a) { xent(a, false); }

void WEFT_FN(softmax_fwd_f32)(float *x, size_t rows, size_t v, size_t ld, float inv_temp) {
    for (size_t r = 0; r < rows; r++, x += ld) {
        const double sum = exp_row(x, x, v, shift_of(x, v), inv_temp);
        scale_row(x, v, sum == 0 ? 0.0f : (float)(1 / sum));
    }
}
#endif

/* One vector of the row: dx when it is wanted, and x - y. */
static WEFT_INLINE vf mse_vector(const struct weft_mse_args *a, size_t at, size_t m, vf s,
                                 const bool tail) {
    const vf x = tail ? v_load_n(a->x + at, m) : v_load(a->x + at);
    const vf d = v_sub(x, tail ? v_load_n(a->y + at, m) : v_load(a->y + at));
    elem *const dx = a->dx;
    if (dx && tail) e_store_n(dx + at, v_mul(d, s), m);
    if (dx && !tail) e_store(dx + at, v_mul(d, s));
    return d;
}

void WEFT_EFN(mse)(const struct weft_mse_args *a) {
    const vf s = v_set1(2 * a->scale / (float)a->n);
    for (size_t r = 0; r < a->rows; r++) {
        const size_t row = r * (a->ld ? a->ld : a->n);
        double sum = 0;
        for (size_t lo = 0; lo < a->n; lo += CHUNK) {
            const size_t hi = a->n - lo < CHUNK ? a->n : lo + CHUNK;
            v32 acc = v32_zero();
            size_t i = lo;
            for (; i + 32 <= hi; i += 32) V32_EACH(j) {
                    const vf d = mse_vector(a, row + i + j * VL, VL, s, false);
                    acc.v[j] = v_fma(d, d, acc.v[j]);
                }
            V32_TAIL(i, j, m, hi) {
                const vf d = mse_vector(a, row + i, m, s, true);
                acc.v[j] = v_fma(d, d, acc.v[j]);
            }
            sum += (double)v32_sum(&acc);
        }
        if (a->loss) a->loss[r] = (float)(sum / (double)a->n);
    }
}
