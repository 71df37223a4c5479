/* l_table.c -- text files in Lua: edges, gene sets, vectors, responses. */
#include "bind/bind.h"

#include <math.h>

#include "io/edges.h"
#include "io/gmt.h"
#include "io/long.h"
#include "io/sniff.h"
#include "io/table.h"
#include "io/text.h"
#include "io/vectors.h"

#define READER "dynamo.Reader"

/* What a reader made, and its text, until it is copied into Lua's objects. */
typedef struct reader {
  dyn_text text;
  dyn_edges edges;
  dyn_gmt gmt;
  dyn_long table;
  dyn_wide matrix;
  dyn_table rows;
  dyn_vectors vectors;
} reader;

static void drop(reader *r) {
  dyn_edges_free(&r->edges);
  dyn_gmt_free(&r->gmt);
  dyn_long_free(&r->table);
  dyn_wide_free(&r->matrix);
  dyn_table_free(&r->rows);
  dyn_vectors_free(&r->vectors);
  dyn_text_free(&r->text);
}

static int reader_gc(lua_State *L) {
  drop(luaL_checkudata(L, 1, READER));
  return 0;
}

static reader *push_reader(lua_State *L) {
  reader *r = lua_newuserdatauv(L, sizeof *r, 0);
  *r = (reader){0}; /* valid for __gc before anything can fail */
  luaL_getmetatable(L, READER);
  lua_setmetatable(L, -2);
  return r;
}

/* ---- arguments ---------------------------------------------------------- */

/* Field 'key' of the options at 2 as a string; it stays on the stack. */
static const char *field_string(lua_State *L, const char *key) {
  luaL_checkstack(L, 4, "options");
  lua_getfield(L, 2, key);
  if (lua_isnil(L, -1)) return NULL;
  if (lua_type(L, -1) == LUA_TNUMBER) return lua_tostring(L, -1);
  if (lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "option '%s': string expected, got %s", key,
               luaL_typename(L, -1));
  return lua_tostring(L, -1);
}

/* The path at 1; options at 2 are a table from now on. */
static const char *arguments(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  if (lua_isnoneornil(L, 2)) {
    lua_settop(L, 1);
    lua_newtable(L);
  }
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  return path;
}

static size_t limit_of(lua_State *L) {
  double v = dyn_fieldnum(L, 2, "limit", 0);
  if (!(v >= 0 && v <= 0x1p53)) luaL_error(L, "option 'limit': bytes expected");
  return (size_t)v;
}

/* nil, true or false at 'key' as 0, 1, -1. */
static int field_choice(lua_State *L, const char *key) {
  lua_getfield(L, 2, key);
  int v = lua_isnil(L, -1) ? 0 : lua_toboolean(L, -1) ? 1 : -1;
  lua_pop(L, 1);
  return v;
}

static void read_text(lua_State *L, reader *r, const char *path) {
  dyn_err e;
  dyn_result(L, dyn_text_read(path, limit_of(L), &r->text, &e), &e, 0);
}

/* ---- results ------------------------------------------------------------ */

static void set_count(lua_State *L, const char *key, int64_t v) {
  lua_pushinteger(L, (lua_Integer)v);
  lua_setfield(L, -2, key);
}

static const char *name_at(const void *ud, ptrdiff_t i) {
  return dyn_names_get(ud, (int32_t)i);
}

static void set_names(lua_State *L, const char *key, const dyn_names *t) {
  dyn_pushstrings(L, t->n, name_at, t);
  lua_setfield(L, -2, key);
}

static dyn_tensor *new_tensor(lua_State *L, dyn_type type, int ndim,
                              ptrdiff_t a, ptrdiff_t b) {
  dyn_err e;
  ptrdiff_t size[2] = {a, b};
  dyn_tensor *t = dyn_pushtensor(L);
  dyn_result(L, dyn_tensor_new(t, type, ndim, size, &e), &e, 0);
  return t;
}

