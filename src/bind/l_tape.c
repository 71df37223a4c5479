/* l_tape.c -- dynamo.Tape and dynamo.Var, a value on a tape. */
#include <string.h>

#include "bind/tape.h"
#include "core/ops.h"

/* ---- handles -------------------------------------------------------------- */

dyn_var *dyn_pushvar(lua_State *L) {
  dyn_var *v = lua_newuserdatauv(L, sizeof *v, 0);
  *v = (dyn_var){0};
  luaL_getmetatable(L, DYN_VAR);
  lua_setmetatable(L, -2);
  return v;
}

void dyn_adoptvar(dyn_var *v, dyn_taperef *s, int id) {
  v->s = s;
  v->id = id;
  s->refs++;
}

void dyn_taperef_drop(dyn_taperef **s) {
  dyn_taperef *p = *s;
  *s = NULL;
  if (!p || --p->refs > 0) return;
  dyn_tape_free(p->t);
  dyn_free(p, 1, sizeof *p);
}

dyn_var *dyn_checkvar(lua_State *L, int arg) {
  dyn_var *v = luaL_checkudata(L, arg, DYN_VAR);
  luaL_argcheck(L, v->s && v->s->t, arg, "the tape was closed");
  return v;
}

static const dyn_tensor *value(const dyn_var *v) {
  return dyn_tape_value(v->s->t, v->id);
}

static int var_gc(lua_State *L) {
  dyn_var *v = luaL_checkudata(L, 1, DYN_VAR);
  dyn_taperef_drop(&v->s);
  return 0;
}

/* Put the number, tensor or variable at 'arg' on the tape; -1 if it is nil. */
int dyn_ontape(lua_State *L, int arg, dyn_taperef *s, dyn_type type) {
  dyn_err e;
  int id = -1;
  if (lua_isnoneornil(L, arg)) return -1;
  if (luaL_testudata(L, arg, DYN_VAR)) {
    dyn_var *v = dyn_checkvar(L, arg);
    luaL_argcheck(L, v->s == s, arg, "variable of another tape");
    return v->id;
  }
  const dyn_tensor *x = dyn_argtensor(L, arg, type);
  dyn_result(L, dyn_tape_leaf(s->t, x, false, NULL, &id, &e), &e, 0);
  return id;
}

/* Run 'op' on a tape; pushes the variable. */
int dyn_runop(lua_State *L, dyn_taperef *s, dyn_opcode op, const int *in,
              int nin, const dyn_attr *a) {
  dyn_err e;
  int id = 0;
  dyn_var *r = dyn_pushvar(L);
  dyn_status st = dyn_tape_apply(s->t, op, in, nin, a, &id, &e);
  if (st == DYN_OK) dyn_adoptvar(r, s, id);
  return dyn_result(L, st, &e, 1);
}

/* The variable at 1 alone, with attributes. */
static int run1(lua_State *L, dyn_opcode op, const dyn_attr *a) {
  dyn_var *v = dyn_checkvar(L, 1);
  return dyn_runop(L, v->s, op, &v->id, 1, a);
}

/* ---- operations without attributes: closures, the opcode in upvalue 1 ------ */

static int unary(lua_State *L) {
  return run1(L, (dyn_opcode)lua_tointeger(L, lua_upvalueindex(1)), NULL);
}

int dyn_vararith(lua_State *L, dyn_opcode op) {
  int in[2];
  dyn_var *like = dyn_checkvar(L, luaL_testudata(L, 1, DYN_VAR) ? 1 : 2);
  luaL_checkany(L, 2);
  for (int k = 0; k < 2; k++) {
    luaL_argcheck(L, !lua_isnil(L, k + 1), k + 1, "value expected, got nil");
    in[k] = dyn_ontape(L, k + 1, like->s, value(like)->type);
  }
  return dyn_runop(L, like->s, op, in, 2, NULL);
}

static int binary(lua_State *L) {
  return dyn_vararith(L, (dyn_opcode)lua_tointeger(L, lua_upvalueindex(1)));
}

