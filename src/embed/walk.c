#include "embed/walk.h"

/* ---- alias tables --------------------------------------------------------- */

void dyn_alias_fill(dyn_alias *t, const double *w, int64_t n, double *scaled,
                    int32_t *work) {
  double sum = 0;
  int64_t small = 0, large = n; /* two stacks in one array */
  for (int64_t i = 0; i < n; i++) sum += w[i];
  for (int64_t i = 0; i < n; i++) {
    scaled[i] = sum > 0 ? w[i] * (double)n / sum : 1;
    if (scaled[i] < 1)
      work[small++] = (int32_t)i;
    else
      work[--large] = (int32_t)i;
  }
  while (small > 0 && large < n) {
    int32_t s = work[--small], l = work[large];
    t[s] = (dyn_alias){(uint32_t)(scaled[s] * 0x1p32), l};
    scaled[l] -= 1 - scaled[s];
    if (scaled[l] < 1) {
      large++;
      work[small++] = l;
    }
  }
  /* what rounding left over is full */
  while (small > 0) {
    int32_t s = work[--small];
    t[s] = (dyn_alias){UINT32_MAX, s};
  }
  for (; large < n; large++)
    t[work[large]] = (dyn_alias){UINT32_MAX, work[large]};
}

/* ---- preparing ------------------------------------------------------------ */

void dyn_walker_free(dyn_walker *t) {
  dyn_free(t->alias, (size_t)t->nnz, sizeof *t->alias);
  if (t->total) dyn_free(t->total, (size_t)t->adj->nrow + 1, sizeof *t->total);
  if (t->sketch)
    dyn_free(t->sketch, (size_t)t->adj->nrow + 1, sizeof *t->sketch);
  *t = (dyn_walker){0};
}

static dyn_status check(const dyn_csr *adj, double p, double q, bool *equal,
                        dyn_err *e) {
  if (!(p >= 1e-3 && p <= 1e3 && q >= 1e-3 && q <= 1e3))
    return dyn_fail(e, DYN_EVALUE,
                    "walks: p and q must be in 0.001..1000 (got %g, %g)", p, q);
  if (adj->nrow != adj->ncol)
    return dyn_fail(e, DYN_EVALUE, "walks: adjacency of %td x %td", adj->nrow,
                    adj->ncol);
  *equal = true;
  for (int64_t k = 0; adj->val && k < dyn_csr_nnz(adj); k++) {
    if (!(adj->val[k] >= 0))
      return dyn_fail(e, DYN_EVALUE, "walks: edge %lld has weight %g",
                      (long long)k + 1, (double)adj->val[k]);
    *equal = *equal && adj->val[k] == adj->val[0] && adj->val[k] > 0;
  }
  return DYN_OK;
}

/* Does (v, u) stand for every (u, v), with the same value? Rows are sorted: the
** entries of row u are met in their order as those of column u are. */
static dyn_status mirrored(bool *yes, const dyn_csr *a, dyn_err *e) {
  size_t n = (size_t)a->nrow + 1;
  int64_t *next = dyn_alloc_raw(n, sizeof *next);
  if (!next) return dyn_fail(e, DYN_ENOMEM, "walks: out of memory");
  for (size_t i = 0; i < n; i++) next[i] = a->start[i];
  *yes = true;
  for (ptrdiff_t v = 0; *yes && v < a->nrow; v++)
    for (int64_t k = a->start[v]; *yes && k < a->start[v + 1]; k++) {
      int32_t u = a->col[k];
      int64_t back = next[u]++;
      *yes = back < a->start[u + 1] && a->col[back] == v &&
             (!a->val || a->val[back] == a->val[k]);
    }
  dyn_free(next, n, sizeof *next);
  return DYN_OK;
}

/* A node's bit in the sketches of others. */
static uint32_t bit_of(int32_t v) { return (uint32_t)v * 2654435769u >> 24; }

/* A sketch of every row. */
static dyn_status sketches(dyn_walker *t, dyn_err *e) {
  const dyn_csr *a = t->adj;
  t->sketch = dyn_alloc((size_t)a->nrow + 1, sizeof *t->sketch);
  if (!t->sketch) return dyn_fail(e, DYN_ENOMEM, "walks: out of memory");
  for (ptrdiff_t v = 0; v < a->nrow; v++)
    for (int64_t k = a->start[v]; k < a->start[v + 1]; k++) {
      uint32_t b = bit_of(a->col[k]);
      t->sketch[v].bits[b / 64] |= UINT64_C(1) << b % 64;
    }
  return DYN_OK;
}

