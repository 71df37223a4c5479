/*
** order.h -- what looks at the order of elements along a dimension: sorting,
** selection, quantiles, running sums; and gathering by position, scattering,
** choosing by a mask.
**
** Positions are tensors of double, from 0. 'dim' is 0-based; a scalar is a
** line of one element, of dimension 0. NaN sorts last, in both directions.
*/
#ifndef DYN_ORDER_H
#define DYN_ORDER_H

#include "core/tensor.h"

/*
** Every line along 'dim' in ascending or descending order: values in 'v',
** where they were in 'at' (either may be NULL); equal values keep their order.
** -0 sorts as, and becomes, 0. Radix sort: time O(n), memory O(longest line).
*/
DYN_STATUS dyn_sort(dyn_tensor *v, dyn_tensor *at, const dyn_tensor *a, int dim,
                    bool descending, dyn_err *e);
/*
** The k largest (or smallest) of every line, best first; ties by position.
** 'at' may be NULL. DYN_EVALUE: k outside 0 .. length. Time O(n log k).
*/
DYN_STATUS dyn_topk(dyn_tensor *v, dyn_tensor *at, const dyn_tensor *a,
                    ptrdiff_t k, int dim, bool largest, dyn_err *e);
/*
** Quantiles q[0 .. nq-1] in [0, 1] of every line, with linear interpolation
** between order statistics (Hyndman and Fan, The American Statistician 50,
** 1996, type 7). They are dimension 0 of r, before those left of a; dim < 0:
** of all elements. A NaN in a line makes its quantiles NaN. DYN_EVALUE: q
** outside, an empty line.
*/
DYN_STATUS dyn_quantile(dyn_tensor *r, const dyn_tensor *a, const double *q,
                        ptrdiff_t nq, int dim, dyn_err *e);
/* Running sums along 'dim', added in double. */
DYN_STATUS dyn_cumsum(dyn_tensor *r, const dyn_tensor *a, int dim, dyn_err *e);
/*
** The distinct values of 'a', ascending: v (m); 'inverse' (the shape of a):
** which of them each element is; 'counts' (m): how often. Both may be NULL.
** All NaN count as one.
*/
DYN_STATUS dyn_unique(dyn_tensor *v, dyn_tensor *inverse, dyn_tensor *counts,
                      const dyn_tensor *a, dyn_err *e);

/*
** r = a with position at[..] in place of that along 'dim': for matrices and
** dim 0, r[i][j] = a[at[i][j]][j]. 'at' is a double tensor of the other sizes
** of a, and its positions count from 'first'. DYN_EVALUE: one is outside (the
** message counts from 1); DYN_ESHAPE; DYN_ETYPE.
*/
DYN_STATUS dyn_gather(dyn_tensor *r, const dyn_tensor *a, int dim,
                      const dyn_tensor *at, double first, dyn_err *e);
/* Its adjoint: y[at[i][j]][j] += x[i][j], in order; y dense, at and x of one
** shape. Bumps the version of y; y is unchanged if it fails. */
DYN_STATUS dyn_scatter_add_(dyn_tensor *y, int dim, const dyn_tensor *at,
                            const dyn_tensor *x, dyn_err *e);
/* r = a where the mask is not 0, else b; all three broadcast. The mask may have
** either type; NaN counts as not 0. What is not chosen is not looked at. */
DYN_STATUS dyn_where(dyn_tensor *r, const dyn_tensor *mask, const dyn_tensor *a,
                     const dyn_tensor *b, dyn_err *e);
/* Positions (k, ndim) of the elements that are not 0, in row-major order. */
DYN_STATUS dyn_nonzero(dyn_tensor *r, const dyn_tensor *a, dyn_err *e);
/* The elements (k) of 'a' where the mask, of its shape, is not 0. */
DYN_STATUS dyn_compress(dyn_tensor *r, const dyn_tensor *a,
                        const dyn_tensor *mask, dyn_err *e);
/* Indices that sort a row: idx has n items; ties by index; NaN last. */
DYN_STATUS dyn_argsort(int64_t *idx, const dyn_tensor *a, bool descending,
                       dyn_err *e);

#endif
