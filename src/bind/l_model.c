/* l_model.c -- writing AnnData files, model files, digests. */
#include <string.h>

#include "bind/bind.h"
#include "io/h5ad.h"
#include "io/model_file.h"
#include "io/sha256.h"

#define LISTS "dynamo.TextLists"
#define MODEL "dynamo.ModelScratch"

/* Lists of strings that belong to the collector; 'next' counts those in use. */
typedef struct lists {
  size_t n, next;
  dyn_textlist list[];
} lists;

static lists *push_lists(lua_State *L, size_t n) {
  lists *s = lua_newuserdatauv(L, sizeof *s + n * sizeof s->list[0], 0);
  memset(s, 0, sizeof *s + n * sizeof s->list[0]);
  s->n = n;
  luaL_getmetatable(L, LISTS);
  lua_setmetatable(L, -2);
  return s;
}

static int lists_gc(lua_State *L) {
  lists *s = luaL_checkudata(L, 1, LISTS);
  for (size_t i = 0; i < s->n; i++) dyn_textlist_free(&s->list[i]);
  return 0;
}

/* The string on top of the stack into 't'; popped. */
static void add_string(lua_State *L, dyn_textlist *t, const char *what) {
  dyn_err e;
  size_t len;
  if (lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "%s: string expected, got %s", what, luaL_typename(L, -1));
  const char *s = lua_tolstring(L, -1, &len);
  if (strlen(s) != len) luaL_error(L, "%s: string with a NUL byte", what);
  dyn_result(L, dyn_textlist_add(t, s, len, &e), &e, 0);
  lua_pop(L, 1);
}

/* The array of strings at 'arg' into 't'. */
static void fill_list(lua_State *L, int arg, dyn_textlist *t,
                      const char *what) {
  if (!lua_istable(L, arg))
    luaL_error(L, "%s: list of strings expected, got %s", what,
               luaL_typename(L, arg));
  size_t n = lua_rawlen(L, arg);
  for (size_t i = 1; i <= n; i++) {
    lua_rawgeti(L, arg, (int)i);
    add_string(L, t, what);
  }
}

/* Push table t[key], or nothing and return 0; else its absolute index. */
static int push_table(lua_State *L, int t, const char *key) {
  lua_getfield(L, t, key);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return 0;
  }
  if (!lua_istable(L, -1))
    luaL_error(L, "%s: table expected, got %s", key, luaL_typename(L, -1));
  return lua_gettop(L);
}

static size_t count_pairs(lua_State *L, int t) {
  size_t n = 0;
  if (!t) return 0;
  for (lua_pushnil(L); lua_next(L, t); lua_pop(L, 1)) n++;
  return n;
}

/* ---- h5ad ----------------------------------------------------------------- */

/* The value on top as a matrix; it stays in its table, which keeps it. */
static dyn_h5ad_part matrix(lua_State *L, const char *name) {
  dyn_h5ad_part p = {.name = name};
  if (lua_type(L, -1) == LUA_TUSERDATA && lua_getmetatable(L, -1)) {
    luaL_getmetatable(L, DYN_SPARSE);
    bool sparse = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    bool tensor = dyn_testtensor(L, -1) != NULL;
    if (sparse) p.csr = dyn_checksparse(L, lua_gettop(L));
    if (tensor) p.dense = dyn_checktensor(L, lua_gettop(L));
  }
  if (!p.csr && !p.dense)
    luaL_error(L, "%s: Tensor or Sparse expected, got %s", name,
               luaL_typename(L, -1));
  lua_pop(L, 1);
  return p;
}

/* One column, the table on top of the stack; popped. */
static dyn_h5ad_field column(lua_State *L, lists *s, const char *what) {
  int t = lua_gettop(L);
  dyn_h5ad_field c = {0};
  if (!lua_istable(L, t)) luaL_error(L, "%s: table per column expected", what);
  lua_getfield(L, t, "name");
  if (lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "%s: a column has no name", what);
  c.name = lua_tostring(L, -1); /* kept by the table */
  c.categorical = dyn_fieldbool(L, t, "categorical", false);
  c.boolean = dyn_fieldbool(L, t, "boolean", false);
  lua_getfield(L, t, "values");
  if (lua_istable(L, -1)) {
    dyn_textlist *v = &s->list[s->next++];
    fill_list(L, lua_gettop(L), v, c.name);
    c.text = v;
  } else {
    c.number = matrix(L, c.name).dense;
    if (!c.number) luaL_error(L, "%s: Tensor or list expected", c.name);
  }
  lua_settop(L, t - 1);
  return c;
}

