/* l_h5ad.c -- dynamo.H5File: AnnData and 10x files, read on demand. */
#include "bind/bind.h"

#include <omp.h>
#include <string.h>

#include "core/ops.h"
#include "io/h5_stream.h"
#include "io/h5ad.h"
#include "io/mtx.h"
#include "io/text.h"

#define H5FILE    "dynamo.H5File"
#define H5SCRATCH "dynamo.H5Scratch"
#define H5STREAM  "dynamo.H5Stream"

typedef struct h5file {
  dyn_h5ad *a;
} h5file;

/* What a call has read, until it is in Lua tables. */
typedef struct scratch {
  dyn_textlist t, u;
  dyn_column c;
} scratch;

static scratch *push_scratch(lua_State *L) {
  scratch *s = lua_newuserdatauv(L, sizeof *s, 0);
  memset(s, 0, sizeof *s);
  luaL_getmetatable(L, H5SCRATCH);
  lua_setmetatable(L, -2);
  return s;
}

static int scratch_gc(lua_State *L) {
  scratch *s = luaL_checkudata(L, 1, H5SCRATCH);
  dyn_textlist_free(&s->t);
  dyn_textlist_free(&s->u);
  dyn_column_free(&s->c);
  return 0;
}

static dyn_h5ad *check_file(lua_State *L) {
  h5file *f = luaL_checkudata(L, 1, H5FILE);
  luaL_argcheck(L, f->a, 1, "file was closed");
  return f->a;
}

static dyn_h5ad_axis check_axis(lua_State *L, int arg) {
  static const char *const names[] = {"obs", "var", "raw", NULL};
  return (dyn_h5ad_axis)luaL_checkoption(L, arg, NULL, names);
}

static void push_list(lua_State *L, const dyn_textlist *t) {
  lua_createtable(L, (int)t->n, 0);
  for (int64_t i = 0; i < t->n; i++) {
    lua_pushstring(L, dyn_textlist_get(t, i));
    lua_rawseti(L, -2, (int)(i + 1));
  }
}

static void set_number(lua_State *L, const char *key, double v) {
  lua_pushnumber(L, v);
  lua_setfield(L, -2, key);
}

static void set_integer(lua_State *L, const char *key, int64_t v) {
  lua_pushinteger(L, (lua_Integer)v);
  lua_setfield(L, -2, key);
}

static void set_boolean(lua_State *L, const char *key, bool v) {
  lua_pushboolean(L, v);
  lua_setfield(L, -2, key);
}

/* ---- opening -------------------------------------------------------------- */

static int h5_open(lua_State *L) { /* h5_open(path [, {genome=, limit=}]) */
  dyn_err e;
  const char *path = luaL_checkstring(L, 1), *genome = NULL;
  lua_settop(L, 2);
  double limit = dyn_fieldnum(L, 2, "limit", 0);
  luaL_argcheck(L, limit >= 0 && limit < 0x1p62, 2, "limit out of range");
  if (lua_istable(L, 2)) {
    lua_getfield(L, 2, "genome"); /* stays on the stack */
    if (!lua_isnil(L, -1)) genome = luaL_checkstring(L, -1);
  }
  h5file *f = lua_newuserdatauv(L, sizeof *f, 0);
  f->a = NULL; /* valid for __gc before anything can fail */
  luaL_getmetatable(L, H5FILE);
  lua_setmetatable(L, -2);
  dyn_status st = dyn_h5ad_open(&f->a, path, genome, (size_t)limit, &e);
  return dyn_result(L, st, &e, 1);
}

static int h5_probe(lua_State *L) { /* h5_probe(path [, options]) */
  dyn_err e;
  const char *path = luaL_checkstring(L, 1);
  lua_settop(L, 2);
  ptrdiff_t seconds = dyn_fieldint(L, 2, "seconds", 600);
  double memory = dyn_fieldnum(L, 2, "memory", 0);
  bool cells = dyn_fieldbool(L, 2, "cell_names", true);
  luaL_argcheck(L, seconds > 0 && seconds < 1000000, 2, "seconds out of range");
  luaL_argcheck(L, memory >= 0 && memory < 0x1p62, 2, "memory out of range");
  dyn_h5ad_probing o = {(size_t)memory, (int)seconds, !cells};
  dyn_status st = dyn_h5ad_probe(path, &o, &e);
  dyn_result(L, st, &e, 0);
  lua_pushboolean(L, true);
  return 1;
}

