/*
** window.h -- private to embed: the arithmetic of one window of skip-gram, for
** the instruction sets that we know.
*/
#ifndef DYN_WINDOW_H
#define DYN_WINDOW_H

#include "core/base.h"

enum {
  DYN_GROUP = 6 /* output rows of one product: a target and five negatives */
};

/* m context rows x[] and DYN_GROUP output rows y[], of d floats, a multiple of
** 32. */
typedef struct dyn_window_kernels {
  /* s (m, DYN_GROUP) = x y'; room for an even number of rows */
  void (*scores)(float *s, float *const *x, int m, float *const *y,
                 ptrdiff_t d);
  /* g[i] = -lr sigmoid(g[i]) */
  void (*gradient)(float *g, int n, float lr);
  /* x += g y and y += g' x, from the old x and y; g (m, DYN_GROUP) */
  void (*move)(float *const *x, int m, const float *g, float *const *y,
               ptrdiff_t d);
} dyn_window_kernels;

/* The widest that this processor has. */
const dyn_window_kernels *dyn_window_choose(void);

#endif
