/* sparse_stat.h -- what rows and columns of a sparse matrix are like. */
#ifndef DYN_SPARSE_STAT_H
#define DYN_SPARSE_STAT_H

#include "core/sparse.h"

typedef enum dyn_csr_stat {
  DYN_CSR_COUNT, /* stored entries that are not 0 */
  DYN_CSR_MEAN,  /* zeros count, here and below */
  DYN_CSR_VAR,   /* n - 1 in the denominator; NaN if n < 2 */
  DYN_CSR_MAX,   /* of nothing: -infinity */
  DYN_CSR_MIN,   /* of nothing: infinity */
  DYN_CSR_NSTAT
} dyn_csr_stat;

const char *dyn_csr_stat_name(dyn_csr_stat op); /* "count", "mean", ... */
/* Of every column (dim 0, r (ncol)) or row (dim 1, r (nrow)), in double.
** Time O(nnz + nrow + ncol). */
DYN_STATUS dyn_csr_reduce(dyn_tensor *r, const dyn_csr *s, dyn_csr_stat op,
                          int dim, dyn_err *e);
/* The k largest entries of each row (fewer where fewer are stored), columns in
** order; of equal ones the first. Time O(nnz log k); DYN_EVALUE: k < 0. */
DYN_STATUS dyn_csr_topk(dyn_csr *r, const dyn_csr *s, ptrdiff_t k, dyn_err *e);

#endif
