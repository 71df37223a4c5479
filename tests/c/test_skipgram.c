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
  return (dyn_node2vec_opts){.p = 1,
                             .q = 1,
                             .walks = 20,
                             .length = 20,
                             .epochs = 2,
                             .skipgram = {.dim = dim,
                                          .window = 4,
                                          .negatives = negatives,
                                          .lr = 0.05,
                                          .seed = 11}};
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

/* Two parts are the whole, with negative edges too. */
static dyn_status parts(bool race, dyn_err *e) {
  int32_t r[8] = {0, 1, 1, 2, 2, 0, 0, 3}, c[8] = {1, 0, 2, 1, 0, 2, 3, 0};
  float w[8] = {1, 1, 2, 2, -1, -1, 1, 1};
  dyn_csr a = {0};
  dyn_tensor whole = {0}, state = {0};
  dyn_node2vec_opts o = options(8, 5);
  dyn_status st;
  o.walks = 400, o.length = 5, o.epochs = 1;
  o.repel = true, o.skipgram.race = race;
  omp_set_num_threads(1);
  DYN_TRY(dyn_csr_from_triplets(&a, 4, 4, 8, r, c, w, e));
  DYN_TRY(dyn_node2vec(&whole, &a, &o, NULL, e));
  DYN_TRY(dyn_node2vec_part(&state, 0, 1024, &a, &o, NULL, e));
  DYN_TRY(dyn_node2vec_part(&state, 1024, 1600, &a, &o, NULL, e));
  if (memcmp(dyn_f32(&whole), dyn_f32(&state), 32 * sizeof(float)) != 0)
    st = dyn_fail(e, DYN_EVALUE, "parts differ from the whole");
done:
  dyn_csr_free(&a);
  dyn_tensor_free(&whole), dyn_tensor_free(&state);
  return st;
}

static void wrong_parts(void) {
  dyn_err e;
  dyn_csr a = {0};
  dyn_tensor state = {0};
  int32_t r[2] = {0, 1}, c[2] = {1, 0};
  dyn_node2vec_opts o = options(8, 5);
  OK(dyn_csr_from_triplets(&a, 2, 2, 2, r, c, NULL, &e) == DYN_OK);
  OK(dyn_node2vec_part(&state, 5, 6, &a, &o, NULL, &e) == DYN_EVALUE);
  OK(dyn_node2vec_part(&state, 0, 99999, &a, &o, NULL, &e) == DYN_EVALUE);
  o.walks = 2000;
  OK(dyn_node2vec_part(&state, 1024, 2048, &a, &o, NULL, &e) == DYN_ESHAPE);
  OK(!state.st);
  dyn_csr_free(&a);
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
  wrong_parts();
  OUT_OF_MEMORY(small(&e));
  OUT_OF_MEMORY(parts(false, &e));
  OUT_OF_MEMORY(parts(true, &e));
  return done_testing();
}
