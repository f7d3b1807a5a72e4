/* The playbook's advice on Adam: tune the rate, then beta1, eps, beta2, each over a few values with
 * the numbers before it at their best. On MNIST, 784-256-256-10. */
#ifndef WEFT_STUDIES_ADAM_TUNING_H
#define WEFT_STUDIES_ADAM_TUNING_H

#include "studies/trial.h"

#define TUNING_TRIALS 18
/* A cell, arm "tuning": all trials, of so many steps each. */
WEFT_NODISCARD enum weft_status tuning_run(struct study_run *r, uint64_t steps);
void tuning_report(struct study *s, char part);
void tuning_draw(struct study *s, char part);

#endif
