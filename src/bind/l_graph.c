/* l_graph.c -- dynamo.Graph: networks of named nodes. */
#include "embed/graph.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bind/bind.h"
#include "bind/l_graph.h"
#include "io/edges.h"

typedef struct graph {
  dyn_graph g;
  bool open;
  char source[128]; /* the file it came from, without its folder */
} graph;

static graph *push(lua_State *L, const char *source) {
  graph *t = lua_newuserdatauv(L, sizeof *t, 0);
  *t = (graph){.open = true};
  snprintf(t->source, sizeof t->source, "%s", source ? source : "");
  luaL_getmetatable(L, DYN_GRAPH);
  lua_setmetatable(L, -2);
  return t;
}

static graph *check(lua_State *L, int arg) {
  graph *t = luaL_checkudata(L, arg, DYN_GRAPH);
  luaL_argcheck(L, t->open, arg, "graph was closed");
  return t;
}

const dyn_graph *dyn_checkgraph(lua_State *L, int arg) {
  return &check(L, arg)->g;
}

/* ---- construction --------------------------------------------------------- */

/* Item i (0-based) of the table at 'arg' as a name; stays on the stack. */
static const char *name_at(lua_State *L, int arg, ptrdiff_t i, size_t *len) {
  lua_rawgeti(L, arg, (int)i + 1);
  if (lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "name %d: string expected, got %s", (int)i + 1,
               luaL_typename(L, -1));
  return lua_tolstring(L, -1, len);
}

/* Ids of the names in the table at 'arg'; new names are added unless 'fixed'. */
static int32_t *ids(lua_State *L, int arg, dyn_names *names, bool fixed,
                    ptrdiff_t *n) {
  luaL_checktype(L, arg, LUA_TTABLE);
  *n = (ptrdiff_t)lua_rawlen(L, arg);
  int32_t *id = dyn_scratch(L, (size_t)*n, sizeof *id);
  for (ptrdiff_t i = 0; i < *n; i++) {
    dyn_err e;
    size_t len;
    const char *s = name_at(L, arg, i, &len);
    if (fixed)
      id[i] = dyn_names_find(names, s, len);
    else
      dyn_result(L, dyn_names_add(names, s, len, &id[i], NULL, &e), &e, 0);
    if (id[i] < 0)
      luaL_error(L, "graph: edge %d names '%s', which is not among the nodes",
                 (int)i + 1, s);
    lua_pop(L, 1);
  }
  return id;
}

static float *numbers(lua_State *L, int arg, ptrdiff_t n) {
  if (lua_isnoneornil(L, arg)) return NULL;
  float *w = dyn_scratch(L, (size_t)n, sizeof *w);
  const dyn_tensor *t = NULL;
  if (lua_type(L, arg) == LUA_TUSERDATA) {
    t = dyn_checktensor(L, arg);
    luaL_argcheck(L, t->ndim == 1 && t->size[0] == n, arg,
                  "one weight per edge expected");
  } else {
    luaL_checktype(L, arg, LUA_TTABLE);
    luaL_argcheck(L, (ptrdiff_t)lua_rawlen(L, arg) == n, arg,
                  "one weight per edge expected");
  }
  for (ptrdiff_t i = 0; i < n; i++) {
    if (t) {
      w[i] = (float)dyn_tensor_get(t, i * t->stride[0]);
      continue;
    }
    lua_rawgeti(L, arg, (int)i + 1);
    w[i] = (float)luaL_checknumber(L, -1);
    lua_pop(L, 1);
  }
  return w;
}

static const char *field_text(lua_State *L, int arg, const char *key) {
  const char *s = NULL;
  if (lua_isnoneornil(L, arg)) return NULL;
  lua_getfield(L, arg, key);
  if (!lua_isnil(L, -1)) {
    if (lua_type(L, -1) != LUA_TSTRING)
      luaL_error(L, "option '%s': string expected, got %s", key,
                 luaL_typename(L, -1));
    s = lua_tostring(L, -1); /* the table keeps it alive */
  }
  lua_pop(L, 1);
  return s;
}

