#include "bind/bind.h"

static int tensor_gc(lua_State *L) {
  dyn_tensor_free(luaL_checkudata(L, 1, DYN_TENSOR)); /* closed is fine here */
  return 0;
}

static const luaL_Reg meta[] = {{"__gc", tensor_gc}, {NULL, NULL}};
static const luaL_Reg meth[] = {{"close", tensor_gc}, {NULL, NULL}};

void dyn_open_tensor(lua_State *L) { dyn_newclass(L, DYN_TENSOR, meta, meth); }
