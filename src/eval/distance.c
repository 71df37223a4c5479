#include "eval/distance.h"

#include <math.h>

/* Sums over genes that a distance is made of. */
typedef struct sums {
  double d;          /* |a - b| or (a - b)^2 */
  double a, b, n;    /* of the values, how many */
  double ab, aa, bb; /* of products, less the means given */
} sums;

static void add_l2(sums *s, const double *a, const double *b, ptrdiff_t lo,
                   ptrdiff_t hi) {
  double d = 0;
#pragma omp simd reduction(+ : d)
  for (ptrdiff_t j = lo; j < hi; j++) d += (a[j] - b[j]) * (a[j] - b[j]);
  s->d += d;
}

static void add_l1(sums *s, const double *a, const double *b, ptrdiff_t lo,
                   ptrdiff_t hi) {
  double d = 0;
#pragma omp simd reduction(+ : d)
  for (ptrdiff_t j = lo; j < hi; j++) d += fabs(a[j] - b[j]);
  s->d += d;
}

static void add_values(sums *s, const double *a, const double *b, ptrdiff_t lo,
                       ptrdiff_t hi) {
  double x = 0, y = 0;
#pragma omp simd reduction(+ : x, y)
  for (ptrdiff_t j = lo; j < hi; j++) x += a[j], y += b[j];
  s->a += x, s->b += y, s->n += (double)(hi - lo);
}

static void add_products(sums *s, const double *a, const double *b,
                         ptrdiff_t lo, ptrdiff_t hi) {
  double ab = 0, aa = 0, bb = 0, ma = s->a, mb = s->b;
#pragma omp simd reduction(+ : ab, aa, bb)
  for (ptrdiff_t j = lo; j < hi; j++) {
    ab += (a[j] - ma) * (b[j] - mb);
    aa += (a[j] - ma) * (a[j] - ma);
    bb += (b[j] - mb) * (b[j] - mb);
  }
  s->ab += ab, s->aa += aa, s->bb += bb;
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

typedef void adder(sums *, const double *, const double *, ptrdiff_t,
                   ptrdiff_t);

/* 'add' over the runs of columns between those that are skipped. */
static void over(adder *add, sums *s, const double *a, const double *b,
                 const dyn_genes *g, ptrdiff_t i, ptrdiff_t n) {
  for (ptrdiff_t lo = 0; lo < n;) {
    ptrdiff_t hi = next_skip(g, i, lo, n);
    add(s, a, b, lo, hi);
    lo = hi + 1;
  }
}

static double between(dyn_metric_space space, const double *a, const double *b,
                      const dyn_genes *g, ptrdiff_t i, ptrdiff_t n) {
  sums s = {0};
  if (space == DYN_DIST_L2 || space == DYN_DIST_L1) {
    over(space == DYN_DIST_L2 ? add_l2 : add_l1, &s, a, b, g, i, n);
    return space == DYN_DIST_L2 ? sqrt(s.d) : s.d;
  }
  if (space == DYN_DIST_PEARSON) {
    over(add_values, &s, a, b, g, i, n);
    s.a /= s.n > 0 ? s.n : 1, s.b /= s.n > 0 ? s.n : 1;
  }
  over(add_products, &s, a, b, g, i, n);
  if (!(s.aa > 0 && s.bb > 0)) return 1;
  double r = s.ab / sqrt(s.aa) / sqrt(s.bb);
  return 1 - (r > 1 ? 1 : r < -1 ? -1 : r);
}

DYN_STATUS dyn_distance_rows(dyn_tensor *r, dyn_metric_space space,
                             const dyn_tensor *a, const dyn_tensor *b,
                             const dyn_genes *genes, const dyn_poll *poll,
                             dyn_err *e) {
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
      d[i * m + j] = between(space, x + i * g, y + j * g, genes, i, g);
  }
done:
  return st;
}
