/* l_math.c -- dynamo.Tensor: arithmetic, reductions, linear algebra. */
#include "bind/tape.h"
#include "core/linalg.h"
#include "core/ops.h"

/* ---- element-wise: one closure per operation, its number in upvalue 1 ----- */

/*
** The class of tensors is upvalue 2, of small ones upvalue 3: looking them up by
** name, as dyn_checktensor does, costs more than adding two numbers. The
** metatable at 'i' is one of them?
*/
static bool class_at(lua_State *L, int i) {
  if (lua_rawequal(L, i, lua_upvalueindex(2))) return true;
  return DYN_LATE_GC && lua_rawequal(L, i, lua_upvalueindex(3));
}

/* NULL: no open tensor. */
static const dyn_tensor *own(lua_State *L, int arg) {
  const dyn_tensor *t = lua_touserdata(L, arg);
  if (!t || !lua_getmetatable(L, arg)) return NULL;
  bool is = class_at(L, -1);
  lua_pop(L, 1);
  return is && t->st ? t : NULL;
}

static dyn_tensor *push_own(lua_State *L) { /* as dyn_pushtensor */
  dyn_tensor *t = lua_newuserdatauv(L, sizeof *t, 0);
  *t = (dyn_tensor){0};
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_setmetatable(L, -2);
  return t;
}

/* Push a small tensor for a result like 'a', if it is one. */
static dyn_tensor *push_small(lua_State *L, const dyn_tensor *a) {
  size_t bytes = dyn_tensor_len(a) * dyn_type_size(a->type);
  if (!DYN_LATE_GC || bytes > DYN_SMALL_BYTES) return NULL;
  dyn_tensor *t = lua_newuserdatauv(L, sizeof *t + bytes, 0);
  dyn_tensor_lend(t, a, t + 1);
  lua_pushvalue(L, lua_upvalueindex(3));
  lua_setmetatable(L, -2);
  return t;
}

static int unary(lua_State *L) {
  dyn_err e;
  dyn_unary op = (dyn_unary)lua_tointeger(L, lua_upvalueindex(1));
  const dyn_tensor *a = own(L, 1);
  if (!a) a = dyn_checktensor(L, 1);
  dyn_tensor *r = dyn_alike(a, a) ? push_small(L, a) : NULL;
  if (r) return dyn_map1_to(r->data, op, a), 1;
  r = push_own(L);
  return dyn_result(L, dyn_map1(r, op, a, &e), &e, 1);
}

/* tensor + variable: the tensor is a constant on the variable's tape. */
static int with_variable(lua_State *L, dyn_binary op) {
  static const dyn_opcode ops[] = {
      [DYN_ADD] = DYN_OP_ADD,        [DYN_SUB] = DYN_OP_SUB,
      [DYN_MUL] = DYN_OP_MUL,        [DYN_DIV] = DYN_OP_DIV,
      [DYN_POW] = DYN_OP_POWER,      [DYN_MAXIMUM] = DYN_OP_LARGER,
      [DYN_MINIMUM] = DYN_OP_SMALLER};
  if (op > DYN_MINIMUM)
    return luaL_error(L, "%s: a variable cannot stand here",
                      dyn_binary_name(op));
  return dyn_vararith(L, ops[op]);
}

/* The number at 'arg' as an operand of the type of its neighbour, in memory of
** the caller: the operation only reads it. */
typedef struct scalar {
  dyn_tensor t;
  double d;
  float f;
} scalar;

static const dyn_tensor *number(lua_State *L, int arg, dyn_type type,
                                scalar *v) {
  v->d = lua_tonumber(L, arg);
  v->f = (float)v->d;
  v->t = (dyn_tensor){.type = type};
  v->t.data = type == DYN_F32 ? (void *)&v->f : (void *)&v->d;
  return &v->t;
}

static int binary(lua_State *L) {
  dyn_err e;
  scalar v;
  dyn_binary op = (dyn_binary)lua_tointeger(L, lua_upvalueindex(1));
  const dyn_tensor *a = own(L, 1), *b = own(L, 2);
  if (!a || !b) {
    if (lua_type(L, 2) == LUA_TUSERDATA && luaL_testudata(L, 2, DYN_VAR))
      return with_variable(L, op);
    if (!a && lua_type(L, 1) != LUA_TNUMBER) a = dyn_checktensor(L, 1);
    if (!b && (!a || lua_type(L, 2) != LUA_TNUMBER)) b = dyn_checktensor(L, 2);
    if (!a) a = number(L, 1, b->type, &v);
    if (!b) b = number(L, 2, a->type, &v);
  }
  dyn_tensor *r = dyn_alike(a, b) ? push_small(L, a) : NULL;
  if (r) return dyn_map2_to(r->data, op, a, b), 1;
  r = push_own(L);
  return dyn_result(L, dyn_map2(r, op, a, b, &e), &e, 1);
}

