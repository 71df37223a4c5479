/* Words of one kind of sentence end up together; bytes, cancellation, memory. */
#include <string.h>

#include "core/linalg.h"
#include "core/rng.h"
#include "embed/words.h"
#include "test.h"

enum {
  WORDS = 20,
  LEN = 12,
  N = 1500
};

static int32_t seq[N * LEN];

/* Sentences of the words 0 .. 9, or of 10 .. 19; some end early. */
static void sentences(void) {
  dyn_rng g = dyn_rng_stream(1, 0);
  for (int i = 0; i < N; i++) {
    int n = 4 + (int)dyn_rng_below(&g, LEN - 3);
    for (int k = 0; k < LEN; k++)
      seq[i * LEN + k] =
          k < n ? (int32_t)dyn_rng_below(&g, 10) + 10 * (i % 2) : -1;
  }
}

static dyn_status run(dyn_tensor *r, int epochs, double lr,
                      const dyn_poll *poll, dyn_err *e) {
  dyn_skipgram_opts o = {
      .dim = 16, .window = 5, .negatives = 5, .lr = lr, .seed = 3};
  return dyn_word_vectors(r, seq, N, LEN, WORDS, epochs, &o, poll, e);
}

static dyn_status once(dyn_err *e) {
  dyn_tensor r = {0};
  dyn_status st = run(&r, 1, 0.025, NULL, e);
  dyn_tensor_free(&r);
  return st;
}

static double cosine(const float *a, const float *b) {
  double ab = 0, aa = 0, bb = 0;
  for (int j = 0; j < 16; j++) {
    ab += (double)a[j] * (double)b[j];
    aa += (double)a[j] * (double)a[j], bb += (double)b[j] * (double)b[j];
  }
  return ab / sqrt(aa * bb);
}

static int stop_later(void *ud, int64_t done, int64_t total) {
  (void)ud;
  return 2 * done > total;
}

int main(void) {
  dyn_err e;
  dyn_tensor r[3] = {{0}}, none = {0};
  sentences();
  for (int t = 0; t < 3; t++) {
    dyn_set_threads(t + 1);
    OK(run(&r[t], 5, 0.05, NULL, &e) == DYN_OK);
  }
  size_t bytes = WORDS * 16 * sizeof(float);
  OK(memcmp(r[0].data, r[1].data, bytes) == 0);
  OK(memcmp(r[0].data, r[2].data, bytes) == 0);
  double inside = 0, across = 0;
  for (int a = 0; a < WORDS; a++)
    for (int b = 0; b < a; b++) {
      double c = cosine(dyn_f32(&r[0]) + 16 * a, dyn_f32(&r[0]) + 16 * b);
      if ((a < 10) == (b < 10))
        inside += c / 90;
      else
        across += c / 100;
    }
  OK(inside > across + 0.5);
  for (int t = 0; t < 3; t++) dyn_tensor_free(&r[t]);
  OUT_OF_MEMORY(once(&e));
  dyn_poll poll = {stop_later, NULL};
  OK(run(&none, 9, 0.05, &poll, &e) == DYN_ECANCEL && !none.st);
  OK(run(&none, 0, 0.05, NULL, &e) == DYN_EVALUE);
  seq[5] = WORDS;
  OK(run(&none, 1, 0.05, NULL, &e) == DYN_EVALUE);
  OK(strstr(e.msg, "word 21 of 20") != NULL);
  for (int i = 0; i < N * LEN; i++) seq[i] = -1;
  OK(run(&none, 1, 0.05, NULL, &e) == DYN_EVALUE);
  return done_testing();
}
