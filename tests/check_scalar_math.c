/* The library's exp, log, pow, sin and cos against long double libm, and fixed bits: the hash of
 * many results must be the same on every machine. Philox against the vectors published with
 * Random123. */
#include <stdio.h>
#include <string.h>
#include <math.h>
#include "weft/math.h"

static int failures;
static uint64_t hash = 1469598103934665603u;
static uint64_t state = 1;

static double uniform(double lo, double hi) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return lo + (hi - lo) * (double)(state >> 11) * 0x1p-53;
}

static void expect(const char *name, double x, double got, long double want, double bound) {
    const double err = (double)fabsl((long double)got - want);
    if (!(err <= bound)) {
        printf("%s(%.17g) = %.17g, want %.17Lg, error %g > %g\n", name, x, got, want, err, bound);
        failures++;
    }
    uint64_t bits;
    memcpy(&bits, &got, sizeof bits);
    hash = (hash ^ bits) * 1099511628211u;
}
static void relative(const char *name, double x, double got, long double want, double bound) {
    expect(name, x, got, want, bound * (double)fabsl(want) + 0x1p-1074);
}

static void sweep(void) {
    for (int i = 0; i < 40000; i++) {
        double x = uniform(-708, 709.7);
        relative("exp", x, weft_exp(x), expl(x), 4e-16);
        x = weft_exp(uniform(-700, 700));
        relative("log", x, weft_log(x), logl(x), 4e-16);
        x = uniform(0.7, 1.4);
        relative("log", x, weft_log(x), logl(x), 4e-16);
        x = weft_exp(uniform(-5, 5));
        const double y = uniform(-130, 130);
        relative("pow", x, weft_pow(x, y), powl(x, y), 1e-15);
        const double t = (double)(i + 1);
        relative("pow", 0.9999, weft_pow(0.9999, t), powl(0.9999, t), 1e-15);
        x = uniform(-1e5, 1e5);
        expect("sin", x, weft_sin(x), sinl(x), 3e-16);
        expect("cos", x, weft_cos(x), cosl(x), 3e-16);
        x = uniform(-3, 3);
        relative("sin", x, weft_sin(x), sinl(x), 6e-16);
    }
}

static void same(const char *what, double got, double want) {
    if (!(got == want || (isnan(got) && isnan(want)))) {
        printf("%s = %g, want %g\n", what, got, want);
        failures++;
    }
}

static void special(void) {
    const double inf = (double)INFINITY, nan = (double)NAN;
    same("exp(0)", weft_exp(0), 1);
    same("exp(-inf)", weft_exp(-inf), 0);
    same("exp(inf)", weft_exp(inf), inf);
    same("exp(710)", weft_exp(710), inf);
    same("exp(-746)", weft_exp(-746), 0);
    same("exp(nan)", weft_exp(nan), nan);
    same("log(1)", weft_log(1), 0);
    same("log(0)", weft_log(0), -inf);
    same("log(-1)", weft_log(-1), nan);
    same("log(inf)", weft_log(inf), inf);
    same("log(nan)", weft_log(nan), nan);
    relative("log", 0x1p-1074, weft_log(0x1p-1074), logl(0x1p-1074L), 4e-16);
    same("pow(x,0)", weft_pow(0.3, 0), 1);
    same("pow(0,2)", weft_pow(0, 2), 0);
    same("pow(0,-2)", weft_pow(0, -2), inf);
    same("pow(-1,2)", weft_pow(-1, 2), nan);
    same("pow(0.9,1)", weft_pow(0.9, 1), 0.9);
    same("pow(0.5,1e300)", weft_pow(0.5, 1e300), 0);
    same("pow(2,inf)", weft_pow(2, inf), inf);
    same("cos(0)", weft_cos(0), 1);
    same("sin(1e6)", weft_sin(1e6), nan);
    same("sqrt(2)", weft_sqrt(2), 1.4142135623730951);
}

/* kat_vectors of Random123: philox4x32 with 10 rounds */
static void philox(void) {
    static const uint32_t kat[3][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d,
         0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09,
         0x94fdcceb, 0x5001e420, 0x24126ea1},
    };
    for (int i = 0; i < 3; i++) {
        uint32_t out[4];
        weft_philox(kat[i], kat[i] + 4, out);
        if (memcmp(out, kat[i] + 6, sizeof out) != 0) {
            printf("philox vector %d differs\n", i);
            failures++;
        }
    }
}

int main(void) {
    sweep();
    special();
    philox();
    const uint64_t frozen = 0x449b39cdd2c2405au;
    if (hash != frozen) {
        printf("the bits have changed: hash %#018llx\n", (unsigned long long)hash);
        failures++;
    }
    return failures != 0;
}