static int inplace(lua_State *L) { /* a:add_(b) returns a */
  dyn_err e;
  dyn_binary op = (dyn_binary)lua_tointeger(L, lua_upvalueindex(1));
  scalar v;
  dyn_tensor *a = dyn_checktensor(L, 1);
  const dyn_tensor *b = lua_type(L, 2) == LUA_TNUMBER
                            ? number(L, 2, a->type, &v)
                            : dyn_checktensor(L, 2);
  dyn_result(L, dyn_map2_(a, op, b, &e), &e, 0);
  lua_settop(L, 1);
  return 1;
}

static int tensor_fill(lua_State *L) { /* a:fill_(v) */
  dyn_tensor *a = dyn_checktensor(L, 1);
  dyn_fill_(a, luaL_checknumber(L, 2));
  lua_settop(L, 1);
  return 1;
}

static int tensor_copy(lua_State *L) { /* a:copy_(b), any types */
  dyn_err e;
  dyn_tensor *a = dyn_checktensor(L, 1);
  dyn_result(L, dyn_copy_(a, dyn_checktensor(L, 2), &e), &e, 0);
  lua_settop(L, 1);
  return 1;
}

static int reduce(lua_State *L) { /* t:sum([dim]) */
  dyn_err e;
  dyn_reduction op = (dyn_reduction)lua_tointeger(L, lua_upvalueindex(1));
  const dyn_tensor *a = dyn_checktensor(L, 1);
  int dim = lua_isnoneornil(L, 2) ? -1 : (int)dyn_checkindex(L, 2, a->ndim);
  dyn_tensor *r = dyn_pushtensor(L);
  dyn_result(L, dyn_reduce(r, op, a, dim, &e), &e, 0);
  if (op == DYN_ARGMAX || op == DYN_ARGMIN) dyn_from_one(L, r);
  if ((op != DYN_MAX && op != DYN_MIN) || dim < 0) return 1;
  dyn_tensor *at = dyn_pushtensor(L); /* and where they are */
  op = op == DYN_MAX ? DYN_ARGMAX : DYN_ARGMIN;
  dyn_result(L, dyn_reduce(at, op, a, dim, &e), &e, 0);
  dyn_from_one(L, at);
  return 2;
}

/* ---- linear algebra ------------------------------------------------------- */

static int tensor_matmul(lua_State *L) {
  dyn_err e;
  if (lua_type(L, 2) == LUA_TUSERDATA && luaL_testudata(L, 2, DYN_VAR))
    return dyn_vararith(L, DYN_OP_MATMUL);
  const dyn_tensor *a = dyn_checktensor(L, 1), *b = dyn_checktensor(L, 2);
  dyn_tensor *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_matmul(r, a, b, &e), &e, 1);
}

static int linalg_qr(lua_State *L) { /* q, r = qr(a) */
  dyn_err e;
  const dyn_tensor *a = dyn_checktensor(L, 1);
  dyn_tensor *q = dyn_pushtensor(L), *r = dyn_pushtensor(L);
  return dyn_result(L, dyn_qr(q, r, a, &e), &e, 2);
}

static int linalg_svd(lua_State *L) { /* u, s, v = svd(a) */
  dyn_err e;
  const dyn_tensor *a = dyn_checktensor(L, 1);
  dyn_tensor *u = dyn_pushtensor(L), *s = dyn_pushtensor(L),
             *v = dyn_pushtensor(L);
  return dyn_result(L, dyn_svd(u, s, v, a, &e), &e, 3);
}

static int linalg_eigh(lua_State *L) { /* w, v = eigh(a), ascending */
  dyn_err e;
  const dyn_tensor *a = dyn_checktensor(L, 1);
  dyn_tensor *w = dyn_pushtensor(L), *v = dyn_pushtensor(L);
  return dyn_result(L, dyn_eigh(w, v, a, &e), &e, 2);
}

