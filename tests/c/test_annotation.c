#include <omp.h>
#include <string.h>

#include "core/linalg.h"
#include "core/rng.h"
#include "embed/annotation.h"
#include "embed/neighbours.h"
#include "test.h"

/* Genes j1, j2, j3 and the query, four sets (baselines: golden example B2). */
static const int64_t start[] = {0, 2, 5, 8, 9};
static const int32_t gene[] = {0, 3, 0, 1, 3, 1, 2, 3, 2};
static const unsigned char counted[] = {1, 1, 1, 0};

static dyn_status member(dyn_csr *r, dyn_tensor *idf, int32_t *kept,
                         int32_t least, dyn_err *e) {
  dyn_gene_sets x = {4, start, gene, 4, counted, least, 1000};
  return dyn_membership(r, idf, kept, &x, e);
}

static void golden(void) {
  static const double want[] = {0.856244709034633, 0.730540893106192,
                                0.311645719307333},
                      want_idf[] = {0.916290731874155, 0.693147180559945,
                                    0.693147180559945, 0.916290731874155};
  dyn_err e;
  dyn_csr m = {0};
  dyn_tensor idf = {0}, c = {0};
  int32_t kept[4];
  int64_t q[] = {3, -1}, j[] = {0, 1, 2};
  OK(member(&m, &idf, kept, 1, &e) == DYN_OK);
  for (int s = 0; s < 4; s++)
    OK(kept[s] == s && fabs(dyn_f64(&idf)[s] - want_idf[s]) < 1e-12);
  OK(dyn_sparse_cosine(&c, &m, q, 2, j, 3, dyn_f64(&idf), &e) == DYN_OK);
  for (int k = 0; k < 3; k++) {
    OK(fabs(dyn_f64(&c)[k] - want[k]) < 1e-12);
    OK(dyn_f64(&c)[3 + k] == 0);
  }
  dyn_tensor_free(&c);
  OK(dyn_sparse_cosine(&c, &m, q, 2, j, 3, NULL, &e) == DYN_OK);
  NEAR(dyn_f64(&c)[0], want[0], 1e-6);
  double len = 0;
  for (int64_t k = m.start[3]; k < m.start[4]; k++)
    len += (double)m.val[k] * (double)m.val[k];
  NEAR(len, 1.0, 1e-6);
  q[0] = 9;
  dyn_tensor_free(&c);
  OK(dyn_sparse_cosine(&c, &m, q, 2, j, 3, NULL, &e) == DYN_EVALUE);
  dyn_tensor_free(&idf), dyn_csr_free(&m);
  OK(member(&m, &idf, kept, 2, &e) == DYN_OK); /* two counted genes each */
  OK(m.ncol == 2 && kept[0] == 1 && kept[1] == 2);
  dyn_tensor_free(&idf), dyn_csr_free(&m);
}

static dyn_status random_sparse(dyn_csr *a, ptrdiff_t n, ptrdiff_t m,
                                int per_row, dyn_err *e) {
  int64_t nnz = n * per_row;
  int32_t *r = dyn_alloc((size_t)nnz, sizeof *r),
          *c = dyn_alloc((size_t)nnz, sizeof *c);
  float *v = dyn_alloc((size_t)nnz, sizeof *v);
  dyn_rng g = dyn_rng_stream(2, 0);
  dyn_status st = DYN_ENOMEM;
  for (int64_t k = 0; r && c && v && k < nnz; k++) {
    /* a few columns are popular: singular values fall off */
    double u = dyn_rng_uniform(&g);
    r[k] = (int32_t)(k / per_row);
    c[k] = (int32_t)(u * u * u * (double)m);
    v[k] = (float)(0.5 + dyn_rng_uniform(&g) + (r[k] % 7 == c[k] % 7 ? 2 : 0));
  }
  if (r && c && v) st = dyn_csr_from_triplets(a, n, m, nnz, r, c, v, e);
  dyn_free(r, (size_t)nnz, sizeof *r);
  dyn_free(c, (size_t)nnz, sizeof *c);
  dyn_free(v, (size_t)nnz, sizeof *v);
  return st;
}

/* Singular values and the Gram matrix of the coordinates against LAPACK. */
static void against_dense(ptrdiff_t n, ptrdiff_t m, double tol) {
  enum {
    K = 10
  };
  dyn_err e;
  dyn_csr a = {0};
  dyn_tensor d = {0}, u = {0}, s = {0}, v = {0}, x = {0}, z = {0};
  double worst = 0;
  OK(random_sparse(&a, n, m, 12, &e) == DYN_OK);
  OK(dyn_csr_dense(&d, &a, DYN_F64, &e) == DYN_OK);
  OK(dyn_svd(&u, &s, &v, &d, &e) == DYN_OK);
  OK(dyn_sparse_svd(&x, &z, &a, K, 8, 1, NULL, &e) == DYN_OK);
  ptrdiff_t k = u.size[1];
  for (int j = 0; j < K; j++)
    if (fabs(dyn_f64(&z)[j] / dyn_f64(&s)[j] - 1) > worst)
      worst = fabs(dyn_f64(&z)[j] / dyn_f64(&s)[j] - 1);
  printf("# svd %td x %td: values within %.1e\n", n, m, worst);
  OK(worst < tol);
  worst = 0;
  for (ptrdiff_t i = 0; i < n; i += 17) { /* leading two: x = u s */
    for (int j = 0; j < 2; j++) {
      double w = dyn_f64(&u)[i * k + j] * dyn_f64(&s)[j];
      if (fabs(w - dyn_f64(&x)[i * K + j]) > worst)
        worst = fabs(w - dyn_f64(&x)[i * K + j]);
    }
  }
  printf("# coordinates within %.1e\n", worst);
  OK(worst < 10 * tol + 1e-8);
  dyn_csr_free(&a), dyn_tensor_free(&d), dyn_tensor_free(&u);
  dyn_tensor_free(&s), dyn_tensor_free(&v), dyn_tensor_free(&x);
  dyn_tensor_free(&z);
}

