/* ref_attention_bwd is the derivative of ref_attention_fwd, causal and not. */
#include "kernels/ref/ref_attention.h"
#include "tests/support/fd.h"

enum { T = 5, HS = 3, N = T * HS };
static double q[N], k[N], v[N], w[N], y[N], lse[T], smax[T], dq[N], dk[N], dv[N];
static const double scale = 0.6;

static double loss(void *causal) {
    ref_attention_fwd(T, HS, q, k, v, scale, causal != 0, y, lse, smax);
    return fd_dot(w, y, N);
}

int main(void) {
    static char yes;
    fd_fill(q, N);
    fd_fill(k, N);
    fd_fill(v, N);
    fd_fill(w, N);
    for (int causal = 0; causal < 2; causal++) {
        void *user = causal ? &yes : 0;
        loss(user);
        ref_attention_bwd(T, HS, q, k, v, y, lse, w, scale, causal, dq, dk, dv);
        fd_check("dq", q, N, dq, loss, user);
        fd_check("dk", k, N, dk, loss, user);
        fd_check("dv", v, N, dv, loss, user);
    }
    return fd_report();
}
