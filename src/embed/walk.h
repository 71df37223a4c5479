/*
** walk.h -- biased random walks (node2vec: Grover and Leskovec, KDD 2016).
**
** After the step t -> v the next node x has weight w(v,x) times 1/p if x = t, 1
** if x is joined to t, else 1/q. Drawn by rejection (KnightKing: Yang et al.,
** SOSP 2019): first-order proposals, the lower bound accepted unseen, the
** return edge as an area of its own where 1/p is the largest. No table per pair
** of edges: memory is O(nodes), and O(edges) with weights.
*/
#ifndef DYN_WALK_H
#define DYN_WALK_H

#include "core/rng.h"
#include "core/sparse.h"

/* A table of Walker's (Vose's) alias method, one item per outcome. */
typedef struct dyn_alias {
  uint32_t keep; /* below: the outcome itself, in units of 2^-32 */
  int32_t other; /* else this one */
} dyn_alias;

/* Fill t[0 .. n-1] for weights w (not negative, some positive). 'work' has room
** for n. Time O(n). */
void dyn_alias_fill(dyn_alias *t, const double *w, int64_t n, double *scaled,
                    int32_t *work);
/* An outcome in 0 .. n-1 from 64 random bits; n < 2^32. */
static inline int64_t dyn_alias_draw(const dyn_alias *t, int64_t n,
                                     uint64_t bits) {
  int64_t i = (int64_t)(((bits >> 32) * (uint64_t)n) >> 32);
  return (uint32_t)bits < t[i].keep ? i : t[i].other;
}

/* A Bloom filter of a node's neighbours, with one hash. */
typedef struct dyn_sketch {
  uint64_t bits[4];
} dyn_sketch;

/* A graph made ready for walks. {0} is empty. 'adj' is borrowed. */
typedef struct dyn_walker {
  const dyn_csr *adj;
  dyn_alias *alias; /* per entry, offsets within the row; NULL: equal weights */
  double *total;    /* per row: sum of its weights; NULL: equal weights */
  dyn_sketch *sketch; /* per node, unless first_order */
  int64_t nnz;
  double back, far; /* 1/p and 1/q */
  double top, low;  /* what no other edge exceeds; what none is below */
  bool first_order; /* p = q = 1 */
  bool symmetric;   /* known, where it matters: every edge leads back */
} dyn_walker;

void dyn_walker_free(dyn_walker *t);
/*
** DYN_EVALUE: p or q outside 0.001..1000, a negative weight, a matrix that
** is not square. Entries of weight 0 are never walked. Time O(entries).
*/
DYN_STATUS dyn_walker_init(dyn_walker *t, const dyn_csr *adj, double p,
                           double q, dyn_err *e);
/*
** Walks number lo .. hi-1 of a corpus: walk w starts at node order[w % n] (n:
** nodes; 'order' may be NULL), draws from stream w of 'seed', and is written to
** out + (w - lo) * len, rest -1. In parallel; any number of threads gives the
** same nodes.
*/
void dyn_walks(int32_t *out, int64_t lo, int64_t hi, int len,
               const dyn_walker *t, const int32_t *order, uint64_t seed);

#endif
