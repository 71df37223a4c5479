/* l_array.c -- npy, npz and safetensors files in Lua. */
#include "bind/bind.h"

#include <string.h>

#include "io/npy.h"
#include "io/safetensors.h"

#define HOLDER "dynamo.ArrayHolder"

/* What a call has read or will write, until it is done. */
typedef struct holder {
  dyn_array array;
  dyn_npz npz;
  dyn_safetensors safe;
  dyn_textlist name, key, value;
} holder;

static holder *push_holder(lua_State *L) {
  holder *h = lua_newuserdatauv(L, sizeof *h, 0);
  *h = (holder){0}; /* valid for __gc before anything can fail */
  luaL_getmetatable(L, HOLDER);
  lua_setmetatable(L, -2);
  return h;
}

static int holder_gc(lua_State *L) {
  holder *h = luaL_checkudata(L, 1, HOLDER);
  dyn_array_free(&h->array);
  dyn_npz_free(&h->npz);
  dyn_safetensors_free(&h->safe);
  dyn_textlist_free(&h->name);
  dyn_textlist_free(&h->key);
  dyn_textlist_free(&h->value);
  return 0;
}

static size_t limit_of(lua_State *L, int arg) {
  double v = dyn_fieldnum(L, arg, "limit", 0);
  if (!(v >= 0 && v <= 0x1p53)) luaL_error(L, "option 'limit': bytes expected");
  return (size_t)v;
}

static const char *text_at(const void *ud, ptrdiff_t i) {
  return dyn_textlist_get(ud, i);
}

/* A tensor, which moves out of 'a', or a list of strings. */
static void push_array(lua_State *L, dyn_array *a) {
  if (a->is_text) {
    dyn_pushstrings(L, (ptrdiff_t)a->text.n, text_at, &a->text);
    return;
  }
  dyn_tensor *t = dyn_pushtensor(L);
  *t = a->number;
  a->number = (dyn_tensor){0};
}

/* The strings of the list at 'arg'. */
static void fill_texts(lua_State *L, int arg, dyn_textlist *t) {
  dyn_err e;
  luaL_checktype(L, arg, LUA_TTABLE);
  int n = (int)lua_rawlen(L, arg);
  for (int i = 1; i <= n; i++) {
    size_t len;
    lua_rawgeti(L, arg, i);
    if (lua_type(L, -1) != LUA_TSTRING)
      luaL_error(L, "a list of strings expected, item %d is a %s", i,
                 luaL_typename(L, -1));
    const char *s = lua_tolstring(L, -1, &len);
    dyn_result(L, dyn_textlist_add(t, s, len, &e), &e, 0);
    lua_pop(L, 1);
  }
}

/* The tensor or list of strings at 'arg' into 'a', which shares it. */
static void fill_array(lua_State *L, int arg, dyn_array *a) {
  if (lua_type(L, arg) == LUA_TTABLE) {
    a->is_text = true;
    fill_texts(L, arg, &a->text);
    a->ndim = 1;
    a->size[0] = (ptrdiff_t)a->text.n;
  } else {
    dyn_tensor_share(&a->number, dyn_checktensor(L, arg));
  }
}

static int npy_read(lua_State *L) { /* npy_read(path[, opts]) */
  dyn_err e;
  const char *path = luaL_checkstring(L, 1);
  size_t limit = limit_of(L, 2);
  holder *h = push_holder(L);
  dyn_result(L, dyn_npy_read(&h->array, path, limit, &e), &e, 0);
  push_array(L, &h->array);
  return 1;
}

static int npy_write(lua_State *L) { /* npy_write(path, value) */
  dyn_err e;
  const char *path = luaL_checkstring(L, 1);
  luaL_checkany(L, 2);
  holder *h = push_holder(L);
  fill_array(L, 2, &h->array);
  return dyn_result(L, dyn_npy_write(path, &h->array, &e), &e, 0);
}

