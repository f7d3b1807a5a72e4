/* Proof of the statistics that trainings record: they are by-products of kernels, so each is
 * compared once with a plain recomputation in double (U1), and their cost is measured (U3). */
#ifndef WEFT_STUDIES_PROVE_H
#define WEFT_STUDIES_PROVE_H

#include "studies/trial.h"

/* One step of the training with everything kept; records deviation, relative to the largest of the
 * value and the sum of magnitudes behind it, of every statistic. */
WEFT_NODISCARD enum weft_status prove_statistics(struct study_run *r,
                                                 const struct trial_spec *spec);
/* Records the time of a step with statistics over one without (kind value). */
WEFT_NODISCARD enum weft_status prove_cost(struct study_run *r, const struct trial_spec *spec);

#endif
