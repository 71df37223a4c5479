#include "embed/network.h"

#include <math.h>
#include <string.h>

#include "core/rng.h"
#include "embed/best.h"
#include "embed/walk.h"

enum {
  STEP = 1 << 16, /* draws between two questions to 'poll' */
  BLOCK = 64      /* rows that are compared at a time */
};

/* ---- cores ---------------------------------------------------------------- */

typedef struct buckets {
  int32_t *at;    /* nodes by what is left of their degree */
  int32_t *place; /* of every node in 'at' */
  int32_t *first; /* of every degree in 'at' */
  int32_t n, most;
} buckets;

static void buckets_free(buckets *b) {
  dyn_free(b->at, (size_t)b->n + 1, sizeof *b->at);
  dyn_free(b->place, (size_t)b->n + 1, sizeof *b->place);
  dyn_free(b->first, (size_t)b->most + 2, sizeof *b->first);
}

static dyn_status buckets_fill(buckets *b, const int32_t *degree, dyn_err *e) {
  b->at = dyn_alloc((size_t)b->n + 1, sizeof *b->at);
  b->place = dyn_alloc((size_t)b->n + 1, sizeof *b->place);
  b->first = dyn_alloc((size_t)b->most + 2, sizeof *b->first);
  if (!b->at || !b->place || !b->first)
    return dyn_fail(e, DYN_ENOMEM, "cores: out of memory");
  for (int32_t v = 0; v < b->n; v++) b->first[degree[v] + 1]++;
  for (int32_t d = 0; d <= b->most; d++) b->first[d + 1] += b->first[d];
  for (int32_t v = 0; v < b->n; v++) {
    b->place[v] = b->first[degree[v]]++;
    b->at[b->place[v]] = v;
  }
  for (int32_t d = b->most + 1; d > 0; d--) b->first[d] = b->first[d - 1];
  b->first[0] = 0;
  return DYN_OK;
}

/* Node u loses a neighbour: one bucket down. */
static void lower(buckets *b, int32_t *degree, int32_t u) {
  int32_t d = degree[u], to = b->first[d], other = b->at[to];
  b->at[b->place[u]] = other;
  b->place[other] = b->place[u];
  b->at[to] = u;
  b->place[u] = to;
  b->first[d]++;
  degree[u]--;
}

dyn_status dyn_graph_cores(int32_t *core, const dyn_graph *g, dyn_err *e) {
  dyn_csr a = {0};
  buckets b = {.n = g->names.n};
  dyn_status st = dyn_graph_adjacency(&a, g, DYN_BOTH, false, false, e);
  if (st != DYN_OK) return st;
  for (int32_t v = 0; v < b.n; v++) {
    core[v] = 0;
    for (int64_t k = a.start[v]; k < a.start[v + 1]; k++)
      core[v] += a.col[k] != v;
    if (core[v] > b.most) b.most = core[v];
  }
  DYN_TRY(buckets_fill(&b, core, e));
  for (int32_t i = 0; i < b.n; i++) {
    int32_t v = b.at[i];
    for (int64_t k = a.start[v]; k < a.start[v + 1]; k++)
      if (core[a.col[k]] > core[v]) lower(&b, core, a.col[k]);
  }
done:
  buckets_free(&b);
  dyn_csr_free(&a);
  return st;
}

/* ---- sets of edges -------------------------------------------------------- */

typedef struct edge_set {
  uint64_t *slot; /* key + 1; 0 is free, 1 was taken */
  size_t room;    /* a power of two */
} edge_set;

static uint64_t key_of(int32_t a, int32_t b, bool directed) {
  if (!directed && a > b) {
    int32_t t = a;
    a = b;
    b = t;
  }
  return ((uint64_t)(uint32_t)a << 32 | (uint32_t)b) + 2;
}

