/*
** coexpression.h -- which genes vary together over cells: the largest Pearson
** correlations of every gene. A sparse matrix stays sparse.
*/
#ifndef DYN_COEXPRESSION_H
#define DYN_COEXPRESSION_H

#include "core/sparse.h"

/* Cells by genes, one of the two; cells of a group have their mean removed. */
typedef struct dyn_expression {
  const dyn_csr *sparse;
  const dyn_tensor *dense;
  const int32_t *group; /* per cell, 0 .. ngroup-1; NULL: all are one group */
  int32_t ngroup;
} dyn_expression;

/*
** For each gene the k others with the largest correlation, by size with
** 'absolute', best first, ties by number: id (genes, k), -1 where there are fewer, and
** r (genes, k) of double. A gene that does not vary has correlation 0 with all.
** DYN_ESHAPE; DYN_EVALUE: k < 1, a group outside; DYN_ECANCEL. Time O(entries genes) (dense:
** O(cells genes^2)); memory O(entries + 64 MB). Same bytes for any number of threads.
*/
DYN_STATUS dyn_correlated(int32_t *id, dyn_tensor *r, const dyn_expression *x,
                          ptrdiff_t k, bool absolute, const dyn_poll *poll,
                          dyn_err *e);

#endif
