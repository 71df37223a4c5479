/* l_inplace.c -- dynamo.Tensor: the in-place forms of functions of one operand,
** and of masks and bounds. What they compute is made beside the tensor first,
** so that it is unchanged if memory runs out. */
#include "bind/bind.h"
#include "core/ops.h"
#include "core/order.h"

/* The tensor at 1 gets the numbers of 'r' and is what the function returns. */
static int replace(lua_State *L, const dyn_tensor *r) {
  dyn_err e;
  dyn_result(L, dyn_copy_(dyn_checktensor(L, 1), r, &e), &e, 0);
  lua_settop(L, 1);
  return 1;
}

static int unary_(lua_State *L) { /* t:exp_() */
  dyn_err e;
  dyn_unary op = (dyn_unary)lua_tointeger(L, lua_upvalueindex(1));
  const dyn_tensor *t = dyn_checktensor(L, 1);
  dyn_tensor *r = dyn_pushtensor(L);
  dyn_result(L, dyn_map1(r, op, t, &e), &e, 0);
  return replace(L, r);
}

static int masked_fill_(lua_State *L) { /* t:masked_fill_(mask, number) */
  dyn_err e;
  lua_settop(L, 3);
  const dyn_tensor *t = dyn_checktensor(L, 1), *mask = dyn_checktensor(L, 2);
  luaL_checknumber(L, 3);
  const dyn_tensor *v = dyn_argtensor(L, 3, t->type);
  dyn_tensor *r = dyn_pushtensor(L);
  dyn_result(L, dyn_where(r, mask, v, t, &e), &e, 0);
  return replace(L, r);
}

static int clamp_(lua_State *L) { /* t:clamp_(lo or nil, hi or nil) */
  dyn_err e;
  lua_settop(L, 3);
  dyn_tensor *t = dyn_checktensor(L, 1);
  luaL_argcheck(L, !lua_isnil(L, 2) || !lua_isnil(L, 3), 2, "no bound");
  for (int k = 2; k <= 3; k++) {
    if (lua_isnil(L, k)) continue;
    luaL_checknumber(L, k);
    const dyn_tensor *v = dyn_argtensor(L, k, t->type);
    dyn_result(L, dyn_map2_(t, k == 2 ? DYN_MAXIMUM : DYN_MINIMUM, v, &e), &e,
               0);
  }
  lua_settop(L, 1);
  return 1;
}

/* t:index_add_({ i, j, ... }, x): row i of t gets row 1 of x added, and so on */
static int index_add_(lua_State *L) {
  dyn_err e;
  ptrdiff_t n;
  dyn_tensor *t = dyn_checktensor(L, 1);
  const dyn_tensor *x = dyn_checktensor(L, 3);
  luaL_argcheck(L, t->ndim > 0, 1, "a scalar has no rows");
  luaL_argcheck(L, dyn_tensor_dense(t), 1, "a strided view; clone it first");
  const int64_t *idx = dyn_checkindices(L, 2, t->size[0], false, &n);
  dyn_result(L, dyn_index_add_(t, idx, n, x, &e), &e, 0);
  lua_settop(L, 1);
  return 1;
}

static const luaL_Reg meth[] = {
    {"clamp_", clamp_},
    {"index_add_", index_add_},
    {"masked_fill_", masked_fill_},
    {NULL, NULL},
};

void dyn_open_inplace(lua_State *L) {
  luaL_getmetatable(L, DYN_TENSOR);
  lua_getfield(L, -1, "__index");
  luaL_setfuncs(L, meth, 0);
  for (int op = 0; op < DYN_NUNARY; op++) {
    lua_pushfstring(L, "%s_", dyn_unary_name((dyn_unary)op));
    lua_pushinteger(L, op);
    lua_pushcclosure(L, unary_, 1);
    lua_rawset(L, -3);
  }
  lua_pop(L, 2);
}
