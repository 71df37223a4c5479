/*
** network.h -- what is done with whole networks: cores, rewiring that keeps
** degrees, random networks, and nearest rows of sparse matrices.
*/
#ifndef DYN_NETWORK_H
#define DYN_NETWORK_H

#include "embed/graph.h"

/*
** core[v] = the largest k such that v is in a part of the graph whose nodes all
** have k neighbours in it, directions ignored (Batagelj and Zaversnik 2003).
** Self-loops do not count. Time and memory O(nodes + edges).
*/
DYN_STATUS dyn_graph_cores(int32_t *core, const dyn_graph *g, dyn_err *e);

/*
** Exchange ends of random pairs of edges, a-b and c-d to a-d and c-b, 'tries'
** times, so that every node keeps its degree (directed: in and out); exchanges
** that would make a loop or a repeated edge are not done (Maslov and Sneppen,
** Science 296, 2002). '*done' is how many were. The m edges must be distinct,
** undirected ones given once. Time O(m + tries).
*/
DYN_STATUS dyn_rewire(int64_t *done, int32_t *from, int32_t *to, int64_t m,
                      bool directed, int64_t tries, uint64_t seed,
                      const dyn_poll *poll, dyn_err *e);

typedef struct dyn_random_opts {
  int32_t nodes, blocks; /* node v is in block v % blocks */
  double within;         /* share of edges inside a block; rest anywhere */
  double exponent;       /* of the power law of degrees, > 2; 0: all alike */
  uint64_t seed;
} dyn_random_opts;

/*
** m distinct undirected edges without loops: an end in proportion to
** (v + 1)^(-1 / (exponent - 1)), the other likewise in the same block or
** anywhere (Chung and Lu 2002; Condon and Karp 2001; Karrer and Newman 2011).
** DYN_EVALUE: options; more edges than can be found. Time O(nodes + m).
*/
DYN_STATUS dyn_random_edges(int32_t *from, int32_t *to, int64_t m,
                            const dyn_random_opts *o, const dyn_poll *poll,
                            dyn_err *e);

/*
** For each row of s the k most similar other rows: the cosine of their values,
** or Jaccard's index of their patterns; best first, ties by number: id (nrow, k),
** -1 where there are fewer above 0, and r (nrow, k) of double. Same bytes for any
** number of threads. Time O(sum over columns of entries^2 + nrow^2).
*/
DYN_STATUS dyn_similar_rows(int32_t *id, dyn_tensor *r, const dyn_csr *s,
                            ptrdiff_t k, bool jaccard, const dyn_poll *poll,
                            dyn_err *e);

#endif
