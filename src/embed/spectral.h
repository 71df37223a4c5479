/*
** spectral.h -- eigenvectors of graph Laplacians (Belkin and Niyogi, Neural
** Computation 15, 2003; signed: Kunegis et al., SDM 2010), by a block Lanczos
** method with thick restarts (Wu and Simon, SIAM J. Matrix Anal. 22, 2000),
** fully reorthogonalised, with the projected matrix computed as it is.
*/
#ifndef DYN_SPECTRAL_H
#define DYN_SPECTRAL_H

#include "core/sparse.h"

typedef enum dyn_laplacian {
  DYN_NORMALISED, /* I - D^-1/2 A D^-1/2: orthonormal eigenvectors u */
  DYN_RANDOM_WALK /* I - D^-1 A: D^-1/2 u, scaled to length 1 */
} dyn_laplacian;

typedef struct dyn_spectral_opts {
  dyn_laplacian kind;
  int k;      /* eigenvectors, 1 .. 512 */
  double tol; /* residual at which an eigenvector is accepted, 1e-12 .. 0.1 */
  int cycles; /* restarts at most */
  uint64_t seed;
} dyn_spectral_opts;

/*
** The k smallest eigenvalues (ascending, lambda (k)) of the Laplacian of the
** symmetric matrix 'adj' and their eigenvectors, x (n,k), both of double. D is
** the sum of |weights|: weights may be negative (signed Laplacian). The constant
** vector of every connected component without negative weights (eigenvalue 0)
** is left out: it says which component a node is in and nothing else. The
** largest |component| of each vector is positive. '*residual' is the largest
** ||S u - (1 - lambda) u||, S = D^-1/2 A D^-1/2, of unit vectors u.
** DYN_ESHAPE: not square; DYN_EVALUE: options, k larger than what is left,
** adj not symmetric; DYN_ENOCONV: not all within tol after the last restart;
** DYN_ECANCEL. A dense solver does small problems. Same bytes for any number of
** threads. Memory O(n (2 k + 64)).
*/
DYN_STATUS dyn_spectral(dyn_tensor *x, dyn_tensor *lambda, double *residual,
                        const dyn_csr *adj, const dyn_spectral_opts *o,
                        const dyn_poll *poll, dyn_err *e);

/* Flip the columns of u (n,k) so that the largest |component| is positive, the
** first of equals. */
void dyn_fix_signs(double *u, ptrdiff_t n, ptrdiff_t k);

#endif
