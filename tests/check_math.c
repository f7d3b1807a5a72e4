/* vec_math.h against libm in double: the largest error in ulp over bit patterns spread over all of
 * f32 (2^17 a function, one in each stratum; --full or WEFT_CHECK=full: 2^24), held to a bound just above what was
 * measured; special values; and the same bits on every ISA. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "kernels/ref/ref_activation.h"
#include "tests/vec_isa.h"

static double phase(double u) { return 6.283185307179586477 * u; }
static double ref_exp(double x) { return exp(x) < 0x1p-126 ? 0 : exp(x); }
static double ref_sin(double u) { return sin(phase(u)); }
static double ref_cos(double u) { return cos(phase(u)); }
#define ACT(name, act)                                                                             \
    static double ref_##name(double z) { return ref_act(act, 0, z); }                              \
    static double ref_d##name(double z) { return ref_dact(act, 0, z); }                            \
    static double size_d##name(double z) { return ref_dact_scale(act, 0, z); }
ACT(tanh, WEFT_ACT_TANH)
ACT(sigmoid, WEFT_ACT_SIGMOID)
ACT(silu, WEFT_ACT_SILU)
ACT(selu, WEFT_ACT_SELU)
ACT(gelu_tanh, WEFT_ACT_GELU_TANH)
ACT(gelu_erf, WEFT_ACT_GELU_ERF)
static double one(double x) { return (void)x, 0.9; }

/* err <= ulps * ulp(size(x)), size = the result unless given, or err <= floor. */
struct function {
    const char *name;
    double (*ref)(double), (*size)(double);
    double lo, hi; /* domain */
    double ulps, floor;
};
static const struct function functions[] = {
    {"exp", ref_exp, NULL, -200, 89, 0.9, 0},
    {"log", log, NULL, -1, INFINITY, 0.9, 0},
    {"tanh", ref_tanh, NULL, -INFINITY, INFINITY, 1.6, 0},
    {"erf", erf, NULL, -INFINITY, INFINITY, 1.4, 0},
    {"sigmoid", ref_sigmoid, NULL, -INFINITY, INFINITY, 2.5, 0x1p-125},
    {"gelu_tanh", ref_gelu_tanh, NULL, -INFINITY, INFINITY, 3.1, 0x1p-121},
    {"gelu_erf", ref_gelu_erf, NULL, -INFINITY, INFINITY, 6.3, 0x1p-121},
    {"dgelu_tanh", ref_dgelu_tanh, size_dgelu_tanh, -INFINITY, INFINITY, 5.6, 0x1p-117},
    {"dgelu_erf", ref_dgelu_erf, size_dgelu_erf, -INFINITY, INFINITY, 4, 0x1p-117},
    {"dtanh", ref_dtanh, size_dtanh, -INFINITY, INFINITY, 3.9, 0x1p-123},
    {"dsigmoid", ref_dsigmoid, size_dsigmoid, -INFINITY, INFINITY, 4.1, 0x1p-125},
    {"silu", ref_silu, NULL, -INFINITY, INFINITY, 3, 0x1p-119},
    {"dsilu", ref_dsilu, size_dsilu, -INFINITY, INFINITY, 4, 0x1p-119},
    {"selu", ref_selu, NULL, -INFINITY, INFINITY, 3, 0},
    {"dselu", ref_dselu, size_dselu, -INFINITY, INFINITY, 2, 0x1p-125},
    {"sin2pi", ref_sin, one, 0, 1, 1.4, 0},
    {"cos2pi", ref_cos, one, 0, 1, 1.4, 0},
};

enum { CHUNK = 1 << 12 };
static uint32_t x[CHUNK], want[CHUNK], got[CHUNK];
static int failures;

