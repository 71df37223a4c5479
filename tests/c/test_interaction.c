#include "eval/interaction.h"
#include "test.h"

static dyn_err e;

static const double a[] = {1, 0, -.5, .2, .8}, b[] = {0, 1, .5, -.4, .6},
                    y[] = {1.1, .7, .1, 0, 1.5};

static void golden(void) {
  double c[2];
  int64_t steps;
  dyn_theil_sen_opts o = {.pairs = 100000, .steps = 1000, .tol = 1e-3};
  OK(dyn_theil_sen(c, &steps, a, b, y, 5, &o, &e) == DYN_OK && steps == 7);
  NEAR(c[0], 1.125620732085, 1e-9);
  NEAR(c[1], 0.739706997723, 1e-9);
  o.tol = 1e-12;
  OK(dyn_theil_sen(c, &steps, a, b, y, 5, &o, &e) == DYN_OK);
  NEAR(c[0], 1.124813005451, 1e-9);
  NEAR(c[1], 0.738240997296, 1e-9);
  o.steps = 2;
  OK(dyn_theil_sen(c, &steps, a, b, y, 5, &o, &e) == DYN_ENOCONV);
  OK(dyn_theil_sen(c, &steps, a, b, y, 1, &o, &e) == DYN_EVALUE);
}

/* Genes that say one thing twice, and nothing: the least norm, and 0. */
static void dependent(void) {
  static const double one[] = {1, 1, 1}, zero[] = {0, 0, 0};
  double c[2];
  int64_t steps;
  dyn_theil_sen_opts o = {.pairs = 10, .steps = 10, .tol = 1e-3};
  OK(dyn_theil_sen(c, &steps, one, one, one, 3, &o, &e) == DYN_OK);
  NEAR(c[0], .5, 1e-15);
  NEAR(c[1], .5, 1e-15);
  OK(dyn_theil_sen(c, &steps, zero, zero, one, 3, &o, &e) == DYN_OK);
  OK(c[0] == 0 && c[1] == 0);
}

static dyn_status correlation(double *r) {
  dyn_status st;
  dyn_tensor x = {0}, t = {0};
  ptrdiff_t two[2] = {5, 2}, one[2] = {5, 1};
  DYN_TRY(dyn_tensor_new(&x, DYN_F64, 2, two, &e));
  DYN_TRY(dyn_tensor_new(&t, DYN_F64, 2, one, &e));
  for (int i = 0; i < 5; i++) {
    dyn_f64(&x)[2 * i] = a[i], dyn_f64(&x)[2 * i + 1] = b[i];
    dyn_f64(&t)[i] = y[i];
  }
  DYN_TRY(dyn_distance_correlation(r, &x, &t, NULL, &e));
done:
  dyn_tensor_free(&x), dyn_tensor_free(&t);
  return st;
}

static dyn_status fitted(double *c) {
  int64_t steps;
  dyn_theil_sen_opts o = {.pairs = 4, .steps = 100, .tol = 1e-3, .seed = 1};
  return dyn_theil_sen(c, &steps, a, b, y, 5, &o, &e);
}

int main(void) {
  double r, c[2];
  golden();
  dependent();
  OK(correlation(&r) == DYN_OK);
  NEAR(r, 0.8351143691359654, 1e-14);
  OUT_OF_MEMORY(correlation(&r));
  OUT_OF_MEMORY(fitted(c));
  return done_testing();
}
