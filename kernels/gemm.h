#ifndef WEFT_KERNELS_GEMM_H
#define WEFT_KERNELS_GEMM_H
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#endif
