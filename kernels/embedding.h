#ifndef WEFT_KERNELS_EMBEDDING_H
#define WEFT_KERNELS_EMBEDDING_H
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#endif
