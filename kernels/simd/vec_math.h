/* Transcendental functions over the vector ops: the same source, hence the same bits, on every ISA.
 *
 * The polynomials are our own minimax fits: Lawson-weighted least squares on Chebyshev nodes, the
 * coefficients rounded to f32 one by one from the lowest power up, the rest refitted after each.
 * "2^-28.2" after a table is the largest relative error of the rounded polynomial. Errors of the
 * functions, measured over stratified bit patterns (tests/check_math.c), in ulp:
 *
 *   v_exp 0.9   v_log 0.9   v_tanh 1.6   v_erf 1.4   v_sigmoid 2.5   v_gelu_tanh 3.0
 *   v_gelu_erf 6.2 (x < -5; else 4.8)   v_dgelu_tanh 5.4, v_dgelu_erf 4.0 of the larger of
 *   their two terms   v_sincos2pi 1.4 * 2^-24 absolute
 *
 * NaN gives NaN. v_exp is 0 below ln(FLT_MIN), so no result is denormal unless stated. */
#ifndef WEFT_VEC_MATH_H
#define WEFT_VEC_MATH_H

#include "kernels/simd/vec.h"

#define MATH_INF    __builtin_inff()
#define MATH_LOG2E  0x1.715476p+0f
#define MATH_LN2_HI 0x1.62e43p-1f
#define MATH_LN2_LO (-0x1.05c61p-29f)
#define MATH_ROUND  0x1.8p23f /* adding it rounds to an integer, held in the low bits of the sum */

/* r * 2^k for k = shifted - MATH_ROUND; both r and the result are normal. */
static WEFT_INLINE vf math_scale(vf r, vf shifted) {
    return i_bits(i_add(v_bits(r), i_shl(v_bits(shifted), 23)));
}

/* x = k ln2 + r for |x| < 2^22: returns r, |r| <= ln2/2 */
static WEFT_INLINE vf math_reduce(vf x, vf *shifted) {
    *shifted = v_fma(x, v_set1(MATH_LOG2E), v_set1(MATH_ROUND));
    const vf k = v_sub(*shifted, v_set1(MATH_ROUND));
    return v_fnma(k, v_set1(MATH_LN2_LO), v_fnma(k, v_set1(MATH_LN2_HI), x));
}
/* e^r = 1 + r + r^2 q(r), 2^-28.2; times 2^k: n vectors, one operation after the other over all of
 * them, as one vector's chain of some 60 cycles leaves most of a core idle. */
static WEFT_INLINE void math_exp_scaled(const vf *r, const vf *shifted, vf *y, const size_t n) {
    static const float q[] = {0x1.1239ap-7f, 0x1.5558b4p-5f, 0x1.555492p-3f, 0x1.fffffcp-2f, 1, 1};
    WEFT_UNROLL_ALL
    for (size_t j = 0; j < n; j++) y[j] = v_set1(0x1.6a495cp-10f);
    WEFT_UNROLL_ALL
    for (size_t i = 0; i < 6; i++) WEFT_UNROLL_ALL
    for (size_t j = 0; j < n; j++) y[j] = v_fma(y[j], r[j], v_set1(q[i]));
    WEFT_UNROLL_ALL
    for (size_t j = 0; j < n; j++) y[j] = math_scale(y[j], shifted[j]);
}
/* e^x for -87.3 <= x <= 88.7, n <= 8 vectors */
static WEFT_INLINE void math_exp_all(const vf *x, vf *y, const size_t n) {
    vf shifted[8], r[8];
    WEFT_UNROLL_ALL
    for (size_t j = 0; j < n; j++) r[j] = math_reduce(x[j], &shifted[j]);
    math_exp_scaled(r, shifted, y, n);
}
static WEFT_INLINE vf math_exp(vf x) {
    vf y;
    math_exp_all(&x, &y, 1);
    return y;
}

/* y = math_exp(x) made e^x for every x; for x <= 0, where a NaN gives 0. */
static WEFT_INLINE vf math_exp_low(vf x, vf y) {
    return v_keep(v_ge(x, v_set1(-0x1.5d589ep6f)), y); /* the smallest x with e^x >= FLT_MIN */
}
static WEFT_INLINE vf math_exp_ends(vf x, vf y) {
    const vf hi = v_set1(0x1.62e42ep6f); /* the largest x with e^x <= FLT_MAX */
    return v_sel(v_le(x, hi), math_exp_low(x, y), v_add(x, v_set1(MATH_INF))); /* inf, or the NaN */
}
static WEFT_INLINE vf v_exp(vf x) { return math_exp_ends(x, math_exp(x)); }
static WEFT_INLINE vf v_exp_neg(vf x) { return math_exp_low(x, math_exp(x)); } /* x <= 0; NaN: 0 */