static int file_gc(lua_State *L) {
  h5file *f = luaL_checkudata(L, 1, H5FILE);
  dyn_h5ad_close(f->a);
  f->a = NULL;
  return 0;
}

static int file_tostring(lua_State *L) {
  h5file *f = luaL_checkudata(L, 1, H5FILE);
  if (!f->a) {
    lua_pushliteral(L, "H5File(closed)");
    return 1;
  }
  lua_pushfstring(L, "H5File %s: %s %s, %d cells, %d genes",
                  dyn_h5_name(dyn_h5ad_file(f->a)), dyn_h5ad_kind(f->a),
                  dyn_h5ad_generation(f->a),
                  (int)dyn_h5ad_size(f->a, DYN_AXIS_OBS),
                  (int)dyn_h5ad_size(f->a, DYN_AXIS_VAR));
  return 1;
}

/* ---- looking -------------------------------------------------------------- */

static int file_kind(lua_State *L) {
  lua_pushstring(L, dyn_h5ad_kind(check_file(L)));
  return 1;
}

static int file_generation(lua_State *L) {
  lua_pushstring(L, dyn_h5ad_generation(check_file(L)));
  return 1;
}

static int file_path(lua_State *L) {
  lua_pushstring(L, dyn_h5_name(dyn_h5ad_file(check_file(L))));
  return 1;
}

static int file_size(lua_State *L) { /* cells, genes, genes of raw or nil */
  dyn_h5ad *a = check_file(L);
  int64_t raw = dyn_h5ad_size(a, DYN_AXIS_RAW);
  lua_pushinteger(L, (lua_Integer)dyn_h5ad_size(a, DYN_AXIS_OBS));
  lua_pushinteger(L, (lua_Integer)dyn_h5ad_size(a, DYN_AXIS_VAR));
  if (raw < 0) return 2;
  lua_pushinteger(L, (lua_Integer)raw);
  return 3;
}

static int file_names(lua_State *L) { /* names, first repeat or nil */
  dyn_err e;
  int64_t i, j, n;
  dyn_h5ad *a = check_file(L);
  dyn_h5ad_axis axis = check_axis(L, 2);
  scratch *s = push_scratch(L);
  dyn_result(L, dyn_h5ad_names(a, axis, &s->t, &e), &e, 0);
  dyn_result(L, dyn_textlist_repeat(&s->t, &i, &j, &n, &e), &e, 0);
  push_list(L, &s->t);
  if (i < 0) return 1;
  lua_createtable(L, 0, 4);
  lua_pushstring(L, dyn_textlist_get(&s->t, i));
  lua_setfield(L, -2, "name");
  set_integer(L, "first", i + 1);
  set_integer(L, "second", j + 1);
  set_integer(L, "count", n);
  return 2;
}

static const char *const kinds[] = {"text", "number", "boolean", "other"};

static int file_columns(lua_State *L) {
  dyn_err e;
  dyn_h5ad *a = check_file(L);
  dyn_h5ad_axis axis = check_axis(L, 2);
  scratch *s = push_scratch(L);
  dyn_result(L, dyn_h5ad_columns(a, axis, &s->t, &e), &e, 0);
  lua_createtable(L, (int)s->t.n, 0);
  for (int64_t i = 0; i < s->t.n; i++) {
    dyn_column_kind kind;
    const char *name = dyn_textlist_get(&s->t, i);
    dyn_result(L, dyn_h5ad_column_kind(a, axis, name, &kind, &e), &e, 0);
    lua_createtable(L, 0, 2);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, kinds[kind]);
    lua_setfield(L, -2, "kind");
    lua_rawseti(L, -2, (int)(i + 1));
  }
  return 1;
}

static void push_codes(lua_State *L, const dyn_column *c) {
  lua_createtable(L, (int)c->n, 0);
  for (int64_t i = 0; i < c->n; i++) {
    lua_pushinteger(L, c->code[i] + 1);
    lua_rawseti(L, -2, (int)(i + 1));
  }
}

