/* LayerNorm forward and backward (layernorm.h has the equations).
 *
 * Forward: the row is summed, then read again from L1 for the moments of d = x - mean0. The rest of
 * the mean, sum(d)/c, corrects both mean and variance (Chan, Golub, LeVeque 1983), so a constant
 * row has x - mean = 0 exactly although sum(x)/c is rounded. Error: (c/32 + 8) u (1 + |mean| rstd)
 * (|xhat gamma| + |beta|), u = 2^-24. */
#include <math.h>
#include "kernels/kernels.h"
#include "kernels/simd/elem.h"
#include "kernels/simd/vec_reduce.h"

static WEFT_INLINE vf get(const float *p, size_t n) { return n == VL ? v_load(p) : v_load_n(p, n); }
static WEFT_INLINE void put(float *p, vf a, size_t n) {
    if (n == VL)
        v_store(p, a);
    else
        v_store_n(p, a, n);
}
/* p may be absent: a parameter that is not there. */
static WEFT_INLINE vf get_or(const float *p, size_t i, size_t n, float absent) {
    return p ? get(p + i, n) : v_set1(absent);
}

/* r = x + f while summing. */
static WEFT_INLINE float add_sum(const elem *x, const elem *f, elem *r, size_t c) {
    v32 acc = v32_zero();
    size_t i = 0;
    for (; i + 32 <= c; i += 32) V32_EACH(j) {
            const vf s = v_add(e_load(x + i + j * VL), e_load(f + i + j * VL));
            e_store(r + i + j * VL, s);
            acc.v[j] = v_add(acc.v[j], s);
        }
    V32_TAIL(i, j, m, c) {
        const vf s = v_add(e_load_n(x + i, m), e_load_n(f + i, m));
        e_store_n(r + i, s, m);
        acc.v[j] = v_add(acc.v[j], s);
    }
    return v32_sum(&acc);
}

static WEFT_INLINE float sum_row(const elem *x, size_t c) {
    v32 acc = v32_zero();
    size_t i = 0;
    for (; i + 32 <= c; i += 32) V32_EACH(j) acc.v[j] = v_add(acc.v[j], e_load(x + i + j * VL));
    V32_TAIL(i, j, m, c) acc.v[j] = v_add(acc.v[j], e_load_n(x + i, m));
    return v32_sum(&acc);
}

/* Sums of d and d^2, d = x - mean. */
static WEFT_INLINE void moments(const elem *x, vf mean, size_t c, float *sum, float *sq) {
    v32 s1 = v32_zero();
    v32 s2 = v32_zero();
    size_t i = 0;
    for (; i + 32 <= c; i += 32) V32_EACH(j) {
            const vf d = v_sub(e_load(x + i + j * VL), mean);
            s1.v[j] = v_add(s1.v[j], d);
            s2.v[j] = v_fma(d, d, s2.v[j]);
        }
    V32_TAIL(i, j, m, c) {
        const size_t lanes = WEFT_BUG(3) && m < VL ? m + 1 : m;
        const vf d = v_sel(m_first(m), v_sub(e_load_n(x + i, lanes), mean), v_zero());
        s1.v[j] = v_add(s1.v[j], d);
        s2.v[j] = v_fma(d, d, s2.v[j]);
    }
    *sum = v32_sum(&s1);
    *sq = v32_sum(&s2);
}

/* Columns i..i+m. */
static WEFT_INLINE void fwd_cols(const struct weft_layernorm_args *a, const elem *x, elem *y,
                                 vf mean, vf rstd, size_t i, size_t m) {
    const vf xhat = v_mul(v_sub(e_get_n(x + i, m), mean), rstd);
    e_put_n(y + i, v_fma(xhat, get_or(a->gamma, i, m, 1), get_or(a->beta, i, m, 0)), m);
}

static WEFT_INLINE void fwd_row(const struct weft_layernorm_args *a, size_t row,
                                const bool residual) {
    const size_t ld = a->ld ? a->ld : a->c;
    const size_t at = row * ld;
    const float n = (float)a->c;
    const elem *x = (const elem *)a->x + at;
    elem *const y = (elem *)a->y + at;
    float total;
    if (residual) {
        elem *const r = (elem *)a->r + at;
        total = add_sum(x, (const elem *)a->f + at, r, a->c);
        x = r;
    } else {
        total = sum_row(x, a->c);
    }
    const float mean0 = total / n;
    float sum, sq;
    moments(x, v_set1(mean0), a->c, &sum, &sq);
    const float rest = sum / n;
    const float mean = mean0 + rest;
    const float var = (sq - sum * rest) / n;
    const float floor = var < 0 ? 0 : var;
    const float rstd = WEFT_BUG(1) ? 1.0f / (sqrtf(floor) + a->eps) : 1.0f / sqrtf(floor + a->eps);
    a->mean[row] = mean;
    a->rstd[row] = rstd;

    const size_t next = row + 1 < a->rows ? at + ld : at;
    size_t i = 0;
    for (; i + VL <= a->c; i += VL) { /* the next row comes from memory meanwhile */
        WEFT_PREFETCH((const elem *)a->x + next + i);
        if (residual) WEFT_PREFETCH((const elem *)a->f + next + i);
        fwd_cols(a, x, y, v_set1(mean), v_set1(rstd), i, VL);
    }
    if (i < a->c) fwd_cols(a, x, y, v_set1(mean), v_set1(rstd), i, a->c - i);
}