static size_t place_of(const edge_set *t, uint64_t key) {
  uint64_t h = key * UINT64_C(0x9e3779b97f4a7c15);
  size_t i = (size_t)(h >> 20) & (t->room - 1);
  while (t->slot[i] != 0 && t->slot[i] != key) i = (i + 1) & (t->room - 1);
  return i;
}

static bool has(const edge_set *t, uint64_t key) {
  return t->slot[place_of(t, key)] == key;
}

static void insert(edge_set *t, uint64_t key) {
  t->slot[place_of(t, key)] = key;
}

/* Linear probing without marks: what stands behind moves up. */
static void erase(edge_set *t, uint64_t key) {
  size_t mask = t->room - 1, hole = place_of(t, key);
  if (t->slot[hole] != key) return;
  t->slot[hole] = 0;
  for (size_t i = (hole + 1) & mask; t->slot[i] != 0; i = (i + 1) & mask) {
    uint64_t k = t->slot[i];
    t->slot[i] = 0;
    insert(t, k);
  }
}

static dyn_status edge_set_new(edge_set *t, int64_t m, dyn_err *e) {
  t->room = 16;
  while (t->room < (size_t)m * 2 + 2) t->room *= 2;
  t->slot = dyn_alloc(t->room, sizeof *t->slot);
  return t->slot ? DYN_OK : dyn_fail(e, DYN_ENOMEM, "edges: out of memory");
}

static void edge_set_free(edge_set *t) {
  dyn_free(t->slot, t->room, sizeof *t->slot);
}

/* ---- rewiring ------------------------------------------------------------- */

/* One exchange, if it makes neither a loop nor a repeat. */
static bool swap(edge_set *t, int32_t *from, int32_t *to, int64_t i, int64_t j,
                 bool directed, bool turn) {
  int32_t a = from[i], b = to[i], c = from[j], d = to[j];
  if (turn && !directed) c = to[j], d = from[j];
  uint64_t ad = key_of(a, d, directed), cb = key_of(c, b, directed);
  if (i == j || a == d || c == b || has(t, ad) || has(t, cb) || ad == cb)
    return false;
  erase(t, key_of(a, b, directed));
  erase(t, key_of(c, d, directed));
  insert(t, ad);
  insert(t, cb);
  to[i] = d;
  from[j] = c;
  to[j] = b;
  return true;
}

dyn_status dyn_rewire(int64_t *done, int32_t *from, int32_t *to, int64_t m,
                      bool directed, int64_t tries, uint64_t seed,
                      const dyn_poll *poll, dyn_err *e) {
  edge_set t = {0};
  dyn_rng g = dyn_rng_stream(dyn_rng_named(seed, "rewire"), 0);
  dyn_status st = edge_set_new(&t, m, e);
  *done = 0;
  for (int64_t k = 0; st == DYN_OK && k < m; k++)
    insert(&t, key_of(from[k], to[k], directed));
  for (int64_t k = 0; st == DYN_OK && m > 1 && k < tries; k++) {
    if (k % STEP == 0 && dyn_stop(poll, k, tries))
      st = dyn_fail(e, DYN_ECANCEL, "rewire: stopped");
    int64_t i = dyn_rng_below(&g, m), j = dyn_rng_below(&g, m);
    bool turn = dyn_rng_next(&g) >> 63;
    *done += swap(&t, from, to, i, j, directed, turn);
  }
  edge_set_free(&t);
  return st;
}

/* ---- random networks ------------------------------------------------------ */

/* Alias tables of all nodes and of the nodes of each block. */
typedef struct urn {
  dyn_alias *all, *block; /* block b's table starts at start[b] */
  double *w, *scaled;
  int32_t *work, *start;
  int32_t n, blocks;
} urn;

static void urn_free(urn *u) {
  size_t n = (size_t)u->n;
  dyn_free(u->all, n, sizeof *u->all);
  dyn_free(u->block, n, sizeof *u->block);
  dyn_free(u->w, n, sizeof *u->w);
  dyn_free(u->scaled, n, sizeof *u->scaled);
  dyn_free(u->work, n, sizeof *u->work);
  dyn_free(u->start, (size_t)u->blocks + 1, sizeof *u->start);
}