static int file_column(lua_State *L) { /* f:column(axis, name) */
  dyn_err e;
  dyn_h5ad *a = check_file(L);
  dyn_h5ad_axis axis = check_axis(L, 2);
  const char *name = luaL_checkstring(L, 3);
  scratch *s = push_scratch(L);
  dyn_result(L, dyn_h5ad_column(a, axis, name, &s->c, &e), &e, 0);
  lua_createtable(L, 0, 4);
  lua_pushstring(L, kinds[s->c.kind]);
  lua_setfield(L, -2, "kind");
  if (s->c.kind == DYN_COLUMN_TEXT) {
    set_boolean(L, "ordered", s->c.ordered);
    push_list(L, &s->c.levels);
    lua_setfield(L, -2, "levels");
    push_codes(L, &s->c);
    lua_setfield(L, -2, "codes");
    return 1;
  }
  ptrdiff_t n = (ptrdiff_t)s->c.n;
  dyn_tensor *t = dyn_pushtensor(L);
  dyn_result(L, dyn_tensor_new(t, DYN_F64, 1, &n, &e), &e, 0);
  memcpy(dyn_f64(t), s->c.value, (size_t)n * sizeof(double));
  lua_setfield(L, -2, "values");
  return 1;
}

static int list(lua_State *L, const char *what) {
  dyn_err e;
  dyn_h5ad *a = check_file(L);
  scratch *s = push_scratch(L);
  dyn_result(L, dyn_h5ad_list(a, what, &s->t, &e), &e, 0);
  push_list(L, &s->t);
  return 1;
}
static int file_layers(lua_State *L) { return list(L, "layers"); }
static int file_obsm(lua_State *L) { return list(L, "obsm"); }
static int file_varm(lua_State *L) { return list(L, "varm"); }

static int file_uns(lua_State *L) {
  dyn_err e;
  bool found;
  dyn_h5ad *a = check_file(L);
  const char *key = luaL_checkstring(L, 2);
  scratch *s = push_scratch(L);
  dyn_result(L, dyn_h5ad_uns(a, key, &s->t, &found, &e), &e, 0);
  if (found)
    lua_pushstring(L, dyn_textlist_get(&s->t, 0));
  else
    lua_pushnil(L);
  return 1;
}

static int file_describe(lua_State *L) {
  dyn_err e;
  dyn_h5ad *a = check_file(L);
  scratch *s = push_scratch(L);
  dyn_result(L, dyn_h5ad_describe(a, 200, &s->t, &s->u, &e), &e, 0);
  lua_createtable(L, (int)s->t.n, 0);
  for (int64_t i = 0; i < s->t.n; i++) {
    lua_createtable(L, 2, 0);
    lua_pushstring(L, dyn_textlist_get(&s->t, i));
    lua_rawseti(L, -2, 1);
    lua_pushstring(L, dyn_textlist_get(&s->u, i));
    lua_rawseti(L, -2, 2);
    lua_rawseti(L, -2, (int)(i + 1));
  }
  return 1;
}

/* ---- matrices ------------------------------------------------------------- */

/* Rows 'idx' of the matrix instead of all. */
static DYN_STATUS pick(dyn_matrix *m, const int64_t *idx, ptrdiff_t n,
                       dyn_err *e) {
  dyn_matrix r = *m;
  r.csr = (dyn_csr){0};
  r.dense = (dyn_tensor){0};
  dyn_status st = m->sparse
                      ? dyn_csr_rows(&r.csr, &m->csr, idx, n, e)
                      : dyn_index_select(&r.dense, &m->dense, 0, idx, n, e);
  dyn_matrix old = *m;
  *m = r;
  dyn_csr_free(&old.csr);
  dyn_tensor_free(&old.dense);
  return st;
}

static void push_info(lua_State *L, const dyn_matrix *m) {
  lua_createtable(L, 0, 9);
  set_integer(L, "nonfinite", m->nan + m->infinite);
  set_integer(L, "nan", m->nan);
  set_integer(L, "infinite", m->infinite);
  if (m->row >= 0) {
    set_integer(L, "row", m->row + 1);
    set_integer(L, "col", m->col + 1);
  }
  set_boolean(L, "negative", m->negative);
  set_boolean(L, "integers", m->integers);
  set_number(L, "min", m->min);
  set_number(L, "max", m->max);
}

