/*
** krylov.h -- private to embed: the largest eigenvalues of a symmetric operator
** from the space that it makes of a few random vectors: block Lanczos with full
** orthogonalisation (Golub and Underwood 1977) and thick restarts (Wu and Simon,
** SIAM J. Matrix Anal. Appl. 22, 2000).
*/
#ifndef DYN_KRYLOV_H
#define DYN_KRYLOV_H

#include "core/tensor.h"

enum {
  DYN_BLOCK = 16 /* vectors that an operator is given at a time */
};

/*
** y = f(x), both (n, DYN_BLOCK), dense, of 'type'; x may be overwritten. 'good':
** is a pair of value 'mu' and that residual accurate enough?
*/
typedef struct dyn_operator {
  ptrdiff_t n;
  dyn_type type;
  void *self;
  dyn_status (*apply)(void *self, void *y, void *x, dyn_err *e);
  bool (*good)(const void *self, double mu, double residual);
} dyn_operator;

typedef struct dyn_krylov_opts {
  int k;          /* pairs that must be good */
  ptrdiff_t out;  /* pairs given, at least k */
  ptrdiff_t most; /* vectors of the space: k + DYN_BLOCK or more, of which
                  ** DYN_BLOCK is a divisor */
  int cycles;     /* until it is full, at most */
  uint64_t seed;
} dyn_krylov_opts;

/*
** The first 'out' columns of x (n, as many or more) become the vectors of the
** largest values, orthonormal to the precision of op->type; mu ('out') those
** values, descending, once k are good or the cycles are done. DYN_ENOMEM; DYN_ECANCEL.
** Same bytes for any number of threads. Memory n 'most' elements.
*/
DYN_STATUS dyn_krylov(dyn_tensor *x, double *mu, const dyn_operator *op,
                      const dyn_krylov_opts *o, const dyn_poll *poll,
                      dyn_err *e);

#endif
