#include "core/rng.h"
#include "embed/coexpression.h"
#include "test.h"

enum {
  CELLS = 9,
  GENES = 5,
  K = 3
};

static dyn_status data(dyn_tensor *x, dyn_csr *s, dyn_err *e) {
  dyn_rng g = dyn_rng_stream(1, 0);
  dyn_status st = dyn_tensor_new(x, DYN_F64, 2, (ptrdiff_t[]){CELLS, GENES}, e);
  if (st != DYN_OK) return st;
  for (int i = 0; i < CELLS * GENES; i++)
    dyn_f64(x)[i] = i % GENES == 4 ? 1 : (double)dyn_rng_below(&g, 3);
  st = dyn_csr_from_dense(s, x, e);
  if (st != DYN_OK) dyn_tensor_free(x);
  return st;
}

static dyn_status run(bool sparse, int32_t *id, dyn_tensor *r, dyn_err *e) {
  static const int32_t group[CELLS] = {0, 1, 0, 1, 0, 1, 0, 1, 0};
  dyn_tensor x = {0};
  dyn_csr s = {0};
  dyn_status st = data(&x, &s, e);
  if (st != DYN_OK) return st;
  dyn_expression in = {sparse ? &s : NULL, &x, group, 2};
  st = dyn_correlated(id, r, &in, K, true, NULL, e);
  dyn_tensor_free(&x), dyn_csr_free(&s);
  return st;
}

static dyn_status all(bool sparse, dyn_err *e) {
  int32_t id[GENES * K];
  dyn_tensor r = {0};
  dyn_status st = run(sparse, id, &r, e);
  dyn_tensor_free(&r);
  return st;
}

static int stop_now(void *ud, int64_t done, int64_t total) {
  (void)ud, (void)done, (void)total;
  return 1;
}

int main(void) {
  dyn_err e;
  int32_t a[GENES * K], b[GENES * K];
  dyn_tensor ra = {0}, rb = {0}, x = {0};
  dyn_csr s = {0};
  bool equal = true, ordered = true;
  OK(run(true, a, &ra, &e) == DYN_OK && run(false, b, &rb, &e) == DYN_OK);
  for (int i = 0; i < GENES * K; i++) {
    equal = equal && a[i] == b[i] &&
            fabs(dyn_f64(&ra)[i] - dyn_f64(&rb)[i]) < 1e-12;
    if (i % K)
      ordered =
          ordered && fabs(dyn_f64(&ra)[i]) <= fabs(dyn_f64(&ra)[i - 1]) + 1e-15;
  }
  OK(equal);
  OK(ordered);
  NEAR(dyn_f64(&ra)[4 * K], 0.0, 0); /* a constant gene */
  dyn_tensor_free(&ra), dyn_tensor_free(&rb);
  OK(data(&x, &s, &e) == DYN_OK);
  dyn_poll p = {stop_now, NULL};
  int32_t wrong[CELLS] = {0, 1, 2};
  dyn_expression in = {&s, NULL, NULL, 0}, bad = {&s, NULL, wrong, 2};
  OK(dyn_correlated(a, &ra, &in, 0, true, NULL, &e) == DYN_EVALUE);
  OK(dyn_correlated(a, &ra, &bad, K, true, NULL, &e) == DYN_EVALUE);
  OK(dyn_correlated(a, &ra, &in, K, true, &p, &e) == DYN_ECANCEL && !ra.st);
  dyn_tensor_free(&x), dyn_csr_free(&s);
  OUT_OF_MEMORY(all(true, &e));
  OUT_OF_MEMORY(all(false, &e));
  return done_testing();
}
