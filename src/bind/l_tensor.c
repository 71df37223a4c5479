/* l_tensor.c -- dynamo.Tensor: making, viewing and reading. */
#include "bind/bind.h"
#include "core/ops.h"
#include "core/order.h"
#include "core/rng.h"

/* ---- construction ------------------------------------------------------- */

/* The sizes of nested tables, from the first item of each. */
static int depth(lua_State *L, int arg, ptrdiff_t size[DYN_MAXDIM]) {
  int nd = 0;
  lua_pushvalue(L, arg);
  while (lua_type(L, -1) == LUA_TTABLE) {
    luaL_argcheck(L, nd < DYN_MAXDIM, arg, "nested too deeply");
    size[nd++] = (ptrdiff_t)lua_rawlen(L, -1);
    lua_rawgeti(L, -1, 1);
    lua_remove(L, -2);
  }
  lua_pop(L, 1);
  return nd;
}

/* Store the value on top of the stack from element 'off' on. */
static void fill(lua_State *L, dyn_tensor *t, int d, ptrdiff_t off) {
  luaL_checkstack(L, 2, "nested tables");
  if (d == t->ndim) {
    if (lua_type(L, -1) != LUA_TNUMBER)
      luaL_error(L, "number expected in tensor, got %s", luaL_typename(L, -1));
    dyn_tensor_set(t, off, lua_tonumber(L, -1));
    return;
  }
  if (lua_type(L, -1) != LUA_TTABLE ||
      (ptrdiff_t)lua_rawlen(L, -1) != t->size[d])
    luaL_error(L, "ragged table: %d items expected in dimension %d",
               (int)t->size[d], d + 1);
  for (ptrdiff_t i = 0; i < t->size[d]; i++) {
    lua_rawgeti(L, -1, (int)i + 1);
    fill(L, t, d + 1, off + i * t->stride[d]);
    lua_pop(L, 1);
  }
}

static int tensor_new(lua_State *L) { /* tensor{{1,2},{3,4}} or tensor(5) */
  dyn_err e;
  ptrdiff_t size[DYN_MAXDIM];
  luaL_checkany(L, 1);
  dyn_type type = dyn_opttype(L, 2, DYN_F32);
  int nd = depth(L, 1, size);
  dyn_tensor *t = dyn_pushtensor(L);
  dyn_result(L, dyn_tensor_new(t, type, nd, size, &e), &e, 0);
  lua_pushvalue(L, 1);
  fill(L, t, 0, 0); /* may raise: 't' is anchored, nothing leaks */
  lua_pop(L, 1);
  return 1;
}

/* Sizes from 'arg' on, then perhaps a type; the new tensor is pushed. */
static dyn_tensor *sized(lua_State *L, int arg) {
  dyn_err e;
  ptrdiff_t size[DYN_MAXDIM];
  int last = lua_gettop(L), nd = 0;
  dyn_type type = DYN_F32;
  if (last >= arg && lua_type(L, last) == LUA_TSTRING)
    type = dyn_opttype(L, last--, DYN_F32);
  luaL_argcheck(L, last - arg < DYN_MAXDIM, arg, "too many dimensions");
  for (int i = arg; i <= last; i++) size[nd++] = dyn_checkint(L, i);
  dyn_tensor *t = dyn_pushtensor(L);
  dyn_result(L, dyn_tensor_new(t, type, nd, size, &e), &e, 0);
  return t;
}

static int tensor_zeros(lua_State *L) { /* zeros(n, m, ...[, type]) */
  sized(L, 1);
  return 1;
}

static int tensor_full(lua_State *L) { /* full(value, n, m, ...[, type]) */
  double v = luaL_checknumber(L, 1);
  dyn_fill_(sized(L, 2), v);
  return 1;
}

static int tensor_eye(lua_State *L) { /* eye(n[, type]) */
  dyn_err e;
  ptrdiff_t n = dyn_checkint(L, 1), size[2] = {n, n};
  dyn_type type = dyn_opttype(L, 2, DYN_F32);
  dyn_tensor *t = dyn_pushtensor(L);
  dyn_result(L, dyn_tensor_new(t, type, 2, size, &e), &e, 0);
  for (ptrdiff_t i = 0; i < n; i++) dyn_tensor_set(t, i * (n + 1), 1);
  return 1;
}

