/* See theory.h. */
#include "studies/theory.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_integration.h>
#include <gsl/gsl_math.h>
#include <math.h>
#include <string.h>

#define EDGE       14.0 /* beyond it the normal density is below 1e-43 */
#define INTERVALS  2000
#define LEAKY      0.01
#define SELU_SCALE 1.0507009873554804934 /* Klambauer et al. 2017 */
#define SELU_ALPHA 1.6732632423543772848

/* ---- activations ---- */
static double logistic(double z) { return 1 / (1 + exp(-z)); }
static double gauss(double z) { return M_SQRT1_2 * M_2_SQRTPI / 2 * exp(-z * z / 2); }
static double gauss_cdf(double z) { return 0.5 * erfc(-z * M_SQRT1_2); }
static double gelu_inner(double z) { return M_SQRT2 * M_2_SQRTPI / 2 * (z + 0.044715 * z * z * z); }

static double linear(double z) { return z; }
static double linear_slope(double z) { return 1 + 0 * z; }
static double relu(double z) { return z > 0 ? z : 0; }
static double relu_slope(double z) { return z > 0; }
static double leaky(double z) { return z > 0 ? z : LEAKY * z; }
static double leaky_slope(double z) { return z > 0 ? 1 : LEAKY; }
static double gelu_erf(double z) { return z * gauss_cdf(z); }
static double gelu_erf_slope(double z) { return gauss_cdf(z) + z * gauss(z); }
static double gelu_tanh(double z) { return z / 2 * (1 + tanh(gelu_inner(z))); }
static double gelu_tanh_slope(double z) {
    const double t = tanh(gelu_inner(z));
    const double inner = M_SQRT2 * M_2_SQRTPI / 2 * (1 + 3 * 0.044715 * z * z);
    return (1 + t) / 2 + z / 2 * (1 - t * t) * inner;
}
static double silu(double z) { return z * logistic(z); }
static double silu_slope(double z) { return logistic(z) * (1 + z * logistic(-z)); }
static double tanh_slope(double z) { return 1 / (cosh(z) * cosh(z)); }
static double sigmoid_slope(double z) { return logistic(z) * logistic(-z); }
static double selu(double z) { return SELU_SCALE * (z > 0 ? z : SELU_ALPHA * expm1(z)); }
static double selu_slope(double z) { return SELU_SCALE * (z > 0 ? 1 : SELU_ALPHA * exp(z)); }

static const struct act {
    const char *name;
    double (*f)(double), (*slope)(double);
} acts[] = {
    {"none", linear, linear_slope},
    {"relu", relu, relu_slope},
    {"leaky_relu", leaky, leaky_slope},
    {"gelu_erf", gelu_erf, gelu_erf_slope},
    {"gelu_tanh", gelu_tanh, gelu_tanh_slope},
    {"silu", silu, silu_slope},
    {"tanh", tanh, tanh_slope},
    {"sigmoid", logistic, sigmoid_slope},
    {"selu", selu, selu_slope},
};
#define ACTS (sizeof acts / sizeof *acts)

const char *theory_act_name(size_t i) { return i < ACTS ? acts[i].name : NULL; }

static const struct act *find(const char *name) {
    for (size_t i = 0; i < ACTS; i++)
        if (strcmp(acts[i].name, name) == 0) return &acts[i];
    return NULL;
}

double theory_act(const char *act, double z) {
    const struct act *const a = find(act);
    return a == NULL ? (double)NAN : a->f(z);
}

double theory_slope(const char *act, double z) {
    const struct act *const a = find(act);
    return a == NULL ? (double)NAN : a->slope(z);
}

/* ---- quadrature ---- */
struct integrand {
    double (*f)(double z, const void *arg);
    const void *arg;
};

static double weighted(double z, void *p) {
    const struct integrand *const i = p;
    return gauss(z) * i->f(z, i->arg);
}

double theory_expect(double (*f)(double z, const void *arg), const void *arg) {
    struct integrand i = {f, arg};
    const gsl_function g = {weighted, &i};
    gsl_integration_workspace *const room = gsl_integration_workspace_alloc(INTERVALS);
    if (room == NULL) return (double)NAN;
    gsl_error_handler_t *const before =
        gsl_set_error_handler_off(); /* roundoff is no reason to abort */
    double sum = 0;
    for (int side = 0; side < 2; side++) {
        double part, error;
        gsl_integration_qag(&g, side ? 0 : -EDGE, side ? EDGE : 0, 1e-13, 1e-13, INTERVALS,
                            GSL_INTEG_GAUSS31, room, &part, &error);
        sum += part;
    }
    gsl_set_error_handler(before);
    gsl_integration_workspace_free(room);
    return sum;
}

struct power { /* (f or f')(scale z)^n */
    double (*f)(double);
    double scale;
    int n;
};

static double power(double z, const void *arg) {
    const struct power *const p = arg;
    return gsl_pow_int(p->f(p->scale * z), p->n);
}

static double moment(double (*f)(double), double q, int n) {
    const struct power p = {f, sqrt(q), n};
    return theory_expect(power, &p);
}

struct theory_moments theory_moments_at(const char *act, double q) {
    const struct act *const a = find(act);
    struct theory_moments m = {(double)NAN, (double)NAN, (double)NAN,
                               (double)NAN, (double)NAN, (double)NAN};
    if (a == NULL) return m;
    const double f2 = moment(a->f, q, 2), d2 = moment(a->slope, q, 2);
    m.c = f2 / q;
    m.d = d2;
    m.mean = moment(a->f, q, 1);
    m.var = f2 - m.mean * m.mean;
    m.kurt_f = moment(a->f, q, 4) / (f2 * f2) - 1;
    m.kurt_d = moment(a->slope, q, 4) / (d2 * d2) - 1;
    return m;
}

double theory_c(const char *act, double q) {
    const struct act *const a = find(act);
    return a == NULL ? (double)NAN : moment(a->f, q, 2) / q;
}

double theory_d(const char *act, double q) {
    const struct act *const a = find(act);
    return a == NULL ? (double)NAN : moment(a->slope, q, 2);
}

double theory_depth(const char *act, double gain, double q, size_t layers) {
    for (size_t l = 0; l < layers; l++) q *= gain * theory_c(act, q);
    return q;
}
