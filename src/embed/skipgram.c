#include "embed/skipgram.h"

#include <math.h>
#include <omp.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "embed/walk.h"
#include "embed/window.h"

enum {
  GROUP = DYN_GROUP,
  UNIT = 32,    /* slices have a multiple of this many floats */
  WINDOW = 100, /* the largest */
  NEGATIVES = 64,
  NLANE = 32, /* sequences side by side at most */
  STRIDE = 8, /* windows of each in a batch at most */
  BATCH = 128,
  TRIAL = 4,        /* pieces in which one thread, or all, are tried */
  PIECE = 4 * NLANE /* sequences between two choices of the threads */
};

/* The windows of a batch, made before they are trained. */
typedef struct window {
  const int32_t *seq; /* the sequence; contexts lo .. hi without 'at' */
  int lo, hi, at;
  int32_t fresh; /* the item that comes into reach next */
  bool foe;      /* out[1] is to stay away from the target */
  int n;         /* output rows; 0: no window */
  float lr;
  int32_t out[1 + NEGATIVES]; /* the target, then distinct negatives */
} window;

struct dyn_skipgram {
  dyn_skipgram_opts o;
  int32_t n;
  int lanes, stride;  /* of a batch */
  int slices, groups; /* groups of GROUP output rows per window */
  ptrdiff_t d;        /* floats of a row of a slice */
  dyn_alias *noise;   /* n */
  float *table;       /* slice s: (2 n + 1, d): vectors, outputs, a spare row */
  float *score;       /* slice s: (BATCH, groups, room) */
  ptrdiff_t room;     /* scores of a window and a group */
  window *batch[2];   /* BATCH each: this one and the next */
  double cost[2]; /* seconds per sequence: one thread, the team; 0: unknown */
  bool many;      /* the team works, but for a trial */
  int trial;      /* pieces that are left of a trial of the other way */
  int wait, patience;  /* pieces between two trials, until the next */
  dyn_skipgram *racer; /* copies with batches and scores of their own */
  int racers;
};

/* ---- the model ------------------------------------------------------------ */

static size_t slice_size(const dyn_skipgram *t) {
  return ((size_t)t->n * 2 + 1) * (size_t)t->d;
}

static size_t score_size(const dyn_skipgram *t) {
  return (size_t)BATCH * (size_t)t->groups * (size_t)t->room;
}

static float *row(const dyn_skipgram *t, int slice, ptrdiff_t i) {
  return t->table + (size_t)slice * slice_size(t) + i * t->d;
}

static float *score(const dyn_skipgram *t, int slice, ptrdiff_t i, int group) {
  return t->score + (size_t)slice * score_size(t) +
         (i * t->groups + group) * t->room;
}

/* What a thread needs for itself, beside the tables. */
static void workplace_free(dyn_skipgram *t) {
  dyn_free(t->score, score_size(t) * (size_t)t->slices, sizeof *t->score);
  for (int i = 0; i < 2; i++) dyn_free(t->batch[i], BATCH, sizeof(window));
}

static bool workplace(dyn_skipgram *t) {
  t->score = dyn_alloc(score_size(t) * (size_t)t->slices, sizeof *t->score);
  for (int i = 0; i < 2; i++) t->batch[i] = dyn_alloc(BATCH, sizeof(window));
  return t->score && t->batch[0] && t->batch[1];
}

void dyn_skipgram_free(dyn_skipgram *t) {
  if (!t) return;
  for (int i = 0; t->racer && i < t->racers; i++) workplace_free(&t->racer[i]);
  dyn_free(t->racer, (size_t)t->racers, sizeof *t->racer);
  dyn_free(t->noise, (size_t)t->n, sizeof *t->noise);
  dyn_free(t->table, slice_size(t) * (size_t)t->slices, sizeof *t->table);
  workplace_free(t);
  dyn_free(t, 1, sizeof *t);
}

