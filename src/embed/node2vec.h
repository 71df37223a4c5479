/*
** node2vec.h -- vectors of the nodes of a graph (Grover and Leskovec, KDD
** 2016): biased walks, then skip-gram with negative sampling on them. With p =
** q = 1 it is DeepWalk with negative sampling.
*/
#ifndef DYN_NODE2VEC_H
#define DYN_NODE2VEC_H

#include "embed/skipgram.h"
#include "embed/walk.h"

enum {
  DYN_NODE2VEC_ROUND = 1024 /* walks between two questions to 'poll' */
};

typedef struct dyn_node2vec_opts {
  double p, q;
  int walks, length, epochs; /* walks of 'length' nodes from every node */
  dyn_skipgram_opts skipgram;
  bool repel; /* entries below 0 are no edges to walk but keep nodes apart */
} dyn_node2vec_opts;

/*
** r = (nodes, dim) of float from walks on 'adj' (not negative; row = from). The
** walks of every epoch are drawn anew. DYN_EVALUE: options, no edge at all;
** DYN_ENOCONV: lr too large; DYN_ECANCEL. Same bytes for any number of threads. A node without edges gets
** its random start, close to 0. Time O(walks length window negatives dim) per
** node and epoch; memory O(edges) + 2 nodes dim floats.
*/
DYN_STATUS dyn_node2vec(dyn_tensor *r, const dyn_csr *adj,
                        const dyn_node2vec_opts *o, const dyn_poll *poll,
                        dyn_err *e);

/*
** A part of the same: walks number from .. to-1 of nodes x walks x epochs. 'from'
** is a multiple of DYN_NODE2VEC_ROUND; 'state' (2 nodes, dim) of float, empty
** where from = 0, is replaced by what the next part starts with. Its first half
** are the vectors. Parts one after the other give the bytes of the whole.
** DYN_EVALUE: from, to; DYN_ESHAPE: state. 'state' is unchanged on failure.
*/
DYN_STATUS dyn_node2vec_part(dyn_tensor *state, int64_t from, int64_t to,
                             const dyn_csr *adj, const dyn_node2vec_opts *o,
                             const dyn_poll *poll, dyn_err *e);

#endif
