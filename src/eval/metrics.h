/*
** metrics.h -- scores of predicted against observed profiles, a row each.
** Sums are in double, in a fixed order and in two passes. A row that cannot be
** scored is NaN: its truth is constant, or it has fewer than three genes.
*/
#ifndef DYN_METRICS_H
#define DYN_METRICS_H

#include "core/tensor.h"

typedef enum dyn_metric {
  DYN_PEARSON,
  DYN_SPEARMAN, /* Pearson of mid-ranks */
  DYN_COSINE,
  DYN_MSE,
  DYN_RMSE,
  DYN_MAE,
  DYN_L2,        /* norm of the difference */
  DYN_RELERR,    /* that over the norm of the truth */
  DYN_R2,        /* 1 - residual over total sum of squares, of the truth */
  DYN_WMSE,      /* mean square with weights */
  DYN_WR2,       /* R2 with weights, in the mean of the truth too */
  DYN_DIRECTION, /* share of genes that moved whose sign is right */
  DYN_OPPOSITE,  /* ... whose sign is the other one */
  DYN_NMETRIC
} dyn_metric;

const char *dyn_metric_name(dyn_metric m); /* "pearson", "spearman", ... */

/* What became of a row. */
typedef enum dyn_scored {
  DYN_SCORED,
  DYN_FEW_GENES,  /* NaN: below three genes (errors: two) */
  DYN_CONST_TRUE, /* NaN: the truth is constant, or zero where signs count */
  DYN_CONST_PRED, /* 0: the prediction is, it says nothing */
  DYN_NO_WEIGHTS, /* NaN: weights that are not there or add up to 0 */
  DYN_NSCORED
} dyn_scored;

const char *dyn_scored_name(dyn_scored s); /* "few_genes", ...; "" if scored */

/* Which genes of row i count. */
typedef struct dyn_genes {
  const dyn_tensor *mask; /* (n, G) 1 counts, 0 does not; NULL: all */
  const int64_t *skip;    /* columns to leave out, row i: skip[first[i]] ... */
  const int64_t *first;   /* ... skip[first[i + 1] - 1]; n + 1 offsets */
  ptrdiff_t top;          /* only the 'top' largest |rank|; 0: all */
  const dyn_tensor *rank; /* (n, G); NULL: the truth */
} dyn_genes;

typedef struct dyn_metric_opts {
  dyn_genes genes;
  const dyn_tensor *ref;    /* (G) or (n, G), comes off both; NULL: none */
  const dyn_tensor *weight; /* (n, G) of weighted metrics */
  double eps; /* precision of the numbers' source (1.2e-7 for float) */
  double tau; /* direction: a change up to it is none */
} dyn_metric_opts;

/*
** r (n) of double: metric 'm' of the rows of pred and truth, (n, G) each, both
** of double; status (n), if not NULL, says what became of each. The top genes
** are chosen by |rank| before 'ref' comes off, lower index first among ties.
** Differences up to 16 eps times the largest number they came from are none.
** DYN_ESHAPE, DYN_ETYPE, DYN_EVALUE. Time O(n G log G) with top or ranks, else
** O(n G).
*/
DYN_STATUS dyn_metric_rows(dyn_tensor *r, uint8_t *status, dyn_metric m,
                           const dyn_tensor *pred, const dyn_tensor *truth,
                           const dyn_metric_opts *o, dyn_err *e);

/*
** Area under the receiver operating characteristic with mid-ranks (Mann and
** Whitney): r (G), one value per column over the rows with mask 1; NaN where
** only one class is observed. All (n, G) of double. Time O(G n log n).
*/
DYN_STATUS dyn_auroc_cols(dyn_tensor *r, const dyn_tensor *score,
                          const dyn_tensor *label, const dyn_tensor *mask,
                          dyn_err *e);
/*
** Average precision of each column, the same way: the sum over thresholds of
** (recall - recall before) precision, equal scores at one threshold, nothing
** interpolated. Its chance level is the share of ones.
*/
DYN_STATUS dyn_precision_cols(dyn_tensor *r, const dyn_tensor *score,
                              const dyn_tensor *label, const dyn_tensor *mask,
                              dyn_err *e);

#endif
