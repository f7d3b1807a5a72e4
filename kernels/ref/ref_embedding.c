#include "kernels/ref/ref_embedding.h"

void ref_embedding_fwd(size_t rows, size_t c, size_t t, size_t pos0, const long *token,
                       const double *wte, const double *wpe, double *out) {
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < c; j++)
            out[r * c + j] =
                wte[(size_t)token[r] * c + j] + (wpe ? wpe[(pos0 + r % t) * c + j] : 0);
}

void ref_embedding_bwd(size_t rows, size_t c, size_t t, size_t pos0, const long *token,
                       const double *dout, double *dwte, double *dwpe) {
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < c; j++) {
            if (dwte) dwte[(size_t)token[r] * c + j] += dout[r * c + j];
            if (dwpe) dwpe[(pos0 + r % t) * c + j] += dout[r * c + j];
        }
}
