#include "learn/norm.h"

#include <math.h>

/* As in core/ops.c: compiled for wider registers as well, chosen when the library
** is loaded; nothing is contracted or reordered, so the bits are the same. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE
#endif

#define T        float
#define NAME(fn) fn##_f32
#include "learn/norm.inc"

#define T        double
#define NAME(fn) fn##_f64
#include "learn/norm.inc"

/* clang-format off */
#define TABLE(s) {                                                           \
    .moments = moments_##s, .normalise = normalise_##s, .unact = unact_##s,  \
    .spread = spread_##s, .enter = enter_##s, .leave = leave_##s,            \
    .dots = dots_##s, .undots = undots_##s, .outer = outer_##s,   \
    .settle = settle_##s}
/* clang-format on */

const dyn_norm_kernels dyn_norm_kernel[DYN_NTYPES] = {
    [DYN_F32] = TABLE(f32),
    [DYN_F64] = TABLE(f64),
};

static void put(dyn_type type, void *x, ptrdiff_t j, double v) {
  if (type == DYN_F32)
    ((float *)x)[j] = (float)v;
  else
    ((double *)x)[j] = v;
}

void dyn_norm_moments(ptrdiff_t m, double n, double *sum, double *squares) {
  for (ptrdiff_t j = 0; j < m; j++) {
    sum[j] /= n;
    squares[j] = squares[j] / n - sum[j] * sum[j];
    if (squares[j] < 0) squares[j] = 0; /* a constant column, rounded */
  }
}

void dyn_norm_forward(dyn_type type, ptrdiff_t m, const double *mean,
                      const double *var, const dyn_tensor *scale,
                      const dyn_tensor *shift, double eps, void *a, void *c) {
  for (ptrdiff_t j = 0; j < m; j++) {
    double by = dyn_tensor_get(scale, j) / sqrt(var[j] + eps);
    put(type, a, j, by);
    put(type, c, j, dyn_tensor_get(shift, j) - by * mean[j]);
  }
}

/* dx = scale r (g - sum/n - xhat (sum of g xhat)/n), xhat = (x - mean) r. */
void dyn_norm_backward(dyn_type type, ptrdiff_t m, double n, const double *mean,
                       const double *var, const dyn_tensor *scale, double eps,
                       const double *sum, double *products, void *p, void *q,
                       void *t) {
  for (ptrdiff_t j = 0; j < m; j++) {
    double r = 1 / sqrt(var[j] + eps), by = dyn_tensor_get(scale, j) * r;
    products[j] = r * (products[j] - mean[j] * sum[j]);
    double slope = -by * r * products[j] / n;
    put(type, p, j, by);
    put(type, t, j, slope);
    put(type, q, j, -by * sum[j] / n - slope * mean[j]);
  }
}