static int loss(lua_State *L) { /* p:mse(target[, weight[, mask]]) */
  dyn_opcode op = (dyn_opcode)lua_tointeger(L, lua_upvalueindex(1));
  int in[4];
  lua_settop(L, 4);
  dyn_var *p = dyn_checkvar(L, 1);
  luaL_argcheck(L, !lua_isnil(L, 2), 2, "target expected, got nil");
  for (int k = 0; k < 4; k++)
    in[k] = dyn_ontape(L, k + 1, p->s, value(p)->type);
  return dyn_runop(L, p->s, op, in, 4, NULL);
}

/* ---- operations with attributes -------------------------------------------- */

static int reduce(lua_State *L) { /* v:sum([dim]) */
  dyn_opcode op = (dyn_opcode)lua_tointeger(L, lua_upvalueindex(1));
  dyn_attr a = {.dim = -1};
  int nd = value(dyn_checkvar(L, 1))->ndim;
  if (!lua_isnoneornil(L, 2)) a.dim = (int)dyn_checkindex(L, 2, nd);
  return run1(L, op, &a);
}

static int var_swap(lua_State *L) { /* v:swap(d0, d1) */
  int nd = value(dyn_checkvar(L, 1))->ndim;
  dyn_attr a = {.dim = (int)dyn_checkindex(L, 2, nd)};
  a.dim2 = (int)dyn_checkindex(L, 3, nd);
  return run1(L, DYN_OP_SWAP, &a);
}

static int var_permute(lua_State *L) { /* v:permute(3, 1, 2) */
  int n = value(dyn_checkvar(L, 1))->ndim;
  dyn_attr a = {.ndim = lua_gettop(L) - 1};
  luaL_argcheck(L, a.ndim == n, 1, "one place per dimension expected");
  for (int d = 0; d < n; d++) a.size[d] = dyn_checkindex(L, d + 2, n);
  return run1(L, DYN_OP_PERMUTE, &a);
}

static int var_expand(lua_State *L) { /* v:expand(n, m, ...); -1 keeps */
  dyn_attr a = {.ndim = lua_gettop(L) - 1};
  luaL_argcheck(L, a.ndim <= DYN_MAXDIM, 1, "too many dimensions");
  for (int d = 0; d < a.ndim; d++) a.size[d] = dyn_checkint(L, d + 2);
  return run1(L, DYN_OP_EXPAND, &a);
}

/* The dimension at 'arg'; a scalar has one. */
static int dimension(lua_State *L, int arg, int def) {
  int nd = value(dyn_checkvar(L, 1))->ndim;
  if (lua_isnoneornil(L, arg)) return def < 0 ? (nd ? nd - 1 : 0) : def;
  return (int)dyn_checkindex(L, arg, nd ? nd : 1);
}

static int var_cumsum(lua_State *L) { /* v:cumsum([dim]) */
  dyn_attr a = {.dim = dimension(L, 2, -1)};
  return run1(L, DYN_OP_CUMSUM, &a);
}

static int var_gather(lua_State *L) { /* v:gather(dim, positions) */
  dyn_err e;
  int in[2];
  dyn_var *v = dyn_checkvar(L, 1);
  dyn_attr a = {.dim = dimension(L, 2, 0)};
  const dyn_tensor *at = dyn_checktensor(L, 3);
  dyn_tensor *zero = dyn_pushtensor(L), *one = dyn_pushtensor(L);
  dyn_result(L, dyn_convert(zero, at, DYN_F64, &e), &e, 0);
  dyn_result(L, dyn_tensor_new(one, DYN_F64, 0, NULL, &e), &e, 0);
  dyn_tensor_set(one, 0, 1);
  dyn_result(L, dyn_map2_(zero, DYN_SUB, one, &e), &e, 0);
  in[0] = v->id;
  dyn_result(L, dyn_tape_leaf(v->s->t, zero, false, NULL, &in[1], &e), &e, 0);
  return dyn_runop(L, v->s, DYN_OP_GATHER, in, 2, &a);
}

int dyn_varwhere(lua_State *L) { /* where(mask, a, b), one a variable */
  int in[3];
  dyn_var *like = dyn_checkvar(L, luaL_testudata(L, 2, DYN_VAR) ? 2 : 3);
  for (int k = 0; k < 3; k++) {
    luaL_argcheck(L, !lua_isnil(L, k + 1), k + 1, "value expected, got nil");
    in[k] = dyn_ontape(L, k + 1, like->s, value(like)->type);
  }
  return dyn_runop(L, like->s, DYN_OP_WHERE, in, 3, NULL);
}

