#include "embed/node2vec.h"

#include <math.h>

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
  dyn_csr along, apart; /* edges to walk, and the others, if they are split */
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
  dyn_csr_free(&t->along), dyn_csr_free(&t->apart);
  dyn_skipgram_free(t->model);
  dyn_free(t->order, (size_t)t->n, sizeof *t->order);
  dyn_free(t->freq, (size_t)t->n, sizeof *t->freq);
  dyn_free(t->seq, (size_t)(t->round * t->len), sizeof *t->seq);
}

/* The entries of a that are positive, or those that are negative, by size. */
static dyn_status half_of(dyn_csr *r, const dyn_csr *a, float sign,
                          dyn_err *e) {
  int64_t n = 0;
  for (int64_t k = 0; a->val && k < dyn_csr_nnz(a); k++)
    n += a->val[k] * sign > 0;
  dyn_status st = dyn_csr_new(r, a->nrow, a->ncol, n, true, e);
  if (st != DYN_OK) return st;
  n = 0;
  for (ptrdiff_t v = 0; v < a->nrow; v++) {
    for (int64_t k = a->start[v]; k < a->start[v + 1]; k++)
      if (a->val && a->val[k] * sign > 0) {
        r->col[n] = a->col[k];
        r->val[n++] = a->val[k] * sign;
      }
    r->start[v + 1] = n;
  }
  return DYN_OK;
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
  t->round = DYN_NODE2VEC_ROUND;
  t->sweep = -1;
  t->order = dyn_alloc((size_t)t->n, sizeof *t->order);
  t->freq = dyn_alloc((size_t)t->n, sizeof *t->freq);
  t->seq = dyn_alloc((size_t)(t->round * t->len), sizeof *t->seq);
  if (!t->order || !t->freq || !t->seq)
    return dyn_fail(e, DYN_ENOMEM, "node2vec: out of memory");
  dyn_skipgram_opts s = o->skipgram;
  dyn_status st = DYN_OK;
  if (o->repel) {
    st = half_of(&t->along, adj, 1, e);
    if (st == DYN_OK) st = half_of(&t->apart, adj, -1, e);
    if (st != DYN_OK) return st;
    if (dyn_csr_nnz(&t->along) < 1)
      return dyn_fail(e, DYN_EVALUE, "node2vec: no edge is positive");
    adj = &t->along;
    s.apart = &t->apart;
  }
  st = dyn_walker_init(&t->walker, adj, o->p, o->q, e);
  if (st != DYN_OK) return st;
  frequencies(t, s.seed);
  return dyn_skipgram_new(&t->model, (int32_t)t->n, t->freq, &s, e);
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

/* Walks from .. to-1. */
static dyn_status train(job *t, int64_t from, int64_t to, uint64_t seed,
                        const dyn_poll *poll, dyn_err *e) {
  for (int64_t lo = from; lo < to; lo += t->round) {
    int64_t hi = lo + t->round < to ? lo + t->round : to;
    if (dyn_stop(poll, lo, t->total))
      return dyn_fail(e, DYN_ECANCEL,
                      "node2vec: stopped after %lld of %lld walks",
                      (long long)lo, (long long)t->total);
    corpus(t->seq, lo, hi, t->len, &t->walker, t->order, &t->sweep, seed);
    dyn_skipgram_round(t->model, t->seq, hi - lo, t->len, lo,
                       (double)lo / (double)t->total,
                       (double)hi / (double)t->total);
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
  DYN_TRY(train(&t, 0, t.total, o->skipgram.seed, poll, e));
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

dyn_status dyn_node2vec_part(dyn_tensor *state, int64_t from, int64_t to,
                             const dyn_csr *adj, const dyn_node2vec_opts *o,
                             const dyn_poll *poll, dyn_err *e) {
  job t = {0};
  dyn_tensor r = {0};
  dyn_status st;
  if ((st = check(adj, o, e)) != DYN_OK) return st;
  DYN_TRY(prepare(&t, adj, o, e));
  if (from < 0 || from % t.round || from >= to || to > t.total) {
    st = dyn_fail(e, DYN_EVALUE, "node2vec: no part %lld..%lld of %lld walks",
                  (long long)from + 1, (long long)to, (long long)t.total);
    goto done;
  }
  if (from > 0) DYN_TRY(dyn_skipgram_restore(t.model, state, e));
  DYN_TRY(train(&t, from, to, o->skipgram.seed, poll, e));
  DYN_TRY(dyn_skipgram_state(&r, t.model, e));
  DYN_TRY(all_finite(&r, e));
  dyn_tensor_free(state);
  *state = r;
done:
  job_free(&t);
  return st;
}
