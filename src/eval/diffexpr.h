/*
** diffexpr.h -- differential expression: a test per gene of some cells against
** others, false discovery rates, moments of columns, a local regression.
*/
#ifndef DYN_DIFFEXPR_H
#define DYN_DIFFEXPR_H

#include "core/sparse.h"

typedef enum dyn_de_test {
  DYN_DE_T,         /* Student, pooled variance */
  DYN_DE_WELCH,     /* Welch (Biometrika 1947) */
  DYN_DE_OVERESTIM, /* Welch with n2 replaced by n1 (scanpy) */
  DYN_DE_WILCOXON,  /* rank sum, mid-ranks, normal approximation */
  DYN_DE_NTEST
} dyn_de_test;

typedef struct dyn_de_opts {
  dyn_de_test test;
  bool no_ties;    /* Wilcoxon: variance without the correction for ties */
  bool continuity; /* Wilcoxon: half a rank towards the middle */
  const dyn_poll *poll;
} dyn_de_opts;

enum {
  DYN_DE_MEAN1,
  DYN_DE_MEAN2,
  DYN_DE_SCORE, /* t or z */
  DYN_DE_DF,    /* NaN for Wilcoxon */
  DYN_DE_P,     /* two-sided */
  DYN_DE_AUC, /* Wilcoxon: chance that a cell of group 1 is higher, else NaN */
  DYN_DE_NCOL
};

/*
** x is (genes, cells); group[c] is 1 or 2 for the two groups, 0 for cells that
** take no part. r is (genes, DYN_DE_NCOL) of double. Both groups constant and
** equal: score 0, p 1. A gene with a NaN has NaN. DYN_EVALUE: fewer than two
** cells in a group. Time O(nnz log) for Wilcoxon, else O(nnz); zeros cost
** nothing.
*/
DYN_STATUS dyn_diffexpr(dyn_tensor *r, const dyn_csr *x, const int32_t *group,
                        const dyn_de_opts *o, dyn_err *e);

/* Two-sided p of Student's t with df degrees of freedom. */
double dyn_student_p(double t, double df);

/*
** Benjamini and Hochberg (JRSS B 1995): q (n) of p (n), capped at 1; NaN counts
** as p = 1 and stays in the number of tests.
*/
DYN_STATUS dyn_bh(double *q, const double *p, ptrdiff_t n, dyn_err *e);

enum {
  DYN_MOMENT_MEAN,
  DYN_MOMENT_VARIANCE, /* n - 1 */
  DYN_MOMENT_SUM,
  DYN_MOMENT_SQUARES, /* sum of squares */
  DYN_MOMENT_COUNT,   /* entries that are not zero */
  DYN_MOMENT_NCOL
};
/*
** Moments of the columns of x (cells, genes), zeros included, as (genes,
** DYN_MOMENT_NCOL) of double. With 'expm1' of exp(v) - 1; with 'clip' (genes) of
** min(v, clip). Two passes. O(nnz).
*/
DYN_STATUS dyn_column_moments(dyn_tensor *r, const dyn_csr *x, bool expm1,
                              const double *clip, dyn_err *e);

#endif