/* n ids as a vector of 1-based doubles in field 'key'. */
static void set_ids(lua_State *L, const char *key, const int32_t *id,
                    int64_t n) {
  double *v = dyn_f64(new_tensor(L, DYN_F64, 1, (ptrdiff_t)n, 0));
  for (int64_t k = 0; k < n; k++) v[k] = id[k] + 1.0;
  lua_setfield(L, -2, key);
}

static void set_doubles(lua_State *L, const char *key, const double *x,
                        int64_t n) {
  double *v = dyn_f64(new_tensor(L, DYN_F64, 1, (ptrdiff_t)n, 0));
  for (int64_t k = 0; k < n; k++) v[k] = x[k];
  lua_setfield(L, -2, key);
}

static void push_field(lua_State *L, const dyn_field *f) {
  lua_pushlstring(L, f->s, f->n);
}

/* ---- readers ------------------------------------------------------------ */

static void set_edge_counts(lua_State *L, const dyn_edges *x) {
  lua_pushboolean(L, x->is_signed);
  lua_setfield(L, -2, "signed");
  lua_pushboolean(L, x->directed);
  lua_setfield(L, -2, "directed");
  set_count(L, "sources", x->sources);
  set_count(L, "targets", x->targets);
  set_count(L, "lines", x->lines);
  set_count(L, "repeats", x->repeats);
  set_count(L, "loops", x->loops);
  set_count(L, "below", x->below);
  set_count(L, "conflicts", x->conflicts);
  set_count(L, "unknown_sign", x->unknown_sign);
  lua_pushstring(L, x->columns);
  lua_setfield(L, -2, "columns");
}

static int read_edges(lua_State *L) {
  dyn_err e;
  dyn_watch w;
  const char *path = arguments(L);
  dyn_edges_opts o = {.from = field_string(L, "from"),
                      .to = field_string(L, "to"),
                      .weight = field_string(L, "weight"),
                      .sign = field_string(L, "sign"),
                      .names = field_string(L, "names"),
                      .min_score =
                          dyn_fieldnum(L, 2, "min_score", (double)-INFINITY),
                      .directed = field_choice(L, "directed"),
                      .loops = dyn_fieldbool(L, 2, "loops", false),
                      .limit = limit_of(L)};
  o.use_min_score = o.min_score > (double)-INFINITY;
  dyn_watch_start(&w, L, 0);
  o.poll = &w.poll;
  reader *r = push_reader(L);
  dyn_edges *x = &r->edges;
  dyn_result(L, dyn_edges_read(path, &o, x, &e), &e, 0);
  lua_createtable(L, 0, 16);
  set_names(L, "names", &x->names);
  set_ids(L, "from", x->from, x->n);
  set_ids(L, "to", x->to, x->n);
  float *f = dyn_f32(new_tensor(L, DYN_F32, 1, (ptrdiff_t)x->n, 0));
  for (int64_t k = 0; k < x->n; k++) f[k] = x->weight[k];
  lua_setfield(L, -2, "weight");
  f = dyn_f32(new_tensor(L, DYN_F32, 1, (ptrdiff_t)x->n, 0));
  for (int64_t k = 0; k < x->n; k++) f[k] = x->sign[k];
  lua_setfield(L, -2, "sign");
  set_edge_counts(L, x);
  drop(r);
  return 1;
}

static int read_gmt(lua_State *L) {
  dyn_err e;
  dyn_watch w;
  const char *path = arguments(L);
  dyn_watch_start(&w, L, 0);
  reader *r = push_reader(L);
  dyn_gmt *g = &r->gmt;
  read_text(L, r, path);
  dyn_result(L, dyn_gmt_parse(g, path, r->text.data, r->text.len, &w.poll, &e),
             &e, 0);
  dyn_pushstrings(L, g->genes.n, name_at, &g->genes); /* made once each */
  int genes = lua_gettop(L);
  lua_createtable(L, g->sets.n, 0);
  for (int32_t i = 0; i < g->sets.n; i++) {
    int64_t n = g->start[i + 1] - g->start[i];
    lua_createtable(L, 0, 2);
    lua_pushstring(L, dyn_names_get(&g->sets, i));
    lua_setfield(L, -2, "name");
    lua_createtable(L, (int)n, 0);
    for (int64_t k = 0; k < n; k++) {
      lua_rawgeti(L, genes, g->member[g->start[i] + k] + 1);
      lua_rawseti(L, -2, (int)k + 1);
    }
    lua_setfield(L, -2, "genes");
    lua_rawseti(L, -2, i + 1);
  }
  lua_createtable(L, 0, 2);
  set_count(L, "empty", g->empty);
  set_count(L, "repeats", g->repeats);
  drop(r);
  return 2;
}

