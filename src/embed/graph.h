/*
** graph.h -- a network of named nodes: compressed rows in both directions, a
** weight and perhaps a sign per edge. Immutable once built.
*/
#ifndef DYN_GRAPH_H
#define DYN_GRAPH_H

#include "core/names.h"
#include "core/sparse.h"

typedef struct dyn_graph { /* {0} is empty */
  dyn_names names;
  dyn_csr out;       /* edges by source, targets ascending; val is |weight| */
  dyn_csr in;        /* by target; empty where the graph is undirected */
  int8_t *out_sign;  /* per entry of 'out': 1, -1, 0 unknown; NULL: no signs */
  int8_t *in_sign;   /* the same for 'in' */
  bool directed;     /* if not, every edge stands in both rows of 'out' */
  int64_t edges;     /* an undirected edge counts once */
  int32_t sources;   /* nodes with an edge out */
  int64_t lines;     /* edges given, before merging and dropping */
  int64_t repeats;   /* merged into another */
  int64_t loops;     /* self-loops: dropped unless asked for */
  int64_t conflicts; /* pairs with both signs: sign 0 */
} dyn_graph;

typedef enum dyn_direction {
  DYN_OUT,
  DYN_IN,
  DYN_BOTH
} dyn_direction;

/* What a graph is made of; 'weight' (NULL: 1) and 'sign' (NULL: none). */
typedef struct dyn_edge_list {
  int64_t n;
  const int32_t *from, *to;
  const float *weight;
  const int8_t *sign;
  bool directed, keep_loops;
} dyn_edge_list;

void dyn_graph_free(dyn_graph *g);
/*
** Build from n edges between ids of 'names', which the graph takes over on
** success. Repeated pairs become one with the largest |weight|; contradictory
** signs give sign 0. DYN_EVALUE: an id outside, a weight that is not finite.
** Time and memory O(n + nodes).
*/
DYN_STATUS dyn_graph_build(dyn_graph *g, dyn_names *names,
                           const dyn_edge_list *x, dyn_err *e);
/* The induced graph of ids keep[0 .. n-1] (distinct), in that order. */
DYN_STATUS dyn_graph_subgraph(dyn_graph *r, const dyn_graph *g,
                              const int32_t *keep, int32_t n, dyn_err *e);
/* Nodes and edges of both, names of g first; directed if one of them is. */
DYN_STATUS dyn_graph_union(dyn_graph *r, const dyn_graph *g, const dyn_graph *h,
                           dyn_err *e);
/*
** Weakly connected components: label[v] = 0, 1, ... in the order of their first
** node, and how many there are. Time O(nodes + edges).
*/
DYN_STATUS dyn_graph_components(int32_t *label, int32_t *count,
                                const dyn_graph *g, dyn_err *e);
/* The largest weakly connected component; the first of equals. */
DYN_STATUS dyn_graph_largest(dyn_graph *r, const dyn_graph *g, dyn_err *e);
/*
** hops[v] = edges, in any direction, from node v to the nearest of the nodes
** from[0 .. n-1], or -1. Breadth first: time O(nodes + edges).
*/
DYN_STATUS dyn_graph_hops(int32_t *hops, const dyn_graph *g,
                          const int32_t *from, int32_t n, dyn_err *e);
/*
** Adjacency as a matrix (nodes, nodes): row = source (DYN_OUT), row = target
** (DYN_IN), or symmetric (DYN_BOTH: the larger |weight| where both directions
** exist, sign 0 where they disagree). Values are |weight| or 1, times the sign
** if 'use_sign' and the graph has signs.
*/
DYN_STATUS dyn_graph_adjacency(dyn_csr *r, const dyn_graph *g,
                               dyn_direction dir, bool weighted, bool use_sign,
                               dyn_err *e);
/* Edges at node v, both directions together. */
int64_t dyn_graph_degree(const dyn_graph *g, int32_t v);

#endif
