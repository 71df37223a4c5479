/* Sorting and selection against the slow and obvious; positions; no memory. */
#include "core/ops.h"
#include "core/order.h"
#include "core/rng.h"
#include "core/sparse_stat.h"
#include "test.h"

static dyn_tensor noise(dyn_type type, ptrdiff_t n, ptrdiff_t m,
                        uint64_t seed) {
  dyn_tensor t = {0};
  dyn_rng g = dyn_rng_stream(seed, 0);
  if (dyn_tensor_new(&t, type, 2, (ptrdiff_t[]){n, m}, NULL) != DYN_OK) exit(2);
  for (ptrdiff_t i = 0; i < n * m; i++)
    dyn_tensor_set(&t, i, floor(20 * dyn_rng_normal(&g)) / 4);
  return t;
}

/* rank of element i of its line: how many come before it */
static bool in_order(const dyn_tensor *a, const dyn_tensor *at, ptrdiff_t n) {
  for (ptrdiff_t i = 0; i + 1 < n; i++) {
    ptrdiff_t p = (ptrdiff_t)dyn_f64(at)[i], q = (ptrdiff_t)dyn_f64(at)[i + 1];
    double x = dyn_tensor_get(a, p), y = dyn_tensor_get(a, q);
    if (x > y || (x == y && p > q)) return false;
  }
  return true;
}

static void sorts(dyn_type type) {
  static const ptrdiff_t sizes[] = {0, 1, 3, 17, 64, 65, 1000};
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
    ptrdiff_t n = sizes[k];
    dyn_tensor a = noise(type, 1, n, k), v = {0}, at = {0}, tv = {0}, tt = {0};
    OK(dyn_sort(&v, &at, &a, 1, false, NULL) == DYN_OK);
    OK(in_order(&a, &at, n));
    bool best = dyn_topk(&tv, &tt, &a, n / 10, 1, false, NULL) == DYN_OK;
    for (ptrdiff_t i = 0; best && i < n / 10; i++)
      best = dyn_f64(&tt)[i] == dyn_f64(&at)[i] &&
             dyn_tensor_get(&tv, i) == dyn_tensor_get(&v, i);
    OK(best);
    dyn_tensor_free(&a), dyn_tensor_free(&v), dyn_tensor_free(&at);
    dyn_tensor_free(&tv), dyn_tensor_free(&tt);
  }
}

/* scatter_add_ is the adjoint of gather: <gather(a), x> = <a, scatter(x)> */
static void adjoint(dyn_type type) {
  dyn_tensor a = noise(type, 5, 7, 1), x = noise(type, 3, 7, 2), at = {0};
  dyn_tensor g = {0}, y = {0}, p = {0}, q = {0}, s = {0}, r = {0};
  OK(dyn_tensor_new(&at, DYN_F64, 2, (ptrdiff_t[]){3, 7}, NULL) == DYN_OK);
  for (int i = 0; i < 21; i++) dyn_f64(&at)[i] = i * 3 % 5;
  OK(dyn_gather(&g, &a, 0, &at, 0, NULL) == DYN_OK);
  OK(dyn_tensor_new(&y, type, 2, a.size, NULL) == DYN_OK);
  OK(dyn_scatter_add_(&y, 0, &at, &x, NULL) == DYN_OK);
  OK(dyn_map2(&p, DYN_MUL, &g, &x, NULL) == DYN_OK);
  OK(dyn_map2(&q, DYN_MUL, &a, &y, NULL) == DYN_OK);
  OK(dyn_reduce(&s, DYN_SUM, &p, -1, NULL) == DYN_OK);
  OK(dyn_reduce(&r, DYN_SUM, &q, -1, NULL) == DYN_OK);
  NEAR(dyn_tensor_get(&s, 0), dyn_tensor_get(&r, 0), 1e-6);
  dyn_f64(&at)[3] = 5;
  dyn_err e;
  dyn_tensor none = {0};
  OK(dyn_gather(&none, &a, 0, &at, 0, &e) == DYN_EVALUE && !none.st);
  dyn_tensor_free(&a), dyn_tensor_free(&x), dyn_tensor_free(&at);
  dyn_tensor_free(&g), dyn_tensor_free(&y), dyn_tensor_free(&p);
  dyn_tensor_free(&q), dyn_tensor_free(&s), dyn_tensor_free(&r);
}

static dyn_tensor A, AT;

static dyn_status sort_all(int dim) {
  dyn_tensor v = {0}, at = {0};
  dyn_status st = dyn_sort(&v, &at, &A, dim, true, NULL);
  dyn_tensor_free(&v), dyn_tensor_free(&at);
  return st;
}