static dyn_h5ad_field *columns(lua_State *L, lists *s, const char *key,
                               size_t n) {
  dyn_h5ad_field *c = dyn_scratch(L, n, sizeof *c);
  int t = push_table(L, 2, key);
  for (size_t i = 0; i < n; i++) {
    lua_rawgeti(L, t, (int)i + 1);
    c[i] = column(L, s, key);
  }
  return c;
}

static size_t length(lua_State *L, const char *key) {
  int t = push_table(L, 2, key);
  size_t n = t ? lua_rawlen(L, t) : 0;
  if (t) lua_pop(L, 1);
  return n;
}

static void names(lua_State *L, const char *key, dyn_textlist *t) {
  lua_getfield(L, 2, key);
  fill_list(L, lua_gettop(L), t, key);
  lua_pop(L, 1);
}

/* The matrices of "layers", "obsm", "varm"; *n of them. */
static const dyn_h5ad_part *parts(lua_State *L, const char *what, size_t *n) {
  int t = push_table(L, 2, what);
  *n = count_pairs(L, t);
  dyn_h5ad_part *p = dyn_scratch(L, *n, sizeof *p);
  size_t i = 0;
  if (t)
    for (lua_pushnil(L); lua_next(L, t);) {
      if (lua_type(L, -2) != LUA_TSTRING)
        luaL_error(L, "%s: names expected as keys", what);
      p[i++] = matrix(L, lua_tostring(L, -2));
    }
  return p;
}

static void uns(lua_State *L, dyn_textlist *key, dyn_textlist *value) {
  int t = push_table(L, 2, "uns");
  if (!t) return;
  for (lua_pushnil(L); lua_next(L, t);) {
    if (lua_type(L, -2) != LUA_TSTRING)
      luaL_error(L, "uns: names expected as keys");
    add_string(L, value, "uns");
    lua_pushvalue(L, -1);
    add_string(L, key, "uns");
  }
  lua_pop(L, 1);
}

