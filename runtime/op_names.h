/* Names that users give and enums that kernels take. */
#ifndef WEFT_RUNTIME_OP_NAMES_H
#define WEFT_RUNTIME_OP_NAMES_H

#include "kernels/activation.h"

/* enum weft_act of a name (NULL: none), -1 when there is no such activation. */
int weft_act_parse(const char *name);

#endif
