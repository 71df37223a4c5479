#include "eval/population.h"

#include <math.h>
#include <stdlib.h>

#include "core/rng.h"

static DYN_STATUS check(const dyn_tensor *x, const dyn_tensor *y,
                        const char *what, dyn_err *e) {
  if (x->type != DYN_F64 || y->type != DYN_F64)
    return dyn_fail(e, DYN_ETYPE, "%s: double matrices expected", what);
  if (x->ndim != 2 || y->ndim != 2 || x->size[1] != y->size[1] ||
      !dyn_tensor_dense(x) || !dyn_tensor_dense(y))
    return dyn_fail(e, DYN_ESHAPE,
                    "%s: dense matrices with the same columns expected", what);
  return DYN_OK;
}

static double squared(const double *a, const double *b, ptrdiff_t d) {
  double s = 0;
#pragma omp simd reduction(+ : s)
  for (ptrdiff_t j = 0; j < d; j++) s += (a[j] - b[j]) * (a[j] - b[j]);
  return s;
}

/*
** Distances of one cell to WIDTH cells at once: those of y are packed in blocks
** of (d, WIDTH), so that each dimension is one step of WIDTH sums side by side,
** and no sum runs across a register. Still differences, squared and added in
** the order of the dimensions: exact ties stay ties, and every clone gives the
** same bytes (nothing is contracted).
*/
enum {
  WIDTH = 16
};

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE
#endif

WIDE static void block_distances(double *restrict out, const double *restrict a,
                                 const double *restrict block, ptrdiff_t d,
                                 bool root) {
  double s[WIDTH] = {0};
  for (ptrdiff_t k = 0; k < d; k++, block += WIDTH) {
    double v = a[k];
#pragma omp simd
    for (int w = 0; w < WIDTH; w++) s[w] += (v - block[w]) * (v - block[w]);
  }
  if (root) {
#pragma omp simd
    for (int w = 0; w < WIDTH; w++) s[w] = sqrt(s[w]);
  }
  for (int w = 0; w < WIDTH; w++) out[w] = s[w];
}

static void pack(double *out, const dyn_tensor *y) {
  ptrdiff_t n = y->size[0], d = y->size[1];
  const double *v = dyn_f64(y);
  for (ptrdiff_t j = 0; j < n; j++)
    for (ptrdiff_t k = 0; k < d; k++)
      out[(j / WIDTH * d + k) * WIDTH + j % WIDTH] = v[j * d + k];
}

/* Sum over the cells of packed y (n of them) from 'from' on. */
static double row_sum(dyn_pair kind, double gamma, const double *a,
                      const double *packed, ptrdiff_t n, ptrdiff_t d,
                      ptrdiff_t from) {
  double s = 0, block[WIDTH];
  for (ptrdiff_t lo = from - from % WIDTH; lo < n; lo += WIDTH) {
    ptrdiff_t hi = lo + WIDTH < n ? lo + WIDTH : n;
    block_distances(block, a, packed + lo * d, d, kind == DYN_PAIR_DISTANCE);
    for (ptrdiff_t j = lo > from ? lo : from; j < hi; j++)
      s += kind == DYN_PAIR_RBF ? exp(-gamma * block[j - lo]) : block[j - lo];
  }
  return s;
}

#define BLOCK 64 /* rows between two polls */

/* Sum of row sums in order; 'own': only pairs i < j of x itself. */
static DYN_STATUS all_rows(double *r, double *part, double *packed,
                           dyn_pair kind, double gamma, const dyn_tensor *x,
                           const dyn_tensor *y, bool own, const dyn_poll *poll,
                           dyn_err *e) {
  ptrdiff_t n = x->size[0], d = x->size[1], m = y->size[0];
  pack(packed, y);
  for (ptrdiff_t lo = 0; lo < n; lo += BLOCK) {
    ptrdiff_t hi = lo + BLOCK < n ? lo + BLOCK : n;
    if (dyn_stop(poll, lo, n))
      return dyn_fail(e, DYN_ECANCEL, "pairs of cells: stopped");
#pragma omp parallel for schedule(dynamic, 4) if (m * d * (hi - lo) > 400000)
    for (ptrdiff_t i = lo; i < hi; i++)
      part[i] = row_sum(kind, gamma, dyn_f64(x) + i * d, packed, m, d,
                        own ? i + 1 : 0);
  }
  *r = 0;
  for (ptrdiff_t i = 0; i < n; i++) *r += part[i];
  return DYN_OK;
}

