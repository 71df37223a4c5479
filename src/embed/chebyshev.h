/*
** chebyshev.h -- private to embed: the largest eigenvalues of a large sparse
** symmetric matrix by Chebyshev-filtered subspace iteration (Zhou, Saad, Tiago
** and Chelikowsky, J. Comput. Phys. 219, 2006). What is not wanted is damped by
** a polynomial of the matrix, 16 vectors at a time, so that nearly all of the
** work is sparse products and the rest is a few matrix products; eigenvectors
** that are good enough are locked. The start is a Krylov space of such a
** polynomial, which mostly leaves nothing to do.
*/
#ifndef DYN_CHEBYSHEV_H
#define DYN_CHEBYSHEV_H

#include "core/tensor.h"

enum {
  DYN_PANEL = 16 /* vectors of a sparse product */
};

/*
** S (n,n), symmetric, of spectral norm at most 1, as compressed rows; 'val' is
** of 'type', which is also the precision of the work. Rows part[i] ..
** part[i+1]-1 hold a known eigenvector t (zeros: none), of length 1 over that
** range, which is left out of the results.
*/
typedef struct dyn_symmetric {
  ptrdiff_t n;
  dyn_type type;
  int64_t *start;
  int32_t *col;
  void *val;
  double *t;
  int64_t *part;
  int32_t parts;
} dyn_symmetric;

typedef struct dyn_chebyshev_opts {
  int k;          /* eigenvectors */
  ptrdiff_t rank; /* n without the known eigenvectors; at least k */
  double tol;     /* largest ||S u - theta u|| */
  bool relative;  /* ... as a share of the largest eigenvalue */
  int cycles;     /* of filter and projection, at most */
  uint64_t seed;
} dyn_chebyshev_opts;

/*
** The k largest eigenvalues theta (k), descending, and their eigenvectors x
** (n,k), both of double, orthonormal to the precision of s->type. DYN_ENOCONV;
** DYN_ECANCEL; DYN_ENOMEM. Same bytes for any number of threads. Memory about
** 5 n k elements.
*/
DYN_STATUS dyn_chebyshev(dyn_tensor *x, dyn_tensor *theta,
                         const dyn_symmetric *s, const dyn_chebyshev_opts *o,
                         const dyn_poll *poll, dyn_err *e);

#endif
