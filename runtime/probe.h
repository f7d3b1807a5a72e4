/* Kinds of probes; see weft_probe in weft/graph.h. */
#ifndef WEFT_RUNTIME_PROBE_H
#define WEFT_RUNTIME_PROBE_H

#include "runtime/graph.h"

#define WEFT_PROBE_VALUES 6 /* most values of a probe */

/* Values of probe i of the last run with statistics; returns how many. rows: live samples of that
 * run, 0 for all. */
size_t weft_probe_read(const weft_program *p, size_t i, size_t rows,
                       struct weft_probe_value out[WEFT_PROBE_VALUES]);

#endif
