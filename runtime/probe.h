/* Reading a program's probes (weft_probe) after a run. */
#ifndef WEFT_RUNTIME_PROBE_H
#define WEFT_RUNTIME_PROBE_H

#include "runtime/graph.h"

struct weft_probe_value {
    const char *kind;
    int layer;
    double value;
};
/* rows: live samples of the run, 0 for all. Returns how many there are; writes at most max. */
size_t weft_probe_values(const weft_program *p, size_t rows, struct weft_probe_value *out,
                         size_t max);

#endif
