#ifndef WEFT_KERNELS_LAYERNORM_H
#define WEFT_KERNELS_LAYERNORM_H
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#endif
