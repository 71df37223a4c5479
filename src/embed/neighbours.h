/*
** neighbours.h -- nearest rows of a matrix by cosine, and the cosines
** themselves. Products of blocks in single precision say which rows can be among
** the nearest; only these are compared in double, so that the result is exact.
*/
#ifndef DYN_NEIGHBOURS_H
#define DYN_NEIGHBOURS_H

#include "core/tensor.h"

/*
** For each row q[i] of x (n,d): the k other rows with the largest cosine, best
** first, ties by number. id has (nq, k) items, -1 where there are fewer than k;
** sim is (nq, k) of double. A row of zeros has cosine 0 with everything.
** DYN_ESHAPE: not a matrix; DYN_EVALUE: k < 1, a row outside. Time O(nq n d).
*/
DYN_STATUS dyn_neighbours(int32_t *id, dyn_tensor *sim, const dyn_tensor *x,
                          const int64_t *q, ptrdiff_t nq, ptrdiff_t k,
                          dyn_err *e);
/*
** r (na, nb) of double: cosines of rows a[] and b[] of x; -1 stands for a row of
** zeros. DYN_ESHAPE, DYN_EVALUE.
*/
DYN_STATUS dyn_cosine(dyn_tensor *r, const dyn_tensor *x, const int64_t *a,
                      ptrdiff_t na, const int64_t *b, ptrdiff_t nb, dyn_err *e);

#endif
