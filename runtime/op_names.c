#include "runtime/op_names.h"

#include <stddef.h>
#include <string.h>

int weft_act_parse(const char *name) {
    static const char *const names[] = {
        [WEFT_ACT_NONE] = "none",
        [WEFT_ACT_RELU] = "relu",
        [WEFT_ACT_LEAKY_RELU] = "leaky_relu",
        [WEFT_ACT_GELU_TANH] = "gelu_tanh",
        [WEFT_ACT_GELU_ERF] = "gelu_erf",
        [WEFT_ACT_TANH] = "tanh",
        [WEFT_ACT_SIGMOID] = "sigmoid",
        [WEFT_ACT_SILU] = "silu",
        [WEFT_ACT_SELU] = "selu",
    };
    if (name == NULL) return WEFT_ACT_NONE;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0) return (int)i;
    return -1;
}
