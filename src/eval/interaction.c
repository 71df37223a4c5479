#include "eval/interaction.h"

#include <float.h>
#include <math.h>

#include "core/rng.h"

/* ---- Theil-Sen ----------------------------------------------------------- */

/* Solve genes i and j for (c1, c2); the least norm where they are dependent. */
static void solve(double c[2], const double *a, const double *b,
                  const double *y, ptrdiff_t i, ptrdiff_t j) {
  double det = a[i] * b[j] - a[j] * b[i];
  double f = a[i] * a[i] + b[i] * b[i] + a[j] * a[j] + b[j] * b[j];
  double top = (f + sqrt(fmax(0, f * f - 4 * det * det))) / 2; /* s1^2 */
  if (fabs(det) > DBL_EPSILON * top) {                         /* s2/s1 > eps */
    c[0] = (y[i] * b[j] - y[j] * b[i]) / det;
    c[1] = (a[i] * y[j] - a[j] * y[i]) / det;
    return;
  }
  c[0] = f > 0 ? (a[i] * y[i] + a[j] * y[j]) / f : 0;
  c[1] = f > 0 ? (b[i] * y[i] + b[j] * y[j]) / f : 0;
}

static void solutions(double *x, int64_t count, bool all, const double *a,
                      const double *b, const double *y, ptrdiff_t n,
                      uint64_t seed) {
  dyn_rng g = dyn_rng_stream(seed, 0);
  ptrdiff_t i = 0, j = 0;
  for (int64_t k = 0; k < count; k++) {
    if (!all) {
      i = (ptrdiff_t)dyn_rng_below(&g, n);
      j = (ptrdiff_t)dyn_rng_below(&g, n - 1);
      j += j >= i;
    } else if (++j >= n) {
      i++, j = i + 1;
    }
    solve(x + 2 * k, a, b, y, i, j);
  }
}

/* One step from c (Vardi and Zhang's, eq. 2.6); the squared length of it. */
static double step(double c[2], const double *x, int64_t n) {
  double inverse = 0, to[2] = {0}, pull[2] = {0};
  bool hit = false;
  for (int64_t k = 0; k < n; k++) {
    double d0 = x[2 * k] - c[0], d1 = x[2 * k + 1] - c[1];
    double d = sqrt(d0 * d0 + d1 * d1);
    if (d < DBL_EPSILON) {
      hit = true;
      continue;
    }
    inverse += 1 / d;
    to[0] += x[2 * k] / d, to[1] += x[2 * k + 1] / d;
    pull[0] += d0 / d, pull[1] += d1 / d;
  }
  double force = sqrt(pull[0] * pull[0] + pull[1] * pull[1]);
  if (!(force > DBL_EPSILON)) return 0; /* nothing pulls: c is the median */
  double stay = hit ? fmin(1, 1 / force) : 0, length = 0;
  for (int k = 0; k < 2; k++) {
    double next = (1 - stay) * to[k] / inverse + stay * c[k];
    length += (next - c[k]) * (next - c[k]);
    c[k] = next;
  }
  return length;
}

static DYN_STATUS spatial_median(double c[2], int64_t *steps, const double *x,
                                 int64_t n, const dyn_theil_sen_opts *o,
                                 dyn_err *e) {
  c[0] = c[1] = 0;
  for (int64_t k = 0; k < n; k++) c[0] += x[2 * k], c[1] += x[2 * k + 1];
  c[0] /= (double)n, c[1] /= (double)n;
  for (*steps = 1; *steps <= o->steps; ++*steps) {
    if (dyn_stop(o->poll, *steps, o->steps))
      return dyn_fail(e, DYN_ECANCEL, "theil_sen: stopped");
    if (step(c, x, n) < o->tol * o->tol) return DYN_OK;
  }
  return dyn_fail(e, DYN_ENOCONV,
                  "theil_sen: the spatial median moves after %lld steps",
                  (long long)o->steps);
}

