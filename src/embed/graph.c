#include "embed/graph.h"

#include <math.h>
#include <string.h>

/* ---- lists of entries ----------------------------------------------------- */

/* Entries of a matrix before they are rows: what every builder works on. */
typedef struct entries {
  int64_t n, cap;
  int32_t *row, *col;
  float *w;
  int8_t *s;
} entries;

static void entries_free(entries *x) {
  size_t cap = (size_t)x->cap;
  dyn_free(x->row, cap, sizeof *x->row);
  dyn_free(x->col, cap, sizeof *x->col);
  dyn_free(x->w, cap, sizeof *x->w);
  dyn_free(x->s, cap, sizeof *x->s);
  *x = (entries){0};
}

static dyn_status entries_new(entries *x, int64_t cap, dyn_err *e) {
  if (cap < 1) cap = 1;
  entries t = {.cap = cap};
  t.row = dyn_alloc((size_t)cap, sizeof *t.row);
  t.col = dyn_alloc((size_t)cap, sizeof *t.col);
  t.w = dyn_alloc((size_t)cap, sizeof *t.w);
  t.s = dyn_alloc((size_t)cap, sizeof *t.s);
  if (!t.row || !t.col || !t.w || !t.s) {
    entries_free(&t);
    return dyn_fail(e, DYN_ENOMEM, "graph of %lld edges: out of memory",
                    (long long)cap);
  }
  *x = t;
  return DYN_OK;
}

static void add(entries *x, int32_t row, int32_t col, float w, int8_t s) {
  x->row[x->n] = row;
  x->col[x->n] = col;
  x->w[x->n] = w;
  x->s[x->n++] = s;
}

/* Stable counting sort by row (or column): 'r' has room for all of 'x'. */
static void sort_by(entries *r, const entries *x, bool row, int64_t *count,
                    int32_t nodes) {
  const int32_t *key = row ? x->row : x->col;
  memset(count, 0, ((size_t)nodes + 1) * sizeof *count);
  for (int64_t k = 0; k < x->n; k++) count[key[k] + 1]++;
  for (int32_t v = 0; v < nodes; v++) count[v + 1] += count[v];
  for (int64_t k = 0; k < x->n; k++) {
    int64_t at = count[key[k]]++;
    r->row[at] = x->row[k];
    r->col[at] = x->col[k];
    r->w[at] = x->w[k];
    r->s[at] = x->s[k];
  }
  r->n = x->n;
}

typedef struct tally {
  int64_t repeats, conflicts;
} tally;

/* Sorted entries with one place become one. What an undirected graph holds
** twice is counted where row <= col. */
static tally merge(entries *x, bool directed) {
  tally t = {0, 0};
  int64_t out = 0;
  for (int64_t k = 0; k < x->n;) {
    int64_t first = k;
    bool plus = false, minus = false;
    float w = 0;
    for (; k < x->n && x->row[k] == x->row[first] && x->col[k] == x->col[first];
         k++) {
      if (x->w[k] > w) w = x->w[k];
      plus |= x->s[k] > 0;
      minus |= x->s[k] < 0;
    }
    if (directed || x->row[first] <= x->col[first]) {
      t.repeats += k - first - 1;
      t.conflicts += plus && minus;
    }
    x->row[out] = x->row[first];
    x->col[out] = x->col[first];
    x->w[out] = w;
    x->s[out++] = (int8_t)(plus - minus);
  }
  x->n = out;
  return t;
}

/* Sort by row and column and merge. Uses 'spare', as large as 'x'. */
static dyn_status order(entries *x, int32_t nodes, bool directed, tally *t,
                        dyn_err *e) {
  entries spare = {0};
  dyn_status st = entries_new(&spare, x->n, e);
  if (st != DYN_OK) return st;
  int64_t *count = dyn_alloc((size_t)nodes + 1, sizeof *count);
  if (count) {
    sort_by(&spare, x, false, count, nodes);
    sort_by(x, &spare, true, count, nodes);
    *t = merge(x, directed);
  } else {
    st = dyn_fail(e, DYN_ENOMEM, "graph: out of memory");
  }
  dyn_free(count, (size_t)nodes + 1, sizeof *count);
  entries_free(&spare);
  return st;
}

/* Rows from entries in order; by column if 'turned' (then sorted by column). */
static dyn_status rows(dyn_csr *r, const entries *x, int32_t nodes, bool turned,
                       dyn_err *e) {
  dyn_status st = dyn_csr_new(r, nodes, nodes, x->n, true, e);
  if (st != DYN_OK) return st;
  for (int64_t k = 0; k < x->n; k++) {
    r->start[(turned ? x->col[k] : x->row[k]) + 1]++;
    r->col[k] = turned ? x->row[k] : x->col[k];
    r->val[k] = x->w[k];
  }
  for (int32_t v = 0; v < nodes; v++) r->start[v + 1] += r->start[v];
  return DYN_OK;
}