static int var_reshape(lua_State *L) { /* v:reshape(n, m, ...), one -1 */
  dyn_attr a = {.ndim = lua_gettop(L) - 1};
  luaL_argcheck(L, a.ndim <= DYN_MAXDIM, 1, "too many dimensions");
  for (int d = 0; d < a.ndim; d++) a.size[d] = dyn_checkint(L, d + 2);
  return run1(L, DYN_OP_RESHAPE, &a);
}

/* Rows at arg .. arg+1 of dimension 'dim', both ends included. */
static int narrow(lua_State *L, int dim, int arg) {
  ptrdiff_t n = value(dyn_checkvar(L, 1))->size[dim], lo = dyn_checkint(L, arg),
            hi = dyn_optint(L, arg + 1, n);
  if (lo < 0) lo += n + 1;
  if (hi < 0) hi += n + 1;
  luaL_argcheck(L, 1 <= lo && lo <= n + 1, arg, "index out of range");
  luaL_argcheck(L, lo - 1 <= hi && hi <= n, arg + 1, "index out of range");
  dyn_attr a = {.dim = dim, .lo = lo - 1, .n = hi - lo + 1};
  return run1(L, DYN_OP_NARROW, &a);
}

static int var_narrow(lua_State *L) { /* v:narrow(dim, first, last) */
  int dim = (int)dyn_checkindex(L, 2, value(dyn_checkvar(L, 1))->ndim);
  return narrow(L, dim, 3);
}

static int var_rows(lua_State *L) { /* v:rows{i, j, ...} or (first, last) */
  const dyn_tensor *x = value(dyn_checkvar(L, 1));
  luaL_argcheck(L, x->ndim > 0, 1, "a scalar has no rows");
  if (lua_type(L, 2) == LUA_TNUMBER) return narrow(L, 0, 2);
  dyn_attr a = {0};
  a.idx = dyn_checkindices(L, 2, x->size[0], false, &a.nidx);
  return run1(L, DYN_OP_ROWS, &a);
}

static int var_scatter(lua_State *L) { /* v:scatter_rows({i, ...}, n) */
  dyn_attr a = {.n = dyn_checkint(L, 3)};
  luaL_argcheck(L, a.n >= 0, 3, "negative number of rows");
  a.idx = dyn_checkindices(L, 2, a.n, false, &a.nidx);
  return run1(L, DYN_OP_SCATTER_ROWS, &a);
}

/* Variables, tensors or numbers of the table at 'arg', put on the tape from
** in[from] on; the number of them all. */
static int list(lua_State *L, int arg, dyn_taperef *s, dyn_type type, int from,
                int **in) {
  luaL_checktype(L, arg, LUA_TTABLE);
  size_t n = lua_rawlen(L, arg);
  luaL_argcheck(L, n < 100000, arg, "too many parts");
  *in = dyn_scratch(L, n + (size_t)from, sizeof **in);
  for (size_t i = 0; i < n; i++) {
    lua_rawgeti(L, arg, (int)i + 1);
    if (lua_isnil(L, -1)) luaL_error(L, "cat: part %d is nil", (int)i + 1);
    (*in)[(size_t)from + i] = dyn_ontape(L, lua_gettop(L), s, type);
    lua_pop(L, 1);
  }
  return (int)n + from;
}

static int var_cat(lua_State *L) { /* v:cat({w, ...}[, dim]) */
  int *in;
  lua_settop(L, 3);
  dyn_var *v = dyn_checkvar(L, 1);
  dyn_attr a = {0};
  if (!lua_isnoneornil(L, 3)) a.dim = (int)dyn_checkindex(L, 3, value(v)->ndim);
  int n = list(L, 2, v->s, value(v)->type, 1, &in);
  in[0] = v->id;
  return dyn_runop(L, v->s, DYN_OP_CAT, in, n, &a);
}

/* Dropout rate and seed, numbers or nil at 'arg' and arg+1. */
static void rate(lua_State *L, int arg, dyn_attr *a) {
  a->drop = luaL_optnumber(L, arg, 0);
  luaL_argcheck(L, a->drop >= 0 && a->drop < 1, arg, "rate outside [0, 1)");
  a->seed = (uint64_t)(a->drop > 0 ? dyn_checkint(L, arg + 1) : 0);
}