/* A copy of the model for every thread: the same tables, another workplace. */
static bool racers(dyn_skipgram *t) {
  int n = omp_get_max_threads();
  bool good = true;
  t->racer = dyn_alloc((size_t)n, sizeof *t->racer);
  if (!t->racer) return false;
  t->racers = n;
  for (int i = 0; i < n; i++) {
    t->racer[i] = *t;
    good = workplace(&t->racer[i]) && good;
  }
  return good;
}

static dyn_status check(const dyn_skipgram_opts *o, int32_t n, dyn_err *e) {
  if (o->dim < 1 || o->dim > 4096)
    return dyn_fail(e, DYN_EVALUE, "skip-gram: dim %d outside 1..4096", o->dim);
  if (o->window < 1 || o->window > WINDOW)
    return dyn_fail(e, DYN_EVALUE, "skip-gram: window %d outside 1..%d",
                    o->window, WINDOW);
  if (o->negatives < 1 || o->negatives > NEGATIVES)
    return dyn_fail(e, DYN_EVALUE, "skip-gram: negatives %d outside 1..%d",
                    o->negatives, NEGATIVES);
  if (!(o->lr > 0 && isfinite(o->lr)))
    return dyn_fail(e, DYN_EVALUE, "skip-gram: lr must be positive");
  if (n < 1) return dyn_fail(e, DYN_EVALUE, "skip-gram: no items");
  return DYN_OK;
}

static dyn_status noise(dyn_skipgram *t, const double *freq, dyn_err *e) {
  size_t n = (size_t)t->n;
  double *w = dyn_alloc(n, sizeof *w), *scaled = dyn_alloc(n, sizeof *scaled);
  int32_t *work = dyn_alloc(n, sizeof *work);
  double sum = 0;
  dyn_status st = DYN_OK;
  for (size_t v = 0; v < n; v++) sum += freq[v];
  if (!w || !scaled || !work)
    st = dyn_fail(e, DYN_ENOMEM, "skip-gram: out of memory");
  else if (!(sum > 0))
    st = dyn_fail(e, DYN_EVALUE, "skip-gram: every frequency is 0");
  for (size_t v = 0; st == DYN_OK && v < n; v++) w[v] = pow(freq[v], 0.75);
  if (st == DYN_OK) dyn_alias_fill(t->noise, w, t->n, scaled, work);
  dyn_free(w, n, sizeof *w);
  dyn_free(scaled, n, sizeof *scaled);
  dyn_free(work, n, sizeof *work);
  return st;
}

/* Vectors start uniform in +-1/2 over dim, a stream per row; outputs at 0. */
static void start(dyn_skipgram *t) {
  uint64_t seed = dyn_rng_named(t->o.seed, "skipgram.start");
#pragma omp parallel for
  for (int32_t v = 0; v < t->n; v++) {
    dyn_rng g = dyn_rng_stream(seed, (uint64_t)v);
    for (int j = 0; j < t->o.dim; j++)
      row(t, (int)(j / t->d), v)[j % t->d] =
          (float)((dyn_rng_uniform(&g) - 0.5) / (double)t->o.dim);
  }
}

/*
** The size of a batch: its gradients are those of the parameters before it, and
** a row that many of them pull at the same time overshoots. The most frequent
** item gets about 8 pulls per batch, a sequence's own items 4 or 8, at a learning
** rate of 0.025, fewer at a larger one.
*/
static void size_batch(dyn_skipgram *t, const double *freq) {
  double sum = 0, most = 0, slow = t->o.lr > 0.025 ? 0.025 / t->o.lr : 1;
  for (int32_t v = 0; v < t->n; v++) {
    sum += freq[v];
    if (freq[v] > most) most = freq[v];
  }
  double w = 8 * slow * sum / (most * (t->o.window + 1));
  int stride = (int)((w < BATCH ? STRIDE / 2 : STRIDE) * slow);
  if (w > BATCH) w = BATCH;
  if (w < stride) stride = (int)w;
  t->stride = stride > 1 ? stride : 1;
  w /= t->stride;
  t->lanes = w < 1 ? 1 : w > NLANE ? NLANE : (int)w;
}