static int file_matrix(lua_State *L) { /* f:matrix([name [, {rows=}]]) */
  dyn_err e;
  dyn_matrix m;
  ptrdiff_t n = 0;
  const int64_t *idx = NULL;
  lua_settop(L, 3);
  dyn_h5ad *a = check_file(L);
  const char *name = lua_isnil(L, 2) ? NULL : luaL_checkstring(L, 2);
  if (lua_istable(L, 3)) {
    lua_getfield(L, 3, "rows");
    ptrdiff_t have = (ptrdiff_t)dyn_h5ad_size(a, DYN_AXIS_OBS);
    if (!lua_isnil(L, -1))
      idx = dyn_checkindices(L, lua_gettop(L), have, false, &n);
  }
  dyn_csr *csr = dyn_pushsparse(L);
  dyn_tensor *dense = dyn_pushtensor(L);
  dyn_status st = dyn_h5ad_matrix(a, name, &m, &e);
  if (st == DYN_OK && idx) st = pick(&m, idx, n, &e);
  *csr = m.csr; /* anchored; empty after a failure */
  *dense = m.dense;
  dyn_result(L, st, &e, 0);
  if (m.sparse) lua_pop(L, 1);
  push_info(L, &m);
  return 2;
}

/* ---- streams -------------------------------------------------------------- */

typedef struct h5stream {
  dyn_h5_stream *s;
} h5stream;

static dyn_h5_stream *check_stream(lua_State *L) {
  h5stream *t = luaL_checkudata(L, 1, H5STREAM);
  luaL_argcheck(L, t->s, 1, "stream was closed");
  return t->s;
}

static int file_stream(lua_State *L) { /* f:stream([name [, {memory=}]]) */
  dyn_err e;
  lua_settop(L, 3);
  dyn_h5ad *a = check_file(L);
  const char *name = lua_isnil(L, 2) ? NULL : luaL_checkstring(L, 2);
  double memory = dyn_fieldnum(L, 3, "memory", 0);
  luaL_argcheck(L, memory >= 0 && memory < 0x1p62, 3, "memory out of range");
  h5stream *t = lua_newuserdatauv(L, sizeof *t, 0);
  t->s = NULL; /* valid for __gc before anything can fail */
  luaL_getmetatable(L, H5STREAM);
  lua_setmetatable(L, -2);
  dyn_status st = dyn_h5_stream_open(&t->s, a, name, (size_t)memory, &e);
  return dyn_result(L, st, &e, 1);
}

static int stream_gc(lua_State *L) {
  h5stream *t = luaL_checkudata(L, 1, H5STREAM);
  dyn_h5_stream_close(t->s);
  t->s = NULL;
  return 0;
}

static int stream_tostring(lua_State *L) {
  h5stream *t = luaL_checkudata(L, 1, H5STREAM);
  if (t->s)
    lua_pushfstring(L, "H5Stream: %d cells, %d genes, %d at a time",
                    (int)dyn_h5_stream_size(t->s, 0),
                    (int)dyn_h5_stream_size(t->s, 1),
                    (int)dyn_h5_stream_shard(t->s));
  else
    lua_pushliteral(L, "H5Stream(closed)");
  return 1;
}

static int stream_size(lua_State *L) { /* cells, genes, cells in a shard */
  dyn_h5_stream *s = check_stream(L);
  lua_pushinteger(L, (lua_Integer)dyn_h5_stream_size(s, 0));
  lua_pushinteger(L, (lua_Integer)dyn_h5_stream_size(s, 1));
  lua_pushinteger(L, (lua_Integer)dyn_h5_stream_shard(s));
  return 3;
}

static int stream_start(lua_State *L) { /* s:start([shards [, {threads=}]]) */
  dyn_err e;
  ptrdiff_t n = 0;
  const int64_t *order = NULL;
  lua_settop(L, 3);
  dyn_h5_stream *s = check_stream(L);
  ptrdiff_t threads = dyn_fieldint(L, 3, "threads", omp_get_max_threads());
  luaL_argcheck(L, threads >= 1 && threads <= 4096, 3, "threads out of range");
  if (!lua_isnil(L, 2))
    order =
        dyn_checkindices(L, 2, (ptrdiff_t)dyn_h5_stream_shards(s), false, &n);
  dyn_result(L, dyn_h5_stream_start(s, order, n, (int)threads, &e), &e, 0);
  return 0;
}

static int stream_next(lua_State *L) { /* matrix, first cell, info; or nil */
  dyn_err e;
  dyn_matrix m;
  int64_t first;
  dyn_h5_stream *s = check_stream(L);
  dyn_csr *csr = dyn_pushsparse(L);
  dyn_tensor *dense = dyn_pushtensor(L);
  dyn_status st = dyn_h5_stream_next(s, &m, &first, &e);
  *csr = m.csr; /* anchored; empty after a failure and at the end */
  *dense = m.dense;
  dyn_result(L, st, &e, 0);
  if (first < 0) {
    lua_pushnil(L);
    return 1;
  }
  if (m.sparse) lua_pop(L, 1);
  lua_pushinteger(L, (lua_Integer)first + 1);
  push_info(L, &m);
  return 3;
}

