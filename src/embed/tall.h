/*
** tall.h -- private to embed: products of matrices of many rows and few columns,
** of one element type, with the sums over rows in double. Same bytes for any
** number of threads: rows are cut into a fixed number of parts.
*/
#ifndef DYN_TALL_H
#define DYN_TALL_H

#include "core/tensor.h"

enum {
  DYN_TALL_RANGES = 8,  /* parts of a sum of matrix products, added in order */
  DYN_TALL_CHUNK = 2048 /* rows of one matrix product */
};

typedef struct dyn_tall_kernels dyn_tall_kernels;

/* Room for products of matrices of n rows. */
typedef struct dyn_tall {
  ptrdiff_t n;
  dyn_type type;
  const dyn_tall_kernels *call;
  dyn_tensor piece[DYN_TALL_RANGES]; /* of the element type */
  dyn_tensor sum[DYN_TALL_RANGES];   /* of double */
} dyn_tall;

/* For matrices of at most m columns. DYN_ENOMEM; free it then too. */
DYN_STATUS dyn_tall_new(dyn_tall *t, dyn_type type, ptrdiff_t n, ptrdiff_t m,
                        dyn_err *e);
void dyn_tall_free(dyn_tall *t);

/* Borrowed view of n rows from 'i' and m columns from 'j'. */
dyn_tensor dyn_tall_view(const dyn_tensor *t, ptrdiff_t i, ptrdiff_t n,
                         ptrdiff_t j, ptrdiff_t m);
/* Borrowed view with rows and columns exchanged. */
dyn_tensor dyn_tall_turned(dyn_tensor v);

/* r = a' b over all rows, of double. */
DYN_STATUS dyn_tall_cross(dyn_tall *t, dyn_tensor *r, const dyn_tensor *a,
                          const dyn_tensor *b, dyn_err *e);
/* to = from z, or to -= from z; z (columns of from, columns of to), of double;
** 'to' may be 'from', or its first columns. */
DYN_STATUS dyn_tall_times(dyn_tall *t, const dyn_tensor *to,
                          const dyn_tensor *from, const dyn_tensor *z,
                          bool minus, dyn_err *e);

#endif
