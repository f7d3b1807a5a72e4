/* An activation alone, through the real forward and backward kernels. */
#ifndef WEFT_STUDIES_PIPE_H
#define WEFT_STUDIES_PIPE_H

#include "weft/weft.h"

struct pipe {
    weft_graph *graph;
    weft_program *program;
    size_t n;
    float *z;            /* (n), to be filled */
    const float *y, *dz; /* (n): act(z) and act'(z), after pipe_run */
};
WEFT_NODISCARD enum weft_status pipe_open(weft_ctx *ctx, const char *act, size_t n,
                                          struct pipe *out);
WEFT_NODISCARD enum weft_status pipe_run(struct pipe *p);
void pipe_close(struct pipe *p);

#endif
