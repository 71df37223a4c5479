/*
** expr.h -- formulas on a tape. Each function records one operation and returns
** its variable; after the first failure all return -1 and do nothing, so that a
** formula reads as one and is checked once, at its end.
*/
#ifndef DYN_EXPR_H
#define DYN_EXPR_H

#include "learn/tape.h"

typedef struct dyn_expr {
  dyn_tape *t;
  dyn_status st; /* of everything so far */
  dyn_err *e;
} dyn_expr;

/* 'x' as a constant. */
int dyn_x_const(dyn_expr *x, const dyn_tensor *v);
/* The number 'v' as a constant of the type of variable 'like'. */
int dyn_x_number(dyn_expr *x, double v, int like);
int dyn_x_add(dyn_expr *x, int a, int b);
int dyn_x_sub(dyn_expr *x, int a, int b);
int dyn_x_mul(dyn_expr *x, int a, int b);
/* v times a */
int dyn_x_scale(dyn_expr *x, double v, int a);
int dyn_x_matmul(dyn_expr *x, int a, int b);
/* act(a w + b) with dropout 'drop' (0: none), whose mask comes from 'seed'. */
int dyn_x_linear(dyn_expr *x, int a, int w, int b, dyn_activation act,
                 double drop, uint64_t seed);
int dyn_x_swap(dyn_expr *x, int a, int d0, int d1);
int dyn_x_reshape(dyn_expr *x, int a, int ndim, const ptrdiff_t *size);
/* Rows idx[0 .. n-1] of a, and n rows into which those of a are added. */
int dyn_x_rows(dyn_expr *x, int a, const int64_t *idx, ptrdiff_t n);
int dyn_x_scatter(dyn_expr *x, int a, const int64_t *idx, ptrdiff_t nidx,
                  ptrdiff_t n);
/* a and b side by side, along dimension 'dim'. */
int dyn_x_cat(dyn_expr *x, int a, int b, int dim);
int dyn_x_detach(dyn_expr *x, int a);
/* Sum of w m (p - t)^2 over the sum of w m; w and m may be -1. */
int dyn_x_mse(dyn_expr *x, int p, int t, int w, int m);
int dyn_x_sum(dyn_expr *x, int a);
int dyn_x_mean(dyn_expr *x, int a);
/* Sum over dimension 'dim'. */
int dyn_x_sum_over(dyn_expr *x, int a, int dim);
int dyn_x_square(dyn_expr *x, int a);
/* Square root of what is above 'least', of 'least' elsewhere. */
int dyn_x_sqrt_above(dyn_expr *x, int a, double least);

#endif