static void threads(void) {
  dyn_err e;
  dyn_csr a = {0};
  dyn_tensor x[2] = {{0}}, s = {0};
  OK(random_sparse(&a, 1000, 400, 10, &e) == DYN_OK);
  for (int i = 0; i < 2; i++) {
    omp_set_num_threads(1 + 2 * i);
    OK(dyn_sparse_svd(&x[i], &s, &a, 6, 3, 1, NULL, &e) == DYN_OK);
    dyn_tensor_free(&s);
  }
  OK(memcmp(dyn_f64(&x[0]), dyn_f64(&x[1]), dyn_tensor_len(&x[0]) * 8) == 0);
  OK(dyn_sparse_svd(&s, &s, &a, 401, 3, 1, NULL, &e) == DYN_EVALUE);
  dyn_tensor_free(&x[0]), dyn_tensor_free(&x[1]), dyn_csr_free(&a);
}

static void nearest(void) {
  static const float v[] = {1, 0, 2, 0.1f, 0, 1, -1, 0, 0, 0};
  dyn_err e;
  dyn_tensor x = {0}, sim = {0}, c = {0};
  int64_t q[] = {0, 4, -1};
  int32_t id[2 * 4];
  OK(dyn_tensor_new(&x, DYN_F32, 2, (ptrdiff_t[]){5, 2}, &e) == DYN_OK);
  memcpy(dyn_f32(&x), v, sizeof v);
  OK(dyn_neighbours(id, &sim, &x, q, 2, 4, &e) == DYN_OK);
  OK(id[0] == 1 && id[1] == 2 && id[2] == 4 && id[3] == 3);
  NEAR(dyn_f64(&sim)[0], 2 / sqrt(4.01), 1e-6);
  NEAR(dyn_f64(&sim)[3], -1.0, 1e-12);
  OK(id[4] == 0 && id[7] == 3); /* zeros: ties by number */
  OK(dyn_cosine(&c, &x, q, 3, q, 3, &e) == DYN_OK);
  NEAR(dyn_f64(&c)[0], 1.0, 1e-12);
  OK(dyn_f64(&c)[1] == 0 && dyn_f64(&c)[8] == 0);
  dyn_tensor_free(&sim);
  OK(dyn_neighbours(id, &sim, &x, q, 2, 0, &e) == DYN_EVALUE);
  dyn_tensor_free(&x), dyn_tensor_free(&sim), dyn_tensor_free(&c);
}

static dyn_status all(dyn_err *e) {
  dyn_csr m = {0};
  dyn_tensor idf = {0}, c = {0}, u = {0}, s = {0}, sim = {0}, d = {0};
  int32_t kept[4], id[4];
  int64_t q[] = {0, 1};
  dyn_status st;
  DYN_TRY(member(&m, &idf, kept, 1, e));
  DYN_TRY(dyn_sparse_cosine(&c, &m, q, 2, q, 2, NULL, e));
  DYN_TRY(dyn_sparse_svd(&u, &s, &m, 2, 1, 1, NULL, e));
  DYN_TRY(dyn_neighbours(id, &sim, &u, q, 2, 2, e));
  DYN_TRY(dyn_cosine(&d, &u, q, 2, q, 2, e));
done:
  dyn_csr_free(&m), dyn_tensor_free(&idf), dyn_tensor_free(&c);
  dyn_tensor_free(&u), dyn_tensor_free(&s), dyn_tensor_free(&sim);
  dyn_tensor_free(&d);
  return st;
}

static dyn_csr large;

static dyn_status halko(dyn_err *e) {
  dyn_tensor u = {0}, s = {0};
  dyn_status st = dyn_sparse_svd(&u, &s, &large, 3, 2, 1, NULL, e);
  dyn_tensor_free(&u), dyn_tensor_free(&s);
  return st;
}

int main(void) {
  dyn_err e;
  golden();
  against_dense(300, 500, 1e-10);
  against_dense(1200, 150, 1e-10);
  against_dense(900, 840, 1e-6); /* a Krylov space */
  against_dense(840, 900, 1e-6);
  threads();
  nearest();
  OUT_OF_MEMORY(all(&e));
  OK(random_sparse(&large, 900, 850, 5, &e) == DYN_OK);
  OUT_OF_MEMORY(halko(&e));
  dyn_csr_free(&large);
  return done_testing();
}
