#include <omp.h>
#include <string.h>

#include "embed/node2vec.h"
#include "test.h"

/* Two cliques of K nodes joined by one edge. */
enum {
  K = 12,
  N = 2 * K
};

static dyn_status cliques(dyn_csr *a, dyn_err *e) {
  static int32_t r[N * N], c[N * N];
  int64_t n = 0;
  for (int32_t i = 0; i < N; i++)
    for (int32_t j = 0; j < N; j++)
      if (i != j && (i / K == j / K || (i + j == 2 * K - 1 && i / K != j / K &&
                                        (i == K || j == K))))
        r[n] = i, c[n++] = j;
  return dyn_csr_from_triplets(a, N, N, n, r, c, NULL, e);
}

static double cosine(const dyn_tensor *x, ptrdiff_t i, ptrdiff_t j) {
  const float *v = dyn_f32(x);
  ptrdiff_t d = x->size[1];
  double ab = 0, aa = 0, bb = 0;
  for (ptrdiff_t k = 0; k < d; k++) {
    double a = (double)v[i * d + k], b = (double)v[j * d + k];
    ab += a * b, aa += a * a, bb += b * b;
  }
  return ab / sqrt(aa * bb);
}

static dyn_node2vec_opts options(int dim, int negatives) {
  return (dyn_node2vec_opts){1, 1, 20, 20, 2, {dim, 4, negatives, 0.05, 11}};
}

static dyn_status run(dyn_tensor *x, const dyn_node2vec_opts *o, int threads,
                      const dyn_poll *poll, dyn_err *e) {
  dyn_csr a = {0};
  int before = omp_get_max_threads();
  dyn_status st = cliques(&a, e);
  omp_set_num_threads(threads);
  if (st == DYN_OK) st = dyn_node2vec(x, &a, o, poll, e);
  omp_set_num_threads(before);
  dyn_csr_free(&a);
  return st;
}

/* Members of a clique are closer than the others, for all shapes of tables. */
static void communities(int dim, int negatives) {
  dyn_err e;
  dyn_tensor x = {0};
  dyn_node2vec_opts o = options(dim, negatives);
  double within = 0, between = 0;
  OK(run(&x, &o, 1, NULL, &e) == DYN_OK);
  for (int i = 0; i < K - 1; i++)
    for (int j = i + 1; j < K - 1; j++) {
      within += cosine(&x, i, j);
      between += cosine(&x, i, K + 1 + j);
    }
  within /= (K - 1) * (K - 2) / 2;
  between /= (K - 1) * (K - 2) / 2;
  printf("# dim %d, %d negatives: cosine within %.3f, between %.3f\n", dim,
         negatives, within, between);
  OK(within > between + 0.3);
  dyn_tensor_free(&x);
}

static void same_bytes(int dim) {
  dyn_err e;
  dyn_tensor one = {0}, many = {0};
  dyn_node2vec_opts o = options(dim, 5);
  OK(run(&one, &o, 1, NULL, &e) == DYN_OK);
  for (int n = 2; n <= 4; n++) {
    OK(run(&many, &o, n, NULL, &e) == DYN_OK);
    OK(memcmp(dyn_f32(&one), dyn_f32(&many),
              dyn_tensor_len(&one) * sizeof(float)) == 0);
    dyn_tensor_free(&many);
  }
  o.skipgram.seed = 12;
  OK(run(&many, &o, 1, NULL, &e) == DYN_OK);
  OK(memcmp(dyn_f32(&one), dyn_f32(&many),
            dyn_tensor_len(&one) * sizeof(float)) != 0);
  dyn_tensor_free(&one), dyn_tensor_free(&many);
}

static int stop(void *ud, int64_t done, int64_t total) {
  (void)total;
  *(int *)ud += 1;
  return done > 0;
}

static void wrong(void) {
  dyn_err e;
  dyn_tensor x = {0};
  int asked = 0;
  dyn_poll poll = {stop, &asked};
  dyn_csr none = {0};
  dyn_node2vec_opts o = options(8, 5);
  o.epochs = 50;
  OK(run(&x, &o, 1, &poll, &e) == DYN_ECANCEL && asked == 2 && !x.st);
  o = options(0, 5);
  OK(run(&x, &o, 1, NULL, &e) == DYN_EVALUE && !x.st);
  o = options(8, 65);
  OK(run(&x, &o, 1, NULL, &e) == DYN_EVALUE);
  o = options(8, 5);
  o.length = 1;
  OK(run(&x, &o, 1, NULL, &e) == DYN_EVALUE);
  OK(dyn_csr_new(&none, 3, 3, 0, false, &e) == DYN_OK);
  o = options(8, 5);
  OK(dyn_node2vec(&x, &none, &o, NULL, &e) == DYN_EVALUE);
  dyn_csr_free(&none);
}

static dyn_status small(dyn_err *e) {
  dyn_tensor x = {0};
  dyn_node2vec_opts o = options(8, 5);
  o.walks = o.epochs = 1;
  dyn_status st = run(&x, &o, 1, NULL, e);
  dyn_tensor_free(&x);
  return st;
}

int main(void) {
  dyn_err e;
  communities(16, 5);
  communities(72, 3);
  communities(128, 5);
  communities(150, 20);
  same_bytes(128);
  same_bytes(200);
  wrong();
  OUT_OF_MEMORY(small(&e));
  return done_testing();
}
