#include "eval/distance.h"

#include <math.h>

/* Sum of squared differences of columns lo .. hi-1. */
static double range(const double *a, const double *b, ptrdiff_t lo,
                    ptrdiff_t hi) {
  double s = 0;
#pragma omp simd reduction(+ : s)
  for (ptrdiff_t j = lo; j < hi; j++) s += (a[j] - b[j]) * (a[j] - b[j]);
  return s;
}

/* The first column from 'from' on that is skipped for row i, or n. */
static ptrdiff_t next_skip(const dyn_genes *g, ptrdiff_t i, ptrdiff_t from,
                           ptrdiff_t n) {
  ptrdiff_t best = n;
  if (!g || !g->skip) return n;
  for (int64_t k = g->first[i]; k < g->first[i + 1]; k++)
    if (g->skip[k] >= from && g->skip[k] < best) best = (ptrdiff_t)g->skip[k];
  return best;
}

static double between(const double *a, const double *b, const dyn_genes *g,
                      ptrdiff_t i, ptrdiff_t n) {
  double s = 0;
  for (ptrdiff_t lo = 0; lo < n;) {
    ptrdiff_t hi = next_skip(g, i, lo, n);
    s += range(a, b, lo, hi);
    lo = hi + 1;
  }
  return sqrt(s);
}

DYN_STATUS dyn_distance_rows(dyn_tensor *r, const dyn_tensor *a,
                             const dyn_tensor *b, const dyn_genes *genes,
                             const dyn_poll *poll, dyn_err *e) {
  dyn_status st = DYN_OK;
  if (a->type != DYN_F64 || b->type != DYN_F64)
    return dyn_fail(e, DYN_ETYPE, "distance: double matrices expected");
  if (a->ndim != 2 || b->ndim != 2 || a->size[1] != b->size[1] ||
      !dyn_tensor_dense(a) || !dyn_tensor_dense(b))
    return dyn_fail(e, DYN_ESHAPE,
                    "distance: dense matrices with the same columns expected");
  ptrdiff_t n = a->size[0], m = b->size[0], g = a->size[1], size[2] = {n, m};
  DYN_TRY(dyn_tensor_new(r, DYN_F64, 2, size, e));
  double *d = dyn_f64(r);
  const double *x = a->data, *y = b->data;
  for (ptrdiff_t i = 0; i < n; i++) {
    if (dyn_stop(poll, i, n)) {
      dyn_tensor_free(r);
      return dyn_fail(e, DYN_ECANCEL, "distance: stopped");
    }
#pragma omp parallel for schedule(static) if (m * g > 100000)
    for (ptrdiff_t j = 0; j < m; j++)
      d[i * m + j] = between(x + i * g, y + j * g, genes, i, g);
  }
done:
  return st;
}