static int random_tensor(lua_State *L, double draw(dyn_rng *)) {
  dyn_rng g = dyn_rng_stream((uint64_t)dyn_checkint(L, 1), 0);
  dyn_tensor *t = sized(L, 2);
  ptrdiff_t n = (ptrdiff_t)dyn_tensor_len(t);
  for (ptrdiff_t i = 0; i < n; i++) dyn_tensor_set(t, i, draw(&g));
  return 1;
}

static int tensor_randn(lua_State *L) { /* randn(seed, n, m, ...[, type]) */
  return random_tensor(L, dyn_rng_normal);
}
static int tensor_rand(lua_State *L) { /* rand(seed, n, m, ...[, type]) */
  return random_tensor(L, dyn_rng_uniform);
}

static int tensor_cat(lua_State *L) { /* cat({a, b, ...}, dim) */
  dyn_err e;
  lua_settop(L, 2);
  luaL_checktype(L, 1, LUA_TTABLE);
  ptrdiff_t n = (ptrdiff_t)lua_rawlen(L, 1);
  luaL_argcheck(L, n > 0 && n < 100000, 1, "tensors expected");
  luaL_checkstack(L, (int)n + 4, "cat");
  const dyn_tensor **list = dyn_scratch(L, (size_t)n, sizeof *list);
  for (ptrdiff_t i = 0; i < n; i++) {
    lua_rawgeti(L, 1, (int)i + 1); /* stays on the stack: anchored */
    list[i] = dyn_checktensor(L, -1);
  }
  int nd = list[0]->ndim;
  int dim = (int)(lua_isnoneornil(L, 2) ? 0 : dyn_checkindex(L, 2, nd));
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_cat(r, list, (int)n, dim, &e), &e, 1);
}

static int tensor_to(lua_State *L) { /* t:to "double"; itself if it is one */
  dyn_err e;
  const dyn_tensor *t = dyn_checktensor(L, 1);
  dyn_type type = dyn_opttype(L, 2, t->type);
  dyn_tensor *r = dyn_pushtensor(L);
  if (type == t->type) {
    dyn_tensor_share(r, t);
    return 1;
  }
  return dyn_result(L, dyn_convert(r, t, type, &e), &e, 1);
}

static int tensor_clone(lua_State *L) { /* a dense copy */
  dyn_err e;
  const dyn_tensor *t = dyn_checktensor(L, 1);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_convert(r, t, t->type, &e), &e, 1);
}

/* ---- views -------------------------------------------------------------- */

static int view(lua_State *L, int dim, int lo_arg) {
  dyn_err e;
  const dyn_tensor *t = dyn_checktensor(L, 1);
  ptrdiff_t n = t->size[dim], lo = dyn_checkint(L, lo_arg),
            hi = dyn_optint(L, lo_arg + 1, n);
  if (lo < 0) lo += n + 1;
  if (hi < 0) hi += n + 1;
  luaL_argcheck(L, 1 <= lo && lo <= n + 1, lo_arg, "index out of range");
  luaL_argcheck(L, lo - 1 <= hi && hi <= n, lo_arg + 1, "index out of range");
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_tensor_narrow(r, t, dim, lo - 1, hi - lo + 1, &e),
                    &e, 1);
}

static int tensor_rows(lua_State *L) { /* t:rows(first, last) */
  luaL_argcheck(L, dyn_checktensor(L, 1)->ndim > 0, 1, "a scalar has no rows");
  return view(L, 0, 2);
}

static int tensor_narrow(lua_State *L) { /* t:narrow(dim, first, last) */
  return view(L, (int)dyn_checkindex(L, 2, dyn_checktensor(L, 1)->ndim), 3);
}

static int tensor_select(lua_State *L) { /* t:select(dim, i) */
  dyn_err e;
  const dyn_tensor *t = dyn_checktensor(L, 1);
  int dim = (int)dyn_checkindex(L, 2, t->ndim);
  ptrdiff_t i = dyn_checkindex(L, 3, t->size[dim]);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_tensor_select(r, t, dim, i, &e), &e, 1);
}

static int tensor_t(lua_State *L) { /* t:t() */
  const dyn_tensor *t = dyn_checktensor(L, 1);
  luaL_argcheck(L, t->ndim == 2, 1, "matrix expected");
  dyn_tensor_swap(dyn_pushtensor(L), t, 0, 1);
  return 1;
}

static int tensor_swap(lua_State *L) { /* t:swap(d0, d1) */
  const dyn_tensor *t = dyn_checktensor(L, 1);
  int d0 = (int)dyn_checkindex(L, 2, t->ndim);
  int d1 = (int)dyn_checkindex(L, 3, t->ndim);
  dyn_tensor_swap(dyn_pushtensor(L), t, d0, d1);
  return 1;
}

