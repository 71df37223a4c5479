#include "eval/loess.h"

#include <math.h>
#include <stdlib.h>

typedef struct point {
  double x, y;
  ptrdiff_t at;
} point;

static int by_x(const void *a, const void *b) {
  const point *p = a, *q = b;
  if (p->x != q->x) return p->x < q->x ? -1 : 1;
  return p->at < q->at ? -1 : p->at > q->at;
}

/* ---- one local fit -------------------------------------------------------- */

/* Value and slope at 0 of the weighted polynomial of degree 'deg' through s
** (moments of the weights, s[0..4]) and b (of the weighted y, b[0..2]); false:
** singular. */
static bool solve(const double *s, const double *b, int deg, double *value,
                  double *slope) {
  double a[3][4];
  for (int i = 0; i <= deg; i++) {
    for (int j = 0; j <= deg; j++) a[i][j] = s[i + j];
    a[i][deg + 1] = b[i];
  }
  for (int i = deg; i >= 0; i--) { /* leave unknown 0 for the last */
    if (!(a[i][i] > 1e-10 * s[2 * i])) return false;
    for (int k = 0; k < i; k++) {
      double f = a[k][i] / a[i][i];
      for (int j = 0; j <= deg + 1; j++) a[k][j] -= f * a[i][j];
    }
  }
  *value = a[0][deg + 1] / a[0][0];
  *slope = deg ? (a[1][deg + 1] - a[1][0] * *value) / a[1][1] : 0;
  return true;
}

/* The fit at 'at' through the points lo..hi, its nearest ones. */
static void local_fit(const point *v, ptrdiff_t lo, ptrdiff_t hi, double at,
                      double *value, double *slope) {
  double s[5] = {0}, b[3] = {0};
  double h = fmax(at - v[lo].x, v[hi].x - at);
  *value = *slope = 0;
  for (ptrdiff_t i = lo; i <= hi; i++) {
    double u = h > 0 ? (v[i].x - at) / h : 0, c = fabs(u) * u * u;
    c = 1 - fabs(c);
    double w = c > 0 ? c * c * c : 0;
    for (int k = 0; k < 5; k++, w *= u) {
      s[k] += w;
      if (k < 3) b[k] += w * v[i].y;
    }
  }
  for (int deg = 2; deg >= 0; deg--) /* repeated x leave fewer unknowns */
    if (solve(s, b, deg, value, slope)) break;
  if (h > 0) *slope /= h;
}

/* The first of the q points nearest to 'at', looking on from 'lo'. */
static ptrdiff_t nearest(const point *v, ptrdiff_t n, ptrdiff_t q, ptrdiff_t lo,
                         double at) {
  while (lo + q < n && at - v[lo].x > v[lo + q].x - at) lo++;
  return lo;
}

static dyn_status everywhere(double *fit, const point *v, ptrdiff_t n,
                             ptrdiff_t q, const dyn_poll *poll, dyn_err *e) {
  double slope;
  ptrdiff_t lo = 0;
  for (ptrdiff_t i = 0; i < n; i++) {
    if (i % 256 == 0 && dyn_stop(poll, i, n))
      return dyn_fail(e, DYN_ECANCEL, "loess: interrupted");
    lo = nearest(v, n, q, lo, v[i].x);
    local_fit(v, lo, lo + q - 1, v[i].x, &fit[v[i].at], &slope);
  }
  return DYN_OK;
}

/* ---- cubics between cuts -------------------------------------------------- */

typedef struct vertex {
  double x, value, slope;
} vertex;

typedef struct piece {
  ptrdiff_t l, u; /* points */
  double from, to;
} piece;

/* The last point of the lower half of l..u: the median, or the nearest one on
** either side whose right neighbour differs; the median if there is none. */
static ptrdiff_t cut(const point *v, ptrdiff_t l, ptrdiff_t u) {
  ptrdiff_t m = (l + u + 2) / 2 - 1, off = 0; /* counted from 1 there */
  while (m + off < u && m + off >= l) {
    if (v[m + off].x != v[m + off + 1].x) return m + off;
    off = -off;
    if (off >= 0) off++;
  }
  return m;
}

static int by_place(const void *a, const void *b) {
  double x = ((const vertex *)a)->x, y = ((const vertex *)b)->x;
  return x < y ? -1 : x > y;
}