static dyn_status signs(int8_t **sign, const entries *x, dyn_err *e) {
  *sign = dyn_alloc((size_t)(x->n ? x->n : 1), 1);
  if (!*sign) return dyn_fail(e, DYN_ENOMEM, "graph: out of memory");
  memcpy(*sign, x->s, (size_t)x->n);
  return DYN_OK;
}

/* ---- building ------------------------------------------------------------- */

void dyn_graph_free(dyn_graph *g) {
  size_t nout = (size_t)(g->out.cap ? g->out.cap : 1),
         nin = (size_t)(g->in.cap ? g->in.cap : 1);
  dyn_free(g->out_sign, nout, 1);
  dyn_free(g->in_sign, nin, 1);
  dyn_csr_free(&g->out);
  dyn_csr_free(&g->in);
  dyn_names_free(&g->names);
  *g = (dyn_graph){0};
}

/* Fill 'g' (all but names) from entries, which are sorted on return. */
static dyn_status finish(dyn_graph *g, entries *x, int32_t nodes, bool directed,
                         bool is_signed, dyn_err *e) {
  entries turned = {0};
  int64_t *count = NULL;
  tally t;
  dyn_status st;
  DYN_TRY(order(x, nodes, directed, &t, e));
  DYN_TRY(rows(&g->out, x, nodes, false, e));
  if (is_signed) DYN_TRY(signs(&g->out_sign, x, e));
  if (directed) {
    DYN_TRY(entries_new(&turned, x->n, e));
    count = dyn_alloc((size_t)nodes + 1, sizeof *count);
    if (!count) {
      st = dyn_fail(e, DYN_ENOMEM, "graph: out of memory");
      goto done;
    }
    sort_by(&turned, x, false, count, nodes);
    DYN_TRY(rows(&g->in, &turned, nodes, true, e));
    if (is_signed) DYN_TRY(signs(&g->in_sign, &turned, e));
  }
  g->directed = directed;
  g->repeats = t.repeats;
  g->conflicts = t.conflicts;
  for (int64_t k = 0; k < x->n; k++)
    g->edges += directed || x->row[k] <= x->col[k];
  for (int32_t v = 0; v < nodes; v++)
    g->sources += g->out.start[v + 1] > g->out.start[v];
done:
  dyn_free(count, (size_t)nodes + 1, sizeof *count);
  entries_free(&turned);
  return st;
}

static dyn_status check(const dyn_edge_list *x, int32_t nodes, dyn_err *e) {
  for (int64_t k = 0; k < x->n; k++) {
    if (x->from[k] < 0 || x->from[k] >= nodes || x->to[k] < 0 ||
        x->to[k] >= nodes)
      return dyn_fail(e, DYN_EVALUE, "graph: edge %lld joins %d and %d of %d",
                      (long long)k + 1, (int)x->from[k] + 1, (int)x->to[k] + 1,
                      (int)nodes);
    if (x->weight && !isfinite(x->weight[k]))
      return dyn_fail(e, DYN_EVALUE, "graph: weight of edge %lld is not finite",
                      (long long)k + 1);
  }
  return DYN_OK;
}

dyn_status dyn_graph_build(dyn_graph *g, dyn_names *names,
                           const dyn_edge_list *x, dyn_err *e) {
  entries t = {0};
  dyn_graph r = {.lines = x->n};
  dyn_status st;
  DYN_TRY(check(x, names->n, e));
  DYN_TRY(entries_new(&t, x->directed ? x->n : 2 * x->n, e));
  for (int64_t k = 0; k < x->n; k++) {
    int32_t a = x->from[k], b = x->to[k];
    float w = x->weight ? fabsf(x->weight[k]) : 1;
    int8_t s = x->sign ? x->sign[k] : 0;
    if (a == b) {
      r.loops++;
      if (!x->keep_loops) continue;
    }
    add(&t, a, b, w, s);
    if (!x->directed && a != b) add(&t, b, a, w, s);
  }
  DYN_TRY(finish(&r, &t, names->n, x->directed, x->sign != NULL, e));
  r.names = *names;
  *names = (dyn_names){0};
  *g = r;
  r = (dyn_graph){0};
done:
  entries_free(&t);
  dyn_graph_free(&r);
  return st;
}

