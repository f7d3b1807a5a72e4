/* What the bounds of the f32 kernels are made of: each oracle's header has those of its family.
 * They hold for inputs that are exact; all are absolute, per element. */
#ifndef WEFT_REF_BOUND_H
#define WEFT_REF_BOUND_H

#define REF_U    0x1p-24  /* unit roundoff of f32 */
#define REF_TINY 0x1p-126 /* its smallest normal number */

/* A true value, and how far a computed one may be from it. */
struct ref_value {
    double want, tol;
};

#endif
