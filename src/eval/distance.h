/* distance.h -- distances between profiles, for retrieval scores. */
#ifndef DYN_DISTANCE_H
#define DYN_DISTANCE_H

#include "eval/metrics.h"

typedef enum dyn_metric_space {
  DYN_DIST_L2,
  DYN_DIST_L1,
  DYN_DIST_COSINE,  /* 1 - cosine; 1 if one of the two is zero */
  DYN_DIST_PEARSON, /* 1 - Pearson; 1 if one of the two is constant */
  DYN_NDIST
} dyn_metric_space;

/*
** r (n, m) of double: distances between the rows of a (n, G) and those of b
** (m, G), both of double, from differences (never from |x|^2 + |y|^2 - 2 xy:
** ties stay ties). 'genes' may be NULL; its 'skip' lists columns that are left
** out for row i of a. Sums in a fixed order: the same bytes for any number of
** threads. DYN_ESHAPE, DYN_ETYPE, DYN_ECANCEL. Time O(n m G).
*/
DYN_STATUS dyn_distance_rows(dyn_tensor *r, dyn_metric_space space,
                             const dyn_tensor *a, const dyn_tensor *b,
                             const dyn_genes *genes, const dyn_poll *poll,
                             dyn_err *e);

#endif
