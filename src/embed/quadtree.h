/*
** quadtree.h -- private to embed: points of a plane, and what pushes them apart
** in t-SNE, in O(n log n) (Barnes and Hut, Nature 324, 1986; van der Maaten,
** JMLR 15, 2014). Points are sorted along a Z-curve, so that eight neighbours of
** the curve walk the tree together and a register holds all eight.
*/
#ifndef DYN_QUADTREE_H
#define DYN_QUADTREE_H

#include "core/base.h"

typedef struct dyn_quadnode {
  double x, y, mass; /* centre of its points, and how many they are */
  double width;      /* longer side of the box around them */
  int32_t lo, hi;    /* points lo .. hi-1 of the sorted ones */
  int32_t next;      /* the node after all those inside this one */
  bool leaf;
} dyn_quadnode;

typedef struct dyn_quadtree {
  int32_t n, nodes;
  double *x, *y; /* the points, sorted */
  int32_t *at;   /* their numbers */
  int32_t *at2;  /* scratch of the sort */
  uint64_t *code, *code2;
  double *part;       /* sums of groups of eight points */
  dyn_quadnode *node; /* in the order of a walk: a node, then what is inside */
} dyn_quadtree;

/* Room for n points. */
DYN_STATUS dyn_quadtree_new(dyn_quadtree *t, int32_t n, dyn_err *e);
void dyn_quadtree_free(dyn_quadtree *t);
/* The tree of the points y (n, 2), which must be finite. Time O(n). */
void dyn_quadtree_build(dyn_quadtree *t, const double *y);
/*
** push (n, 2) = sum over j of q^2 (y_i - y_j), q = 1 / (1 + |y_i - y_j|^2); the
** result is the sum of all q, i and j apart. Boxes narrower than 'theta' times
** their distance count as their centre, theta <= 0.7; 0: exact. The bytes do
** not depend on the number of threads.
*/
double dyn_quadtree_push(dyn_quadtree *t, double *push, double theta);
/*
** pull[2] = sum over k < m of w[k] q (y_i - y_j), j = col[k]: what draws point i
** of y (n, 2) to its neighbours.
*/
void dyn_plane_pull(double pull[2], const double *y, int32_t i,
                    const int32_t *col, const float *w, int64_t m);

#endif
