/* What theory says about variance, in double: second moments of activations under a Gaussian.
 *
 *   c(q) = E[f(sqrt(q) z)^2]/q    d(q) = E[f'(sqrt(q) z)^2]    z ~ N(0, 1)
 *   q' = gain q c(q), gain = fan_in sigma^2      one layer forward
 *
 * by adaptive Gauss-Kronrod quadrature split at 0, where ReLU and its kin have their kink. */
#ifndef WEFT_STUDIES_THEORY_H
#define WEFT_STUDIES_THEORY_H

#include <stddef.h>

/* The activations of studies, with the names of weft/graph.h; NULL past the last one. */
const char *theory_act_name(size_t i);
double theory_act(const char *act, double z);   /* f(z); NaN for an unknown name */
double theory_slope(const char *act, double z); /* f'(z) */

struct theory_moments {
    double c, d;
    double mean, var; /* of f */
    double kurt_f;    /* E[f^4]/E[f^2]^2 - 1: n times the relative variance of a mean of f^2 */
    double kurt_d;    /* the same of f' */
};
struct theory_moments theory_moments_at(const char *act, double q);
double theory_c(const char *act, double q);
double theory_d(const char *act, double q);
/* q after so many layers of gain = fan_in sigma^2. */
double theory_depth(const char *act, double gain, double q, size_t layers);

/* E[f] for any function of a standard normal variable. */
double theory_expect(double (*f)(double z, const void *arg), const void *arg);

#endif