/* Slices of 64 columns; 32 or 96 where that fits better. */
static void cut(dyn_skipgram *t) {
  int units = (t->o.dim + UNIT - 1) / UNIT;
  if (units >= 4) units += units % 2;
  t->slices = units < 4 ? 1 : units / 2;
  t->d = units / t->slices * UNIT;
  t->groups = (1 + t->o.negatives + GROUP - 1) / GROUP;
  t->room = (2 * t->o.window + 2) * GROUP;
}

dyn_status dyn_skipgram_new(dyn_skipgram **r, int32_t n, const double *freq,
                            const dyn_skipgram_opts *o, dyn_err *e) {
  dyn_status st = check(o, n, e);
  if (st != DYN_OK) return st;
  dyn_skipgram *t = dyn_alloc(1, sizeof *t);
  if (!t) return dyn_fail(e, DYN_ENOMEM, "skip-gram: out of memory");
  t->o = *o;
  t->n = n;
  t->wait = 8, t->patience = 2;
  cut(t);
  t->noise = dyn_alloc((size_t)n, sizeof *t->noise);
  t->table = dyn_alloc(slice_size(t) * (size_t)t->slices, sizeof *t->table);
  st = workplace(t) && t->noise && t->table
           ? noise(t, freq, e)
           : dyn_fail(e, DYN_ENOMEM, "skip-gram of %d x %d: out of memory",
                      (int)n, o->dim);
  if (st != DYN_OK) {
    dyn_skipgram_free(t);
    return st;
  }
  size_batch(t, freq);
  if (o->race && !racers(t)) {
    dyn_skipgram_free(t);
    return dyn_fail(e, DYN_ENOMEM, "skip-gram: out of memory");
  }
  start(t);
  *r = t;
  return DYN_OK;
}

/* The first 'rows' of the table, to r or from it. */
static void copy_rows(dyn_tensor *r, const dyn_skipgram *t, ptrdiff_t rows,
                      bool back) {
  for (ptrdiff_t v = 0; v < rows; v++)
    for (ptrdiff_t j = 0; j < t->o.dim; j++) {
      float *own = &row(t, (int)(j / t->d), v)[j % t->d],
            *other = &dyn_f32(r)[v * t->o.dim + j];
      *(back ? own : other) = *(back ? other : own);
    }
}

static dyn_status first_rows(dyn_tensor *r, const dyn_skipgram *t,
                             ptrdiff_t rows, dyn_err *e) {
  ptrdiff_t size[2] = {rows, t->o.dim};
  dyn_status st = dyn_tensor_new(r, DYN_F32, 2, size, e);
  if (st == DYN_OK) copy_rows(r, t, rows, false);
  return st;
}

dyn_status dyn_skipgram_vectors(dyn_tensor *r, const dyn_skipgram *t,
                                dyn_err *e) {
  return first_rows(r, t, t->n, e);
}

dyn_status dyn_skipgram_state(dyn_tensor *r, const dyn_skipgram *t,
                              dyn_err *e) {
  return first_rows(r, t, 2 * (ptrdiff_t)t->n, e);
}

dyn_status dyn_skipgram_restore(dyn_skipgram *t, const dyn_tensor *state,
                                dyn_err *e) {
  char buf[DYN_SHAPELEN];
  if (state->type != DYN_F32 || state->ndim != 2 ||
      state->size[0] != 2 * (ptrdiff_t)t->n || state->size[1] != t->o.dim ||
      !dyn_tensor_dense(state))
    return dyn_fail(e, DYN_ESHAPE,
                    "skip-gram: a state of %s, not %dx%d of float",
                    dyn_tensor_shape(state, buf), 2 * (int)t->n, t->o.dim);
  dyn_tensor view = *state;
  copy_rows(&view, t, 2 * (ptrdiff_t)t->n, true);
  return DYN_OK;
}

/* ---- making windows ------------------------------------------------------- */