static dyn_status select_all(void) {
  dyn_tensor v = {0}, at = {0};
  dyn_status st = dyn_topk(&v, &at, &A, 2, 0, true, NULL);
  dyn_tensor_free(&v), dyn_tensor_free(&at);
  return st;
}

static dyn_status quantiles(int dim) {
  dyn_tensor r = {0};
  dyn_status st = dyn_quantile(&r, &A, (double[]){.2, .7}, 2, dim, NULL);
  dyn_tensor_free(&r);
  return st;
}

static dyn_status sums(void) {
  dyn_tensor r = {0};
  dyn_status st = dyn_cumsum(&r, &A, 0, NULL);
  dyn_tensor_free(&r);
  return st;
}

static dyn_status distinct(void) {
  dyn_tensor v = {0}, i = {0}, c = {0};
  dyn_status st = dyn_unique(&v, &i, &c, &A, NULL);
  dyn_tensor_free(&v), dyn_tensor_free(&i), dyn_tensor_free(&c);
  return st;
}

static dyn_status move(void) {
  dyn_tensor r = {0};
  dyn_status st = dyn_gather(&r, &A, 0, &AT, 0, NULL);
  if (st == DYN_OK) st = dyn_scatter_add_(&A, 0, &AT, &r, NULL);
  dyn_tensor_free(&r);
  return st;
}

static dyn_status masks(void) {
  dyn_tensor w = {0}, n = {0}, c = {0}, f = {0};
  dyn_status st = dyn_convert(&f, &A, DYN_F32, NULL);
  if (st == DYN_OK) st = dyn_where(&w, &f, &A, &A, NULL);
  if (st == DYN_OK) st = dyn_nonzero(&n, &A, NULL);
  if (st == DYN_OK) st = dyn_compress(&c, &A, &f, NULL);
  dyn_tensor_free(&w), dyn_tensor_free(&n);
  dyn_tensor_free(&c), dyn_tensor_free(&f);
  return st;
}

static dyn_csr S;

static dyn_status sparse_rows(void) {
  dyn_tensor r = {0};
  dyn_csr t = {0};
  dyn_status st = dyn_csr_reduce(&r, &S, DYN_CSR_VAR, 0, NULL);
  if (st == DYN_OK) st = dyn_csr_topk(&t, &S, 2, NULL);
  dyn_tensor_free(&r);
  dyn_csr_free(&t);
  return st;
}

static void views(void) {
  dyn_tensor v = {0};
  dyn_err e;
  OK(dyn_tensor_permute(&v, &A, (int[]){1, 0}, &e) == DYN_OK && v.size[0] == 4);
  dyn_tensor_free(&v);
  OK(dyn_tensor_permute(&v, &A, (int[]){1, 2}, &e) == DYN_EVALUE && !v.st);
  OK(dyn_tensor_unsqueeze(&v, &A, 1, &e) == DYN_OK && v.ndim == 3);
  dyn_tensor_free(&v);
  OK(dyn_tensor_broadcast(&v, &A, 3, (ptrdiff_t[]){2, -1, 4}, &e) == DYN_OK);
  OK(v.size[1] == 6 && dyn_tensor_get(&v, 23) == dyn_f64(&A)[23]);
  dyn_tensor_free(&v);
  OK(dyn_tensor_broadcast(&v, &A, 1, (ptrdiff_t[]){2}, &e) == DYN_ESHAPE);
  OK(dyn_tensor_diagonal(&v, &A, -1, &e) == DYN_OK && v.size[0] == 4);
  dyn_tensor_free(&v);
}

int main(void) {
  for (int type = 0; type < DYN_NTYPES; type++) {
    sorts((dyn_type)type);
    adjoint((dyn_type)type);
  }
  A = noise(DYN_F64, 6, 4, 9);
  if (dyn_tensor_new(&AT, DYN_F64, 2, (ptrdiff_t[]){3, 4}, NULL)) return 2;
  if (dyn_csr_from_dense(&S, &A, NULL) != DYN_OK) return 2;
  views();
  OUT_OF_MEMORY(sort_all(0));
  OUT_OF_MEMORY(select_all());
  OUT_OF_MEMORY(quantiles(0));
  OUT_OF_MEMORY(quantiles(-1));
  OUT_OF_MEMORY(sums());
  OUT_OF_MEMORY(distinct());
  OUT_OF_MEMORY(move());
  OUT_OF_MEMORY(masks());
  OUT_OF_MEMORY(sparse_rows());
  dyn_tensor_free(&A), dyn_tensor_free(&AT);
  dyn_csr_free(&S);
  return done_testing();
}
