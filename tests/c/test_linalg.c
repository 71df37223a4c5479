/* Products against the definition, decompositions against what they promise. */
#include "core/linalg.h"

#include <string.h>

#include "core/ops.h"
#include "core/rng.h"
#include "test.h"

static dyn_tensor noise(dyn_type type, ptrdiff_t n, ptrdiff_t m, int seed) {
  dyn_tensor t = {0};
  dyn_rng g = dyn_rng_stream(3, (uint64_t)seed);
  if (dyn_tensor_new(&t, type, 2, (ptrdiff_t[]){n, m}, NULL)) exit(2);
  for (size_t i = 0; i < dyn_tensor_len(&t); i++)
    dyn_tensor_set(&t, (ptrdiff_t)i, dyn_rng_normal(&g));
  return t;
}

static double at(const dyn_tensor *t, ptrdiff_t i, ptrdiff_t j) {
  return dyn_tensor_get(t, i * t->stride[0] + j * t->stride[1]);
}

/* Largest difference between r and the definition of a b. */
static double product_error(const dyn_tensor *r, const dyn_tensor *a,
                            const dyn_tensor *b) {
  double worst = 0;
  for (ptrdiff_t i = 0; i < a->size[0]; i++)
    for (ptrdiff_t j = 0; j < b->size[1]; j++) {
      double s = 0;
      for (ptrdiff_t k = 0; k < a->size[1]; k++) s += at(a, i, k) * at(b, k, j);
      worst = fmax(worst, fabs(s - at(r, i, j)));
    }
  return worst;
}

static void products(dyn_type type) {
  static const ptrdiff_t sizes[][3] = {
      {0, 3, 2},    {1, 1, 1},     {3, 0, 2},      {7, 5, 3},
      {17, 33, 15}, {300, 31, 40}, {140, 60, 600}, {200, 60, 200}};
  double tol = type == DYN_F32 ? 1e-4 : 1e-12;
  for (size_t c = 0; c < sizeof sizes / sizeof sizes[0]; c++)
    for (int form = 0; form < 4; form++) { /* each operand plain, transposed */
      ptrdiff_t n = sizes[c][0], k = sizes[c][1], m = sizes[c][2];
      dyn_tensor a = form & 1 ? noise(type, k, n, 1) : noise(type, n, k, 1);
      dyn_tensor b = form & 2 ? noise(type, m, k, 2) : noise(type, k, m, 2);
      dyn_tensor va = {0}, vb = {0}, r = {0};
      form & 1 ? dyn_tensor_swap(&va, &a, 0, 1) : dyn_tensor_share(&va, &a);
      form & 2 ? dyn_tensor_swap(&vb, &b, 0, 1) : dyn_tensor_share(&vb, &b);
      OK(dyn_matmul(&r, &va, &vb, NULL) == DYN_OK);
      OK(product_error(&r, &va, &vb) < tol);
      dyn_tensor_free(&a), dyn_tensor_free(&b), dyn_tensor_free(&r);
      dyn_tensor_free(&va), dyn_tensor_free(&vb);
    }
}

static void threads_do_not_matter(void) {
  dyn_tensor a = noise(DYN_F32, 1000, 129, 1), b = noise(DYN_F32, 129, 65, 2);
  dyn_tensor r1 = {0}, r2 = {0};
  dyn_set_threads(1);
  OK(dyn_matmul(&r1, &a, &b, NULL) == DYN_OK);
  dyn_set_threads(2);
  OK(dyn_matmul(&r2, &a, &b, NULL) == DYN_OK);
  OK(memcmp(r1.data, r2.data, dyn_tensor_len(&r1) * sizeof(float)) == 0);
  dyn_tensor_free(&a), dyn_tensor_free(&b);
  dyn_tensor_free(&r1), dyn_tensor_free(&r2);
}

static double norm_of_difference(const dyn_tensor *a, const dyn_tensor *b) {
  double s = 0;
  for (ptrdiff_t i = 0; i < a->size[0]; i++)
    for (ptrdiff_t j = 0; j < a->size[1]; j++)
      s = fmax(s, fabs(at(a, i, j) - at(b, i, j)));
  return s;
}

