#include <omp.h>
#include <string.h>

#include "core/rng.h"
#include "embed/neighbours.h"
#include "test.h"

/* n rows, of which one is zeros and every 'same'-th is a copy of the second. */
static dyn_status rows(dyn_tensor *x, dyn_type type, ptrdiff_t n, ptrdiff_t d,
                       ptrdiff_t same, dyn_err *e) {
  dyn_rng g = dyn_rng_stream(5, 0);
  dyn_status st = dyn_tensor_new(x, type, 2, (ptrdiff_t[]){n, d}, e);
  for (ptrdiff_t i = 0; st == DYN_OK && i < n; i++)
    for (ptrdiff_t j = 0; j < d; j++) {
      double v = i == 0 ? 0 : dyn_rng_normal(&g);
      if (i > 1 && i % same == 0) v = dyn_tensor_get(x, d + j);
      dyn_tensor_set(x, i * d + j, v);
    }
  return st;
}

/* The definition, by sorting all. */
static bool agrees(const int32_t *id, const double *sim, const double *cosine,
                   ptrdiff_t n, ptrdiff_t self, ptrdiff_t k) {
  for (ptrdiff_t r = 0; r < k; r++) {
    ptrdiff_t best = -1;
    for (ptrdiff_t j = 0; j < n; j++) {
      bool taken = j == self;
      for (ptrdiff_t i = 0; i < r; i++) taken = taken || id[i] == j;
      if (!taken && (best < 0 || cosine[j] > cosine[best] + 1e-13)) best = j;
    }
    if (best < 0) return id[r] == -1;
    if (id[r] != best || fabs(sim[r] - cosine[best]) > 1e-13) return false;
  }
  return true;
}

static void definition(dyn_type type, ptrdiff_t n, ptrdiff_t d, ptrdiff_t same,
                       ptrdiff_t k) {
  dyn_err e;
  dyn_tensor x = {0}, sim = {0}, all = {0};
  int64_t *q = dyn_alloc((size_t)n, sizeof *q);
  int32_t *id = dyn_alloc((size_t)(n * k), sizeof *id);
  bool good = true;
  for (ptrdiff_t i = 0; i < n; i++) q[i] = i;
  OK(rows(&x, type, n, d, same, &e) == DYN_OK);
  OK(dyn_neighbours(id, &sim, &x, q, n, k, &e) == DYN_OK);
  OK(dyn_cosine(&all, &x, q, n, q, n, &e) == DYN_OK);
  for (ptrdiff_t i = 0; i < n; i++)
    good = good && agrees(id + i * k, dyn_f64(&sim) + i * k,
                          dyn_f64(&all) + i * n, n, i, k);
  OK(good);
  dyn_tensor_free(&x), dyn_tensor_free(&sim), dyn_tensor_free(&all);
  dyn_free(q, (size_t)n, sizeof *q);
  dyn_free(id, (size_t)(n * k), sizeof *id);
}

static dyn_status call(dyn_err *e) {
  dyn_tensor x = {0}, sim = {0};
  int64_t q[2] = {3, 0};
  int32_t id[10];
  dyn_status st;
  DYN_TRY(rows(&x, DYN_F32, 700, 3, 1, e));
  DYN_TRY(dyn_neighbours(id, &sim, &x, q, 2, 5, e));
done:
  dyn_tensor_free(&x), dyn_tensor_free(&sim);
  return st;
}

int main(void) {
  dyn_err e;
  dyn_tensor x = {0}, sim = {0};
  int64_t outside = 9;
  int32_t id;
  definition(DYN_F32, 300, 40, 1000, 10);
  definition(DYN_F64, 300, 40, 7, 10);   /* ties in every list */
  definition(DYN_F32, 700, 20, 2, 5);    /* more ties than are listed? no */
  definition(DYN_F64, 600, 4, 1, 3);     /* more ties than are listed */
  definition(DYN_F32, 5, 3, 1000, 8);    /* fewer rows than wanted */
  definition(DYN_F64, 100, 2, 1000, 99); /* all of them */
  OK(rows(&x, DYN_F32, 5, 2, 9, &e) == DYN_OK);
  OK(dyn_neighbours(&id, &sim, &x, &outside, 1, 1, &e) == DYN_EVALUE &&
     !sim.st);
  dyn_tensor_free(&x);
  OUT_OF_MEMORY(call(&e));
  return done_testing();
}