static void set_pairs(lua_State *L, const dyn_long *t) {
  lua_createtable(L, t->npair, 0);
  for (int32_t k = 0; k < t->npair; k++) {
    const dyn_pair *p = &t->pair[k];
    lua_createtable(L, 3, 0);
    lua_pushinteger(L, p->perturbation + 1);
    lua_rawseti(L, -2, 1);
    lua_pushinteger(L, p->context + 1);
    lua_rawseti(L, -2, 2);
    if (p->split >= 0) {
      lua_pushstring(L, dyn_names_get(&t->splits, p->split));
      lua_rawseti(L, -2, 3);
    }
    lua_rawseti(L, -2, k + 1);
  }
  lua_setfield(L, -2, "pairs");
}

static void set_used(lua_State *L, const dyn_long *t) {
  static const char *const role[] = {"perturbation", "gene",    "value",
                                     "weight",       "context", "split"};
  lua_createtable(L, 0, 6);
  for (int k = 0; k < 6; k++) {
    if (!t->used[k][0]) continue;
    lua_pushstring(L, t->used[k]);
    lua_setfield(L, -2, role[k]);
  }
  lua_setfield(L, -2, "columns");
}

static dyn_long_opts long_options(lua_State *L) {
  dyn_long_opts o = {.perturbation = field_string(L, "perturbation"),
                     .gene = field_string(L, "gene"),
                     .value = field_string(L, "value"),
                     .weight = field_string(L, "weight"),
                     .context = field_string(L, "context"),
                     .split = field_string(L, "split")};
  const char *twice = field_string(L, "duplicates");
  o.mean = twice && twice[0] == 'm';
  if (twice && !o.mean && twice[0] != 'e')
    luaL_error(L, "option 'duplicates': 'error' or 'mean' expected, got '%s'",
               twice);
  return o;
}

static int read_long(lua_State *L) {
  dyn_err e;
  dyn_watch w;
  const char *path = arguments(L);
  dyn_long_opts o = long_options(L);
  dyn_watch_start(&w, L, 0);
  o.poll = &w.poll;
  reader *r = push_reader(L);
  dyn_long *t = &r->table;
  read_text(L, r, path);
  dyn_result(L, dyn_long_parse(t, path, r->text.data, r->text.len, &o, &e), &e,
             0);
  lua_createtable(L, 0, 13);
  set_names(L, "perturbations", &t->perturbations);
  set_names(L, "genes", &t->genes);
  set_names(L, "contexts", &t->contexts);
  set_names(L, "splits", &t->splits);
  set_ids(L, "rows", t->row, t->n);
  set_ids(L, "cols", t->col, t->n);
  set_doubles(L, "values", t->value, t->n);
  if (t->weight) set_doubles(L, "weights", t->weight, t->n);
  set_pairs(L, t);
  set_used(L, t);
  lua_pushboolean(L, t->binary);
  lua_setfield(L, -2, "binary");
  set_count(L, "missing", t->missing);
  set_count(L, "repeats", t->repeats);
  drop(r);
  return 1;
}

static int read_matrix(lua_State *L) {
  dyn_err e;
  dyn_watch w;
  const char *path = arguments(L);
  dyn_watch_start(&w, L, 0);
  reader *r = push_reader(L);
  dyn_wide *m = &r->matrix;
  read_text(L, r, path);
  dyn_result(L, dyn_wide_parse(m, path, r->text.data, r->text.len, &w.poll, &e),
             &e, 0);
  lua_createtable(L, 0, 4);
  set_names(L, "rows", &m->rows);
  set_names(L, "columns", &m->cols);
  double *v = dyn_f64(new_tensor(L, DYN_F64, 2, m->rows.n, m->cols.n));
  int64_t n = (int64_t)m->rows.n * m->cols.n;
  for (int64_t k = 0; k < n; k++) v[k] = m->value[k];
  lua_setfield(L, -2, "values");
  set_count(L, "missing", m->missing);
  drop(r);
  return 1;
}

