/* kernel.h -- inner loops of fused operations, by type. Private to learn/. */
#ifndef DYN_KERNEL_H
#define DYN_KERNEL_H

#include "core/rng.h"
#include "learn/tape.h"

/* Rows with fewer elements in all are not worth a thread. */
#define DYN_GRAIN (1 << 15)

#define DYN_COLUMNS 256

/* A row of n predictions with its targets, weights and mask; strides in
** elements. */
typedef struct dyn_lossrow {
  ptrdiff_t n;
  const void *p, *t, *w, *m;
  ptrdiff_t sp, st, sw, sm;
} dyn_lossrow;

/* Moments of a row of row_pearson: weights, means, (co)variances. */
typedef struct dyn_moments {
  double weight, mean_p, mean_t, var_p, var_t, cov;
} dyn_moments;

/* One step of an optimiser over n parameters. */
typedef struct dyn_adamw_step {
  double lr, beta1, beta2, eps, decay;
  double correct1, correct2; /* 1 - beta^step */
  double scale;              /* of the gradient: clipping */
  double bound;              /* largest |element| of the gradient, then */
  double l2;                 /* this much of the parameter is added to it */
} dyn_adamw_step;

/* Rows have stride 1 unless said; g, y: changed in place. */
typedef struct dyn_kernels {
  void (*bias)(ptrdiff_t n, void *y, const void *b);
  /* y[j] = sum over i of x[i * ld + j], added to y unless 'fresh'; at most
  ** DYN_COLUMNS columns */
  void (*colsum)(ptrdiff_t rows, ptrdiff_t cols, const void *x, ptrdiff_t ld,
                 void *y, bool fresh);
  void (*act)(ptrdiff_t n, void *y, dyn_activation act);
  /* g *= f'; v is the result of f, of gelu the argument */
  void (*dact)(ptrdiff_t n, void *g, const void *v, dyn_activation act,
               double keep);
  /* y = 0 with probability 'drop', else y / (1 - drop) */
  void (*drop)(ptrdiff_t n, void *y, double drop, dyn_rng *rng);
  /* out[0] += sum w m loss, out[1] += sum w m; elements with w m = 0 are not
  ** looked at */
  void (*mse)(const dyn_lossrow *r, double out[2]);
  void (*bce)(const dyn_lossrow *r, double out[2]);
  /* d = s w m loss'(p), stride 1 */
  void (*dmse)(const dyn_lossrow *r, void *d, double s);
  void (*dbce)(const dyn_lossrow *r, void *d, double s);
  void (*pearson)(const dyn_lossrow *r, dyn_moments *out);
  void (*dpearson)(const dyn_lossrow *r, void *d, const dyn_moments *q,
                   double s);
  void (*lsm)(ptrdiff_t n, void *y, const void *x);
  void (*dlsm)(ptrdiff_t n, void *g, const void *y);
  void (*adamw)(ptrdiff_t n, void *w, const void *g, void *m, void *v,
                const dyn_adamw_step *s);
  void (*sgd)(ptrdiff_t n, void *w, const void *g, void *m,
              const dyn_adamw_step *s);
  double (*squares)(ptrdiff_t n, const void *x);
  bool (*finite)(ptrdiff_t n, const void *x, ptrdiff_t s);
} dyn_kernels;

extern const dyn_kernels dyn_kernel[DYN_NTYPES];

/* Under this variance (of a row of predictions) a correlation fades out. */
#define DYN_PEARSON_EPS 1e-8

bool dyn_all_finite(const dyn_tensor *t);

#endif
