#ifndef WEFT_KERNELS_RANDOM_H
#define WEFT_KERNELS_RANDOM_H
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#endif