/* Signs of the edges: those of the list 'signs' of the options, or of w. */
static int8_t *signs_of(lua_State *L, const float *w, ptrdiff_t n,
                        bool is_signed) {
  int8_t *s = is_signed ? dyn_scratch(L, (size_t)n, 1) : NULL;
  lua_pushnil(L);
  if (s && !lua_isnil(L, 5)) lua_getfield(L, 5, "signs");
  const float *given = s ? numbers(L, lua_gettop(L), n) : NULL;
  if (given) w = given;
  for (ptrdiff_t i = 0; w && i < n; i++) {
    if (s)
      s[i] = (int8_t)((w[i] > 0) - (w[i] < 0));
    else if (w[i] < 0)
      luaL_error(L,
                 "graph: weight %f of edge %d is negative and the graph is "
                 "not signed",
                 (double)w[i], (int)i + 1);
  }
  return s;
}

static void no_repeats(lua_State *L, const dyn_names *names, ptrdiff_t n) {
  if (names->n != n) luaL_argerror(L, 1, "a node is named twice");
}

/* graph(names or nil, from, to[, weights[, {directed, signed, signs, loops}]]) */
static int graph_new(lua_State *L) {
  dyn_err e;
  ptrdiff_t nodes, n, nto;
  lua_settop(L, 5);
  if (!lua_isnil(L, 5)) luaL_checktype(L, 5, LUA_TTABLE);
  graph *t = push(L, field_text(L, 5, "source"));
  bool fixed = !lua_isnil(L, 1);
  if (fixed) {
    ids(L, 1, &t->g.names, false, &nodes);
    no_repeats(L, &t->g.names, nodes);
  }
  const int32_t *from = ids(L, 2, &t->g.names, fixed, &n),
                *to = ids(L, 3, &t->g.names, fixed, &nto);
  luaL_argcheck(L, n == nto, 3, "as many targets as sources expected");
  const float *w = numbers(L, 4, n);
  const int8_t *s = signs_of(L, w, n, dyn_fieldbool(L, 5, "signed", false));
  dyn_edge_list x = {.n = n,
                     .from = from,
                     .to = to,
                     .weight = w,
                     .sign = s,
                     .directed = dyn_fieldbool(L, 5, "directed", true),
                     .keep_loops = dyn_fieldbool(L, 5, "loops", false)};
  dyn_result(L, dyn_graph_build(&t->g, &t->g.names, &x, &e), &e, 0);
  lua_pushvalue(L, 6);
  return 1;
}

typedef struct edges_box {
  dyn_edges x;
} edges_box;

static int edges_gc(lua_State *L) {
  edges_box *b = lua_touserdata(L, 1);
  dyn_edges_free(&b->x);
  return 0;
}

