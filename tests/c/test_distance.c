#include "eval/distance.h"
#include "test.h"

static dyn_status filled(dyn_tensor *t, ptrdiff_t n, ptrdiff_t g,
                         const double *v) {
  dyn_err e;
  ptrdiff_t size[2] = {n, g};
  dyn_status st = dyn_tensor_new(t, DYN_F64, 2, size, &e);
  for (ptrdiff_t i = 0; st == DYN_OK && i < n * g; i++) dyn_f64(t)[i] = v[i];
  return st;
}

static const double truth[] = {1, 0, 0, 0, 1, 0, 1, 1, 0};
static const double guess[] = {.5, .6, 0, .8, .3, 0};

static dyn_status distances(double out[6], const dyn_genes *g) {
  dyn_err e;
  dyn_status st;
  dyn_tensor a = {0}, b = {0}, r = {0};
  DYN_TRY(filled(&a, 2, 3, guess));
  DYN_TRY(filled(&b, 3, 3, truth));
  DYN_TRY(dyn_distance_rows(&r, DYN_DIST_L2, &a, &b, g, NULL, &e));
  for (int i = 0; i < 6; i++) out[i] = dyn_f64(&r)[i];
done:
  dyn_tensor_free(&a), dyn_tensor_free(&b), dyn_tensor_free(&r);
  return st;
}

static void values(void) {
  double d[6];
  OK(distances(d, NULL) == DYN_OK);
  NEAR(d[0], sqrt(.25 + .36), 1e-15);
  OK(d[1] == d[2]); /* an exact tie, which the expanded square would lose */
  int64_t skip[] = {2, 0, 1}, first[] = {0, 2, 3};
  dyn_genes g = {.skip = skip, .first = first};
  OK(distances(d, &g) == DYN_OK);
  NEAR(d[0], .6, 1e-15);
  NEAR(d[3], .2, 1e-15);
}

static void shapes(void) {
  dyn_err e;
  dyn_tensor a = {0}, b = {0}, r = {0};
  OK(filled(&a, 2, 3, guess) == DYN_OK && filled(&b, 3, 2, truth) == DYN_OK);
  OK(dyn_distance_rows(&r, DYN_DIST_L2, &a, &b, NULL, NULL, &e) == DYN_ESHAPE &&
     !r.st);
  dyn_tensor_free(&a), dyn_tensor_free(&b);
}

int main(void) {
  double d[6];
  values();
  shapes();
  OUT_OF_MEMORY(distances(d, NULL));
  return done_testing();
}
