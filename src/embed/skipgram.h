/*
** skipgram.h -- skip-gram with negative sampling (Mikolov et al., NIPS 2013) as
** small matrix products (Ji et al., "Parallelizing Word2Vec in Shared and
** Distributed Memory", IEEE TPDS 2019): one set of negatives per window, so
** that a window is a (contexts x d)(d x 1 + negatives) product forward and two
** backward, kept in registers and the first-level cache.
**
** The bytes of the result do not depend on the number of threads. The tables
** are cut by dimension into slices of 64 columns, and a thread owns slices, not
** items: there is nothing to race for, and each core has its part of the tables
** in its own cache. Up to 32 sequences advance side by side, up to 8 windows at a time; scores are the sum of the slices' parts, in their order, and gradients
** are those of the parameters before the batch, which is smaller where some item
** is in many windows.
*/
#ifndef DYN_SKIPGRAM_H
#define DYN_SKIPGRAM_H

#include "core/sparse.h"

typedef struct dyn_skipgram_opts {
  int dim, window, negatives;
  double lr; /* decays linearly to lr / 10^4 */
  uint64_t seed;
  /* Row v: items that are to stay away from item v. In every window of v one of
     them is a negative of v itself, counted as often as there are contexts
     (after SIGNet: Islam, Prakash and Ramakrishnan, PAKDD 2018). NULL: none;
     borrowed. */
  const dyn_csr *apart;
  /* Threads take sequences of their own and write to the tables without asking
     (Hogwild: Recht et al., NIPS 2011): not reproducible with more than one. */
  bool race;
} dyn_skipgram_opts;

typedef struct dyn_skipgram dyn_skipgram;

/*
** A model of n items; freq[v] >= 0 are relative frequencies in the sequences:
** negatives are drawn with freq^0.75. DYN_EVALUE: options out of range (dim 1
** .. 4096, window 1 .. 100, negatives 1 .. 64, lr > 0), no frequency above 0.
** Memory 2 n dim floats.
*/
DYN_STATUS dyn_skipgram_new(dyn_skipgram **r, int32_t n, const double *freq,
                            const dyn_skipgram_opts *o, dyn_err *e);
void dyn_skipgram_free(dyn_skipgram *t);
/*
** Train on 'nseq' sequences of 'len' items each (a sequence ends at the first
** -1). 'from' and 'to' are the shares of the whole training at the start and
** the end of this round, for the learning rate; sequence i draws from stream
** 'first' + i. Cannot fail.
*/
void dyn_skipgram_round(dyn_skipgram *t, const int32_t *seq, int64_t nseq,
                        int len, int64_t first, double from, double to);
/* All that training has changed: vectors, then output rows, (2 n, dim) of float;
** and back into a model made alike, which goes on as if it had not stopped.
** DYN_ESHAPE. */
DYN_STATUS dyn_skipgram_state(dyn_tensor *r, const dyn_skipgram *t, dyn_err *e);
DYN_STATUS dyn_skipgram_restore(dyn_skipgram *t, const dyn_tensor *state,
                                dyn_err *e);
/* The vectors, (n, dim) of float. */
DYN_STATUS dyn_skipgram_vectors(dyn_tensor *r, const dyn_skipgram *t,
                                dyn_err *e);

#endif
