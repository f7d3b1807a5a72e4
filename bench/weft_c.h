// weft's own C headers, for C++.
#ifndef WEFT_BENCH_WEFT_C_H
#define WEFT_BENCH_WEFT_C_H

#define restrict __restrict
extern "C" {
#include "kernels/kernels.h"
#include "runtime/cpu.h"
}
#undef restrict
#include "weft/weft.h"

#endif