/* A piece: 'nseq' sequences in groups of NLANE, each group in steps of STRIDE
** windows. Batch b is step b % steps of group b / steps. */
typedef struct job {
  dyn_skipgram *t;
  const int32_t *seq;
  int64_t nseq, first, batches;
  int len, steps;
  double from, to;
  const dyn_window_kernels *k;
  atomic_uint turn; /* of the meetings of the threads */
  atomic_int here;
  dyn_rng lane[NLANE]; /* the random stream of each sequence */
} job;

/* Negatives of a window: distinct, and not its target; first one that is to stay
** away from it. */
static int draw(const dyn_skipgram *t, int32_t *out, bool *foe, dyn_rng *g) {
  const dyn_csr *apart = t->o.apart;
  int n = 1;
  if (apart && apart->start[out[0] + 1] > apart->start[out[0]]) {
    int64_t lo = apart->start[out[0]];
    out[n] = apart->col[lo + dyn_rng_below(g, apart->start[out[0] + 1] - lo)];
    n += out[n] != out[0];
  }
  *foe = n > 1;
  for (int i = n - 1; i < t->o.negatives; i++) {
    int32_t v = (int32_t)dyn_alias_draw(t->noise, t->n, dyn_rng_next(g));
    bool fresh = true;
    for (int j = 0; j < n; j++) fresh = fresh && out[j] != v;
    if (fresh) out[n++] = v;
  }
  return n;
}

/* The windows of lane 'l' of batch 'b'. Windows shrink at random: 1 .. window
** on either side. */
static void make(job *r, int64_t b, int l) {
  const dyn_skipgram *t = r->t;
  int64_t i = b / r->steps * t->lanes + l;
  int at = (int)(b % r->steps) * t->stride, n = 0;
  window *w = t->batch[b & 1] + l * t->stride;
  const int32_t *seq = r->seq + i * r->len;
  if (i < r->nseq)
    while (n < r->len && seq[n] >= 0) n++;
  if (at == 0)
    r->lane[l] = dyn_rng_stream(dyn_rng_named(t->o.seed, "skipgram"),
                                (uint64_t)(r->first + i));
  double done = r->from + (r->to - r->from) * (double)i / (double)r->nseq;
  for (int k = 0; k < t->stride; k++, at++, w++) {
    w->n = 0;
    if (at >= n || n < 2) continue;
    uint64_t half = dyn_rng_next(&r->lane[l]) >> 32;
    int width = 1 + (int)((half * (uint64_t)t->o.window) >> 32);
    w->seq = seq;
    w->at = at;
    w->lo = at > width ? at - width : 0;
    w->hi = at + width < n ? at + width : n - 1;
    w->lr = (float)(t->o.lr * (done < 0.9999 ? 1 - done : 1e-4));
    w->fresh = seq[at + t->o.window < n ? at + t->o.window : n - 1];
    w->out[0] = seq[at];
    w->n = draw(t, w->out, &w->foe, &r->lane[l]);
  }
}

/* ---- training them -------------------------------------------------------- */

/* Rows of a slice that a window needs: contexts into x, returns how many. Last the
** target's own where it has to get away from an item. */
static int contexts(float **x, const dyn_skipgram *t, const window *w, int s) {
  int m = 0;
  for (int i = w->lo; i <= w->hi; i++)
    if (i != w->at) x[m++] = row(t, s, w->seq[i]);
  if (w->foe) x[m++] = row(t, s, w->out[0]);
  return m;
}

/* Output rows of group 'group'; the spare row, all zero, for what is missing. */
static void outputs(float **y, const dyn_skipgram *t, const window *w, int s,
                    int group) {
  for (int o = 0; o < GROUP; o++) {
    int i = group * GROUP + o;
    y[o] = row(t, s, i < w->n ? t->n + (ptrdiff_t)w->out[i] : 2 * t->n);
  }
}