static int
npz_read(lua_State *L) { /* npz_read(path[, opts]) -> values, names */
  dyn_err e;
  const char *path = luaL_checkstring(L, 1);
  size_t limit = limit_of(L, 2);
  holder *h = push_holder(L);
  dyn_npz *z = &h->npz;
  dyn_result(L, dyn_npz_read(z, path, limit, &e), &e, 0);
  lua_createtable(L, 0, (int)z->name.n);
  for (int64_t i = 0; i < z->name.n; i++) {
    lua_pushstring(L, dyn_textlist_get(&z->name, i));
    push_array(L, &z->item[i]);
    lua_rawset(L, -3);
  }
  dyn_pushstrings(L, (ptrdiff_t)z->name.n, text_at, &z->name);
  return 2;
}

static int npz_write(lua_State *L) { /* npz_write(path, names, values) */
  dyn_err e;
  const char *path = luaL_checkstring(L, 1);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  holder *h = push_holder(L);
  fill_texts(L, 2, &h->name);
  size_t n = (size_t)h->name.n;
  luaL_argcheck(L, lua_rawlen(L, 3) == n, 3, "one value per name expected");
  h->npz.item = dyn_alloc(n + 1, sizeof *h->npz.item);
  if (!h->npz.item)
    dyn_result(L, dyn_fail(&e, DYN_ENOMEM, "not enough memory"), &e, 0);
  h->npz.room = n + 1;
  h->npz.name = h->name; /* from now on these free the items as well */
  h->name = (dyn_textlist){0};
  for (size_t i = 0; i < n; i++) {
    lua_rawgeti(L, 3, (int)i + 1);
    fill_array(L, lua_gettop(L), &h->npz.item[i]);
    lua_pop(L, 1);
  }
  return dyn_result(L, dyn_npz_write(path, &h->npz, &e), &e, 0);
}

/* ---- safetensors ---------------------------------------------------------- */

static void push_metadata(lua_State *L, const dyn_safetensors *s) {
  lua_createtable(L, 0, (int)s->key.n);
  for (int64_t i = 0; i < s->key.n; i++) {
    lua_pushstring(L, dyn_textlist_get(&s->key, i));
    lua_pushstring(L, dyn_textlist_get(&s->value, i));
    lua_rawset(L, -3);
  }
}

static void push_tensor_of(lua_State *L, const dyn_safetensors *s,
                           const char *path, int32_t i, size_t limit) {
  dyn_err e;
  lua_pushstring(L, dyn_names_get(&s->name, i));
  dyn_tensor *t = dyn_pushtensor(L);
  dyn_result(L, dyn_safetensors_read(s, path, i, limit, t, &e), &e, 0);
  lua_rawset(L, -3);
}

static int safetensors_read(lua_State *L) { /* safetensors_read(path[, opts]) */
  dyn_err e;
  const char *path = luaL_checkstring(L, 1);
  size_t limit = limit_of(L, 2);
  lua_settop(L, 2);
  holder *h = push_holder(L);
  if (lua_istable(L, 2)) {
    lua_getfield(L, 2, "only");
    if (!lua_isnil(L, -1)) fill_texts(L, lua_gettop(L), &h->name);
    lua_pop(L, 1);
  }
  dyn_safetensors *s = &h->safe;
  dyn_result(L, dyn_safetensors_open(s, path, &e), &e, 0);
  lua_newtable(L);
  for (int32_t i = 0; i < s->name.n && h->name.n == 0; i++)
    push_tensor_of(L, s, path, i, limit);
  for (int64_t k = 0; k < h->name.n; k++) {
    const char *want = dyn_textlist_get(&h->name, k);
    int32_t i = dyn_names_find(&s->name, want, strlen(want));
    char shown[100];
    dyn_escape(shown, sizeof shown, want);
    if (i < 0)
      dyn_result(
          L, dyn_fail(&e, DYN_EFORMAT, "%.200s: no tensor '%s'", path, shown),
          &e, 0);
    push_tensor_of(L, s, path, i, limit);
  }
  push_metadata(L, s);
  return 2;
}

