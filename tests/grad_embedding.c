/* ref_embedding_bwd is the derivative of ref_embedding_fwd, for repeated tokens too. */
#include "kernels/ref/ref_embedding.h"
#include "tests/support/fd.h"

enum { R = 6, C = 3, T = 3, P = 1, V = 5 };
static const long token[R] = {1, 4, 1, 0, 4, 1};
static double wte[V * C], wpe[(P + T) * C], w[R * C], out[R * C], dwte[V * C], dwpe[(P + T) * C];

static double loss(void *user) {
    (void)user;
    ref_embedding_fwd(R, C, T, P, token, wte, wpe, out);
    return fd_dot(w, out, R * C);
}

int main(void) {
    fd_fill(wte, V * C);
    fd_fill(wpe, (P + T) * C);
    fd_fill(w, R * C);
    ref_embedding_bwd(R, C, T, P, token, w, dwte, dwpe);
    fd_check("dwte", wte, V * C, dwte, loss, 0);
    fd_check("dwpe", wpe, (P + T) * C, dwpe, loss, 0);
    return fd_report();
}
