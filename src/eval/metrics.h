/*
** metrics.h -- scores of predicted against observed profiles, a row each.
** Sums are in double, in a fixed order and in two passes. A row that cannot be
** scored is NaN: its truth is constant, or it has fewer than three genes.
*/
#ifndef DYN_METRICS_H
#define DYN_METRICS_H

#include "core/tensor.h"

typedef enum dyn_metric {
  DYN_PEARSON,  /* a constant prediction scores 0: it said nothing */
  DYN_SPEARMAN, /* Pearson of mid-ranks */
  DYN_COSINE,
  DYN_MSE,
  DYN_NMETRIC
} dyn_metric;

const char *dyn_metric_name(dyn_metric m); /* "pearson", "spearman", ... */

/* Which genes of row i count. */
typedef struct dyn_genes {
  const dyn_tensor *mask; /* (n, G) 1 counts, 0 does not; NULL: all */
  const int64_t *skip;    /* columns to leave out, row i: skip[first[i]] ... */
  const int64_t *first;   /* ... skip[first[i + 1] - 1]; n + 1 offsets */
  ptrdiff_t top;          /* only the 'top' largest |truth|; 0: all */
} dyn_genes;

/*
** r (n) of double: metric 'm' of the rows of pred and truth, (n, G) each, both
** of double. With 'ref' (G) it is subtracted from both first; the top genes are
** chosen by |truth| before that, lower index first among ties. 'eps' is the
** precision of the numbers' source (1.2e-7 for float): differences below it are
** constant. DYN_ESHAPE, DYN_ETYPE, DYN_EVALUE. Time O(n G log G) with top or
** ranks, else O(n G).
*/
DYN_STATUS dyn_metric_rows(dyn_tensor *r, dyn_metric m, const dyn_tensor *pred,
                           const dyn_tensor *truth, const dyn_tensor *ref,
                           const dyn_genes *genes, double eps, dyn_err *e);

/*
** Area under the receiver operating characteristic with mid-ranks (Mann and
** Whitney): r (G), one value per column over the rows with mask 1; NaN where
** only one class is observed. All (n, G) of double. Time O(G n log n).
*/
DYN_STATUS dyn_auroc_cols(dyn_tensor *r, const dyn_tensor *score,
                          const dyn_tensor *label, const dyn_tensor *mask,
                          dyn_err *e);

#endif
