#include <omp.h>
#include <string.h>

#include "core/rng.h"
#include "embed/spectral.h"
#include "test.h"

static int32_t row[200000], col[200000];
static float val[200000];
static int64_t n_edges;

static void edge(int32_t a, int32_t b, float w) {
  row[n_edges] = a, col[n_edges] = b, val[n_edges++] = w;
  row[n_edges] = b, col[n_edges] = a, val[n_edges++] = w;
}

static dyn_spectral_opts options(int k) {
  return (dyn_spectral_opts){DYN_NORMALISED, k, 1e-9, 500, 1};
}

static dyn_status solve(dyn_tensor *x, dyn_tensor *w, double *residual,
                        ptrdiff_t n, const dyn_spectral_opts *o, dyn_err *e) {
  dyn_csr a = {0};
  dyn_status st = dyn_csr_from_triplets(&a, n, n, n_edges, row, col, val, e);
  if (st == DYN_OK) st = dyn_spectral(x, w, residual, &a, o, NULL, e);
  dyn_csr_free(&a);
  return st;
}

/* A ring of n nodes: eigenvalues 1 - cos(2 pi j / n), in pairs. */
static void ring(int32_t n, int k, double tol) {
  dyn_err e;
  dyn_tensor x = {0}, w = {0};
  double residual = 1, worst = 0, orth = 0;
  dyn_spectral_opts o = options(k);
  n_edges = 0;
  for (int32_t i = 0; i < n; i++) edge(i, (i + 1) % n, 1);
  OK(solve(&x, &w, &residual, n, &o, &e) == DYN_OK);
  for (int j = 0; j < k; j++) {
    double want = 1 - cos(2 * acos(-1.0) * (double)(j / 2 + 1) / n);
    if (fabs(dyn_f64(&w)[j] - want) > worst)
      worst = fabs(dyn_f64(&w)[j] - want);
    for (int i = 0; i <= j; i++) {
      double s = i == j ? -1 : 0;
      for (int32_t v = 0; v < n; v++)
        s += dyn_f64(&x)[v * k + i] * dyn_f64(&x)[v * k + j];
      if (fabs(s) > orth) orth = fabs(s);
    }
  }
  printf("# ring %d: eigenvalues within %.1e, residual %.1e, basis %.1e\n",
         (int)n, worst, residual, orth);
  OK(worst < tol && residual < 1e-8 && orth < 1e-9);
  dyn_tensor_free(&x), dyn_tensor_free(&w);
}

static void random_graph(int32_t n, int degree) {
  dyn_rng g = dyn_rng_stream(4, 0);
  n_edges = 0;
  for (int32_t i = 1; i < n; i++) {
    edge(i, (int32_t)dyn_rng_below(&g, i), 1);
    for (int k = 1; k < degree; k++) {
      int32_t j = (int32_t)dyn_rng_below(&g, n);
      if (j != i) edge(i, j, (float)(1 + dyn_rng_below(&g, 3)));
    }
  }
}

/* The iterative method finds what LAPACK finds; same bytes for 1 and 2 threads.
** Two copies of a graph: every eigenvalue twice, and two trivial vectors. */
static void copies(void) {
  dyn_err e;
  dyn_tensor x = {0}, w = {0}, y = {0}, v = {0};
  double residual, worst = 0;
  int k = 20;
  dyn_spectral_opts o = options(k);
  random_graph(500, 4);
  OK(solve(&x, &w, &residual, 500, &o, &e) == DYN_OK);
  int64_t half = n_edges;
  for (int64_t q = 0; q < half; q++) {
    row[n_edges] = row[q] + 500, col[n_edges] = col[q] + 500;
    val[n_edges++] = val[q];
  }
  o.k = 2 * k;
  for (int threads = 1; threads <= 2; threads++) {
    dyn_tensor z = {0}, u = {0};
    omp_set_num_threads(threads);
    OK(solve(&z, &u, &residual, 1000, &o, &e) == DYN_OK);
    if (threads == 1) {
      y = z, v = u;
      continue;
    }
    OK(memcmp(dyn_f64(&y), dyn_f64(&z), dyn_tensor_len(&y) * 8) == 0);
    dyn_tensor_free(&z), dyn_tensor_free(&u);
  }
  omp_set_num_threads(1);
  for (int j = 0; j < 2 * k; j++) {
    double d = fabs(dyn_f64(&v)[j] - dyn_f64(&w)[j / 2]);
    if (d > worst) worst = d;
  }
  printf("# two copies: eigenvalues within %.1e, residual %.1e\n", worst,
         residual);
  OK(worst < 1e-10);
  dyn_tensor_free(&x), dyn_tensor_free(&w);
  dyn_tensor_free(&y), dyn_tensor_free(&v);
}

/* A star: all but two eigenvalues are 1; the Krylov space ends at once. */
static void star(void) {
  dyn_err e;
  dyn_tensor x = {0}, w = {0};
  double residual;
  dyn_spectral_opts o = options(5);
  n_edges = 0;
  for (int32_t i = 1; i < 1500; i++) edge(0, i, 1);
  OK(solve(&x, &w, &residual, 1500, &o, &e) == DYN_OK);
  for (int j = 0; j < 5; j++) NEAR(dyn_f64(&w)[j], 1.0, 1e-9);
  dyn_tensor_free(&x), dyn_tensor_free(&w);
}

