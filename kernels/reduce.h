#ifndef WEFT_KERNELS_REDUCE_H
#define WEFT_KERNELS_REDUCE_H
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#endif
