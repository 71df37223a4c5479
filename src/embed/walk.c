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
                  .p = p,
                  .q = q,
                  .first_order = p == 1 && q == 1};
  if (!equal) st = tables(&r, e);
  if (st == DYN_OK)
    *t = r;
  else
    dyn_walker_free(&r);
  return st;
}

/* ---- walking -------------------------------------------------------------- */

/* Uniform in [0, 1) from the low bits of a draw. */
static double unit(dyn_rng *g) {
  return (double)(dyn_rng_next(g) >> 11) * 0x1p-53;
}

/* A neighbour of v in proportion to the weights; v has one. */
static int32_t propose(const dyn_walker *t, int32_t v, dyn_rng *g) {
  const dyn_csr *a = t->adj;
  int64_t from = a->start[v], deg = a->start[v + 1] - from;
  uint64_t bits = dyn_rng_next(g);
  if (t->alias)
    return a->col[from + dyn_alias_draw(t->alias + from, deg, bits)];
  return a->col[from + (int64_t)(((bits >> 32) * (uint64_t)deg) >> 32)];
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

static bool stuck(const dyn_walker *t, int32_t v) {
  if (t->total) return !(t->total[v] > 0);
  return t->adj->start[v + 1] == t->adj->start[v];
}

/* The part of the return edge above the ceiling 'top' of all others, as a share
** of the whole area: 0 where 1/p is not the largest. */
static double surplus(const dyn_walker *t, int32_t from, int32_t v,
                      double top) {
  if (1 / t->p <= top) return 0;
  int64_t k = find(t->adj, v, from);
  if (k < 0) return 0; /* a directed view need not lead back */
  double w = t->total ? (double)t->adj->val[k] : 1;
  double all = t->total ? t->total[v]
                        : (double)(t->adj->start[v + 1] - t->adj->start[v]);
  double extra = w * (1 / t->p - top);
  return extra / (extra + all * top);
}

/* The node after from -> v. */
static int32_t second(const dyn_walker *t, int32_t from, int32_t v,
                      dyn_rng *g) {
  double back = 1 / t->p, far = 1 / t->q, top = far > 1 ? far : 1;
  double low = back < far ? back : far, extra = surplus(t, from, v, top);
  if (low > 1) low = 1;
  for (;;) { /* every trial sees the whole area: the surplus and the rest */
    if (extra > 0 && unit(g) < extra) return from;
    int32_t x = propose(t, v, g);
    double u = unit(g) * top;
    if (u < low) return x;
    if (x == from) {
      if (u < back) return x;
    } else if (u < 1 || u < far) {
      /* joined to 'from' or not matters only between 1 and far */
      bool sure = u < 1 && u < far;
      if (sure || u < (find(t->adj, from, x) >= 0 ? 1 : far)) return x;
    }
  }
}

int dyn_walk(int32_t *out, int len, const dyn_walker *t, int32_t start,
             dyn_rng *g) {
  int32_t v = start;
  int n = 0;
  while (n < len) {
    out[n++] = v;
    if (n == len || stuck(t, v)) break;
    v = t->first_order || n == 1 ? propose(t, v, g)
                                 : second(t, out[n - 2], v, g);
  }
  return n;
}

void dyn_walks(int32_t *out, int64_t lo, int64_t hi, int len,
               const dyn_walker *t, const int32_t *order, uint64_t seed) {
#pragma omp parallel for schedule(static, 16) if (hi - lo > 64)
  for (int64_t w = lo; w < hi; w++) {
    int32_t *row = out + (w - lo) * len;
    int32_t v = (int32_t)(w % t->adj->nrow);
    dyn_rng g = dyn_rng_stream(seed, (uint64_t)w);
    int n = dyn_walk(row, len, t, order ? order[v] : v, &g);
    while (n < len) row[n++] = -1;
  }
}