DYN_STATUS dyn_pair_sums(dyn_pairs *r, dyn_pair kind, double gamma,
                         const dyn_tensor *x, const dyn_tensor *y,
                         const dyn_poll *poll, dyn_err *e) {
  dyn_status st;
  double *part = NULL, *packed = NULL;
  size_t n = 0, room = 0;
  *r = (dyn_pairs){0};
  DYN_TRY(check(x, y, "pairs of cells", e));
  ptrdiff_t most = x->size[0] > y->size[0] ? x->size[0] : y->size[0];
  n = (size_t)most + 1;
  room = (size_t)(most + WIDTH) * (size_t)(x->size[1] > 0 ? x->size[1] : 1);
  part = dyn_alloc(n, sizeof *part);
  packed = dyn_alloc(room, sizeof *packed);
  if (!part || !packed)
    DYN_TRY(dyn_fail(e, DYN_ENOMEM, "pairs of cells: out of memory"));
  DYN_TRY(
      all_rows(&r->between, part, packed, kind, gamma, x, y, false, poll, e));
  DYN_TRY(all_rows(&r->x, part, packed, kind, gamma, x, x, true, poll, e));
  DYN_TRY(all_rows(&r->y, part, packed, kind, gamma, y, y, true, poll, e));
done:
  if (part) dyn_free(part, n, sizeof *part);
  if (packed) dyn_free(packed, room, sizeof *packed);
  return st;
}

/* ---- median -------------------------------------------------------------- */

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Hoare's selection: v[k] is what sorting would put there, smaller before. */
static double nth(double *v, ptrdiff_t n, ptrdiff_t k) {
  ptrdiff_t lo = 0, hi = n - 1;
  while (lo < hi) {
    double pivot = v[lo + (hi - lo) / 2];
    ptrdiff_t i = lo, j = hi;
    while (i <= j) {
      while (v[i] < pivot) i++;
      while (v[j] > pivot) j--;
      if (i > j) break;
      double t = v[i];
      v[i++] = v[j], v[j--] = t;
    }
    if (k <= j)
      hi = j;
    else if (k >= i)
      lo = i;
    else
      break;
  }
  return v[k];
}

static double median(double *v, ptrdiff_t n) {
  double upper = nth(v, n, n / 2), lower = v[0];
  if (n % 2) return upper;
  for (ptrdiff_t i = 1; i < n / 2; i++) lower = fmax(lower, v[i]);
  return (lower + upper) / 2;
}

DYN_STATUS dyn_pair_median(double *r, const dyn_tensor *x, const dyn_tensor *y,
                           dyn_err *e) {
  dyn_status st;
  *r = 0;
  DYN_TRY(check(x, y, "median distance", e));
  ptrdiff_t n = x->size[0], all = n + y->size[0], d = x->size[1], k = 0;
  size_t count = (size_t)all * (size_t)(all > 0 ? all - 1 : 0) / 2;
  if (count == 0)
    return dyn_fail(e, DYN_EVALUE, "median distance: two cells needed");
  double *v = dyn_alloc_raw(count, sizeof *v);
  if (!v)
    return dyn_fail(e, DYN_ENOMEM,
                    "median distance of %td cells: out of memory", all);
  for (ptrdiff_t i = 0; i < all; i++) {
    const double *a = i < n ? dyn_f64(x) + i * d : dyn_f64(y) + (i - n) * d;
    for (ptrdiff_t j = i + 1; j < all; j++)
      v[k++] =
          squared(a, j < n ? dyn_f64(x) + j * d : dyn_f64(y) + (j - n) * d, d);
  }
  *r = median(v, k);
  dyn_free(v, count, sizeof *v);
done:
  return st;
}

/* ---- test ---------------------------------------------------------------- */

