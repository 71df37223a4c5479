/*
** tsne.h -- pictures of vectors: t-SNE (van der Maaten and Hinton, JMLR 9, 2008)
** by Barnes and Hut (van der Maaten, JMLR 15, 2014), and how far a picture can
** be trusted.
*/
#ifndef DYN_TSNE_H
#define DYN_TSNE_H

#include "core/tensor.h"

typedef struct dyn_tsne_opts {
  double perplexity;   /* effective number of neighbours, 1 .. k */
  double theta;        /* 0 (exact) .. 0.7 */
  double exaggeration; /* of attraction, in the first 'early' steps */
  double lr;           /* 0: n / (4 exaggeration), at least 50 */
  int early, steps;    /* steps in all: early ones count */
} dyn_tsne_opts;

/*
** Points y (n, 2) of double for n rows whose k nearest other rows are id (n, k;
** -1: none) with cosines sim (n, k): distances are those of vectors of length 1,
** |a - b|^2 = 2 - 2 cos. Neighbours outside the k do not attract. 'start' (n,
** 2), usually two principal components, is scaled to a standard deviation of
** 1e-4 in the first column (Kobak and Berens, Nature Communications 10, 2019).
** '*kl' is the Kullback-Leibler divergence reached, in nats. No random numbers
** are drawn; same bytes for any number of threads.
** DYN_EVALUE: fewer than 4 rows, options; DYN_ESHAPE; DYN_ECANCEL.
** Time O(steps (n log n + n k)), memory O(n k).
*/
DYN_STATUS dyn_tsne(dyn_tensor *y, double *kl, const int32_t *id,
                    const dyn_tensor *sim, const dyn_tensor *start,
                    const dyn_tsne_opts *o, const dyn_poll *poll, dyn_err *e);

/*
** Of the rows q[0 .. nq-1] of x (n, d; by cosine) in the picture y (n, 2; by
** distance): trustworthiness (Venna and Kaski, ICANN 2001), 1 if all of the k
** nearest in the picture are among the k nearest in x, less by the ranks that
** intruders have there; and the share of the k nearest that are kept.
** DYN_EVALUE: k < 1 or k >= n / 2, a row outside; DYN_ESHAPE. Time O(nq n d).
*/
DYN_STATUS dyn_trustworthiness(double *trusted, double *kept,
                               const dyn_tensor *x, const dyn_tensor *y,
                               const int64_t *q, ptrdiff_t nq, ptrdiff_t k,
                               dyn_err *e);

#endif