DYN_STATUS dyn_theil_sen(double c[2], int64_t *steps, const double *a,
                         const double *b, const double *y, ptrdiff_t n,
                         const dyn_theil_sen_opts *o, dyn_err *e) {
  c[0] = c[1] = 0, *steps = 0;
  if (n < 2 || o->pairs < 1)
    return dyn_fail(e, DYN_EVALUE, "theil_sen: at least two genes expected");
  int64_t total = (int64_t)n * (n - 1) / 2;
  int64_t count = total <= o->pairs ? total : o->pairs;
  double *x = dyn_alloc_raw(2 * (size_t)count, sizeof *x);
  if (!x) return dyn_fail(e, DYN_ENOMEM, "theil_sen: out of memory");
  solutions(x, count, count == total, a, b, y, n, o->seed);
  dyn_status st = spatial_median(c, steps, x, count, o, e);
  dyn_free(x, 2 * (size_t)count, sizeof *x);
  return st;
}

/* ---- distance correlation ------------------------------------------------ */

typedef struct side {
  const double *v;
  ptrdiff_t d;
  double *mean; /* of the distances of each row */
  double grand;
} side;

static double apart(const side *s, ptrdiff_t i, ptrdiff_t j) {
  const double *a = s->v + i * s->d, *b = s->v + j * s->d;
  double sum = 0;
  for (ptrdiff_t k = 0; k < s->d; k++) sum += (a[k] - b[k]) * (a[k] - b[k]);
  return sqrt(sum);
}

static void means(side *s, ptrdiff_t n) {
  double *mean = s->mean;
#pragma omp parallel for schedule(static) if (n > 200)
  for (ptrdiff_t i = 0; i < n; i++) {
    double sum = 0;
    for (ptrdiff_t j = 0; j < n; j++) sum += apart(s, i, j);
    mean[i] = sum / (double)n;
  }
  s->grand = 0;
  for (ptrdiff_t i = 0; i < n; i++) s->grand += mean[i];
  s->grand /= (double)n;
}

/* Sums over j of the products of doubly centred distances of row i. */
static void products(double out[3], const side *x, const side *y, ptrdiff_t i,
                     ptrdiff_t n) {
  double xy = 0, xx = 0, yy = 0;
  for (ptrdiff_t j = 0; j < n; j++) {
    double a = apart(x, i, j) - x->mean[i] - x->mean[j] + x->grand;
    double b = apart(y, i, j) - y->mean[i] - y->mean[j] + y->grand;
    xy += a * b, xx += a * a, yy += b * b;
  }
  out[0] = xy, out[1] = xx, out[2] = yy;
}

DYN_STATUS dyn_distance_correlation(double *r, const dyn_tensor *x,
                                    const dyn_tensor *y, const dyn_poll *poll,
                                    dyn_err *e) {
  *r = 0;
  if (x->type != DYN_F64 || y->type != DYN_F64)
    return dyn_fail(e, DYN_ETYPE, "distance_correlation: doubles expected");
  ptrdiff_t n = x->size[0];
  if (x->ndim != 2 || y->ndim != 2 || y->size[0] != n || !dyn_tensor_dense(x) ||
      !dyn_tensor_dense(y))
    return dyn_fail(e, DYN_ESHAPE,
                    "distance_correlation: matrices with the same rows "
                    "expected");
  if (n < 2)
    return dyn_fail(e, DYN_EVALUE, "distance_correlation: two rows needed");
  double *work = dyn_alloc(5 * (size_t)n, sizeof *work), sum[3] = {0};
  if (!work) return dyn_fail(e, DYN_ENOMEM, "distance_correlation: memory");
  dyn_status st = DYN_OK;
  side a = {dyn_f64(x), x->size[1], work, 0};
  side b = {dyn_f64(y), y->size[1], work + n, 0};
  double *part = work + 2 * n;
  means(&a, n);
  means(&b, n);
  for (ptrdiff_t lo = 0; lo < n; lo += 256) {
    if (dyn_stop(poll, lo, n)) {
      st = dyn_fail(e, DYN_ECANCEL, "distance_correlation: stopped");
      goto done;
    }
#pragma omp parallel for schedule(static) if (n > 200)
    for (ptrdiff_t i = lo; i < (lo + 256 < n ? lo + 256 : n); i++)
      products(part + 3 * i, &a, &b, i, n);
  }
  for (ptrdiff_t i = 0; i < n; i++)
    for (int k = 0; k < 3; k++) sum[k] += part[3 * i + k];
  if (sum[1] > 0 && sum[2] > 0)
    *r = sqrt(fmax(0, sum[0]) / sqrt(sum[1]) / sqrt(sum[2]));
done:
  dyn_free(work, 5 * (size_t)n, sizeof *work);
  return st;
}