static int linalg_eigvals(lua_State *L) { /* re, im = eigvals(a) */
  dyn_err e;
  const dyn_tensor *a = dyn_checktensor(L, 1);
  dyn_tensor *re = dyn_pushtensor(L), *im = dyn_pushtensor(L);
  return dyn_result(L, dyn_eigvals(re, im, a, &e), &e, 2);
}

static int linalg_eig(lua_State *L) { /* re, im, right, left = eig(a) */
  dyn_err e;
  const dyn_tensor *a = dyn_checktensor(L, 1);
  dyn_tensor *re = dyn_pushtensor(L), *im = dyn_pushtensor(L),
             *r = dyn_pushtensor(L), *l = dyn_pushtensor(L);
  return dyn_result(L, dyn_eig(re, im, r, l, a, &e), &e, 4);
}

static int linalg_solve(lua_State *L) { /* x = solve(a, b) */
  dyn_err e;
  const dyn_tensor *a = dyn_checktensor(L, 1), *b = dyn_checktensor(L, 2);
  dyn_tensor *x = dyn_pushtensor(L);
  return dyn_result(L, dyn_solve(x, a, b, &e), &e, 1);
}

static int linalg_cholesky(lua_State *L) {
  dyn_err e;
  const dyn_tensor *a = dyn_checktensor(L, 1);
  dyn_tensor *l = dyn_pushtensor(L);
  return dyn_result(L, dyn_cholesky(l, a, &e), &e, 1);
}

/* __gc, which runs once per result: only a metatable of ours gets here, unless
** debug.getmetatable hands it out. */
static int collected(lua_State *L) {
  dyn_tensor *t = lua_touserdata(L, 1);
  if (!t || !lua_getmetatable(L, 1)) return 0;
  if (lua_rawequal(L, -1, lua_upvalueindex(2))) dyn_tensor_free(t);
  return 0;
}

/* ---- registration --------------------------------------------------------- */

static void add(lua_State *L, lua_CFunction f, int op, const char *name,
                const char *suffix) {
  lua_pushfstring(L, "%s%s", name, suffix);
  lua_pushinteger(L, op);
  luaL_getmetatable(L, DYN_TENSOR);
  luaL_getmetatable(L, DYN_SMALL);
  lua_pushcclosure(L, f, 3);
  lua_rawset(L, -3);
}

static void add_methods(lua_State *L) { /* to the table on top */
  static const luaL_Reg plain[] = {
      {"matmul", tensor_matmul},
      {"fill_", tensor_fill},
      {"copy_", tensor_copy},
      {NULL, NULL},
  };
  luaL_setfuncs(L, plain, 0);
  for (int op = 0; op < DYN_NUNARY; op++)
    add(L, unary, op, dyn_unary_name((dyn_unary)op), "");
  for (int op = 0; op < DYN_NBINARY_PUBLIC; op++)
    add(L, binary, op, dyn_binary_name((dyn_binary)op), "");
  for (int op = 0; op < DYN_NBINARY_PUBLIC; op++)
    add(L, inplace, op, dyn_binary_name((dyn_binary)op), "_");
  for (int op = 0; op < DYN_NREDUCTION; op++)
    add(L, reduce, op, dyn_reduction_name((dyn_reduction)op), "");
}

static void add_metamethods(lua_State *L) { /* to the metatable on top */
  add(L, binary, DYN_ADD, "__add", "");
  add(L, binary, DYN_SUB, "__sub", "");
  add(L, binary, DYN_MUL, "__mul", "");
  add(L, binary, DYN_DIV, "__div", "");
  add(L, binary, DYN_POW, "__pow", "");
  add(L, unary, DYN_NEG, "__unm", "");
  add(L, collected, 0, "__gc", "");
}

static const luaL_Reg funcs[] = {
    {"qr", linalg_qr},
    {"svd", linalg_svd},
    {"eigh", linalg_eigh},
    {"eigvals", linalg_eigvals},
    {"solve", linalg_solve},
    {"cholesky", linalg_cholesky},
    {"matmul", tensor_matmul},
    {"eig", linalg_eig},
    {NULL, NULL},
};

void dyn_open_math(lua_State *L) {
  luaL_getmetatable(L, DYN_TENSOR);
  add_metamethods(L);
  lua_getfield(L, -1, "__index");
  add_methods(L);
  lua_pop(L, 2);
  luaL_setfuncs(L, funcs, 0);
}