/* A balanced signed square (two friends each): eigenvalue 0, signs +,+,-,-. */
static void with_signs(void) {
  dyn_err e;
  dyn_tensor x = {0}, w = {0};
  double residual;
  dyn_spectral_opts o = options(1);
  n_edges = 0;
  edge(0, 1, 1), edge(1, 2, -1), edge(2, 3, 1), edge(3, 0, -1);
  OK(solve(&x, &w, &residual, 4, &o, &e) == DYN_OK);
  NEAR(dyn_f64(&w)[0], 0.0, 1e-12);
  const double *v = dyn_f64(&x);
  OK(v[0] * v[1] > 0.2 && v[2] * v[3] > 0.2 && v[0] * v[2] < -0.2);
  dyn_tensor_free(&x), dyn_tensor_free(&w);
}

static void random_walk(void) { /* L u = lambda u with L = I - D^-1 A */
  dyn_err e;
  dyn_tensor x = {0}, w = {0};
  double residual, worst = 0, d[50] = {0}, ax[50];
  dyn_spectral_opts o = options(4);
  o.kind = DYN_RANDOM_WALK;
  random_graph(50, 2);
  OK(solve(&x, &w, &residual, 50, &o, &e) == DYN_OK);
  for (int64_t k = 0; k < n_edges; k++) d[row[k]] += (double)val[k];
  for (int j = 0; j < 4; j++) {
    memset(ax, 0, sizeof ax);
    for (int64_t k = 0; k < n_edges; k++)
      ax[row[k]] += (double)val[k] * dyn_f64(&x)[col[k] * 4 + j];
    for (int i = 0; i < 50; i++) {
      double v = dyn_f64(&x)[i * 4 + j];
      double r = fabs(v - ax[i] / d[i] - dyn_f64(&w)[j] * v);
      if (r > worst) worst = r;
    }
  }
  OK(worst < 1e-12);
  dyn_tensor_free(&x), dyn_tensor_free(&w);
}

static void wrong(void) {
  dyn_err e;
  dyn_tensor x = {0}, w = {0};
  double residual;
  dyn_spectral_opts o = options(4);
  n_edges = 0;
  edge(0, 1, 1), edge(2, 3, 1);
  OK(solve(&x, &w, &residual, 4, &o, &e) == DYN_EVALUE && !x.st);
  row[n_edges] = 0, col[n_edges] = 2, val[n_edges++] = 1;
  o.k = 1;
  OK(solve(&x, &w, &residual, 4, &o, &e) == DYN_EVALUE && !x.st);
  n_edges = 0;
  for (int32_t i = 0; i < 3000; i++) edge(i, (i + 1) % 3000, 1);
  o.k = 4, o.cycles = 1;
  OK(solve(&x, &w, &residual, 3000, &o, &e) == DYN_ENOCONV && !x.st);
}

/* 150 rings of 10 and one of 600: values that many vectors share, more than a
** block of a Krylov space has. */
static void repeated(void) {
  dyn_err e;
  dyn_tensor x = {0}, w = {0};
  double residual;
  dyn_spectral_opts o = options(70);
  n_edges = 0;
  o.tol = 1e-4;
  for (int32_t i = 0; i < 1500; i++) edge(i, i % 10 == 9 ? i - 9 : i + 1, 1);
  for (int32_t i = 0; i < 600; i++) edge(1500 + i, 1500 + (i + 1) % 600, 1);
  OK(solve(&x, &w, &residual, 2100, &o, &e) == DYN_OK);
  double worst = 0; /* 1 - cos(2 pi j / 600) in pairs up to j = 35 */
  for (int j = 0; j < 70; j++) {
    double v = 1 - cos(2 * acos(-1) * (j / 2 + 1) / 600);
    if (fabs(dyn_f64(&w)[j] - v) > worst) worst = fabs(dyn_f64(&w)[j] - v);
  }
  OK(worst < 1e-5);
  dyn_tensor_free(&x), dyn_tensor_free(&w);
  n_edges = 0;
  for (int32_t i = 0; i < 1500; i++) edge(i, i % 10 == 9 ? i - 9 : i + 1, 1);
  OK(solve(&x, &w, &residual, 1500, &o, &e) == DYN_OK);
  worst = 0; /* 300 times the same */
  for (int j = 0; j < 70; j++)
    if (fabs(dyn_f64(&w)[j] - 1 + cos(2 * acos(-1) / 10)) > worst)
      worst = fabs(dyn_f64(&w)[j] - 1 + cos(2 * acos(-1) / 10));
  printf("# 300 equal eigenvalues, 70 of them within %.1e\n", worst);
  OK(worst < 1e-5);
  dyn_tensor_free(&x), dyn_tensor_free(&w);
}

static dyn_status call(int32_t n, int k, dyn_err *e) {
  dyn_tensor x = {0}, w = {0};
  double residual;
  dyn_spectral_opts o = options(k);
  o.tol = 0.1;
  dyn_status st = solve(&x, &w, &residual, n, &o, e);
  dyn_tensor_free(&x), dyn_tensor_free(&w);
  return st;
}

int main(void) {
  dyn_err e;
  ring(40, 10, 1e-12);
  ring(1000, 6, 1e-10);
  repeated();
  copies();
  star();
  with_signs();
  random_walk();
  wrong();
  random_graph(60, 2);
  OUT_OF_MEMORY(call(60, 3, &e));
  random_graph(910, 12);
  OUT_OF_MEMORY(call(910, 1, &e));
  return done_testing();
}