/* Ask for what a window will need: its output rows and the item that is new in
** its sequence. The next batch is asked for while this one moves, so that memory
** and arithmetic overlap. */
static void prefetch(const dyn_skipgram *t, const window *w, int s) {
  if (w->n == 0) return;
  for (int i = 0; i < w->n; i++) {
    const float *p = row(t, s, t->n + (ptrdiff_t)w->out[i]);
    for (ptrdiff_t k = 0; k < t->d; k += 16) __builtin_prefetch(p + k, 0, 2);
  }
  const float *p = row(t, s, w->fresh);
  for (ptrdiff_t k = 0; k < t->d; k += 16) __builtin_prefetch(p + k, 0, 2);
}

/* First pass: the part of all scores of a batch that the slices id, id + n, ...
** have. */
static void look(const job *r, int64_t b, int id, int n) {
  const dyn_skipgram *t = r->t;
  const window *w = t->batch[b & 1];
  float *x[2 * WINDOW + 1], *y[GROUP];
  for (int i = 0; i < t->lanes * t->stride; i++, w++)
    for (int s = id; w->n > 0 && s < t->slices; s += n) {
      int m = contexts(x, t, w, s);
      for (int g = 0; g * GROUP < w->n; g++) {
        outputs(y, t, w, s, g);
        r->k->scores(score(t, s, i, g), x, m, y, t->d);
      }
    }
}

/* The last row, the target's own, moves away from the second output, which the
** contexts have nothing to do with; by as much as there are contexts, each of
** which may have pulled the target there. */
static void only_foes(float *g, int group, int m) {
  for (int k = 0; group == 0 && k < m - 1; k++) g[k * GROUP + 1] = 0;
  for (int o = 0; o < GROUP; o++)
    g[(m - 1) * GROUP + o] *= group == 0 && o == 1 ? (float)(m - 1) : 0;
}

/* g (m, GROUP) = lr (label - sigmoid(score)) of a window, slices in order. */
static void gradients(float *g, const job *r, const window *w, int i, int group,
                      int m) {
  const dyn_skipgram *t = r->t;
  memcpy(g, score(t, 0, i, group), (size_t)(m * GROUP) * sizeof *g);
  for (int s = 1; s < t->slices; s++) {
    const float *part = score(t, s, i, group);
#pragma omp simd
    for (int k = 0; k < m * GROUP; k++) g[k] += part[k];
  }
  r->k->gradient(g, m * GROUP, w->lr);
  for (int k = 0; group == 0 && k < m; k++) g[k * GROUP] += w->lr;
  for (int o = w->n - group * GROUP; o < GROUP; o++)
    for (int k = 0; k < m; k++) g[k * GROUP + o] = 0;
  if (w->foe) only_foes(g, group, m);
}

/* Second pass: these slices move. */
static void move(const job *r, int64_t b, int id, int n) {
  const dyn_skipgram *t = r->t;
  const window *w = t->batch[b & 1];
  float *x[2 * WINDOW + 1], *y[GROUP], g[(2 * WINDOW + 2) * GROUP];
  for (int i = 0; i < t->lanes * t->stride; i++, w++) {
    for (int s = id; b + 1 < r->batches && s < t->slices; s += n)
      prefetch(t, &t->batch[(b + 1) & 1][i], s);
    int m = w->hi - w->lo + w->foe;
    for (int k = 0; k * GROUP < w->n; k++) {
      gradients(g, r, w, i, k, m);
      for (int s = id; s < t->slices; s += n) {
        contexts(x, t, w, s);
        outputs(y, t, w, s, k);
        r->k->move(x, m, g, y, t->d);
      }
    }
  }
}

/*
** Wait until all n threads are here. Spins: a batch takes some 40 microseconds,
** less than it takes to wake a thread; gives the core away after a while.
*/
static void meet(job *r, int n) {
  if (n == 1) return;
  unsigned turn = atomic_load_explicit(&r->turn, memory_order_acquire);
  if (atomic_fetch_add_explicit(&r->here, 1, memory_order_acq_rel) == n - 1) {
    atomic_store_explicit(&r->here, 0, memory_order_relaxed);
    atomic_store_explicit(&r->turn, turn + 1, memory_order_release);
    return;
  }
  for (int i = 0; atomic_load_explicit(&r->turn, memory_order_acquire) == turn;
       i++)
    if (i > 5000) sched_yield();
}

