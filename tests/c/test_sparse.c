#include "test.h"

#include "core/rng.h"
#include "core/sparse.h"

enum {
  N = 40,
  M = 30,
  NNZ = 300
};
static int32_t row[NNZ], col[NNZ];
static float val[NNZ];
static double dense[N][M];

static void make(void) {
  dyn_rng g = dyn_rng_stream(1, 0);
  for (int k = 0; k < NNZ; k++) {
    row[k] = (int32_t)dyn_rng_below(&g, N);
    col[k] = (int32_t)dyn_rng_below(&g, M);
    val[k] = (float)(1 + dyn_rng_below(&g, 8));
    dense[row[k]][col[k]] += (double)val[k];
  }
}

static bool equals(const dyn_csr *s) {
  double sum = 0;
  for (ptrdiff_t i = 0; i < s->nrow; i++)
    for (int64_t k = s->start[i]; k < s->start[i + 1]; k++) {
      if (k > s->start[i] && s->col[k] <= s->col[k - 1]) return false;
      if ((double)s->val[k] != dense[i][s->col[k]]) return false;
      sum += (double)s->val[k];
    }
  double want = 0;
  for (int k = 0; k < NNZ; k++) want += (double)val[k];
  return sum == want;
}

static dyn_status build(void) {
  dyn_csr s = {0};
  dyn_status st = dyn_csr_from_triplets(&s, N, M, NNZ, row, col, val, NULL);
  dyn_csr_free(&s);
  return st;
}

static dyn_csr S;

static dyn_status select_columns(void) {
  dyn_csr r = {0};
  int64_t idx[3] = {7, 2, 29};
  dyn_status st = dyn_csr_cols(&r, &S, idx, 3, NULL);
  dyn_csr_free(&r);
  return st;
}

static dyn_status product(void) {
  dyn_tensor x = {0}, r = {0};
  ptrdiff_t size[2] = {N, 5};
  dyn_status st = dyn_tensor_new(&x, DYN_F32, 2, size, NULL);
  if (st == DYN_OK) st = dyn_csr_matmul(&r, &S, true, &x, NULL);
  dyn_tensor_free(&x);
  dyn_tensor_free(&r);
  return st;
}

static dyn_status means(void) {
  dyn_tensor r = {0};
  int32_t group[N] = {0};
  dyn_status st = dyn_csr_group_means(&r, &S, group, 1, NULL);
  dyn_tensor_free(&r);
  return st;
}

static void products(void) {
  dyn_tensor x = {0}, r = {0};
  ptrdiff_t size[2] = {M, 3};
  OK(dyn_tensor_new(&x, DYN_F64, 2, size, NULL) == DYN_OK);
  for (int j = 0; j < 3 * M; j++) dyn_f64(&x)[j] = j % 7 - 3;
  OK(dyn_csr_matmul(&r, &S, false, &x, NULL) == DYN_OK);
  double worst = 0;
  for (int i = 0; i < N; i++)
    for (int k = 0; k < 3; k++) {
      double want = 0;
      for (int j = 0; j < M; j++) want += dense[i][j] * dyn_f64(&x)[j * 3 + k];
      worst = fmax(worst, fabs(want - dyn_f64(&r)[i * 3 + k]));
    }
  NEAR(worst, 0.0, 1e-12);
  dyn_tensor_free(&r);
  dyn_err e;
  OK(dyn_csr_matmul(&r, &S, true, &x, &e) == DYN_ESHAPE);
  printf("# %s\n", e.msg);
  dyn_tensor_free(&x);
}

static void groups(void) {
  int32_t group[N];
  dyn_tensor r = {0};
  for (int i = 0; i < N; i++) group[i] = i % 4 - 1; /* -1: left out */
  OK(dyn_csr_group_means(&r, &S, group, 4, NULL) == DYN_OK);
  double want = 0;
  for (int i = 2; i < N; i += 4) want += dense[i][5];
  NEAR(dyn_f64(&r)[1 * M + 5], want / 10, 1e-12);
  OK(dyn_f64(&r)[3 * M + 5] == 0); /* nobody is in the last group */
  dyn_tensor_free(&r);
  group[3] = 9;
  OK(dyn_csr_group_means(&r, &S, group, 4, NULL) == DYN_EVALUE);
}

int main(void) {
  dyn_csr t = {0}, u = {0};
  dyn_err e;
  make();
  OK(dyn_csr_from_triplets(&S, N, M, NNZ, row, col, val, NULL) == DYN_OK);
  OK(equals(&S));
  OK(dyn_csr_transpose(&t, &S, NULL) == DYN_OK && t.nrow == M);
  OK(dyn_csr_transpose(&u, &t, NULL) == DYN_OK && equals(&u));
  dyn_csr_free(&t);
  dyn_csr_free(&u);
  int64_t idx[3] = {7, 2, 29}, twice[2] = {1, 1};
  OK(dyn_csr_cols(&t, &S, idx, 3, NULL) == DYN_OK && t.ncol == 3);
  bool same = true;
  for (ptrdiff_t i = 0; i < N; i++)
    for (int64_t k = t.start[i]; k < t.start[i + 1]; k++)
      same = same && (double)t.val[k] == dense[i][idx[t.col[k]]];
  OK(same);
  dyn_csr_free(&t);
  OK(dyn_csr_cols(&t, &S, twice, 2, &e) == DYN_EVALUE);
  OK(dyn_csr_rows(&t, &S, twice, 2, NULL) == DYN_OK && t.nrow == 2);
  OK(dyn_csr_nnz(&t) == 2 * (S.start[2] - S.start[1]));
  dyn_csr_free(&t);
  int64_t outside = N;
  OK(dyn_csr_rows(&t, &S, &outside, 1, &e) == DYN_EVALUE);
  printf("# %s\n", e.msg);
  int32_t bad = M;
  OK(dyn_csr_from_triplets(&t, N, M, 1, row, &bad, val, &e) == DYN_EVALUE);
  products();
  groups();
  dyn_tensor x = {0};
  OK(dyn_csr_dense(&x, &S, DYN_F64, NULL) == DYN_OK);
  OK(dyn_csr_from_dense(&t, &x, NULL) == DYN_OK && equals(&t));
  dyn_csr_free(&t);
  dyn_tensor_free(&x);
  OK(dyn_csr_from_triplets(&t, 0, 0, 0, NULL, NULL, NULL, NULL) == DYN_OK);
  dyn_csr_free(&t);
  OUT_OF_MEMORY(build());
  OUT_OF_MEMORY(select_columns());
  OUT_OF_MEMORY(product());
  OUT_OF_MEMORY(means());
  dyn_csr_free(&S);
  return done_testing();
}
