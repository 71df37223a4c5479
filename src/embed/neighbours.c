#include "embed/neighbours.h"

#include <math.h>
#include <string.h>

#include "core/linalg.h"
#include "embed/best.h"

enum {
  BLOCK = 512 /* rows that share one product */
};

static dyn_status check(const dyn_tensor *x, const int64_t *v, ptrdiff_t n,
                        dyn_err *e) {
  char buf[DYN_SHAPELEN];
  if (x->ndim != 2)
    return dyn_fail(e, DYN_ESHAPE, "cosine: a matrix is expected, not %s",
                    dyn_tensor_shape(x, buf));
  for (ptrdiff_t i = 0; i < n; i++)
    if (v[i] < -1 || v[i] >= x->size[0])
      return dyn_fail(e, DYN_EVALUE, "cosine: row %lld outside 1..%td",
                      (long long)v[i] + 1, x->size[0]);
  return DYN_OK;
}

/* Rows v[] of x, in double, of length 1 (or 0); -1 is a row of zeros. */
static dyn_status units(dyn_tensor *r, const dyn_tensor *x, const int64_t *v,
                        ptrdiff_t n, dyn_err *e) {
  ptrdiff_t d = x->size[1];
  dyn_status st = dyn_tensor_new(r, DYN_F64, 2, (ptrdiff_t[]){n, d}, e);
  for (ptrdiff_t i = 0; st == DYN_OK && i < n; i++) {
    double sum = 0, *row = dyn_f64(r) + i * d;
    if (v && v[i] < 0) continue;
    ptrdiff_t at = (v ? v[i] : i) * x->stride[0];
    for (ptrdiff_t j = 0; j < d; j++) {
      row[j] = dyn_tensor_get(x, at + j * x->stride[1]);
      sum += row[j] * row[j];
    }
    for (ptrdiff_t j = 0; sum > 0 && j < d; j++) row[j] /= sqrt(sum);
  }
  return st;
}

static dyn_status product(dyn_tensor *r, const dyn_tensor *a,
                          const dyn_tensor *b, dyn_err *e) {
  dyn_tensor t = {0};
  dyn_tensor_swap(&t, b, 0, 1);
  dyn_status st = dyn_matmul(r, a, &t, e);
  dyn_tensor_free(&t);
  return st;
}

dyn_status dyn_cosine(dyn_tensor *r, const dyn_tensor *x, const int64_t *a,
                      ptrdiff_t na, const int64_t *b, ptrdiff_t nb,
                      dyn_err *e) {
  dyn_tensor ua = {0}, ub = {0};
  dyn_status st = DYN_OK;
  DYN_TRY(check(x, a, na, e));
  DYN_TRY(check(x, b, nb, e));
  DYN_TRY(units(&ua, x, a, na, e));
  DYN_TRY(units(&ub, x, b, nb, e));
  DYN_TRY(product(r, &ua, &ub, e));
done:
  dyn_tensor_free(&ua), dyn_tensor_free(&ub);
  return st;
}

static dyn_status block(int32_t *id, double *sim, const dyn_tensor *x,
                        const dyn_tensor *all, const int64_t *q, ptrdiff_t m,
                        ptrdiff_t k, dyn_err *e) {
  dyn_tensor some = {0}, s = {0};
  dyn_status st;
  ptrdiff_t n = all->size[0];
  DYN_TRY(units(&some, x, q, m, e));
  DYN_TRY(product(&s, &some, all, e));
#pragma omp parallel for schedule(static, 8)
  for (ptrdiff_t i = 0; i < m; i++)
    dyn_best(id + i * k, sim + i * k, dyn_f64(&s) + i * n, n, 1, q[i], k,
             false);
done:
  dyn_tensor_free(&some), dyn_tensor_free(&s);
  return st;
}

dyn_status dyn_neighbours(int32_t *id, dyn_tensor *sim, const dyn_tensor *x,
                          const int64_t *q, ptrdiff_t nq, ptrdiff_t k,
                          dyn_err *e) {
  dyn_tensor all = {0}, s = {0};
  dyn_status st = check(x, q, nq, e);
  if (st != DYN_OK) return st;
  if (k < 1 || x->size[0] > INT32_MAX)
    return dyn_fail(e, DYN_EVALUE, "neighbours: %td of %td rows", k,
                    x->size[0]);
  DYN_TRY(units(&all, x, NULL, x->size[0], e));
  DYN_TRY(dyn_tensor_new(&s, DYN_F64, 2, (ptrdiff_t[]){nq, k}, e));
  for (ptrdiff_t lo = 0; lo < nq; lo += BLOCK) {
    ptrdiff_t m = nq - lo < BLOCK ? nq - lo : BLOCK;
    DYN_TRY(block(id + lo * k, dyn_f64(&s) + lo * k, x, &all, q + lo, m, k, e));
  }
  *sim = s;
  s = (dyn_tensor){0};
done:
  dyn_tensor_free(&all), dyn_tensor_free(&s);
  return st;
}
