/* weft: train and run neural networks on CPUs, fast and with the same bits everywhere. */
#ifndef WEFT_WEFT_H
#define WEFT_WEFT_H

#include "weft/status.h"
#include "weft/context.h"
#include "weft/math.h"
#include "weft/matmul.h"
#include "weft/graph.h"
#include "weft/model.h"
#include "weft/generate.h"

#endif