/* The reader's result is anchored in a userdata until the graph is built. */
static dyn_edges *push_edges(lua_State *L) {
  edges_box *b = lua_newuserdatauv(L, sizeof *b, 0);
  *b = (edges_box){0};
  if (luaL_newmetatable(L, "dynamo.Graph.edges")) {
    lua_pushcfunction(L, edges_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return &b->x;
}

static void read_options(lua_State *L, int arg, dyn_edges_opts *o) {
  *o = (dyn_edges_opts){0};
  if (lua_isnoneornil(L, arg)) return;
  luaL_checktype(L, arg, LUA_TTABLE);
  o->from = field_text(L, arg, "from");
  o->to = field_text(L, arg, "to");
  o->weight = field_text(L, arg, "weight");
  o->sign = field_text(L, arg, "sign");
  o->names = field_text(L, arg, "names");
  o->loops = dyn_fieldbool(L, arg, "loops", false);
  lua_getfield(L, arg, "min_score");
  o->use_min_score = !lua_isnil(L, -1);
  lua_getfield(L, arg, "directed");
  if (!lua_isnil(L, -1)) o->directed = lua_toboolean(L, -1) ? 1 : -1;
  lua_pop(L, 2);
  o->min_score = dyn_fieldnum(L, arg, "min_score", 0);
}

static int read_graph(lua_State *L) { /* read_graph(path[, opts]) */
  dyn_err e;
  dyn_watch w;
  dyn_edges_opts o;
  const char *path = luaL_checkstring(L, 1), *slash = strrchr(path, '/');
  lua_settop(L, 2);
  read_options(L, 2, &o);
  graph *t = push(L, slash ? slash + 1 : path);
  dyn_edges *x = push_edges(L);
  dyn_watch_start(&w, L, 0);
  o.poll = &w.poll;
  dyn_result(L, dyn_edges_read(path, &o, x, &e), &e, 0);
  dyn_edge_list list = {.n = x->n,
                        .from = x->from,
                        .to = x->to,
                        .weight = x->weight,
                        .sign = x->is_signed ? x->sign : NULL,
                        .directed = x->directed,
                        .keep_loops = o.loops};
  dyn_status st = dyn_graph_build(&t->g, &x->names, &list, &e);
  if (st == DYN_OK) { /* the reader has merged: its counts are the file's */
    t->g.lines = x->lines;
    t->g.repeats += x->repeats;
    t->g.loops = x->loops;
    t->g.conflicts += x->conflicts;
  }
  dyn_edges_free(x);
  dyn_result(L, st, &e, 0);
  lua_pushvalue(L, 3);
  return 1;
}

/* ---- reading -------------------------------------------------------------- */

static const char *node_name(const void *ud, ptrdiff_t i) {
  return dyn_names_get(ud, (int32_t)i);
}

static int graph_names(lua_State *L) {
  const dyn_graph *g = dyn_checkgraph(L, 1);
  dyn_pushstrings(L, g->names.n, node_name, &g->names);
  return 1;
}

static int32_t find(lua_State *L, const dyn_graph *g, int arg) {
  size_t len;
  const char *s = luaL_checklstring(L, arg, &len);
  return dyn_names_find(&g->names, s, len);
}

static int graph_find(lua_State *L) { /* g:find(name): its number, or nil */
  int32_t v = find(L, dyn_checkgraph(L, 1), 2);
  if (v >= 0)
    lua_pushinteger(L, v + 1);
  else
    lua_pushnil(L);
  return 1;
}

static int graph_nodes(lua_State *L) {
  lua_pushinteger(L, dyn_checkgraph(L, 1)->names.n);
  return 1;
}

static int graph_edges(lua_State *L) {
  lua_pushnumber(L, (lua_Number)dyn_checkgraph(L, 1)->edges);
  return 1;
}

static int graph_directed(lua_State *L) {
  lua_pushboolean(L, dyn_checkgraph(L, 1)->directed);
  return 1;
}

static int graph_signed(lua_State *L) {
  lua_pushboolean(L, dyn_checkgraph(L, 1)->out_sign != NULL);
  return 1;
}

static const char *const directions[] = {"out", "in", "both", NULL};

/* Append the entries of row v to the two tables on top. */
static int entries(lua_State *L, const dyn_graph *g, const dyn_csr *s,
                   const int8_t *sign, int32_t v, int at) {
  for (int64_t k = s->start[v]; k < s->start[v + 1]; k++) {
    double w = (double)s->val[k] * (sign ? (double)sign[k] : 1);
    at++;
    lua_pushstring(L, dyn_names_get(&g->names, s->col[k]));
    lua_rawseti(L, -3, at);
    lua_pushnumber(L, w);
    lua_rawseti(L, -2, at);
  }
  return at;
}

static int graph_neighbours(lua_State *L) { /* g:neighbours(name[, dir]) */
  const dyn_graph *g = dyn_checkgraph(L, 1);
  int32_t v = find(L, g, 2);
  int dir = luaL_checkoption(L, 3, "out", directions), at = 0;
  if (v < 0)
    return luaL_error(L, "neighbours: '%s' is not in the graph",
                      lua_tostring(L, 2));
  lua_newtable(L);
  lua_newtable(L);
  if (dir != DYN_IN || !g->directed)
    at = entries(L, g, &g->out, g->out_sign, v, at);
  if (dir != DYN_OUT && g->directed) entries(L, g, &g->in, g->in_sign, v, at);
  return 2;
}

static int graph_degrees(lua_State *L) {
  dyn_err e;
  const dyn_graph *g = dyn_checkgraph(L, 1);
  ptrdiff_t n = g->names.n;
  dyn_tensor *r = dyn_pushtensor(L);
  dyn_result(L, dyn_tensor_new(r, DYN_F64, 1, &n, &e), &e, 0);
  for (int32_t v = 0; v < g->names.n; v++)
    dyn_f64(r)[v] = (double)dyn_graph_degree(g, v);
  return 1;
}

static void count(lua_State *L, const char *key, int64_t v) {
  lua_pushnumber(L, (lua_Number)v);
  lua_setfield(L, -2, key);
}

static int graph_info(lua_State *L) {
  const graph *t = check(L, 1);
  lua_newtable(L);
  count(L, "lines", t->g.lines);
  count(L, "repeats", t->g.repeats);
  count(L, "loops", t->g.loops);
  count(L, "conflicts", t->g.conflicts);
  count(L, "sources", t->g.sources);
  lua_pushstring(L, t->source);
  lua_setfield(L, -2, "source");
  return 1;
}

/* ---- graphs from graphs --------------------------------------------------- */

static int graph_component(lua_State *L) {
  dyn_err e;
  const graph *t = check(L, 1);
  graph *r = push(L, t->source);
  return dyn_result(L, dyn_graph_largest(&r->g, &t->g, &e), &e, 1);
}

static int graph_components(lua_State *L) { /* labels from 1, how many */
  dyn_err e;
  const dyn_graph *g = dyn_checkgraph(L, 1);
  int32_t count_, *label = dyn_scratch(L, (size_t)g->names.n, sizeof *label);
  dyn_result(L, dyn_graph_components(label, &count_, g, &e), &e, 0);
  lua_createtable(L, g->names.n, 0);
  for (int32_t v = 0; v < g->names.n; v++) {
    lua_pushinteger(L, label[v] + 1);
    lua_rawseti(L, -2, v + 1);
  }
  lua_pushinteger(L, count_);
  return 2;
}

/* Ids of those names of the list at 'arg' that are in the graph, each once. */
static int32_t *known(lua_State *L, int arg, const dyn_graph *g, int32_t *n) {
  luaL_checktype(L, arg, LUA_TTABLE);
  ptrdiff_t m = (ptrdiff_t)lua_rawlen(L, arg);
  int32_t *id = dyn_scratch(L, (size_t)m, sizeof *id);
  char *seen = dyn_scratch(L, (size_t)g->names.n, 1);
  *n = 0;
  for (ptrdiff_t i = 0; i < m; i++) {
    size_t len;
    const char *s = name_at(L, arg, i, &len);
    int32_t v = dyn_names_find(&g->names, s, len);
    lua_pop(L, 1);
    if (v < 0 || seen[v]) continue;
    seen[v] = 1;
    id[(*n)++] = v;
  }
  return id;
}

static int graph_subgraph(lua_State *L) { /* g:subgraph(names) */
  dyn_err e;
  int32_t n;
  const graph *t = check(L, 1);
  const int32_t *id = known(L, 2, &t->g, &n);
  graph *r = push(L, t->source);
  return dyn_result(L, dyn_graph_subgraph(&r->g, &t->g, id, n, &e), &e, 1);
}

static int graph_union(lua_State *L) { /* g:union(h) */
  dyn_err e;
  char both[sizeof((graph *)0)->source];
  const graph *t = check(L, 1), *h = check(L, 2);
  snprintf(both, sizeof both, "%.60s + %.60s", t->source, h->source);
  graph *r = push(L, both);
  return dyn_result(L, dyn_graph_union(&r->g, &t->g, &h->g, &e), &e, 1);
}

static int graph_hops(lua_State *L) { /* g:hops(from_names, to_names) */
  dyn_err e;
  int32_t n;
  const dyn_graph *g = dyn_checkgraph(L, 1);
  luaL_checktype(L, 3, LUA_TTABLE);
  const int32_t *from = known(L, 2, g, &n);
  int32_t *hops = dyn_scratch(L, (size_t)g->names.n, sizeof *hops);
  dyn_result(L, dyn_graph_hops(hops, g, from, n, &e), &e, 0);
  int m = (int)lua_rawlen(L, 3);
  lua_createtable(L, m, 0);
  for (int i = 0; i < m; i++) {
    size_t len;
    const char *s = name_at(L, 3, i, &len);
    int32_t v = dyn_names_find(&g->names, s, len);
    lua_pop(L, 1);
    lua_pushinteger(L, v < 0 ? -1 : hops[v]);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

static int graph_adjacency(lua_State *L) { /* {direction, weighted, signed} */
  dyn_err e;
  const dyn_graph *g = dyn_checkgraph(L, 1);
  lua_settop(L, 2);
  if (!lua_isnil(L, 2)) {
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_getfield(L, 2, "direction");
  } else {
    lua_pushnil(L);
  }
  int dir = luaL_checkoption(L, 3, "out", directions);
  bool weighted = dyn_fieldbool(L, 2, "weighted", true),
       use_sign = dyn_fieldbool(L, 2, "signed", false);
  dyn_csr *r = dyn_pushsparse(L);
  return dyn_result(
      L, dyn_graph_adjacency(r, g, (dyn_direction)dir, weighted, use_sign, &e),
      &e, 1);
}

/* ---- the class ------------------------------------------------------------ */

static int graph_gc(lua_State *L) {
  graph *t = luaL_checkudata(L, 1, DYN_GRAPH);
  dyn_graph_free(&t->g);
  t->open = false;
  return 0;
}

/* 42716 as "42,716". */
static const char *commas(char buf[32], int64_t v) {
  char digits[24];
  int n = snprintf(digits, sizeof digits, "%lld", (long long)v), at = 0;
  for (int i = 0; i < n; i++) {
    if (i > 0 && (n - i) % 3 == 0) buf[at++] = ',';
    buf[at++] = digits[i];
  }
  buf[at] = '\0';
  return buf;
}

static int graph_tostring(lua_State *L) {
  const graph *t = luaL_checkudata(L, 1, DYN_GRAPH);
  char edges[32], sources[32], nodes[32], text[320];
  if (!t->open) {
    lua_pushliteral(L, "Graph(closed)");
    return 1;
  }
  snprintf(text, sizeof text, "Graph%s%s: %s edges, %s sources, %s nodes, %s%s",
           t->source[0] ? " " : "", t->source, commas(edges, t->g.edges),
           commas(sources, t->g.sources), commas(nodes, t->g.names.n),
           t->g.directed ? "directed" : "undirected",
           t->g.out_sign ? ", signed" : "");
  lua_pushstring(L, text);
  return 1;
}

static int is_graph(lua_State *L) {
  lua_pushboolean(L, false);
  if (lua_type(L, 1) != LUA_TUSERDATA || !lua_getmetatable(L, 1)) return 1;
  luaL_getmetatable(L, DYN_GRAPH);
  lua_pushboolean(L, lua_rawequal(L, -1, -2));
  return 1;
}

static const luaL_Reg meta[] = {
    {"__gc", graph_gc},
    {"__close", graph_gc},
    {"__tostring", graph_tostring},
    {NULL, NULL},
};

static const luaL_Reg meth[] = {
    {"adjacency", graph_adjacency},
    {"close", graph_gc},
    {"component", graph_component},
    {"components", graph_components},
    {"degrees", graph_degrees},
    {"directed", graph_directed},
    {"edges", graph_edges},
    {"find", graph_find},
    {"hops", graph_hops},
    {"info", graph_info},
    {"names", graph_names},
    {"neighbours", graph_neighbours},
    {"nodes", graph_nodes},
    {"signed", graph_signed},
    {"subgraph", graph_subgraph},
    {"union", graph_union},
    {NULL, NULL},
};

static const luaL_Reg funcs[] = {
    {"graph", graph_new},
    {"is_graph", is_graph},
    {"read_graph", read_graph},
    {NULL, NULL},
};

void dyn_open_graph(lua_State *L) {
  dyn_newclass(L, DYN_GRAPH, meta, meth);
  luaL_setfuncs(L, funcs, 0);
}