/* x = 2^e m, sqrt(1/2) <= m < sqrt(2), f = m - 1: log m = f - f^2/2 + f^3 P(f), 2^-27.3. */
static WEFT_INLINE vf v_log(vf x) {
    const vi half = i_set1(0x3f3504f3); /* sqrt(1/2) */
    const vm tiny = v_lt(x, v_set1(0x1p-126f));
    const vi bits = i_sub(v_bits(v_sel(tiny, v_mul(x, v_set1(0x1p23f)), x)), half);
    const vf e = v_sub(i_to_v(i_sar(bits, 23)), v_sel(tiny, v_set1(23.0f), v_zero()));
    const vf f = v_sub(i_bits(i_add(i_and(bits, i_set1(0x7fffff)), half)), v_set1(1.0f));
    vf p = v_fma(v_set1(-0x1.38c974p-4f), f, v_set1(0x1.055eaep-3f));
    p = v_fma(p, f, v_set1(-0x1.0d8246p-3f));
    p = v_fma(p, f, v_set1(0x1.22d93p-3f));
    p = v_fma(p, f, v_set1(-0x1.54728ap-3f));
    p = v_fma(p, f, v_set1(0x1.99a01cp-3f));
    p = v_fma(p, f, v_set1(-0x1.000226p-2f));
    p = v_fma(p, f, v_set1(0x1.555554p-2f));
    p = v_fma(p, f, v_set1(-0.5f));
    const vf tail = v_fma(e, v_set1(MATH_LN2_LO), v_mul(v_mul(f, f), p));
    vf y = v_fma(e, v_set1(MATH_LN2_HI), v_add(f, tail));
    y = v_sel(v_lt(x, v_set1(MATH_INF)), y, x); /* inf, or the NaN */
    y = v_sel(v_lt(x, v_zero()), v_set1(__builtin_nanf("")), y);
    return v_sel(v_eq(x, v_zero()), v_set1(-MATH_INF), y);
}

/* |x| < 5/8: x + x^3 P(x^2), 2^-27.7; beyond: (1 - E) / (1 + E), E = e^(-2|x|). */
static WEFT_INLINE vf v_tanh(vf x) {
    const vf t = v_abs(x);
    const vf s = v_mul(x, x);
    vf p = v_fma(v_set1(-0x1.75619ap-8f), s, v_set1(0x1.5207b8p-6f));
    p = v_fma(p, s, v_set1(-0x1.b83738p-5f));
    p = v_fma(p, s, v_set1(0x1.1106fcp-3f));
    p = v_fma(p, s, v_set1(-0x1.555532p-2f));
    const vf near = v_fma(v_mul(s, x), p, x);
    const vf c = v_sel(v_gt(t, v_set1(10.0f)), v_set1(10.0f), t);
    const vf e = math_exp(v_mul(c, v_set1(-2.0f)));
    const vf far = v_div(v_sub(v_set1(1.0f), e), v_add(v_set1(1.0f), e));
    return v_copysign(v_sel(v_ge(t, v_set1(0.625f)), far, near), x);
}

/* 1 / (1 + e^-x) = (x < 0 ? E : 1) / (1 + E), E = e^-|x|. */
static WEFT_INLINE vf v_sigmoid(vf x) {
    const vf one = v_set1(1.0f);
    const vf e = v_exp(v_neg(v_abs(x)));
    return v_div(v_sel(v_lt(x, v_zero()), e, one), v_add(one, e));
}

/* The tail of the normal distribution, for t >= 0: with E = e^(-t^2/2) (t^2 in two pieces, so that
 * the exponent is good to the last bit), Phi(-t) = E R(t), R = Mills ratio / sqrt(2 pi) as a 4/5
 * rational function on [0, 14] with positive coefficients, 2^-26.5. */
