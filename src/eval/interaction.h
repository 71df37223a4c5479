/* interaction.h -- how a double's response is made of those of its singles. */
#ifndef DYN_INTERACTION_H
#define DYN_INTERACTION_H

#include "core/tensor.h"

typedef struct dyn_theil_sen_opts {
  int64_t pairs; /* at most this many pairs of genes; more are drawn from */
  int64_t steps; /* at most this many steps of the spatial median */
  double tol;    /* a step of this length or less is the last */
  uint64_t seed; /* of the draw */
  const dyn_poll *poll;
} dyn_theil_sen_opts;

/*
** c[0] a + c[1] b fitted to y over n genes, without intercept: the spatial
** median of the solutions for every pair of genes (Theil 1950; Sen 1968; for
** several variables Dang et al. 2008), a pair that says one thing twice solved
** with the least norm. The median by Weiszfeld's steps as modified by Vardi and
** Zhang (PNAS 2000), from the mean on; *steps says how many. With more pairs
** than 'pairs', that many are drawn with replacement. DYN_EVALUE: n < 2,
** DYN_ENOCONV: not within 'steps'. Time O(pairs steps).
*/
DYN_STATUS dyn_theil_sen(double c[2], int64_t *steps, const double *a,
                         const double *b, const double *y, ptrdiff_t n,
                         const dyn_theil_sen_opts *o, dyn_err *e);

/*
** Distance correlation (Szekely, Rizzo and Bakirov, Ann. Stat. 2007) of the rows
** of x (n, d) and y (n, k), both of double and dense: the square root of dCov^2
** over the root of the dVar^2, 0 if one does not vary. DYN_ESHAPE, DYN_ETYPE,
** DYN_EVALUE: n < 2. Time O(n^2 (d + k)), memory O(n). The same bytes for any
** number of threads.
*/
DYN_STATUS dyn_distance_correlation(double *r, const dyn_tensor *x,
                                    const dyn_tensor *y, const dyn_poll *poll,
                                    dyn_err *e);

#endif
