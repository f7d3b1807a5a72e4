/* Where AdamW takes weights whose gradients are noise: updates have a mean square of about 1 and no
 * memory, so with S = std^2
 *   dS/dt = -2 eta lambda S + eta^2,   S_t = s + (S_0 - s) e^(-2 eta lambda t),  s = eta/(2 lambda)
 * or S_0 + eta^2 t without decay. For real gradients it is a yardstick, no theorem. */
#ifndef WEFT_STUDIES_EQUILIBRIUM_H
#define WEFT_STUDIES_EQUILIBRIUM_H

#include "studies/trial.h"

#define EQUILIBRIUM_STD 0.02 /* std_0 */

/* A cell: weights that see N(0, 1), decay and beta2 its numbers 0 and 1. */
WEFT_NODISCARD enum weft_status equilibrium_run(struct study_run *r);
/* Such cells against the closed form, and the size of their updates. */
void equilibrium_check(struct study *s, char part);
/* The yardstick over a schedule: std after each number of steps, (schedule->steps + 1). */
double *equilibrium_std(struct study *s, const struct weft_schedule *schedule, double decay);

#endif
