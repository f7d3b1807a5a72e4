/* ref_attention_bwd is the derivative of ref_attention_fwd, causal and not, with dropout and not.
 */
#include "kernels/ref/ref_attention.h"
#include "tests/support/fd.h"

enum { T = 5, HS = 3, N = T * HS };
static double q[N], k[N], v[N], w[N], y[N], lse[T], smax[T], dq[N], dk[N], dv[N];
static const double scale = 0.6;
struct how {
    bool causal;
    const double *factor;
};

static double loss(void *user) {
    const struct how *h = user;
    ref_attention_fwd(T, HS, q, k, v, h->factor, scale, h->causal, y, lse, smax);
    return fd_dot(w, y, N);
}

int main(void) {
    static double factor[T * T];
    for (size_t i = 0; i < (size_t)T * T; i++) factor[i] = i % 3 ? 1.5 : 0;
    fd_fill(q, N);
    fd_fill(k, N);
    fd_fill(v, N);
    fd_fill(w, N);
    for (int i = 0; i < 4; i++) {
        struct how h = {i % 2, i / 2 ? factor : NULL};
        loss(&h);
        ref_attention_bwd(T, HS, q, k, v, h.factor, y, lse, w, scale, h.causal, dq, dk, dv);
        fd_check("dq", q, N, dq, loss, &h);
        fd_check("dk", k, N, dk, loss, &h);
        fd_check("dv", v, N, dv, loss, &h);
    }
    return fd_report();
}