static WEFT_INLINE vf math_gauss(vf t) {
    const vf s = v_mul(t, t);
    const vf ds = v_fma(t, t, v_neg(s));
    const vf h = v_mul(s, v_set1(-0.5f));
    vf shifted;
    const vf r = math_reduce(h, &shifted);
    const vf fine = v_fma(ds, v_set1(-0.5f), r);
    vf e;
    math_exp_scaled(&fine, &shifted, &e, 1);
    return v_sel(v_ge(h, v_set1(-87.0f)), e, v_zero());
}
static WEFT_INLINE vf math_mills(vf t) {
    vf p = v_fma(v_set1(0x1.09ec32p-8f), t, v_set1(0x1.497d3cp-5f));
    p = v_fma(p, t, v_set1(0x1.74b2dcp-3f));
    p = v_fma(p, t, v_set1(0x1.bf089ep-2f));
    p = v_fma(p, t, v_set1(0.5f));
    vf q = v_fma(v_set1(0x1.4d47b4p-7f), t, v_set1(0x1.9cfb9cp-4f));
    q = v_fma(q, t, v_set1(0x1.dd5b9cp-2f));
    q = v_fma(q, t, v_set1(0x1.327d2ap+0f));
    q = v_fma(q, t, v_set1(0x1.abc67ep+0f));
    q = v_fma(q, t, v_set1(1.0f));
    return v_div(p, q);
}

/* |x| < 1: x + x P(x^2), 2^-29.4; beyond: 1 - 2 Phi(-sqrt(2) |x|). */
static WEFT_INLINE vf v_erf(vf x) {
    const vf t = v_abs(x);
    const vf s = v_mul(x, x);
    vf p = v_fma(v_set1(0x1.4771fcp-14f), s, v_set1(-0x1.a3515ep-11f));
    p = v_fma(p, s, v_set1(0x1.53f224p-8f));
    p = v_fma(p, s, v_set1(-0x1.b7f71ap-6f));
    p = v_fma(p, s, v_set1(0x1.ce2ce6p-4f));
    p = v_fma(p, s, v_set1(-0x1.81273ep-2f));
    p = v_fma(p, s, v_set1(0x1.06eba8p-3f));
    const vf near = v_fma(x, p, x);
    const vf c = v_sel(v_gt(t, v_set1(4.0f)), v_set1(4.0f), t);
    const vf u = v_mul(c, v_set1(0x1.6a09e6p+0f));
    const vf far = v_fnma(v_set1(2.0f), v_mul(math_gauss(u), math_mills(u)), v_set1(1.0f));
    return v_sel(v_ge(t, v_set1(1.0f)), v_copysign(far, x), near);
}

/* Both GELUs are x Phi(x) with a tail c(t) = Phi(-t), t = |x|: Phi(x) = x < 0 ? c : 1 - c. From
 * t = lim on c is 0; x is clamped there, so that -inf gives -0 and not -inf * 0. */
static WEFT_INLINE vf math_clamp_abs(vf x, float lim) { return v_at_most(v_abs(x), v_set1(lim)); }

/* gelu_erf(x) = x Phi(x);  gelu_erf'(x) = Phi(x) + x phi(x), phi = E / sqrt(2 pi). */
static WEFT_INLINE vf v_gelu_erf(vf x) {
    const vf t = math_clamp_abs(x, 14.0f);
    const vf c = v_mul(math_gauss(t), math_mills(t));
    return v_sel_neg(x, v_neg(v_mul(t, c)), v_mul(x, v_sub(v_set1(1.0f), c)));
}
static WEFT_INLINE vf v_dgelu_erf(vf x) {
    const vf one = v_set1(1.0f);
    const vf t = math_clamp_abs(x, 14.0f);
    const vf g = math_gauss(t);
    const vf c = v_mul(g, math_mills(t));
    const vf tphi = v_mul(t, v_mul(g, v_set1(0x1.988454p-2f)));
    const vf neg = v_sub(c, tphi);
    return v_sel_neg(x, neg, v_sub(one, neg)); /* gelu'(x) + gelu'(-x) = 1 */
}

/* gelu_tanh(x) = x/2 (1 + tanh u) = x sigma(2u), u = sqrt(2/pi) (x + 0.044715 x^3). The tail is
 * E / (1 + E), E = e^(-2|u|) = 2^-(t (a + b t^2)); the exponent is summed in two pieces because E
 * turns its absolute error into a relative one. a is cut to 22 bits so that q - a is exact for
 * q < 16. math_logistic gives E for t <= 10.5; 0 below 2^-126. */
