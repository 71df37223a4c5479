/*
** spectral.h -- eigenvectors of graph Laplacians (Belkin and Niyogi, Neural
** Computation 15, 2003; signed: Kunegis et al., SDM 2010) and of adjacency
** matrices, by Chebyshev-filtered subspace iteration (embed/chebyshev.h).
*/
#ifndef DYN_SPECTRAL_H
#define DYN_SPECTRAL_H

#include "core/sparse.h"

typedef enum dyn_laplacian {
  DYN_NORMALISED,  /* I - D^-1/2 A D^-1/2: orthonormal eigenvectors u */
  DYN_RANDOM_WALK, /* I - D^-1 A: D^-1/2 u, scaled to length 1 */
  DYN_ADJACENCY    /* A itself: its largest eigenvalues, descending */
} dyn_laplacian;

typedef struct dyn_spectral_opts {
  dyn_laplacian kind;
  int k;      /* eigenvectors, 1 .. 512 */
  double tol; /* residual at which an eigenvector is accepted, 1e-12 .. 0.1 */
  int cycles; /* of filter and projection, at most */
  uint64_t seed;
} dyn_spectral_opts;

/*
** The k smallest eigenvalues (ascending, lambda (k)) of the Laplacian of the
** symmetric matrix 'adj' and their eigenvectors, x (n,k), both of double. D is
** the sum of |weights|: weights may be negative (signed Laplacian). The constant
** vector of every connected component without negative weights (eigenvalue 0)
** is left out: it says which component a node is in and nothing else. Of
** DYN_ADJACENCY the k largest, descending, all of them. The largest |component|
** of each vector is positive. '*residual' is the largest ||S u - (1 - lambda) u||,
** S = D^-1/2 A D^-1/2, of unit vectors u; for DYN_ADJACENCY ||A u - lambda u||
** over the largest |lambda|.
** With tol >= 5e-6 vectors are found in single precision (orthogonal to about
** 1e-6, lambda exact to about residual^2 over the gap), else in double.
** DYN_ESHAPE: not square; DYN_EVALUE: options, k larger than what is left,
** adj not symmetric; DYN_ENOCONV: not all within tol after the last cycle;
** DYN_ECANCEL. A dense solver does small problems. Same bytes for any number of
** threads. Memory: a copy of adj and 2.5 n k numbers.
*/
DYN_STATUS dyn_spectral(dyn_tensor *x, dyn_tensor *lambda, double *residual,
                        const dyn_csr *adj, const dyn_spectral_opts *o,
                        const dyn_poll *poll, dyn_err *e);

/* Flip the columns of u (n,k) so that the largest |component| is positive, the
** first of equals. */
void dyn_fix_signs(double *u, ptrdiff_t n, ptrdiff_t k);

#endif
