/* Random numbers: moments within sampling error, streams, exact shuffles. */
#include "core/rng.h"
#include "test.h"

enum {
  N = 200000
};

static void moments(const char *what, double mean, double var,
                    double (*draw)(dyn_rng *, double), double arg) {
  dyn_rng g = dyn_rng_stream(7, 1);
  double s = 0, q = 0;
  for (int i = 0; i < N; i++) {
    double x = draw(&g, arg);
    s += x, q += (x - mean) * (x - mean);
  }
  double m = s / N, v = q / N, se = sqrt(var / N);
  printf("# %s: mean %.4f (%.4f), variance %.4f (%.4f)\n", what, m, mean, v,
         var);
  OK(fabs(m - mean) < 4.5 * se);
  OK(fabs(v - var) < 0.05 * var);
}

static double uniform(dyn_rng *g, double a) { return a * dyn_rng_uniform(g); }
static double normal(dyn_rng *g, double a) { return a * dyn_rng_normal(g); }
static double poisson(dyn_rng *g, double a) {
  return (double)dyn_rng_poisson(g, a);
}

int main(void) {
  moments("uniform", 0.5, 1.0 / 12, uniform, 1);
  moments("normal", 0, 1, normal, 1);
  moments("poisson 3", 3, 3, poisson, 3);
  moments("poisson 80", 80, 80, poisson, 80);
  moments("gamma .5", 0.5, 0.5, dyn_rng_gamma, 0.5);
  moments("gamma 4", 4, 4, dyn_rng_gamma, 4);
  dyn_rng a = dyn_rng_stream(1, 2), b = dyn_rng_stream(1, 2),
          c = dyn_rng_stream(1, 3);
  OK(dyn_rng_next(&a) == dyn_rng_next(&b));
  OK(dyn_rng_next(&a) != dyn_rng_next(&c));
  OK(dyn_rng_named(1, "split") != dyn_rng_named(1, "init"));
  OK(dyn_rng_named(1, "split") == dyn_rng_named(1, "split"));
  int32_t v[50], seen[50] = {0}, all = 1;
  for (int i = 0; i < 50; i++) v[i] = i;
  dyn_rng_shuffle(&a, v, 50);
  for (int i = 0; i < 50; i++) seen[v[i]]++;
  for (int i = 0; i < 50; i++) all &= seen[i] == 1;
  OK(all);
  return done_testing();
}