static int tensor_reshape(lua_State *L) { /* t:reshape(n, m, ...), one -1 */
  dyn_err e;
  ptrdiff_t size[DYN_MAXDIM];
  const dyn_tensor *t = dyn_checktensor(L, 1);
  int nd = lua_gettop(L) - 1;
  luaL_argcheck(L, nd <= DYN_MAXDIM, 1, "too many dimensions");
  for (int d = 0; d < nd; d++) size[d] = dyn_checkint(L, d + 2);
  if (!dyn_tensor_dense(t)) { /* a view of a copy, then */
    dyn_tensor *c = dyn_pushtensor(L);
    dyn_result(L, dyn_convert(c, t, t->type, &e), &e, 0);
    t = c;
  }
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_tensor_reshape(r, t, nd, size, &e), &e, 1);
}

static int tensor_index(lua_State *L) { /* t:index(dim, {i, j, ...}) */
  dyn_err e;
  ptrdiff_t n;
  const dyn_tensor *t = dyn_checktensor(L, 1);
  int dim = (int)dyn_checkindex(L, 2, t->ndim);
  const int64_t *idx = dyn_checkindices(L, 3, t->size[dim], false, &n);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_index_select(r, t, dim, idx, n, &e), &e, 1);
}

/* ---- reading and writing elements ---------------------------------------- */

static int tensor_size(lua_State *L) { /* all sizes, or that of one dimension */
  const dyn_tensor *t = dyn_checktensor(L, 1);
  if (!lua_isnoneornil(L, 2)) {
    lua_pushinteger(L, (lua_Integer)t->size[dyn_checkindex(L, 2, t->ndim)]);
    return 1;
  }
  for (int d = 0; d < t->ndim; d++) lua_pushinteger(L, (lua_Integer)t->size[d]);
  return t->ndim;
}

static int tensor_count(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)dyn_tensor_len(dyn_checktensor(L, 1)));
  return 1;
}

static int tensor_type(lua_State *L) {
  lua_pushstring(L, dyn_type_name(dyn_checktensor(L, 1)->type));
  return 1;
}

static ptrdiff_t offset(lua_State *L, const dyn_tensor *t, int arg) {
  ptrdiff_t off = 0;
  for (int d = 0; d < t->ndim; d++)
    off += dyn_checkindex(L, d + arg, t->size[d]) * t->stride[d];
  return off;
}

static int tensor_get(lua_State *L) { /* t:get(i, j, ...) */
  const dyn_tensor *t = dyn_checktensor(L, 1);
  lua_pushnumber(L, dyn_tensor_get(t, offset(L, t, 2)));
  return 1;
}

static int tensor_set(lua_State *L) { /* t:set(v, i, j, ...) */
  dyn_tensor *t = dyn_checktensor(L, 1);
  double v = luaL_checknumber(L, 2);
  dyn_tensor_set(t, offset(L, t, 3), v);
  dyn_tensor_touch(t);
  lua_settop(L, 1);
  return 1;
}

static int tensor_item(lua_State *L) { /* the number of a one-element tensor */
  char buf[DYN_SHAPELEN];
  const dyn_tensor *t = dyn_checktensor(L, 1);
  if (dyn_tensor_len(t) != 1)
    return luaL_error(L, "item: one element expected, tensor is %s",
                      dyn_tensor_shape(t, buf));
  lua_pushnumber(L, dyn_tensor_get(t, 0));
  return 1;
}

static void push_nested(lua_State *L, const dyn_tensor *t, int d,
                        ptrdiff_t off) {
  if (d == t->ndim) {
    lua_pushnumber(L, dyn_tensor_get(t, off));
    return;
  }
  luaL_checkstack(L, 2, "nested tables");
  lua_createtable(L, (int)t->size[d], 0);
  for (ptrdiff_t i = 0; i < t->size[d]; i++) {
    push_nested(L, t, d + 1, off + i * t->stride[d]);
    lua_rawseti(L, -2, (int)i + 1);
  }
}

static int tensor_totable(lua_State *L) {
  push_nested(L, dyn_checktensor(L, 1), 0, 0);
  return 1;
}