static WEFT_INLINE vf math_logistic(vf t) {
    const vf a = v_set1(0x1.26aecp+1f); /* a = 2 sqrt(2/pi) log2(e), high part */
    const vf b = v_set1(0x1.a5a7dp-4f); /* b = 0.044715 a */
    const vf s = v_mul(t, t);
    const vf ds = v_fma(t, t, v_neg(s));
    const vf q = v_fma(b, s, a);
    vf dq = v_fma(b, s, v_sub(a, q));
    dq = v_fma(b, ds, v_add(dq, v_fma(v_set1(-0x1.151aaep-29f), s, v_set1(0x1.0de73ap-22f))));
    const vf z = v_mul(t, q);
    const vf dz = v_fma(t, dq, v_fma(t, q, v_neg(z)));
    const vf shifted = v_sub(v_set1(MATH_ROUND), z);
    const vf k = v_sub(shifted, v_set1(MATH_ROUND));
    const vf r = v_add(v_add(z, k), dz);
    vf p = v_fnma(v_set1(0x1.416f1ep-13f), r, v_set1(0x1.5f09a4p-10f)); /* 2^-r, 2^-28.3 */
    p = v_fnma(p, r, v_set1(0x1.3b2ddep-7f));
    p = v_fnma(p, r, v_set1(0x1.c6af7ap-5f));
    p = v_fnma(p, r, v_set1(0x1.ebfbdcp-3f));
    p = v_fnma(p, r, v_set1(0x1.62e43p-1f));
    p = v_fnma(p, r, v_set1(1.0f));
    return v_keep(v_lt(z, v_set1(126.0f)), math_scale(p, shifted));
}
static WEFT_INLINE vf v_gelu_tanh(vf x) {
    const vf t = math_clamp_abs(x, 10.5f);
    const vf e = math_logistic(t);
    const vf num = v_sel_neg(x, v_neg(v_mul(t, e)), x);
    return v_div(num, v_add(v_set1(1.0f), e));
}
/* gelu_tanh'(x) = sigma + x sigma (1 - sigma) 2u'; for x < 0 it is (E - t w) / (1 + E) with
 * w = 2u' E / (1 + E), and gelu'(x) + gelu'(-x) = 1. */
static WEFT_INLINE vf v_dgelu_tanh(vf x) {
    const vf one = v_set1(1.0f);
    const vf t = math_clamp_abs(x, 10.5f);
    const vf e = math_logistic(t);
    const vf r = v_div(one, v_add(one, e));
    const vf c = v_mul(e, r);
    const vf du = v_fma(v_set1(0x1.b6676cp-3f), v_mul(t, t), v_set1(0x1.988454p+0f));
    const vf neg = v_fnma(v_mul(t, du), v_mul(c, r), c);
    return v_sel_neg(x, neg, v_sub(one, neg));
}

/* sin(2 pi u) and cos(2 pi u) for 0 <= u <= 1: u = k/4 + r exactly, |r| <= 1/8;
 * sin(2 pi r) = r S(r^2), 2^-25; cos(2 pi r) = 1 + r^2 C(r^2), 2^-31. */
static WEFT_INLINE void v_sincos2pi(vf u, vf *sine, vf *cosine) {
    const vf k = v_round(v_mul(u, v_set1(4.0f)));
    const vf r = v_fnma(k, v_set1(0.25f), u);
    const vf z = v_mul(r, r);
    vf s = v_fma(v_set1(-0x1.3345c2p+6f), z, v_set1(0x1.46819p+6f));
    s = v_fma(s, z, v_set1(-0x1.4abc26p+5f));
    s = v_mul(v_fma(s, z, v_set1(0x1.921fb6p+2f)), r);
    vf c = v_fma(v_set1(0x1.d47088p+5f), z, v_set1(-0x1.55b138p+6f));
    c = v_fma(c, z, v_set1(0x1.03c1aep+6f));
    c = v_fma(c, z, v_set1(-0x1.3bd3ccp+4f));
    c = v_fma(c, z, v_set1(1.0f));
    const vi quarter = v_to_i(k);
    const vm odd = i_eq(i_and(quarter, i_set1(1)), i_set1(1));
    const vi two = i_set1(2);
    const vi flip_s = i_shl(i_and(quarter, two), 30);
    const vi flip_c = i_shl(i_and(i_add(quarter, i_set1(1)), two), 30);
    *sine = i_bits(i_xor(v_bits(v_sel(odd, c, s)), flip_s));
    *cosine = i_bits(i_xor(v_bits(v_sel(odd, s, c)), flip_c));
}

#endif
