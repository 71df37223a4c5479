/*
** matfun.h -- functions of small square matrices (double, r x r), in the forms
** that low-rank operators need: none divides by M, so none minds a singular M.
** Private to koopman/.
*/
#ifndef DYN_MATFUN_H
#define DYN_MATFUN_H

#include "core/tensor.h"

/*
** phi_k(M) = sum_j M^j / (j + k)!: e = exp(M), p1 = (exp(M) - I) M^-1, p2 the
** next; any of the three may be NULL. Scaling until the 1-norm is at most 1/2,
** a polynomial of degree 14, and squaring (operators.md, section 2; Higham,
** Functions of Matrices, 2008, section 10.7). Time O(r^3 log norm).
*/
DYN_STATUS dyn_phi(dyn_tensor *e, dyn_tensor *p1, dyn_tensor *p2,
                   const dyn_tensor *m, dyn_err *err);
/*
** g(M) = log(I + M) M^-1, I at 0: square roots (Denman and Beavers) until M is
** small, g(M) = 2 g(N) (2 I + N)^-1 with I + N = (I + M)^1/2, then the series.
** DYN_EVALUE: an eigenvalue of I + M is zero or negative; DYN_ENOCONV.
*/
DYN_STATUS dyn_log_over(dyn_tensor *g, const dyn_tensor *m, dyn_err *err);
/* ((I + M)^t - I) M^-1, t I at 0. Errors of dyn_log_over. */
DYN_STATUS dyn_power_over(dyn_tensor *q, const dyn_tensor *m, double t,
                          dyn_err *err);
/* (I + M)^-1. DYN_EVALUE: the smallest singular value is below 1e-6. */
DYN_STATUS dyn_inverse_plus(dyn_tensor *q, const dyn_tensor *m, dyn_err *err);

/* c = a b (each transposed if said), new. */
DYN_STATUS dyn_mm(dyn_tensor *c, const dyn_tensor *a, bool ta,
                  const dyn_tensor *b, bool tb, dyn_err *err);
DYN_STATUS dyn_identity(dyn_tensor *r, ptrdiff_t n, double v, dyn_err *err);
/* m += v I */
void dyn_shift_(dyn_tensor *m, double v);
void dyn_scale_(dyn_tensor *m, double v);

#endif
