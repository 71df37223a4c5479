#include "eval/bootstrap.h"

#include <math.h>
#include <stdlib.h>

#include "core/rng.h"

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double quantile(const double *sorted, int64_t n, double q) {
  double at = q * (double)(n - 1);
  int64_t i = (int64_t)at;
  if (i >= n - 1) return sorted[n - 1];
  return sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]);
}

static double resample(const double *v, int64_t n, dyn_rng g) {
  double s = 0;
  for (int64_t i = 0; i < n; i++) s += v[dyn_rng_below(&g, n)];
  return s / (double)n;
}

static double flip(const double *v, int64_t n, dyn_rng g) {
  double s = 0;
  uint64_t bits = 0;
  for (int64_t i = 0; i < n; i++, bits >>= 1) {
    if (i % 64 == 0) bits = dyn_rng_next(&g);
    s += bits & 1 ? v[i] : -v[i];
  }
  return s / (double)n;
}

DYN_STATUS dyn_bootstrap_mean(dyn_interval *r, const double *v, int64_t n,
                              int64_t draws, double level, uint64_t seed,
                              dyn_err *e) {
  if (draws < 1 || !(level > 0 && level < 1))
    return dyn_fail(e, DYN_EVALUE, "bootstrap: draws >= 1 and 0 < level < 1");
  double *kept = dyn_alloc((size_t)n + 1, sizeof *kept);
  double *means = dyn_alloc((size_t)draws, sizeof *means);
  dyn_status st = DYN_OK;
  int64_t m = 0, extreme = 1;
  *r = (dyn_interval){0};
  if (!kept || !means) {
    st = dyn_fail(e, DYN_ENOMEM, "bootstrap of %lld: out of memory",
                  (long long)n);
    goto done;
  }
  for (int64_t i = 0; i < n; i++)
    if (v[i] == v[i]) kept[m++] = v[i], r->mean += v[i], r->wins += v[i] > 0;
  if (!m) {
    st = dyn_fail(e, DYN_EVALUE, "bootstrap: no value to resample");
    goto done;
  }
  r->n = m;
  r->mean /= (double)m;
#pragma omp parallel for schedule(static) reduction(+ : extreme) \
    if (draws * m > 100000)
  for (int64_t b = 0; b < draws; b++) {
    means[b] = resample(kept, m, dyn_rng_stream(seed, (uint64_t)b));
    double f = flip(kept, m, dyn_rng_stream(~seed, (uint64_t)b));
    extreme += fabs(f) >= fabs(r->mean);
  }
  qsort(means, (size_t)draws, sizeof *means, ascending);
  r->lo = quantile(means, draws, (1 - level) / 2);
  r->hi = quantile(means, draws, (1 + level) / 2);
  r->p = (double)extreme / (double)(draws + 1);
done:
  if (kept) dyn_free(kept, (size_t)n + 1, sizeof *kept);
  if (means) dyn_free(means, (size_t)draws, sizeof *means);
  return st;
}