/* Everything that thread 'id' of 'n' does in a piece; all threads run it. */
static void work(job *r, int id, int n) {
  for (int l = id; l < r->t->lanes; l += n) make(r, 0, l);
  meet(r, n);
  for (int64_t b = 0; b < r->batches; b++) {
    look(r, b, id, n);
    for (int l = id; b + 1 < r->batches && l < r->t->lanes; l += n)
      make(r, b + 1, l);
    meet(r, n);
    move(r, b, id, n);
    meet(r, n);
  }
}

/*
** One thread or all? They meet twice in a batch, some 20,000 times a second:
** where other programs want the cores too, a team waits for whoever is not
** running, and one thread alone is faster. The result is the same, so the clock
** may decide: what lost is tried again after 8, 16, .. 128 pieces, for a few of
** which the best counts, since one in which the system was away says little.
*/
static int team(dyn_skipgram *t) {
  int most = omp_get_max_threads();
  if (most > t->slices) most = t->slices;
  if (most <= 1) return 1;
  if (t->trial == 0 && --t->patience <= 0) {
    t->trial = TRIAL;
    t->cost[!t->many] = 0;
  }
  return t->many != (t->trial > 0) ? most : 1;
}

/* A piece took 'now' seconds per sequence. */
static void learn(dyn_skipgram *t, double now) {
  double *cost = &t->cost[t->many != (t->trial > 0)];
  if (t->trial == 0) {
    double seen = *cost > 0 && now > 3 * *cost ? 3 * *cost : now;
    *cost = *cost > 0 ? 0.9 * *cost + 0.1 * seen : now;
    return;
  }
  if (*cost == 0 || now < *cost) *cost = now;
  if (--t->trial > 0) return;
  bool many = t->cost[1] < t->cost[0];
  t->wait = many != t->many ? 8 : t->wait < 128 ? 2 * t->wait : 128;
  t->patience = t->wait;
  t->many = many;
}

static void run(job *r) {
  int n = team(r->t);
  double begin = omp_get_wtime();
  if (n == 1) {
    work(r, 0, 1);
  } else {
#pragma omp parallel num_threads(n)
    work(r, omp_get_thread_num(), omp_get_num_threads());
  }
  learn(r->t, (omp_get_wtime() - begin) / (double)r->nseq + 1e-12);
}

/* Train on sequences lo .. of a round, a piece. */
static void piece(dyn_skipgram *t, const job *all, int64_t lo, bool alone) {
  int64_t n = all->nseq - lo < PIECE ? all->nseq - lo : PIECE;
  double each = (all->to - all->from) / (double)all->nseq;
  job r = {.t = t,
           .seq = all->seq + lo * all->len,
           .nseq = n,
           .first = all->first + lo,
           .batches = (n + t->lanes - 1) / t->lanes * all->steps,
           .len = all->len,
           .steps = all->steps,
           .from = all->from + each * (double)lo,
           .to = all->from + each * (double)(lo + n),
           .k = all->k};
  if (alone)
    work(&r, 0, 1);
  else
    run(&r);
}

void dyn_skipgram_round(dyn_skipgram *t, const int32_t *seq, int64_t nseq,
                        int len, int64_t first, double from, double to) {
  job all = {.seq = seq,
             .nseq = nseq,
             .first = first,
             .len = len,
             .steps = (len + t->stride - 1) / t->stride,
             .from = from,
             .to = to,
             .k = dyn_window_choose()};
  if (t->racer) {
#pragma omp parallel for schedule(dynamic, 1) num_threads(t->racers)
    for (int64_t lo = 0; lo < nseq; lo += PIECE)
      piece(&t->racer[omp_get_thread_num()], &all, lo, true);
  } else {
    for (int64_t lo = 0; lo < nseq; lo += PIECE) piece(t, &all, lo, false);
  }
}