static void decompositions(ptrdiff_t n, ptrdiff_t m) {
  dyn_tensor a = noise(DYN_F64, n, m, 5), u = {0}, s = {0}, v = {0}, vt = {0},
             us = {0}, r = {0}, q = {0};
  OK(dyn_svd(&u, &s, &v, &a, NULL) == DYN_OK);
  OK(dyn_map2(&us, DYN_MUL, &u, &s, NULL) == DYN_OK);
  dyn_tensor_swap(&vt, &v, 0, 1);
  OK(dyn_matmul(&r, &us, &vt, NULL) == DYN_OK);
  OK(norm_of_difference(&a, &r) < 1e-12);
  OK(dyn_tensor_get(&s, 0) >= dyn_tensor_get(&s, s.size[0] - 1));
  dyn_tensor_free(&r);
  if (n >= m) {
    dyn_tensor t = {0};
    OK(dyn_qr(&q, &r, &a, NULL) == DYN_OK);
    OK(dyn_matmul(&t, &q, &r, NULL) == DYN_OK);
    OK(norm_of_difference(&a, &t) < 1e-12 && at(&r, 0, 0) >= 0);
    dyn_tensor_free(&t), dyn_tensor_free(&q), dyn_tensor_free(&r);
  }
  dyn_tensor_free(&a), dyn_tensor_free(&u), dyn_tensor_free(&s);
  dyn_tensor_free(&v), dyn_tensor_free(&vt), dyn_tensor_free(&us);
}

static void symmetric(void) {
  dyn_tensor x = noise(DYN_F64, 12, 9, 4), xt = {0}, a = {0}, w = {0}, v = {0};
  dyn_tensor av = {0}, vw = {0}, l = {0}, lt = {0}, r = {0}, y = {0};
  dyn_tensor_swap(&xt, &x, 0, 1);
  OK(dyn_matmul(&a, &xt, &x, NULL) == DYN_OK); /* 9x9, positive definite */
  OK(dyn_eigh(&w, &v, &a, NULL) == DYN_OK);
  OK(dyn_matmul(&av, &a, &v, NULL) == DYN_OK);
  OK(dyn_map2(&vw, DYN_MUL, &v, &w, NULL) == DYN_OK);
  OK(norm_of_difference(&av, &vw) < 1e-12);
  OK(dyn_cholesky(&l, &a, NULL) == DYN_OK);
  dyn_tensor_swap(&lt, &l, 0, 1);
  OK(dyn_matmul(&r, &l, &lt, NULL) == DYN_OK);
  OK(norm_of_difference(&a, &r) < 1e-12);
  dyn_tensor_free(&r);
  OK(dyn_solve(&y, &a, &xt, NULL) == DYN_OK);
  OK(dyn_matmul(&r, &a, &y, NULL) == DYN_OK);
  OK(norm_of_difference(&r, &xt) < 1e-12);
  dyn_tensor *all[] = {&x, &xt, &a, &w, &v, &av, &vw, &l, &lt, &r, &y};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
    dyn_tensor_free(all[i]);
}

static void refusals(void) {
  dyn_err e;
  dyn_tensor a = noise(DYN_F64, 3, 4, 1), b = noise(DYN_F32, 4, 3, 1), r = {0};
  dyn_tensor zero = {0}, c = {0};
  OK(dyn_matmul(&r, &a, &a, &e) == DYN_ESHAPE);
  OK(strcmp(e.msg, "matmul: shapes 3x4 and 3x4 do not match") == 0);
  OK(dyn_matmul(&r, &a, &b, &e) == DYN_ETYPE);
  OK(dyn_tensor_new(&zero, DYN_F64, 2, (ptrdiff_t[]){3, 3}, NULL) == DYN_OK);
  OK(dyn_solve(&r, &zero, &zero, &e) == DYN_EVALUE);
  OK(dyn_cholesky(&r, &zero, &e) == DYN_EVALUE);
  dyn_tensor_set(&zero, 4, (double)NAN);
  OK(dyn_eigh(&c, &r, &zero, &e) == DYN_EVALUE);
  OK(r.st == NULL && c.st == NULL);
  dyn_tensor_free(&a), dyn_tensor_free(&b), dyn_tensor_free(&zero);
}

static dyn_status everything(const dyn_tensor *a) { /* a is square */
  dyn_tensor t[7] = {{0}};
  dyn_status st = DYN_OK;
  DYN_TRY(dyn_svd(&t[0], &t[1], &t[2], a, NULL));
  DYN_TRY(dyn_qr(&t[3], &t[4], a, NULL));
  DYN_TRY(dyn_eigvals(&t[5], &t[6], a, NULL));
  for (int i = 0; i < 7; i++) dyn_tensor_free(&t[i]);
  DYN_TRY(dyn_eigh(&t[0], &t[1], a, NULL));
  DYN_TRY(dyn_solve(&t[2], a, a, NULL));
  DYN_TRY(dyn_matmul(&t[3], a, a, NULL));
done:
  for (int i = 0; i < 7; i++) dyn_tensor_free(&t[i]);
  return st;
}

int main(void) {
  printf("# %s\n", dyn_blas_config());
  products(DYN_F32);
  products(DYN_F64);
  threads_do_not_matter();
  decompositions(9, 6);
  decompositions(5, 8);
  symmetric();
  refusals();
  dyn_tensor a = noise(DYN_F32, 6, 6, 1);
  OUT_OF_MEMORY(everything(&a));
  dyn_tensor_free(&a);
  return done_testing();
}
