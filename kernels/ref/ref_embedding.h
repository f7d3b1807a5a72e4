/* Embedding in double; rows are positions of a (b, t) batch, row r at position pos0 + r % t. */
#ifndef WEFT_REF_EMBEDDING_H
#define WEFT_REF_EMBEDDING_H
#include <stddef.h>

/* out (rows, c) = wte[token] + wpe[position]; wpe NULL: none. */
void ref_embedding_fwd(size_t rows, size_t c, size_t t, size_t pos0, const long *token,
                       const double *wte, const double *wpe, double *out);
/* dwte (v, c) += , dwpe (.., c) += ; each may be NULL. */
void ref_embedding_bwd(size_t rows, size_t c, size_t t, size_t pos0, const long *token,
                       const double *dout, double *dwte, double *dwpe);
#endif
