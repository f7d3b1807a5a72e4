/* exp, log, pow, sin and cos in plain IEEE double arithmetic: no libm, no FMA, no tables, so the
 * bits depend on nothing but the arguments. After an exact or doubled range reduction each is its
 * Taylor series (the coefficients are 1/n! and 1/(2n+1)), cut where the next term is below 2^-56 of
 * the result. Errors measured in tests/check_scalar_math.c: below 1e-15 relative; sin and cos 3e-16
 * absolute, and relative to the distance from the nearest zero. */
#include <math.h>
#include <string.h>
#include "kernels/base/philox.h"
#include "weft/math.h"

static const double round_magic = 0x1.8p52;     /* adding it rounds |x| < 2^51 to an integer */
static const double ln2_hi = 0x1.62e42fefa2p-1; /* 40 bits: k ln2_hi is exact */
static const double ln2_lo = 0x1.9ef35793c7673p-41;
static const double log2_e = 0x1.71547652b82fep+0;

static double from_bits(uint64_t u) {
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}
static uint64_t to_bits(double x) {
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}
/* 2^k for a normal result */
static double power_of_two(int k) { return from_bits((uint64_t)(1023 + k) << 52); }

/* a * b = p + e exactly (Veltkamp's split, Dekker's product) */
static double two_product(double a, double b, double *e) {
    const double split = 0x1p27 + 1;
    const double p = a * b;
    const double ah = a * split - (a * split - a);
    const double bh = b * split - (b * split - b);
    const double al = a - ah, bl = b - bh;
    *e = ((ah * bh - p) + ah * bl + al * bh) + al * bl;
    return p;
}

/* e^(x + d), |d| tiny: x = k ln2 + r, |r| <= 0.347, series to r^14/14! */
static double exp_sum(double x, double d) {
    if (!(x < 709.79)) return x + (double)INFINITY; /* inf, or the NaN */
    if (x < -745.2) return 0;
    const double k = x * log2_e + round_magic - round_magic;
    const double r = (x - k * ln2_hi) - (k * ln2_lo - d);
    double p = 1;
    for (int n = 14; n > 1; n--) p = 1 + p * r / n;
    p = 1 + (r + r * (p - 1));
    const int half = (int)k / 2; /* two steps: 2^k itself may be out of range */
    return p * power_of_two(half) * power_of_two((int)k - half);
}

/* log x = hi + lo for finite x > 0: x = 2^e m, sqrt(1/2) <= m < sqrt(2), f = m - 1,
 * s = f / (2 + f), log m = 2 atanh s = 2 s + 2 s^3 (1/3 + s^2/5 + ..), |s| <= 0.172. */
static double log_pair(double x, double *lo) {
    int e = 0;
    if (x < 0x1p-1022) {
        x *= 0x1p54;
        e = -54;
    }
    const uint64_t root_half = 0x3fe6a09e667f3bcdu;
    const uint64_t u = to_bits(x) - root_half;
    e += (int)((int64_t)u >> 52);
    const double f = from_bits((u & 0xfffffffffffffu) + root_half) - 1;
    const double den = 2 + f;
    const double s = f / den;
    double err;
    const double back = two_product(s, den, &err);
    const double s_lo = (((f - back) - err) - s * (f - (den - 2))) / den;
    const double z = s * s;
    double p = 0;
    for (int n = 25; n > 1; n -= 2) p = p * z + 1.0 / n;
    const double tail = 2 * (s_lo + s * z * p) + e * ln2_lo;
    const double a = e * ln2_hi, b = 2 * s; /* |a| > |b| or a = 0 */
    const double h = a + b;
    const double rest = (a == 0 ? 0 : b - (h - a)) + tail;
    const double hi = h + rest;
    *lo = rest - (hi - h);
    return hi;
}

double weft_exp(double x) { return exp_sum(x, 0); }

double weft_log(double x) {
    double lo;
    if (x == 0) return -(double)INFINITY;
    if (!(x > 0)) return (double)NAN;
    return x < (double)INFINITY ? log_pair(x, &lo) : x;
}

double weft_pow(double x, double y) {
    if (y == 0 || x == 1) return 1;
    if (!(x >= 0) || y != y) return (double)NAN;
    if (x == 0) return y > 0 ? 0 : (double)INFINITY;
    if (x > 0x1.fffffffffffffp1023) return y > 0 ? x : 0;
    double lo, err;
    const double hi = log_pair(x, &lo);
    const double q = y * hi;
    if (!(q > -800 && q < 800)) return exp_sum(q, 0);
    if (y > 0x1p900 || y < -0x1p900) return exp_sum(q, y * lo); /* no room to split y */
    const double p = two_product(y, hi, &err);
    return exp_sum(p, err + y * lo);
}

/* x = k pi/2 + r, |r| <= pi/4 (pi/2 in pieces of 33 bits, k below 2^20); returns k mod 4. */
static unsigned quarter_turns(double x, double *r) {
    const double k = x * 0x1.45f306dc9c883p-1 + round_magic - round_magic;
    const double a = (x - k * 0x1.921fb544p+0) - k * 0x1.0b4611a6p-34;
    *r = a - k * 0x1.3198a2e037073p-69;
    return (unsigned)(int)k & 3u;
}
static double sin_series(double r) {
    const double z = r * r;
    double p = 1;
    for (int n = 18; n > 3; n -= 2) p = 1 - p * z / (n * (n + 1));
    return r - r * z * p / 6;
}
static double cos_series(double r) {
    const double z = r * r;
    double p = 1;
    for (int n = 18; n > 3; n -= 2) p = 1 - p * z / ((n - 1) * n);
    return 1 - z * p / 2;
}
static double turn(unsigned quarter, double r) {
    const double y = quarter & 1 ? cos_series(r) : sin_series(r);
    return quarter & 2 ? -y : y;
}

double weft_sin(double x) {
    double r;
    if (!(x >= -1e5 && x <= 1e5)) return (double)NAN;
    const unsigned q = quarter_turns(x, &r);
    return turn(q, r);
}
double weft_cos(double x) {
    double r;
    if (!(x >= -1e5 && x <= 1e5)) return (double)NAN;
    const unsigned q = quarter_turns(x, &r);
    return turn(q + 1, r);
}

double weft_sqrt(double x) { return sqrt(x); }

void weft_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    philox_block(counter, key, out);
}