/* Unbiased energy distance of the cells order[0 .. n-1] against the rest. */
static double energy(const dyn_tensor *d, const int32_t *order, ptrdiff_t n) {
  ptrdiff_t all = d->size[0], m = all - n;
  double within_x = 0, within_y = 0, between = 0;
  for (ptrdiff_t i = 0; i < all; i++) {
    const double *row = dyn_f64(d) + order[i] * all;
    double s = 0, t = 0;
    for (ptrdiff_t j = i + 1; j < n; j++) s += row[order[j]];
    for (ptrdiff_t j = i < n ? n : i + 1; j < all; j++) t += row[order[j]];
    within_x += s;
    *(i < n ? &between : &within_y) += t;
  }
  return 2 * between / ((double)n * (double)m) -
         2 * within_x / ((double)n * (double)(n - 1)) -
         2 * within_y / ((double)m * (double)(m - 1));
}

DYN_STATUS dyn_energy_test(double *p, const dyn_tensor *d, ptrdiff_t n,
                           int64_t draws, uint64_t seed, dyn_err *e) {
  dyn_status st;
  int64_t extreme = 1;
  *p = (double)NAN;
  DYN_TRY(check(d, d, "energy test", e));
  ptrdiff_t all = d->size[0];
  if (d->size[1] != all || n < 2 || all - n < 2 || draws < 1 || all > INT32_MAX)
    return dyn_fail(e, DYN_EVALUE,
                    "energy test: distances of two groups of two cells or more "
                    "expected");
  size_t count = (size_t)(draws + 1) * (size_t)all;
  int32_t *order = dyn_alloc(count, sizeof *order);
  if (!order) return dyn_fail(e, DYN_ENOMEM, "energy test: out of memory");
  for (int64_t b = 0; b <= draws; b++) {
    int32_t *o = order + b * all;
    dyn_rng g = dyn_rng_stream(seed, (uint64_t)b);
    for (ptrdiff_t i = 0; i < all; i++) o[i] = (int32_t)i;
    if (b > 0) dyn_rng_shuffle(&g, o, all);
  }
  /* two arrangements of the same cells may differ by rounding alone */
  double seen = energy(d, order, n), limit = seen - 1e-12 * fabs(seen);
#pragma omp parallel for schedule(static) reduction(+ : extreme)
  for (int64_t b = 1; b <= draws; b++)
    extreme += energy(d, order + b * all, n) >= limit;
  *p = (double)extreme / (double)(draws + 1);
  dyn_free(order, count, sizeof *order);
done:
  return st;
}

/* ---- Wasserstein --------------------------------------------------------- */

/* Sorted a (n) onto sorted b (m): mass in units of 1 / (n m). */
static double transport(int p, const double *a, ptrdiff_t n, const double *b,
                        ptrdiff_t m) {
  double sum = 0;
  ptrdiff_t i = 0, j = 0, left = m, room = n; /* of a[i], of b[j] */
  while (i < n && j < m) {
    ptrdiff_t mass = left < room ? left : room;
    double d = fabs(a[i] - b[j]);
    sum += (double)mass * (p == 1 ? d : d * d);
    left -= mass, room -= mass;
    if (left == 0) i++, left = m;
    if (room == 0) j++, room = n;
  }
  return sum / ((double)n * (double)m);
}

static void column(double *v, const dyn_tensor *x, ptrdiff_t j) {
  for (ptrdiff_t i = 0; i < x->size[0]; i++)
    v[i] = dyn_f64(x)[i * x->size[1] + j];
  qsort(v, (size_t)x->size[0], sizeof *v, ascending);
}

DYN_STATUS dyn_wasserstein_cols(dyn_tensor *r, int p, const dyn_tensor *x,
                                const dyn_tensor *y, dyn_err *e) {
  dyn_status st;
  DYN_TRY(check(x, y, "wasserstein", e));
  ptrdiff_t n = x->size[0], m = y->size[0], d = x->size[1];
  if (n < 1 || m < 1 || (p != 1 && p != 2))
    return dyn_fail(e, DYN_EVALUE,
                    "wasserstein: cells in both groups and p = 1 or 2 "
                    "expected");
  double *v = dyn_alloc_raw((size_t)(n + m), sizeof *v);
  if (!v) return dyn_fail(e, DYN_ENOMEM, "wasserstein: out of memory");
  st = dyn_tensor_new(r, DYN_F64, 1, &d, e);
  for (ptrdiff_t j = 0; st == DYN_OK && j < d; j++) {
    column(v, x, j);
    column(v + n, y, j);
    dyn_f64(r)[j] = transport(p, v, n, v + n, m);
  }
  dyn_free(v, (size_t)(n + m), sizeof *v);
done:
  return st;
}
