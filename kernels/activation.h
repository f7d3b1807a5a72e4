#ifndef WEFT_KERNELS_ACTIVATION_H
#define WEFT_KERNELS_ACTIVATION_H
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#endif