/* ---- graphs from graphs --------------------------------------------------- */

/* Add the edges of g between nodes with map[v] >= 0, in both directions if
** 'both'. An undirected graph has both in its rows already. */
static void copy_edges(entries *x, const dyn_graph *g, const int32_t *map,
                       bool both) {
  for (int32_t v = 0; v < g->names.n; v++)
    for (int64_t k = g->out.start[v]; k < g->out.start[v + 1]; k++) {
      int32_t a = map ? map[v] : v,
              b = map ? map[g->out.col[k]] : g->out.col[k];
      int8_t s = g->out_sign ? g->out_sign[k] : 0;
      if (a < 0 || b < 0) continue;
      add(x, a, b, g->out.val[k], s);
      if (both && g->directed && a != b) add(x, b, a, g->out.val[k], s);
    }
}

static dyn_status copy_name(dyn_names *t, const dyn_graph *g, int32_t v,
                            int32_t *id, dyn_err *e) {
  const char *s = dyn_names_get(&g->names, v);
  return dyn_names_add(t, s, strlen(s), id, NULL, e);
}

dyn_status dyn_graph_subgraph(dyn_graph *r, const dyn_graph *g,
                              const int32_t *keep, int32_t n, dyn_err *e) {
  size_t nodes = (size_t)g->names.n + 1;
  entries x = {0};
  dyn_graph t = {0};
  dyn_status st = DYN_OK;
  int32_t *map = dyn_alloc(nodes, sizeof *map), id;
  if (!map) return dyn_fail(e, DYN_ENOMEM, "subgraph: out of memory");
  for (int32_t v = 0; v < g->names.n; v++) map[v] = -1;
  for (int32_t i = 0; i < n; i++) {
    if (keep[i] < 0 || keep[i] >= g->names.n || map[keep[i]] >= 0) {
      st = dyn_fail(e, DYN_EVALUE, "subgraph: node %d outside or named twice",
                    (int)keep[i] + 1);
      goto done;
    }
    DYN_TRY(copy_name(&t.names, g, keep[i], &id, e));
    map[keep[i]] = i;
  }
  DYN_TRY(entries_new(&x, dyn_csr_nnz(&g->out), e));
  copy_edges(&x, g, map, false);
  DYN_TRY(finish(&t, &x, n, g->directed, g->out_sign != NULL, e));
  t.lines = t.edges;
  *r = t;
  t = (dyn_graph){0};
done:
  dyn_free(map, nodes, sizeof *map);
  entries_free(&x);
  dyn_graph_free(&t);
  return st;
}

dyn_status dyn_graph_union(dyn_graph *r, const dyn_graph *g, const dyn_graph *h,
                           dyn_err *e) {
  size_t nodes = (size_t)h->names.n + 1;
  entries x = {0};
  dyn_graph t = {0};
  bool directed = g->directed || h->directed;
  dyn_status st = DYN_OK;
  int32_t *map = dyn_alloc(nodes, sizeof *map), id;
  if (!map) return dyn_fail(e, DYN_ENOMEM, "union: out of memory");
  for (int32_t v = 0; v < g->names.n; v++)
    DYN_TRY(copy_name(&t.names, g, v, &id, e));
  for (int32_t v = 0; v < h->names.n; v++)
    DYN_TRY(copy_name(&t.names, h, v, &map[v], e));
  DYN_TRY(entries_new(&x, dyn_csr_nnz(&g->out) + dyn_csr_nnz(&h->out), e));
  copy_edges(&x, g, NULL, false);
  copy_edges(&x, h, map, false);
  DYN_TRY(finish(&t, &x, t.names.n, directed, g->out_sign || h->out_sign, e));
  t.lines = g->lines + h->lines;
  *r = t;
  t = (dyn_graph){0};
done:
  dyn_free(map, nodes, sizeof *map);
  entries_free(&x);
  dyn_graph_free(&t);
  return st;
}

/* ---- breadth first -------------------------------------------------------- */

/* Append the unmarked neighbours of v (in 's') to the queue, marked 'mark'. */
static int32_t push(const dyn_csr *s, int32_t v, int32_t *label, int32_t mark,
                    int32_t *queue, int32_t tail) {
  if (!s->start) return tail;
  for (int64_t k = s->start[v]; k < s->start[v + 1]; k++) {
    int32_t u = s->col[k];
    if (label[u] >= 0) continue;
    label[u] = mark;
    queue[tail++] = u;
  }
  return tail;
}