static float as_float(uint32_t u) {
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
static double ulp(double v) {
    int e;
    frexp(fmax(fabs(v), 0x1p-126), &e);
    return ldexp(1, e - 24);
}

/* The error of one value over its bound. */
static double error(const struct function *f, float in, float out) {
    const double truth = f->ref((double)in);
    if (isnan(truth)) return isnan(out) ? 0 : INFINITY;
    if (fabs(truth) > 0x1.fffffefp127)
        return (double)out == copysign(INFINITY, truth) ? 0 : INFINITY;
    const double err = fabs((double)out - truth);
    const double bound = fmax(f->ulps * ulp(f->size ? f->size((double)in) : truth), f->floor);
    return isnan(err) ? INFINITY : err / bound;
}

static uint32_t stratum(uint64_t i, uint64_t step) {
    static uint64_t s = 77;
    s = s * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(i * step + (s >> 33) % step);
}

static void sweep(size_t k, const struct vec_isa *const *isa, size_t isas, uint64_t points) {
    const struct function *f = &functions[k];
    double worst = 0;
    float at = 0;
    for (uint64_t done = 0; done < points; done += CHUNK) {
        for (size_t i = 0; i < CHUNK; i++) {
            x[i] = stratum(done + i, (1ull << 32) / points);
            const double v = (double)as_float(x[i]);
            if (v < f->lo || v > f->hi) x[i] = 0x3f000000u;
        }
        for (size_t n = 0; n < isas; n++) {
            uint32_t *out = n ? got : want;
            const struct vec_op *op = &isa[n]->math[k];
            for (size_t i = 0; i < CHUNK; i += isa[n]->vl) op->run(x + i, x, x, out + i);
            for (size_t i = 0; n && i < CHUNK; i++)
                if (got[i] != want[i] && !(isnan(as_float(got[i])) && isnan(as_float(want[i])))) {
                    printf("FAIL %s %s(%a): %#x, emu has %#x\n", isa[n]->name, f->name,
                           (double)as_float(x[i]), got[i], want[i]);
                    failures++;
                    break;
                }
        }
        for (size_t i = 0; i < CHUNK; i++) {
            const double e = error(f, as_float(x[i]), as_float(want[i]));
            if (e > worst) {
                worst = e;
                at = as_float(x[i]);
            }
        }
    }
    printf("%-10s %.2f of %.1f ulp, at %a\n", f->name, worst, f->ulps, (double)at);
    if (!(worst <= 1)) failures++;
}

/* Where the limit or the sign of zero matters. */
static void special(size_t k, const struct vec_isa *v) {
    const float inf = (float)INFINITY, nan = (float)NAN;
    const struct {
        const char *name;
        float in, out;
    } row[] = {{"exp", 0, 1},
               {"exp", -inf, 0},
               {"exp", inf, inf},
               {"exp", nan, nan},
               {"exp", -0x1.5d58ap6F, 0},
               {"exp", 0x1.62e43p6F, inf},
               {"log", 0, -inf},
               {"log", -0.0F, -inf},
               {"log", inf, inf},
               {"log", -1, nan},
               {"log", -inf, nan},
               {"log", nan, nan},
               {"log", 1, 0},
               {"tanh", -0.0F, -0.0F},
               {"tanh", inf, 1},
               {"tanh", -inf, -1},
               {"tanh", nan, nan},
               {"erf", -0.0F, -0.0F},
               {"erf", inf, 1},
               {"erf", -inf, -1},
               {"erf", nan, nan},
               {"sigmoid", inf, 1},
               {"sigmoid", -inf, 0},
               {"sigmoid", 0, 0.5F},
               {"gelu_tanh", 0, 0},
               {"gelu_tanh", -0.0F, -0.0F},
               {"gelu_tanh", -inf, -0.0F},
               {"gelu_tanh", inf, inf},
               {"gelu_tanh", nan, nan},
               {"gelu_erf", 0, 0},
               {"gelu_erf", -0.0F, -0.0F},
               {"gelu_erf", -inf, -0.0F},
               {"gelu_erf", inf, inf},
               {"gelu_erf", nan, nan},
               {"silu", -0.0F, -0.0F},
               {"silu", -inf, -0.0F},
               {"silu", inf, inf},
               {"silu", nan, nan},
               {"dsilu", -inf, 0},
               {"dsilu", inf, 1},
               {"dsilu", 0, 0.5F},
               {"dsilu", nan, nan},
               {"selu", -0.0F, -0.0F},
               {"selu", -inf, (float)(-WEFT_SELU_LAMBDA * WEFT_SELU_ALPHA)},
               {"selu", inf, inf},
               {"selu", nan, nan},
               {"dselu", -inf, 0},
               {"dselu", 0, (float)(WEFT_SELU_LAMBDA * WEFT_SELU_ALPHA)},
               {"dselu", nan, nan},
               {"dgelu_tanh", -inf, 0},
               {"dgelu_tanh", inf, 1},
               {"dgelu_tanh", 0, 0.5F},
               {"dgelu_erf", -inf, 0},
               {"dgelu_erf", inf, 1},
               {"dgelu_erf", nan, nan},
               {"dtanh", 0, 1},
               {"dtanh", inf, 0},
               {"dsigmoid", -inf, 0},
               {"sin2pi", 0, 0},
               {"sin2pi", 0.25F, 1},
               {"sin2pi", 0.75F, -1},
               {"cos2pi", 0, 1},
               {"cos2pi", 0.5F, -1},
               {"cos2pi", 1, 1}};
    for (size_t r = 0; r < sizeof row / sizeof *row; r++) {
        if (strcmp(row[r].name, functions[k].name) != 0) continue;
        uint32_t in[16], out[16];
        for (size_t i = 0; i < 16; i++) memcpy(&in[i], &row[r].in, sizeof row[r].in);
        v->math[k].run(in, in, in, out);
        const float y = as_float(out[v->vl - 1]);
        if (memcmp(&y, &row[r].out, sizeof y) != 0 && !(isnan(y) && isnan(row[r].out))) {
            printf("FAIL %s %s(%g) = %g, want %g\n", v->name, row[r].name, (double)row[r].in,
                   (double)y, (double)row[r].out);
            failures++;
        }
    }
}

int main(int argc, char **argv) {
    const char *const size = getenv("WEFT_CHECK");
    const bool full = (argc > 1 && strcmp(argv[1], "--full") == 0) ||
                      (size != NULL && strcmp(size, "full") == 0);
    const struct vec_isa *isa[8];
    const size_t isas = vec_isas(isa);
    for (size_t k = 0; k < sizeof functions / sizeof *functions; k++) {
        if (strcmp(functions[k].name, isa[0]->math[k].name) != 0) return 1;
        sweep(k, isa, isas, full ? 1 << 24 : 1 << 17);
        for (size_t i = 0; i < isas; i++) special(k, isa[i]);
    }
    return failures != 0;
}
