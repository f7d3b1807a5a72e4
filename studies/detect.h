/* Verdicts over a loss curve.
 *
 *   feasible   every planned loss is there and finite, and the mean of the last 5% is below
 *              0.98 min(loss_0, base); base is what a model without knowledge reaches (ln classes,
 *              or the unigram entropy of a text)
 *   rising     E_t - min_{s<=t} E_s > max(0.05, 3 * 1.4826 MAD(loss - E)) for some t, E the moving
 *              average of the loss with a half-life of 10 steps; a loss that is not finite rises
 *   lr*        the feasible rate with the lowest final validation loss
 *   edge       the next rate of the grid above lr* is infeasible or rising
 *   steps to x the first t with E_t <= x */
#ifndef WEFT_STUDIES_DETECT_H
#define WEFT_STUDIES_DETECT_H

#include <stdbool.h>
#include <stddef.h>

struct detect_curve {
    bool feasible, rising;
    size_t first_rise; /* step; planned when it does not rise */
    bool early;        /* in the first 5% of the planned steps */
    double end;        /* mean of the last 5%; infinity when a loss is missing or not finite */
};
/* loss (n), of which n <= planned were reached. */
struct detect_curve detect_look(const double *loss, size_t n, size_t planned, double base);

/* E_t of a curve, (n). */
void detect_smooth(const double *loss, size_t n, double *out);
/* The first t with E_t <= x, as a number; infinity when it is never reached. */
double detect_steps_to(const double *loss, size_t n, double x);

struct detect_sweep {
    size_t best; /* index of lr*; n when no rate is feasible */
    bool has_edge, edge;
};
/* Rates ascending; val: final validation losses. */
struct detect_sweep detect_best(const struct detect_curve *curve, const double *val, size_t n);

#endif
