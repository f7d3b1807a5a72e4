/* A perceptron at initialisation with Gaussian numbers at both ends: inputs of a given standard
 * deviation, and a gradient of N(0, 1) sent back from its output. Nothing is trained. */
#ifndef WEFT_STUDIES_PROBE_NET_H
#define WEFT_STUDIES_PROBE_NET_H

#include "studies/trial.h"

/* `rows` samples through act(W x) layers; mlp's inputs, hidden, outputs and init are the caller's.
 */
struct trial_spec probe_net_spec(const char *act, size_t rows, const char *init, double std);
/* Records z_rms, z_mean, x_rms, x_mean, delta_rms of each layer, and delta_rms of the output
 * (tensor "output") in the units of the others. */
WEFT_NODISCARD enum weft_status probe_net_run(struct study_run *r, struct trial_spec *spec,
                                              double input_std);

#endif
