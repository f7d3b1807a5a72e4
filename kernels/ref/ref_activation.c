/* Activations by their textbook formulas, with the tails written so that double keeps its relative
 * accuracy there (erfc and exp of negative arguments, never 1 - something close to 1). */
#include "kernels/ref/ref_activation.h"
#include <math.h>

static const double sqrt_2_pi = 0.79788456080286535588; /* sqrt(2/pi) */
static const double cubic = 0.044715;

static double logistic(double z) { return z < 0 ? exp(z) / (1 + exp(z)) : 1 / (1 + exp(-z)); }
static double dlogistic(double z) {
    const double e = exp(-fabs(z));
    return e / ((1 + e) * (1 + e));
}
static double normal_cdf(double z) { return 0.5 * erfc(-z * sqrt(0.5)); }
static double normal_pdf(double z) { return 0.5 * sqrt_2_pi * exp(-0.5 * z * z); }

/* x times something that is 0 for large |x|, so that inf * 0 is 0 */
static double damped(double z, double f) { return f == 0 && !isnan(z) ? copysign(0.0, z) : z * f; }

static double gelu_arg(double z) { return 2 * sqrt_2_pi * (z + cubic * z * z * z); }
static double gelu_darg(double z) { return 2 * sqrt_2_pi * (1 + 3 * cubic * z * z); }

double ref_act(enum weft_act act, double slope, double z) {
    switch (act) {
    case WEFT_ACT_NONE: return z;
    case WEFT_ACT_RELU: return z <= 0 ? 0 : z;
    case WEFT_ACT_LEAKY_RELU: return z < 0 ? slope * z : z;
    case WEFT_ACT_GELU_TANH: return damped(z, logistic(gelu_arg(z)));
    case WEFT_ACT_GELU_ERF: return damped(z, normal_cdf(z));
    case WEFT_ACT_TANH: return tanh(z);
    case WEFT_ACT_SIGMOID: return logistic(z);
    case WEFT_ACT_SILU: return damped(z, logistic(z));
    case WEFT_ACT_SELU:
        return WEFT_SELU_LAMBDA * (z > 0 ? z : WEFT_SELU_ALPHA * expm1(z));
    case WEFT_ACTS: break;
    }
    return NAN;
}

/* The two terms of f' where it is a sum. */
static void dact_terms(enum weft_act act, double slope, double z, double term[2]) {
    term[1] = 0;
    switch (act) {
    case WEFT_ACT_NONE: term[0] = 1; return;
    case WEFT_ACT_RELU: term[0] = z <= 0 ? 0 : 1; return;
    case WEFT_ACT_LEAKY_RELU: term[0] = z <= 0 ? slope : 1; return;
    case WEFT_ACT_GELU_TANH: {
        const double s = dlogistic(gelu_arg(z));
        term[0] = logistic(gelu_arg(z));
        term[1] = s == 0 ? 0 : z * s * gelu_darg(z);
        return;
    }
    case WEFT_ACT_GELU_ERF:
        term[0] = normal_cdf(z);
        term[1] = damped(z, normal_pdf(z));
        return;
    case WEFT_ACT_TANH: term[0] = 4 * dlogistic(2 * z); return;
    case WEFT_ACT_SIGMOID: term[0] = dlogistic(z); return;
    case WEFT_ACT_SILU:
        term[0] = logistic(z);
        term[1] = damped(z, dlogistic(z));
        return;
    case WEFT_ACT_SELU:
        term[0] = WEFT_SELU_LAMBDA * (z > 0 ? 1 : WEFT_SELU_ALPHA * exp(z));
        return;
    case WEFT_ACTS: break;
    }
    term[0] = NAN;
}

double ref_dact(enum weft_act act, double slope, double z) {
    double term[2];
    dact_terms(act, slope, z, term);
    return term[0] + term[1];
}

double ref_dact_scale(enum weft_act act, double slope, double z) {
    double term[2];
    dact_terms(act, slope, z, term);
    return fmax(fabs(term[0]), fabs(term[1]));
}