/* Cuts of the line into pieces of at most 'most' points, sorted; 't' has room for
** n + 2 of them, 'todo' for 2 n + 1 pieces. */
static ptrdiff_t cuts(vertex *t, piece *todo, const point *v, ptrdiff_t n,
                      double most) {
  double a = v[0].x, b = v[n - 1].x;
  double more = 0.005 * fmax(b - a, 1e-10 * fmax(fabs(a), fabs(b)) + 1e-30);
  ptrdiff_t nt = 2, ntodo = 1;
  t[0].x = a - more;
  t[1].x = b + more;
  todo[0] = (piece){0, n - 1, t[0].x, t[1].x};
  for (ptrdiff_t k = 0; k < ntodo; k++) {
    piece p = todo[k];
    if ((double)(p.u - p.l + 1) <= most) continue;
    ptrdiff_t m = cut(v, p.l, p.u);
    double x = v[m].x;
    if (x == p.from || x == p.to || m >= p.u) continue;
    t[nt++].x = x;
    todo[ntodo++] = (piece){p.l, m, p.from, x};
    todo[ntodo++] = (piece){m + 1, p.u, x, p.to};
  }
  qsort(t, (size_t)nt, sizeof *t, by_place);
  return nt;
}

/* The cubic with the values and slopes of both ends, at x. */
static double cubic(const vertex *a, const vertex *b, double x) {
  double w = b->x - a->x, h = (x - a->x) / w, g = 1 - h;
  return g * g * (1 + 2 * h) * a->value + h * h * (3 - 2 * h) * b->value +
         (h * g * g * a->slope - h * h * g * b->slope) * w;
}

static dyn_status between(double *fit, const point *v, ptrdiff_t n, ptrdiff_t q,
                          double most, const dyn_poll *poll, dyn_err *e) {
  dyn_status st = DYN_OK;
  vertex *t = dyn_alloc_raw((size_t)n + 2, sizeof *t);
  piece *todo = dyn_alloc_raw(2 * (size_t)n + 1, sizeof *todo);
  if (!t || !todo) {
    st = dyn_fail(e, DYN_ENOMEM, "loess: not enough memory");
    goto done;
  }
  ptrdiff_t nt = cuts(t, todo, v, n, most), lo = 0;
  for (ptrdiff_t k = 0; k < nt; k++) {
    if (dyn_stop(poll, k, nt)) {
      st = dyn_fail(e, DYN_ECANCEL, "loess: interrupted");
      goto done;
    }
    lo = nearest(v, n, q, lo, t[k].x);
    local_fit(v, lo, lo + q - 1, t[k].x, &t[k].value, &t[k].slope);
  }
  for (ptrdiff_t i = 0, k = 1; i < n; i++) {
    while (k < nt - 1 && v[i].x > t[k].x) k++;
    fit[v[i].at] = cubic(&t[k - 1], &t[k], v[i].x);
  }
done:
  dyn_free(t, (size_t)n + 2, sizeof *t);
  dyn_free(todo, 2 * (size_t)n + 1, sizeof *todo);
  return st;
}

DYN_STATUS dyn_loess(double *fit, const double *x, const double *y, ptrdiff_t n,
                     double span, double cell, const dyn_poll *poll,
                     dyn_err *e) {
  if (n < 4 || !(span > 0 && span <= 1) || !(cell >= 0 && cell <= 1))
    return dyn_fail(e, DYN_EVALUE,
                    "loess: 4 points, a span in (0, 1] and a cell in [0, 1] "
                    "expected (got %td, %g and %g)",
                    n, span, cell);
  for (ptrdiff_t i = 0; i < n; i++)
    if (!isfinite(x[i]) || !isfinite(y[i]))
      return dyn_fail(e, DYN_EVALUE, "loess: point %td is not finite", i + 1);
  point *v = dyn_alloc_raw((size_t)n, sizeof *v);
  if (!v) return dyn_fail(e, DYN_ENOMEM, "loess: not enough memory");
  for (ptrdiff_t i = 0; i < n; i++) v[i] = (point){x[i], y[i], i};
  qsort(v, (size_t)n, sizeof *v, by_x);
  ptrdiff_t q = (ptrdiff_t)floor((double)n * span + 1e-5);
  if (q < 4) q = 4;
  dyn_status st =
      cell > 0 ? between(fit, v, n, q, floor((double)n * span * cell), poll, e)
               : everywhere(fit, v, n, q, poll, e);
  dyn_free(v, (size_t)n, sizeof *v);
  return st;
}
