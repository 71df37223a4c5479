#include "embed/graph.h"

#include <math.h>
#include <string.h>

/* ---- rows from entries ------------------------------------------------------ */

/* Where entries come from: a list, or one or two graphs. */
typedef struct source {
  const dyn_edge_list *list;
  const dyn_graph *g[2];
  const int32_t *map[2]; /* new numbers of its nodes, below 0: none; or NULL */
  bool both;             /* directed edges in both directions */
  bool turned;           /* ... against their direction */
} source;

/* Entries are met twice: to count those of each row, then to put them there. So
** there is never a second copy of them. */
typedef struct builder {
  bool counting;
  int64_t *next; /* per row: entries, then where the next goes */
  dyn_csr r;
  int8_t *sign; /* or NULL */
} builder;

static void add(builder *b, int32_t row, int32_t col, float w, int8_t s) {
  int64_t k = b->next[row]++;
  if (b->counting) return;
  b->r.col[k] = col;
  b->r.val[k] = w;
  if (b->sign) b->sign[k] = s;
}

static void list_edges(builder *b, const dyn_edge_list *x) {
  for (int64_t k = 0; k < x->n; k++) {
    int32_t from = x->from[k], to = x->to[k];
    float w = x->weight ? fabsf(x->weight[k]) : 1;
    int8_t s = x->sign ? x->sign[k] : 0;
    if (from == to && !x->keep_loops) continue;
    add(b, from, to, w, s);
    if (!x->directed && from != to) add(b, to, from, w, s);
  }
}

/* The edges of g between nodes with map[v] >= 0. An undirected graph has both
** directions in its rows already. */
static void copy_edges(builder *x, const dyn_graph *g, const int32_t *map,
                       const source *from) {
  for (int32_t v = 0; v < g->out.nrow; v++)
    for (int64_t k = g->out.start[v]; k < g->out.start[v + 1]; k++) {
      int32_t a = map ? map[v] : v,
              b = map ? map[g->out.col[k]] : g->out.col[k];
      int8_t s = g->out_sign ? g->out_sign[k] : 0;
      if (a < 0 || b < 0) continue;
      if (!from->turned) add(x, a, b, g->out.val[k], s);
      if (from->turned || (from->both && g->directed && a != b))
        add(x, b, a, g->out.val[k], s);
    }
}

static void all_edges(builder *b, const source *from, bool counting) {
  b->counting = counting;
  if (from->list) list_edges(b, from->list);
  for (int i = 0; i < 2; i++)
    if (from->g[i]) copy_edges(b, from->g[i], from->map[i], from);
}

/* n entries from 'at' by column, in place: Shell's sort, as rows are short. */
static void sort_row(const builder *b, int64_t at, int64_t n) {
  int32_t *col = b->r.col + at;
  float *val = b->r.val + at;
  int8_t *sign = b->sign ? b->sign + at : NULL;
  int64_t gap = 1;
  while (gap < n / 3) gap = 3 * gap + 1;
  for (; gap > 0; gap /= 3)
    for (int64_t i = gap; i < n; i++) {
      int32_t c = col[i];
      float w = val[i];
      int8_t s = sign ? sign[i] : 0;
      int64_t k = i;
      for (; k >= gap && col[k - gap] > c; k -= gap) {
        col[k] = col[k - gap], val[k] = val[k - gap];
        if (sign) sign[k] = sign[k - gap];
      }
      col[k] = c, val[k] = w;
      if (sign) sign[k] = s;
    }
}

typedef struct tally {
  int64_t repeats, conflicts;
} tally;

/* The sorted entries lo .. hi-1 of a row, at 'out' and onwards, those of one
** column as one; where they end. What an undirected graph holds twice is counted
** where row <= col. */
static int64_t merge_row(builder *b, int32_t row, int64_t lo, int64_t hi,
                         int64_t out, bool directed, tally *t) {
  for (int64_t k = lo; k < hi;) {
    int64_t first = k;
    bool plus = false, minus = false;
    int32_t col = b->r.col[first];
    float w = 0;
    for (; k < hi && b->r.col[k] == col; k++) {
      if (b->r.val[k] > w) w = b->r.val[k];
      plus |= b->sign && b->sign[k] > 0;
      minus |= b->sign && b->sign[k] < 0;
    }
    if (directed || row <= col) {
      t->repeats += k - first - 1;
      t->conflicts += plus && minus;
    }
    b->r.col[out] = col;
    b->r.val[out] = w;
    if (b->sign) b->sign[out] = (int8_t)(plus - minus);
    out++;
  }
  return out;
}

/* Each row sorted and merged. */
static tally tidy(builder *b, int32_t nodes, bool directed) {
  int64_t *start = b->r.start, out = 0;
  tally t = {0, 0};
#pragma omp parallel for schedule(dynamic, 256)
  for (int32_t v = 0; v < nodes; v++)
    sort_row(b, start[v], start[v + 1] - start[v]);
  for (int32_t v = 0; v < nodes; v++) {
    int64_t lo = start[v]; /* ends where the last entry was put */
    start[v] = out;
    out = merge_row(b, v, lo, b->next[v], out, directed, &t);
  }
  start[nodes] = out;
  return t;
}

