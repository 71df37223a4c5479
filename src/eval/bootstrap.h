/* bootstrap.h -- intervals over perturbations. */
#ifndef DYN_BOOTSTRAP_H
#define DYN_BOOTSTRAP_H

#include "core/base.h"

typedef struct dyn_interval {
  double mean, lo, hi;
  double p;     /* two-sided, of a zero mean: sign flips */
  int64_t n;    /* values that are not NaN */
  int64_t wins; /* values above 0 */
} dyn_interval;

/*
** Percentile bootstrap of the mean of n values (NaN left out): 'draws'
** resamples, each from a stream of its own; lo and hi are the (1 - level) / 2
** quantiles, interpolated. p counts random sign flips with |mean| at least the
** observed one, plus one, over draws + 1. Give it differences for a paired
** comparison. DYN_EVALUE: no value, draws < 1. Time O(draws n).
** Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13.
*/
DYN_STATUS dyn_bootstrap_mean(dyn_interval *r, const double *v, int64_t n,
                              int64_t draws, double level, uint64_t seed,
                              dyn_err *e);

#endif
