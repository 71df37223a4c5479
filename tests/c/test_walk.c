#include <omp.h>
#include <string.h>

#include "embed/walk.h"
#include "test.h"

/* A graph in which a step from v (after t) meets all three kinds of neighbours:
** t = 0, v = 1; 0-1, 0-2, 1-2 (a triangle), 1-3, 1-4, 3-4, 2-5 */
static const int32_t from[] = {0, 0, 1, 1, 1, 3, 2},
                     to[] = {1, 2, 2, 3, 4, 4, 5};
static const float weight[] = {1, 2, 3, 4, 0.5, 1, 1};

static dyn_status graph(dyn_csr *a, bool weighted, dyn_err *e) {
  int32_t r[14], c[14];
  float w[14];
  for (int k = 0; k < 7; k++) {
    r[2 * k] = c[2 * k + 1] = from[k];
    c[2 * k] = r[2 * k + 1] = to[k];
    w[2 * k] = w[2 * k + 1] = weight[k];
  }
  return dyn_csr_from_triplets(a, 6, 6, 14, r, c, weighted ? w : NULL, e);
}

static double value(const dyn_csr *a, int32_t v, int32_t u) {
  for (int64_t k = a->start[v]; k < a->start[v + 1]; k++)
    if (a->col[k] == u) return a->val ? (double)a->val[k] : 1;
  return 0;
}

/* What the definition says: the share of x after t -> v. */
static double share(const dyn_csr *a, int32_t t, int32_t v, int32_t x, double p,
                    double q) {
  double sum = 0, own = 0;
  for (int32_t u = 0; u < a->nrow; u++) {
    double w = value(a, v, u) * (u == t               ? 1 / p
                                 : value(a, t, u) > 0 ? 1
                                                      : 1 / q);
    sum += w;
    if (u == x) own = w;
  }
  return own / sum;
}

/* Transition frequencies of long walks within sampling error of p and q. */
static void frequencies(bool weighted, double p, double q) {
  enum {
    LEN = 200000
  };
  dyn_err e;
  dyn_csr a = {0};
  dyn_walker t;
  double count[6][6][6] = {{{0}}}, worst = 0;
  int32_t *out = dyn_alloc(LEN, sizeof *out);
  OK(graph(&a, weighted, &e) == DYN_OK);
  OK(dyn_walker_init(&t, &a, p, q, &e) == DYN_OK);
  dyn_walks(out, 0, 1, LEN, &t, NULL, 7);
  OK(out[LEN - 1] >= 0);
  for (int i = 2; i < LEN; i++) count[out[i - 2]][out[i - 1]][out[i]]++;
  for (int32_t u = 0; u < 6; u++)
    for (int32_t v = 0; v < 6; v++) {
      double n = 0;
      for (int32_t x = 0; x < 6; x++) n += count[u][v][x];
      for (int32_t x = 0; n > 500 && x < 6; x++) {
        double s = share(&a, u, v, x, p, q);
        double z =
            fabs(count[u][v][x] / n - s) / sqrt((s * (1 - s) + 1e-9) / n);
        if (z > worst) worst = z;
      }
    }
  printf("# p %g, q %g: largest deviation %.2f standard errors\n", p, q, worst);
  OK(worst < 4.5);
  dyn_free(out, LEN, sizeof *out);
  dyn_walker_free(&t);
  dyn_csr_free(&a);
}

static void threads(void) {
  enum {
    N = 600,
    LEN = 20
  };
  static int32_t one[N * LEN], many[N * LEN];
  dyn_err e;
  dyn_csr a = {0};
  dyn_walker t;
  OK(graph(&a, true, &e) == DYN_OK);
  OK(dyn_walker_init(&t, &a, 0.5, 2, &e) == DYN_OK);
  omp_set_num_threads(1);
  dyn_walks(one, 0, N, LEN, &t, NULL, 3);
  omp_set_num_threads(3);
  dyn_walks(many, 0, N / 2, LEN, &t, NULL, 3);
  dyn_walks(many + N / 2 * LEN, N / 2, N, LEN, &t, NULL, 3);
  OK(memcmp(one, many, sizeof one) == 0);
  dyn_walker_free(&t);
  dyn_csr_free(&a);
}

static void ends(void) { /* 0 -> 1, and 1 leads nowhere */
  dyn_err e;
  dyn_csr a = {0};
  dyn_walker t;
  int32_t r = 0, c = 1, out[8];
  OK(dyn_csr_from_triplets(&a, 2, 2, 1, &r, &c, NULL, &e) == DYN_OK);
  OK(dyn_walker_init(&t, &a, 2, 0.5, &e) == DYN_OK);
  dyn_walks(out, 0, 2, 4, &t, NULL, 1);
  OK(out[0] == 0 && out[1] == 1 && out[2] == -1 && out[4] == 1 && out[5] < 0);
  dyn_walker_free(&t);
  OK(dyn_walker_init(&t, &a, 0, 1, &e) == DYN_EVALUE);
  OK(dyn_walker_init(&t, &a, 1, 1e9, &e) == DYN_EVALUE);
  dyn_csr_free(&a);
}

static void alias(void) {
  double w[4] = {1, 0, 3, 4}, scaled[4], n[4] = {0};
  int32_t work[4];
  dyn_alias t[4];
  dyn_rng g = dyn_rng_stream(1, 1);
  dyn_alias_fill(t, w, 4, scaled, work);
  for (int i = 0; i < 80000; i++) n[dyn_alias_draw(t, 4, dyn_rng_next(&g))]++;
  OK(n[1] == 0);
  NEAR(n[0] / 80000, 0.125, 0.005);
  NEAR(n[3] / 80000, 0.5, 0.005);
}

static dyn_status both(dyn_err *e) {
  dyn_csr a = {0};
  dyn_walker t = {0};
  dyn_status st;
  DYN_TRY(graph(&a, true, e));
  DYN_TRY(dyn_walker_init(&t, &a, 1, 1, e));
  dyn_walker_free(&t);
done:
  dyn_csr_free(&a);
  return st;
}

int main(void) {
  dyn_err e;
  alias();
  frequencies(false, 1, 1);
  frequencies(true, 1, 1);
  frequencies(false, 0.25, 4);
  frequencies(true, 0.25, 4);
  frequencies(true, 4, 0.25);
  frequencies(false, 4, 4);
  threads();
  ends();
  OUT_OF_MEMORY(both(&e));
  return done_testing();
}
