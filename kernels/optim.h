#ifndef WEFT_KERNELS_OPTIM_H
#define WEFT_KERNELS_OPTIM_H
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#endif
