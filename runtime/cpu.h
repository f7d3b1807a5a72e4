/* CPU detection and ISA table choice. */
#ifndef WEFT_RUNTIME_CPU_H
#define WEFT_RUNTIME_CPU_H

#include "kernels/kernels.h"

/* The tables of this build, worst first; returns how many (at most max). */
size_t weft_tables(const struct weft_kernels **out, size_t max);
/* Can this CPU and operating system run the table of that name? */
bool weft_cpu_can(const char *isa);

#endif
