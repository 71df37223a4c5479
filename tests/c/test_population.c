#include "eval/population.h"
#include "test.h"

#include <omp.h>

#include "core/rng.h"

static dyn_err e;

static dyn_status filled(dyn_tensor *t, ptrdiff_t n, ptrdiff_t g,
                         const double *v) {
  ptrdiff_t size[2] = {n, g};
  dyn_status st = dyn_tensor_new(t, DYN_F64, 2, size, &e);
  for (ptrdiff_t i = 0; st == DYN_OK && i < n * g; i++) dyn_f64(t)[i] = v[i];
  return st;
}

/* Two cells against three; distances of all five for the test. */
static const double X[] = {0, 0, 2, 0}, Y[] = {0, 1, 2, 1, 1, 3};
static const double all[] = {0, 1, 5, 6, 1, 0, 5, 6, 5, 5, 0, 1, 6, 6, 1, 0};

typedef struct found {
  dyn_pairs d, d2, rbf;
  double median, p, w[2], w2[2];
} found;

static dyn_status find(found *f) {
  dyn_status st;
  dyn_tensor x = {0}, y = {0}, d = {0}, w = {0}, w2 = {0};
  DYN_TRY(filled(&x, 2, 2, X));
  DYN_TRY(filled(&y, 3, 2, Y));
  DYN_TRY(filled(&d, 4, 4, all));
  DYN_TRY(dyn_pair_sums(&f->d, DYN_PAIR_DISTANCE, 0, &x, &y, NULL, &e));
  DYN_TRY(dyn_pair_sums(&f->d2, DYN_PAIR_SQUARED, 0, &x, &y, NULL, &e));
  DYN_TRY(dyn_pair_sums(&f->rbf, DYN_PAIR_RBF, .5, &x, &y, NULL, &e));
  DYN_TRY(dyn_pair_median(&f->median, &x, &y, &e));
  DYN_TRY(dyn_energy_test(&f->p, &d, 2, 199, 1, &e));
  DYN_TRY(dyn_wasserstein_cols(&w, 1, &x, &y, &e));
  DYN_TRY(dyn_wasserstein_cols(&w2, 2, &x, &y, &e));
  for (int k = 0; k < 2; k++)
    f->w[k] = dyn_f64(&w)[k], f->w2[k] = dyn_f64(&w2)[k];
done:
  dyn_tensor_free(&x), dyn_tensor_free(&y), dyn_tensor_free(&d);
  dyn_tensor_free(&w), dyn_tensor_free(&w2);
  return st;
}

static void golden(void) {
  found f;
  OK(find(&f) == DYN_OK);
  double a = f.d.between / 6, b = f.d.x, c = f.d.y;
  NEAR(2 * a - 2 * b / 4 - 2 * c / 9, 1.8273113240010952, 1e-14);
  NEAR(2 * a - b - c / 3, 0.10818510677891968, 1e-13);
  a = f.d2.between / 6, b = f.d2.x, c = f.d2.y;
  NEAR(2 * a - 2 * b / 4 - 2 * c / 9, 5.555555555555555, 1e-14);
  NEAR(2 * a - b - c / 3, 2.0, 1e-14);
  a = f.rbf.between / 6, b = f.rbf.x, c = f.rbf.y;
  NEAR((2 + 2 * b) / 4 + (3 + 2 * c) / 9 - 2 * a, 0.5039886337244301, 1e-14);
  NEAR(b + c / 3 - 2 * a, -0.2283986934923291, 1e-13);
  NEAR(f.median, 5.0, 1e-15);
  /* quantiles: x 0, 2 against 0, 1, 2 and 0, 0 against 1, 1, 3 */
  NEAR(f.w[0], 1.0 / 3, 1e-15);
  NEAR(f.w[1], 5.0 / 3, 1e-15);
  NEAR(f.w2[0], 1.0 / 3, 1e-15);
  NEAR(f.w2[1], 11.0 / 3, 1e-15);
  /* a third of the arrangements of four cells are as far apart */
  OK(fabs(f.p - 1.0 / 3) < 4 * sqrt(2.0 / 9 / 200));
}

static dyn_status noise(dyn_tensor *t, ptrdiff_t n, uint64_t seed) {
  ptrdiff_t size[2] = {n, 7};
  dyn_rng g = dyn_rng_stream(seed, 0);
  dyn_status st = dyn_tensor_new(t, DYN_F64, 2, size, &e);
  for (ptrdiff_t i = 0; st == DYN_OK && i < n * 7; i++)
    dyn_f64(t)[i] = dyn_rng_normal(&g);
  return st;
}

/* The same bytes for any number of threads. */
static void threads(void) {
  dyn_tensor x = {0}, y = {0};
  dyn_pairs one, three;
  OK(noise(&x, 300, 1) == DYN_OK && noise(&y, 211, 2) == DYN_OK);
  omp_set_num_threads(1);
  OK(dyn_pair_sums(&one, DYN_PAIR_DISTANCE, 0, &x, &y, NULL, &e) == DYN_OK);
  omp_set_num_threads(3);
  OK(dyn_pair_sums(&three, DYN_PAIR_DISTANCE, 0, &x, &y, NULL, &e) == DYN_OK);
  OK(one.between == three.between && one.x == three.x && one.y == three.y);
  dyn_tensor_free(&x), dyn_tensor_free(&y);
}

static void refused(void) {
  dyn_tensor x = {0}, y = {0}, r = {0};
  dyn_pairs s;
  double v;
  OK(filled(&x, 1, 2, X) == DYN_OK && filled(&y, 3, 1, Y) == DYN_OK);
  OK(dyn_pair_sums(&s, DYN_PAIR_SQUARED, 0, &x, &y, NULL, &e) == DYN_ESHAPE);
  OK(dyn_wasserstein_cols(&r, 3, &x, &x, &e) == DYN_EVALUE && !r.st);
  OK(dyn_energy_test(&v, &x, 1, 9, 1, &e) == DYN_EVALUE);
  OK(dyn_pair_median(&v, &x, &y, &e) == DYN_ESHAPE);
  dyn_tensor_free(&x), dyn_tensor_free(&y);
}

int main(void) {
  found f;
  golden();
  threads();
  refused();
  OUT_OF_MEMORY(find(&f));
  return done_testing();
}