static int h5ad_write(lua_State *L) { /* h5ad_write(path, content) */
  dyn_err e;
  const char *path = luaL_checkstring(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  luaL_checkstack(L, 20, "h5ad_write");
  dyn_h5ad_content c = {.nobs = length(L, "obs"), .nvar = length(L, "var")};
  lists *s = push_lists(L, 4 + c.nobs + c.nvar);
  s->next = 4;
  names(L, "obs_names", &s->list[0]);
  names(L, "var_names", &s->list[1]);
  uns(L, &s->list[2], &s->list[3]);
  lua_getfield(L, 2, "x");
  c.x = matrix(L, "x");
  c.obs = columns(L, s, "obs", c.nobs);
  c.var = columns(L, s, "var", c.nvar);
  c.layer = parts(L, "layers", &c.nlayer);
  c.obsm = parts(L, "obsm", &c.nobsm);
  c.varm = parts(L, "varm", &c.nvarm);
  c.obs_names = &s->list[0];
  c.var_names = &s->list[1];
  c.uns_key = &s->list[2];
  c.uns_value = &s->list[3];
  return dyn_result(L, dyn_h5ad_write(path, &c, &e), &e, 0);
}

/* ---- models --------------------------------------------------------------- */

static dyn_model *push_model(lua_State *L) {
  dyn_model *m = lua_newuserdatauv(L, sizeof *m, 0);
  *m = (dyn_model){0};
  luaL_getmetatable(L, MODEL);
  lua_setmetatable(L, -2);
  return m;
}

static int model_gc(lua_State *L) {
  dyn_model_free(luaL_checkudata(L, 1, MODEL));
  return 0;
}

/* Every pair of the table 'key' of the argument becomes a part. */
static void add_parts(lua_State *L, dyn_model *m, const char *key,
                      dyn_model_kind kind) {
  dyn_err e;
  dyn_model_part *p;
  int t = push_table(L, 2, key);
  if (!t) return;
  for (lua_pushnil(L); lua_next(L, t);) {
    if (lua_type(L, -2) != LUA_TSTRING)
      luaL_error(L, "%s: names expected as keys", key);
    const char *name = lua_tostring(L, -2);
    dyn_result(L, dyn_model_add(m, name, kind, &p, &e), &e, 0);
    if (kind == DYN_MODEL_STRING) {
      add_string(L, &p->text, name);
      continue;
    }
    if (kind == DYN_MODEL_LIST)
      fill_list(L, lua_gettop(L), &p->text, name);
    else
      dyn_tensor_share(&p->tensor, dyn_checktensor(L, lua_gettop(L)));
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

static int model_write(lua_State *L) { /* model_write(path, content) */
  dyn_err e;
  const char *path = luaL_checkstring(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  luaL_checkstack(L, 20, "model_write");
  dyn_model *m = push_model(L);
  add_parts(L, m, "strings", DYN_MODEL_STRING);
  add_parts(L, m, "lists", DYN_MODEL_LIST);
  add_parts(L, m, "tensors", DYN_MODEL_TENSOR);
  return dyn_result(L, dyn_model_write(path, m, &e), &e, 0);
}

static void push_part(lua_State *L, dyn_model_part *p) {
  if (p->kind == DYN_MODEL_TENSOR) {
    dyn_tensor_share(dyn_pushtensor(L), &p->tensor);
  } else if (p->kind == DYN_MODEL_STRING) {
    lua_pushstring(L, p->text.n ? dyn_textlist_get(&p->text, 0) : "");
  } else {
    lua_createtable(L, (int)p->text.n, 0);
    for (int64_t i = 0; i < p->text.n; i++) {
      lua_pushstring(L, dyn_textlist_get(&p->text, i));
      lua_rawseti(L, -2, (int)i + 1);
    }
  }
}

static int model_read(lua_State *L) { /* model_read(path) */
  static const char *const part[] = {"strings", "lists", "tensors"};
  dyn_err e;
  const char *path = luaL_checkstring(L, 1);
  dyn_model *m = push_model(L);
  dyn_result(L, dyn_model_read(m, path, &e), &e, 0);
  lua_createtable(L, 0, 4);
  int r = lua_gettop(L);
  for (int k = 0; k < 3; k++) {
    lua_newtable(L);
    for (int64_t i = 0; i < m->name.n; i++) {
      if ((int)m->part[i].kind != k) continue;
      push_part(L, &m->part[i]);
      lua_setfield(L, -2, dyn_textlist_get(&m->name, i));
    }
    lua_setfield(L, r, part[k]);
  }
  lua_createtable(L, 0, 3);
  lua_pushstring(L, m->writer);
  lua_setfield(L, -2, "writer");
  lua_pushstring(L, m->sha256);
  lua_setfield(L, -2, "sha256");
  lua_pushinteger(L, (lua_Integer)m->bytes);
  lua_setfield(L, -2, "bytes");
  lua_setfield(L, r, "info");
  return 1;
}

/* ---- digests -------------------------------------------------------------- */

static int sha256(lua_State *L) { /* sha256(string) */
  size_t n;
  char hex[DYN_SHA256_LEN];
  const char *s = luaL_checklstring(L, 1, &n);
  dyn_sha256(hex, s, n);
  lua_pushstring(L, hex);
  return 1;
}

static int sha256_file(lua_State *L) { /* sha256_file(path) */
  dyn_err e;
  char hex[DYN_SHA256_LEN];
  dyn_status st = dyn_sha256_file(hex, luaL_checkstring(L, 1), 0, NULL, &e);
  dyn_result(L, st, &e, 0);
  lua_pushstring(L, hex);
  return 1;
}

static int md5_file(lua_State *L) { /* md5_file(path) */
  dyn_err e;
  char hex[DYN_MD5_LEN];
  dyn_result(L, dyn_md5_file(hex, luaL_checkstring(L, 1), &e), &e, 0);
  lua_pushstring(L, hex);
  return 1;
}

static const luaL_Reg lists_meta[] = {{"__gc", lists_gc}, {NULL, NULL}};
static const luaL_Reg model_meta[] = {{"__gc", model_gc}, {NULL, NULL}};
static const luaL_Reg none[] = {{NULL, NULL}};
static const luaL_Reg funcs[] = {
    {"h5ad_write", h5ad_write},
    {"model_read", model_read},
    {"model_write", model_write},
    {"sha256", sha256},
    {"sha256_file", sha256_file},
    {"md5_file", md5_file},
    {NULL, NULL},
};

void dyn_open_model(lua_State *L) {
  dyn_newclass(L, LISTS, lists_meta, none);
  dyn_newclass(L, MODEL, model_meta, none);
  luaL_setfuncs(L, funcs, 0);
}