static int safetensors_info(lua_State *L) { /* -> list, metadata */
  dyn_err e;
  const char *path = luaL_checkstring(L, 1);
  holder *h = push_holder(L);
  const dyn_safetensors *s = &h->safe;
  dyn_result(L, dyn_safetensors_open(&h->safe, path, &e), &e, 0);
  lua_createtable(L, s->name.n, 0);
  for (int32_t i = 0; i < s->name.n; i++) {
    lua_createtable(L, 0, 3);
    lua_pushstring(L, dyn_names_get(&s->name, i));
    lua_setfield(L, -2, "name");
    lua_pushstring(L, dyn_item_name(s->entry[i].item));
    lua_setfield(L, -2, "dtype");
    lua_createtable(L, s->entry[i].ndim, 0);
    for (int d = 0; d < s->entry[i].ndim; d++) {
      lua_pushinteger(L, (lua_Integer)s->entry[i].size[d]);
      lua_rawseti(L, -2, d + 1);
    }
    lua_setfield(L, -2, "shape");
    lua_rawseti(L, -2, i + 1);
  }
  push_metadata(L, s);
  return 2;
}

/* safetensors_write(path, names, tensors[, keys, values]) */
static int safetensors_write(lua_State *L) {
  dyn_err e;
  lua_settop(L, 5);
  const char *path = luaL_checkstring(L, 1);
  luaL_checktype(L, 3, LUA_TTABLE);
  holder *h = push_holder(L);
  fill_texts(L, 2, &h->name);
  int n = (int)h->name.n;
  luaL_argcheck(L, (int)lua_rawlen(L, 3) == n, 3, "one tensor per name");
  if (!lua_isnil(L, 4)) {
    fill_texts(L, 4, &h->key);
    fill_texts(L, 5, &h->value);
    luaL_argcheck(L, h->key.n == h->value.n, 5, "one value per key expected");
  }
  const dyn_tensor **t = dyn_scratch(L, (size_t)n + 1, sizeof *t);
  luaL_checkstack(L, n + 4, "too many tensors");
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, 3, i + 1); /* stays on the stack: anchored */
    t[i] = dyn_checktensor(L, lua_gettop(L));
  }
  return dyn_result(
      L, dyn_safetensors_write(path, &h->name, t, &h->key, &h->value, &e), &e,
      0);
}

static bool ends_in(const char *path, const char *ext) {
  size_t n = strlen(path), m = strlen(ext);
  return n > m && !strcmp(path + n - m, ext);
}

static int tensor_save(lua_State *L) { /* t:save("x.npy") or ("x.npz") */
  lua_settop(L, 2);
  dyn_checktensor(L, 1);
  const char *path = luaL_checkstring(L, 2);
  bool zip = ends_in(path, ".npz");
  luaL_argcheck(L, zip || ends_in(path, ".npy"), 2,
                "a name that ends in .npy or .npz expected");
  lua_pushcfunction(L, zip ? npz_write : npy_write);
  lua_pushvalue(L, 2);
  if (zip) { /* one array, named as NumPy names it */
    lua_createtable(L, 1, 0);
    lua_pushliteral(L, "arr_0");
    lua_rawseti(L, -2, 1);
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
  } else {
    lua_pushvalue(L, 1);
  }
  lua_call(L, zip ? 3 : 2, 0);
  lua_settop(L, 1);
  return 1;
}

static const luaL_Reg meta[] = {{"__gc", holder_gc}, {NULL, NULL}};
static const luaL_Reg none[] = {{NULL, NULL}};
static const luaL_Reg funcs[] = {
    {"npy_read", npy_read},
    {"npy_write", npy_write},
    {"npz_read", npz_read},
    {"npz_write", npz_write},
    {"safetensors_info", safetensors_info},
    {"safetensors_read", safetensors_read},
    {"safetensors_write", safetensors_write},
    {NULL, NULL},
};

void dyn_open_array(lua_State *L) {
  dyn_newclass(L, HOLDER, meta, none);
  luaL_getmetatable(L, DYN_TENSOR);
  lua_getfield(L, -1, "__index");
  lua_pushcfunction(L, tensor_save);
  lua_setfield(L, -2, "save");
  lua_pop(L, 2);
  luaL_setfuncs(L, funcs, 0);
}