static dyn_activation activation(lua_State *L, int arg) {
  const char *name = luaL_optstring(L, arg, "none");
  for (int k = 0; k < DYN_NACT; k++)
    if (!strcmp(name, dyn_activation_name((dyn_activation)k)))
      return (dyn_activation)k;
  luaL_argerror(L, arg, "none, relu, tanh, sigmoid, gelu or softplus expected");
  return DYN_ACT_NONE;
}

static int var_linear(lua_State *L) { /* x:linear(w[, b[, act[, p, seed]]]) */
  int in[3];
  lua_settop(L, 6);
  dyn_var *x = dyn_checkvar(L, 1);
  dyn_attr a = {.act = activation(L, 4)};
  rate(L, 5, &a);
  luaL_argcheck(L, !lua_isnil(L, 2), 2, "weights expected, got nil");
  for (int k = 0; k < 3; k++)
    in[k] = dyn_ontape(L, k + 1, x->s, value(x)->type);
  return dyn_runop(L, x->s, DYN_OP_LINEAR, in, 3, &a);
}

static int var_dropout(lua_State *L) { /* v:dropout(rate, seed) */
  dyn_attr a = {0};
  luaL_checknumber(L, 2);
  rate(L, 2, &a);
  return run1(L, DYN_OP_DROPOUT, &a);
}

/* x:batch_norm(scale, shift[, eps[, slope[, weight]]]) */
static int var_batch_norm(lua_State *L) {
  int in[4];
  lua_settop(L, 6);
  dyn_var *x = dyn_checkvar(L, 1);
  dyn_attr a = {.value = luaL_optnumber(L, 4, 1e-5),
                .slope = luaL_optnumber(L, 5, 1)};
  luaL_argcheck(L, a.value >= 0, 4, "eps is below 0");
  lua_remove(L, 5);
  lua_remove(L, 4);
  for (int k = 0; k < 4; k++) {
    luaL_argcheck(L, k == 3 || !lua_isnil(L, k + 1), k + 1,
                  "scale and shift expected, got nil");
    in[k] = dyn_ontape(L, k + 1, x->s, value(x)->type);
  }
  return dyn_runop(L, x->s, DYN_OP_BATCH_NORM, in, 4, &a);
}

static int
var_gene_decoder(lua_State *L) { /* base:gene_decoder({...}[, eps]) */
  int *in;
  lua_settop(L, 3);
  dyn_var *base = dyn_checkvar(L, 1);
  dyn_attr a = {.value = luaL_optnumber(L, 3, 1e-5)};
  luaL_argcheck(L, a.value >= 0, 3, "eps is below 0");
  int n = list(L, 2, base->s, value(base)->type, 1, &in);
  in[0] = base->id;
  return dyn_runop(L, base->s, DYN_OP_GENE_DECODER, in, n, &a);
}

/* ---- reading a variable ---------------------------------------------------- */

/* Call the function of a custom entry with its gradient; its results, tensors
** or nil, are the contributions to the operands. The table is at 2. */
static void ask(lua_State *L, unsigned run, int entry) {
  dyn_err e;
  dyn_var *v = dyn_checkvar(L, 1);
  int top = lua_gettop(L);
  luaL_checkstack(L, 4, "backward");
  if (lua_type(L, 2) == LUA_TTABLE)
    lua_rawgeti(L, 2, entry + 1);
  else
    lua_pushnil(L);
  if (lua_isnil(L, -1))
    luaL_error(L, "backward: no rule for entry %d, a custom operation",
               entry + 1);
  dyn_tensor_share(dyn_pushtensor(L), dyn_tape_arrived(v->s->t, entry));
  lua_call(L, 1, LUA_MULTRET);
  dyn_checkvar(L, 1); /* the function may have closed the tape */
  int n = lua_gettop(L) - top;
  luaL_argcheck(L, n <= dyn_tape_inputs(v->s->t, entry), 2,
                "more gradients than operands");
  for (int k = 0; k < n; k++) {
    if (lua_isnil(L, top + 1 + k)) continue;
    const dyn_tensor *g = dyn_checktensor(L, top + 1 + k);
    dyn_result(L, dyn_tape_supply(v->s->t, run, entry, k, g, &e), &e, 0);
  }
  lua_settop(L, top);
}

