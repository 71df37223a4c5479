/* l_network.c -- what is done with whole networks, beside the class Graph. */
#include "embed/network.h"

#include "bind/bind.h"
#include "bind/l_graph.h"

static double *vector(lua_State *L, ptrdiff_t n) {
  dyn_err e;
  dyn_tensor *t = dyn_pushtensor(L);
  dyn_result(L, dyn_tensor_new(t, DYN_F64, 1, &n, &e), &e, 0);
  return dyn_f64(t);
}

/* Edges as numbers of nodes from 0; an undirected one once. */
static int64_t edges_of(const dyn_graph *g, int32_t *from, int32_t *to,
                        double *w) {
  int64_t at = 0;
  for (int32_t v = 0; v < g->names.n; v++)
    for (int64_t k = g->out.start[v]; k < g->out.start[v + 1]; k++) {
      if (!g->directed && g->out.col[k] < v) continue;
      if (w)
        w[at] =
            (double)g->out.val[k] * (g->out_sign ? (double)g->out_sign[k] : 1);
      from[at] = v;
      to[at++] = g->out.col[k];
    }
  return at;
}

static void push_ends(lua_State *L, const int32_t *from, const int32_t *to,
                      int64_t m) {
  double *a = vector(L, m), *b = vector(L, m);
  for (int64_t k = 0; k < m; k++) a[k] = from[k] + 1, b[k] = to[k] + 1;
}

/* graph_edges(g): from, to (numbers), weights, |weights|: tensors double */
static int graph_edges(lua_State *L) {
  const dyn_graph *g = dyn_checkgraph(L, 1);
  int32_t *from = dyn_scratch(L, (size_t)g->edges, sizeof *from),
          *to = dyn_scratch(L, (size_t)g->edges, sizeof *to);
  double *w = dyn_scratch(L, (size_t)g->edges, sizeof *w);
  int64_t at = 0, m = edges_of(g, from, to, w);
  push_ends(L, from, to, m);
  double *signed_ = vector(L, m), *size = vector(L, m);
  for (int64_t k = 0; k < m; k++) signed_[k] = w[k];
  for (int32_t v = 0; v < g->names.n; v++)
    for (int64_t k = g->out.start[v]; k < g->out.start[v + 1]; k++)
      if (g->directed || g->out.col[k] >= v) size[at++] = (double)g->out.val[k];
  return 4;
}

static int graph_cores(lua_State *L) { /* graph_cores(g): tensor (nodes) */
  dyn_err e;
  const dyn_graph *g = dyn_checkgraph(L, 1);
  int32_t *core = dyn_scratch(L, (size_t)g->names.n, sizeof *core);
  dyn_result(L, dyn_graph_cores(core, g, &e), &e, 0);
  double *r = vector(L, g->names.n);
  for (int32_t v = 0; v < g->names.n; v++) r[v] = core[v];
  return 1;
}

/* rewire(g[, {swaps, seed}]): from, to, how many exchanges */
static int rewire(lua_State *L) {
  dyn_err e;
  dyn_watch w;
  int64_t done;
  lua_settop(L, 2);
  const dyn_graph *g = dyn_checkgraph(L, 1);
  double tries = dyn_fieldnum(L, 2, "swaps", 10) * (double)g->edges;
  luaL_argcheck(L, tries >= 0 && tries < 1e12, 2, "swaps: out of range");
  uint64_t seed = (uint64_t)dyn_fieldint(L, 2, "seed", 1);
  int32_t *from = dyn_scratch(L, (size_t)g->edges, sizeof *from),
          *to = dyn_scratch(L, (size_t)g->edges, sizeof *to);
  int64_t m = edges_of(g, from, to, NULL);
  dyn_watch_start(&w, L, 0);
  dyn_result(L,
             dyn_rewire(&done, from, to, m, g->directed, (int64_t)tries, seed,
                        &w.poll, &e),
             &e, 0);
  push_ends(L, from, to, m);
  lua_pushnumber(L, (lua_Number)done);
  return 3;
}

/* random_edges(nodes, edges[, {blocks, within, exponent, seed}]): from, to */
static int random_edges(lua_State *L) {
  dyn_err e;
  dyn_watch w;
  lua_settop(L, 3);
  ptrdiff_t n = dyn_checkint(L, 1), m = dyn_checkint(L, 2),
            blocks = dyn_fieldint(L, 3, "blocks", 1);
  luaL_argcheck(L, 1 <= n && n <= 1 << 30, 1, "out of range");
  luaL_argcheck(L, 0 <= m && m <= 1 << 30, 2, "out of range");
  luaL_argcheck(L, 1 <= blocks && blocks <= n, 3, "blocks: out of range");
  dyn_random_opts o = {.nodes = (int32_t)n,
                       .blocks = (int32_t)blocks,
                       .within = dyn_fieldnum(L, 3, "within", 0),
                       .exponent = dyn_fieldnum(L, 3, "exponent", 0),
                       .seed = (uint64_t)dyn_fieldint(L, 3, "seed", 1)};
  int32_t *from = dyn_scratch(L, (size_t)m, sizeof *from),
          *to = dyn_scratch(L, (size_t)m, sizeof *to);
  dyn_watch_start(&w, L, 0);
  dyn_result(L, dyn_random_edges(from, to, m, &o, &w.poll, &e), &e, 0);
  push_ends(L, from, to, m);
  return 2;
}

/* similar_rows(sparse, k[, {jaccard}]): numbers, similarities (rows, k) */
static int similar_rows(lua_State *L) {
  dyn_err e;
  dyn_watch w;
  lua_settop(L, 3);
  const dyn_csr *s = dyn_checksparse(L, 1);
  ptrdiff_t k = dyn_checkint(L, 2);
  luaL_argcheck(L, 1 <= k && k <= s->nrow, 2, "out of range");
  bool jaccard = dyn_fieldbool(L, 3, "jaccard", false);
  int32_t *id = dyn_scratch(L, (size_t)(s->nrow * k), sizeof *id);
  dyn_tensor *n = dyn_pushtensor(L), *r = dyn_pushtensor(L);
  dyn_result(L, dyn_tensor_new(n, DYN_F64, 2, (ptrdiff_t[]){s->nrow, k}, &e),
             &e, 0);
  dyn_watch_start(&w, L, 0);
  dyn_result(L, dyn_similar_rows(id, r, s, k, jaccard, &w.poll, &e), &e, 0);
  for (ptrdiff_t i = 0; i < s->nrow * k; i++) dyn_f64(n)[i] = id[i] + 1;
  return 2;
}

static const luaL_Reg funcs[] = {
    {"graph_cores", graph_cores},   {"graph_edges", graph_edges},
    {"random_edges", random_edges}, {"rewire", rewire},
    {"similar_rows", similar_rows}, {NULL, NULL},
};

void dyn_open_network(lua_State *L) { luaL_setfuncs(L, funcs, 0); }
