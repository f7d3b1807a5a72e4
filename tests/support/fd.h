/* Gradients of the double oracles against finite differences (testing of the mathematics; rounding
 * is tested by check_*.c). L = sum_i w_i f_i(x) with random w, never all ones.
 *
 *   static double loss(void *user) { evaluate f with the current x; return fd_dot(w, f, n); }
 *   fd_check("dx", x, n, dx, loss, user);      // perturbs x, restores it
 *   return fd_report();                         // from main: 0 when every call agreed */
#ifndef WEFT_FD_H
#define WEFT_FD_H
#include <stddef.h>

typedef double fd_loss(void *user);

/* grad (n) against a 4-point stencil of loss over x (n), for three steps h, the best agreement
 * counts: |difference| <= 1e-8 (1 + largest |grad|). Fails, too, when every grad is 0. */
void fd_check(const char *what, double *x, size_t n, const double *grad, fd_loss *loss, void *user);
double fd_dot(const double *w, const double *f, size_t n);
/* N(0,1) values, a fixed sequence over the program. */
void fd_fill(double *x, size_t n);
int fd_report(void);

#endif
