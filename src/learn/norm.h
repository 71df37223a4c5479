/*
** norm.h -- inner loops of batch normalisation, by element type, and what turns
** sums into their coefficients. Private to learn/.
**
** A normalisation of m columns is the pair a, c of  a x + c = scale (x - mean) /
** sqrt(var + eps) + shift, and its derivative the triple p, q, t of
** dx = p g + w (q + t x): g the gradient of the result, w the number of equal
** rows that row stands for.
*/
#ifndef DYN_NORM_H
#define DYN_NORM_H

#include "learn/tape.h"

/* n rows of m columns; matrices are row-major and without gaps. */
typedef struct dyn_norm_kernels {
  /* sum[j] += sum_i w_i x_ij, squares[j] += sum_i w_i x_ij^2; w NULL: all 1 */
  void (*moments)(ptrdiff_t n, ptrdiff_t m, const void *x, const void *w,
                  double *sum, double *squares);
  /* y = act(a x + c): what is negative is multiplied by 'slope' */
  void (*normalise)(ptrdiff_t n, ptrdiff_t m, const void *x, const void *a,
                    const void *c, double slope, void *y);
  /* g *= act'(a x + c); sum[j] += sum_i g_ij, products[j] += sum_i g_ij x_ij */
  void (*unact)(ptrdiff_t n, ptrdiff_t m, void *g, const void *x, const void *a,
                const void *c, double slope, double *sum, double *products);
  /* d = p g + w (q + t x); w NULL: all 1; d may be g */
  void (*spread)(ptrdiff_t n, ptrdiff_t m, const void *g, const void *x,
                 const void *w, const void *p, const void *q, const void *t,
                 void *d);
  /* y = relu(a x + c) where row i has one shift c for all: x (n, m), c (m) is
  ** a[j] s[j] + c[j] of the caller's s */
  void (*enter)(ptrdiff_t n, ptrdiff_t m, const void *x, const void *s,
                const void *a, const void *c, void *y);
  /* g[j] = 0 where y[j] is not above 0; by_row (n, m) += g, sum (m) += g */
  void (*leave)(ptrdiff_t n, ptrdiff_t m, void *g, const void *y,
                double *by_row, double *sum);
  /* r[i] = shift[i] + sum_j w_ij (a_j x_ij + c_j) */
  void (*dots)(ptrdiff_t n, ptrdiff_t m, const void *x, const void *a,
               const void *c, const void *w, const void *shift, void *r);
  /* of g (n), the gradient of r: dw_ij += g_i (a_j x_ij + c_j); sum[j] +=
  ** sum_i g_i w_ij, products[j] += sum_i g_i w_ij x_ij; all double */
  void (*undots)(ptrdiff_t n, ptrdiff_t m, const void *g, const void *x,
                 const void *a, const void *c, const void *w, double *dw,
                 double *sum, double *products);
  /* d_ij = p_j g_i w_ij + q_j + t_j x_ij */
  void (*outer)(ptrdiff_t n, ptrdiff_t m, const void *g, const void *w,
                const void *x, const void *p, const void *q, const void *t,
                void *d);
  /* d_ij = p_j s_ij + q_j n + t_j (n x_ij + shift_j): the gradient of a row
  ** that stands for 'count' rows, s the sum of theirs; s and shift double */
  void (*settle)(ptrdiff_t n, ptrdiff_t m, const double *s, const void *x,
                 const void *p, const void *q, const void *t, double count,
                 const double *shift, void *d);
} dyn_norm_kernels;

extern const dyn_norm_kernels dyn_norm_kernel[DYN_NTYPES];

/* Sums over n rows become mean and variance (n in the denominator), in place. */
void dyn_norm_moments(ptrdiff_t m, double n, double *sum, double *squares);
/* a and c of m columns, in elements of 'type'. */
void dyn_norm_forward(dyn_type type, ptrdiff_t m, const double *mean,
                      const double *var, const dyn_tensor *scale,
                      const dyn_tensor *shift, double eps, void *a, void *c);
/*
** p, q, t from the sums of the gradient and of its products with x over n rows;
** afterwards 'products' are those with the normalised x: the gradient of scale
** (that of shift is 'sum').
*/
void dyn_norm_backward(dyn_type type, ptrdiff_t m, double n, const double *mean,
                       const double *var, const dyn_tensor *scale, double eps,
                       const double *sum, double *products, void *p, void *q,
                       void *t);

#endif
