/* t-SNE against sums over all pairs; blobs stay apart; trust by its definition. */
#include <string.h>

#include "core/linalg.h"
#include "core/rng.h"
#include "embed/neighbours.h"
#include "embed/quadtree.h"
#include "embed/tsne.h"
#include "test.h"

enum {
  N = 120,
  D = 5,
  K = 30
};

static dyn_tensor matrix(ptrdiff_t n, ptrdiff_t d) {
  dyn_tensor t = {0};
  if (dyn_tensor_new(&t, DYN_F64, 2, (ptrdiff_t[]){n, d}, NULL) != DYN_OK)
    exit(2);
  return t;
}

static dyn_tensor x0; /* blobs(), made before allocations are to fail */

/* Three blobs on a sphere: row i is in blob i % 3. */
static dyn_tensor blobs(void) {
  dyn_tensor x = matrix(N, D);
  dyn_rng g = dyn_rng_stream(1, 0);
  for (ptrdiff_t i = 0; i < N * D; i++)
    dyn_f64(&x)[i] = 0.2 * dyn_rng_normal(&g) + (i % D == (i / D) % 3 ? 1 : 0);
  return x;
}

/* ---- the tree -------------------------------------------------------------- */

static double slow_push(double *push, const double *y, int n) {
  double z = 0;
  memset(push, 0, 2 * (size_t)n * sizeof *push);
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      double dx = y[2 * i] - y[2 * j], dy = y[2 * i + 1] - y[2 * j + 1];
      double q = 1 / (1 + dx * dx + dy * dy);
      if (i != j) z += q;
      push[2 * i] += q * q * dx, push[2 * i + 1] += q * q * dy;
    }
  return z;
}

/* Largest difference from the slow sums, relative to the largest of them. */
static double tree_error(const double *y, int n, double theta) {
  double slow[2 * 1000], fast[2 * 1000], worst = 0, size = 1e-3;
  dyn_quadtree t;
  OK(dyn_quadtree_new(&t, n, NULL) == DYN_OK);
  dyn_quadtree_build(&t, y);
  double z = dyn_quadtree_push(&t, fast, theta), want = slow_push(slow, y, n);
  for (int i = 0; i < 2 * n; i++) {
    worst = fmax(worst, fabs(slow[i] - fast[i]));
    size = fmax(size, fabs(slow[i]));
  }
  dyn_quadtree_free(&t);
  return fmax(worst / size, fabs(z - want) / want);
}

static void tree(void) {
  double y[2 * 1000];
  dyn_rng g = dyn_rng_stream(2, 0);
  for (int i = 0; i < 2000; i++) y[i] = 10 * dyn_rng_normal(&g);
  OK(tree_error(y, 1000, 0) < 1e-12);
  OK(tree_error(y, 1000, 0.3) < 0.01 && tree_error(y, 1000, 0.3) > 0);
  OK(tree_error(y, 1, 0.5) < 1e-12 || tree_error(y, 2, 0.5) < 1e-12);
  OK(tree_error(y, 13, 0.5) < 0.02);
  for (int i = 0; i < 400; i++) y[i] = y[i % 2]; /* 200 at one place */
  OK(tree_error(y, 1000, 0.3) < 0.01);
  OK(tree_error(y, 200, 0.5) < 1e-8); /* nothing but that place */
}

static void pulls(void) {
  double y[2 * 20], pull[2], want[2] = {0, 0};
  int32_t col[19];
  float w[19];
  dyn_rng g = dyn_rng_stream(3, 0);
  for (int i = 0; i < 40; i++) y[i] = dyn_rng_normal(&g);
  for (int j = 0; j < 19; j++) {
    col[j] = j + 1, w[j] = (float)(j + 1);
    double dx = y[0] - y[2 * j + 2], dy = y[1] - y[2 * j + 3];
    want[0] += (j + 1) / (1 + dx * dx + dy * dy) * dx;
    want[1] += (j + 1) / (1 + dx * dx + dy * dy) * dy;
  }
  dyn_plane_pull(pull, y, 0, col, w, 19);
  NEAR(pull[0], want[0], 1e-13);
  NEAR(pull[1], want[1], 1e-13);
}

/* ---- pictures -------------------------------------------------------------- */

static const dyn_tsne_opts plain = {.perplexity = 10,
                                    .theta = 0.3,
                                    .exaggeration = 12,
                                    .early = 100,
                                    .steps = 300};

static dyn_status picture(dyn_tensor *y, double *kl, const dyn_tsne_opts *o,
                          const dyn_poll *poll, dyn_err *e) {
  static int32_t id[N * K];
  int64_t q[N];
  dyn_tensor sim = {0}, start = {0};
  for (int i = 0; i < N; i++) q[i] = i;
  dyn_status st = dyn_neighbours(id, &sim, &x0, q, N, K, e);
  if (st == DYN_OK) st = dyn_tensor_narrow(&start, &x0, 1, 0, 2, e);
  if (st == DYN_OK) st = dyn_tsne(y, kl, id, &sim, &start, o, poll, e);
  dyn_tensor_free(&sim), dyn_tensor_free(&start);
  return st;
}