static double share(const dyn_random_opts *o, int32_t v) {
  return o->exponent > 0 ? pow((double)v + 1, -1 / (o->exponent - 1)) : 1;
}

static dyn_status urn_fill(urn *u, const dyn_random_opts *o, dyn_err *e) {
  size_t n = (size_t)u->n;
  u->all = dyn_alloc(n, sizeof *u->all);
  u->block = dyn_alloc(n, sizeof *u->block);
  u->w = dyn_alloc(n, sizeof *u->w);
  u->scaled = dyn_alloc(n, sizeof *u->scaled);
  u->work = dyn_alloc(n, sizeof *u->work);
  u->start = dyn_alloc((size_t)u->blocks + 1, sizeof *u->start);
  if (!u->all || !u->block || !u->w || !u->scaled || !u->work || !u->start)
    return dyn_fail(e, DYN_ENOMEM, "random edges: out of memory");
  for (int32_t v = 0; v < u->n; v++) u->w[v] = share(o, v);
  dyn_alias_fill(u->all, u->w, u->n, u->scaled, u->work);
  for (int32_t b = 0; b < u->blocks; b++) {
    int32_t k = 0;
    for (int32_t v = b; v < u->n; v += u->blocks) u->w[k++] = share(o, v);
    dyn_alias_fill(u->block + u->start[b], u->w, k, u->scaled, u->work);
    u->start[b + 1] = u->start[b] + k;
  }
  return DYN_OK;
}

static int32_t other_end(const urn *u, const dyn_random_opts *o, int32_t v,
                         dyn_rng *g) {
  if (dyn_rng_uniform(g) >= o->within)
    return (int32_t)dyn_alias_draw(u->all, u->n, dyn_rng_next(g));
  int32_t b = v % u->blocks, n = u->start[b + 1] - u->start[b];
  int64_t k = dyn_alias_draw(u->block + u->start[b], n, dyn_rng_next(g));
  return b + (int32_t)k * u->blocks;
}

static dyn_status draw(int32_t *from, int32_t *to, int64_t m, const urn *u,
                       const dyn_random_opts *o, edge_set *t,
                       const dyn_poll *poll, dyn_err *e) {
  dyn_rng g = dyn_rng_stream(dyn_rng_named(o->seed, "random.edges"), 0);
  int64_t at = 0;
  for (int64_t k = 0; at < m; k++) {
    if (k % STEP == 0 && dyn_stop(poll, at, m))
      return dyn_fail(e, DYN_ECANCEL, "random edges: stopped");
    if (k > 1000 + 100 * m)
      return dyn_fail(e, DYN_EVALUE,
                      "random edges: no more than %lld of %lld were found; "
                      "more nodes or fewer edges",
                      (long long)at, (long long)m);
    int32_t a = (int32_t)dyn_alias_draw(u->all, u->n, dyn_rng_next(&g)),
            b = other_end(u, o, a, &g);
    uint64_t key = key_of(a, b, false);
    if (a == b || has(t, key)) continue;
    insert(t, key);
    from[at] = a;
    to[at++] = b;
  }
  return DYN_OK;
}

dyn_status dyn_random_edges(int32_t *from, int32_t *to, int64_t m,
                            const dyn_random_opts *o, const dyn_poll *poll,
                            dyn_err *e) {
  if (o->nodes < 1 || o->blocks < 1 || o->blocks > o->nodes || m < 0 ||
      !(o->within >= 0 && o->within <= 1) ||
      !(o->exponent == 0 || o->exponent > 2))
    return dyn_fail(e, DYN_EVALUE, "random edges: an option is out of range");
  urn u = {.n = o->nodes, .blocks = o->blocks};
  edge_set t = {0};
  dyn_status st;
  DYN_TRY(urn_fill(&u, o, e));
  DYN_TRY(edge_set_new(&t, m, e));
  DYN_TRY(draw(from, to, m, &u, o, &t, poll, e));
done:
  urn_free(&u);
  edge_set_free(&t);
  return st;
}

