/* Reading a program's probes (weft_probe) after a run. */
#ifndef WEFT_RUNTIME_PROBE_H
#define WEFT_RUNTIME_PROBE_H

#include "runtime/graph.h"

struct weft_probe_value {
    const char *kind;
    int layer;
    double value;
};
/* Probe i < p->probes; rows: live samples of the run, 0 for all. */
void weft_probe_read(const weft_program *p, size_t i, size_t rows, struct weft_probe_value *out);

#endif
