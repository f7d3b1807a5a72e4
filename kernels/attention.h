#ifndef WEFT_KERNELS_ATTENTION_H
#define WEFT_KERNELS_ATTENTION_H
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#endif