/* ---- similar rows --------------------------------------------------------- */

static double value(const dyn_csr *s, int64_t k, bool jaccard) {
  return jaccard || !s->val ? 1 : (double)s->val[k];
}

/* Products of row i with all rows, in buf; then cosines or Jaccard indices. */
static void products(double *buf, const dyn_csr *s, const dyn_csr *t,
                     const double *size, ptrdiff_t i, bool jaccard) {
  memset(buf, 0, (size_t)s->nrow * sizeof *buf);
  for (int64_t k = s->start[i]; k < s->start[i + 1]; k++) {
    double v = value(s, k, jaccard);
    for (int64_t q = t->start[s->col[k]]; q < t->start[s->col[k] + 1]; q++)
      buf[t->col[q]] += v * value(t, q, jaccard);
  }
  for (ptrdiff_t j = 0; j < s->nrow; j++) {
    if (buf[j] == 0) continue;
    buf[j] /= jaccard ? size[i] + size[j] - buf[j] : sqrt(size[i] * size[j]);
  }
}

static void best_rows(int32_t *id, double *r, double *buf, const dyn_csr *s,
                      const dyn_csr *t, const double *size, ptrdiff_t lo,
                      ptrdiff_t m, ptrdiff_t k, bool jaccard) {
#pragma omp parallel for schedule(dynamic, 1)
  for (ptrdiff_t i = lo; i < lo + m; i++) {
    double *own = buf + (i - lo) * s->nrow;
    products(own, s, t, size, i, jaccard);
    dyn_best(id + i * k, r + i * k, own, s->nrow, 1, i, k, false);
    for (ptrdiff_t c = 0; c < k; c++)
      if (!(r[i * k + c] > 0)) id[i * k + c] = -1, r[i * k + c] = 0;
  }
}

dyn_status dyn_similar_rows(int32_t *id, dyn_tensor *r, const dyn_csr *s,
                            ptrdiff_t k, bool jaccard, const dyn_poll *poll,
                            dyn_err *e) {
  size_t n = (size_t)s->nrow + 1;
  dyn_csr t = {0};
  dyn_tensor v = {0};
  dyn_status st;
  if (k < 1 || s->nrow > INT32_MAX)
    return dyn_fail(e, DYN_EVALUE, "similar rows: %td of %td", k, s->nrow);
  double *size = dyn_alloc(n, sizeof *size),
         *buf = dyn_alloc(n * BLOCK, sizeof *buf);
  if (!size || !buf) {
    st = dyn_fail(e, DYN_ENOMEM, "similar rows: out of memory");
    goto done;
  }
  DYN_TRY(dyn_csr_transpose(&t, s, e));
  DYN_TRY(dyn_tensor_new(&v, DYN_F64, 2, (ptrdiff_t[]){s->nrow, k}, e));
  for (ptrdiff_t i = 0; i < s->nrow; i++)
    for (int64_t q = s->start[i]; q < s->start[i + 1]; q++)
      size[i] += value(s, q, jaccard) * value(s, q, jaccard);
  for (ptrdiff_t lo = 0; lo < s->nrow; lo += BLOCK) {
    if (dyn_stop(poll, lo, s->nrow)) {
      st = dyn_fail(e, DYN_ECANCEL, "similar rows: stopped");
      goto done;
    }
    ptrdiff_t m = s->nrow - lo < BLOCK ? s->nrow - lo : BLOCK;
    best_rows(id, dyn_f64(&v), buf, s, &t, size, lo, m, k, jaccard);
  }
  *r = v;
  v = (dyn_tensor){0};
done:
  dyn_free(size, n, sizeof *size), dyn_free(buf, n * BLOCK, sizeof *buf);
  dyn_csr_free(&t), dyn_tensor_free(&v);
  return st;
}