static int var_backward(lua_State *L) { /* v:backward([rules[, seed]]) */
  dyn_err e;
  unsigned run;
  int entry;
  dyn_var *v = dyn_checkvar(L, 1);
  lua_settop(L, 3);
  const dyn_tensor *seed = lua_isnil(L, 3) ? NULL : dyn_checktensor(L, 3);
  if (!lua_isnil(L, 2)) luaL_checktype(L, 2, LUA_TTABLE);
  dyn_result(L, dyn_tape_begin(v->s->t, v->id, seed, &run, &e), &e, 0);
  for (;;) {
    dyn_result(L, dyn_tape_step(v->s->t, run, &entry, &e), &e, 0);
    if (entry < 0) break;
    ask(L, run, entry);
  }
  lua_settop(L, 1);
  return 1;
}

/* v:custom(value, {operands}): an operation whose value the caller knows */
static int var_custom(lua_State *L) {
  dyn_err e;
  int *in, id = 0;
  lua_settop(L, 3);
  dyn_var *v = dyn_checkvar(L, 1);
  const dyn_tensor *x = dyn_checktensor(L, 2);
  int n = list(L, 3, v->s, x->type, 0, &in);
  dyn_var *r = dyn_pushvar(L);
  dyn_status st = dyn_tape_custom(v->s->t, in, n, x, &id, &e);
  if (st == DYN_OK) dyn_adoptvar(r, v->s, id);
  lua_pushinteger(L, id + 1);
  return dyn_result(L, st, &e, 2);
}

static int var_value(lua_State *L) {
  dyn_var *v = dyn_checkvar(L, 1);
  dyn_tensor_share(dyn_pushtensor(L), value(v));
  return 1;
}

static int var_statistics(lua_State *L) { /* nil if it is no normalisation */
  dyn_var *v = dyn_checkvar(L, 1);
  const dyn_tensor *x = dyn_tape_stats(v->s->t, v->id);
  if (!x->st) return lua_pushnil(L), 1;
  dyn_tensor_share(dyn_pushtensor(L), x);
  return 1;
}

static int var_grad(lua_State *L) { /* nil if nothing flowed there */
  dyn_var *v = dyn_checkvar(L, 1);
  const dyn_tensor *g = dyn_tape_grad(v->s->t, v->id);
  if (!g->st) return lua_pushnil(L), 1;
  dyn_tensor_share(dyn_pushtensor(L), g);
  return 1;
}

static int var_item(lua_State *L) {
  char buf[DYN_SHAPELEN];
  const dyn_tensor *x = value(dyn_checkvar(L, 1));
  if (dyn_tensor_len(x) != 1)
    return luaL_error(L, "item: one element expected, variable is %s",
                      dyn_tensor_shape(x, buf));
  lua_pushnumber(L, dyn_tensor_get(x, 0));
  return 1;
}

static int var_size(lua_State *L) { /* all sizes, or that of one dimension */
  const dyn_tensor *x = value(dyn_checkvar(L, 1));
  if (!lua_isnoneornil(L, 2)) {
    lua_pushinteger(L, (lua_Integer)x->size[dyn_checkindex(L, 2, x->ndim)]);
    return 1;
  }
  for (int d = 0; d < x->ndim; d++) lua_pushinteger(L, (lua_Integer)x->size[d]);
  return x->ndim;
}

static int var_type(lua_State *L) {
  lua_pushstring(L, dyn_type_name(value(dyn_checkvar(L, 1))->type));
  return 1;
}

static int var_need(lua_State *L) {
  dyn_var *v = dyn_checkvar(L, 1);
  lua_pushboolean(L, dyn_tape_need(v->s->t, v->id));
  return 1;
}

static int var_tostring(lua_State *L) {
  char buf[DYN_SHAPELEN];
  const dyn_var *v = luaL_checkudata(L, 1, DYN_VAR);
  if (v->s && v->s->t)
    lua_pushfstring(
        L, "Var(%s, %s, %s)", dyn_op_name(dyn_tape_op(v->s->t, v->id)),
        dyn_tensor_shape(value(v), buf), dyn_type_name(value(v)->type));
  else
    lua_pushliteral(L, "Var(closed)");
  return 1;
}

static int is_var(lua_State *L) {
  lua_pushboolean(L, lua_type(L, 1) == LUA_TUSERDATA &&
                         luaL_testudata(L, 1, DYN_VAR) != NULL);
  return 1;
}