void WEFT_EFN(layernorm_fwd)(const struct weft_layernorm_args *a) {
    for (size_t r = 0; r < a->rows; r++) fwd_row(a, r, false);
}

#if WEFT_ELEM_F32
void WEFT_FN(layernorm_res_fwd_f32)(const struct weft_layernorm_args *a) {
    for (size_t r = 0; r < a->rows; r++) fwd_row(a, r, true);
}
#endif

struct row {
    vf mean, rstd, mg, mgx;
};

/* mg = mean_j(g), mgx = mean_j(g*xhat) of a row. */
static WEFT_INLINE void bwd_means(const struct weft_layernorm_bwd_args *a, const elem *dy,
                                  const elem *x, struct row *row) {
    const vf mean = row->mean;
    const vf rstd = row->rstd;
    v32 s1 = v32_zero();
    v32 s2 = v32_zero();
    size_t i = 0;
    for (; i + 32 <= a->c; i += 32) V32_EACH(j) {
            const size_t at = i + j * VL;
            const vf g = v_mul(e_load(dy + at), get_or(a->gamma, at, VL, 1));
            s1.v[j] = v_add(s1.v[j], g);
            s2.v[j] = v_fma(g, v_mul(v_sub(e_load(x + at), mean), rstd), s2.v[j]);
        }
    V32_TAIL(i, j, m, a->c) {
        const vf g = v_mul(e_load_n(dy + i, m), get_or(a->gamma, i, m, 1));
        const vf xhat = v_sel(m_first(m), v_mul(v_sub(e_load_n(x + i, m), mean), rstd), v_zero());
        s1.v[j] = v_add(s1.v[j], g);
        s2.v[j] = v_fma(g, xhat, s2.v[j]);
    }
    row->mg = v_set1(v32_sum(&s1) / (float)a->c);
    row->mgx = v_set1(v32_sum(&s2) / (float)a->c);
}

/* Columns i..i+m of n rows: dx, and the column sums kept in registers for n rows. first: the sums
 * start from zero. */
static WEFT_INLINE void bwd_cols(const struct weft_layernorm_bwd_args *a, const struct row *row,
                                 size_t row0, const size_t n, float *part, const bool first,
                                 size_t i, size_t m) {
    const size_t ld = a->ld ? a->ld : a->c;
    const vf gamma = get_or(a->gamma, i, m, 1);
    const elem *const x = a->x, *const dys = a->dy, *const dres = a->dres;
    elem *const out = a->dx;
    vf dgamma = first || !part ? v_zero() : get(part + i, m);
    vf dbeta = first || !part ? v_zero() : get(part + a->c + i, m);
    for (size_t k = 0; k < n; k++) {
        const size_t at = (row0 + k) * ld + i;
        const vf dy = e_get_n(dys + at, m);
        const vf xhat = v_mul(v_sub(e_get_n(x + at, m), row[k].mean), row[k].rstd);
        dgamma = v_fma(dy, xhat, dgamma);
        dbeta = v_add(dbeta, dy);
        if (!out) continue;
        const vf g = v_sub(v_mul(dy, gamma), row[k].mg);
        const vf dx = v_mul(v_fnma(xhat, row[k].mgx, g), row[k].rstd);
        e_put_n(out + at, dres ? v_add(e_get_n(dres + at, m), dx) : dx, m);
    }
    if (!part) return;
    put(part + i, dgamma, m);
    put(part + a->c + i, dbeta, m);
}

static WEFT_INLINE void bwd_rows(const struct weft_layernorm_bwd_args *a, size_t row0,
                                 const size_t n, float *part) {
    const bool first = row0 % WEFT_LAYERNORM_BLOCK == 0;
    const size_t ld = a->ld ? a->ld : a->c;
    struct row row[4];
    for (size_t k = 0; k < n; k++) {
        row[k].mean = v_set1(a->mean[row0 + k]);
        row[k].rstd = v_set1(a->rstd[row0 + k]);
        row[k].mg = row[k].mgx = v_zero();
        if (a->dx)
            bwd_means(a, (const elem *)a->dy + (row0 + k) * ld,
                      (const elem *)a->x + (row0 + k) * ld, &row[k]);
    }
    size_t i = 0;
    const size_t next = (row0 + 2 * n <= a->rows ? row0 + n : row0) * ld;
    for (; i + VL <= a->c; i += VL) {
        WEFT_UNROLL_ALL
        for (size_t k = 0; k < n; k++) { /* the next rows come from memory meanwhile */
            WEFT_PREFETCH((const elem *)a->x + next + k * ld + i);
            WEFT_PREFETCH((const elem *)a->dy + next + k * ld + i);
        }
        bwd_cols(a, row, row0, n, part, first, i, VL);
    }
    if (i < a->c) bwd_cols(a, row, row0, n, part, first, i, a->c - i);
}

void WEFT_EFN(layernorm_bwd)(const struct weft_layernorm_bwd_args *a) {
    size_t r = 0;
    while (r < a->rows) {
        float *part = a->part ? a->part + r / WEFT_LAYERNORM_BLOCK * 2 * a->c : NULL;
        if (a->rows - r >= 4) {
            bwd_rows(a, r, 4, part);
            r += 4;
        } else {
            bwd_rows(a, r, 1, part);
            r += 1;
        }
    }
}
