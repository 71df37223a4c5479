/*
** linalg.h -- the one door to BLAS and LAPACK. They run with one thread, over
** tiles of fixed size in our own parallel loop: the bits of a result depend on
** the sizes of its operands, never on the number of threads.
*/
#ifndef DYN_LINALG_H
#define DYN_LINALG_H

#include "core/tensor.h"

/* "OpenBLAS 0.3.21 SkylakeX": library and core type, for manifests. */
const char *dyn_blas_config(void);
/* Threads of the library's own loops; at least 1. */
void dyn_set_threads(int n);
int dyn_get_threads(void);

/*
** r = a b. 2-d by 2-d, (n,k)(k,m) -> (n,m); 2-d by 1-d; 3-d by 3-d with equal
** (or 1) first size: a batch. Transposed views cost nothing. DYN_ESHAPE.
*/
DYN_STATUS dyn_matmul(dyn_tensor *r, const dyn_tensor *a, const dyn_tensor *b,
                      dyn_err *e);
/*
** c = alpha a b + beta c; c dense; matrices, or batches of them (3-d, first
** sizes equal or 1). Where c has one slice and a or b more, their products are
** added, in order: the adjoint of a broadcast batch.
*/
DYN_STATUS dyn_gemm_(dyn_tensor *c, double alpha, const dyn_tensor *a,
                     const dyn_tensor *b, double beta, dyn_err *e);

/* Thin QR of a (n,k), n >= k: q (n,k), r (k,k) upper, diagonal >= 0. */
DYN_STATUS dyn_qr(dyn_tensor *q, dyn_tensor *r, const dyn_tensor *a,
                  dyn_err *e);
/*
** Thin SVD a = u diag(s) v', s descending; u (n,k), s (k), v (m,k), k =
** min(n,m). The largest |component| of each column of u is positive.
*/
DYN_STATUS dyn_svd(dyn_tensor *u, dyn_tensor *s, dyn_tensor *v,
                   const dyn_tensor *a, dyn_err *e);
/* Eigenvalues (ascending) and vectors (columns) of a symmetric matrix; the sign
** rule of dyn_svd. */
DYN_STATUS dyn_eigh(dyn_tensor *w, dyn_tensor *v, const dyn_tensor *a,
                    dyn_err *e);
/* Eigenvalues of a general matrix, real and imaginary parts (n). */
DYN_STATUS dyn_eigvals(dyn_tensor *re, dyn_tensor *im, const dyn_tensor *a,
                       dyn_err *e);
/*
** The same with right (columns of r) and left (of l) eigenvectors, unit norm; a
** complex pair takes two columns, real and imaginary part, in both.
*/
DYN_STATUS dyn_eig(dyn_tensor *re, dyn_tensor *im, dyn_tensor *r, dyn_tensor *l,
                   const dyn_tensor *a, dyn_err *e);
/* x with a x = b, a (n,n), b (n) or (n,m). DYN_EVALUE: singular. */
DYN_STATUS dyn_solve(dyn_tensor *x, const dyn_tensor *a, const dyn_tensor *b,
                     dyn_err *e);
/* Lower l with l l' = a. DYN_EVALUE: not positive definite. */
DYN_STATUS dyn_cholesky(dyn_tensor *l, const dyn_tensor *a, dyn_err *e);

#endif
