#ifndef WEFT_KERNELS_LOSS_H
#define WEFT_KERNELS_LOSS_H
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#endif
