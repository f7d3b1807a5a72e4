// The double oracles, for C++.
#ifndef WEFT_BENCH_REF_C_H
#define WEFT_BENCH_REF_C_H

#include "bench/weft_c.h"
extern "C" {
#include "kernels/ref/ref_activation.h"
#include "kernels/ref/ref_attention.h"
#include "kernels/ref/ref_layernorm.h"
#include "kernels/ref/ref_loss.h"
#include "kernels/ref/ref_optim.h"
}

#endif