/* Rows of the entries of 'from', sorted, and their signs if 'sign' is given. */
static dyn_status rows(dyn_csr *r, int8_t **sign, tally *t, const source *from,
                       int32_t nodes, bool directed, dyn_err *e) {
  builder b = {.next = dyn_alloc((size_t)nodes + 1, sizeof *b.next)};
  int64_t total = 0;
  dyn_status st;
  if (!b.next) return dyn_fail(e, DYN_ENOMEM, "graph: out of memory");
  all_edges(&b, from, true);
  for (int32_t v = 0; v < nodes; v++) total += b.next[v];
  st = dyn_csr_new(&b.r, nodes, nodes, total, true, e);
  if (st == DYN_OK && sign) {
    b.sign = dyn_alloc((size_t)b.r.cap, 1);
    if (!b.sign) st = dyn_fail(e, DYN_ENOMEM, "graph: out of memory");
  }
  if (st == DYN_OK) {
    for (int32_t v = 0; v < nodes; v++) {
      b.r.start[v + 1] = b.r.start[v] + b.next[v];
      b.next[v] = b.r.start[v];
    }
    all_edges(&b, from, false);
    *t = tidy(&b, nodes, directed);
    *r = b.r;
    if (sign) *sign = b.sign;
  } else {
    dyn_csr_free(&b.r);
  }
  dyn_free(b.next, (size_t)nodes + 1, sizeof *b.next);
  return st;
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

/* Fill 'g' (all but names). */
static dyn_status finish(dyn_graph *g, const source *from, int32_t nodes,
                         bool directed, bool is_signed, dyn_err *e) {
  source turned = {.g = {g}, .turned = true};
  tally t, again;
  dyn_status st;
  DYN_TRY(rows(&g->out, is_signed ? &g->out_sign : NULL, &t, from, nodes,
               directed, e));
  g->directed = directed;
  if (directed)
    DYN_TRY(rows(&g->in, is_signed ? &g->in_sign : NULL, &again, &turned, nodes,
                 true, e));
  g->repeats = t.repeats;
  g->conflicts = t.conflicts;
  for (int32_t v = 0; v < nodes; v++) {
    int64_t lo = g->out.start[v], hi = g->out.start[v + 1];
    g->sources += hi > lo;
    for (int64_t k = lo; k < hi; k++)
      g->edges += directed || v <= g->out.col[k];
  }
done:
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
  dyn_graph r = {.lines = x->n};
  source from = {.list = x};
  dyn_status st;
  DYN_TRY(check(x, names->n, e));
  for (int64_t k = 0; k < x->n; k++) r.loops += x->from[k] == x->to[k];
  DYN_TRY(finish(&r, &from, names->n, x->directed, x->sign != NULL, e));
  r.names = *names;
  *names = (dyn_names){0};
  *g = r;
  r = (dyn_graph){0};
done:
  dyn_graph_free(&r);
  return st;
}

/* ---- graphs from graphs --------------------------------------------------- */

static dyn_status copy_name(dyn_names *t, const dyn_graph *g, int32_t v,
                            int32_t *id, dyn_err *e) {
  const char *s = dyn_names_get(&g->names, v);
  return dyn_names_add(t, s, strlen(s), id, NULL, e);
}

dyn_status dyn_graph_subgraph(dyn_graph *r, const dyn_graph *g,
                              const int32_t *keep, int32_t n, dyn_err *e) {
  size_t nodes = (size_t)g->names.n + 1;
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
  source from = {.g = {g}, .map = {map}};
  DYN_TRY(finish(&t, &from, n, g->directed, g->out_sign != NULL, e));
  t.lines = t.edges;
  *r = t;
  t = (dyn_graph){0};
done:
  dyn_free(map, nodes, sizeof *map);
  dyn_graph_free(&t);
  return st;
}

dyn_status dyn_graph_union(dyn_graph *r, const dyn_graph *g, const dyn_graph *h,
                           dyn_err *e) {
  size_t nodes = (size_t)h->names.n + 1;
  dyn_graph t = {0};
  bool directed = g->directed || h->directed;
  dyn_status st = DYN_OK;
  int32_t *map = dyn_alloc(nodes, sizeof *map), id;
  if (!map) return dyn_fail(e, DYN_ENOMEM, "union: out of memory");
  for (int32_t v = 0; v < g->names.n; v++)
    DYN_TRY(copy_name(&t.names, g, v, &id, e));
  for (int32_t v = 0; v < h->names.n; v++)
    DYN_TRY(copy_name(&t.names, h, v, &map[v], e));
  source from = {.g = {g, h}, .map = {NULL, map}};
  DYN_TRY(
      finish(&t, &from, t.names.n, directed, g->out_sign || h->out_sign, e));
  t.lines = g->lines + h->lines;
  *r = t;
  t = (dyn_graph){0};
done:
  dyn_free(map, nodes, sizeof *map);
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
  bool signs = use_sign && g->out_sign;
  source from = {.g = {g},
                 .both = dir == DYN_BOTH,
                 .turned = dir == DYN_IN && g->directed};
  int8_t *sign = NULL;
  tally t;
  dyn_status st = rows(r, signs ? &sign : NULL, &t, &from, nodes, true, e);
  if (st != DYN_OK) return st;
  for (int64_t k = 0; k < r->start[nodes]; k++) {
    if (!weighted) r->val[k] = 1;
    if (signs) r->val[k] *= (float)sign[k];
  }
  dyn_free(sign, (size_t)r->cap, 1);
  return DYN_OK;
}

int64_t dyn_graph_degree(const dyn_graph *g, int32_t v) {
  int64_t d = g->out.start[v + 1] - g->out.start[v];
  return g->directed ? d + g->in.start[v + 1] - g->in.start[v] : d;
}
