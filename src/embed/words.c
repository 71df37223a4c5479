#include "embed/words.h"

#include <math.h>
#include <string.h>

#include "core/rng.h"

enum {
  ROUND = 1024 /* sequences between two questions to 'poll' */
};

typedef struct job {
  const int32_t *seq;
  int64_t nseq;
  int len;
  int32_t nword;
  dyn_skipgram *model;
  double *freq;
  int32_t *order, *some; /* of an epoch; the sequences of a round */
} job;

static void job_free(job *t) {
  dyn_skipgram_free(t->model);
  dyn_free(t->freq, (size_t)t->nword, sizeof *t->freq);
  dyn_free(t->order, (size_t)t->nseq, sizeof *t->order);
  dyn_free(t->some, (size_t)ROUND * (size_t)t->len, sizeof *t->some);
}

static dyn_status count(job *t, dyn_err *e) {
  int64_t n = 0;
  for (int64_t i = 0; i < t->nseq * t->len; i++) {
    int32_t v = t->seq[i];
    if (v < -1 || v >= t->nword)
      return dyn_fail(e, DYN_EVALUE, "words: word %d of %d", (int)v + 1,
                      (int)t->nword);
    if (v >= 0) t->freq[v]++, n++;
  }
  if (n == 0) return dyn_fail(e, DYN_EVALUE, "words: the texts have no words");
  return DYN_OK;
}

static dyn_status prepare(job *t, const dyn_skipgram_opts *o, dyn_err *e) {
  t->freq = dyn_alloc((size_t)t->nword, sizeof *t->freq);
  t->order = dyn_alloc((size_t)t->nseq, sizeof *t->order);
  t->some = dyn_alloc((size_t)ROUND * (size_t)t->len, sizeof *t->some);
  if (!t->freq || !t->order || !t->some)
    return dyn_fail(e, DYN_ENOMEM, "words: out of memory");
  dyn_status st = count(t, e);
  if (st == DYN_OK) st = dyn_skipgram_new(&t->model, t->nword, t->freq, o, e);
  return st;
}

/* Sequences lo .. hi-1 of the epoch; 'done' and 'total' count all epochs. */
static void one_round(job *t, int64_t lo, int64_t hi, int64_t done,
                      int64_t total) {
  for (int64_t i = lo; i < hi; i++)
    memcpy(t->some + (i - lo) * t->len, t->seq + (int64_t)t->order[i] * t->len,
           (size_t)t->len * sizeof *t->some);
  dyn_skipgram_round(t->model, t->some, hi - lo, t->len, done,
                     (double)done / (double)total,
                     (double)(done + hi - lo) / (double)total);
}

static dyn_status train(job *t, int epochs, uint64_t seed, const dyn_poll *poll,
                        dyn_err *e) {
  int64_t total = t->nseq * epochs;
  for (int k = 0; k < epochs; k++) {
    dyn_rng g = dyn_rng_stream(dyn_rng_named(seed, "words.order"), (uint64_t)k);
    for (int64_t i = 0; i < t->nseq; i++) t->order[i] = (int32_t)i;
    dyn_rng_shuffle(&g, t->order, t->nseq);
    for (int64_t lo = 0; lo < t->nseq; lo += ROUND) {
      int64_t done = k * t->nseq + lo;
      int64_t hi = lo + ROUND < t->nseq ? lo + ROUND : t->nseq;
      if (dyn_stop(poll, done, total))
        return dyn_fail(e, DYN_ECANCEL, "words: stopped after %lld of %lld",
                        (long long)done, (long long)total);
      one_round(t, lo, hi, done, total);
    }
  }
  return DYN_OK;
}

dyn_status dyn_word_vectors(dyn_tensor *r, const int32_t *seq, int64_t nseq,
                            int len, int32_t nword, int epochs,
                            const dyn_skipgram_opts *o, const dyn_poll *poll,
                            dyn_err *e) {
  if (nseq < 1 || nseq > INT32_MAX || len < 1 || nword < 1 || epochs < 1)
    return dyn_fail(e, DYN_EVALUE,
                    "words: %lld sequences of %d, %d words, %d epochs; at "
                    "least 1 of each is needed",
                    (long long)nseq, len, (int)nword, epochs);
  job t = {.seq = seq, .nseq = nseq, .len = len, .nword = nword};
  dyn_tensor v = {0};
  dyn_status st;
  DYN_TRY(prepare(&t, o, e));
  DYN_TRY(train(&t, epochs, o->seed, poll, e));
  DYN_TRY(dyn_skipgram_vectors(&v, t.model, e));
  for (size_t i = 0; i < dyn_tensor_len(&v); i++)
    if (!isfinite(dyn_f32(&v)[i])) {
      st = dyn_fail(e, DYN_ENOCONV, "words: diverged; a smaller lr is needed");
      goto done;
    }
  *r = v;
  v = (dyn_tensor){0};
done:
  job_free(&t);
  dyn_tensor_free(&v);
  return st;
}