/* count, row, column of values that are NaN or infinite; the first of them. */
static int tensor_nonfinite(lua_State *L) {
  const dyn_tensor *t = dyn_checktensor(L, 1);
  luaL_argcheck(L, t->ndim == 2, 1, "matrix expected");
  ptrdiff_t count = 0, row = 0, col = 0;
  for (ptrdiff_t i = 0; i < t->size[0]; i++)
    for (ptrdiff_t j = 0; j < t->size[1]; j++) {
      double v = dyn_tensor_get(t, i * t->stride[0] + j * t->stride[1]);
      if (v - v == 0) continue;
      if (!count++) row = i + 1, col = j + 1;
    }
  lua_pushinteger(L, (lua_Integer)count);
  lua_pushinteger(L, (lua_Integer)row);
  lua_pushinteger(L, (lua_Integer)col);
  return 3;
}

static int tensor_argsort(lua_State *L) { /* 1-based order of a vector */
  dyn_err e;
  const dyn_tensor *t = dyn_checktensor(L, 1);
  luaL_argcheck(L, t->ndim == 1, 1, "vector expected");
  bool descending = lua_toboolean(L, 2);
  int64_t *idx = dyn_scratch(L, (size_t)t->size[0], sizeof *idx);
  dyn_result(L, dyn_argsort(idx, t, descending, &e), &e, 0);
  lua_createtable(L, (int)t->size[0], 0);
  for (ptrdiff_t i = 0; i < t->size[0]; i++) {
    lua_pushinteger(L, (lua_Integer)idx[i] + 1);
    lua_rawseti(L, -2, (int)i + 1);
  }
  return 1;
}

static int tensor_close(lua_State *L) {
  dyn_tensor *t = dyn_testtensor(L, 1); /* closed is fine here */
  if (!t) t = luaL_checkudata(L, 1, DYN_TENSOR);
  dyn_tensor_free(t);
  return 0;
}

static int tensor_tostring(lua_State *L) {
  char buf[DYN_SHAPELEN];
  const dyn_tensor *t = dyn_testtensor(L, 1);
  if (!t) t = luaL_checkudata(L, 1, DYN_TENSOR);
  if (t->st)
    lua_pushfstring(L, "Tensor(%s, %s)", dyn_tensor_shape(t, buf),
                    dyn_type_name(t->type));
  else
    lua_pushliteral(L, "Tensor(closed)");
  return 1;
}

static int is_tensor(lua_State *L) {
  bool is = lua_type(L, 1) == LUA_TUSERDATA && dyn_testtensor(L, 1);
  lua_pushboolean(L, is);
  return 1;
}

static const luaL_Reg meta[] = {
    {"__close", tensor_close},
    {"__tostring", tensor_tostring},
    {NULL, NULL},
};

static const luaL_Reg meth[] = {
    {"argsort", tensor_argsort},
    {"clone", tensor_clone},
    {"close", tensor_close},
    {"count", tensor_count},
    {"get", tensor_get},
    {"index", tensor_index},
    {"item", tensor_item},
    {"narrow", tensor_narrow},
    {"reshape", tensor_reshape},
    {"rows", tensor_rows},
    {"select", tensor_select},
    {"set", tensor_set},
    {"size", tensor_size},
    {"swap", tensor_swap},
    {"t", tensor_t},
    {"to", tensor_to},
    {"totable", tensor_totable},
    {"type", tensor_type},
    {"nonfinite", tensor_nonfinite},
    {NULL, NULL},
};

static const luaL_Reg funcs[] = {
    {"tensor", tensor_new}, {"zeros", tensor_zeros},  {"full", tensor_full},
    {"eye", tensor_eye},    {"randn", tensor_randn},  {"rand", tensor_rand},
    {"cat", tensor_cat},    {"is_tensor", is_tensor}, {NULL, NULL},
};

/* The same class once more, without a finalizer. */
static void complete_small(lua_State *L) {
  luaL_getmetatable(L, DYN_SMALL);
  luaL_getmetatable(L, DYN_TENSOR);
  for (lua_pushnil(L); lua_next(L, -2);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -5);
  }
  lua_pushnil(L);
  lua_setfield(L, -3, "__gc");
  lua_pop(L, 2);
}

void dyn_open_tensor(lua_State *L) {
  dyn_newclass(L, DYN_TENSOR, meta, meth);
  luaL_newmetatable(L, DYN_SMALL);
  lua_pop(L, 1);
  luaL_setfuncs(L, funcs, 0);
  dyn_open_math(L);
  dyn_open_order(L);
  complete_small(L);
}