/* ---- the tape itself ------------------------------------------------------- */

/* Does the options table at 1 ask for bfloat16? */
static bool wants_bf16(lua_State *L) {
  static const char *const names[] = {"float", "bf16", NULL};
  if (lua_isnoneornil(L, 1)) return false;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1))
    if (lua_type(L, -2) != LUA_TSTRING ||
        strcmp(lua_tostring(L, -2), "precision") != 0)
      luaL_error(L, "tape: unknown option; there is 'precision'");
  lua_getfield(L, 1, "precision");
  return luaL_checkoption(L, 2, "float", names) == 1;
}

static int tape_new(lua_State *L) { /* tape([{ precision = }]) */
  bool bf16 = wants_bf16(L);
  dyn_taperef **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  luaL_getmetatable(L, DYN_TAPE);
  lua_setmetatable(L, -2);
  dyn_err e;
  dyn_status st = DYN_OK;
  *box = dyn_alloc(1, sizeof **box);
  if (*box) {
    (*box)->refs = 1;
    (*box)->t = dyn_tape_new();
  }
  if (!*box || !(*box)->t)
    st = dyn_fail(&e, DYN_ENOMEM, "no memory for a tape");
  else if (bf16)
    st = dyn_tape_bf16((*box)->t, &e);
  return dyn_result(L, st, &e, 1);
}

dyn_taperef *dyn_checktape(lua_State *L, int arg) {
  dyn_taperef **box = luaL_checkudata(L, arg, DYN_TAPE);
  luaL_argcheck(L, *box && (*box)->t, arg, "the tape was closed");
  return *box;
}

static int tape_gc(lua_State *L) {
  dyn_taperef_drop(luaL_checkudata(L, 1, DYN_TAPE));
  return 0;
}

static int tape_close(lua_State *L) { /* frees everything on it, now */
  dyn_taperef **box = luaL_checkudata(L, 1, DYN_TAPE);
  if (*box) {
    dyn_tape_free((*box)->t);
    (*box)->t = NULL;
  }
  dyn_taperef_drop(box);
  return 0;
}

static int tape_leaf(lua_State *L) { /* tape:leaf(tensor or number[, need]) */
  dyn_err e;
  int id = 0;
  lua_settop(L, 3);
  dyn_taperef *s = dyn_checktape(L, 1);
  const dyn_tensor *x = dyn_argtensor(L, 2, DYN_F32);
  dyn_var *r = dyn_pushvar(L);
  dyn_status st = dyn_tape_leaf(s->t, x, lua_toboolean(L, 3), NULL, &id, &e);
  if (st == DYN_OK) dyn_adoptvar(r, s, id);
  return dyn_result(L, st, &e, 1);
}

static int tape_cat(lua_State *L) { /* tape:cat({v, ...}[, dim]) */
  int *in;
  lua_settop(L, 3);
  dyn_taperef *s = dyn_checktape(L, 1);
  int n = list(L, 2, s, DYN_F32, 0, &in);
  luaL_argcheck(L, n > 0, 2, "nothing to join");
  dyn_attr a = {0};
  if (!lua_isnoneornil(L, 3))
    a.dim = (int)dyn_checkindex(L, 3, dyn_tape_value(s->t, in[0])->ndim);
  return dyn_runop(L, s, DYN_OP_CAT, in, n, &a);
}

/* The operation, entry and shape of the first value that is not finite. */
static int tape_nonfinite(lua_State *L) {
  char buf[DYN_SHAPELEN];
  const dyn_tape *t = dyn_checktape(L, 1)->t;
  int id = dyn_tape_nonfinite(t);
  if (id < 0) return lua_pushnil(L), 1;
  lua_pushstring(L, dyn_op_name(dyn_tape_op(t, id)));
  lua_pushinteger(L, id + 1);
  lua_pushstring(L, dyn_tensor_shape(dyn_tape_value(t, id), buf));
  return 3;
}

static int tape_len(lua_State *L) {
  lua_pushinteger(L, dyn_tape_len(dyn_checktape(L, 1)->t));
  return 1;
}