/* Alias table and total weight of every row. */
static dyn_status tables(dyn_walker *t, dyn_err *e) {
  const dyn_csr *a = t->adj;
  int64_t widest = 1;
  for (ptrdiff_t v = 0; v < a->nrow; v++)
    if (a->start[v + 1] - a->start[v] > widest)
      widest = a->start[v + 1] - a->start[v];
  size_t n = (size_t)widest;
  double *w = dyn_alloc(n, sizeof *w), *scaled = dyn_alloc(n, sizeof *scaled);
  int32_t *work = dyn_alloc(n, sizeof *work);
  t->alias = dyn_alloc((size_t)t->nnz, sizeof *t->alias);
  t->total = dyn_alloc((size_t)a->nrow + 1, sizeof *t->total);
  bool good = w && scaled && work && t->alias && t->total;
  for (ptrdiff_t v = 0; good && v < a->nrow; v++) {
    int64_t from = a->start[v], deg = a->start[v + 1] - from;
    for (int64_t i = 0; i < deg; i++) {
      w[i] = (double)a->val[from + i];
      t->total[v] += w[i];
    }
    dyn_alias_fill(t->alias + from, w, deg, scaled, work);
  }
  dyn_free(w, n, sizeof *w);
  dyn_free(scaled, n, sizeof *scaled);
  dyn_free(work, n, sizeof *work);
  return good ? DYN_OK : dyn_fail(e, DYN_ENOMEM, "walks: out of memory");
}

dyn_status dyn_walker_init(dyn_walker *t, const dyn_csr *adj, double p,
                           double q, dyn_err *e) {
  bool equal = true;
  dyn_status st = check(adj, p, q, &equal, e);
  if (st != DYN_OK) return st;
  dyn_walker r = {.adj = adj,
                  .nnz = dyn_csr_nnz(adj),
                  .back = 1 / p,
                  .far = 1 / q,
                  .first_order = p == 1 && q == 1};
  r.top = r.far > 1 ? r.far : 1;
  r.low = r.back < r.far ? r.back : r.far;
  if (r.low > 1) r.low = 1;
  if (!r.first_order) st = mirrored(&r.symmetric, adj, e);
  if (st == DYN_OK && !r.first_order) st = sketches(&r, e);
  if (st == DYN_OK && !equal) st = tables(&r, e);
  if (st == DYN_OK)
    *t = r;
  else
    dyn_walker_free(&r);
  return st;
}

/* ---- walking -------------------------------------------------------------- */

/*
** A step waits for the cache three times: for the bounds of a row, for an entry
** of it, and for an alias. So LANES walks advance side by side, one trial each in
** every round, and what the next part of a round reads is fetched by the one
** before. A walk has its own stream, so that this changes none of them.
*/
enum {
  LANES = 16,
  BLOCK = 64 /* walks that one thread takes at a time */
};

typedef struct lane {
  dyn_rng g;
  int32_t *out;
  int n;           /* nodes in out[] */
  int32_t from, v; /* the last step */
  int64_t taken;   /* the entry it went along */
  int64_t at;      /* the entry proposed for the next; -1: back to 'from' */
  uint32_t coin;   /* for the alias */
  double extra;    /* share of the return edge above the others' ceiling */
} lane;

/* Uniform in [0, 1) from the low bits of a draw. */
static double unit(dyn_rng *g) {
  return (double)(dyn_rng_next(g) >> 11) * 0x1p-53;
}

/* The entry (v, u), or -1. Rows are sorted. */
static int64_t find(const dyn_csr *a, int32_t v, int32_t u) {
  int64_t lo = a->start[v], hi = a->start[v + 1];
  while (lo < hi) {
    int64_t mid = lo + (hi - lo) / 2;
    if (a->col[mid] < u)
      lo = mid + 1;
    else
      hi = mid;
  }
  return lo < a->start[v + 1] && a->col[lo] == u ? lo : -1;
}

static bool maybe(const dyn_walker *t, int32_t v, int32_t u) {
  uint32_t b = bit_of(u);
  return t->sketch[v].bits[b / 64] >> b % 64 & 1;
}

/* Is there an edge u - x? Most often their sketches say no; else it is looked
** for, in the shorter row where both have it. */
static bool joined(const dyn_walker *t, int32_t u, int32_t x) {
  const int64_t *s = t->adj->start;
  if (!maybe(t, u, x)) return false;
  if (!t->symmetric) return find(t->adj, u, x) >= 0;
  if (!maybe(t, x, u)) return false;
  bool shorter = s[x + 1] - s[x] < s[u + 1] - s[u];
  return find(t->adj, shorter ? x : u, shorter ? u : x) >= 0;
}

static bool stuck(const dyn_walker *t, int32_t v) {
  if (t->total) return !(t->total[v] > 0);
  return t->adj->start[v + 1] == t->adj->start[v];
}

/* The part of the return edge above the ceiling of all others, as a share of the
** whole area: 0 where 1/p is not the largest. */
static double surplus(const dyn_walker *t, const lane *l) {
  if (t->back <= t->top) return 0;
  int64_t k = t->symmetric ? l->taken : find(t->adj, l->v, l->from);
  if (k < 0) return 0; /* a directed view need not lead back */
  double w = t->total ? (double)t->adj->val[k] : 1;
  double all = t->total
                   ? t->total[l->v]
                   : (double)(t->adj->start[l->v + 1] - t->adj->start[l->v]);
  double extra = w * (t->back - t->top);
  return extra / (extra + all * t->top);
}

