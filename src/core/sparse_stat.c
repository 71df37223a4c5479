#include "core/sparse_stat.h"

#include <math.h>

#include "core/order.h"

const char *dyn_csr_stat_name(dyn_csr_stat op) {
  static const char *const names[DYN_CSR_NSTAT] = {"count", "mean", "var",
                                                   "max", "min"};
  return names[op];
}

static double entry(const dyn_csr *s, int64_t k) {
  return s->val ? (double)s->val[k] : 1;
}

/* Add up f(entry) by row or column: counts in 'n', sums in 'r'. */
static void sums(double *r, double *n, const dyn_csr *s, int dim,
                 const double *mean) {
  for (ptrdiff_t i = 0; i < s->nrow; i++)
    for (int64_t k = s->start[i]; k < s->start[i + 1]; k++) {
      ptrdiff_t at = dim ? i : s->col[k];
      double v = entry(s, k) - (mean ? mean[at] : 0);
      r[at] += mean ? v * v : v;
      n[at]++;
    }
}

/* Stored extremes; lines that are not full have zeros too. */
static void extremes(double *r, const double *n, const dyn_csr *s, int dim,
                     ptrdiff_t len, double sign) {
  ptrdiff_t lines = dim ? s->nrow : s->ncol;
  for (ptrdiff_t i = 0; i < lines; i++)
    r[i] = n[i] < (double)len ? 0 : -sign * (double)INFINITY;
  for (ptrdiff_t i = 0; i < s->nrow; i++)
    for (int64_t k = s->start[i]; k < s->start[i + 1]; k++) {
      double v = entry(s, k), *b = &r[dim ? i : s->col[k]];
      if (v != v || sign * v > sign * *b) *b = v; /* NaN stays */
    }
}

static void finish(double *v, const double *n, const double *mean,
                   ptrdiff_t lines, double len, dyn_csr_stat op) {
  for (ptrdiff_t i = 0; i < lines; i++)
    if (op == DYN_CSR_MEAN)
      v[i] /= len;
    else if (len < 2) /* variance */
      v[i] = (double)NAN;
    else
      v[i] = (v[i] + (len - n[i]) * mean[i] * mean[i]) / (len - 1);
}

dyn_status dyn_csr_reduce(dyn_tensor *r, const dyn_csr *s, dyn_csr_stat op,
                          int dim, dyn_err *e) {
  dyn_tensor out = {0}, n = {0}, mean = {0};
  dyn_status st = DYN_OK;
  ptrdiff_t lines = dim ? s->nrow : s->ncol, len = dim ? s->ncol : s->nrow;
  DYN_TRY(dyn_tensor_new(&out, DYN_F64, 1, &lines, e));
  DYN_TRY(dyn_tensor_new(&n, DYN_F64, 1, &lines, e));
  double *v = dyn_f64(&out), *count = dyn_f64(&n);
  if (op == DYN_CSR_COUNT) {
    for (ptrdiff_t i = 0; i < s->nrow; i++)
      for (int64_t k = s->start[i]; k < s->start[i + 1]; k++)
        v[dim ? i : s->col[k]] += entry(s, k) != 0;
  } else if (op == DYN_CSR_VAR) {
    DYN_TRY(dyn_csr_reduce(&mean, s, DYN_CSR_MEAN, dim, e));
    sums(v, count, s, dim, dyn_f64(&mean));
    finish(v, count, dyn_f64(&mean), lines, (double)len, op);
  } else {
    sums(v, count, s, dim, NULL);
    if (op == DYN_CSR_MEAN)
      finish(v, count, NULL, lines, (double)len, op);
    else
      extremes(v, count, s, dim, len, op == DYN_CSR_MAX ? 1 : -1);
  }
  *r = out, out = (dyn_tensor){0};
done:
  dyn_tensor_free(&out), dyn_tensor_free(&n), dyn_tensor_free(&mean);
  return st;
}

/* Mark in keep[0 .. n-1] the k largest of a row of n. */
static dyn_status mark(float *row, ptrdiff_t n, ptrdiff_t k, bool *keep,
                       dyn_err *e) {
  dyn_tensor at = {0};
  dyn_tensor t = {
      .data = row, .type = DYN_F32, .ndim = 1, .size = {n}, .stride = {1}};
  dyn_tensor own = {0};
  for (ptrdiff_t i = 0; i < n; i++) keep[i] = n <= k || !row;
  if (n <= k) return DYN_OK;
  if (!row) { /* all ones: the first */
    for (ptrdiff_t i = k; i < n; i++) keep[i] = false;
    return DYN_OK;
  }
  dyn_status st = dyn_topk(&own, &at, &t, k, 0, true, e);
  for (ptrdiff_t i = 0; st == DYN_OK && i < k; i++)
    keep[(ptrdiff_t)dyn_f64(&at)[i]] = true;
  dyn_tensor_free(&own), dyn_tensor_free(&at);
  return st;
}

dyn_status dyn_csr_topk(dyn_csr *r, const dyn_csr *s, ptrdiff_t k, dyn_err *e) {
  dyn_csr out = {0};
  dyn_status st = DYN_OK;
  int64_t nnz = dyn_csr_nnz(s), at = 0;
  if (k < 0) return dyn_fail(e, DYN_EVALUE, "topk: %td is negative", k);
  bool *keep = dyn_alloc((size_t)nnz, sizeof *keep);
  if (!keep) return dyn_fail(e, DYN_ENOMEM, "no memory for topk");
  for (ptrdiff_t i = 0; i < s->nrow; i++) {
    int64_t lo = s->start[i];
    DYN_TRY(mark(s->val ? s->val + lo : NULL, s->start[i + 1] - lo, k,
                 keep + lo, e));
  }
  DYN_TRY(dyn_csr_new(&out, s->nrow, s->ncol, nnz, s->val != NULL, e));
  for (ptrdiff_t i = 0; i < s->nrow; i++) {
    for (int64_t j = s->start[i]; j < s->start[i + 1]; j++) {
      if (!keep[j]) continue;
      out.col[at] = s->col[j];
      if (out.val) out.val[at] = s->val[j];
      at++;
    }
    out.start[i + 1] = at;
  }
  *r = out, out = (dyn_csr){0};
done:
  dyn_free(keep, (size_t)nnz, sizeof *keep);
  dyn_csr_free(&out);
  return st;
}
