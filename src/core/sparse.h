/*
** sparse.h -- compressed sparse rows, the form in which graphs and count
** matrices are computed with. Not a tensor: it has its own few operations.
*/
#ifndef DYN_SPARSE_H
#define DYN_SPARSE_H

#include "core/tensor.h"

/*
** Row i holds columns col[start[i] .. start[i+1]-1], ascending, without
** repeats. 'val' is NULL where only the pattern matters (all ones). {0} is
** valid and empty.
*/
typedef struct dyn_csr {
  ptrdiff_t nrow, ncol;
  int64_t *start; /* nrow + 1 offsets */
  int32_t *col;
  float *val;
  int64_t cap; /* room in col and val */
  int *owners; /* how many share the arrays; NULL: one does */
} dyn_csr;

void dyn_csr_free(dyn_csr *s);
/* Another owner of the same arrays, which nobody changes from now on. */
DYN_STATUS dyn_csr_share(dyn_csr *dst, dyn_csr *src, dyn_err *e);
/* Room for nnz entries, start[] zeroed, the entries not. DYN_EVALUE: sizes;
** DYN_ENOMEM. */
DYN_STATUS dyn_csr_new(dyn_csr *s, ptrdiff_t nrow, ptrdiff_t ncol, int64_t nnz,
                       bool values, dyn_err *e);
static inline int64_t dyn_csr_nnz(const dyn_csr *s) {
  return s->start ? s->start[s->nrow] : 0;
}
/*
** From n triplets in any order; repeated places add up. 'val' may be NULL
** (pattern). DYN_EVALUE: an index outside. Time O(n + nrow + ncol).
*/
DYN_STATUS dyn_csr_from_triplets(dyn_csr *s, ptrdiff_t nrow, ptrdiff_t ncol,
                                 int64_t n, const int32_t *row,
                                 const int32_t *col, const float *val,
                                 dyn_err *e);
DYN_STATUS dyn_csr_transpose(dyn_csr *r, const dyn_csr *s, dyn_err *e);
/* Rows idx[0 .. n-1] (repeats allowed). DYN_EVALUE: outside. */
DYN_STATUS dyn_csr_rows(dyn_csr *r, const dyn_csr *s, const int64_t *idx,
                        ptrdiff_t n, dyn_err *e);
/* Columns idx[0 .. n-1], distinct, in that order. DYN_EVALUE. */
DYN_STATUS dyn_csr_cols(dyn_csr *r, const dyn_csr *s, const int64_t *idx,
                        ptrdiff_t n, dyn_err *e);
/*
** r = s x (or s' x if 'trans') with x (ncol, k) or (nrow, k), dense, of either
** type; sums in double. DYN_ESHAPE. Time O(nnz k).
*/
DYN_STATUS dyn_csr_matmul(dyn_tensor *r, const dyn_csr *s, bool trans,
                          const dyn_tensor *x, dyn_err *e);
/* Dense (nrow, ncol) of 'type'. */
DYN_STATUS dyn_csr_dense(dyn_tensor *r, const dyn_csr *s, dyn_type type,
                         dyn_err *e);
/* Sparse from a dense matrix: the entries that are not zero. */
DYN_STATUS dyn_csr_from_dense(dyn_csr *r, const dyn_tensor *x, dyn_err *e);
/*
** Mean of the rows of each group: group[i] in 0 .. ngroup-1, or -1 to leave row
** i out. r is (ngroup, ncol) of double; an empty group is a row of zeros.
*/
DYN_STATUS dyn_csr_group_means(dyn_tensor *r, const dyn_csr *s,
                               const int32_t *group, ptrdiff_t ngroup,
                               dyn_err *e);

#endif