static int tape_tostring(lua_State *L) {
  dyn_taperef **box = luaL_checkudata(L, 1, DYN_TAPE);
  if (*box && (*box)->t)
    lua_pushfstring(L, "Tape(%d entries)", dyn_tape_len((*box)->t));
  else
    lua_pushliteral(L, "Tape(closed)");
  return 1;
}

/* ---- registration ---------------------------------------------------------- */

static const luaL_Reg var_metas[] = {
    {"__gc", var_gc},
    {"__close", var_gc},
    {"__tostring", var_tostring},
    {NULL, NULL},
};

static const luaL_Reg var_methods[] = {
    {"backward", var_backward},
    {"batch_norm", var_batch_norm},
    {"cat", var_cat},
    {"close", var_gc},
    {"cumsum", var_cumsum},
    {"custom", var_custom},
    {"dropout", var_dropout},
    {"expand", var_expand},
    {"gather", var_gather},
    {"gene_decoder", var_gene_decoder},
    {"grad", var_grad},
    {"item", var_item},
    {"linear", var_linear},
    {"narrow", var_narrow},
    {"need", var_need},
    {"permute", var_permute},
    {"reshape", var_reshape},
    {"rows", var_rows},
    {"scatter_rows", var_scatter},
    {"size", var_size},
    {"statistics", var_statistics},
    {"swap", var_swap},
    {"type", var_type},
    {"value", var_value},
    {NULL, NULL},
};

static const luaL_Reg tape_metas[] = {
    {"__gc", tape_gc},
    {"__close", tape_close},
    {"__tostring", tape_tostring},
    {NULL, NULL},
};

static const luaL_Reg tape_methods[] = {
    {"cat", tape_cat}, {"close", tape_close},         {"leaf", tape_leaf},
    {"len", tape_len}, {"nonfinite", tape_nonfinite}, {NULL, NULL},
};

static const luaL_Reg funcs[] = {
    {"tape", tape_new},
    {"is_var", is_var},
    {NULL, NULL},
};

static void add(lua_State *L, lua_CFunction f, dyn_opcode op,
                const char *name) {
  lua_pushinteger(L, op);
  lua_pushcclosure(L, f, 1);
  lua_setfield(L, -2, name);
}

static void add_methods(lua_State *L) { /* to the table on top */
  static const dyn_opcode two[] = {DYN_OP_ADD, DYN_OP_SUB, DYN_OP_MUL,
                                   DYN_OP_DIV, DYN_OP_MATMUL};
  static const dyn_opcode over[] = {DYN_OP_SUM, DYN_OP_MEAN, DYN_OP_LOGSUMEXP};
  static const dyn_opcode losses[] = {DYN_OP_MSE, DYN_OP_BCE_LOGITS,
                                      DYN_OP_ROW_PEARSON};
  for (size_t k = 0; k < sizeof two / sizeof *two; k++)
    add(L, binary, two[k], dyn_op_name(two[k]));
  for (size_t k = 0; k < sizeof over / sizeof *over; k++)
    add(L, reduce, over[k], dyn_op_name(over[k]));
  for (size_t k = 0; k < sizeof losses / sizeof *losses; k++)
    add(L, loss, losses[k], dyn_op_name(losses[k]));
  for (int op = DYN_OP_NEG; op <= DYN_OP_EXPM1; op++)
    add(L, unary, (dyn_opcode)op, dyn_op_name((dyn_opcode)op));
  add(L, unary, DYN_OP_DETACH, "detach");
  add(L, unary, DYN_OP_LOG_SOFTMAX, "log_softmax");
}

static void add_metamethods(lua_State *L) { /* to the metatable on top */
  add(L, binary, DYN_OP_ADD, "__add");
  add(L, binary, DYN_OP_SUB, "__sub");
  add(L, binary, DYN_OP_MUL, "__mul");
  add(L, binary, DYN_OP_DIV, "__div");
  add(L, unary, DYN_OP_NEG, "__unm");
}

void dyn_open_tape(lua_State *L) {
  dyn_newclass(L, DYN_TAPE, tape_metas, tape_methods);
  dyn_newclass(L, DYN_VAR, var_metas, var_methods);
  luaL_getmetatable(L, DYN_VAR);
  add_metamethods(L);
  lua_getfield(L, -1, "__index");
  add_methods(L);
  lua_pop(L, 2);
  dyn_open_variable(L);
  luaL_setfuncs(L, funcs, 0);
}