/* Choose an entry of the row of v to try. */
static void propose(const dyn_walker *t, lane *l) {
  if (l->extra > 0 && unit(&l->g) < l->extra) {
    l->at = -1;
    return;
  }
  int64_t from = t->adj->start[l->v], deg = t->adj->start[l->v + 1] - from;
  uint64_t bits = dyn_rng_next(&l->g);
  l->at = from + (int64_t)(((bits >> 32) * (uint64_t)deg) >> 32);
  l->coin = (uint32_t)bits;
  __builtin_prefetch(t->alias ? (const void *)&t->alias[l->at]
                              : (const void *)&t->adj->col[l->at]);
}

/* The entry that the alias table says. */
static void resolve(const dyn_walker *t, lane *l) {
  if (l->at < 0) return;
  const dyn_alias *a = &t->alias[l->at];
  if (l->coin >= a->keep) l->at = t->adj->start[l->v] + a->other;
  __builtin_prefetch(&t->adj->col[l->at]);
}

/* Whether the step from -> v -> x is taken: every trial sees the whole area,
** the surplus and the rest. */
static bool accept(const dyn_walker *t, lane *l, int32_t x) {
  double u = unit(&l->g) * t->top;
  if (u < t->low) return true;
  if (x == l->from) return u < t->back;
  /* joined to 'from' or not matters only between 1 and far */
  if (u < 1 && u < t->far) return true;
  if (u >= 1 && u >= t->far) return false;
  return u < (joined(t, l->from, x) ? 1 : t->far);
}

static void move(const dyn_walker *t, lane *l, int32_t x) {
  l->taken = l->at;
  l->from = l->v;
  l->v = x;
  l->out[l->n++] = x;
  __builtin_prefetch(&t->adj->start[x]);
  if (t->total) __builtin_prefetch(&t->total[x]);
  if (t->sketch) __builtin_prefetch(&t->sketch[x]);
}

/* The last part of a trial. */
static void decide(const dyn_walker *t, lane *l) {
  if (l->at < 0) {
    l->at = l->taken; /* back along the edge: of the same weight if symmetric */
    move(t, l, l->from);
    return;
  }
  int32_t x = t->adj->col[l->at];
  if (t->first_order || l->n == 1 || accept(t, l, x)) move(t, l, x);
}

/* Before a trial: has the walk come to its end? */
static bool at_end(const dyn_walker *t, lane *l, int len, int n_before) {
  if (l->n == len || stuck(t, l->v)) return true;
  if (!t->first_order && l->n > 1 && l->n != n_before) l->extra = surplus(t, l);
  return false;
}

static void begin(lane *l, int32_t *out, int32_t v, uint64_t seed, int64_t w) {
  *l = (lane){.g = dyn_rng_stream(seed, (uint64_t)w), .out = out, .n = 1};
  l->v = out[0] = v;
}

typedef struct corpus {
  const dyn_walker *t;
  const int32_t *order;
  int32_t *out; /* of walk 'lo' */
  int64_t lo;
  int len;
  uint64_t seed;
} corpus;

/* Walks lo .. hi-1. */
static void block(const corpus *c, int64_t lo, int64_t hi) {
  const dyn_walker *t = c->t;
  lane lanes[LANES];
  int last[LANES] = {0}, busy = 0;
  for (;;) {
    for (; busy < LANES && lo < hi; lo++, busy++) {
      int32_t v = (int32_t)(lo % t->adj->nrow);
      begin(&lanes[busy], c->out + (lo - c->lo) * c->len,
            c->order ? c->order[v] : v, c->seed, lo);
      last[busy] = 0;
    }
    if (busy == 0) return;
    for (int j = 0; j < busy;) {
      lane *l = &lanes[j];
      if (!at_end(t, l, c->len, last[j])) {
        last[j++] = l->n;
        propose(t, l);
        continue;
      }
      while (l->n < c->len) l->out[l->n++] = -1;
      lanes[j] = lanes[--busy];
      last[j] = last[busy];
    }
    for (int j = 0; t->alias && j < busy; j++) resolve(t, &lanes[j]);
    for (int j = 0; j < busy; j++) decide(t, &lanes[j]);
  }
}

void dyn_walks(int32_t *out, int64_t lo, int64_t hi, int len,
               const dyn_walker *t, const int32_t *order, uint64_t seed) {
  corpus c = {t, order, out, lo, len, seed};
#pragma omp parallel for schedule(dynamic, 1) if (hi - lo > BLOCK)
  for (int64_t w = lo; w < hi; w += BLOCK)
    block(&c, w, w + BLOCK < hi ? w + BLOCK : hi);
}
