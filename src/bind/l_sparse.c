#include "bind/bind.h"

dyn_csr *dyn_pushsparse(lua_State *L) {
  dyn_csr *s = lua_newuserdatauv(L, sizeof *s, 0);
  *s = (dyn_csr){0}; /* valid for __gc before anything can fail */
  luaL_getmetatable(L, DYN_SPARSE);
  lua_setmetatable(L, -2);
  return s;
}

dyn_csr *dyn_checksparse(lua_State *L, int arg) {
  dyn_csr *s = luaL_checkudata(L, arg, DYN_SPARSE);
  luaL_argcheck(L, s->start, arg, "sparse matrix was closed");
  return s;
}

static int sparse_gc(lua_State *L) {
  dyn_csr_free(luaL_checkudata(L, 1, DYN_SPARSE));
  return 0;
}

static const luaL_Reg meta[] = {{"__gc", sparse_gc}, {NULL, NULL}};
static const luaL_Reg meth[] = {{"close", sparse_gc}, {NULL, NULL}};

void dyn_open_sparse(lua_State *L) { dyn_newclass(L, DYN_SPARSE, meta, meth); }
