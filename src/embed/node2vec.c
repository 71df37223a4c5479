#include "embed/node2vec.h"

#include <math.h>

enum {
  ROUND = 1024 /* walks between two questions to 'poll' */
};

static dyn_status check(const dyn_csr *adj, const dyn_node2vec_opts *o,
                        dyn_err *e) {
  if (o->walks < 1 || o->length < 2 || o->epochs < 1)
    return dyn_fail(e, DYN_EVALUE,
                    "node2vec: walks %d, length %d, epochs %d; at least 1, 2 "
                    "and 1 are needed",
                    o->walks, o->length, o->epochs);
  if (adj->nrow < 1 || dyn_csr_nnz(adj) < 1)
    return dyn_fail(e, DYN_EVALUE, "node2vec: the graph has no edges");
  if ((int64_t)o->walks * o->epochs > INT64_C(1) << 40)
    return dyn_fail(e, DYN_EVALUE, "node2vec: too many walks");
  return DYN_OK;
}

/* Walks lo .. hi-1 of the corpus into 'seq': sweep w / n visits the nodes in an
** order of its own. */
static void corpus(int32_t *seq, int64_t lo, int64_t hi, int len,
                   const dyn_walker *t, int32_t *order, int64_t *sweep,
                   uint64_t seed) {
  int64_t n = t->adj->nrow;
  while (lo < hi) {
    int64_t now = lo / n, end = (now + 1) * n < hi ? (now + 1) * n : hi;
    if (now != *sweep) {
      dyn_rng g =
          dyn_rng_stream(dyn_rng_named(seed, "walk.order"), (uint64_t)now);
      for (int64_t v = 0; v < n; v++) order[v] = (int32_t)v;
      dyn_rng_shuffle(&g, order, n);
      *sweep = now;
    }
    dyn_walks(seq, lo, end, len, t, order, dyn_rng_named(seed, "walk"));
    seq += (end - lo) * len;
    lo = end;
  }
}

static void count(double *freq, const int32_t *seq, int64_t n) {
  for (int64_t i = 0; i < n; i++)
    if (seq[i] >= 0) freq[seq[i]]++;
}

/* All that is held during the training. */
typedef struct job {
  dyn_walker walker;
  dyn_skipgram *model;
  int32_t *order, *seq;
  double *freq;
  int64_t n, round, total; /* nodes, walks of a round, of all */
  int64_t sweep;           /* whose order is in 'order' */
  int len;
} job;

static void job_free(job *t) {
  dyn_walker_free(&t->walker);
  dyn_skipgram_free(t->model);
  dyn_free(t->order, (size_t)t->n, sizeof *t->order);
  dyn_free(t->freq, (size_t)t->n, sizeof *t->freq);
  dyn_free(t->seq, (size_t)(t->round * t->len), sizeof *t->seq);
}

/* How often every node occurs in the first sweep of walks. */
static void frequencies(job *t, uint64_t seed) {
  for (int64_t lo = 0; lo < t->n; lo += t->round) {
    int64_t hi = lo + t->round < t->n ? lo + t->round : t->n;
    corpus(t->seq, lo, hi, t->len, &t->walker, t->order, &t->sweep, seed);
    count(t->freq, t->seq, (hi - lo) * t->len);
  }
}

static dyn_status prepare(job *t, const dyn_csr *adj,
                          const dyn_node2vec_opts *o, dyn_err *e) {
  t->n = adj->nrow;
  t->len = o->length;
  t->total = t->n * o->walks * o->epochs;
  t->round = ROUND;
  t->sweep = -1;
  t->order = dyn_alloc((size_t)t->n, sizeof *t->order);
  t->freq = dyn_alloc((size_t)t->n, sizeof *t->freq);
  t->seq = dyn_alloc((size_t)(t->round * t->len), sizeof *t->seq);
  if (!t->order || !t->freq || !t->seq)
    return dyn_fail(e, DYN_ENOMEM, "node2vec: out of memory");
  dyn_status st = dyn_walker_init(&t->walker, adj, o->p, o->q, e);
  if (st != DYN_OK) return st;
  frequencies(t, o->skipgram.seed);
  return dyn_skipgram_new(&t->model, (int32_t)t->n, t->freq, &o->skipgram, e);
}

/* A learning rate that is far too large ends in numbers that are none. */
static dyn_status all_finite(dyn_tensor *r, dyn_err *e) {
  const float *x = dyn_f32(r);
  for (size_t i = 0; i < dyn_tensor_len(r); i++)
    if (!isfinite(x[i])) {
      dyn_tensor_free(r);
      return dyn_fail(e, DYN_ENOCONV,
                      "node2vec: diverged; a smaller lr is needed");
    }
  return DYN_OK;
}

dyn_status dyn_node2vec(dyn_tensor *r, const dyn_csr *adj,
                        const dyn_node2vec_opts *o, const dyn_poll *poll,
                        dyn_err *e) {
  job t = {0};
  dyn_status st;
  if ((st = check(adj, o, e)) != DYN_OK) return st;
  DYN_TRY(prepare(&t, adj, o, e));
  for (int64_t lo = 0; lo < t.total; lo += t.round) {
    int64_t hi = lo + t.round < t.total ? lo + t.round : t.total;
    if (dyn_stop(poll, lo, t.total)) {
      st =
          dyn_fail(e, DYN_ECANCEL, "node2vec: stopped after %lld of %lld walks",
                   (long long)lo, (long long)t.total);
      goto done;
    }
    corpus(t.seq, lo, hi, t.len, &t.walker, t.order, &t.sweep,
           o->skipgram.seed);
    dyn_skipgram_round(t.model, t.seq, hi - lo, t.len, lo,
                       (double)lo / (double)t.total,
                       (double)hi / (double)t.total);
  }
  DYN_TRY(dyn_skipgram_vectors(r, t.model, e));
  DYN_TRY(all_finite(r, e));
  if (dyn_stop(poll, t.total, t.total)) {
    dyn_tensor_free(r);
    st = dyn_fail(e, DYN_ECANCEL, "node2vec: stopped at the end");
  }
done:
  job_free(&t);
  return st;
}