static int read_vectors(lua_State *L) {
  dyn_err e;
  dyn_watch w;
  const char *path = arguments(L);
  int transpose = field_choice(L, "transpose");
  dyn_layout layout = transpose > 0   ? DYN_LAYOUT_COLUMNS
                      : transpose < 0 ? DYN_LAYOUT_ROWS
                                      : DYN_LAYOUT_DETECT;
  dyn_watch_start(&w, L, 0);
  reader *r = push_reader(L);
  dyn_vectors *v = &r->vectors;
  read_text(L, r, path);
  dyn_result(L,
             dyn_vectors_parse(v, path, r->text.data, r->text.len, layout,
                               &w.poll, &e),
             &e, 0);
  lua_createtable(L, 0, 4);
  set_names(L, "names", &v->names);
  float *f = dyn_f32(new_tensor(L, DYN_F32, 2, v->names.n, (ptrdiff_t)v->dim));
  int64_t n = v->names.n * v->dim;
  for (int64_t k = 0; k < n; k++) f[k] = v->value[k];
  lua_setfield(L, -2, "values");
  lua_pushstring(L, v->note);
  lua_setfield(L, -2, "note");
  set_count(L, "repeats", v->repeats);
  drop(r);
  return 1;
}

static int read_table(lua_State *L) {
  dyn_err e;
  dyn_watch w;
  const char *path = arguments(L);
  dyn_watch_start(&w, L, 0);
  reader *r = push_reader(L);
  dyn_table *t = &r->rows;
  read_text(L, r, path);
  dyn_result(L,
             dyn_table_parse(t, path, r->text.data, r->text.len, &w.poll, &e),
             &e, 0);
  lua_createtable(L, 0, 3);
  lua_createtable(L, t->ncol, 0);
  lua_createtable(L, t->ncol, 0);
  for (int32_t j = 0; j < t->ncol; j++) {
    push_field(L, &t->head[j]);
    lua_rawseti(L, -3, j + 1);
    lua_createtable(L, (int)t->n, 0);
    for (int64_t i = 0; i < t->n; i++) {
      push_field(L, &t->cell[i * t->ncol + j]);
      lua_rawseti(L, -2, (int)i + 1);
    }
    lua_rawseti(L, -2, j + 1);
  }
  lua_setfield(L, -3, "data");
  lua_setfield(L, -2, "names");
  set_count(L, "n", t->n);
  drop(r);
  return 1;
}

static int unpacked(lua_State *L) { /* read_text(path[, { limit = }]) */
  const char *path = arguments(L);
  reader *r = push_reader(L);
  read_text(L, r, path);
  lua_pushlstring(L, r->text.data ? r->text.data : "", r->text.len);
  drop(r);
  return 1;
}

static int sniff(lua_State *L) {
  dyn_err e;
  dyn_sniffed s;
  dyn_result(L, dyn_sniff(luaL_checkstring(L, 1), &s, &e), &e, 0);
  lua_pushstring(L, s.kind);
  lua_pushstring(L, s.reason);
  if (!s.hint[0]) return 2;
  lua_pushstring(L, s.hint);
  return 3;
}

static const luaL_Reg meta[] = {
    {"__gc", reader_gc},
    {NULL, NULL},
};

static const luaL_Reg meth[] = {
    {NULL, NULL},
};

static const luaL_Reg funcs[] = {
    {"read_edges", read_edges},
    {"read_gmt", read_gmt},
    {"read_long", read_long},
    {"read_matrix", read_matrix},
    {"read_vectors", read_vectors},
    {"read_table", read_table},
    {"read_text", unpacked},
    {"sniff", sniff},
    {NULL, NULL},
};

void dyn_open_table(lua_State *L) {
  dyn_newclass(L, READER, meta, meth);
  luaL_setfuncs(L, funcs, 0);
}