static int stream_cost(lua_State *L) {
  dyn_stream_cost c = dyn_h5_stream_cost(check_stream(L));
  lua_createtable(L, 0, 4);
  set_number(L, "waited", c.waited);
  set_number(L, "busy", c.busy);
  set_integer(L, "shards", c.shards);
  set_integer(L, "entries", c.entries);
  return 1;
}

/* ---- MatrixMarket ----------------------------------------------------------- */

#define MTXTEXT "dynamo.MtxText"

static int text_gc(lua_State *L) {
  dyn_text_free(luaL_checkudata(L, 1, MTXTEXT));
  return 0;
}

static int mtx_read(lua_State *L) { /* mtx_read(path[, {transpose=, limit=}]) */
  dyn_err e;
  dyn_watch w;
  const char *path = luaL_checkstring(L, 1);
  lua_settop(L, 2);
  double limit = dyn_fieldnum(L, 2, "limit", 0);
  luaL_argcheck(L, limit >= 0 && limit < 0x1p62, 2, "limit out of range");
  bool trans = dyn_fieldbool(L, 2, "transpose", false);
  size_t most = limit > 0 ? (size_t)limit : dyn_text_limit();
  dyn_watch_start(&w, L, 0);
  dyn_text *t = lua_newuserdatauv(L, sizeof *t, 0);
  *t = (dyn_text){0}; /* valid for __gc before anything can fail */
  luaL_getmetatable(L, MTXTEXT);
  lua_setmetatable(L, -2);
  dyn_result(L, dyn_text_read(path, most, t, &e), &e, 0);
  dyn_matrix m = {.sparse = true};
  dyn_csr *s = dyn_pushsparse(L);
  dyn_status st =
      dyn_mtx_parse(s, path, t->data, t->len, trans, most, &w.poll, &e);
  dyn_text_free(t);
  dyn_result(L, st, &e, 0);
  m.csr = *s; /* borrowed */
  dyn_matrix_summarise(&m);
  push_info(L, &m);
  return 2;
}

/* ---- opening the class ---------------------------------------------------- */

static const luaL_Reg meta[] = {
    {"__gc", file_gc},
    {"__close", file_gc},
    {"__tostring", file_tostring},
    {NULL, NULL},
};

static const luaL_Reg meth[] = {
    {"close", file_gc},
    {"column", file_column},
    {"columns", file_columns},
    {"describe", file_describe},
    {"generation", file_generation},
    {"kind", file_kind},
    {"layers", file_layers},
    {"matrix", file_matrix},
    {"names", file_names},
    {"obsm", file_obsm},
    {"path", file_path},
    {"size", file_size},
    {"stream", file_stream},
    {"uns", file_uns},
    {"varm", file_varm},
    {NULL, NULL},
};

static const luaL_Reg stream_meta[] = {
    {"__gc", stream_gc},
    {"__close", stream_gc},
    {"__tostring", stream_tostring},
    {NULL, NULL},
};

static const luaL_Reg stream_meth[] = {
    {"close", stream_gc},  {"cost", stream_cost},   {"next", stream_next},
    {"size", stream_size}, {"start", stream_start}, {NULL, NULL},
};

static const luaL_Reg scratch_meta[] = {{"__gc", scratch_gc}, {NULL, NULL}};
static const luaL_Reg text_meta[] = {{"__gc", text_gc}, {NULL, NULL}};
static const luaL_Reg none[] = {{NULL, NULL}};
static const luaL_Reg funcs[] = {
    {"h5_open", h5_open},
    {"h5_probe", h5_probe},
    {"mtx_read", mtx_read},
    {NULL, NULL},
};

void dyn_open_h5ad(lua_State *L) {
  dyn_newclass(L, H5FILE, meta, meth);
  dyn_newclass(L, H5SCRATCH, scratch_meta, none);
  dyn_newclass(L, H5STREAM, stream_meta, stream_meth);
  dyn_newclass(L, MTXTEXT, text_meta, none);
  luaL_setfuncs(L, funcs, 0);
}
