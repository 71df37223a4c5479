/* population.h -- two sets of cells against each other. */
#ifndef DYN_POPULATION_H
#define DYN_POPULATION_H

#include "core/tensor.h"

typedef enum dyn_pair {
  DYN_PAIR_DISTANCE, /* Euclidean */
  DYN_PAIR_SQUARED,
  DYN_PAIR_RBF, /* exp(-gamma d^2) */
  DYN_NPAIR
} dyn_pair;

/*
** Sums over pairs of cells of x (n, d) and y (m, d), both of double and dense:
** all n m pairs between them, the n (n - 1) / 2 pairs of different cells within
** x, and those within y. Energy distance and MMD are made of their means
** (Szekely and Rizzo, J. Stat. Plan. Inference 2013; Gretton et al., JMLR 2012).
** DYN_ESHAPE, DYN_ETYPE, DYN_ECANCEL. The same bytes for any number of threads.
** Time O((n + m)^2 d).
*/
typedef struct dyn_pairs {
  double between, x, y;
} dyn_pairs;
DYN_STATUS dyn_pair_sums(dyn_pairs *r, dyn_pair kind, double gamma,
                         const dyn_tensor *x, const dyn_tensor *y,
                         const dyn_poll *poll, dyn_err *e);

/*
** Median of the squared distances of all pairs of different cells of x and y
** together (the usual width of an RBF kernel). DYN_EVALUE: fewer than two.
** Memory O((n + m)^2).
*/
DYN_STATUS dyn_pair_median(double *r, const dyn_tensor *x, const dyn_tensor *y,
                           dyn_err *e);

/*
** Permutation test of the energy distance: d (N, N) distances of all cells, the
** first n of them one group; *p = (1 + #{E* >= E}) / (1 + draws). Permutation b
** draws from stream b of 'seed'. DYN_EVALUE: a group below two cells.
** Time O(draws N^2).
*/
DYN_STATUS dyn_energy_test(double *p, const dyn_tensor *d, ptrdiff_t n,
                           int64_t draws, uint64_t seed, dyn_err *e);

/*
** r (d): for each column the p-th power of the Wasserstein-p distance between
** the values of x (n, d) and those of y (m, d), each cell with the same mass;
** p = 1 or 2. DYN_EVALUE: no cell. Time O(d (n log n + m log m)).
*/
DYN_STATUS dyn_wasserstein_cols(dyn_tensor *r, int p, const dyn_tensor *x,
                                const dyn_tensor *y, dyn_err *e);

#endif