dyn_status dyn_graph_hops(int32_t *hops, const dyn_graph *g,
                          const int32_t *from, int32_t n, dyn_err *e) {
  size_t nodes = (size_t)g->names.n + 1;
  int32_t head = 0, tail = 0;
  for (int32_t i = 0; i < n; i++)
    if (from[i] < 0 || from[i] >= g->names.n)
      return dyn_fail(e, DYN_EVALUE, "hops: node %d outside 1..%d",
                      (int)from[i] + 1, (int)g->names.n);
  int32_t *queue = dyn_alloc(nodes, sizeof *queue);
  if (!queue) return dyn_fail(e, DYN_ENOMEM, "hops: out of memory");
  for (int32_t v = 0; v < g->names.n; v++) hops[v] = -1;
  for (int32_t i = 0; i < n; i++)
    if (hops[from[i]] < 0) {
      hops[from[i]] = 0;
      queue[tail++] = from[i];
    }
  while (head < tail) {
    int32_t v = queue[head++];
    tail = push(&g->out, v, hops, hops[v] + 1, queue, tail);
    tail = push(&g->in, v, hops, hops[v] + 1, queue, tail);
  }
  dyn_free(queue, nodes, sizeof *queue);
  return DYN_OK;
}

dyn_status dyn_graph_components(int32_t *label, int32_t *count,
                                const dyn_graph *g, dyn_err *e) {
  size_t nodes = (size_t)g->names.n + 1;
  int32_t *queue = dyn_alloc(nodes, sizeof *queue), found = 0;
  if (!queue) return dyn_fail(e, DYN_ENOMEM, "components: out of memory");
  for (int32_t v = 0; v < g->names.n; v++) label[v] = -1;
  for (int32_t v = 0; v < g->names.n; v++) {
    if (label[v] >= 0) continue;
    int32_t head = 0, tail = 0;
    label[v] = found;
    queue[tail++] = v;
    while (head < tail) {
      int32_t u = queue[head++];
      tail = push(&g->out, u, label, found, queue, tail);
      tail = push(&g->in, u, label, found, queue, tail);
    }
    found++;
  }
  dyn_free(queue, nodes, sizeof *queue);
  *count = found;
  return DYN_OK;
}

dyn_status dyn_graph_largest(dyn_graph *r, const dyn_graph *g, dyn_err *e) {
  size_t nodes = (size_t)g->names.n + 1;
  int32_t *label = dyn_alloc(nodes, sizeof *label);
  int32_t *size = dyn_alloc(nodes, sizeof *size);
  int32_t count, best = 0, n = 0;
  dyn_status st = DYN_ENOMEM;
  if (!label || !size) {
    st = dyn_fail(e, DYN_ENOMEM, "component: out of memory");
    goto done;
  }
  DYN_TRY(dyn_graph_components(label, &count, g, e));
  for (int32_t v = 0; v < g->names.n; v++) size[label[v]]++;
  for (int32_t c = 1; c < count; c++)
    if (size[c] > size[best]) best = c;
  for (int32_t v = 0; v < g->names.n; v++) /* size[] becomes the list */
    if (label[v] == best) label[n++] = v;  /* n <= v: nothing unread is lost */
  DYN_TRY(dyn_graph_subgraph(r, g, label, n, e));
done:
  dyn_free(label, nodes, sizeof *label);
  dyn_free(size, nodes, sizeof *size);
  return st;
}

/* ---- matrices ------------------------------------------------------------- */

dyn_status dyn_graph_adjacency(dyn_csr *r, const dyn_graph *g,
                               dyn_direction dir, bool weighted, bool use_sign,
                               dyn_err *e) {
  int32_t nodes = g->names.n;
  entries x = {0};
  tally t;
  dyn_status st;
  bool both = dir == DYN_BOTH, turned = dir == DYN_IN && g->directed;
  DYN_TRY(entries_new(&x, dyn_csr_nnz(&g->out) * (both ? 2 : 1), e));
  copy_edges(&x, g, NULL, both);
  if (turned) {
    int32_t *keep = x.row;
    x.row = x.col;
    x.col = keep;
  }
  DYN_TRY(order(&x, nodes, true, &t, e));
  for (int64_t k = 0; k < x.n; k++) {
    if (!weighted) x.w[k] = 1;
    if (use_sign && g->out_sign) x.w[k] *= (float)x.s[k];
  }
  DYN_TRY(rows(r, &x, nodes, false, e));
done:
  entries_free(&x);
  return st;
}

int64_t dyn_graph_degree(const dyn_graph *g, int32_t v) {
  int64_t d = g->out.start[v + 1] - g->out.start[v];
  return g->directed ? d + g->in.start[v + 1] - g->in.start[v] : d;
}