/* Share of the points whose nearest point is of their blob. */
static double apart(const dyn_tensor *y) {
  int good = 0;
  for (int i = 0; i < N; i++) {
    int best = -1;
    double least = HUGE_VAL;
    for (int j = 0; j < N; j++) {
      double dx = dyn_f64(y)[2 * i] - dyn_f64(y)[2 * j],
             dy = dyn_f64(y)[2 * i + 1] - dyn_f64(y)[2 * j + 1];
      if (i != j && dx * dx + dy * dy < least)
        least = dx * dx + dy * dy, best = j;
    }
    good += best % 3 == i % 3;
  }
  return (double)good / N;
}

static int stop_at_ten(void *ud, int64_t done, int64_t total) {
  (void)ud, (void)total;
  return done == 10;
}

static dyn_status once(dyn_err *e) {
  dyn_tensor y = {0};
  double kl;
  dyn_tsne_opts o = plain;
  o.steps = 2;
  dyn_status st = picture(&y, &kl, &o, NULL, e);
  dyn_tensor_free(&y);
  return st;
}

static void pictures(void) {
  dyn_err e;
  dyn_tensor y[3] = {{0}};
  double kl[3], exact = 0;
  for (int t = 0; t < 3; t++) {
    dyn_set_threads(t + 1);
    OK(picture(&y[t], &kl[t], &plain, NULL, &e) == DYN_OK);
  }
  size_t bytes = 2 * N * sizeof(double);
  OK(memcmp(y[0].data, y[1].data, bytes) == 0 && kl[0] == kl[1]);
  OK(memcmp(y[0].data, y[2].data, bytes) == 0 && kl[0] == kl[2]);
  OK(apart(&y[0]) > 0.98);
  for (int t = 0; t < 3; t++) dyn_tensor_free(&y[t]);
  dyn_tsne_opts o = plain;
  o.theta = 0;
  OK(picture(&y[0], &exact, &o, NULL, &e) == DYN_OK);
  OK(exact > 0 && fabs(exact - kl[0]) < 0.05);
  dyn_tensor_free(&y[0]);
  dyn_poll poll = {stop_at_ten, NULL};
  OK(picture(&y[0], &exact, &plain, &poll, &e) == DYN_ECANCEL);
  OK(y[0].st == NULL && strstr(e.msg, "10 steps"));
  o.perplexity = K + 1;
  OK(picture(&y[0], &exact, &o, NULL, &e) == DYN_EVALUE);
  o = plain, o.theta = 0.8;
  OK(picture(&y[0], &exact, &o, NULL, &e) == DYN_EVALUE);
  OUT_OF_MEMORY(once(&e));
}

/* ---- trust ----------------------------------------------------------------- */

/* The first two columns as a picture of all five. */
static dyn_status trusted(double out[2], const dyn_tensor *y, dyn_err *e) {
  int64_t q[N];
  for (int i = 0; i < N; i++) q[i] = i;
  return dyn_trustworthiness(&out[0], &out[1], &x0, y, q, N, 7, e);
}

/* Points of a circle are their own picture; on a line, by hand. */
static void trust(void) {
  dyn_err e;
  dyn_tensor x = matrix(7, 2), y = matrix(7, 2);
  int64_t q[7] = {0, 1, 2, 3, 4, 5, 6};
  double t, kept, out[2];
  for (int i = 0; i < 7; i++) {
    dyn_f64(&x)[2 * i] = dyn_f64(&y)[2 * i] = cos(0.1 * i * i);
    dyn_f64(&x)[2 * i + 1] = dyn_f64(&y)[2 * i + 1] = sin(0.1 * i * i);
  }
  OK(dyn_trustworthiness(&t, &kept, &x, &y, q, 7, 2, &e) == DYN_OK);
  OK(t == 1 && kept == 1);
  /* 0 and 6 change places: the nearest of 0 is 5, its rank in x is 5; ... */
  dyn_f64(&y)[0] = cos(3.6), dyn_f64(&y)[1] = sin(3.6);
  dyn_f64(&y)[12] = 1, dyn_f64(&y)[13] = 0;
  OK(dyn_trustworthiness(&t, &kept, &x, &y, q, 1, 1, &e) == DYN_OK);
  NEAR(t, 1 - 2.0 / (1 * 1 * (14 - 3 - 1)) * (5 - 1), 1e-15);
  OK(kept == 0);
  OK(dyn_trustworthiness(&t, &kept, &x, &y, q, 7, 4, &e) == DYN_EVALUE);
  OK(dyn_trustworthiness(&t, &kept, &x, &x, q, 0, 1, &e) == DYN_EVALUE);
  dyn_tensor_free(&x), dyn_tensor_free(&y);
  y = matrix(N, 2);
  for (int i = 0; i < 2 * N; i++)
    dyn_f64(&y)[i] = dyn_f64(&x0)[i / 2 * D + i % 2];
  OK(trusted(out, &y, &e) == DYN_OK && out[0] > 0.5 && out[0] < 1);
  OK(out[1] < out[0]);
  OUT_OF_MEMORY(trusted(out, &y, &e));
  dyn_tensor_free(&y);
}

int main(void) {
  x0 = blobs();
  tree();
  pulls();
  pictures();
  trust();
  dyn_tensor_free(&x0);
  return done_testing();
}
